"""One shard: token ids in a file that llm.c reads, and beside it an index of where each document ends."""

import hashlib
import mmap
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from minbpe.atomic import replacing
from minbpe.behind import Behind
from minbpe.documents import READ, Rereadable, parts_of, size_of
from minbpe.errors import CorpusError, FormatError
from minbpe.manifest import Shard
from minbpe.wording import several

HEADER, LENGTH = struct.Struct("<256i"), struct.Struct("<Q")
LARGEST = 2**31 - 1
"""The most ids a shard may hold: llm.c's header counts them in an int32."""


WAY_OUT = "the command that wrote it repairs it"


class Kind(NamedTuple):
    """How ids of one width are stored."""

    magic: int
    version: int
    code: Literal["H", "I"]
    """The type code of `array` and `memoryview`."""
    width: int


KINDS = {"uint16": Kind(20240520, 1, "H", 2), "uint32": Kind(20240801, 7, "I", 4)}


class Document(NamedTuple):
    """A long document, as bytes or the file that holds them, and its ids as stored, a part at a time."""

    text: bytes | Rereadable
    ids: Iterable[bytes]


class Rows(NamedTuple):
    """Documents, with their ids as stored one after the other."""

    texts: Sequence[bytes]
    ids: memoryview
    ends: Sequence[int]
    """Where the ids of each document end."""

    def part(self, start: int, end: int) -> "Rows":
        """Return the documents from `start` to `end`.

        >>> rows = Rows([b"a", b"rose", b"is"], memoryview(b"0abcd1"), [1, 5, 6]).part(1, 3)
        >>> rows.texts, rows.ids.tobytes(), rows.ends
        ([b'rose', b'is'], b'abcd1', [4, 5])
        """
        if (start, end) == (0, len(self.ends)):
            return self
        before = self.ends[start - 1] if start else 0
        ends = [each - before for each in self.ends[start:end]]
        return Rows(self.texts[start:end], self.ids[before : before + ends[-1]], ends)


class Ids(NamedTuple):
    """The content of a shard, mapped into memory."""

    ids: memoryview
    """Of format `H` (uint16) or `I` (uint32); `numpy.asarray(ids)` makes no copy."""
    ends: memoryview | None
    """Where each document ends, in ids; None for a file without an index beside it, such as llm.c's own."""


class DocumentHash:
    """sha256 over documents, each preceded by its length as 8 bytes, so that their boundaries count too."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, document: bytes | Rereadable) -> None:
        """Hash the next document."""
        self.add_parts(size_of(document), parts_of(document, READ))

    def add_all(self, documents: Sequence[bytes]) -> None:
        """Hash the next documents."""
        lengths = map(LENGTH.pack, map(len, documents))
        self._hash.update(b"".join(chain.from_iterable(zip(lengths, documents, strict=True))))

    def add_parts(self, size: int, parts: Iterable[bytes]) -> None:
        """Hash the next document, of `size` bytes, a part at a time."""
        self._hash.update(LENGTH.pack(size))
        for part in parts:
            self._hash.update(part)

    def hexdigest(self) -> str:
        """Return the hash of the documents so far."""
        return self._hash.hexdigest()


def write(directory: Path, name: str, dtype: str, documents: Iterable[Document | Rows], threads: int = 1) -> Shard:
    """Write `name.bin` and `name.idx`, which appear whole or not at all, and return what they hold.

    With several threads, what came before is written and hashed while the next documents are waited for.

    Raises:
        CorpusError: More ids than the header can count.
    """
    kind, ends, size, source = KINDS[dtype], array("Q"), 0, DocumentHash()
    path, index = directory / f"{name}.bin", directory / f"{name}.idx"
    tokens = 0

    def add(ids: bytes | memoryview) -> None:
        nonlocal tokens
        tokens += memoryview(ids).nbytes // kind.width
        if tokens > LARGEST:
            raise CorpusError(
                f"a document has more ids than a shard can hold, which are {LARGEST:,}: cut it first, or give it as lines"
            )
        file.write(ids)

    def add_rows(rows: Rows) -> None:
        ends.extend(array("Q", map(tokens.__add__, rows.ends)))
        add(rows.ids)
        source.add_all(rows.texts)

    with replacing(path) as file, Behind(threads) as behind:
        file.seek(HEADER.size)
        for document in documents:
            if isinstance(document, Rows):
                size += sum(map(len, document.texts))
                behind.do(partial(add_rows, document))
                continue
            for ids in document.ids:
                behind.do(partial(add, ids))
            behind.wait()
            ends.append(tokens)
            size += size_of(document.text)
            source.add(document.text)
        behind.wait()
        file.seek(0)
        file.write(HEADER.pack(kind.magic, kind.version, tokens, *[0] * 253))
    with replacing(index) as file:
        file.write(_little_endian(memoryview(ends)))
    return Shard(
        file=path.name,
        index=index.name,
        tokens=tokens,
        documents=len(ends),
        bytes=size,
        sha256=sha256_of(path),
        index_sha256=sha256_of(index),
        source_sha256=source.hexdigest(),
    )


def read_shard(path: str | Path) -> Ids:
    """Map one shard, ours or llm.c's, into memory.

    Raises:
        FormatError: The header is not llm.c's, or the file does not hold what its header says.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER.size)
        magic, version, tokens = HEADER.unpack(head)[:3] if len(head) == HEADER.size else (0, 0, 0)
        kind = next((kind for kind in KINDS.values() if kind[:2] == (magic, version)), None)
        if kind is None:
            raise FormatError(
                f"{path} is no shard: it does not begin with llm.c's header for uint16 or uint32 ids; name a file that "
                "minbpe shard or llm.c wrote"
            )
        if size != HEADER.size + tokens * kind.width:
            raise FormatError(
                f"{path} is damaged: its header says {several(tokens, 'id')}, but it is {several(size, 'byte')} long; "
                f"{WAY_OUT}"
            )
        ids = _little_endian(_map(file)[HEADER.size :].cast(kind.code))
    index = path.with_suffix(".idx")
    if not index.exists():
        return Ids(ids, None)
    size = index.stat().st_size
    if size % 8 or not size:
        raise FormatError(f"{index} is damaged: its size, {several(size, 'byte')}, is no multiple of 8; {WAY_OUT}")
    with index.open("rb") as file:
        return Ids(ids, _little_endian(_map(file).cast("Q")))


def is_shard(path: Path) -> bool:
    """Whether a file is a shard, ours or llm.c's."""
    try:
        read_shard(path)
    except (FormatError, OSError):
        return False
    return True


def damage(shard: Shard, directory: Path) -> str | None:
    """Say how the files of `shard` differ from what was written, or return None if they do not."""
    for name, expected in ((shard.file, shard.sha256), (shard.index, shard.index_sha256)):
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if sha256_of(path) != expected:
            return f"{name} was changed: its sha256 is not the manifest's"
    return None


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _map(file: BinaryIO) -> memoryview:
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _little_endian(numbers: memoryview) -> memoryview:
    """Swap the bytes of each number on a big-endian machine; copies only there."""
    if sys.byteorder == "little":
        return numbers
    swapped = array(numbers.format, numbers)
    swapped.byteswap()
    return memoryview(swapped)
