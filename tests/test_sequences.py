"""Patterns in sequence: each splits the pieces of the one before, wherever a pattern is accepted or stored."""

import json
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding, PieceCounts, RegexTokenizer, Vocabulary, count, extend, learn, train
from minbpe.errors import CorpusError, FormatError, PatternError, PatternWarning, VocabularyError
from minbpe.patterns import NAMED, resolve, shown
from minbpe.training import VocabularyWarning
from tests import reference
from tests.test_cli import error, output
from tests.test_counting import prose

PATTERNS = [r"\d{1,3}", "gpt2", r"[a-z]+", r"[^\n]+|\n+", r" ?\w+|\s+$", r"(?s:.)", r"\w(?=\w)"]
TWO = (r"[0-9]{1,2}", r" ?[a-z]+|[^a-z]")

sequences = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)
texts = st.text("ab's 12\n", max_size=40) | st.text(max_size=20)


def composed(patterns: list[str], text: str) -> list[str]:
    """The definition: split the pieces by one pattern after the other."""
    pieces = [text] if text else []
    for pattern in patterns:
        alone = Vocabulary.from_merges((), pattern=resolve(pattern))
        pieces = [finer for piece in pieces for finer in alone.split(piece)]
    return pieces


@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
@given(sequences, texts)
def test_a_sequence_is_its_splits_one_inside_the_other(patterns: list[str], text: str) -> None:
    pieces = composed(patterns, text)
    assert Vocabulary.from_merges((), pattern=resolve(patterns)).split(text) == pieces
    assert RegexTokenizer(patterns).compiled_pattern.findall(text) == pieces
    assert [piece for piece, times in count(text, pattern=patterns).items() for _ in range(times)] == [
        piece for piece in dict.fromkeys(each.encode() for each in pieces) for _ in range(pieces.count(piece.decode()))
    ]


@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
@given(sequences, st.lists(texts, max_size=4), texts, st.integers(0, 12))
def test_merges_and_ids_equal_the_reference_inside_these_pieces(
    patterns: list[str], documents: list[str], other: str, merges: int
) -> None:
    pieces = [piece.encode() for document in documents for piece in composed(patterns, document)]
    expected = [pair for pair, _ in reference.train(pieces, merges, "first")]
    vocabulary = train(documents, 256 + len(expected), pattern=patterns)
    assert vocabulary.merges == tuple(expected)
    whole = Encoding.from_vocabulary(Vocabulary.from_merges(vocabulary.merges))
    ids = [token_id for piece in composed(patterns, other) for token_id in whole.encode_ordinary(piece)]
    assert Encoding.from_vocabulary(vocabulary).encode_ordinary(other) == ids


def test_the_digest_knows_the_sequence_and_is_that_of_the_pattern_where_there_is_one() -> None:
    distinct = [None, "a", "b", "ab", ("a", "b"), ("b", "a"), ("a", "b", "c"), ("a", "bc"), ("a", ""), ("", "a")]
    assert len({Vocabulary.from_merges((), pattern=pattern).digest for pattern in distinct}) == len(distinct)
    for same in (["a"], ("a",)):
        assert Vocabulary.from_merges((), pattern=same) == Vocabulary.from_merges((), pattern="a")
        assert Vocabulary.from_merges((), pattern=same).pattern == "a"
    assert Vocabulary.from_merges((), pattern=[]).pattern is None
    old = Vocabulary.from_merges([(97, 98)], pattern=minbpe.GPT4_SPLIT_PATTERN).digest
    assert old == "577fbd6a71bb4fbf597aeaef7cba58ba5898147f5f4236914f605fabfc0080d1"


