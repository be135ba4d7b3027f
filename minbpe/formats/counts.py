r"""A file of piece counts: three lines that people can read, then the counts as the core writes them.

    minbpe counts v1
    {"pattern": "\\p{L}+| ?\\p{N}", "unicode": "16.0.0", "documents": 2, "pieces": 120, "distinct": 31, "bytes": 702}
    sha256 5c1f3f0a...

The sha256 covers the whole file except its own line. The pattern is null if each document is one piece, a list if several
split in sequence, and left out if unknown. If rare pieces were left out, the second line ends with `"min_count": 2, "dropped":
{"pieces": 9, "distinct": 8}}`, without the last number in a sum of parts, which may have left out the same pieces. Reading
allocates memory in proportion to the file's size, whatever the file says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING

from minbpe import _core
from minbpe.atomic import replacing
from minbpe.counting import PieceCounts
from minbpe.dropping import NOTHING, Dropped
from minbpe.errors import CorpusError, FormatError, warn
from minbpe.gathering import telling
from minbpe.naming import naming
from minbpe.patterns import from_json

if TYPE_CHECKING:
    from typing import TypeAlias

    from minbpe.gathering import Progress
    from minbpe.patterns import Pattern

    Heard: TypeAlias = Callable[[int, int], object] | None
    """Called with how many bytes of a file are done, and a number to ignore."""

KIND = b"minbpe counts v"
"""How files of every version begin."""
MAGIC = KIND + b"1\n"
NAME = b"minbpe "
"""The least that must be left of a truncated file to tell it from text."""
LONGEST_LINE = 1 << 20
TOLD = 32
"""Megabytes between progress reports while a file is checked: some tens of milliseconds."""


def save_counted(
    counted: _core.Counted,
    pattern: Pattern | EllipsisType,
    path: str | os.PathLike[str],
    progress: Callable[[Progress], object] | None = None,
    dropped: Dropped = NOTHING,
) -> str:
    """Write counts, and what was left out of them, to a file, and return the sha256 in it, in hex.

    Counts on disk are streamed from there, never held in memory.

    Raises:
        OSError: the file cannot be written; no partial file is left, and an older one stays.
    """
    head = _line(_head(pattern, dropped, counted.sources, *counted.kept))
    hashed = hashlib.sha256(MAGIC + head)
    with replacing(Path(path)) as file:

        def write(chunk: bytes) -> None:
            hashed.update(chunk)
            file.write(chunk)

        file.write(MAGIC + head)
        place = file.tell()
        file.write(_checksum(hashed.hexdigest()))
        with telling("save", progress) as told:
            counted.each_chunk(write, told)
        file.seek(place)
        file.write(_checksum(hashed.hexdigest()))
    return hashed.hexdigest()


def digest(counted: _core.Counted, pattern: Pattern, dropped: Dropped) -> str:
    """Return the sha256, in hex, that a file of these counts has in it."""
    hashed = hashlib.sha256(MAGIC + _line(_head(pattern, dropped, counted.sources, *counted.kept)))
    counted.each_chunk(hashed.update, None)
    return hashed.hexdigest()


class CountsFile:
    """A file of piece counts, checked for damage: what its first lines say, and where the counts begin.

    `heard` is called with how many bytes are checked or read.

    Warns:
        UserWarning: the pieces were split with Unicode tables other than this minbpe's.

    Raises:
        CorpusError: the file is a pipe.
        FormatError: the file is of another kind or version, truncated or changed.
        OSError: the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], heard: Heard = None) -> None:
        self.path = Path(path)
        with naming(self.path), self.path.open("rb") as file:
            if not file.seekable():
                raise in_a_pipe(path)
            magic, line, checksum = (file.readline(LONGEST_LINE) for _ in range(3))
            if magic != MAGIC:
                raise FormatError(f"{self.path} {_fault(magic)}")
            self.body = file.tell()
            hashed = hashlib.sha256(MAGIC + line)
            for megabytes, chunk in enumerate(iter(partial(file.read, 1 << 20), b""), 1):
                hashed.update(chunk)
                if heard and megabytes % TOLD == 0:
                    heard(file.tell(), 0)
            self.size = file.tell() - self.body
        self.digest = hashed.hexdigest()
        if checksum != _checksum(self.digest):
            raise _damaged(path, "its sha256 is not the one it was written with")
        try:
            self.facts = json.loads(line)
            self.pattern = from_json(self.facts.get("pattern", ...))
            self.dropped = Dropped.from_json(self.facts)
        except (ValueError, AttributeError, RecursionError) as error:
            raise _damaged(path, str(error)) from error
        regexes = self.pattern if isinstance(self.pattern, tuple) else (self.pattern,)
        if self.pattern not in (None, ...) and not all(isinstance(regex, str) for regex in regexes):
            raise _damaged(path, "its second line names no pattern")
        unicode_version = self.facts.get("unicode")
        if unicode_version != _core.UNICODE_VERSION:
            warn(
                f"{self.path} holds pieces split with Unicode {unicode_version}, and this minbpe splits with Unicode "
                f"{_core.UNICODE_VERSION}: text with characters that changed in between may have other pieces; count the "
                "corpus again to be exact",
                UserWarning,
            )

    def load(self, heard: Heard = None) -> PieceCounts:
        """Return the counts."""
        try:
            counts = PieceCounts._from_core(
                _core.PieceCounts.read(self.path, self.body, heard), self.pattern, self.dropped
            )
        except ValueError as error:
            raise _damaged(self.path, str(error)) from error
        except MemoryError as error:
            raise MemoryError(
                f"the counts in {self.path} take more memory than there is: leave out rare pieces (minbpe count {self.path} "
                "--min-count 2 --max-memory 1G --out fewer.counts), or train on the file itself (minbpe train --min-count)"
            ) from error
        self._compare(counts.documents, counts.total, len(counts), counts.corpus_bytes)
        return counts

    def survey(self, heard: Heard = None) -> _core.Survey:
        """Return a summary of the counts, without holding them in memory."""
        try:
            survey = _core.Survey(self.path, self.body, heard)
        except ValueError as error:
            raise _damaged(self.path, str(error)) from error
        self._compare(survey.sources, *survey.kept)
        return survey

    def _compare(self, *numbers: int) -> None:
        """Raise an error if the counts do not match the second line."""
        head = _head(self.pattern, self.dropped, *numbers)
        facts = {"pattern": ..., **head, "unicode": self.facts.get("unicode")}
        if {**self.facts, "pattern": self.pattern} != facts:
            raise _damaged(self.path, "its second line does not fit the counts")

    def absorb(self, counter: _core.Counter, first: int, heard: Heard = None) -> int:
        """Add the counts to a counter of what comes before them, and return the number of the document that comes after.

        Args:
            counter: the counter; if it has a ceiling, it need not hold the counts in memory.
            first: the number of this file's first document.
            heard: as for the class.

        Raises:
            CorpusError: the counts of both add up past 2^63.
        """
        try:
            return counter.absorb(self.path, self.body, first, heard)
        except FormatError as error:
            raise _damaged(self.path, str(error)) from error


