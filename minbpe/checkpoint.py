"""Checkpoints: what an interrupted training had learnt, from which the same training resumes and reaches the same vocabulary.

A merge depends only on those before it, so only the merges so far and the counts need saving: training resumes from them as
`extend` does. A checkpoint is a directory of two files: `corpus.counts`, written before the first merge so that merging need
not hold the counts, and `merges`. Before these exist, while the corpus is being counted, it holds parts of the counts.
Training in stages has such a directory for each stage inside the checkpoint: `stage-1`, `stage-2`, and so on.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from minbpe.atomic import sync_directory
from minbpe.counting import PieceCounts
from minbpe.errors import CorpusError, FormatError, warn
from minbpe.formats.counts import digest, save_counted
from minbpe.loading import check, load
from minbpe.locked import Lock, in_use, locked
from minbpe.parts import STATE, Parts
from minbpe.source import SavedCounts
from minbpe.state import COUNTS, MERGES, WAY_OUT, read_options, write_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from minbpe import _core
    from minbpe.dropping import Dropped
    from minbpe.gathering import Progress
    from minbpe.merging import Learned
    from minbpe.patterns import Pattern

STAGE = "stage-"
FILES = (MERGES, COUNTS, STATE, "corpus.[0-9]*.counts")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a training saves its progress, and how often.

    >>> from tempfile import TemporaryDirectory
    >>> from minbpe.training import train
    >>> with TemporaryDirectory() as directory:
    ...     checkpoint = Checkpoint(Path(directory) / "kept", every=0)
    ...     small = train("aaabdaaabac", 257, pattern=None, checkpoint=checkpoint)
    ...     large = train("aaabdaaabac", 259, pattern=None, checkpoint=checkpoint)  # goes on from 257
    >>> large == train("aaabdaaabac", 259, pattern=None)
    True
    """

    path: str | os.PathLike[str]
    """A directory used for nothing else, and by one run at a time; made at the first save. One that holds other files is refused.
    It stays after training, which can later go on to larger sizes."""
    corpus: str | None = None
    """A name for a corpus given as an iterator. Without one, nothing is saved until the whole corpus is counted, and a warning
    says so. Counts saved under the same name are reused. If they are incomplete, the iterator must yield the same documents
    again; those already counted are skipped."""
    every: float = 60.0
    """Seconds from the start to the first save, and between saves. If training takes less than that, a new checkpoint is removed
    when it ends; an exception such as Ctrl-C always leaves one."""
    resume: bool = True
    """Whether to resume from an existing checkpoint; if not, the first save replaces it."""
    stays: bool = False
    """Whether the checkpoint stays even after a shorter training, for a caller that removes it once the vocabulary is in a file."""
    lock: Lock | None = field(default=None, repr=False, compare=False)
    """The lock of the run that is using the checkpoint, from `using`."""

    def holds_something(self) -> bool:
        """Whether an interrupted run has left something to resume from."""
        kept = any((Path(self.path) / name).exists() for name in (MERGES, STATE))
        return kept or any(stage.holds_something() for stage in self._stages())

    def stage(self, number: int) -> Checkpoint:
        """Return where a stage of training in stages is kept; the first has the number 1."""
        return replace(self, path=Path(self.path) / f"{STAGE}{number}")

    def _stages(self) -> list[Checkpoint]:
        return [replace(self, path=path) for path in Path(self.path).glob(f"{STAGE}[0-9]*") if path.is_dir()]

    def _files(self) -> list[Path]:
        path = Path(self.path)
        return [file for name in FILES for file in (*path.glob(name), *path.glob(f"{name}.tmp"))]

    def others(self) -> list[Path]:
        """Return what is in the directory, and in those of stages, and is no part of a checkpoint."""
        path, stages = Path(self.path), self._stages()
        own = {*self._files(), *(stage.path for stage in stages)}
        here = [other for other in path.iterdir() if other not in own] if path.is_dir() else []
        return [*here, *(other for stage in stages for other in stage.others())]

    def remove(self) -> None:
        """Remove whatever a training has saved.

        Raises:
            CorpusError: another run is using it.
        """
        with nullcontext(self.lock) if self.lock else locked(Path(self.path)) as lock:
            own = replace(self, lock=lock)
            if own._is_locked():  # A directory made since this run began is another's.
                own._clear()
            own.remove_if_empty()

    def _clear(self) -> None:
        for stage in self._stages():
            stage.remove()
        for file in self._files():
            file.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Remove the directory if it is this run's and empty; a link to one stays, with the directory, for whoever made it."""
        path = Path(self.path)
        if self._is_locked() and path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()

    def _is_locked(self) -> bool:
        return self.lock is not None and self.lock.holds()

    def begin(self) -> None:
        """Make the directory for a first save, without what another run has left there unless that is to be resumed.

        Raises:
            CorpusError: another run has made the directory since this one began.
        """
        path = Path(self.path)
        if path.is_dir() and self._is_locked():
            if not self.resume:
                self._clear()
            return
        try:
            path.mkdir()
        except FileExistsError:
            raise in_use(path) from None
        if self.lock:
            self.lock.take()
        sync_directory(path.parent)

    def directory(self, *, staged: bool = False) -> Path:
        """Return the path, which is for training in stages or not.

        Raises:
            CorpusError: what is to be resumed there is of the other kind.
        """
        path = Path(self.path)
        if self.resume and self.holds_something() and staged != any(map(Checkpoint.holds_something, self._stages())):
            raise CorpusError(f"the checkpoint in {path} is {'not ' * staged}of training in stages: {WAY_OUT}")
        return path


