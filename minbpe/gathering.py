"""Gathering: a corpus counted batch by batch, from a place on that was reached before, and word of how far it is."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from minbpe import _core
from minbpe.corpus import batches
from minbpe.patterns import warn_of_refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from minbpe.ceiling import Ceiling
    from minbpe.corpus import Corpus
    from minbpe.parts import Parts
    from minbpe.patterns import Pattern

MOST = 2**63
"""Counts add up to less."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage of the work is: `done` of `total` bytes, and of merges while training.

    Text is counted, and files of piece counts are checked, then loaded. What several threads or runs on disk have of the pieces is
    summed, and, as it is asked for, loaded from disk or saved. The total is None while an iterator may still give more,
    or while what memory holds is sorted for the disk.
    """

    stage: Literal["check", "load", "count", "sum", "save", "train"]
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a corpus is counted: so many documents, and so many bytes of the next, up to where a piece must end."""

    documents: int = 0
    offset: int = 0
    size: int = 0
    """The bytes of all that comes before."""


def gather(
    corpus: Corpus,
    regex: Pattern,
    min_count: int,
    threads: int | None,
    ceiling: Ceiling,
    progress: Callable[[Progress], object] | None,
    parts: Parts | None = None,
) -> _core.Counted:
    """Count a corpus; the result is in memory or on disk, without the pieces that were seen less than `min_count` times.

    With `parts`, counting goes on from them, and they have what is to be rescued if an exception ends it.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}; None takes all cores")

    def begin(place: Place) -> _core.Counter:
        counter = _core.Counter(regex, threads or 0, ceiling.for_core(), (place.documents, place.offset))
        if parts:
            parts.counter = counter
        return counter

    place = parts.place if parts else Place()
    counter = begin(place)
    if regex and counter.refusal:
        warn_of_refusal(regex, counter.refusal)
    for batch, last in batches(corpus, ceiling.batch, place.documents):
        documents = batch
        while documents:
            told = partial(_report, progress, place.size, last) if progress else None
            documents = documents[counter.add(documents, parts.patience if parts else None, told) :]
            if parts and not parts.patience:
                parts.keep(counter)
                place = parts.place
                counter = begin(place)
    size = place.size + counter.done
    if progress:
        progress(Progress("count", size, size))
    if parts:
        counter = parts.add_up(counter, ceiling, progress)
    return summed(counter, min_count, progress)


def summed(counter: _core.Counter, min_count: int, progress: Callable[[Progress], object] | None) -> _core.Counted:
    """Return what a counter has, without the pieces that were seen less than `min_count` times."""
    with telling("sum", progress) as told:
        return counter.gather(max(0, min(min_count, MOST)), told)


@contextmanager
def telling(
    stage: Literal["load", "sum", "save"], progress: Callable[[Progress], object] | None
) -> Iterator[Callable[[int, int], object] | None]:
    """Yield what tells `progress` of a stage by its done and total bytes; of a stage that is told of the end is too."""
    if progress is None:
        yield None
        return
    last = 0

    def told(done: int, total: int) -> None:
        nonlocal last
        last = total
        progress(Progress(stage, done, total or None))

    yield told
    if last:
        progress(Progress(stage, last, last))


def _report(progress: Callable[[Progress], object], before: int, last: bool, done: int, given: int) -> None:
    progress(Progress("count", before + done, before + given if last else None))
