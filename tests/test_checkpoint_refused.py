"""A checkpoint of training, training in stages or extending is refused for anything else, and for what it cannot resume."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import minbpe
from minbpe import extend, train
from minbpe.checkpoint import Checkpoint
from minbpe.counting import PieceCounts, Progress, count
from minbpe.errors import CorpusError, FormatError
from minbpe.state import read_state, write_state
from tests.test_resuming_kinds import KINDS, SMALL, STAGES, TEXT, interrupted


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("now", KINDS)
def test_a_checkpoint_of_one_kind_is_refused_by_another_and_stays_as_it_is(
    before: str, now: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    interrupted(before, kept)
    files = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    if before != now:
        with pytest.raises(CorpusError, match=rf"the checkpoint in .*kept is (not )?of {before}|is not of {now}"):
            KINDS[now](TEXT, checkpoint=kept)
    with pytest.raises(CorpusError, match="is of training"):
        count(TEXT, checkpoint=kept)
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == files
    replaced = KINDS[now](TEXT, checkpoint=Checkpoint(kept, every=0, resume=False))
    assert replaced == KINDS[now](TEXT) == KINDS[now](TEXT, checkpoint=kept)
    assert kept.joinpath("stage-1").exists() == (now == "training in stages") != kept.joinpath("merges").exists()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("extending", {"tie_break": "lowest"}, "of extending with tie_break='first', and tie_break='lowest' is asked"),
        ("extending", {"min_count": 2}, r"min_count=1, and min_count=2 .*: .*kept/corpus\.counts is a file of them"),
        ("extending", {"min_frequency": 2}, "min_frequency=1, and min_frequency=2"),
        ("extending", {"max_token_length": 9}, "max_token_length=None, and max_token_length=9"),
        ("extending", {"source": TEXT + "a"}, "is of another corpus: do as before to go on from it, or remove it"),
        ("training in stages", {"tie_break": "lowest"}, "stage-1 is of training in stages with tie_break='first'"),
        ("training in stages", {"byte_order": "gpt2"}, "byte_order='identity', and byte_order='gpt2'"),
        ("training in stages", {"min_frequency": 2}, "min_frequency=1, and min_frequency=2"),
        ("training in stages", {"max_token_length": 9}, "max_token_length=None, and max_token_length=9"),
        ("training in stages", {"source": TEXT + "a"}, "stage-1 is of another corpus: do as before"),
        (
            "training in stages",
            {"stages": [("gpt2", 280), *STAGES[1:]]},
            "stage-1 is of training in stages with pattern='gpt4', and pattern='gpt2' is asked for: do as",
        ),
        (
            "training in stages",
            {"stages": [STAGES[0], (None, 310), STAGES[2]]},
            "stage-2 is of training in stages with pattern='.*', and pattern=None is asked for",
        ),
        (
            "training in stages",
            {"stages": [("gpt4", 281), *STAGES[1:]]},
            "earlier_stages='gpt4' up to 280 tokens besides special ones, and earlier_stages='gpt4' up to 281 tokens",
        ),
    ],
)
def test_a_checkpoint_of_other_options_is_refused_before_anything_is_counted(
    kind: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    interrupted(kind, tmp_path / "kept")
    told: list[str] = []
    arguments = {"source": TEXT, "checkpoint": tmp_path / "kept", "progress": lambda now: told.append(now.stage)}
    with pytest.raises(CorpusError, match=message):
        KINDS[kind](**{**arguments, **options})
    assert bool(told) == ("source" in options)


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    interrupted("extending", tmp_path / "kept")
    for other in (SMALL.truncate(260), SMALL.without_special_tokens()):
        with pytest.raises(CorpusError) as refused:
            extend(other, TEXT, 30, checkpoint=tmp_path / "kept")
        assert f"vocabulary='{SMALL.digest}', and vocabulary='{other.digest}' is asked for" in str(refused.value)
        assert "do as before to go on from it, or remove it to begin anew" in str(refused.value)
        assert "or train on its counts without counting again" in str(refused.value)
    with pytest.raises(CorpusError, match="with pattern='gpt4', and pattern='r50k' is asked for"):
        extend(minbpe.get_encoding("gpt2").vocabulary, TEXT, 30, checkpoint=tmp_path / "kept")


def test_a_stage_of_another_corpus_leaves_nothing_that_stands_in_the_way(tmp_path: Path) -> None:
    kept, stages = Checkpoint(tmp_path / "kept", stays=True), [STAGES[0], STAGES[2]]
    first, second = (count(TEXT, pattern=pattern) for pattern, _ in stages)
    with pytest.raises(CorpusError, match="and stage 2 is given 5"):
        train([first, count("other", pattern=None)], 330, stages=stages, checkpoint=kept)
    assert train([first, second], 330, stages=stages, checkpoint=kept) == train(TEXT, 330, stages=stages)


@pytest.mark.parametrize("kind", ["training in stages", "extending"])
def test_a_corpus_that_is_refused_leaves_no_new_checkpoint(kind: str, tmp_path: Path) -> None:
    too_many = PieceCounts.from_items([("qqqq", 2**62)])
    source = [too_many] * len(STAGES) if kind == "training in stages" else too_many
    with pytest.raises(CorpusError, match=r"2\^63"):
        KINDS[kind](source, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_another_corpus_leaves_a_checkpoint_as_it_was_even_if_it_is_refused_late_or_interrupted(
    kind: str, stop: bool, tmp_path: Path
) -> None:
    def interrupt(now: Progress) -> None:
        if stop and now.stage == "count":
            raise KeyboardInterrupt

    corpus, kept = tmp_path / "corpus.txt", Checkpoint(tmp_path / "kept", every=0)
    corpus.write_text(TEXT)
    expected = KINDS[kind](corpus, checkpoint=kept)
    files = {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    corpus.write_text(TEXT.upper())
    with pytest.raises(KeyboardInterrupt if stop else CorpusError):
        KINDS[kind](corpus, checkpoint=kept, progress=interrupt)
    assert {path: path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()} == files
    corpus.write_text(TEXT)
    assert KINDS[kind](corpus, checkpoint=kept) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_to_a_directory_is_as_good_as_one_and_stays(kind: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kept").symlink_to(tmp_path / "elsewhere")
    for every in (60, 0):
        kept = Checkpoint(tmp_path / "kept", every=every, resume=False)
        assert KINDS[kind](TEXT, checkpoint=kept) == KINDS[kind](TEXT)
        assert KINDS[kind](TEXT, checkpoint=tmp_path / "kept") == KINDS[kind](TEXT)
        kept.remove()
        assert (tmp_path / "kept").is_symlink()
        assert list((tmp_path / "elsewhere").iterdir()) == []
    assert count(TEXT, checkpoint=tmp_path / "kept") == count(TEXT)


RUNS: dict[str, Callable[..., Any]] = {"counting": count, **KINDS}


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "other", ["a.txt", "texts/a.txt", "stage-1", "stage-1/a.txt", "stage-1/stage-2/a", "corpus.txt"]
)
@pytest.mark.parametrize("kind", RUNS)
def test_a_directory_of_other_files_is_refused_and_stays_as_it_is(
    kind: str, other: str, resume: bool, tmp_path: Path
) -> None:
    def refuse(_: Progress) -> None:
        raise AssertionError("the directory is refused before the work")

    file = tmp_path / "files" / other
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    (tmp_path / "files" / "corpus.counts").write_text("left by a run that was killed")
    checkpoint = Checkpoint(tmp_path / "files", every=0, resume=resume)
    with pytest.raises(CorpusError, match=r"files holds other files, such as \S+, and no checkpoint: name a directory"):
        RUNS[kind](TEXT, checkpoint=checkpoint, progress=refuse)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [file, tmp_path / "files" / "corpus.counts"]
    )
    interrupted("training", tmp_path / "kept")
    for path in (tmp_path / "kept").iterdir():
        path.rename(tmp_path / "files" / path.name)
    assert KINDS["training"](TEXT, checkpoint=tmp_path / "files") == KINDS["training"](TEXT)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "left",
    [
        [],
        ["corpus.counts"],
        ["corpus.0.counts", "corpus.12.counts.tmp"],
        ["corpus.counts.tmp", "merges.tmp", "parts.tmp"],
        ["stage-1/corpus.counts"],
        ["stage-1/parts.tmp", "stage-2/corpus.0.counts", "stage-12/merges.tmp"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("kind", RUNS)
def test_what_a_run_leaves_that_is_killed_is_no_other_file(
    kind: str, left: list[str], resume: bool, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    for name in left:
        (tmp_path / "kept" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "kept" / name).touch()
    if left:
        (tmp_path / "kept" / "stage-3").mkdir()
    checkpoint = Checkpoint(tmp_path / "kept", every=0, resume=resume)
    assert RUNS[kind](TEXT, checkpoint=checkpoint) == RUNS[kind](TEXT)
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_or_no_directory_is_refused(kind: str, tmp_path: Path) -> None:
    interrupted(kind, tmp_path / "kept")
    for file in (tmp_path / "kept").rglob("*"):
        if file.is_file():
            whole = file.read_bytes()
            file.write_bytes(whole[:-1])
            with pytest.raises(FormatError, match=rf"{file.name} is damaged"):
                KINDS[kind](TEXT, checkpoint=tmp_path / "kept")
            file.write_bytes(whole)
    (tmp_path / "file").touch()
    for wrong in ("", tmp_path / "file", tmp_path / "missing" / "kept"):
        with pytest.raises(NotADirectoryError, match="cannot be a directory for a checkpoint"):
            KINDS[kind](TEXT, checkpoint=wrong)


@pytest.mark.parametrize(
    "forged",
    [
        {"options": None},
        {"corpus": 5},
        {"counts": []},
        {"merges": None},
        {"merges": "x"},
        {"merges": [[97, 97, 1]]},
        {"merges": [[97, 97, 1, "x"]]},
    ],
    ids=str,
)
def test_a_state_that_is_sealed_and_none_of_training_is_refused(forged: dict[str, Any], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    interrupted("training", kept)
    sound = read_state(kept / "merges", {})
    write_state(kept / "merges", sound | forged)
    with pytest.raises(FormatError, match="merges holds no state of a checkpoint: do as before"):
        KINDS["training"](TEXT, checkpoint=kept)
    write_state(kept / "merges", {name: value for name, value in sound.items() if name not in forged})
    with pytest.raises(FormatError, match="merges holds no state of a checkpoint: do as before"):
        KINDS["training"](TEXT, checkpoint=kept)


@pytest.mark.parametrize(
    "forged", [{"parts": None}, {"parts": []}, {"places": [[1, 2, 3]]}, {"places": [[1, 2, 3, None]]}, {"pattern": ...}]
)
def test_a_state_that_is_sealed_and_none_of_counting_is_refused(forged: dict[str, Any], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    sound: dict[str, Any] = {"corpus": "a", "pattern": "b", "unicode": "c", "parts": ["d"], "places": [[1, 2, 3, 4]]}
    state = {name: value for name, value in (sound | forged).items() if value is not ...}
    write_state(kept / "parts", state)
    with pytest.raises(FormatError, match="parts holds no state of a checkpoint: do as before"):
        count(TEXT, checkpoint=kept)


def test_a_state_that_nests_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "merges"
    write_state(path, {})
    magic = path.read_bytes().partition(b"sha256")[0]
    body = b"[" * 100_000
    path.write_bytes(magic + b"sha256 " + sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(FormatError, match="merges holds no state of a checkpoint"):
        read_state(path, {})
