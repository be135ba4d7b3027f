"""Standard output as the commands print to it: all of it is written, or an error names it."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from minbpe.errors import MinbpeError

if TYPE_CHECKING:
    from typing_extensions import Buffer


class OutputError(MinbpeError):
    """Standard output that cannot be written: a full disk, or none at all."""


class _Output(io.FileIO):
    """What Python writes to, with an error that names it, and nothing more to be written after one."""

    problem: str | None = None

    def write(self, data: "Buffer") -> int:
        if self.problem:
            raise OutputError(f"standard output could not be written: {self.problem}")
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self.problem = error.strerror
            raise OutputError(f"standard output could not be written: {self.problem}") from error


@contextmanager
def standard_output() -> Iterator[None]:
    """Let what is printed in a block go where it did, and be written when the block ends.

    Python itself loses what a pipe did not take at once if PYTHONUNBUFFERED is set, as in many containers, and writes no file
    name that is not UTF-8.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    before = sys.stdout
    if before is None:
        raw = _Output(os.devnull, "w")
        raw.problem = "it is closed"
    elif os.name == "nt" and before.isatty():
        yield  # A console of Windows takes text, and no bytes.
        return
    else:
        before.flush()
        try:
            raw = _Output(before.fileno(), "w", closefd=False)
        except io.UnsupportedOperation:
            yield
            return
    encoding = "utf-8" if before is None else before.encoding
    now = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding,
        errors="surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "backslashreplace",
        line_buffering=before is not None and (before.isatty() or "PYTHONUNBUFFERED" in os.environ),
    )
    sys.stdout = now
    try:
        yield
        now.flush()
    finally:
        sys.stdout = before
        with suppress(OutputError, OSError):
            now.close()
