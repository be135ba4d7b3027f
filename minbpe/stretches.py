"""Encoding a document a stretch at a time, so that neither the document nor its ids need fit in memory.

A stretch ends at the last place where the pattern proves that a piece ends, whatever follows; what comes after that is encoded
with the next stretch. So the ids are those of the whole document.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from minbpe import _core

if TYPE_CHECKING:
    from minbpe.encoding import Encoding

Stretch = tuple[list[_core.Buffer], int]
"""Ids, and how many bytes they stand for."""


def encode_stretches(
    parts: Iterable[bytes],
    encoding: "Encoding",
    threads: int = 1,
    progress: Callable[[int], object] = lambda done: None,
) -> Iterator[_core.Buffer]:
    """Encode a document that comes in parts, special tokens as plain text; bytes that are not UTF-8 stay as they are.

    >>> import minbpe
    >>> stretches = encode_stretches([b"hello w", b"orld"], minbpe.get_encoding("gpt2"))
    >>> [token_id for ids in stretches for token_id in memoryview(ids)]
    [31373, 995]
    """

    def encode(data: bytes, last: bool) -> Stretch:
        ids, end = encoding._core.encode_stretch(data, last, threads)
        return [ids], end

    return _stretches(parts, encode, progress)


def encode_stretches_with_special(
    parts: Iterable[bytes], encoding: "Encoding", threads: int = 1
) -> Iterator[_core.Buffer]:
    """Encode a document that comes in parts, recognising the special tokens that its text spells; invalid UTF-8 becomes U+FFFD.

    >>> import minbpe
    >>> stretches = encode_stretches_with_special([b"hello<|endof", b"text|>"], minbpe.get_encoding("gpt2"))
    >>> [token_id for ids in stretches for token_id in memoryview(ids)]
    [31373, 50256]
    """
    special = sorted((text.encode() for text in encoding.special_tokens_set), key=len, reverse=True)
    if not special:
        return encode_stretches(_as_text(parts), encoding, threads)
    found, longest = re.compile(b"|".join(map(re.escape, special))), len(special[0])
    core = encoding._core

    def encode(data: bytes, last: bool) -> Stretch:
        # A special token that begins before this place ends within `data`, and so does any longer one that begins there.
        sure = len(data) if last else max(0, len(data) - longest + 1)
        start = 0
        for match in found.finditer(data):
            if match.start() < sure:
                start = match.end()
        ids, end = core.encode_stretch(data[start : max(start, sure)], last, threads)
        before, _ = core.encode_batch_flat([data[:start].decode()], threads, core.matcher())
        return [before, ids], start + end

    return _stretches(_as_text(parts), encode, lambda done: None)


def _stretches(
    parts: Iterable[bytes], encode: Callable[[bytes, bool], Stretch], progress: Callable[[int], object]
) -> Iterator[_core.Buffer]:
    """Encode part by part, doubling the amount while no place is proven where a piece ends."""
    coming = filter(None, parts)
    held, ahead, done = b"", next(coming, b""), 0
    while held or ahead:
        taken, size = [held], 0
        while ahead and (not size or size < len(held)):
            taken.append(ahead)
            size += len(ahead)
            ahead = next(coming, b"")
        data = b"".join(taken)
        taken.clear()
        ids, end = encode(data, not ahead)
        yield from ids
        held = data[end:]
        done += end
        progress(done)


def _as_text(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Replace invalid UTF-8 with U+FFFD, as decoding the whole does."""
    decoder = getincrementaldecoder("utf-8")("replace")
    for part in parts:
        yield decoder.decode(part).encode()
    yield decoder.decode(b"", final=True).encode()
