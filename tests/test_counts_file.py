"""Files of piece counts: they hold the whole value, and show if any of their bytes was changed."""

import json
import random
import re
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import _core
from minbpe.ceiling import LEAST_MEMORY, Ceiling
from minbpe.counting import PieceCounts, count
from minbpe.errors import CorpusError, FormatError, PatternError
from minbpe.formats import counts as counts_format
from minbpe.formats.counts import MAGIC, CountsFile, is_counts
from minbpe.gathering import Progress
from minbpe.patterns import GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN
from minbpe.source import SavedCounts
from minbpe.training import train
from tests.test_counting import items, prose

documents = st.lists(st.text() | st.text("ab \n'1"), max_size=6)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.counts"
    count(["a rose is a rose", "", b"\xff\xfe"]).save(path)
    return path


@pytest.mark.parametrize("pattern", [None, "gpt2", "[a-z]+"])
def test_counts_are_saved_and_loaded(tmp_path: Path, pattern: str | None) -> None:
    counts = count([prose(5000), "", b"\xff\xfe", prose(200)], pattern=pattern)
    counts.save(tmp_path / "corpus.counts")
    loaded = PieceCounts.load(tmp_path / "corpus.counts")
    assert loaded == counts
    assert loaded.pattern == counts.pattern
    assert (loaded.total, loaded.documents, loaded.corpus_bytes) == (counts.total, 4, counts.corpus_bytes)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.counts"]


def test_counts_whose_pattern_is_not_known_or_that_are_empty_are_saved_and_loaded(tmp_path: Path) -> None:
    for counts in (PieceCounts.from_items([("a", 2**62), (b"\xff", 3)]), PieceCounts.from_items([]), count([])):
        counts.save(tmp_path / "corpus.counts")
        assert PieceCounts.load(tmp_path / "corpus.counts") == counts


@given(documents, documents)
def test_concatenated_counts_are_those_of_counting_one_after_the_other(first: list[str], second: list[str]) -> None:
    whole = count(first + second)
    assert PieceCounts.concatenate([count(first), count(second)]) == whole
    assert PieceCounts.concatenate([whole]) == whole
    assert whole.corpus_bytes == sum(len(text.encode("utf-8", "replace")) for text in first + second)


def test_concatenating_takes_the_order_of_the_arguments() -> None:
    a, b = count("ab ab", pattern="[a-z]+"), count("cd cd", pattern="[a-z]+")
    assert train(PieceCounts.concatenate([b, a]), 257).merges == ((99, 100),)
    assert train(PieceCounts.concatenate([a, b]), 257).merges == ((97, 98),)


def test_counts_know_the_pattern_that_made_them() -> None:
    assert count("text").pattern == GPT4_SPLIT_PATTERN
    assert count("text", pattern=None).pattern is None
    assert PieceCounts.from_items([]).pattern is ...
    assert PieceCounts.from_items([], pattern="gpt2").pattern == GPT2_SPLIT_PATTERN
    assert count("text", pattern="gpt2").shift_sources(3).at_least(2).pattern == GPT2_SPLIT_PATTERN
    with pytest.raises(PatternError, match="no split pattern is named"):
        PieceCounts.from_items([], pattern="gtp2")
    assert count("text", pattern=None) != count("text", pattern="[a-z]+")


def test_counts_of_different_patterns_do_not_add_up() -> None:
    a, b, unknown = count("a", pattern="gpt2"), count("b", pattern=None), PieceCounts.from_items([("c", 1)])
    for add in (lambda: a + b, lambda: a.merge(unknown, b), lambda: PieceCounts.concatenate([b, unknown, a])):
        with pytest.raises(CorpusError, match=r"do not add up, ('gpt2' and None|None and 'gpt2')"):
            add()
    assert (a + unknown).pattern == (unknown + a).pattern == GPT2_SPLIT_PATTERN


