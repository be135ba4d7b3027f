"""Standard output as the commands print to it: either all of it is written, or an error names standard output."""

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
    """The file that Python writes to; an error names standard output, and nothing more is written after one."""

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
    """Send what is printed in a block where it would go anyway, and ensure that it is written when the block ends.

    Python itself loses what a pipe did not take at once if PYTHONUNBUFFERED is set, as in many containers, and cannot write a
    file name that is not UTF-8.

    Raises:
        OutputError: standard output cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    before = sys.stdout
    if before is None:
        raw = _Output(os.devnull, "w")
        raw.problem = "it is closed"
    elif os.name == "nt" and before.isatty():
        yield  # A Windows console takes text, not bytes.
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
