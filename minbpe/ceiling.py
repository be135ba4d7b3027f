"""The memory ceiling for counting: distinct pieces that do not fit under it go to disk."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from minbpe.errors import expect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

LEAST_MEMORY = 2**20
"""The lowest ceiling allowed, in bytes."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How many bytes of memory counting may use (None: all there is), and the directory to spill to (None: the system's)."""

    max_memory: int | None = None
    spill_to: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.max_memory is None:
            return
        expect(
            hasattr(self.max_memory, "__index__"),
            "max_memory is an int, of bytes",
            self.max_memory,
            "4 GB are 4 * 10**9",
        )
        if self.max_memory < LEAST_MEMORY:
            raise ValueError(f"max_memory is {self.max_memory} bytes: give {LEAST_MEMORY} or more")

    @property
    def batch(self) -> int | None:
        """How many bytes of documents may be held at a time."""
        return None if self.max_memory is None else self.max_memory // 8

    def for_core(self) -> tuple[int, Path] | None:
        """Return how many bytes are left for the pieces, and the directory, which is known to exist."""
        if self.max_memory is None:
            return None
        import tempfile

        directory = Path(tempfile.gettempdir() if self.spill_to is None else self.spill_to)
        if not directory.is_dir():
            raise NotADirectoryError(f"{directory}: no such directory for what passes max_memory: make it first")
        return min(self.max_memory - self.max_memory // 8, sys.maxsize), directory