def test_training_takes_the_pattern_of_the_counts() -> None:
    counts = count("low low lower", pattern="gpt2")
    assert train(counts, 258).pattern == GPT2_SPLIT_PATTERN
    assert train(counts, 258) == train(counts, 258, pattern="gpt2") == train("low low lower", 258, pattern="gpt2")
    assert train(count("abab", pattern=None), 257).pattern is None
    unknown = PieceCounts.from_items(counts.items())
    assert train(unknown, 258).pattern == GPT4_SPLIT_PATTERN
    assert train(unknown, 258, pattern="gpt2") == train(counts, 258)
    for other in ("gpt4", None):
        with pytest.raises(
            CorpusError, match=r"made with the pattern 'gpt2'.* train on the counts without naming a pattern"
        ):
            train(counts, 258, pattern=other)


def test_a_file_begins_with_lines_that_people_read(file: Path) -> None:
    magic, head, checksum = file.read_bytes().split(b"\n")[:3]
    assert magic == b"minbpe counts v1"
    assert json.loads(head) == {
        "pattern": GPT4_SPLIT_PATTERN,
        "unicode": _core.UNICODE_VERSION,
        "documents": 3,
        "pieces": 6,
        "distinct": 5,
        "bytes": 18,
    }
    assert checksum.startswith(b"sha256 ")


def test_every_changed_byte_is_found(file: Path) -> None:
    sound = file.read_bytes()
    for place in range(len(sound)):
        changed = bytearray(sound)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        with pytest.raises(FormatError, match=r"corpus\.counts"):
            PieceCounts.load(file)


def test_every_cut_and_what_follows_the_end_is_found(file: Path) -> None:
    sound = file.read_bytes()
    for data in [*(sound[:length] for length in range(len(sound))), sound + b"\0", sound + sound]:
        file.write_bytes(data)
        with pytest.raises(FormatError, match=r"corpus\.counts"):
            PieceCounts.load(file)


def test_what_is_left_of_a_file_that_was_cut_in_its_first_line_is_told_from_text(file: Path, tmp_path: Path) -> None:
    sound, unnamed = file.read_bytes(), tmp_path / "text"
    for length in (0, 1, 6, 7, 15, 16):
        file.write_bytes(sound[:length])
        unnamed.write_bytes(sound[:length])
        with pytest.raises(FormatError, match=r"is cut in its first line" if length else "is empty"):
            PieceCounts.load(file)
        assert is_counts(file)
        assert is_counts(unnamed) == (length >= len(b"minbpe "))
    for text in (b"m", b"minbpe", b"minbpe counts words", b"a minbpe counts v1"):
        unnamed.write_bytes(text)
        assert not is_counts(unnamed)


def write(path: Path, facts: Any, body: bytes) -> None:
    """Write a file with a correct checksum, whatever its content."""
    head = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    path.write_bytes(
        MAGIC + head + b"\n" + counts_format._checksum(sha256(MAGIC + head + b"\n" + body).hexdigest()) + body
    )


FACTS = {"pattern": None, "unicode": _core.UNICODE_VERSION, "documents": 1, "pieces": 1, "distinct": 1, "bytes": 1}
BODY = b"\1\1\1\1\0\0a"


@pytest.mark.parametrize(
    ("facts", "body"),
    [
        (FACTS, b""),
        (FACTS, BODY + BODY),
        (FACTS, b"\xff" * 9 + b"\1" + b"\xff" * 9 + b"\1" + BODY),
        (FACTS | {"pieces": 2}, BODY),
        (FACTS | {"documents": 10**30}, BODY),
        (FACTS | {"more": 1}, BODY),
        (FACTS | {"pattern": 7}, BODY),
        ([], BODY),
        (7, BODY),
        (b"{", BODY),
        (b"[" * 100_000, BODY),
        (b"\xff", BODY),
    ],
)
def test_a_file_made_to_deceive_is_an_error(file: Path, facts: Any, body: bytes) -> None:
    write(file, FACTS, BODY)
    assert PieceCounts.load(file) == count("a", pattern=None)
    write(file, facts, body)
    with pytest.raises(FormatError, match=r"corpus\.counts is damaged"):
        PieceCounts.load(file)


