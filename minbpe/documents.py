"""Reads documents from files: text, jsonl and parquet, plain or compressed, in the same order on every machine."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO, FileIO
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import BinaryIO, NamedTuple, NoReturn, Protocol

from minbpe.compressed import FORMATS, Stream, damage_named, open_compressed
from minbpe.corpus import Streamed
from minbpe.errors import CorpusError
from minbpe.formats.counts import are_counts, in_a_pipe
from minbpe.naming import naming
from minbpe.records import read_json_lines, read_parquet

Progress = Callable[[int], object]
JSON_LINES = (".jsonl", ".ndjson")
LONG = 1 << 24
"""A text of more bytes than this is not held in memory; its consumer reads it in parts."""
READ = 1 << 20
"""Bytes to read at a time when the caller has no preference."""
BUFFER = 1 << 17
"""Bytes of a file to read at a time, as Python 3.14 does by itself; before that, a block of the file system, often 4 KB."""
STEP = 32
"""Documents of a file from one report of progress to the next: a report takes about as long as reading a short record."""


class File(NamedTuple):
    """The first `size` bytes of a file, as a document."""

    path: Path
    size: int
    progress: Progress = lambda done: None
    """Called with the number of bytes read so far."""

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def parts(self, most: int) -> Iterator[bytes]:
        """Yield its bytes, at most `most` at a time.

        Raises:
            CorpusError: The file has become shorter.
        """
        done = 0
        with naming(self.path), self.path.open("rb") as file:
            while done < self.size:
                part = file.read(min(most, self.size - done))
                if not part:
                    raise CorpusError(
                        f"{self.path} has become shorter while it was read: try again when nothing writes to it"
                    )
                done += len(part)
                yield part
                self.progress(done)


class Packed(Streamed):
    """A long text in a compressed file, as a document. It is unpacked each time it is read, and only that reveals its size."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self._progress = progress
        self._size: int | None = None

    @property
    def size(self) -> int:
        """Its size in bytes, unpacked; found by reading it, unless it has been read already."""
        if self._size is None:
            self._size = sum(map(len, self.parts(READ)))
        return self._size

    def parts(self, most: int) -> Iterator[bytes]:
        """Yield its bytes, at most `most` at a time.

        Raises:
            CorpusError: The file is damaged.
        """
        size = 0
        with self.path.open("rb") as raw, damage_named(self.path):
            for part in read_parts(open_compressed(self.path, raw), most):
                size += len(part)
                yield part
                self._progress(raw.tell())
        self._size = size


class Piped(Streamed):
    """A text that comes through a pipe, as a document that can be read only once."""

    def __init__(self, path: Path, begins: bytes, rest: Stream) -> None:
        self.path, self._begins, self._rest = path, begins, rest

    def parts(self, most: int) -> Iterator[bytes]:
        """Yield its bytes, at most `most` at a time."""
        with damage_named(self.path):
            yield from parts_of(self._begins, most)
            self._begins = b""
            yield from read_parts(self._rest, most)


Long = File | Packed | Piped
"""A document that is read in parts."""


class Rereadable(Protocol):
    """A document that is read in parts, each time from its first byte."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    def parts(self, most: int) -> Iterator[bytes]:
        """Yield its bytes, at most `most` at a time."""


def size_of(document: bytes | Rereadable) -> int:
    """Return how many bytes a document has."""
    return len(document) if isinstance(document, bytes) else document.size


def parts_of(document: bytes | Long | Rereadable, most: int) -> Iterator[bytes]:
    """Yield the bytes of a document, at most `most` at a time.

    >>> list(parts_of(b"a rose is", 4))
    [b'a ro', b'se i', b's']

    Raises:
        CorpusError: A file has become shorter, or is damaged.
    """
    if isinstance(document, bytes):
        return (document[start : start + most] for start in range(0, len(document), most))
    return document.parts(most)


def read_parts(stream: Stream, most: int) -> Iterator[bytes]:
    """Yield the rest of a stream. A short read ends it, so that at a terminal Ctrl-D need not be pressed twice."""
    part = stream.read(most)
    while part:
        yield part
        part = stream.read(most) if len(part) == most else b""


def joined(document: Long) -> bytes:
    """Return all bytes of a long document, for code that cannot work in parts; only one copy is held."""
    held = BytesIO()
    for part in document.parts(READ):
        held.write(part)
    return held.getvalue()


def after(before: int, progress: Progress) -> Progress:
    """Return a callback that reports to `progress` the bytes done, plus the `before` bytes that came earlier."""
    return lambda done: progress(before + done)


def find_files(sources: Iterable[str | Path], *, glob: str = "*") -> list[Path]:
    """Return the files of `sources` in order: a file as named, for a directory all files below it, sorted by path.

    Args:
        sources: Files and directories.
        glob: Which names to take inside directories, such as `*.py`. Files named directly are always taken.

    Raises:
        CorpusError: A source does not exist, nothing matches, or `glob` is no pattern.
        OSError: A directory may not be read; `rglob` alone would skip it.
    """

    def refuse(error: OSError) -> NoReturn:
        raise error

    found: list[Path] = []
    named = [Path(source) for source in sources]
    for source in named:
        if source.is_dir():
            for _ in os.walk(source, onerror=refuse):
                pass
            try:
                found.extend(sorted(path for path in source.rglob(glob) if path.is_file()))
            except (NotImplementedError, ValueError) as error:
                raise CorpusError(f"the pattern {glob!r} is refused ({error}): write a name such as '*.txt'") from None
        elif source.exists():
            found.append(source)
        else:
            raise CorpusError(f"{source}: no such file or directory")
    if not found:
        places = ", ".join(map(str, named)) or "an empty list of sources"
        raise CorpusError(f"no file matches {glob!r} in {places}")
    return found


def is_plain_text(path: Path) -> bool:
    """Whether a file's bytes are its text: true unless its name says jsonl, parquet or compressed.

    >>> is_plain_text(Path("a.py")), is_plain_text(Path("a.txt.gz")), is_plain_text(Path("a.jsonl"))
    (True, False, False)
    """
    return path.suffix not in (*JSON_LINES, ".parquet", *FORMATS)


def refuse_unless_plain(path: str | os.PathLike[str]) -> None:
    """Raise a CorpusError for a file whose text only `read_documents` finds, used where a path stands for a file's bytes."""
    file = Path(path)
    if not is_plain_text(file):
        raise CorpusError(
            f"{file} is a {file.suffix} file, and a path stands for the bytes of a file as they are: give "
            f"minbpe.read_documents([Path({str(file)!r})]), which reads the text in it"
        )