def is_counts(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds piece counts, of any version, judged by its name or by how it begins.

    For a pipe only the name is checked: what is read from a pipe is gone.
    """
    if not Path(path).is_file():
        return are_counts(path, b"")
    with naming(path), Path(path).open("rb") as file:
        return are_counts(path, file.read(len(KIND)))


def are_counts(path: str | os.PathLike[str], begins: bytes) -> bool:
    """Whether a file holds piece counts, judged by its beginning, even one cut in the first line, or else by its name alone."""
    begins = begins[: len(KIND)]
    return ".counts" in Path(path).suffixes[-2:] or (begins.startswith(NAME) and KIND.startswith(begins))


def in_a_pipe(path: str | os.PathLike[str]) -> CorpusError:
    """Return the error for piece counts that can be read only once."""
    return CorpusError(
        f"{os.fspath(path)} is a pipe of piece counts, and these are checked to their end before they are read: write them to a "
        "file, and name that"
    )


def _head(
    pattern: Pattern | EllipsisType, dropped: Dropped, documents: int, pieces: int, distinct: int, size: int
) -> dict[str, object]:
    """Return what the second line says."""
    known = {} if pattern is ... else {"pattern": pattern}
    numbers = {"documents": documents, "pieces": pieces, "distinct": distinct, "bytes": size}
    return {**known, "unicode": _core.UNICODE_VERSION, **numbers, **dropped.to_json()}


def _line(facts: dict[str, object]) -> bytes:
    return json.dumps(facts).encode("ascii") + b"\n"


def _checksum(digest: str) -> bytes:
    """Return the third line."""
    return f"sha256 {digest}\n".encode("ascii")


def _fault(magic: bytes) -> str:
    if MAGIC.startswith(magic):
        return f"is {'cut in its first line' if magic else 'empty'}: take the file from its source, or count the corpus again"
    if magic.startswith(KIND):
        return "was written by a later version of minbpe: update minbpe, or count the corpus again"
    return (
        "holds no piece counts: it does not begin as the files do that minbpe count writes; unpack it if it is compressed, and "
        "name it otherwise if it is text"
    )


def _damaged(path: str | os.PathLike[str], why: str) -> FormatError:
    return FormatError(f"{os.fspath(path)} is damaged: {why}; take the file from its source, or count the corpus again")
