"""Checkpoints: training resumed after any interruption gives the vocabulary of an uninterrupted run."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import learn, train
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
from minbpe.counting import PieceCounts, Progress, count
from minbpe.errors import CorpusError, FormatError, VocabularyError
from minbpe.training import BYTE_ORDERS, Training, VocabularyWarning
from minbpe.vocabulary import Vocabulary
from tests.test_cli import MINBPE, output
from tests.test_training import TIE_BREAKS

TEXT = "low lower lowest slow slower, and the theory of the thesis " * 9
LONG = bytes(random.Random(1).choices(b"abcdefgh", k=2**22))
"""One piece that takes longer to merge than the time until training first checks for interruptions."""
SIZE = 4000


def merges_in(path: Path) -> list[list[int]]:
    state: dict[str, Any] = json.loads((path / "merges").read_bytes().splitlines()[2])
    merges: list[list[int]] = state["merges"]
    return merges


def interrupted(source: Any, path: Path, **options: Any) -> None:
    """Leave behind the checkpoint of a training that was interrupted after ten merges."""
    learn(source, 266, checkpoint=Checkpoint(path, every=0), **options)
    assert len(merges_in(path)) == 10


@given(
    st.lists(st.text("abc \n1") | st.text(max_size=20), max_size=5),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from(TIE_BREAKS),
    st.sampled_from(sorted(BYTE_ORDERS)),
    st.integers(1, 3),
    st.sampled_from([None, 4]),
)
def test_going_on_after_any_merge_equals_training_at_once(
    documents: list[str],
    first: int,
    more: int,
    tie_break: str,
    byte_order: str,
    min_count: int,
    max_token_length: int | None,
) -> None:
    options: dict[str, Any] = {"tie_break": tie_break, "byte_order": byte_order}
    options |= {"min_count": min_count, "min_frequency": min_count, "max_token_length": max_token_length}
    with warnings.catch_warnings(), TemporaryDirectory() as directory:
        warnings.simplefilter("ignore", VocabularyWarning)
        checkpoint = Checkpoint(Path(directory) / "kept", every=0)
        learn(documents, 256 + first, checkpoint=checkpoint, **options)
        at_once = learn(documents, 256 + first + more, **options)
        assert learn(documents, 256 + first + more, checkpoint=checkpoint, **options) == at_once
        assert learn(documents, 256 + first, checkpoint=checkpoint, **options) == learn(
            documents, 256 + first, **options
        )


class StoppedError(Exception):
    """Raised by a test to end a training."""


@pytest.fixture(scope="module")
def at_once() -> dict[str, Training]:
    counts = count(LONG, pattern=None)
    return {tie_break: learn(counts, SIZE, tie_break=tie_break) for tie_break in TIE_BREAKS}


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_training_stopped_again_and_again_equals_training_at_once(
    at_once: dict[str, Training], tie_break: str, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "train":
            raise StoppedError

    kept, stops = tmp_path / "kept", []
    while not stops or (stops[-1] < 1000 and len(stops) < 4):
        with pytest.raises(StoppedError):
            learn(LONG, SIZE, pattern=None, tie_break=tie_break, checkpoint=kept, progress=stop)
        stops.append(len(merges_in(kept)))
    assert stops == sorted(stops)
    assert stops[0] < SIZE - 256
    assert learn(LONG, SIZE, pattern=None, tie_break=tie_break, checkpoint=kept) == at_once[tie_break]
    with pytest.raises(StoppedError):
        learn(LONG, 266, pattern=None, tie_break=tie_break, checkpoint=kept, progress=stop)
    assert len(merges_in(kept)) == SIZE - 256


def test_what_is_known_to_be_the_same_corpus_is_not_counted_again(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    for number, source in enumerate([TEXT, [TEXT, b"more"], tmp_path / "text", [tmp_path / "text"]]):
        path = tmp_path / str(number)
        interrupted(source, path)
        stages: list[str] = []
        learn(source, 270, checkpoint=path, progress=lambda progress, stages=stages: stages.append(progress.stage))
        assert stages == ["check", "load", "train"]


def test_what_may_be_another_corpus_is_counted_again(tmp_path: Path) -> None:
    (tmp_path / "text").write_text(TEXT)
    interrupted(tmp_path / "text", tmp_path / "kept")
    os.utime(tmp_path / "text", ns=(1, 1))
    expected = learn(TEXT, 270)
    named = Checkpoint(tmp_path / "kept", corpus="name")
    assert learn(iter([TEXT]), 270, checkpoint=named) == expected
    for source in (tmp_path / "text", count(TEXT)):
        assert learn(source, 270, checkpoint=tmp_path / "kept") == expected


def test_an_iterator_is_counted_once_under_a_name(tmp_path: Path) -> None:
    named = Checkpoint(tmp_path / "kept", corpus="a text", every=0)
    learn(iter([TEXT]), 266, checkpoint=named)
    assert learn(iter([]), 270, checkpoint=named) == learn(TEXT, 270)


def test_an_iterator_without_a_name_is_warned_of_before_anything_is_counted(tmp_path: Path) -> None:
    def documents() -> Iterator[str]:
        raise StoppedError
        yield ""

    with pytest.raises(StoppedError), pytest.warns(UserWarning, match=r"Checkpoint\('.*kept', corpus='name'\)"):
        train(documents(), 270, checkpoint=tmp_path / "kept")
    for source in ([TEXT], count(TEXT)):
        train(source, 270, checkpoint=tmp_path / "kept")
    train(iter([TEXT]), 270, checkpoint=Checkpoint(tmp_path / "kept", corpus="name"))


def test_what_was_dropped_is_still_told_after_an_interruption(tmp_path: Path) -> None:
    source = [TEXT, "rare"]
    interrupted(source, tmp_path / "kept", min_count=2)
    training = learn(source, 270, min_count=2, checkpoint=tmp_path / "kept")
    assert training == learn(source, 270, min_count=2)
    assert training.dropped_pieces == training.dropped_distinct > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tie_break": "lowest"}, "with tie_break='first', and tie_break='lowest' is asked for"),
        ({"byte_order": "gpt2"}, "byte_order='identity', and byte_order='gpt2'"),
        ({"min_count": 2}, "min_count=1, and min_count=2"),
        ({"min_frequency": 2}, "min_frequency=1, and min_frequency=2"),
        ({"max_token_length": 9}, "max_token_length=None, and max_token_length=9"),
        ({"pattern": "[a-z]"}, r"pattern='gpt4', and pattern='\[a-z\]'"),
        ({"source": TEXT + "a"}, "is of another corpus: do as before to go on from it, or remove it"),
        ({"source": count([TEXT, TEXT])}, "is of another corpus"),
    ],
)
def test_a_checkpoint_of_other_training_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    interrupted(TEXT, tmp_path / "kept")
    with pytest.raises(CorpusError, match=message):
        train(**{"source": TEXT, "vocab_size": 270, "checkpoint": tmp_path / "kept", **options})


def test_the_counts_of_a_checkpoint_of_other_training_can_be_trained_on(tmp_path: Path) -> None:
    interrupted(TEXT, tmp_path / "kept")
    with pytest.raises(CorpusError, match=r"or train on its counts without counting again: .*corpus\.counts"):
        train(TEXT, 270, min_count=2, checkpoint=tmp_path / "kept")
    with pytest.raises(CorpusError, match=r"begin anew$"):
        train(TEXT, 270, pattern=None, checkpoint=tmp_path / "kept")
    assert train(tmp_path / "kept" / "corpus.counts", 270, min_count=2) == train(TEXT, 270, min_count=2)


def test_a_checkpoint_may_be_replaced_and_removed(tmp_path: Path) -> None:
    interrupted(TEXT, tmp_path / "kept")
    anew = Checkpoint(tmp_path / "kept", every=0, resume=False)
    vocabulary = train("aaab", 258, pattern=None, tie_break="lowest", checkpoint=anew)
    assert len(merges_in(tmp_path / "kept")) == 2
    again = train("aaab", 258, pattern=None, tie_break="lowest", checkpoint=tmp_path / "kept")
    assert again == vocabulary
    train("abab", 257, pattern=None, checkpoint=Checkpoint(tmp_path / "kept", resume=False))
    assert merges_in(tmp_path / "kept") == [[97, 98, 2, 2]]
    anew.remove()
    anew.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    interrupted(TEXT, path)
    merges, corpus = (path / "merges").read_bytes(), (path / "corpus.counts").read_bytes()
    for wrong, message in [
        (merges[:-9], "is damaged"),
        (b"", "is no checkpoint"),
        (merges.replace(b"v2", b"v3", 1), "is no checkpoint that this version"),
        (merges.replace(b"v2", b"v1", 1), "is no checkpoint that this version"),
    ]:
        (path / "merges").write_bytes(wrong)
        with pytest.raises(FormatError, match=message):
            train(TEXT, 270, checkpoint=path)
    (path / "merges").write_bytes(merges)
    (path / "corpus.counts").write_bytes(corpus[:-1])
    with pytest.raises(FormatError, match=r"corpus\.counts is damaged"):
        train(TEXT, 270, checkpoint=path)
    count("another").save(path / "corpus.counts")
    with pytest.raises(FormatError, match="not the file that the checkpoint was made with"):
        train(TEXT, 270, checkpoint=path)


def test_a_place_where_nothing_can_be_kept_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "missing" / "kept"):
        with pytest.raises(NotADirectoryError, match="cannot be a directory for a checkpoint"):
            train("text", 256, checkpoint=wrong)


def test_short_training_keeps_nothing(tmp_path: Path) -> None:
    train("aaab", 257, pattern=None, checkpoint=tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    (tmp_path / "long.txt").write_bytes(LONG)
    return tmp_path / "long.txt"


def arguments(long_file: Path, name: str) -> list[str]:
    return ["train", str(long_file), "--pattern", "none", "--size", str(SIZE), "--out", str(long_file.with_name(name))]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to a child alone")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_goes_on_after_a_signal(
    how: signal.Signals, long_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = long_file.with_name("tok.checkpoint")
    patience = 0.3
    while not (checkpoint / "merges").exists():
        run = [*MINBPE, *arguments(long_file, "tok"), "--no-resume"]
        with subprocess.Popen(run, stderr=subprocess.PIPE, text=True) as child:
            time.sleep(patience)
            child.send_signal(how)
            _, errors = child.communicate(timeout=60)
        assert child.returncode != 0, "training ended before the signal came"
        patience += 0.1
    assert child.returncode == 130
    assert "minbpe train --resume" in errors
    # Perhaps all of them, if the signal came before the model was written.
    assert 0 <= len(merges_in(checkpoint)) <= SIZE - 257
    assert not long_file.with_name("tok.model").exists()
    facts = json.loads(output(capfd, *arguments(long_file, "tok"), "--resume", "--json"))
    assert facts["digest"] == train(LONG, SIZE, pattern=None, special_tokens=["<|endoftext|>"]).digest
    assert not checkpoint.exists()
    assert main([*arguments(long_file, "tok"), "--resume", "--json"]) == 0
    again = capfd.readouterr()
    assert "tok.checkpoint holds nothing to resume: this run begins anew" in again.err
    assert json.loads(again.out)["digest"] == facts["digest"]


KILLED = """
import sys
from pathlib import Path
from minbpe import learn
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
learn(Path(sys.argv[1]), 4000, pattern=None, checkpoint=Checkpoint(sys.argv[2], every=float(sys.argv[3])))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("every", [0, 60])
def test_what_was_kept_before_kill_9_is_enough_to_go_on_from(
    every: int, long_file: Path, at_once: dict[str, Training], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(long_file), str(path), str(every)]) as child:
        while child.poll() is None and not (path / "merges").exists():
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert len(merges_in(path)) < SIZE - 256
    stages: list[str] = []
    went_on = learn(
        long_file, SIZE, pattern=None, checkpoint=path, progress=lambda progress: stages.append(progress.stage)
    )
    assert went_on == at_once["first"]
    assert set(stages) == {"check", "load", "train"}


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "minbpe: interrupted: nothing half-written is left; "),
        (OSError(errno.ENOSPC, "No space left on device", "tok.model"), 1, "No space left on device: 'tok.model'; "),
    ],
)
def test_a_training_however_short_stays_until_its_vocabulary_is_in_a_file(
    ending: BaseException,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise ending

    monkeypatch.chdir(tmp_path)
    Path("text").write_text(TEXT)
    line = ["train", "text", "--size", "270", "--out", "tok"]
    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, "save", fail)
        assert main(line) == code
    assert f"{said}minbpe train --resume goes on from tok.checkpoint\n" in capfd.readouterr().err
    assert len(merges_in(Path("tok.checkpoint"))) == 13
    assert main(line) == 1
    assert "tok.checkpoint holds what an interrupted run has done: minbpe train --resume goes" in capfd.readouterr().err
    assert len(merges_in(Path("tok.checkpoint"))) == 13
    output(capfd, *line, "--resume")
    assert Vocabulary.load("tok.model") == train(TEXT, 270, special_tokens=["<|endoftext|>"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text", "tok.model", "tok.vocab"]


def test_a_corpus_that_is_refused_leaves_no_new_checkpoint_which_would_stand_in_the_way(tmp_path: Path) -> None:
    too_many = PieceCounts.from_items([("aaaa", 2**62)])
    with pytest.raises(CorpusError, match=r"2\^63"):
        train(too_many, 300, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    with pytest.raises(CorpusError, match=r"2\^63"):
        train(too_many, 300, checkpoint=Checkpoint(tmp_path / "kept", stays=True))
    assert (tmp_path / "kept").exists()


def test_a_size_that_no_vocabulary_has_is_refused_before_a_checkpoint_is_made(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"4,294,967,040 merges on top of 256 tokens: .* at most"):
        train(TEXT, 2**32, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
