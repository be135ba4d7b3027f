"""`minbpe encode` and `minbpe decode`: text to ids and back, one document per line."""

import json
import os
import re
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

from cyclopts import Parameter

from minbpe.batches import batch_bytes, batches, encode_in_turn, numbered
from minbpe.cli.freed import give_back_what_is_freed
from minbpe.cli.options import Files, Flag, Json, Threads, Tokenizer, Whole, whole_number
from minbpe.cli.shared import Reading, UsageError, load_encoding
from minbpe.documents import Long, Piped, parts_of
from minbpe.errors import CorpusError
from minbpe.progress import Bars
from minbpe.shards import as_bytes
from minbpe.stretches import encode_stretches, encode_stretches_with_special

if TYPE_CHECKING:
    from minbpe.encoding import Encoding

STRETCH = 1 << 20
"""Bytes of a line of ids, or of lines of text from a pipe, that are read at a time."""

PRINTED, WRITTEN = 1 << 12, 1 << 6
"""How many ids are made into text at a time, and how many such texts are written at a time."""
BYTES_A_TOKEN = 16
"""More bytes per token than nearly any text has."""

LONGEST_ID = 1 << 13
"""No number that Python reads has more characters."""
UP_TO_A_COMMA, UP_TO_A_SPACE = re.compile(rb"(?s).*,"), re.compile(rb"(?s).*\s")


def encode(
    *text: str,
    tokenizer: Tokenizer,
    file: Files | None = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    special: Flag = False,
    count: Flag = False,
    first: Annotated[Whole | None, Parameter(metavar="N")] = None,
    threads: Threads | None = None,
    json: Json = False,
) -> None:
    """Print the ids of texts, one document per line.

    Args:
        text: Each argument is a document, its bytes as they are. With neither TEXT nor --file, standard input is one.
        tokenizer: A name such as o200k_base, a .model file (with or without .model), or a directory of shards.
        file: A file or a directory to encode instead of TEXT; may be repeated.
        special: Let text spell special tokens; otherwise it never does.
        reading: How sources become documents.
        count: Print how many tokens each document has instead of their ids.
        first: Print, or count, only the first N ids of each document, and read no further in a long one.
        threads: All cores by default. What is printed does not depend on it.
        json: Print each document as a JSON list.
    """
    if text and file:
        raise UsageError(
            f"{text[0]!r} stands beside --file, and would be encoded as text: write --file before each file, or give texts alone"
        )
    encoding = load_encoding(tokenizer)
    give_back_what_is_freed()
    threads = threads or os.cpu_count() or 1
    most = batch_bytes(threads)
    if first is not None:
        most = min(most, max(STRETCH, first * BYTES_A_TOKEN))
    with _printing(), Bars() as bars:
        groups = _documents(text, file, reading, bars)
        for documents in _encoded(groups, encoding, special, threads, most):
            cut = documents if first is None else (_first(first, stretches) for stretches in documents)
            if count:
                _print(f"{sum(map(len, stretches))}\n" for stretches in cut)
            else:
                _print(part for stretches in cut for part in _line(stretches, json))


def decode(
    *ids: Annotated[int, Parameter(converter=whole_number)],
    tokenizer: Tokenizer,
    file: Files | None = None,
    lines: Flag = False,
    json: Json = False,
) -> None:
    """Print the text of ids, byte for byte.

    Args:
        ids: One document. With neither IDS nor --file, standard input holds one per line, as encode prints them.
        tokenizer: A name such as o200k_base, a .model file (with or without .model), or a directory of shards.
        file: A file of ids, one document per line; may be repeated.
        lines: End each document with a newline, which encode --lines took away.
        json: Print each document as a JSON string, on one line.
    """
    encoding = load_encoding(tokenizer)
    out = sys.stdout.buffer
    end = b""
    with _printing():
        for document in chain([iter([list(ids)])] if ids else [], _documents_of_ids(file) if file or not ids else []):
            content = map(encoding.decode_bytes, document)
            end = b"\n" if json or lines else b""
            for part in chain(_quoted(content) if json else content, [end]):
                out.write(part)
        if sys.stdout.isatty() and not end:
            out.write(b"\n")
        out.flush()


@contextmanager
def _printing() -> Iterator[None]:
    """Let Ctrl-C end a block with a message about what it has printed."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what was printed is not complete") from None


def _documents(
    texts: Sequence[str], files: list[Path] | None, reading: Reading, bars: Bars
) -> Iterator[Iterable[bytes | Long]]:
    """Yield documents in groups: lines that have come through a pipe do not wait for those to come."""
    if texts:
        yield map(_given, texts)
    if files:
        documents = reading.documents(files, bars, "encode")
        yield (as_bytes(document) if isinstance(document, bytes | str) else document for document in documents)
    if not texts and not files:
        stream = _standard_input("a text")
        if reading.lines:
            yield from _lines_so_far(stream)
        else:
            yield [Piped(Path("standard input"), b"", stream)]


def _lines_so_far(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Yield the lines that have come through a pipe, or from a terminal, without waiting for more."""
    held: list[bytes] = []
    while part := stream.read1(STRETCH):
        lines, newline, rest = part.rpartition(b"\n")
        if newline:
            yield b"".join([*held, lines]).split(b"\n")
            held = []
        held.append(rest)
    if last := b"".join(held):
        yield [last]


