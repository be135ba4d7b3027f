"""Counting: what a corpus may be, and that its counts do not depend on how they are made."""

import copy
import os
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import corpus, count_to_file, extend, train
from minbpe.counting import PieceCounts, Progress, count
from minbpe.errors import CorpusError, MinbpeError
from minbpe.patterns import resolve
from minbpe.regex import RegexTokenizer
from minbpe.vocabulary import Vocabulary

PATTERNS = [None, "gpt2", "gpt4", "cl100k", "o200k", "[a-z]+"]


def prose(characters: int) -> str:
    """Text with words of many lengths and scripts, the same each time."""
    chosen = random.Random(characters)
    words = ["the", "it's", "naïve", "東京都", "12345", "\n\n  ", "...", "antidisestablishmentarianism", "\r\n", "🙂"]
    text = ""
    while len(text) < characters:
        text += " " + chosen.choice(words) + "".join(chosen.choices("abcd", k=chosen.randint(0, 3)))
    return text


@given(st.lists(st.text() | st.text("ab \n'1"), max_size=6), st.sampled_from(PATTERNS), st.integers(1, 3))
def test_counts_are_those_of_the_pieces_in_first_seen_order(
    documents: list[str], pattern: str | None, threads: int
) -> None:
    counts = count(documents, pattern=pattern, threads=threads)
    splitter = Vocabulary.from_merges((), pattern=resolve(pattern))
    expected = Counter(piece.encode() for document in documents for piece in splitter.split(document))
    assert list(counts.items()) == list(expected.items())
    assert counts.total == expected.total()
    assert len(counts) == len(expected)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_counts_do_not_depend_on_threads(pattern: str | None) -> None:
    documents = [prose(40_000), prose(1000), "", prose(60_000)]
    alone = count(documents, pattern=pattern, threads=1)
    assert all(count(documents, pattern=pattern, threads=threads) == alone for threads in (None, 2, 3, 100_000))


def test_counts_do_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [prose(1000 + number) for number in range(40)]
    at_once = count(documents)
    monkeypatch.setattr(corpus, "BATCH_BYTES", 5000)
    assert count(documents) == at_once
    monkeypatch.setattr(corpus, "BATCH_DOCUMENTS", 1)
    assert count(iter(documents)) == at_once


def test_an_iterator_is_read_no_further_than_a_batch_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "BATCH_DOCUMENTS", 4)
    taken: list[int] = []
    texts = (f"text {number}" for number in range(100) if taken.append(number) is None)
    batches = corpus.batches(texts)
    assert next(batches) == (["text 0", "text 1", "text 2", "text 3"], False)
    assert len(taken) <= 5


def test_text_its_bytes_and_its_file_have_the_same_counts(tmp_path: Path) -> None:
    text = "\ufeffone\r\ntwo  " + prose(100_000) + "\x1a"
    path = tmp_path / "corpus.txt"
    path.write_bytes(text.encode())
    expected = count(text)
    assert [piece.decode() for piece, _ in expected.items()][:3] == ["\ufeffone", "\r\n", "two"]
    for same in (text.encode(), path, [text], [text.encode()], [path], iter([path]), (text for _ in range(1))):
        assert count(same) == expected


