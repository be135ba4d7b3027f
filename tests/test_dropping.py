"""What `min_count` leaves out of counts is remembered: by counts, by their files, and by whatever is made of them."""

import copy
import json
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import learn
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
from minbpe.counting import PieceCounts, count, count_to_file
from minbpe.errors import FormatError
from minbpe.formats.counts import CountsFile
from tests.test_cli import error, output
from tests.test_counting import items
from tests.test_counts_file import BODY, FACTS, write

TEXT = "a rose is a rose is a rose, and so is a daisy daisy"
"""Of its 15 pieces, 4 occur once, and one twice."""
INEXACT = "left out before the parts were added up, so the sum lacks pieces that are rare in each part"


def what_was_left_out(counts: PieceCounts) -> tuple[int, int, int | None]:
    return counts.min_count, counts.dropped_pieces, counts.dropped_distinct


def test_counts_and_their_files_know_what_was_left_out(tmp_path: Path) -> None:
    whole, rare = count(TEXT), count(TEXT).at_least(2)
    assert what_was_left_out(whole) == (1, 0, 0)
    assert what_was_left_out(rare) == (2, 4, 4)
    assert what_was_left_out(whole.at_least(100)) == (100, 15, 8)
    count_to_file(TEXT, tmp_path / "rare", min_count=2)
    rare.save(tmp_path / "saved")
    assert (tmp_path / "rare").read_bytes() == (tmp_path / "saved").read_bytes()
    second_line = json.loads((tmp_path / "rare").read_bytes().split(b"\n")[1])
    assert list(second_line)[-2:] == ["min_count", "dropped"]
    assert (second_line["min_count"], second_line["dropped"]) == (2, {"pieces": 4, "distinct": 4})
    for loaded in (PieceCounts.load(tmp_path / "rare"), pickle.loads(pickle.dumps(rare)), copy.deepcopy(rare)):
        assert loaded == rare
        assert what_was_left_out(loaded) == (2, 4, 4)
    assert what_was_left_out(rare.shift_sources(3)) == (2, 4, 4)


def test_a_file_from_which_nothing_was_left_out_does_not_mention_it(tmp_path: Path) -> None:
    count(TEXT).save(tmp_path / "plain")
    count(TEXT * 2, pattern="[a-z ]").at_least(2).save(tmp_path / "none_was_rare")
    for name in ("plain", "none_was_rare"):
        facts = CountsFile(tmp_path / name).facts
        assert list(facts) == ["pattern", "unicode", "documents", "pieces", "distinct", "bytes"]


def test_counts_differ_by_what_was_left_out() -> None:
    rare, alike = count(TEXT).at_least(2), PieceCounts.from_items(count(TEXT).at_least(2).items())
    known = PieceCounts.from_items(rare.items(), pattern="gpt4")
    assert list(rare.items()) == list(known.items()) == list(alike.items())
    assert rare != known
    assert hash(rare) == hash(known)


def test_old_pickles_of_counts_are_still_read() -> None:
    counts = count(TEXT)
    function, (data, pattern, _) = counts.__reduce__()  # type: ignore[misc]
    assert function(data, pattern) == counts  # type: ignore[operator]


@given(items, st.integers(0, 4), st.integers(0, 4))
def test_leaving_out_twice_is_leaving_out_the_more_at_once(
    items: list[tuple[bytes | str, int]], first: int, then: int
) -> None:
    counts = PieceCounts.from_items(items)
    twice, once = counts.at_least(first).at_least(then), counts.at_least(max(first, then))
    assert list(twice.items()) == list(once.items())
    assert twice.at_least(max(first, then)) == twice
    assert (twice.dropped_pieces, twice.dropped_distinct) == (once.dropped_pieces, once.dropped_distinct)
    assert once.dropped_pieces == counts.total - once.total
    assert once.dropped_distinct == len(counts) - len(once)


