"""Checkpoints: training that was interrupted, wherever, goes on to the vocabulary of training without a break."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minbpe import learn, train
from minbpe.checkpoint import Checkpoint
from minbpe.counting import PieceCounts, Progress, count
from minbpe.errors import CorpusError, FormatError
from minbpe.training import Training
from tests.test_cli import MINBPE, output
from tests.test_training import TIE_BREAKS

LONG = bytes(random.Random(1).choices(b"abcdefgh", k=2**21))
"""One piece that takes some seconds to merge: 50 ms pass between two times that training looks up."""
SIZE = 3000


class Stopped(Exception):
    """What a test ends a training with."""


def stop_at(merges: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done >= merges:
            raise Stopped

    return stop


@pytest.fixture(scope="module")
def counts() -> PieceCounts:
    return count(LONG, pattern=None)


@pytest.fixture(scope="module")
def at_once(counts: PieceCounts) -> dict[str, Training]:
    return {tie_break: learn(counts, SIZE, tie_break=tie_break) for tie_break in TIE_BREAKS}


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_training_stopped_again_and_again_equals_training_at_once(
    counts: PieceCounts, at_once: dict[str, Training], tie_break: str, tmp_path: Path
) -> None:
    kept = []
    for merges in (0, 1, 300, 1000, 2000):
        with pytest.raises(Stopped):
            learn(counts, SIZE, tie_break=tie_break, checkpoint=tmp_path / "kept", progress=stop_at(merges))
        kept.append(len(merges_in(tmp_path / "kept")))
    assert kept == sorted(kept)
    assert kept[-1] >= 2000
    training = learn(counts, SIZE, tie_break=tie_break, checkpoint=tmp_path / "kept")
    assert training == at_once[tie_break]
    assert len(merges_in(tmp_path / "kept")) == SIZE - 256
    assert learn(counts, 500, tie_break=tie_break, checkpoint=tmp_path / "kept").vocabulary == (
        training.vocabulary.truncate(500)
    )
    assert learn(counts, SIZE + 9, tie_break=tie_break, checkpoint=str(tmp_path / "kept")) == learn(
        counts, SIZE + 9, tie_break=tie_break
    )


def merges_in(path: Path) -> list[list[int]]:
    state: dict[str, Any] = json.loads((path / "merges").read_bytes().splitlines()[2])
    merges: list[list[int]] = state["merges"]
    return merges


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkpoint of training on a file, in which each merge was kept."""
    (tmp_path / "text").write_text("low lower lowest low low slow " * 9)
    train(tmp_path / "text", 262, min_count=2, checkpoint=Checkpoint(tmp_path / "kept", every=0))
    with pytest.raises(Stopped):
        learn([tmp_path / "text", LONG], SIZE, checkpoint=tmp_path / "kept", progress=stop_at(9))
    return tmp_path / "kept"


def interrupted(source: Any, path: Path, **options: Any) -> None:
    with pytest.raises(Stopped):
        learn(source, SIZE, pattern=None, checkpoint=path, progress=stop_at(9), **options)


def test_what_is_known_to_be_the_same_corpus_is_not_counted_again(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(LONG)
    stages: list[str] = []
    sources = [LONG, [LONG, "more"], tmp_path / "long", [tmp_path / "long"], iter([LONG]), count(LONG, pattern=None)]
    for number, source in enumerate(sources):
        path = tmp_path / str(number)
        interrupted(source, path, min_count=1)
        again = iter([LONG]) if number == 4 else source
        stages.clear()
        learn(again, SIZE, pattern=None, checkpoint=path, progress=lambda progress: stages.append(progress.stage))
        assert ("count" in stages) == (number == 4)


def test_an_iterator_is_counted_once_under_a_name(tmp_path: Path, at_once: dict[str, Training]) -> None:
    named = Checkpoint(tmp_path / "kept", corpus="a long one")
    with pytest.raises(Stopped):
        learn(iter([LONG]), SIZE, pattern=None, checkpoint=named, progress=stop_at(9))
    assert learn(iter([]), SIZE, pattern=None, checkpoint=named).vocabulary == at_once["first"].vocabulary


def test_what_was_dropped_is_still_told_after_an_interruption(tmp_path: Path) -> None:
    documents = [LONG, LONG, "rare"]
    interrupted(documents, tmp_path / "kept", min_count=2)
    training = learn(documents, SIZE, pattern=None, min_count=2, checkpoint=tmp_path / "kept")
    assert training == learn(documents, SIZE, pattern=None, min_count=2)
    assert (training.dropped_pieces, training.dropped_distinct) == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tie_break": "lowest"}, "with tie_break='first', and tie_break='lowest' is asked for"),
        ({"byte_order": "gpt2"}, "byte_order='identity', and byte_order='gpt2'"),
        ({"min_count": 2}, "min_count=1, and min_count=2"),
        ({"min_frequency": 2}, "min_frequency=1, and min_frequency=2"),
        ({"max_token_length": 9}, "max_token_length=None, and max_token_length=9"),
        ({"pattern": "[a-z]"}, r"pattern=None, and pattern='\[a-z\]'"),
        ({"source": LONG + b"a"}, "is of another corpus: train as before to go on from it, or remove it"),
        ({"source": iter([LONG, LONG])}, "is of another corpus"),
    ],
)
def test_a_checkpoint_of_other_training_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    interrupted(LONG, tmp_path / "kept")
    with pytest.raises(CorpusError, match=message):
        train(**{"source": LONG, "vocab_size": SIZE, "pattern": None, "checkpoint": tmp_path / "kept", **options})


