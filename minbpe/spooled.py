"""A text that came through a pipe, in a file without a name: writing shards reads it twice, for its ids and for its hash."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Self

from minbpe.corpus import Streamed
from minbpe.documents import READ, read_parts
from minbpe.naming import naming


class Spooled:
    """A document on disk, gone when the block ends.

    Keeping only the ids would not do: the hash is of the text, so that `verify` proves that they decode to it, and it begins with
    the length of the text.

    >>> from minbpe.documents import Piped
    >>> from io import BytesIO
    >>> with Spooled(Piped(Path("pipe"), b"a ", BytesIO(b"rose")), Path()) as document:
    ...     document.size, list(document.parts(4))
    (6, [b'a ro', b'se'])

    Raises:
        OSError: There is no room for it.
    """

    def __init__(self, document: Streamed, directory: Path) -> None:
        self._file = TemporaryFile(dir=directory)  # noqa: SIM115 (closed by __exit__)
        try:
            with naming(directory):
                for part in document.parts(READ):
                    self._file.write(part)
                self._file.flush()
            self.size = self._file.tell()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def parts(self, most: int) -> Iterator[bytes]:
        """Yield the bytes of the document, at most `most` at a time."""
        self._file.seek(0)
        yield from read_parts(self._file, most)
