"""Gathering: counts a corpus batch by batch, resuming from a place reached before, and reports progress."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import NamedTuple

from minbpe import _core
from minbpe.corpus import Streamed, batches
from minbpe.errors import CorpusError, MinbpeError, expect_int
from minbpe.patterns import warn_of_refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from minbpe.ceiling import Ceiling
    from minbpe.corpus import Corpus, Held
    from minbpe.parts import Parts
    from minbpe.patterns import Pattern

MOST = 2**63
"""Counts add up to less than this."""
MOST_THREADS = 1 << 16
HELD = 1 << 24
"""Bytes of a streamed document that are held at a time."""


class Progress(NamedTuple):
    """How far a stage of the work is: `done` of `total` bytes, or merges while training.

    Text is counted; files of piece counts are checked, then loaded. The counts of several threads, or of runs on disk, are
    summed, and the sum is loaded from disk or saved, as requested. `total` is None while an iterator may still yield more, or
    while the contents of memory are sorted for the disk.
    """

    stage: Literal["check", "load", "count", "sum", "save", "train"]
    done: int
    total: int | None
    pieces: int = 0
    """How many pieces are counted so far, distinct or not; 0 in the stages that count no text."""


class Place(NamedTuple):
    """How far a corpus is counted: whole documents, then `offset` bytes of the next, up to where a piece must end."""

    documents: int = 0
    offset: int = 0
    size: int = 0
    """The number of bytes before this place."""
    pieces: int = 0
    """The number of pieces before it."""


def gather(
    corpus: Corpus,
    regex: Pattern,
    min_count: int,
    threads: int | None,
    ceiling: Ceiling,
    progress: Callable[[Progress], object] | None,
    parts: Parts | None = None,
) -> _core.Counted:
    """Count a corpus; the result is in memory or on disk, without the pieces seen fewer than `min_count` times.

    With `parts`, counting resumes from them, and they hold what is to be rescued if an exception ends it.
    """
    counting = _Counting(regex, for_core(threads), ceiling, progress, parts)
    for batch, last in batches(corpus, ceiling.batch, counting.place.documents):
        if isinstance(batch, Streamed):
            counting.add_streamed(batch, min(HELD, ceiling.batch or HELD))
        else:
            counting.add(batch, last)
    return summed(counting.end(), min_count, progress)


class _Counting:
    """The counter of a corpus; with a checkpoint, a new counter after each save."""

    def __init__(
        self,
        regex: Pattern,
        threads: int,
        ceiling: Ceiling,
        progress: Callable[[Progress], object] | None,
        parts: Parts | None,
    ) -> None:
        self._regex, self._threads, self._ceiling = regex, threads, ceiling
        self._progress, self._parts = progress, parts
        self._begin()
        if regex and self._counter.refusal:
            warn_of_refusal(regex, self._counter.refusal)

    def _begin(self) -> None:
        self.place = self._parts.place if self._parts else Place()
        reached = self.place.documents, self.place.offset
        self._counter = _core.Counter(self._regex, self._threads, self._ceiling.for_core(), reached)
        if self._parts:
            self._parts.counter = self._counter

    def add(self, documents: Held, last: bool) -> None:
        """Count documents; `last` says that no more will come."""
        while documents:
            documents = documents[self._counter.add(documents, self._patience(), self._told(last)) :]
            self._keep_in_time()

    def add_streamed(self, document: Streamed, most: int) -> None:
        """Count a document, holding some `most` bytes of it, or more where the pattern proves no place at which a piece ends.

        Raises:
            CorpusError: the document is damaged. None of its counts are kept: they may be wrong, as a checksum comes last.
            OSError: the document is now shorter than the part already counted.
        """
        held, enough = BytesIO(), most  # A BytesIO holds one copy of the bytes, however many they become.
        for part in self._uncounted(document, max(1, most // 16)):
            held.write(part)
            if held.tell() < enough:
                continue
            rest = self._add_part(held.getvalue(), last=False)
            if len(rest) < held.tell():
                held = BytesIO()
                held.write(rest)
            del rest
            enough = max(most, 2 * held.tell())
        self._add_part(held.getvalue(), last=True)

    def _uncounted(self, document: Streamed, most: int) -> Iterator[bytes]:
        """Yield the bytes of a document after the place already reached."""
        number, offset = self._counter.reached or (0, 0)
        left = offset
        try:
            for part in document.parts(most):
                yield part[left:]
                left -= min(left, len(part))
        except CorpusError:
            if self._parts:
                self._parts.forget(number)
            raise
        if left:
            shorter = f"document {number} is shorter than when it was counted up to its byte {offset}"
            raise OSError(f"{shorter}: count the corpus anew")

    def _add_part(self, data: bytes, last: bool) -> bytes:
        """Count the next bytes of a document up to where a piece is sure to end, or all if they are the `last`; return the rest."""
        while True:
            done = self._counter.add_part(data, last, self._patience(), self._told(False))
            data = data[done:]
            self._keep_in_time()
            if not done or not data:
                return data

    def _patience(self) -> float | None:
        return self._parts.patience if self._parts else None

    def _told(self, last: bool) -> Callable[[int, int, int], object] | None:
        return partial(_report, self._progress, self.place, last) if self._progress else None

    def _keep_in_time(self) -> None:
        if self._parts and not self._parts.patience:
            self._parts.keep(self._counter)
            self._begin()

    def end(self) -> _core.Counter:
        """Return a counter with the counts of the whole corpus."""
        size = self.place.size + self._counter.done
        if self._progress:
            self._progress(Progress("count", size, size, self.place.pieces + self._counter.pieces))
        return self._parts.add_up(self._counter, self._ceiling, self._progress) if self._parts else self._counter


def check_min_count(min_count: int) -> None:
    """Check `min_count` before the long work, not after.

    Raises:
        MinbpeError: `min_count` is below 1.
    """
    expect_int("min_count", min_count)
    if min_count < 1:
        raise MinbpeError(f"min_count is {min_count}: it must be 1 or more")


def for_core(threads: int | None) -> int:
    """Return `threads` as the core takes them: 0 for one per core, and more than any machine has for all that are more.

    Raises:
        TypeError: `threads` is neither an int nor None.
        ValueError: `threads` is below 1.
    """
    if threads is None:
        return 0
    expect_int("threads", threads)
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, not {threads}; None takes all cores")
    return min(threads, MOST_THREADS)


def summed(counter: _core.Counter, min_count: int, progress: Callable[[Progress], object] | None) -> _core.Counted:
    """Return the counts of a counter, without the pieces seen fewer than `min_count` times."""
    with telling("sum", progress) as told:
        return counter.gather(min(min_count, MOST), told)


@contextmanager
def telling(
    stage: Literal["load", "sum", "save"], progress: Callable[[Progress], object] | None
) -> Iterator[Callable[[int, int], object] | None]:
    """Yield a callback that reports a stage's done and total bytes to `progress`. If it is called, the end is reported too."""
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


def _report(
    progress: Callable[[Progress], object], begun: Place, last: bool, done: int, given: int, pieces: int
) -> None:
    progress(Progress("count", begun.size + done, begun.size + given if last else None, begun.pieces + pieces))