def test_what_parts_left_out_adds_up_with_a_warning_that_says_the_way_out() -> None:
    whole, rare, rarer = count(TEXT), count(TEXT).at_least(2), count(TEXT).at_least(3)
    for parts, expected in [
        ((whole, rare), (2, 4, None)),
        ((rare, whole), (2, 4, None)),
        ((rare, rare), (2, 8, None)),
        ((rarer, rare, whole), (3, 10, None)),
    ]:
        for add in (lambda parts: parts[0].merge(*parts[1:]), PieceCounts.concatenate):
            with pytest.warns(UserWarning, match=INEXACT) as warned:
                added = add(parts)
            assert len(warned) == 1
            assert warned[0].filename == __file__
            assert what_was_left_out(added) == expected
    with pytest.warns(UserWarning, match=re.escape("4 pieces seen fewer than 2 times in one part")):
        more = (whole + rare).at_least(4)
    assert what_was_left_out(more) == (4, 4 + 4, None)


def test_counts_that_are_exact_add_up_without_a_warning() -> None:
    whole, rare, empty = count(TEXT), count(TEXT).at_least(2), PieceCounts.from_items([])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (whole + whole).at_least(4) == count(TEXT).merge(whole).at_least(4)
        for same in (rare + empty, empty + rare, rare.merge(), PieceCounts.concatenate([rare])):
            assert what_was_left_out(same) == (2, 4, 4)


def test_a_file_of_a_sum_does_not_say_how_many_were_distinct(tmp_path: Path) -> None:
    rare = count(TEXT).at_least(2)
    with pytest.warns(UserWarning, match=INEXACT):
        added = rare + rare
    added.save(tmp_path / "sum")
    assert CountsFile(tmp_path / "sum").facts["dropped"] == {"pieces": 8}
    assert PieceCounts.load(tmp_path / "sum") == added