def test_files_and_pickles_restore_it(tmp_path: Path) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256}
    for vocabulary in (
        train(prose(500), 300, pattern=TWO),
        Vocabulary.from_ranks(ranks, pattern=list(TWO)),
        train(prose(500), 300, stages=[(TWO, 280), (None, 300)]),
    ):
        vocabulary.save(tmp_path / "saved")
        for again in (Vocabulary.load(tmp_path / "saved.model"), pickle.loads(pickle.dumps(vocabulary))):
            assert again == vocabulary
            assert (again.stages, again.pattern) == (vocabulary.stages, vocabulary.pattern)
    tokenizer = RegexTokenizer(TWO)
    tokenizer.train(prose(500), 300)
    tokenizer.save(tmp_path / "saved")
    again = RegexTokenizer()
    again.load(tmp_path / "saved.model")
    assert again.pattern == again.compiled_pattern.pattern == TWO
    assert again.encode("go 1234") == tokenizer.encode("go 1234")


@pytest.mark.parametrize("damaged", [b'["a", 1, "b"]', b'["a"] ["b"]', b'["\\ud800"]', b'["a", [["b"]], "c"]'])
def test_a_model_file_whose_list_is_none_of_strings_names_the_line(damaged: bytes, tmp_path: Path) -> None:
    Vocabulary.from_merges((), pattern=TWO).save(tmp_path / "saved")
    file = tmp_path / "saved.model"
    lines = file.read_bytes().splitlines(keepends=True)
    assert lines[3] == b"0 " + json.dumps(TWO).encode() + b"\n"
    body = b"".join([*lines[:3], b"0 " + damaged + b"\n", *lines[4:-1]])
    file.write_bytes(body + f"sha256 {sha256(body).hexdigest()}\n".encode())
    with pytest.raises(FormatError, match="line 4: expected a JSON list of strings"):
        Vocabulary.load(file)


def test_counts_know_their_sequence(tmp_path: Path) -> None:
    counts = count("go on 1234", pattern=TWO)
    counts.save(tmp_path / "kept")
    loaded = PieceCounts.load(tmp_path / "kept")
    assert loaded == counts == pickle.loads(pickle.dumps(counts))
    assert loaded.pattern == TWO
    assert train(loaded, 258).pattern == TWO
    message = r"made with the pattern \['\[0-9\]\{1,2\}', .*\], and 'gpt2' is asked for"
    with pytest.raises(CorpusError, match=message):
        train(loaded, 258, pattern="gpt2")
    with pytest.raises(CorpusError, match="do not add up"):
        loaded.merge(count("go on", pattern=TWO[0]))
    data = (tmp_path / "kept").read_bytes()
    magic, head, _, body = data.split(b"\n", 3)
    head = head.replace(json.dumps(TWO).encode(), b'["a", 1]')
    checksum = sha256(magic + b"\n" + head + b"\n" + body).hexdigest()
    (tmp_path / "kept").write_bytes(b"\n".join([magic, head, f"sha256 {checksum}".encode(), body]))
    with pytest.raises(FormatError, match="its second line names no pattern"):
        PieceCounts.load(tmp_path / "kept")


def test_extending_and_going_on_from_a_checkpoint_keep_it(tmp_path: Path) -> None:
    large = train(prose(500), 320, pattern=TWO)
    assert extend(train(prose(500), 300, pattern=TWO), prose(500), 20) == large
    checkpoint = minbpe.Checkpoint(tmp_path / "kept", every=0)
    train(prose(500), 300, pattern=TWO, checkpoint=checkpoint)
    assert train(prose(500), 320, pattern=list(TWO), checkpoint=checkpoint) == large
    with pytest.raises(CorpusError, match=r"pattern=\['\[0-9\].*, and pattern='gpt4' is asked for"):
        train(prose(500), 320, checkpoint=checkpoint)


