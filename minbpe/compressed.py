"""Compressed files, known by their endings, as streams of what is in them: .gz, .bz2, .xz, and .zst with pyarrow."""

import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from minbpe.errors import CorpusError
from minbpe.members import Members
from minbpe.naming import naming

Stream = BinaryIO | io.BufferedIOBase
FORMATS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}


def open_compressed(path: Path, raw: io.BufferedReader) -> Stream:
    """Return a stream of what is in the compressed file `path`, whose bytes are read from `raw`.

    Raises:
        CorpusError: What reads the format is not installed.
        EOFError: The file is empty, which no compressed one is.
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
    """Name the file if what is read of it turns out to be damaged, and in errors of the system.

    Raises:
        CorpusError: It is.
    """
    try:
        with naming(path):
            yield
    except _signs_of_damage() as error:
        # What the system says has a number, such as that a disk cannot be read.
        if path.suffix not in FORMATS or getattr(error, "errno", None) is not None:
            raise
        raise CorpusError(f"{path}: damaged or truncated {FORMATS[path.suffix]} data ({error})") from error


def _signs_of_damage() -> tuple[type[Exception], ...]:
    """Return what is raised for damaged data; lzma is imported where a file needs it, for some Pythons do without."""
    of_xz = [sys.modules["lzma"].LZMAError] if "lzma" in sys.modules else []
    return (EOFError, OSError, zlib.error, *of_xz)
