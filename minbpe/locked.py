"""The lock of a directory, which one run at a time holds: the system's own, so it ends with the run, even by kill -9."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from minbpe.errors import CorpusError

try:
    import fcntl
except ImportError:  # Windows cannot lock a directory.
    fcntl = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Lock:
    """A run's lock on the directory of a checkpoint, which may be made and removed while the run goes on."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def holds(self) -> bool:
        """Whether the directory at the path is the one that this locks; always where no directory can be locked."""
        if fcntl is None:
            return True
        try:
            return self._descriptor is not None and os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def take(self) -> None:
        """Lock the directory if there is one; a file system without locks, such as some over a network, goes without.

        Raises:
            CorpusError: another run holds the lock.
            OSError: the directory cannot be opened.
        """
        while fcntl and not self.holds():  # Whoever held the lock before may have removed the directory meanwhile.
            self.release()
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                return
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.release()
                raise in_use(self._path) from None
            except OSError:
                continue

    def release(self) -> None:
        """Unlock the directory.

        A child forked during the run shares the lock, and unlocking takes it from both, which closing would not. Only if the run
        is killed does the lock stay with the child until that ends.
        """
        descriptor, self._descriptor = self._descriptor, None
        if fcntl and descriptor is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[Lock]:
    """Yield the lock on a directory for a block; it is taken if the directory is there, and otherwise can be once it is made.

    Raises:
        CorpusError: another run holds the lock.
        OSError: the directory cannot be opened.
    """
    lock = Lock(path)
    try:
        lock.take()
        yield lock
    finally:
        lock.release()


def in_use(path: Path) -> CorpusError:
    """Return the error of a run whose checkpoint another one has."""
    return CorpusError(
        f"another run is using the checkpoint in {path}: wait for it to end, or name another (for a command, another --out)"
    )