def test_deepseek_has_a_name_and_names_may_stand_in_a_list() -> None:
    vocabulary = Vocabulary.from_merges((), pattern=resolve("deepseek"))
    assert (vocabulary.engine, vocabulary.refusal) == ("compiled", None)
    text = "In 12345年、東京 is_big!\n\n  ok"
    assert vocabulary.split(text) == ["In", " ", "123", "45", "年", "、", "東京", " is", "_big", "!\n\n", " ", " ok"]
    assert resolve([r"\d", "deepseek"]) == (r"\d", *NAMED["deepseek"])
    assert (shown(resolve("deepseek")), shown(("a", minbpe.GPT2_SPLIT_PATTERN))) == ("'deepseek'", "['a', 'gpt2']")
    with pytest.raises(PatternError, match=r"no split pattern is named 'gpt5': the names are gpt2, .*, deepseek;"):
        resolve(["a", "gpt5"])
    with pytest.raises(TypeError, match="a str, a list of str, or None, not int"):
        resolve(["a", 1])
    with pytest.raises(PatternError):
        Vocabulary.from_merges((), pattern=["a", "(b"])


def test_a_refused_pattern_of_a_sequence_is_warned_of() -> None:
    with pytest.warns(PatternWarning, match=r"', '\(\?<=a\)bc'\] is run by backtracking, .*: it looks behind"):
        tokenizer = RegexTokenizer([r"\d", "(?<=a)bc"])
    assert tokenizer.vocabulary.engine == "backtracking"


def test_tiktoken_which_has_one_pattern_does_not_get_it() -> None:
    encoding = Encoding.from_vocabulary(Vocabulary.from_merges([(97, 98)], pattern=TWO), name="two")
    assert pickle.loads(pickle.dumps(encoding)).encode("ab12") == [256, 49, 50]
    pytest.importorskip("tiktoken", reason="tiktoken is not installed")
    with pytest.raises(VocabularyError, match="splits by one pattern, and this vocabulary by 2 in sequence"):
        encoding.to_tiktoken()


def test_the_command_line_takes_a_pattern_several_times(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text, tok = tmp_path / "text.txt", tmp_path / "tok"
    text.write_text(prose(500))
    each = ["--pattern", TWO[0], "--pattern", TWO[1]]
    facts = json.loads(output(capfd, "train", text, "--size", "300", "--out", tok, *each, "--json"))
    assert facts["digest"] == train(text, 300, pattern=TWO, special_tokens=["<|endoftext|>"]).digest
    output(capfd, "count", text, "--out", tmp_path / "kept", *each)
    facts = json.loads(output(capfd, "inspect", tmp_path / "kept", "--json"))
    assert facts["pattern"] == list(TWO)
    assert json.loads(output(capfd, "inspect", f"{tok}.model", "--json"))["pattern"] == list(TWO)
    assert "  then  ".join(TWO) in output(capfd, "inspect", f"{tok}.model")
    for _ in range(2):  # the second run finds what the first has written
        output(capfd, "shard", text, "--tokenizer", f"{tok}.model", "--out", tmp_path / "shards")
    assert json.loads((tmp_path / "shards" / "manifest.json").read_bytes())["pattern"] == list(TWO)
    assert "none takes each document as one piece, and goes with no other" in error(
        capfd, 1, "train", text, "--out", tok, *each, "--pattern", "none"
    )


def test_stages_take_sequences() -> None:
    with pytest.warns(VocabularyWarning):
        training = learn("go on 12 12 go on", 300, stages=[(TWO, 270), ([r"[^\n]+"], 300)])
    assert [pattern for _, pattern in training.vocabulary.stages] == [TWO, r"[^\n]+"]
    encoding = Encoding.from_vocabulary(training.vocabulary)
    assert encoding.count("go on 12 12 go on") == training.token_counts[-1]


@pytest.mark.parametrize("options", [{"pattern": TWO}, {"stages": [("gpt4", 300), (r"[^\n]*\n+|[^\n]+", 320)]}])
def test_a_long_text_on_several_threads_has_the_same_ids(options: dict[str, Any]) -> None:
    text = f"{prose(2000)} 1234 on\n" * 1500
    encoding = Encoding.from_vocabulary(train(prose(2000), 320, **options))
    ids = encoding.encode(text)
    assert encoding.decode(ids) == text
    for threads in (1, 3):
        assert encoding.encode_batch_flat([text], num_threads=threads)[0].tolist() == ids