@contextmanager
def using(checkpoint: Checkpoint | str | os.PathLike[str]) -> Iterator[Checkpoint]:
    """Yield a checkpoint that no other run can use until the block ends.

    Raises:
        CorpusError: another run is using it, or the directory holds other files and no checkpoint.
        NotADirectoryError: the path is not a directory, and none can be made there.
        OSError: the directory cannot be opened.
    """
    given = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if given.lock:
        yield given
        return
    path = Path(given.path)
    if not path.name or not path.parent.is_dir() or (os.path.lexists(path) and not path.is_dir()):
        raise NotADirectoryError(f"{path} cannot be a directory for a checkpoint: name one that can be made")
    with locked(path) as lock:
        if not given.holds_something() and (others := given.others()):
            raise CorpusError(
                f"{path} holds other files, such as {min(others).relative_to(path)}, and no checkpoint: name a directory for the "
                "checkpoint that is empty, or one that can be made"
            )
        yield replace(given, lock=lock)


@contextmanager
def keeping(
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    corpus: object,
    pattern: Pattern,
    progress: Callable[[Progress], object] | None,
) -> Iterator[Parts | None]:
    """Yield what the counting of a corpus has saved in a checkpoint; None without a checkpoint.

    If the block succeeds, the checkpoint is removed. An exception saves all that was counted, and `progress` follows the writing.

    Raises:
        CorpusError: the corpus is an iterator without a name, the checkpoint is of another corpus or another pattern, or another
            run is using it.
        FormatError: the checkpoint is damaged, or a later version wrote it.
        OSError: the checkpoint cannot be read, or its directory cannot be made.
    """
    if checkpoint is None:
        yield None
        return
    with using(checkpoint) as used:
        name = used.corpus or name_of(corpus)
        if name is None:
            raise CorpusError(
                "the checkpoint of an iterator cannot tell whether its documents are the same: give the corpus a name, as in "
                f"Checkpoint({os.fspath(used.path)!r}, corpus='name')"
            )
        parts = Parts(used, name, pattern)
        if used.resume and (Path(used.path) / MERGES).exists():
            raise CorpusError(
                f"the checkpoint in {os.fspath(used.path)} is of training, which has counted its corpus: {WAY_OUT}"
            )
        try:
            yield parts
        except BaseException:
            parts.rescue(progress)
            raise
        used.remove()


