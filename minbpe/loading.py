"""Loading files of piece counts: all are checked first, then all are read, and both stages report their progress."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from minbpe.formats.counts import CountsFile
from minbpe.gathering import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from typing import Literal, TypeVar

    from minbpe import _core
    from minbpe.counting import PieceCounts
    from minbpe.formats.counts import Heard

    Tell = Callable[[Progress], object] | None
    T = TypeVar("T")
    Made = TypeVar("Made")


def check(paths: Iterable[str | os.PathLike[str]], progress: Tell) -> list[CountsFile]:
    """Return the files of piece counts once none is found damaged; warns and raises as `PieceCounts.load` does."""
    files = list(map(Path, paths))
    return _each("check", files, [file.stat().st_size for file in files], CountsFile, progress)


def load(files: Sequence[CountsFile], progress: Tell) -> list[PieceCounts]:
    """Return the counts of each file."""
    return _each("load", files, [file.size for file in files], CountsFile.load, progress)


def survey(file: CountsFile, progress: Tell) -> _core.Survey:
    """Return a summary of the counts in a file, without holding the counts."""
    return _each("load", [file], [file.size], CountsFile.survey, progress)[0]


def add_up(files: Sequence[CountsFile], counter: _core.Counter, progress: Tell, *, one_corpus: bool) -> None:
    """Add the counts of all files to a counter, which need not hold them in memory if it has a ceiling.

    Args:
        files: the files.
        counter: a counter that is still empty.
        progress: told how many bytes are read.
        one_corpus: whether the files number their documents as one corpus; if not, the documents of each file come after
            those of the file before.
    """
    documents = 0

    def absorb(file: CountsFile, heard: Heard) -> None:
        nonlocal documents
        documents = file.absorb(counter, 0 if one_corpus else documents, heard)

    _each("load", files, [file.size for file in files], absorb, progress)


def _each(
    stage: Literal["check", "load"],
    files: Sequence[T],
    sizes: Sequence[int],
    work: Callable[[T, Heard], Made],
    progress: Tell,
) -> list[Made]:
    """Return what `work` makes of each file. It reports the bytes done of that file; `progress` hears of all files together."""
    made, before, total = [], 0, sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        made.append(work(file, partial(_report, progress, stage, before, total) if progress else None))
        before += size
    if progress:
        progress(Progress(stage, total, total))
    return made


def _report(
    progress: Callable[[Progress], object],
    stage: Literal["check", "load"],
    before: int,
    total: int,
    done: int,
    _of_the_file: int,
) -> None:
    progress(Progress(stage, before + done, total))