def test_checking_and_loading_tell_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_format, "TOLD", 1)
    files = [tmp_path / name for name in "ab"]
    for number, file in enumerate(files):
        PieceCounts.from_items((f"{number} {piece:09}", 1) for piece in range(200_000)).save(file)
    sizes = [file.stat().st_size for file in files]
    bodies = [CountsFile(file).size for file in files]
    told: list[Progress] = []
    whole = SavedCounts(files, told.append)
    counted = whole.gather(1, Ceiling(), told.append)[0].counts(None)
    assert counted == PieceCounts.concatenate(map(PieceCounts.load, files))._counts
    for stage, total in (("check", sum(sizes)), ("load", sum(bodies))):
        done = [progress.done for progress in told if progress.stage == stage]
        assert done == sorted(done)
        assert done[-1] == total
        assert {progress.total for progress in told if progress.stage == stage} == {total}
    checked = [progress.done for progress in told if progress.stage == "check"]
    assert len(checked) > 4
    assert any(0 < place < sizes[0] for place in checked)
    assert any(sizes[0] < place < sum(sizes) for place in checked)
    for stage in ("check", "load"):

        def stop(progress: Progress, stage: str = stage) -> None:
            if progress.stage == stage:
                raise InterruptedError(stage)

        with pytest.raises(InterruptedError, match=stage):
            PieceCounts.load(files[0], progress=stop)


def test_counts_in_several_files_that_add_up_past_2_63_are_an_error_that_names_them_and_no_damage(
    tmp_path: Path,
) -> None:
    files = [tmp_path / f"{number}.counts" for number in range(5)]
    for number, file in enumerate(files):
        PieceCounts.from_items([("the", 2**62 if number < 2 else 1), (str(number), 2**60)]).save(file)
    three = f"{files[0]}, {files[1]}, {files[2]}"
    for ceiling in (Ceiling(), Ceiling(LEAST_MEMORY)):
        for some, message in [
            (
                files[:2],
                f'in {files[0]}, {files[1]}, the counts of the piece "the" add up past 2^63: divide all counts',
            ),
            (files, f'in {three} and 2 more, the counts of the piece "the" add up past 2^63'),
            ([files[0], *[files[2]] * 4], "the counts add up past 2^63"),
        ]:
            with pytest.raises(CorpusError, match=re.escape(message)) as raised:
                SavedCounts(some).gather(1, ceiling)
            assert "damaged" not in str(raised.value)


def test_a_later_version_is_named(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b" v1", b" v2", 1))
    with pytest.raises(FormatError, match="later version of minbpe: update minbpe"):
        PieceCounts.load(file)


def test_another_unicode_version_is_a_warning(file: Path) -> None:
    write(file, FACTS | {"unicode": "99.0.0"}, BODY)
    with pytest.warns(UserWarning, match=r"corpus\.counts holds pieces split with Unicode 99\.0\.0"):
        PieceCounts.load(file)


def test_what_holds_no_counts_is_an_error_and_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(random.Random(1).randbytes(5000))
    assert not is_counts(path)
    for name in ("text", "text.counts", "text.counts.gz"):
        path = path.rename(tmp_path / name)
        assert is_counts(path) == ("counts" in name)
        with pytest.raises(FormatError, match=r"holds no piece counts.* name it otherwise if it is text"):
            PieceCounts.load(path)
    with pytest.raises(FileNotFoundError):
        PieceCounts.load(tmp_path / "missing")


def test_a_file_that_cannot_be_written_leaves_the_old_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError("no space left on device")

    before = file.read_bytes()
    monkeypatch.setattr(counts_format, "_checksum", full)
    with pytest.raises(OSError, match="no space"):
        count("b").save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["corpus.counts"]


def test_loading_warns_of_nothing_else(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_counts(file)
        PieceCounts.load(file)


def test_at_least_leaves_out_the_rare(file: Path) -> None:
    counts = PieceCounts.load(file)
    assert list(counts.at_least(2).items()) == [(b" rose", 2)]
    assert counts.at_least(2).documents == 3
    assert counts.at_least(-5) == counts.at_least(1) == counts
    assert len(counts.at_least(2**70)) == 0


@given(items, st.integers(0, 5))
def test_at_least_keeps_counts_and_order(items: list[tuple[bytes | str, int]], least: int) -> None:
    counts = PieceCounts.from_items(items)
    assert list(counts.at_least(least).items()) == [item for item in counts.items() if item[1] >= least]