def mapped_or_read(path: str | os.PathLike[str]) -> str | os.PathLike[str] | bytes:
    """Return the path of a file for the core to map, but the bytes of a pipe or a device: only here Ctrl-C ends waiting for them.

    Raises:
        CorpusError: The path is that of a compressed file or of one of records.
    """
    refuse_unless_plain(path)
    try:
        mode = Path(path).stat().st_mode
    except OSError:  # of which the core tells
        return path
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return path
    with naming(Path(path)):
        return Path(path).read_bytes()


def read_documents(
    files: Iterable[Path],
    *,
    field: str = "text",
    lines: bool = False,
    progress: Progress = lambda done: None,
) -> Iterator[bytes | str | Long]:
    r"""Yield the documents of `files`: of a text file its bytes, or each of its lines; otherwise the `field` of each record.

    A text of more than 16 MB is not held in memory: it comes as a `File`, `Packed` or `Piped`, whose parts are to be read before
    the next document is taken.

    Bytes are unchanged: no newline is translated, no byte order mark removed, and invalid UTF-8 stays.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     written = Path(directory, "a.jsonl").write_text('{"text": "a rose"}\n{"text": "is a rose"}')
    ...     list(read_documents(find_files([directory])))
    ['a rose', 'is a rose']

    Args:
        files: What `find_files` returned.
        field: The field that holds the text in a jsonl or parquet record.
        lines: Whether each line of a text file, without its newline, is a document, instead of the whole file.
        progress: Called now and then with the number of bytes read so far; of a compressed file, compressed bytes.

    Raises:
        CorpusError: A file is damaged, a record lacks the field, parquet lacks pyarrow, or a pipe holds piece counts.
        MemoryError: A line or a record takes more memory than there is; the message names its file.
    """
    before = 0
    progress = _forward(progress)
    for path in files:
        told = after(before, progress)
        with BufferedReader(FileIO(os.fspath(path)), BUFFER) as raw, damage_named(path):
            for number, document in enumerate(_read_file(path, raw, field, lines, told)):
                if number % STEP == 0:
                    told(raw.tell() if raw.seekable() else 0)
                yield document
        before += path.stat().st_size
        progress(before)


def _forward(progress: Progress) -> Progress:
    """Return a callback that never reports less to `progress` than before, even if a document is read a second time."""
    furthest = 0

    def tell(done: int) -> None:
        nonlocal furthest
        furthest = max(furthest, done)
        progress(furthest)

    return tell


def _read_file(
    path: Path, raw: "BufferedReader[FileIO]", field: str, lines: bool, progress: Progress
) -> Iterator[bytes | str | Long]:
    packed = path.suffix in FORMATS
    kind = Path(path.stem).suffix if packed else path.suffix
    stream = open_compressed(path, raw) if packed else raw
    if kind in JSON_LINES:
        yield from read_json_lines(path, stream, field)
    elif kind == ".parquet":
        if packed or not raw.seekable():
            with _on_disk(stream) as unpacked:
                yield from read_parquet(path, unpacked, field)
        else:
            yield from read_parquet(path, stream, field)
    elif lines:
        first = [*islice(stream, 1)]
        _refuse_counts(path, raw, b"".join(first))
        yield from (line.removesuffix(b"\n") for line in chain(first, stream))
    elif not packed and (size := path.stat().st_size) > LONG:
        yield File(path, size, progress)
    else:
        begins = stream.read(LONG + 1)
        _refuse_counts(path, raw, begins)
        if len(begins) <= LONG:
            yield begins
        elif packed and raw.seekable():
            del begins
            yield Packed(path, progress)
        else:
            piped = Piped(path, begins, stream)
            del begins
            yield piped


def _refuse_counts(path: Path, raw: BinaryIO, begins: bytes) -> None:
    """Raise a CorpusError for piece counts from a pipe: so far only files have been checked for them."""
    if not raw.seekable() and are_counts(path, begins):
        raise in_a_pipe(path)


@contextmanager
def _on_disk(stream: Stream) -> Iterator[BinaryIO]:
    """Yield what is left of a stream in a file without a name: parquet is read from its end, to which not every stream can seek."""
    with TemporaryFile() as file:
        for part in read_parts(stream, READ):
            with naming(gettempdir()):
                file.write(part)
        yield file
