"""`name.model` and `name.vocab`: what is written is read back, upstream's files are read, and damage is reported."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe.base import Tokenizer
from minbpe.basic import BasicTokenizer
from minbpe.errors import FormatError
from minbpe.formats import model as model_file
from minbpe.formats import save
from minbpe.formats.model import load_model
from minbpe.regex import GPT4_SPLIT_PATTERN, RegexTokenizer
from minbpe.vocabulary import Vocabulary

GOLDEN = Path(__file__).parent / "golden" / "minbpe_v1"
CORPUS = (GOLDEN / "corpus.txt").read_text(encoding="utf-8")

PERMUTED = [(b * 7 + 3) % 256 for b in range(256)]
BY_RANK = {bytes([b]): b for b in range(256)} | {b"abc": 256, b"bc": 300}

VOCABULARIES = {
    "the bytes alone": Vocabulary.from_merges(()),
    "merges": Vocabulary.from_merges([(97, 97), (256, 98)]),
    "a pattern": Vocabulary.from_merges([(97, 97)], pattern=GPT4_SPLIT_PATTERN),
    "a pattern with line breaks": Vocabulary.from_merges((), pattern="(?x) a # one\r\n| b\n | \u2028 | \x85"),
    "special tokens": Vocabulary.from_merges(
        (), special_tokens={"<|end of text|>": 256, " \n\r\t": 7000, '雪\\"': 4_000_000_000}
    ),
    "special tokens that share an id": Vocabulary.from_merges((), special_tokens={"b": 300, "a": 300, "c": 299}),
    "bytes in another order": Vocabulary.from_merges([(PERMUTED[97], PERMUTED[98])], byte_ids=PERMUTED),
    "ids of their own": Vocabulary.from_merges([(97, 97), (400, 98)], ids=[400, 300]),
    "ranks alone": Vocabulary.from_ranks(BY_RANK, pattern=r"\w+", special_tokens={"<a>": 301}),
}


def saved(vocabulary: Vocabulary, folder: Path) -> Path:
    save(vocabulary, folder / "saved")
    return folder / "saved.model"


def resealed(lines: str) -> bytes:
    """A file of these lines with their checksum."""
    return lines.encode() + f"sha256 {hashlib.sha256(lines.encode()).hexdigest()}\n".encode()


@pytest.mark.parametrize("module", ["model", "vocab_text"])
def test_what_ends_the_writing_of_one_file_leaves_both_as_they_were(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Vocabulary) -> Iterator[str]:
        yield "a line"
        raise KeyboardInterrupt

    saved(VOCABULARIES["merges"], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(f"minbpe.formats.{module}._lines", stop)
    with pytest.raises(KeyboardInterrupt):
        saved(VOCABULARIES["a pattern"], tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_every_vocabulary_is_read_back_as_it_was(vocabulary: Vocabulary, tmp_path: Path) -> None:
    loaded = load_model(saved(vocabulary, tmp_path))
    assert loaded == vocabulary
    assert loaded.digest == vocabulary.digest
    assert loaded.by_rank == vocabulary.by_rank
    assert loaded.special_tokens == vocabulary.special_tokens
    assert all(loaded[token_id] == vocabulary[token_id] for token_id in vocabulary.special_tokens.values())
    assert list(loaded.items()) == list(vocabulary.items())


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_writing_what_was_read_gives_the_same_bytes(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = saved(vocabulary, tmp_path)
    save(load_model(path), tmp_path / "again")
    assert (tmp_path / "again.model").read_bytes() == path.read_bytes()


def test_the_file_reads_as_documented(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_merges(
        [(97, 97), (256, 98)], pattern=r"\p{L}+| ?\p{N}", special_tokens={"<|endoftext|>": 258}
    )
    written = saved(vocabulary, tmp_path).read_text(encoding="ascii")
    assert model_file.__doc__ is not None
    documented = [line.removeprefix("    ") for line in model_file.__doc__.split("\n") if line.startswith("    ")]
    documented[1] = f"unicode {vocabulary.unicode_version}"
    assert written.split("\n")[:-2] == documented[:-1]
    assert re.fullmatch(r"sha256 [0-9a-f]{64}", written.split("\n")[-2])


@given(
    pattern=st.none() | st.text(max_size=20).map(re.escape),
    special=st.dictionaries(st.text(min_size=1, max_size=8), st.integers(300, 2**32 - 2), max_size=4),
    pairs=st.lists(st.tuples(st.integers(97, 99), st.integers(97, 99)), unique=True, max_size=6),
)
def test_any_special_tokens_and_merges_are_read_back(
    pattern: str | None, special: dict[str, int], pairs: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    vocabulary = Vocabulary.from_merges(pairs, pattern=pattern or None, special_tokens=special)
    assert load_model(saved(vocabulary, tmp_path_factory.mktemp("any"))) == vocabulary


def test_the_file_is_ascii_and_each_line_ends_in_a_newline(tmp_path: Path) -> None:
    for vocabulary in VOCABULARIES.values():
        data = saved(vocabulary, tmp_path).read_bytes()
        assert data.isascii()
        assert data.endswith(b"\n")
        assert b"\r" not in data


# What can go wrong with a file of ours.

SMALL = Vocabulary.from_merges([(97, 97), (256, 98)], pattern="a", special_tokens={"<a>": 258})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return saved(SMALL, tmp_path)


def test_a_truncated_file_is_refused_wherever_it_ends(small: Path) -> None:
    whole = small.read_bytes()
    for size in range(len(whole)):
        small.write_bytes(whole[:size])
        with pytest.raises(
            FormatError, match=r"saved\.model, line \d+: expected" if size else r"saved\.model is empty"
        ):
            load_model(small)


def test_a_file_with_any_bit_flipped_is_refused(small: Path) -> None:
    whole = small.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            small.write_bytes(flipped)
            with pytest.raises(FormatError, match=r"saved\.model"):
                load_model(small)


def test_a_changed_line_is_refused_with_the_checksum_it_would_need(small: Path) -> None:
    changed = small.read_text().replace('"<a>" 258', '"<a>" 259')
    small.write_text(changed)
    with pytest.raises(
        FormatError, match=r"line 11: expected 'sha256 ([0-9a-f]{64})'.*a line above was changed"
    ) as caught:
        load_model(small)
    asked = re.search(r"'(sha256 [0-9a-f]{64})'", str(caught.value))
    assert asked is not None
    small.write_text(re.sub(r"sha256 .*", asked[1], changed))
    assert load_model(small).special_tokens == {"<a>": 259}


HEAD = f"minbpe v2\nunicode {SMALL.unicode_version}\nstages 1\n0 null\n"
EMPTY = "special 0\nbytes identity\nmerges 0\n"
DAMAGED = {
    "minbpe v3\n": r"line 1: expected 'minbpe v2'.*later",
    "minbpe v2\r\nunicode 16.0.0\r\n": r"line 1: expected 'minbpe v2'.*a program has changed its line ends",
    "\ufeffminbpe v2\nunicode 16.0.0\n": r"line 1: expected 'minbpe v2'.*or put a byte order mark first",
    "[a] 97\n": r"line 1: .*a \.vocab file is for people",
    "minbpe v2\nunicode latest\n": r"line 2: expected 'unicode <version>', found 'unicode latest'",
    HEAD.replace("stages 1", "stages 9")
    + "special 0\nmerges 0\n": r"line 3: expected 9 lines of stages after this one",
    HEAD.replace("stages 1\n0 null", "stages 0") + EMPTY: r"make no vocabulary: a vocabulary has one stage at least",
    HEAD.replace("1\n0 null", "2\n0 null\n7 null") + EMPTY: r"make no vocabulary: a stage begins at rank 7.* 0 merges",
    HEAD.replace("0 null", "5 null") + EMPTY: r"make no vocabulary: the first stage begins at rank 5",
    'minbpe v2\nunicode 16.0.0\nstages 1\n0 "\\x"\n': r"line 4: expected a JSON string",
    'minbpe v2\nunicode 16.0.0\nstages 1\n0 "\\ud800"\n': r"line 4: expected a JSON string",
    "minbpe v2\nunicode 16.0.0\nstages 1\n0 [1]\n": r"line 4: expected a stage",
    HEAD + "special 99999999999999999999\n": r"line 5: expected 'special <how many>'",
    HEAD + "special 4000000000\n": r"line 5: expected 4,000,000,000 lines of special tokens after this one, found 1",
    HEAD + 'special 1\n"a" 4294967296\nbytes identity\nmerges 0\n': r"make no vocabulary: ids are .* 0 to 4294967295",
    HEAD + "special 0\nbytes identity\nmerges 1\n97 97 9999999999\n": r"make no vocabulary: ids are .* 0 to 4294967295",
    HEAD + 'special 2\n"a" 300\n"a" 301\n': r"line 7: expected a token that is not there yet, found 'a'",
    HEAD + "special 0\nbytes 0 1 2\n": r"line 6: expected 'bytes identity'",
    HEAD + "special 0\nbytes identity\nmerges 1000000000\n": r"line 7: expected 1,000,000,000 lines of merges",
    HEAD + "special 0\nbytes identity\nmerges 1\n97  97 256\n": r"line 8: expected a merge: .*, found '97  97 256'",
    HEAD + "special 0\nbytes identity\nmerges 1\n97 -1 256\n": r"line 8: expected a merge",
    HEAD + "special 0\nbytes identity\nmerges 1\n97 ٣ 256\n": r"line 8: expected a merge",
    HEAD + "special 0\nbytes identity\nmerges 0\n97 97 256\n": r"line 8: expected 'sha256",
    HEAD + "special 0\ntokens 1\nabc 256\n": r"line 7: expected a token",
    HEAD + "special 0\ntokens 2\n61 1\n61 2\n": r"line 8: expected a token that is not there yet, found b'a'",
    HEAD + "special 0\ntokens 1\n61 0\n": r"make no vocabulary",
    HEAD + "special 0\nbytes identity\nmerges 1\n97 999 256\n": r"make no vocabulary.*999",
    HEAD + "special 0\nbytes identity\nmerges 1\n97 98 97\n": r"make no vocabulary.*97",
    HEAD + 'special 1\n"" 300\nbytes identity\nmerges 0\n': r"make no vocabulary",
    HEAD + 'special 1\n"<a>" 97\nbytes identity\nmerges 0\n': r"make no vocabulary",
    HEAD.replace("null", '"("') + "special 0\nbytes identity\nmerges 0\n": r"make no vocabulary",
}


@pytest.mark.parametrize(("lines", "message"), DAMAGED.items(), ids=[repr(lines[-40:]) for lines in DAMAGED])
def test_what_is_wrong_with_a_file_is_named_with_its_line(lines: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.model"
    path.write_bytes(resealed(lines))
    with pytest.raises(FormatError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"\xff\xfe", b"minbpe v2", b"minbpe v1", b"minbpe v2\n\xff\n", b"\x00" * 100]
)
def test_a_file_that_is_no_model_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.model").write_bytes(data)
    with pytest.raises(FormatError, match=r"odd\.model, line \d: expected" if data else r"odd\.model is empty"):
        load_model(tmp_path / "odd.model")


def test_what_follows_the_checksum_is_refused(small: Path) -> None:
    whole = small.read_bytes()
    for more in (b"\n", b" ", b"97 97 259\n"):
        small.write_bytes(whole + more)
        with pytest.raises(FormatError, match=r"line 12: expected the end of the file"):
            load_model(small)


def test_a_missing_file_is_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RegexTokenizer().load(tmp_path / "none.model")


def test_a_vocabulary_of_other_unicode_tables_is_loaded_with_a_warning(small: Path) -> None:
    lines = re.sub(r"unicode \S+", "unicode 99.0.0", small.read_text()).rpartition("sha256")[0]
    small.write_bytes(resealed(lines))
    with pytest.warns(UserWarning, match=r"saved\.model was made with Unicode 99\.0\.0, and this minbpe splits"):
        loaded = load_model(small)
    assert loaded.merges == SMALL.merges


# Writing.


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_save_that_is_stopped_leaves_the_old_file_and_no_other(
    stop: BaseException, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in small.parent.iterdir()}

    def fsync(descriptor: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(type(stop)):
        save(Vocabulary.from_merges(()), small.with_suffix(""))
    assert {path.name: path.read_bytes() for path in small.parent.iterdir()} == before


def test_a_save_into_no_folder_is_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RegexTokenizer().save(tmp_path / "none" / "saved")


def test_save_takes_a_prefix_with_dots_as_it_is(tmp_path: Path) -> None:
    RegexTokenizer().save(str(tmp_path / "v1.5"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1.5.model", "v1.5.vocab"]


# Upstream's files: tests/golden/minbpe_v1 holds what upstream's save() wrote after training on corpus.txt.

UPSTREAM = {"wikipedia": BasicTokenizer, "regex": RegexTokenizer, "special": RegexTokenizer, "spaces": RegexTokenizer}


@pytest.mark.parametrize(("name", "make"), UPSTREAM.items())
def test_upstreams_files_are_read(name: str, make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    tokenizer.load(GOLDEN / f"{name}.model")
    text = "aaabdaaabac" if name == "wikipedia" else CORPUS
    assert tokenizer.encoding.encode_ordinary(text) == json.loads((GOLDEN / "ids.json").read_text())[name]
    assert tokenizer.decode(tokenizer.encoding.encode_ordinary(text)) == text


@pytest.mark.parametrize(("name", "make"), UPSTREAM.items())
def test_training_anew_gives_what_upstreams_files_hold(name: str, make: Callable[[], Tokenizer]) -> None:
    loaded = make()
    loaded.load(GOLDEN / f"{name}.model")
    trained = RegexTokenizer(loaded.pattern)
    trained.train("aaabdaaabac" if name == "wikipedia" else CORPUS, 256 + len(loaded.merges))
    trained.register_special_tokens(loaded.special_tokens)
    assert trained.vocabulary == loaded.vocabulary


@pytest.mark.parametrize(("name", "make"), UPSTREAM.items())
def test_the_vocab_file_is_upstreams(name: str, make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    tokenizer = make()
    tokenizer.load(GOLDEN / f"{name}.model")
    tokenizer.save(tmp_path / name)
    assert (tmp_path / f"{name}.vocab").read_bytes() == (GOLDEN / f"{name}.vocab").read_bytes()


def test_upstreams_pattern_and_special_tokens_keep_their_spaces() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.load(GOLDEN / "spaces.model")
    assert tokenizer.pattern == r"\p{L}+|[^\p{L} ]+| "
    assert tokenizer.special_tokens == {"<|end of text|>": 264, " 1": 300, "雪 ": 301}


def test_upstreams_files_from_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "windows.model").write_bytes((GOLDEN / "spaces.model").read_bytes().replace(b"\n", b"\r\n"))
    assert load_model(tmp_path / "windows.model") == load_model(GOLDEN / "spaces.model")


DAMAGED_UPSTREAM = {
    "minbpe v1\n": r"line 2: expected the split pattern, found the end of the file",
    "minbpe v1\n\n": r"line 3: expected '<how many>'",
    "minbpe v1\na\nb\n0\n": r"line 3: expected '<how many>', found 'b'",
    "minbpe v1\n\n9999999999\n": r"line 3: expected 9,999,999,999 lines of special tokens after this one, found 0",
    "minbpe v1\n\n1\n<a>\n": r"line 4: expected a special token",
    "minbpe v1\n\n2\na 300\na 301\n": r"line 5: expected a token that is not there yet, found 'a'",
    "minbpe v1\n\n0\n97 97 256\n": r"line 4: expected a merge: '<left> <right>', found '97 97 256'",
    "minbpe v1\n\n0\n97 97\n256 9": r"line 5: expected a merge: .*, found '256 9' and the end of the file",
    "minbpe v1\n\n0\n97 97\n\n": r"line 5: expected a merge",
    "minbpe v1\n\n0\n97 257\n": r"make no vocabulary.*257",
    "minbpe v1\n\n0\n97 97\n97 97\n": r"make no vocabulary",
    "minbpe v1\n\n1\n<a> 256\n97 97\n": r"make no vocabulary",
}


@pytest.mark.parametrize(("lines", "message"), DAMAGED_UPSTREAM.items(), ids=map(repr, DAMAGED_UPSTREAM))
def test_what_is_wrong_with_an_upstream_file_is_named_with_its_line(lines: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "damaged.model").write_text(lines, newline="\n")
    with pytest.raises(FormatError, match=message):
        load_model(tmp_path / "damaged.model")


def test_a_prefix_that_has_the_ending_gets_it_once_but_from_upstreams_classes(tmp_path: Path) -> None:
    vocabulary = VOCABULARIES["merges"]
    for prefix in (tmp_path / "m.model", str(tmp_path / "m.model"), tmp_path / "m"):
        vocabulary.save(prefix)
        assert {path.name for path in tmp_path.iterdir()} == {"m.model", "m.vocab"}
    assert Vocabulary.load(tmp_path / "m.model") == vocabulary
    BasicTokenizer().save(tmp_path / "m.model")
    assert (tmp_path / "m.model.model").exists()
