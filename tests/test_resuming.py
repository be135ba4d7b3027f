"""Counting that was interrupted, wherever, goes on to the counts of one run, byte for byte."""

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from minbpe import learn, parts, train
from minbpe.ceiling import LEAST_MEMORY
from minbpe.checkpoint import Checkpoint, name_of
from minbpe.counting import PieceCounts, count, count_to_file
from minbpe.errors import CorpusError, FormatError
from minbpe.gathering import Progress
from minbpe.parts import Parts
from minbpe.state import write_state
from tests.test_spilling import SPILLING, words

SIZE = 400
CORPORA = ["one file", "files", "documents"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a file that is cut into stretches, and small ones."""
    directory = tmp_path_factory.mktemp("corpus")
    for number, size in enumerate((1_000_000, 2_000, 5_000, 0, 20_000)):
        (directory / f"{number}.txt").write_text("\n".join(words(size, number)))
    return directory


def source_of(corpus: Path, kind: str) -> tuple[Any, Checkpoint]:
    """A corpus anew, and where training on it keeps what it has."""
    files, kept = sorted(corpus.iterdir()), corpus.with_name("kept")
    if kind == "documents":
        documents = (
            file.read_text()[start : start + 400_000] for file in files for start in range(0, 8_000_000, 400_000)
        )
        return documents, Checkpoint(kept, corpus="a name", every=0)
    return files[0] if kind == "one file" else files, Checkpoint(kept, every=0)


class StoppedError(Exception):
    """What a test ends counting with."""


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make counting stop after it has kept something so many times; 0: no longer."""
    keep = Parts.keep
    monkeypatch.setattr(parts, "SHARE", 0)

    def stop_after(times: int) -> None:
        numbers = iter(range(1, 1 << 30))

        def stop(kept: Parts, counter: Any) -> None:
            keep(kept, counter)
            if next(numbers) == times:
                raise StoppedError

        monkeypatch.setattr(Parts, "keep", stop)

    return stop_after


def state_in(kept: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((kept / "parts").read_bytes().splitlines()[2])
    return state


@pytest.mark.parametrize("ceiling", [None, 24 * LEAST_MEMORY])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", CORPORA)
def test_counting_that_is_stopped_again_and_again_equals_counting_at_once(
    corpus: Path, kind: str, threads: int, ceiling: int | None, stop_after: Callable[[int], None]
) -> None:
    source, checkpoint = source_of(corpus, kind)
    options: dict[str, Any] = {"threads": threads, "max_memory": ceiling, "min_count": 2}
    expected = learn(source, SIZE, min_count=2)
    sizes = [0]
    for times in (1, 1):
        stop_after(times)
        with pytest.raises(StoppedError):
            learn(source_of(corpus, kind)[0], SIZE, checkpoint=checkpoint, **options)
        sizes.append(state_in(corpus.with_name("kept"))["place"][2])
    assert sizes == sorted(set(sizes))
    stop_after(0)
    seldom = replace(checkpoint, every=60)
    assert learn(source_of(corpus, kind)[0], SIZE, checkpoint=seldom, **options) == expected
    assert sorted(file.name for file in corpus.with_name("kept").iterdir()) == ["corpus.counts", "merges"]
    checkpoint.remove()


@pytest.mark.parametrize("kind", CORPORA)
def test_counts_that_were_stopped_go_on_in_memory_and_to_a_file(
    corpus: Path, kind: str, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    kept, expected = corpus.with_name("kept"), count(source_of(corpus, kind)[0])
    for begun in (1, 2):
        stop_after(1)
        with pytest.raises(StoppedError):
            count(source_of(corpus, kind)[0], checkpoint=source_of(corpus, kind)[1])
        assert len(state_in(kept)["parts"]) == begun
    stop_after(0)
    for go_on in (count, partial(count_to_file, path=tmp_path / "counts")):
        shutil.copytree(kept, tmp_path / "copy")
        told: list[Progress] = []
        went_on = go_on(
            source_of(corpus, kind)[0],
            checkpoint=replace(source_of(corpus, kind)[1], path=tmp_path / "copy"),
            progress=told.append,
        )
        assert (went_on or PieceCounts.load(tmp_path / "counts")) == expected
        counted = [progress.done for progress in told if progress.stage == "count"]
        assert min(counted) >= state_in(kept)["place"][2] > 0
        assert [stage for stage, _ in groupby(progress.stage for progress in told)][:3] == ["count", "check", "load"]
        assert not (tmp_path / "copy").exists()
    Checkpoint(kept).remove()


def test_counting_an_iterator_without_a_name_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"give the corpus a name, as in Checkpoint\('.*kept', corpus='name'\)"):
        count(iter(["text"]), checkpoint=tmp_path / "kept")
    assert count(["text"], checkpoint=tmp_path / "kept") == count("text")
    assert list(tmp_path.iterdir()) == []


class AlarmError(Exception):
    """What a signal raises, a while after it was asked for."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """Let SIGALRM raise an exception, as SIGINT does."""

    def ring(*_: object) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no SIGALRM")
@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("seconds", [1e-6, 1e-3, 0.02, 0.1])
@pytest.mark.parametrize("ceiling", [None, 48 * LEAST_MEMORY])
@pytest.mark.parametrize("how", ["count", "count_to_file", "learn"])
def test_nothing_that_was_counted_is_lost_while_it_is_summed_and_written(
    corpus: Path, how: str, ceiling: int | None, seconds: float, tmp_path: Path
) -> None:
    text, kept, out = corpus / "0.txt", tmp_path / "kept", tmp_path / "counts"
    options: dict[str, Any] = {"checkpoint": kept, "max_memory": ceiling, "threads": 1}
    run: Any = {
        "count": count,
        "count_to_file": partial(count_to_file, path=out, min_count=2),
        "learn": partial(learn, vocab_size=300, min_count=2),
    }[how]

    def ring_soon(progress: Progress) -> None:
        if progress.stage == "count" and progress.done == progress.total == text.stat().st_size:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    expected = run(text, max_memory=ceiling)
    with contextlib.suppress(AlarmError):
        run(text, progress=ring_soon, **options)
        time.sleep(0.2)
    told: list[Progress] = []
    if kept.exists():
        assert run(text, progress=told.append, **options) == expected
        assert {progress.done for progress in told if progress.stage == "count"} <= {text.stat().st_size}
    else:
        assert seconds > 1e-3
    if how == "count_to_file":
        assert PieceCounts.load(out) == count(text).at_least(2)
    assert not list(tmp_path.rglob("*.tmp"))


def test_an_interruption_while_a_part_is_written_is_raised_as_it_is_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, written = parts.save_counted, iter([False])

    def stop_once(*arguments: Any) -> str:
        if next(written, True):
            return save(*arguments)
        raise StoppedError

    monkeypatch.setattr(parts, "save_counted", stop_once)
    texts, kept = ["some text "] * 3, Checkpoint(tmp_path / "kept", every=0)
    with pytest.raises(StoppedError):
        count(texts, checkpoint=kept)
    assert state_in(tmp_path / "kept")["place"][0] > 0
    assert count(texts, checkpoint=kept) == count(texts)


def test_parts_of_another_corpus_or_pattern_are_refused(
    corpus: Path, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    kept, text = Checkpoint(tmp_path / "kept", every=0), tmp_path / "text"
    text.write_bytes((corpus / "0.txt").read_bytes())
    stop_after(1)
    with pytest.raises(StoppedError):
        train(text, SIZE, checkpoint=kept)
    stop_after(0)
    with pytest.raises(CorpusError, match="is of counting with another pattern: do as before"):
        train(text, SIZE, pattern="gpt2", checkpoint=kept)
    os.utime(text, ns=(1, 1))
    with pytest.raises(
        CorpusError, match="is of counting with another corpus: do as before to go on from it, or remove"
    ):
        train(text, SIZE, checkpoint=kept)
    part = tmp_path / "kept" / "corpus.0.counts"
    for wrong, message in [(part.read_bytes()[:-1], "is damaged"), (b"", "is empty")]:
        part.write_bytes(wrong)
        with pytest.raises(FormatError, match=message):
            gathered(text, kept)
    count("another").save(part)
    with pytest.raises(FormatError, match="is not the file that was kept"):
        gathered(text, kept)
    assert train(text, SIZE, checkpoint=Checkpoint(tmp_path / "kept", resume=False)) == train(text, SIZE)


def gathered(text: Path, kept: Checkpoint) -> None:
    """Go on with counting a text that has another time of change."""
    state = state_in(tmp := Path(kept.path))
    write_state(tmp / "parts", {**state, "corpus": name_of(text)})
    train(text, SIZE, checkpoint=kept)


def test_a_corpus_that_ends_before_the_place_is_an_error(
    corpus: Path, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", corpus="a name", every=0)
    stop_after(3)
    with pytest.raises(StoppedError):
        train(iter(["text"] * 5), 257, threads=1, checkpoint=checkpoint)
    with pytest.raises(CorpusError, match="the corpus ends after 2 documents, of which 3 are counted"):
        train(iter(["text"] * 2), 257, checkpoint=checkpoint)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that take about a second to count with the pattern below, as files and in one."""
    directory = tmp_path_factory.mktemp("slow")
    (directory / "texts").mkdir()
    texts = [f"{word}\n" * 12 for word in words(100_000)] * 2
    for number, text in enumerate(texts):
        (directory / "texts" / f"{number:03}.txt").write_text(text)
    with gzip.open(directory / "texts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return directory


PATTERN = r"(?<=a)b|[a-z]+|\s"


INTERRUPTED = """
import os, sys
from itertools import count
from minbpe.cli import main
from minbpe.progress import Bars
calls, how = count(1), int(sys.argv[1])
def show(bars, stage, *_):
    if stage == sys.argv[2] and next(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), how)
Bars.show = show
sys.exit(main(sys.argv[4:]))
"""
"""The command line, which gets a signal when it tells for so many times how far a stage is."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("command", "name", "how", "stage", "end"),
    [
        (["train", "texts", "--size", "400"], "tok.model", signal.SIGINT, "count", 1),
        (["train", "texts.jsonl.gz", "--size", "400"], "tok.model", signal.SIGTERM, "count", 1),
        (["count", "texts.jsonl.gz", "--max-memory", "2M"], "tok", signal.SIGINT, "read", 70),
        (["count", "texts", "--lines", "--min-count", "2"], "tok", signal.SIGTERM, "count", 1),
    ],
)
def test_the_command_line_goes_on_counting_after_a_signal(
    slow: Path, command: list[str], name: str, how: signal.Signals, stage: str, end: int, tmp_path: Path
) -> None:
    def run(end: int, out: str, *more: str) -> subprocess.CompletedProcess[str]:
        options = ["--pattern", PATTERN, "--threads", "1", "--out", str(tmp_path / out), "--json", *more]
        line = [sys.executable, "-c", INTERRUPTED, str(int(how)), stage, str(end), *command, *options]
        return subprocess.run(line, cwd=slow, capture_output=True, text=True, check=False)

    checkpoint = tmp_path / "tok.checkpoint"
    for more in ([], ["--resume"]):
        stopped = run(end, "tok", *more)
        assert stopped.returncode == 130
        assert f"left; minbpe {command[0]} --resume goes on from {checkpoint}" in stopped.stderr
        assert state_in(checkpoint)["parts"]
        end += end // 2
    for out, more in (("tok", ["--resume"]), ("whole", [])):
        done = run(0, out, *more)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("tok", "whole")).read_bytes()
    assert json.loads(done.stdout).get("spilled", True)
    assert not checkpoint.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("stage", ["check", "load"])
@pytest.mark.parametrize("command", ["count", "train", "inspect"])
def test_ctrl_c_ends_the_loading_of_counts_and_leaves_nothing(command: str, stage: str, tmp_path: Path) -> None:
    for name in "ab":
        count(words(300_000, ord(name))).save(tmp_path / name)
    files = ["a", "b", "--out", "out"] if command != "inspect" else ["a"]
    line = [sys.executable, "-c", INTERRUPTED, str(int(signal.SIGINT)), stage, "1", command, *files]
    stopped = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert stopped.returncode == 130
    assert stopped.stderr.startswith("minbpe: interrupted: nothing half-written is left")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("stage", ["sum", "save"])
def test_ctrl_c_while_runs_are_merged_or_saved_loses_nothing(stage: str, tmp_path: Path) -> None:
    text, out = tmp_path / "numbers", tmp_path / "out"
    text.write_text(" ".join(map(hex, range(1 << 20))))
    options = ["--out", str(out), "--pattern", r"\S+|\s", "--max-memory", "8M", "--threads", "1"]

    def run(stage: str, *more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", INTERRUPTED, str(int(signal.SIGINT)), stage, "1", "count", str(text)]
        return subprocess.run([*line, *options, *more], capture_output=True, text=True, check=False)

    stopped = run(stage)
    assert stopped.returncode == 130
    assert stopped.stderr.endswith(f"minbpe count --resume goes on from {out}.checkpoint\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numbers", "out.checkpoint"]
    assert state_in(out.with_name("out.checkpoint"))["place"][2] == text.stat().st_size
    assert run("never", "--resume").returncode == 0
    count(text, pattern=r"\S+|\s").save(tmp_path / "whole")
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_stages_that_are_interrupted_do_not_claim_to_go_on(slow: Path, tmp_path: Path) -> None:
    stages = ["--stage", f"{PATTERN}:300", "--stage", "none:400", "--size", "400"]
    line = [sys.executable, "-c", INTERRUPTED, str(int(signal.SIGINT)), "count", "2", "train", "texts", *stages]
    stopped = subprocess.run(
        [*line, "--out", str(tmp_path / "tok")], cwd=slow, capture_output=True, text=True, check=False
    )
    assert stopped.stderr.splitlines()[-1] == "minbpe: interrupted: nothing half-written is left; nothing is kept"
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys
from pathlib import Path
from minbpe import learn, parts
from minbpe.checkpoint import Checkpoint, name_of
parts.SHARE = 0
files = sorted(Path(sys.argv[1]).iterdir())
corpus = (file.read_text() for file in files) if sys.argv[3] == "documents" else files
checkpoint = Checkpoint(sys.argv[2], corpus="a name", every=0)
learn(corpus, 400, threads=1, max_memory=eval(sys.argv[4]), checkpoint=checkpoint)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("ceiling", [None, 4 * SPILLING])
@pytest.mark.parametrize("kind", ["files", "documents"])
def test_what_was_counted_before_kill_9_is_enough_to_go_on_from(
    slow: Path, kind: str, ceiling: int | None, tmp_path: Path
) -> None:
    kept, size = tmp_path / "kept", 0
    for more in (1, 300_000, 600_000):
        command = [sys.executable, "-c", KILLED, str(slow / "texts"), str(kept), kind, str(ceiling)]
        with subprocess.Popen(command) as child:
            while child.poll() is None and not (
                (kept / "parts").exists() and state_in(kept)["place"][2] >= size + more
            ):
                time.sleep(0.001)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        size = state_in(kept)["place"][2]
    files = sorted((slow / "texts").iterdir())
    rest = learn(files, SIZE, checkpoint=Checkpoint(kept, corpus="a name"), max_memory=ceiling)
    assert rest == learn(files, SIZE)


FULL = """
import resource, sys
from tests.test_spilling import words
import minbpe
from minbpe.checkpoint import Checkpoint, name_of
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17,) * 2)
try:
    minbpe.train(words(100_000), 300, threads=1, checkpoint=Checkpoint(sys.argv[1], corpus="words", every=0))
except OSError as error:
    sys.exit(f"OSError: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to the size of a file")
def test_no_room_to_keep_counts_is_an_error_that_names_the_directory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "kept")]
    full = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert f"File too large: counting cannot be kept in {tmp_path / 'kept'}; make room there" in full.stderr
    assert not list(tmp_path.rglob("*.tmp"))
