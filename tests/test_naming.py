"""An error while reading has an error number and the file's name, like one while opening, whichever code reads."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minbpe import _core
from minbpe.counting import PieceCounts, count
from minbpe.documents import File, parts_of, read_documents
from minbpe.formats.counts import is_counts

# It can be opened, but no byte of it can be read.
UNREADABLE = Path("/proc/self/mem")


def counter() -> _core.Counter:
    return _core.Counter(None, 1, None, (0, 0))


READERS: dict[str, Callable[[Path], Any]] = {
    "count": count,
    "count among others": lambda path: count(["text", path]),
    "documents": lambda path: [*read_documents([path])],
    "lines": lambda path: [*read_documents([path], lines=True)],
    "long": lambda path: [*parts_of(File(path, 9), 9)],
    "counts": PieceCounts.load,
    "is_counts": lambda path: is_counts(path) or count(path),
    "core: document": lambda path: counter().add([path], None, None),
    "core: absorb": lambda path: counter().absorb(path, 0, 0, None),
    "core: survey": lambda path: _core.Survey(path, 0, None),
    "core: counts": lambda path: _core.PieceCounts.read(path, 0, None),
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file of which no byte can be read")
@every_reader
def test_a_file_of_which_no_byte_can_be_read_is_named(read: Callable[[Path], Any]) -> None:
    with pytest.raises(OSError, match="Input/output error") as raised:
        read(UNREADABLE)
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, os.fspath(UNREADABLE))
    assert str(raised.value) == f"[Errno {errno.EIO}] Input/output error: '{UNREADABLE}'"


@every_reader
def test_a_file_that_is_not_there_is_named(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        read(tmp_path / "none")
    assert raised.value.filename == os.fspath(tmp_path / "none")


@pytest.mark.skipif(os.name != "posix", reason="Windows does not open directories")
def test_a_directory_is_one_for_the_core_too(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as raised:
        counter().add([tmp_path], None, None)
    assert raised.value.filename == os.fspath(tmp_path)