def _given(argument: str) -> bytes:
    """Return the bytes of an argument: on POSIX, where arguments are bytes, as they were given; elsewhere its UTF-8."""
    try:
        return os.fsencode(argument) if os.name == "posix" else as_bytes(argument)
    except UnicodeEncodeError:  # The argument comes from a program that calls `main`.
        return as_bytes(argument)


def _encoded(
    groups: Iterable[Iterable[bytes | Long]], encoding: "Encoding", special: bool, threads: int, most: int
) -> Iterator[Iterable[Iterator[memoryview]]]:
    """Yield the ids of each document of a batch, or of a long document alone, some at a time."""
    of_groups: Iterator[list[bytes] | bytes | Long] = chain.from_iterable(batches(group, most) for group in groups)
    before = 0
    for batch in of_groups:
        if isinstance(batch, list):
            for _, ids, ends in encode_in_turn(batch, before, encoding, threads, special=special):
                of_batch = memoryview(ids)
                yield (iter([of_batch[start:end]]) for start, end in pairwise(ends))
            before += len(batch)
        else:
            before += 1
            encode_long = encode_stretches_with_special if special else encode_stretches
            stretches = encode_long(parts_of(batch, most), encoding, threads)
            yield [map(memoryview, numbered(before, stretches))]


def _first(limit: int, stretches: Iterator[memoryview]) -> Iterator[memoryview]:
    """Yield the first `limit` ids, and take no stretch that comes after them."""
    while limit > 0 and (ids := next(stretches, None)) is not None:
        yield ids[:limit]
        limit -= len(ids)


def _line(stretches: Iterable[memoryview], as_json: bool) -> Iterator[str]:
    """Yield the line of ids that stands for a document, in parts."""
    opening, between, closing = ("[", ", ", "]\n") if as_json else ("", " ", "\n")
    parts = (ids[start : start + PRINTED] for ids in stretches for start in range(0, len(ids), PRINTED))
    yield opening
    for number, ids in enumerate(parts):
        yield between * (number > 0) + between.join(map(str, ids.tolist()))
    yield closing


def _print(parts: Iterator[str]) -> None:
    """Print parts of lines, many at a time: a terminal, for one, gets each write at once."""
    while some := "".join(islice(parts, WRITTEN)):
        sys.stdout.write(some)


def _documents_of_ids(files: list[Path] | None) -> Iterator[Iterator[list[int]]]:
    """Yield the ids of each line, some at a time."""
    if not files:
        yield from _lines_of_ids("line ", _standard_input("ids"))
    for path in files or ():
        if path.is_dir():
            raise CorpusError(f"{path} is a directory: name a file of ids")
        with path.open("rb") as stream:
            yield from _lines_of_ids(f"{path}:", stream)


def _lines_of_ids(place: str, stream: BinaryIO) -> Iterator[Iterator[list[int]]]:
    number = 0
    while begins := stream.readline(STRETCH):
        number += 1
        yield _ids_of(f"{place}{number}", begins, stream)


def _ids_of(place: str, begins: bytes, stream: BinaryIO) -> Iterator[list[int]]:
    """Yield the ids of one line, some at a time if it is long; `begins` is what was read of it so far."""
    listed = begins.startswith(b"[")
    first = True
    try:
        for part, last in _parts_of_line(begins, stream, UP_TO_A_COMMA if listed else UP_TO_A_SPACE):
            if listed:
                # Zeros stand in for the ids before and after this part.
                whole = (b"" if first else b"[0,") + part + (b"" if last else b"0]")
                ids = json.loads(whole)[0 if first else 1 : None if last else -1]
            else:
                ids = [int(word) for word in part.split()]
            if any(type(token_id) is not int for token_id in ids):
                raise ValueError(part)
            yield ids
            first = False
    except (ValueError, RecursionError) as error:
        shown = f"{begins[:40]!r}{'...' if len(begins) > 40 else ''}"
        raise CorpusError(f"{place}: {shown} is no line of ids: write them as `1 2 3` or `[1, 2, 3]`") from error


def _parts_of_line(begins: bytes, stream: BinaryIO, up_to: re.Pattern[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield a line in parts, each up to its last separator between ids, with whether it is the last part."""
    held, part = b"", begins
    while len(part) == STRETCH and not part.endswith(b"\n"):
        held += part
        if cut := up_to.match(held):
            yield cut[0], False
            held = held[cut.end() :]
        elif len(held.strip()) > LONGEST_ID:
            raise ValueError(held)
        part = stream.readline(STRETCH)
    yield held + part, True


def _quoted(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield text as a JSON string, a part at a time; what is not UTF-8 becomes U+FFFD."""
    decoder = getincrementaldecoder("utf-8")("replace")
    opening = b'"'
    for part in content:
        yield opening + json.dumps(decoder.decode(part))[1:-1].encode()
        opening = b""
    yield opening + json.dumps(decoder.decode(b"", final=True))[1:-1].encode() + b'"'


def _standard_input(instead: str) -> BufferedReader:
    if sys.stdin is None:
        raise CorpusError(f"standard input is closed: give {instead}, or --file")
    if sys.stdin.isatty():
        print("reading standard input; end it with Ctrl-D", file=sys.stderr)
    return cast("BufferedReader", sys.stdin.buffer)
