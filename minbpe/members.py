"""The members of a .bz2 or .xz file, one after the other: packed by several threads, or appended, there are many.

The modules of Python take a later member that is damaged where it begins for something that follows the end, and pass over it and
all that comes after it, without a word.
"""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Callable
    from lzma import LZMADecompressor
    from typing import BinaryIO

    from _typeshed import WriteableBuffer

CHUNK = 1 << 13
"""Bytes read at once. What is left of them is copied for each member that ends there."""


class Members(io.RawIOBase):
    """What is in all members, as a stream.

    >>> import bz2
    >>> packed = io.BytesIO(bz2.compress(b"a rose ") + bz2.compress(b"is a rose"))
    >>> io.BufferedReader(Members(packed, bz2.BZ2Decompressor)).read()
    b'a rose is a rose'

    Args:
        raw: The file.
        begin: Makes what unpacks one member.
        padding: Between members, and after the last, there may be zeros, a multiple of so many; 0 if there may be none. The
            format of .xz says 4 (Collin, "The .xz File Format", 2.2).

    Raises:
        EOFError: When it is read: the file ends before its last member does, or has none.
        OSError, LZMAError: When it is read: a member is damaged, or something else stands between members or after them.
    """

    def __init__(
        self, raw: BinaryIO, begin: Callable[[], BZ2Decompressor | LZMADecompressor], padding: int = 0
    ) -> None:
        self._raw = raw
        self._begin = begin
        self._padding = padding
        self._member = begin()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer from its start; return how many bytes came, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = b""
        while not data:
            packed = b""
            if self._member.eof:
                packed = self._after()
                if not packed:
                    return 0
                self._member = self._begin()
            elif self._member.needs_input:
                packed = self._raw.read(CHUNK)
                if not packed:
                    raise EOFError("it ends before what was packed does")
            data = self._member.decompress(packed, len(view))
        view[: len(data)] = data
        return len(data)

    def _after(self) -> bytes:
        """Return what follows a member, from the next one on; nothing at the end of the file."""
        zeros = 0
        rest = self._member.unused_data or self._raw.read(CHUNK)
        while self._padding and rest.startswith(b"\0"):
            next_one = rest.lstrip(b"\0")
            zeros += len(rest) - len(next_one)
            rest = next_one or self._raw.read(CHUNK)
        if zeros and zeros % self._padding:
            raise OSError(f"{zeros} zeros follow a member, and that is no multiple of {self._padding}")
        return rest
