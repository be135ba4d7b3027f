"""A file that appears whole or not at all: it is written beside its destination, flushed to disk, then renamed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from minbpe.naming import naming


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write. It replaces `path` if the block succeeds; otherwise `path` is left as it was.

    A link stays a link, now to the new file. An OSError that names no file, such as a full disk's, is given this file's name.

    Raises:
        FileExistsError: `path` is a device, a pipe or a directory, which are never replaced.
        OSError: the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "ids"
    ...     with replacing(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_bytes()
    b'whole'
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "this is no file, and is not replaced by one", os.fspath(path))
    place = Path(os.path.realpath(path))
    beside = place.with_name(place.name + ".tmp")
    try:
        with naming(path), beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(place.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut, where the system can sync a directory."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