def test_a_checkpoint_may_be_replaced(tmp_path: Path) -> None:
    interrupted(LONG, tmp_path / "kept")
    anew = Checkpoint(tmp_path / "kept", resume=False)
    assert train("aaab", 257, pattern=None, checkpoint=anew).merges == ((97, 97),)
    assert len(merges_in(tmp_path / "kept")) >= 9
    with pytest.raises(Stopped):
        learn(LONG, SIZE, pattern=None, tie_break="lowest", checkpoint=anew, progress=stop_at(1))
    assert train(LONG, 258, pattern=None, tie_break="lowest", checkpoint=tmp_path / "kept").merges == (
        train(LONG, 258, pattern=None, tie_break="lowest").merges
    )
    anew.remove()
    anew.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    interrupted(LONG, path)
    merges, corpus = (path / "merges").read_bytes(), (path / "corpus.counts").read_bytes()
    for wrong, message in [(merges[:-9], "is damaged"), (b"", "is no checkpoint"), (merges.replace(b"v1", b"v2", 1), "no ch")]:
        (path / "merges").write_bytes(wrong)
        with pytest.raises(FormatError, match=message):
            train(LONG, SIZE, pattern=None, checkpoint=path)
    (path / "merges").write_bytes(merges)
    (path / "corpus.counts").write_bytes(corpus[:-1])
    with pytest.raises(FormatError, match=r"corpus\.counts is damaged"):
        train(LONG, SIZE, pattern=None, checkpoint=path)
    count("another").save(path / "corpus.counts")
    with pytest.raises(FormatError, match="not the file that the checkpoint was made with"):
        train(LONG, SIZE, pattern=None, checkpoint=path)


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
    how: signal.Signals, long_file: Path, at_once: dict[str, Training], capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoint = long_file.with_name("tok.checkpoint")
    for patience in (1.0, 1.5, 2.0, 4.0):
        child = subprocess.Popen([*MINBPE, *arguments(long_file, "tok")], stderr=subprocess.PIPE, text=True)
        time.sleep(patience)
        child.send_signal(how)
        _, errors = child.communicate(timeout=60)
        if checkpoint.exists():
            break
    assert child.returncode == 130
    assert "minbpe train --resume" in errors
    assert 0 <= len(merges_in(checkpoint)) < SIZE - 257
    assert not long_file.with_name("tok.model").exists()
    facts = json.loads(output(capfd, *arguments(long_file, "tok"), "--resume", "--json"))
    assert facts["digest"] == train(LONG, SIZE, pattern=None, special_tokens=["<|endoftext|>"]).digest
    assert not checkpoint.exists()
    assert json.loads(output(capfd, *arguments(long_file, "tok"), "--resume", "--json"))["digest"] == facts["digest"]


KILLED = """
import sys
from pathlib import Path
from minbpe import learn
from minbpe.checkpoint import Checkpoint
learn(Path(sys.argv[1]), 3000, pattern=None, checkpoint=Checkpoint(sys.argv[2], every=0.1))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_what_was_kept_before_kill_9_is_enough_to_go_on_from(
    long_file: Path, at_once: dict[str, Training], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(long_file), str(path)]) as child:
        while child.poll() is None and not (path / "merges").exists():
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert len(merges_in(path)) < SIZE - 256
    assert learn(long_file, SIZE, pattern=None, checkpoint=path) == at_once["first"]