class Keeper:
    """What one training saves in a checkpoint, and what it found there."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        source: object,
        options: Mapping[str, Any],
        progress: Callable[[Progress], object] | None,
    ) -> None:
        """Read the checkpoint, which is in use, if there is something to resume from.

        Raises:
            CorpusError: the checkpoint is of training of another kind, or with other options.
            FormatError: the checkpoint is damaged, or a later version wrote it.
            OSError: the checkpoint cannot be read, or its directory cannot be made.
        """
        self.path = checkpoint.directory()
        self._checkpoint = checkpoint
        self._next = monotonic() + checkpoint.every
        self._options = dict(options)
        self._is_stage = "earlier_stages" in options
        self._corpus = checkpoint.corpus or name_of(source)
        self._digest: str | None = None
        self._counted: PieceCounts | None = None
        self.merges: Learned = []
        self._stays = checkpoint.stays or self.path.exists()
        if checkpoint.resume and (self.path / MERGES).exists():
            self._load(progress)
        self.parts: Parts | None = None
        """What is kept while a corpus is counted; nothing of one counted only to see whether the checkpoint is of it."""
        if self._digest is None and self._corpus is not None:
            self.parts = Parts(checkpoint, self._corpus, options["pattern"])
        if (
            self._corpus is None
            and not isinstance(source, PieceCounts | SavedCounts)
            and not options.get("earlier_stages")
        ):
            given = self.path.parent if self._is_stage else self.path
            warn(
                f"{given} keeps nothing of an iterator until all of it is counted, for it cannot tell whether the documents "
                f"are the same next time: give them a name, as in Checkpoint({os.fspath(given)!r}, corpus='name')",
                UserWarning,
            )

    def _load(self, progress: Callable[[Progress], object] | None) -> None:
        state = read_options(self.path, self._options)
        self.merges = [(left, right, times, places) for left, right, times, places in state["merges"]]
        self._digest = state["counts"]
        if self._corpus is not None and self._corpus == state["corpus"]:
            files = check([self.path / COUNTS], progress)
            if files[0].digest != self._digest:
                raise FormatError(f"{files[0].path} is not the file that the checkpoint was made with: {WAY_OUT}")
            self._counted = load(files, progress)[0]

    def counted(self) -> tuple[_core.Counted, Dropped] | None:
        """Hand over the saved counts and what was dropped from them, if they are known to be of the same corpus."""
        counted, self._counted = self._counted, None
        return None if counted is None else (counted._counts.counted(1), counted._dropped)

    def begin(self, counted: _core.Counted, dropped: Dropped, progress: Callable[[Progress], object] | None) -> None:
        """Save the counts before training consumes them: an interrupted training no longer has any to save.

        Raises:
            CorpusError: the checkpoint is of another corpus.
            OSError: there is no room for the counts.
        """
        pattern = self._options["pattern"]
        if self._digest is None:
            if not (self.parts and self.parts.kept):
                self._checkpoint.begin()
            self._digest = save_counted(counted, pattern, self.path / COUNTS, progress, dropped)
        elif self._digest != digest(counted, pattern, dropped):
            raise CorpusError(f"the checkpoint in {self.path} is of another corpus: {WAY_OUT}")
        self._write([])
        if self.parts:
            self._stays = self._stays or self.parts.kept
            self.parts.remove()

    def hear(self, learned: Learned) -> None:
        """Save the merges so far, if it is time."""
        if monotonic() >= self._next:
            self.keep(learned)

    def keep(self, learned: Learned) -> None:
        """Save the merges so far, or those already in the checkpoint if they are more."""
        self._write(learned)
        self._stays = True
        self._next = monotonic() + self._checkpoint.every

    def end(self, learned: Learned) -> None:
        """Save all merges of a training that has ended, if the checkpoint stays, is due for a save, or is of a stage."""
        if self._stays or self._is_stage or monotonic() >= self._next:
            self.keep(learned)

    def close(self) -> None:
        """Remove the checkpoint of a training that has ended, unless it is to stay."""
        if not self._stays:
            self.remove()

    def remove(self) -> None:
        """Remove the checkpoint."""
        self._checkpoint.remove()

    def _write(self, learned: Learned) -> None:
        state = {
            "options": self._options,
            "corpus": self._corpus,
            "counts": self._digest,
            "merges": max(learned, self.merges, key=len),
        }
        write_state(self.path / MERGES, state)


@contextmanager
def keeping_stages(
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    options: Sequence[Mapping[str, Any]],
    progress: Callable[[Progress], object] | None,
) -> Iterator[Callable[[int, object], Keeper | None]]:
    """Yield what returns the keeper of a stage, given its number, from 0, and its corpus; None without a checkpoint.

    What is kept of the stages stays until all are done, and then as after training without stages.

    Raises:
        CorpusError: the checkpoint is not of training in stages, one of its stages is of other `options`, one set for each, or
            another run is using it.
        FormatError: the checkpoint is damaged, or a later version wrote it.
        OSError: the checkpoint cannot be read, or its directory cannot be made.
    """
    if checkpoint is None:
        yield lambda number, corpus: None
        return
    with using(checkpoint) as whole:
        path, due = whole.directory(staged=True), monotonic() + whole.every
        stays = whole.stays or path.exists()
        stages = [whole.stage(number) for number in range(1, len(options) + 1)]
        if whole.resume:
            for stage, its_options in zip(stages, options, strict=True):
                if (Path(stage.path) / MERGES).exists():
                    read_options(Path(stage.path), its_options)
        whole.begin()
        try:
            yield lambda number, corpus: Keeper(stages[number], corpus, options[number], progress)
            if not stays and monotonic() < due:
                whole.remove()
        finally:
            whole.remove_if_empty()


def name_of(source: object) -> str | None:
    """Return a hash that identifies a corpus, made of the bytes of texts and of the path, size and modification time of files.

    None for an iterator, which cannot be inspected without consuming it, and for piece counts.
    """
    documents = [source] if isinstance(source, str | bytes | os.PathLike) else source
    if not isinstance(documents, list | tuple):
        return None
    hashed = hashlib.sha256()
    for document in documents:
        if isinstance(document, os.PathLike):
            path = Path(document).absolute()
            facts = path.stat()
            name = f"file {path} {facts.st_size} {facts.st_mtime_ns}".encode("utf-8", "surrogatepass")
        elif isinstance(document, str | bytes):
            name = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
        else:
            return None
        hashed.update(b"%d " % len(name) + name)
    return hashed.hexdigest()
