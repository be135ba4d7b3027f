"""`minbpe encode` and `minbpe decode`: text to ids and back, one document per line."""

import json
import os
import re
import sys
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from minbpe.cli.options import Files, Flag, Json, Tokenizer, whole_numbers
from minbpe.cli.shared import Reading, UsageError, load_encoding
from minbpe.documents import Long, parts_of, read_parts
from minbpe.errors import CorpusError
from minbpe.progress import Bars
from minbpe.shards import as_bytes
from minbpe.stretches import encode_stretches, encode_stretches_with_special

if TYPE_CHECKING:
    from minbpe.encoding import Encoding

STRETCH = 1 << 20
"""Bytes of text, or of a line of ids, that are held at a time."""

LONGEST_ID = 1 << 13
"""No number that Python reads has more characters."""
UP_TO_A_COMMA, UP_TO_A_SPACE = re.compile(rb"(?s).*,"), re.compile(rb"(?s).*\s")


def encode(
    text: list[str] | None = None,
    /,
    *,
    tokenizer: Tokenizer,
    file: Files | None = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    special: Flag = False,
    count: Flag = False,
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
        json: Print each document as a JSON list.
    """
    if text and file:
        raise UsageError(
            f"{text[0]!r} stands beside --file, and would be encoded as text: write --file before each file, or give texts alone"
        )
    encoding = load_encoding(tokenizer)
    with _printing(), Bars() as bars:
        for document in _documents(text, file, reading, bars):
            stretches = _encode(document, encoding, special)
            if count:
                print(sum(map(len, stretches)))
            else:
                _print_ids(stretches, json)


def decode(
    ids: Annotated[list[int] | None, Parameter(converter=whole_numbers)] = None,
    /,
    *,
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
        for document in chain([iter([ids])] if ids else [], _documents_of_ids(file) if file or not ids else []):
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
    texts: list[str] | None, files: list[Path] | None, reading: Reading, bars: Bars
) -> Iterator[bytes | Iterator[bytes]]:
    """Yield each document; a long one comes in parts, which are read as they are encoded."""
    if texts:
        yield from map(_in_parts, map(_given, texts))
    if files:
        for document in reading.documents(files, bars, "encode"):
            yield _in_parts(document if isinstance(document, Long) else as_bytes(document))
    if not texts and not files:
        whole = _standard_input("a text")
        if reading.lines:
            yield from (_in_parts(line.removesuffix(b"\n")) for line in whole)
        else:
            yield read_parts(whole, STRETCH)


def _given(argument: str) -> bytes:
    """Return the bytes of an argument: on POSIX, where arguments are bytes, as they were given; elsewhere its UTF-8."""
    try:
        return os.fsencode(argument) if os.name == "posix" else as_bytes(argument)
    except UnicodeEncodeError:  # The argument comes from a program that calls `main`.
        return as_bytes(argument)


def _in_parts(document: bytes | Long) -> bytes | Iterator[bytes]:
    if isinstance(document, bytes) and len(document) <= STRETCH:
        return document
    return parts_of(document, STRETCH)


def _encode(document: bytes | Iterator[bytes], encoding: "Encoding", special: bool) -> Iterator[Sequence[int]]:
    """Yield the ids of a document, some at a time if it is long."""
    if not isinstance(document, bytes):
        stretches = (encode_stretches_with_special if special else encode_stretches)(document, encoding)
        yield from (memoryview(ids) for ids in stretches)
    elif special:
        yield encoding.encode(document.decode("utf-8", "replace"), allowed_special="all")
    else:
        yield encoding.encode_bytes(document)


def _print_ids(stretches: Iterable[Sequence[int]], as_json: bool) -> None:
    """Print the ids of a document as they come, on one line."""
    opening, between, closing = ("[", ", ", "]\n") if as_json else ("", " ", "\n")
    ready = opening
    for number, ids in enumerate(filter(len, stretches)):
        if number:
            sys.stdout.write(ready)
            ready = between
        ready += between.join(map(str, ids))
    sys.stdout.write(ready + closing)


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


def _standard_input(instead: str) -> BinaryIO:
    if sys.stdin is None:
        raise CorpusError(f"standard input is closed: give {instead}, or --file")
    if sys.stdin.isatty():
        print("reading standard input; end it with Ctrl-D", file=sys.stderr)
    return sys.stdin.buffer
