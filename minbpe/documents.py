"""Documents out of files: text, jsonl and parquet, plain or gzipped, in an order that is the same on every machine."""

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from minbpe.errors import CorpusError
from minbpe.formats.counts import are_counts, in_a_pipe

Stream = BinaryIO | gzip.GzipFile
JSON_LINES = (".jsonl", ".ndjson")
LONG = 1 << 24
"""A text file of more bytes is not held: whoever takes it reads its parts."""


class File(NamedTuple):
    """The first `size` bytes of a file, as a document."""

    path: Path
    size: int

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def size_of(document: bytes | File) -> int:
    """Return how many bytes a document has."""
    return document.size if isinstance(document, File) else len(document)


def parts_of(document: bytes | File, most: int) -> Iterator[bytes]:
    """Yield the bytes of a document, at most so many at a time.

    >>> list(parts_of(b"a rose is", 4))
    [b'a ro', b'se i', b's']

    Raises:
        CorpusError: The file has become shorter.
    """
    if isinstance(document, bytes):
        yield from (document[start : start + most] for start in range(0, len(document), most))
        return
    left = document.size
    with document.path.open("rb") as file:
        while left:
            part = file.read(min(most, left))
            if not part:
                raise CorpusError(
                    f"{document.path} has become shorter while it was read: try again when nothing writes to it"
                )
            left -= len(part)
            yield part


def find_files(sources: Iterable[str | Path], *, glob: str = "*") -> list[Path]:
    """Return the files of `sources` in order: a file as it is named, a directory's files below it sorted by path.

    Args:
        sources: Files and directories.
        glob: Which names to take inside directories, such as `*.py`. Files named directly are always taken.

    Raises:
        CorpusError: A source does not exist, or nothing matches.
    """
    found: list[Path] = []
    named = [Path(source) for source in sources]
    for source in named:
        if source.is_dir():
            found.extend(sorted(path for path in source.rglob(glob) if path.is_file()))
        elif source.exists():
            found.append(source)
        else:
            raise CorpusError(f"{source}: no such file or directory")
    if not found:
        places = ", ".join(map(str, named)) or "an empty list of sources"
        raise CorpusError(f"no file matches {glob!r} in {places}")
    return found


def is_plain_text(path: Path) -> bool:
    """Whether the bytes of the file are its text, as for every name that is not jsonl, parquet or gzipped.

    >>> is_plain_text(Path("a.py")), is_plain_text(Path("a.txt.gz")), is_plain_text(Path("a.jsonl"))
    (True, False, False)
    """
    return path.suffix not in (*JSON_LINES, ".parquet", ".gz")


def read_documents(
    files: Iterable[Path],
    *,
    field: str = "text",
    lines: bool = False,
    progress: Callable[[int], object] = lambda done: None,
) -> Iterator[bytes | str | File]:
    """Yield the documents of `files`: a text file's bytes, or each of its lines; a record's `field` elsewhere.

    A text file of more than 16 MB is given as a `File`, not read.

    Bytes are given as they are: no newline is translated, no mark removed, and what is not UTF-8 stays.

    Args:
        files: What `find_files` returned.
        field: The name of the text in a record of jsonl or parquet.
        lines: A document is a line of a text file, without its newline, instead of the whole file.
        progress: Called with the bytes of the files (compressed as they are) read so far.

    Raises:
        CorpusError: A file that is damaged, a record without the field, parquet without pyarrow, or piece counts in a pipe.
    """
    before = 0
    for path in files:
        with path.open("rb") as raw:
            try:
                for document in _read_file(path, raw, field, lines):
                    progress(before + (raw.tell() if raw.seekable() else 0))
                    yield document
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise CorpusError(f"{path}: damaged or truncated gzip data ({error})") from error
        before += path.stat().st_size
        progress(before)


def _read_file(path: Path, raw: BinaryIO, field: str, lines: bool) -> Iterator[bytes | str | File]:
    zipped = path.suffix == ".gz"
    kind = Path(path.stem).suffix if zipped else path.suffix
    stream = gzip.GzipFile(fileobj=raw) if zipped else raw
    if kind in JSON_LINES:
        yield from _read_records(path, stream, field)
    elif kind == ".parquet":
        yield from _read_parquet(path, stream, field)
    elif lines:
        yield from (line.removesuffix(b"\n") for line in _text(path, raw, iter(stream)))
    elif not zipped and (size := path.stat().st_size) > LONG:
        yield File(path, size)
    else:
        yield from _text(path, raw, iter([stream.read()]))


def _text(path: Path, raw: BinaryIO, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return the parts of a text. What comes through a pipe may be piece counts, for which only files were looked at before."""
    first = [*islice(parts, 1)]
    if first and not raw.seekable() and are_counts(path, first[0]):
        raise in_a_pipe(path)
    return chain(first, parts)


def _read_records(path: Path, stream: Stream, field: str) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"{path}:{number}: not a line of JSON ({error})") from error
        yield _text_of(record, field, f"{path}:{number}")


def _read_parquet(path: Path, stream: Stream, field: str) -> Iterator[str]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise CorpusError(f'{path}: reading parquet needs pyarrow: pip install "minbpe[data]"') from error
    try:
        table = parquet.ParquetFile(stream)
        if field not in table.schema_arrow.names:
            names = ", ".join(table.schema_arrow.names)
            raise CorpusError(f"{path}: no column {field!r} (there are: {names}); name the text's column with --field")
        for batch in table.iter_batches(batch_size=1024, columns=[field]):
            for record in batch.to_pylist():
                yield _text_of(record, field, str(path))
    except ArrowException as error:
        raise CorpusError(f"{path}: {error}") from error


def _text_of(record: object, field: str, place: str) -> str:
    text = record.get(field) if isinstance(record, dict) else None
    if isinstance(text, str):
        return text
    fields = ", ".join(map(str, record)) if isinstance(record, dict) else f"a {type(record).__name__}"
    raise CorpusError(f"{place}: no text in field {field!r} (the record has: {fields}); name it with --field")
