"""Decoding one token at a time, for text that is shown while it is generated."""

from __future__ import annotations

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minbpe.encoding import Encoding


class StreamDecoder:
    r"""Turns ids into text as they come, and holds back a character until its last byte has arrived.

    Each call costs the length of one token, however long the stream is.

    >>> import minbpe
    >>> enc = minbpe.get_encoding("cl100k_base")
    >>> stream = enc.stream_decoder()
    >>> [stream.push(id) for id in enc.encode("a👍b")], stream.flush()
    (['a', '', '', '👍', 'b'], '')
    """

    __slots__ = ("_decoder", "_encoding")

    def __init__(self, encoding: Encoding, errors: str = "replace") -> None:
        codecs.lookup_error(errors)  # a wrong name fails now, not at the first bytes that are not UTF-8
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors)

    def push(self, id: int) -> str:
        """Return the text that `id` completes, which may be empty.

        Raises:
            UnknownTokenError: no token has this id.
            UnicodeDecodeError: the bytes are not UTF-8, and `errors` is "strict".
        """
        return self._decoder.decode(self._encoding.decode_single_token_bytes(id))

    def flush(self) -> str:
        """Return what is still held back, handled as `errors` says, and start afresh.

        Raises:
            UnicodeDecodeError: half a character was held back, and `errors` is "strict".
        """
        try:
            return self._decoder.decode(b"", final=True)
        finally:
            self._decoder.reset()