LIES = [
    {"min_count": 2},
    {"dropped": {"pieces": 1, "distinct": 1}},
    {"min_count": 1, "dropped": {"pieces": 1, "distinct": 1}},
    {"min_count": 2, "dropped": {"pieces": 0}},
    {"min_count": 2, "dropped": {"pieces": 1, "distinct": 2}},
    {"min_count": 2, "dropped": {"pieces": 1, "distinct": 0}},
    {"min_count": 2, "dropped": {"pieces": 1, "distinct": None}},
    {"min_count": 2, "dropped": {"pieces": True, "distinct": 1}},
    {"min_count": 2, "dropped": {"pieces": "1", "distinct": 1}},
    {"min_count": 2.5, "dropped": {"pieces": 1, "distinct": 1}},
    {"min_count": 2, "dropped": {"pieces": 1, "distinct": 1, "more": 1}},
    {"min_count": 2, "dropped": {"distinct": 1}},
    {"min_count": 2, "dropped": [1, 1]},
    {"min_count": None, "dropped": None},
]


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_says_otherwise_is_damaged(tmp_path: Path, lie: dict[str, Any]) -> None:
    file = tmp_path / "corpus.counts"
    write(file, FACTS | {"min_count": 2, "dropped": {"pieces": 3, "distinct": 2}}, BODY)
    assert what_was_left_out(PieceCounts.load(file)) == (2, 3, 2)
    write(file, FACTS | lie, BODY)
    with pytest.raises(FormatError, match=r"corpus\.counts is damaged: its second line does not say what was left out"):
        PieceCounts.load(file)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A file of all pieces, and one without those that occur once."""
    found = [tmp_path / "whole.counts", tmp_path / "rare.counts"]
    for file, min_count in zip(found, (1, 2), strict=True):
        count_to_file(TEXT, file, min_count=min_count)
    return found


def test_training_on_files_and_on_counts_reports_what_was_left_out_before(files: list[Path]) -> None:
    whole, rare = files
    for source in (rare, PieceCounts.load(rare)):
        for min_count, left_out in ((1, (4, 4)), (2, (4, 4)), (3, (6, 5))):
            training = learn(source, 257, min_count=min_count)
            assert (training.dropped_pieces, training.dropped_distinct) == left_out
            assert training == learn(TEXT, 257, min_count=max(2, min_count))
    staged = learn(rare, 257, stages=[("gpt4", 257)])
    assert (staged.dropped_pieces, staged.dropped_distinct) == (4, 4)
    with pytest.warns(UserWarning, match=INEXACT) as warned:
        training = learn([whole, rare], 257)
    assert len(warned) == 1
    assert (training.dropped_pieces, training.dropped_distinct) == (4, None)
    with pytest.warns(UserWarning, match=INEXACT):
        assert what_was_left_out(count([rare, rare])) == (2, 8, None)


@pytest.mark.parametrize("min_count", [1, 2, 3])
def test_a_training_on_counts_that_goes_on_reports_the_same(files: list[Path], tmp_path: Path, min_count: int) -> None:
    for number, source in enumerate((files[1], PieceCounts.load(files[1]))):
        kept = tmp_path / f"kept{number}"
        learn(source, 258, min_count=min_count, checkpoint=Checkpoint(kept, every=0))
        assert what_was_left_out(PieceCounts.load(kept / "corpus.counts"))[1] >= 4
        assert learn(source, 260, min_count=min_count, checkpoint=kept) == learn(source, 260, min_count=min_count)


def test_a_checkpoint_whose_pieces_all_were_too_rare_is_resumed(files: list[Path], tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "kept", every=0)
    with pytest.warns(UserWarning, match="no pairs left"):
        once = learn(TEXT, 257, min_count=99, checkpoint=kept)
    with pytest.warns(UserWarning, match="no pairs left"):
        assert learn(TEXT, 257, min_count=99, checkpoint=kept) == once
    assert (once.dropped_pieces, once.dropped_distinct) == (15, 8)


def test_an_interrupted_count_reports_the_same(tmp_path: Path) -> None:
    corpus = [TEXT, TEXT, "more text"]

    def documents(stop: bool) -> Any:
        yield from corpus[:2]
        if stop:
            raise InterruptedError
        yield corpus[2]

    kept = Checkpoint(tmp_path / "kept", corpus="name", every=0)
    with pytest.raises(InterruptedError):
        count_to_file(documents(True), tmp_path / "resumed", min_count=3, checkpoint=kept)
    count_to_file(documents(False), tmp_path / "resumed", min_count=3, checkpoint=kept)
    count_to_file(corpus, tmp_path / "once", min_count=3)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "once").read_bytes()
    assert PieceCounts.load(tmp_path / "once").dropped_pieces > 0


@pytest.mark.filterwarnings("always")
def test_the_commands_say_what_was_left_out_before(files: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    whole, rare = map(str, files)
    out = str(files[0].with_name("out"))
    assert "dropped" not in output(capfd, "inspect", whole)
    assert re.search(r"min count +2\ndropped +4\ndropped distinct +4\n", output(capfd, "inspect", rare))
    shown = json.loads(output(capfd, "inspect", rare, "--json"))
    assert (shown["min_count"], shown["dropped"], shown["dropped_distinct"]) == (2, 4, 4)
    small = files[0].with_name("small")
    output(capfd, "train", whole, "--size", "257", "--out", str(small))
    for command in (["count", rare], ["train", rare, "--size", "257"], ["extend", str(small), rare, "--add", "1"]):
        facts = json.loads(output(capfd, *command, "--out", out, "--json"))
        assert (facts["dropped"], facts["dropped_distinct"]) == (4, 4)
    for command in (["count"], ["train", "--size", "257"], ["extend", str(small), "--add", "1"]):
        for options in ([], ["--json"]):
            assert main([*command, whole, rare, "--out", out, *options]) == 0
            said = capfd.readouterr()
            assert said.err.count("minbpe: warning:") == 1
            assert "count every part with --min-count=1, and give --min-count for the sum" in said.err
            if options:
                facts = json.loads(said.out)
                assert (facts["dropped"], facts["dropped_distinct"]) == (4, None)
            else:
                assert re.search(r"dropped +4\ndropped distinct +not known: left out of several parts\n", said.out)


def test_counts_of_which_nothing_is_left_are_nothing_to_learn_from(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, tok = tmp_path / "rare.counts", str(tmp_path / "tok")
    count_to_file(TEXT, file, min_count=99)
    said = error(capfd, 1, "train", str(file), "--size", "257", "--out", tok)
    assert "this file of counts holds no piece, for all were left out as too rare: count the text again with a" in said
