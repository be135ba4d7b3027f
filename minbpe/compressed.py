"""Compressed files as streams of their contents, recognised by their endings: .gz, .bz2, .xz, and .zst with pyarrow."""

import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from minbpe.errors import CorpusError
from minbpe.members import Members
from minbpe.naming import naming

Stream = BinaryIO | io.BufferedIOBase
FORMATS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}


def open_compressed(path: Path, raw: "io.BufferedReader[Any]") -> Stream:
    """Return a stream of the contents of the compressed file `path`, whose bytes are read from `raw`.

    Raises:
        CorpusError: The library that reads the format is not installed.
        EOFError: The file is empty, which no compressed file is.
    """
    if not raw.peek(1):
        raise EOFError("it is empty")
    try:
        match path.suffix:
            case ".gz":
                from gzip import GzipFile

                return GzipFile(fileobj=raw)
            case ".bz2":
                from bz2 import BZ2Decompressor

                return io.BufferedReader(Members(raw, BZ2Decompressor))
            case ".xz":
                from lzma import LZMADecompressor

                return io.BufferedReader(Members(raw, LZMADecompressor, padding=4))
        from pyarrow import CompressedInputStream

        return io.BufferedReader(CompressedInputStream(raw, "zstd"))
    except ImportError as error:
        way_out = "unpack it first, for this Python was built without it"
        if path.suffix == ".zst":
            way_out = 'pip install "minbpe[data]"'
        raise CorpusError(f"{path}: reading {path.suffix} needs {error.name}: {way_out}") from error


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Name the file in errors raised while reading it, whether the data is damaged or the system fails.

    Raises:
        CorpusError: The data is damaged.
        MemoryError: A line or a record does not fit in memory.
    """
    try:
        with naming(path):
            yield
    except MemoryError as error:
        raise MemoryError(
            f"{path}: a line or a record in it takes more memory than there is: cut it up first"
        ) from error
    except _signs_of_damage() as error:
        # Errors from the system, such as an unreadable disk, have a number.
        if path.suffix not in FORMATS or getattr(error, "errno", None) is not None:
            raise
        raise CorpusError(f"{path}: damaged or truncated {FORMATS[path.suffix]} data ({error})") from error


def _signs_of_damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that damaged data raises. lzma is imported only when a file needs it, as some Pythons lack it."""
    of_xz = [sys.modules["lzma"].LZMAError] if "lzma" in sys.modules else []
    return (EOFError, OSError, zlib.error, *of_xz)
