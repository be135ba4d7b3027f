"""The memory ceiling for counting: distinct pieces that do not fit under it go to disk."""

from __future__ import annotations

import sys

from minbpe.errors import expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from pathlib import Path

LEAST_MEMORY = 2**20
"""The lowest ceiling allowed, in bytes."""


class Ceiling:
    """How many bytes of memory counting may use (None: all there is), and the directory to spill to (None: the system's)."""

    def __init__(self, max_memory: int | None = None, spill_to: str | os.PathLike[str] | None = None) -> None:
        self.max_memory, self.spill_to = max_memory, spill_to
        if max_memory is None:
            return
        expect(hasattr(max_memory, "__index__"), "max_memory is an int, of bytes", max_memory, "4 GB are 4 * 10**9")
        if max_memory < LEAST_MEMORY:
            raise ValueError(f"max_memory is {max_memory} bytes: give {LEAST_MEMORY} or more")

    @property
    def batch(self) -> int | None:
        """How many bytes of documents may be held at a time."""
        return None if self.max_memory is None else self.max_memory // 8

    def for_core(self) -> tuple[int, Path] | None:
        """Return how many bytes are left for the pieces, and the directory, which is known to exist."""
        if self.max_memory is None:
            return None
        import tempfile
        from pathlib import Path

        directory = Path(tempfile.gettempdir() if self.spill_to is None else self.spill_to)
        if not directory.is_dir():
            raise NotADirectoryError(f"{directory}: no such directory for what passes max_memory: make it first")
        return min(self.max_memory - self.max_memory // 8, sys.maxsize), directory
