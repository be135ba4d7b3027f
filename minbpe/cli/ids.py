"""`minbpe encode` and `minbpe decode`: text to ids and back, a document a line."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from minbpe.cli.shared import Flag, Json, Reading, Tokenizer, load_encoding
from minbpe.documents import File
from minbpe.errors import CorpusError
from minbpe.progress import Bars
from minbpe.shards import as_bytes

Files = Annotated[list[Path] | None, Parameter(name=["--file", "-f"], negative="")]


def encode(
    text: list[str] | None = None,
    /,
    *,
    tokenizer: Tokenizer,
    file: Files = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    special: Flag = False,
    json: Json = False,
) -> None:
    """Print the ids of texts, one document a line.

    Args:
        text: Each argument is a document. Without any, and without --file, standard input is one.
        tokenizer: A name such as o200k_base, or a .model file.
        file: Files or directories to encode. May be given several times.
        special: Let text spell special tokens; otherwise it never does.
        reading: How sources become documents.
        json: Print each document as a JSON list.
    """
    encoding = load_encoding(tokenizer)
    with Bars() as bars:
        documents = _documents(text, file, reading, bars)
        for document in documents:
            if special:
                ids = encoding.encode(as_bytes(document).decode("utf-8", "replace"), allowed_special="all")
            else:
                ids = encoding.encode_bytes(as_bytes(document))
            print(ids if json else " ".join(map(str, ids)))


def decode(
    ids: list[int] | None = None,
    /,
    *,
    tokenizer: Tokenizer,
    file: Files = None,
    lines: Flag = False,
    json: Json = False,
) -> None:
    """Print the text of ids, byte for byte.

    Args:
        ids: One document. Without any, and without --file, standard input holds one a line, as encode prints them.
        tokenizer: A name such as o200k_base, or a .model file.
        file: Files of ids, a document a line.
        lines: End each document with a newline, as encode --lines took one away.
        json: Print each document as a JSON string, on a line.
    """
    encoding = load_encoding(tokenizer)
    out = sys.stdout.buffer
    end = b""
    for document in [ids] if ids else _ids_of(_lines(file)):
        content = encoding.decode_bytes(document)
        end = b"\n" if json or lines else b""
        out.write((_quoted(content) if json else content) + end)
    if sys.stdout.isatty() and not end:
        out.write(b"\n")
    out.flush()


def _documents(
    texts: list[str] | None, files: list[Path] | None, reading: Reading, bars: Bars
) -> Iterator[bytes | str | File]:
    if texts:
        yield from texts
    if files:
        yield from reading.documents(files, bars, "encode")
    if not texts and not files:
        _hint()
        whole = sys.stdin.buffer
        yield from (line.removesuffix(b"\n") for line in whole) if reading.lines else [whole.read()]


def _lines(files: list[Path] | None) -> Iterator[tuple[str, bytes]]:
    """Each line with its place."""
    if not files:
        _hint()
        yield from ((f"line {number}", line) for number, line in enumerate(sys.stdin.buffer, start=1))
    for path in files or ():
        with path.open("rb") as stream:
            yield from ((f"{path}:{number}", line) for number, line in enumerate(stream, start=1))


def _ids_of(lines: Iterable[tuple[str, bytes]]) -> Iterator[list[int]]:
    for place, line in lines:
        try:
            ids = json.loads(line) if line.startswith(b"[") else [int(word) for word in line.split()]
            if any(type(token_id) is not int for token_id in ids):
                raise ValueError(line)
        except (ValueError, RecursionError) as error:
            shown = f"{line[:40]!r}{'...' if len(line) > 40 else ''}"
            raise CorpusError(f"{place}: {shown} is no line of ids: write them as `1 2 3` or `[1, 2, 3]`") from error
        yield ids


def _quoted(content: bytes) -> bytes:
    return json.dumps(content.decode("utf-8", "replace")).encode()


def _hint() -> None:
    if sys.stdin.isatty():
        print("reading standard input; end it with Ctrl-D", file=sys.stderr)
