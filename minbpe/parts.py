"""Parts: what an interrupted count has kept of a corpus, and where in the corpus the same count resumes.

Counts of consecutive stretches add up to those of the whole. So each time, only what was counted since the time before is kept,
as a file of piece counts of its own: nothing is written twice, and what is written no longer takes memory. In the end the parts
are added up, within the memory ceiling of the count if it has one.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from time import monotonic

from minbpe import _core
from minbpe.errors import CorpusError, FormatError
from minbpe.formats.counts import save_counted
from minbpe.gathering import Place, summed
from minbpe.loading import add_up, check
from minbpe.patterns import from_json
from minbpe.state import WAY_OUT, read_state, rows_of_ints, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from minbpe.ceiling import Ceiling
    from minbpe.checkpoint import Checkpoint
    from minbpe.gathering import Progress
    from minbpe.patterns import Pattern

STATE = "parts"
NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
SHARE = 20
"""Keeping takes at most one part in this many of the time, however much there is to keep."""


class Parts:
    """What was kept of one corpus, and where to resume."""

    def __init__(self, checkpoint: Checkpoint, corpus: str, pattern: Pattern) -> None:
        """Read what was kept in a checkpoint that is in use, if counting is to resume from it.

        Raises:
            CorpusError: it belongs to another corpus or pattern.
            FormatError: it is damaged, or a later version wrote it.
            OSError: it cannot be read.
        """
        self._checkpoint, self._path = checkpoint, checkpoint.directory()
        self._pattern = pattern
        self._about = {"corpus": corpus, "pattern": pattern, "unicode": _core.UNICODE_VERSION}
        self._digests: list[str] = []
        self._places: list[Place] = []
        """Where each part ends."""
        self._next = monotonic() + checkpoint.every
        self.counter: _core.Counter | None = None
        """The counter that goes on from the last part, until everything it has counted is in a file of the caller's."""
        if checkpoint.resume and (self._path / STATE).exists():
            self._load()

    def _load(self) -> None:
        path = self._path / STATE
        state = read_state(path, {**dict.fromkeys(self._about, object), "parts": list, "places": list})
        if not rows_of_ints(state["places"], len(Place._fields)) or len(state["parts"]) != len(state["places"]):
            raise FormatError(f"{path} holds no state of a checkpoint: {WAY_OUT}")
        for name, value in self._about.items():
            if from_json(state[name]) != value:
                raise CorpusError(f"the checkpoint in {self._path} is of counting with another {name}: {WAY_OUT}")
        self._digests, self._places = state["parts"], [Place(*place) for place in state["places"]]

    @property
    def place(self) -> Place:
        """Where to resume."""
        return self._places[-1] if self._places else Place()

    @property
    def kept(self) -> bool:
        """Whether something was kept."""
        return bool(self._digests)

    @property
    def patience(self) -> float:
        """The seconds until something must be kept again, at most an hour: `every` may be infinite, a deadline cannot."""
        return min(max(0.0, self._next - monotonic()), 3600.0)

    def keep(self, counter: _core.Counter, progress: Callable[[Progress], object] | None = None) -> None:
        """Keep what was counted since the last time, unless that is nothing; nothing more can be added to the counter.

        If an exception stopped the counter in the middle of a long document that has no proven cut, what it has counted is lost.
        What was kept before stays, whatever ends this call.

        Raises:
            OSError: there is no room for the part, or the directory cannot be written.
        """
        reached = counter.reached
        if reached is None or reached == (self.place.documents, self.place.offset):
            return
        began = monotonic()
        place = Place(*reached, self.place.size + counter.done, self.place.pieces + counter.pieces)
        try:
            if not self._digests:
                self._checkpoint.begin()
            counted = summed(counter, 1, progress)
            digest = save_counted(counted, self._pattern, self._file(len(self._digests)), progress)
            self._write([*self._digests, digest], [*self._places, place])
        except OSError as error:
            way_out = "make room there" if error.errno in NO_ROOM else "name a place that can be written"
            what = f"{error.strerror or error}: counting cannot be kept in {self._path}; {way_out}"
            raise OSError(what) from error
        finally:
            self._checkpoint.remove_if_empty()
        self._next = monotonic() + max(self._checkpoint.every, SHARE * (monotonic() - began))

    def _write(self, digests: list[str], places: list[Place]) -> None:
        write_state(self._path / STATE, {**self._about, "parts": digests, "places": places})
        self._digests, self._places = digests, places

    def forget(self, document: int) -> None:
        """Forget what was counted of a document, kept or not, and with it everything since the last part that ends before it."""
        self.counter = None
        sound = [place for place in self._places if (place.documents, place.offset) <= (document, 0)]
        if len(sound) == len(self._places):
            return
        if not sound:
            self.remove()
            self._checkpoint.remove_if_empty()
            return
        files = [self._file(number) for number in range(len(sound), len(self._places))]
        self._write(self._digests[: len(sound)], sound)
        for file in files:
            file.unlink(missing_ok=True)

    def rescue(self, progress: Callable[[Progress], object] | None) -> None:
        """Keep what an exception would lose; after the last document that may still be the sum, or a half-written file.

        The exception may come from `progress`, which is called all the same; what it raises now is ignored.
        """

        def told(now: Progress) -> None:
            with suppress(Exception):
                progress(now)  # type: ignore[misc]

        if self.counter:
            self.keep(self.counter, progress and told)

    def add_up(
        self, counter: _core.Counter, ceiling: Ceiling, progress: Callable[[Progress], object] | None
    ) -> _core.Counter:
        """Return a counter of the whole corpus: of all parts, and of what `counter` has counted since, up to the end."""
        if not self.kept:
            return counter
        self.keep(counter, progress)
        self.counter = None
        whole = _core.Counter(self._pattern, 1, ceiling.for_core(), (0, 0))
        files = check(map(self._file, range(len(self._digests))), progress)
        for file, digest in zip(files, self._digests, strict=True):
            if file.digest != digest:
                raise FormatError(f"{file.path} is not the file that was kept: {WAY_OUT}")
        add_up(files, whole, progress, one_corpus=True)
        return whole

    def remove(self) -> None:
        """Remove everything that was kept; the counts of the whole corpus, if it was counted, are elsewhere."""
        for file in (self._path / STATE, *map(self._file, range(len(self._digests)))):
            file.unlink(missing_ok=True)
        self._digests, self._places, self.counter = [], [], None

    def _file(self, number: int) -> Path:
        return self._path / f"corpus.{number}.counts"
