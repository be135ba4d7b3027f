"""The members of a .bz2 or .xz file, read one after the other; a file packed by several threads, or appended to, has many.

Python's own modules take a later member that is damaged at its start for trailing data, and silently skip it and everything
after it.
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
"""Bytes read at once. The rest of a chunk is copied for each member that ends in it."""


class Members(io.RawIOBase):
    """The unpacked content of all members, as a stream.

    >>> import bz2
    >>> packed = io.BytesIO(bz2.compress(b"a rose ") + bz2.compress(b"is a rose"))
    >>> io.BufferedReader(Members(packed, bz2.BZ2Decompressor)).read()
    b'a rose is a rose'

    Args:
        raw: The file.
        begin: Makes a decompressor for one member.
        padding: Zeros between members, and after the last, come in multiples of this many; 0 if none are allowed. The .xz
            format says 4 (Collin, "The .xz File Format", 2.2).

    Raises:
        EOFError: On reading: the file ends before its last member does, or has no member.
        OSError, LZMAError: On reading: a member is damaged, or something else stands between members or after them.
    """

    def __init__(
        self, raw: BinaryIO, begin: Callable[[], BZ2Decompressor | LZMADecompressor], padding: int = 0
    ) -> None:
        self._raw = raw
        self._begin = begin
        self._padding = padding
        self._member = begin()

    def readable(self) -> bool:
        """Say that the stream can be read."""
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
        """Return the bytes from the start of the next member on; none at the end of the file."""
        zeros = 0
        rest = self._member.unused_data or self._raw.read(CHUNK)
        while self._padding and rest.startswith(b"\0"):
            next_one = rest.lstrip(b"\0")
            zeros += len(rest) - len(next_one)
            rest = next_one or self._raw.read(CHUNK)
        if zeros and zeros % self._padding:
            raise OSError(f"{zeros} zeros follow a member, and that is no multiple of {self._padding}")
        return rest
