"""Documents in batches: short ones are encoded together, longer ones alone, so threads have work and memory has a bound."""

import os
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from minbpe import _core
from minbpe.errors import PatternError

if TYPE_CHECKING:
    from minbpe.encoding import Encoding

Long = TypeVar("Long")
"""A document that is not held in memory."""

Encoded = TypeVar("Encoded")

Around: TypeAlias = tuple[int | None, int | None]
"""Ids that each document has around it, if any: before its own, and after them."""

BATCH_BYTES = 1 << 21
"""Bytes of text encoded at once, for each thread that has a core: short documents together, a longer one in stretches."""
BATCH_DOCUMENTS = 1 << 16
"""Documents in a batch, however short they are."""


def batch_bytes(threads: int) -> int:
    """Return how many bytes of text `threads` threads encode at once."""
    return min(threads, os.cpu_count() or 1) * BATCH_BYTES


def batches(documents: Iterable[bytes | Long], most: int) -> Iterator[list[bytes] | bytes | Long]:
    """Group documents up to about `most` bytes, which keeps memory small, with longer ones alone; this changes no id.

    >>> list(batches([b"a", b"rose", b"is a rose", b"is"], 4))
    [[b'a', b'rose'], b'is a rose', [b'is']]
    """
    coming = iter(documents)
    failed: Exception | None = None
    batch: list[bytes] = []
    size = 0
    while True:
        try:
            document = next(coming)
        except StopIteration:
            break
        except Exception as error:  # is raised after the documents before it, whose number must not depend on `most`
            failed = error
            break
        short = isinstance(document, bytes) and len(document) <= most
        if batch and (not short or size >= most or len(batch) >= BATCH_DOCUMENTS):
            yield batch
            batch, size = [], 0
        if short and isinstance(document, bytes):
            batch.append(document)
            size += len(document)
        else:
            yield document
    if batch:
        yield batch
    if failed:
        raise failed


def encode_in_turn(
    batch: list[bytes],
    before: int,
    encoding: "Encoding",
    threads: int,
    *,
    special: bool = False,
    around: Around = (None, None),
) -> Iterator[tuple[list[bytes], _core.Buffer, memoryview]]:
    """Encode a batch that `before` documents came before; of one that cannot be encoded to its end, the documents up to there.

    Yields:
        Documents, and what `encode_batch` returns for them.

    Raises:
        PatternError: The slow engine gave up on a document; the error says which.
    """
    try:
        ids, ends = encode_batch(batch, encoding, threads, special=special, around=around)
    except PatternError:
        for number, document in enumerate(batch, before + 1):
            try:
                ids, ends = encode_batch([document], encoding, threads, special=special, around=around)
            except PatternError as error:
                raise _numbered(number, error) from error
            yield [document], ids, ends
    else:
        yield batch, ids, ends


def numbered(document: int, encoded: Iterable[Encoded]) -> Iterator[Encoded]:
    """Yield what is encoded of a document; if the slow engine gives up on it, the error says which one: the first is number 1."""
    try:
        yield from encoded
    except PatternError as error:
        raise _numbered(document, error) from error


def _numbered(document: int, error: PatternError) -> PatternError:
    return PatternError(f"document {document:,}: {error}")


def encode_batch(
    batch: list[bytes],
    encoding: "Encoding",
    threads: int,
    *,
    special: bool = False,
    around: Around = (None, None),
) -> tuple[_core.Buffer, memoryview]:
    """Encode documents, each as it is, with the ids `around` it; or as text that may spell special tokens, without.

    Returns:
        The ids of all documents one after the other, and the offsets where those of each begin and end.

    >>> import minbpe
    >>> ids, ends = encode_batch([b"hello world", b"", b"hello"], minbpe.get_encoding("gpt2"), threads=1)
    >>> memoryview(ids).tolist(), ends.tolist()
    ([31373, 995, 31373], [0, 2, 2, 3])
    """
    core = encoding._core
    if special:
        texts = [document.decode("utf-8", "replace") for document in batch]
        ids, ends = core.encode_batch_flat(texts, threads, core.matcher())
    else:
        starts = array("q", accumulate(map(len, batch), initial=0))
        ids, ends = core.encode_rows(b"".join(batch), starts, threads, around)
    return ids, memoryview(ends)
