"""Counting resumed after any interruption gives the counts of one run, byte for byte."""

import contextlib
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
from minbpe.atomic import replacing
from minbpe.ceiling import LEAST_MEMORY
from minbpe.checkpoint import Checkpoint, name_of
from minbpe.corpus import Streamed
from minbpe.counting import PieceCounts, count, count_to_file
from minbpe.errors import CorpusError, FormatError
from minbpe.gathering import Progress
from minbpe.parts import STATE, Parts
from minbpe.state import MERGES, write_state
from tests.test_spilling import words

SIZE = 400
CORPORA = ["one file", "files", "documents", "streamed"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with small files and one that is cut into stretches."""
    directory = tmp_path_factory.mktemp("corpus")
    for number, size in enumerate((1_000_000, 2_000, 5_000, 0, 20_000)):
        (directory / f"{number}.txt").write_text("\n".join(words(size, number)))
    return directory


class Text(Streamed):
    """A file's text, as a document that cannot be mapped into memory."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def parts(self, most: int) -> Iterator[bytes]:
        with self.file.open("rb") as file:
            yield from iter(partial(file.read, most), b"")


@pytest.fixture(autouse=True)
def _hold_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minbpe.gathering.HELD", 1 << 21)


def source_of(corpus: Path, kind: str) -> tuple[Any, Checkpoint]:
    """The corpus from its beginning, and the checkpoint for training on it."""
    files, kept = sorted(corpus.iterdir()), corpus.with_name("kept")
    if kind == "streamed":
        return (Text(file) for file in files), Checkpoint(kept, corpus="a name", every=0)
    if kind == "documents":
        documents = (
            file.read_text()[start : start + 400_000] for file in files for start in range(0, 8_000_000, 400_000)
        )
        return documents, Checkpoint(kept, corpus="a name", every=0)
    return files[0] if kind == "one file" else files, Checkpoint(kept, every=0)


class StoppedError(Exception):
    """Raised by a test to end counting."""


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make counting stop after it has saved its state `times` times; 0: never."""
    keep = Parts.keep
    monkeypatch.setattr(parts, "SHARE", 0)

    def stop_after(times: int) -> None:
        numbers = iter(range(1, 1 << 30))

        def stop(kept: Parts, counter: Any, progress: Any = None) -> None:
            keep(kept, counter, progress)
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
        sizes.append(state_in(corpus.with_name("kept"))["places"][-1][2])
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
        assert min(counted) >= state_in(kept)["places"][-1][2] > 0
        pieces = [progress.pieces for progress in told if progress.stage == "count"]
        assert pieces == sorted(pieces)
        assert pieces[0] >= state_in(kept)["places"][-1][3] > 0
        assert pieces[-1] == expected.total
        assert [stage for stage, _ in groupby(progress.stage for progress in told)][:3] == ["count", "check", "load"]
        assert not (tmp_path / "copy").exists()
    Checkpoint(kept).remove()


def test_counting_an_iterator_without_a_name_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"give the corpus a name, as in Checkpoint\('.*kept', corpus='name'\)"):
        count(iter(["text"]), checkpoint=tmp_path / "kept")
    assert count(["text"], checkpoint=tmp_path / "kept") == count("text")
    assert list(tmp_path.iterdir()) == []


class AlarmError(Exception):
    """Raised by a signal, a while after it was requested."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """Have SIGALRM raise an exception, as SIGINT does."""

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
    corpus: Path, how: str, ceiling: int | None, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Any] = []
    for kind in [Checkpoint] if how == "learn" else [Checkpoint, Parts]:
        remove: Any = kind.remove  # type: ignore[attr-defined]
        monkeypatch.setattr(kind, "remove", lambda self, remove=remove: (ended.append(self), remove(self)))
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
    # A run that has ended and is stopped while removing its checkpoint leaves neither of these.
    goes_on = any((kept / name).exists() for name in (MERGES, STATE))
    assert goes_on or ended
    assert run(text, progress=told.append, **options) == expected
    if goes_on:
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
    assert state_in(tmp_path / "kept")["places"][-1][0] > 0
    assert count(texts, checkpoint=kept) == count(texts)


NUMBERS = r"\S+|\s"


@pytest.mark.parametrize("how", [count, partial(learn, vocab_size=SIZE)])
def test_what_an_exception_ends_is_kept_though_progress_raises_again_and_it_hears_of_that(
    how: Callable[..., Any], tmp_path: Path
) -> None:
    text, kept = tmp_path / "text", tmp_path / "kept"
    text.write_text(" ".join(map(hex, range(1 << 19))))
    told: list[str] = []

    def stop(progress: Progress) -> None:
        told.append(progress.stage)
        if progress.stage != "count":
            raise StoppedError

    with pytest.raises(StoppedError):
        how(text, pattern=NUMBERS, max_memory=1 << 23, threads=1, checkpoint=kept, progress=stop)
    # A stage that takes only a twentieth of a second, as saving may, reports no progress.
    assert [stage for stage, _ in groupby(told)] in (["count", "sum"], ["count", "sum", "save"])
    assert state_in(kept)["places"][-1][2] == text.stat().st_size
    assert how(text, pattern=NUMBERS, checkpoint=kept) == how(text, pattern=NUMBERS)


@pytest.mark.parametrize("every", [1e9, float("inf")])
def test_what_is_kept_seldom_or_never_is_kept_when_an_exception_ends_the_counting(
    corpus: Path, every: float, tmp_path: Path
) -> None:
    files, calls = [corpus / "0.txt"] * 8, iter(range(1, 1 << 30))

    def stop(_: Progress) -> None:
        if next(calls) == 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        count(files, threads=1, checkpoint=Checkpoint(tmp_path / "kept", every=every), progress=stop)
    assert 0 < state_in(tmp_path / "kept")["places"][-1][2] < 8 * files[0].stat().st_size
    assert count(files, checkpoint=tmp_path / "kept") == count(files)


def test_a_second_interruption_while_a_part_is_kept_leaves_what_was_kept_before(
    corpus: Path, stop_after: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, kept = sorted(corpus.iterdir()), tmp_path / "kept"

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    def stop_again(_: Any, __: Any, path: Path, ___: Any) -> str:
        with replacing(path) as file:
            file.write(b"minbpe counts v1")
            raise KeyboardInterrupt

    def stopped_twice() -> None:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(parts, "save_counted", stop_again)
            count(files, checkpoint=kept, progress=stop)

    stopped_twice()
    assert not kept.exists()
    stop_after(1)
    with pytest.raises(StoppedError):
        count(files, checkpoint=Checkpoint(kept, every=0))
    stop_after(0)
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    stopped_twice()
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert count(files, checkpoint=kept) == count(files)


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
    """Resume counting a text whose modification time has changed."""
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


FULL = """
import resource, sys
from tests.test_spilling import words
import minbpe
from minbpe.checkpoint import Checkpoint
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