def test_a_str_is_text_and_never_a_path(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("something else")
    with pytest.warns(UserWarning, match="is the name of a file"):
        assert list(count(str(path), pattern=None).items()) == [(str(path).encode(), 1)]


def test_each_file_is_a_document(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b", "a", "empty")]
    for path, text in zip(paths, ["one two", "two three", ""], strict=True):
        path.write_text(text)
    assert count(paths) == count(["one two", "two three", ""])


def test_bytes_that_are_no_utf8_are_pieces_of_their_own() -> None:
    assert list(count(b"ab\xff\xfecd\xc3").items()) == [(b"ab", 1), (b"\xff\xfe", 1), (b"cd", 1), (b"\xc3", 1)]


def test_surrogates_are_joined_or_become_replacement_characters() -> None:
    text = "a\ud83d\ude42b\ud83dc"
    assert count(text, pattern=None) == count("a🙂b\ufffdc", pattern=None)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        count([tmp_path / "missing.txt"])
    path.symlink_to(path)
    with pytest.raises(OSError, match=r"missing\.txt"):
        count(path)


def test_a_directory_is_an_error_that_says_to_give_its_files(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="give its files"):
        count(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.touch(0)
    with pytest.raises(PermissionError, match=r"secret\.txt"):
        count(path)


@pytest.mark.parametrize("wrong", [None, 3, 1.5, count])
def test_what_is_no_corpus_is_a_type_error_that_says_what_it_is(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"this is of type {type(wrong).__name__}"):
        count(wrong)


@pytest.mark.parametrize("wrong", [None, 3, ["nested"], bytearray(b"bytes")])
def test_a_document_of_the_wrong_type_is_named_by_its_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"document 2 of the corpus is of type {type(wrong).__name__}"):
        count(["one", b"two", wrong])


def test_an_error_of_the_iterator_is_passed_on() -> None:
    def texts() -> Iterator[str]:
        yield "one"
        raise ConnectionError("the source went away")

    with pytest.raises(ConnectionError, match="went away"):
        count(texts())


items = st.lists(st.tuples(st.binary(min_size=1, max_size=20) | st.text("aé", min_size=1), st.integers(0, 2**40)))


@given(items)
def test_items_add_up_and_those_counted_0_are_left_out(items: list[tuple[bytes | str, int]]) -> None:
    expected: Counter[bytes] = Counter()
    for piece, times in items:
        if times:
            expected[piece.encode() if isinstance(piece, str) else piece] += times
    assert list(PieceCounts.from_items(items).items()) == list(expected.items())


@given(st.tuples(items, items, items))
def test_merging_is_commutative_and_associative(parts: tuple[list[tuple[bytes | str, int]], ...]) -> None:
    a, b, c = map(PieceCounts.from_items, parts)
    assert a + b == b + a == a.merge(b)
    assert (a + b) + c == a + (b + c) == a.merge(b, c)
    assert (a + b).total == a.total + b.total
    assert a + PieceCounts.from_items([]) == a == a.merge()


@given(st.lists(st.text("ab ", max_size=9), max_size=4), st.lists(st.text("ab ", max_size=9), max_size=4))
def test_counts_of_parts_add_up_to_the_counts_of_the_whole(left: list[str], right: list[str]) -> None:
    whole = count(left + right)
    assert count(left) + count(right).shift_sources(len(left)) == whole
    assert count(right).shift_sources(len(left)) + count(left) == whole


@given(items)
def test_counts_are_pickled_copied_and_compared_by_value(items: list[tuple[bytes | str, int]]) -> None:
    counts = PieceCounts.from_items(items)
    for same in (
        pickle.loads(pickle.dumps(counts)),
        copy.copy(counts),
        copy.deepcopy(counts),
        PieceCounts.from_items(items),
    ):
        assert same == counts
        assert hash(same) == hash(counts)
        assert list(same.items()) == list(counts.items())
    assert counts != PieceCounts.from_items([*items, (b"one more", 1)])
    assert counts != list(counts.items())


def test_counts_never_change() -> None:
    counts = count("one two")
    with pytest.raises(AttributeError, match="never change"):
        counts.total = 3  # type: ignore[misc]
    with pytest.raises(AttributeError, match="never change"):
        del counts._counts
    with pytest.raises(TypeError, match=r"minbpe\.count"):
        PieceCounts()
    assert repr(counts) == "<PieceCounts of 2 pieces, 2 of them distinct>"


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([(b"", 1)], CorpusError, "an empty piece"),
        ([(b"a", -1)], CorpusError, r"the count of b'a' is -1: counts are whole numbers from 0 to 2\^63 - 1"),
        ([(b"a", 2**63)], CorpusError, r"2\^63"),
        ([(b"a", 2**64)], CorpusError, r"2\^63"),
        ([(b"a", 2**62), (b"a", 2**62)], CorpusError, r"2\^63"),
        ([(b"a", 2**62), (b"b", 2**62)], CorpusError, r"2\^63"),
        ([(b"a", 1.5)], TypeError, "the count of b'a' must be an int, not 1.5"),
        ([(7, 1)], TypeError, "a piece is bytes or str, not 7"),
        ([b"a"], TypeError, "each item is a piece and its count, not b'a'"),
        (3, TypeError, "not iterable"),
    ],
)
def test_items_that_are_no_counts_are_an_error(items: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PieceCounts.from_items(items)


def test_merged_counts_past_2_to_the_63_are_an_error() -> None:
    half = PieceCounts.from_items([(b"a", 2**62)])
    with pytest.raises(CorpusError, match=r"2\^63"):
        half + half


def test_what_is_no_counts_or_no_number_is_an_error_that_says_so() -> None:
    counts = count("some text")
    for wrong in (7, "some text", None):
        for add_up in (counts.merge, lambda other: PieceCounts.concatenate([counts, other])):
            with pytest.raises(TypeError, match=r"takes PieceCounts, .* count\(corpus\) or PieceCounts\.load"):
                add_up(wrong)
    for by in (-1, 2**64):
        with pytest.raises(CorpusError, match=r"give a number from 0 to 2\^64 - 1"):
            counts.shift_sources(by)
    with pytest.raises(TypeError, match="by is an int"):
        counts.shift_sources(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="min_count is an int"):
        counts.at_least(2.5)  # type: ignore[arg-type]


def test_progress_knows_the_total_once_the_corpus_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    text = prose(1_000_000)
    pieces = count(text, threads=1, progress=told.append).total
    size = len(text.encode())
    assert told[-1] == Progress("count", size, size, pieces)
    assert {progress.total for progress in told} == {size}
    monkeypatch.setattr(corpus, "BATCH_DOCUMENTS", 1)
    told.clear()
    count([text, text], threads=1, progress=told.append)
    assert told[-1] == Progress("count", 2 * size, 2 * size, 2 * pieces)
    assert {progress.total for progress in told} <= {None, 2 * size}


SLOW = r"(?<=a)b|[a-z]+|\s"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pattern", ["gpt4", ["gpt4", "[a-z]"], SLOW])
@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
def test_progress_tells_the_pieces_counted_so_far(threads: int, pattern: str | list[str]) -> None:
    told: list[Progress] = []
    texts = [prose(3_000_000), "", prose(100)]
    counts = count(texts, pattern=pattern, threads=threads, progress=told.append)
    counted = [progress for progress in told if progress.stage == "count"]
    pieces = [progress.pieces for progress in counted]
    assert pieces == sorted(pieces)
    assert pieces[-1] == counts.total
    assert {progress.pieces for progress in told if progress.stage != "count"} <= {0}
    between = [progress for progress in counted if 0 < progress.done < counted[-1].done]
    assert between or pattern != SLOW
    assert all(0 < progress.pieces < counts.total for progress in between)


def test_what_progress_raises_ends_the_counting() -> None:
    def stop(progress: Progress) -> None:
        raise InterruptedError(f"at {progress.done} of {progress.total}")

    with pytest.raises(InterruptedError, match=r"at \d+ of \d+"):
        count(prose(1_000_000), progress=stop)


def test_a_text_that_is_the_name_of_a_file_is_counted_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text("what is in it")
    calls: list[Callable[[Any], object]] = [
        count,
        partial(count_to_file, path=tmp_path / "out"),
        partial(train, vocab_size=258),
        partial(extend, Vocabulary.from_merges(()), tokens=1),
        partial(RegexTokenizer().train, vocab_size=257),
    ]
    for call in calls:
        for named in ("corpus.txt", str(tmp_path / "corpus.txt"), ["corpus.txt", "another"]):
            with pytest.warns(
                UserWarning, match=r"corpus\.txt' is the name of a file: write Path\('.*'\) to read it"
            ) as told:
                call(named)
            assert [warning.filename for warning in told] == [__file__]


@pytest.mark.parametrize(
    "text", ["corpus", "", ".", "corpus.txt\n", "a\0b", "\ud800", "x" * 300, "x" * 5000, "/" * 900]
)
def test_other_text_is_counted_without_a_word(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").touch()
    assert count(text).documents == 1
    assert count([Path("corpus.txt"), "corpus.txt"]).documents == 2
    assert count(b"corpus.txt").documents == 1


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_min_count_below_1_is_refused_before_the_corpus_is_read(wrong: int, tmp_path: Path) -> None:
    calls: list[Callable[..., object]] = [
        partial(count_to_file, path=tmp_path / "out"),
        partial(train, vocab_size=258),
        partial(train, vocab_size=258, stages=[("gpt4", 257), (None, 258)]),
        partial(extend, Vocabulary.from_merges(()), tokens=1),
    ]
    for call in calls:
        with pytest.raises(MinbpeError, match=f"min_count is {wrong}: it must be 1 or more"):
            call(Path("no such file"), min_count=wrong)


def test_an_amount_of_memory_that_is_no_int_is_an_error_that_says_so() -> None:
    with pytest.raises(
        TypeError, match=r"max_memory is an int, of bytes, and this is of type str: 4 GB are 4 \* 10\*\*9"
    ):
        count("text", max_memory="4G")  # type: ignore[arg-type]
