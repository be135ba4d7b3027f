"""Counting: a corpus as its distinct pieces with their counts, which is all of it that training needs.

Counts of the parts of a corpus add up to the counts of the whole, whoever counted them and in whatever order.
"""

from __future__ import annotations

from itertools import chain

from minbpe import _core
from minbpe.ceiling import Ceiling
from minbpe.errors import CorpusError
from minbpe.gathering import MOST, Progress, telling
from minbpe.patterns import resolve, shown
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import EllipsisType

    from minbpe.checkpoint import Checkpoint
    from minbpe.corpus import Corpus
    from minbpe.patterns import GivenPattern, Pattern

READ_AT_ONCE = 4096


class PieceCounts:
    """The distinct pieces of a corpus in the order in which they were first seen, and how often each was.

    >>> counts = count("low lower lowest low", pattern=" ?[a-z]+")
    >>> list(counts.items())
    [(b'low', 1), (b' lower', 1), (b' lowest', 1), (b' low', 1)]
    >>> counts.total
    4

    A value: never changed after it is made, compared and pickled by content, saved to files. Each piece also has its place:
    the number of the document it was first seen in, and the byte there. Adding two keeps the lower place.
    """

    __slots__ = ("_counts", "_pattern")

    _counts: _core.PieceCounts
    _pattern: Pattern | EllipsisType

    def __init__(self) -> None:
        raise TypeError("PieceCounts are made by minbpe.count, PieceCounts.from_items or PieceCounts.load")

    @classmethod
    def _from_core(cls, core: _core.PieceCounts, pattern: Pattern | EllipsisType) -> PieceCounts:
        self = object.__new__(cls)
        object.__setattr__(self, "_counts", core)
        object.__setattr__(self, "_pattern", pattern)
        return self

    @classmethod
    def from_items(
        cls, items: Iterable[tuple[bytes | str, int]], *, pattern: GivenPattern | EllipsisType = ...
    ) -> PieceCounts:
        """Return counts that were made elsewhere: (piece, count), in the order in which training is to see the pieces.

        The counts of a piece that is given twice add up; one with a count of 0 is left out.

        >>> PieceCounts.from_items([(b"low", 5), (b" lower", 2)])
        <PieceCounts of 7 pieces, 2 of them distinct>

        Args:
            items: the pieces, none empty, each with its count.
            pattern: what split the text into these pieces, by name or as a regular expression; None: each document is one
                piece; not given: it is not known.

        Raises:
            CorpusError: an empty piece, a negative count, or counts that add up to 2^63 or more.
            PatternError: a word that names no pattern.
            TypeError: an item that is no pair of bytes or str and int.
        """
        known = pattern if pattern is ... else resolve(pattern)
        return cls._from_core(_core.PieceCounts.from_items(items), known)

    @classmethod
    def concatenate(cls, parts: Iterable[PieceCounts]) -> PieceCounts:
        """Return the counts of corpora one after the other: the documents of each come after those of the one before.

        >>> a, b = count("one", pattern=None), count(["two", "one"], pattern=None)
        >>> PieceCounts.concatenate([a, b]) == count(["one", "two", "one"], pattern=None)
        True

        Raises:
            CorpusError: as for `merge`.
        """
        moved: list[PieceCounts] = []
        before = 0
        for part in parts:
            moved.append(part.shift_sources(before) if before else part)
            before += part.documents
        return _sum(moved)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, progress: Callable[[Progress], object] | None = None) -> PieceCounts:
        """Return the counts that `save` wrote to a file.

        Args:
            path: the file.
            progress: called some twenty times a second, and at the end of checking the file and of loading it. What it raises
                ends the loading.

        Warns:
            UserWarning: the pieces were split with other Unicode tables than this minbpe splits with.

        Raises:
            FormatError: the file holds no piece counts, is truncated or changed, or a later version wrote it.
            MemoryError: the counts take more memory than the system gives; `minbpe count` leaves rare pieces out of such a file.
            OSError: the file cannot be read.
        """
        from minbpe.loading import check, load

        return load(check([path], progress), progress)[0]

    def save(self, path: str | os.PathLike[str], *, progress: Callable[[Progress], object] | None = None) -> None:
        """Write the counts to a file, from which `load` restores equal ones; it appears whole or not at all.

        Args:
            path: the file.
            progress: called some twenty times a second. What it raises ends the writing.

        Raises:
            OSError: the file cannot be written.
        """
        from minbpe.formats.counts import save_counted

        save_counted(self._counts.counted(1), self._pattern, path, progress)

    def items(self) -> Iterator[tuple[bytes, int]]:
        """Iterate over (piece, count) in first-seen order."""
        starts = range(0, len(self), READ_AT_ONCE)
        return chain.from_iterable(self._counts.items(start, start + READ_AT_ONCE) for start in starts)

    @property
    def total(self) -> int:
        """The number of pieces of the corpus: the sum of all counts."""
        return self._counts.total

    @property
    def corpus_bytes(self) -> int:
        """The bytes of the corpus. O(len(self))."""
        return self._counts.corpus_bytes()

    @property
    def documents(self) -> int:
        """How many documents were counted, those without a piece too."""
        return self._counts.sources

    @property
    def pattern(self) -> Pattern | EllipsisType:
        """What split the corpus, as `Vocabulary.pattern`; None: each document is one piece; `...`: it is not known."""
        return self._pattern

    def merge(self, *others: PieceCounts) -> PieceCounts:
        """Return the counts of this corpus and the others together; `a + b` is `a.merge(b)`.

        The order of adding does not matter. The documents keep their numbers; counts that were made apart, each from
        document 0 on, are for `concatenate`, which gives what counting all at once gives.

        Raises:
            CorpusError: counts that add up to 2^63 or more, or pieces that different patterns made. Counts that do not
                know their pattern go with any.
        """
        return _sum([self, *others])

    def at_least(self, min_count: int) -> PieceCounts:
        """Return the counts of the pieces that were seen `min_count` times or more; the others are left out.

        In a large corpus most distinct pieces are rare, so training takes much less memory without them, and nearly all of
        the text remains.

        >>> count("a rose is a rose is a rose").at_least(2)
        <PieceCounts of 7 pieces, 3 of them distinct>
        """
        if min_count <= 1:
            return self
        return PieceCounts._from_core(self._counts.at_least(min(min_count, MOST)), self._pattern)

    def shift_sources(self, by: int) -> PieceCounts:
        """Return the same counts with the documents numbered from `by` on instead of from 0."""
        return PieceCounts._from_core(self._counts.shift_sources(by), self._pattern)

    def __add__(self, other: PieceCounts) -> PieceCounts:
        return self.merge(other) if isinstance(other, PieceCounts) else NotImplemented

    def __len__(self) -> int:
        """Return the number of distinct pieces."""
        return len(self._counts)

    def __eq__(self, other: object) -> bool:
        """Whether the pieces, their counts, their places and the pattern are the same."""
        if not isinstance(other, PieceCounts):
            return NotImplemented
        return self._pattern == other._pattern and self._counts == other._counts

    def __hash__(self) -> int:
        return hash((len(self), self.total))

    def __repr__(self) -> str:
        return f"<PieceCounts of {several(self.total, 'piece')}, {len(self):,} of them distinct>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"PieceCounts never change: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"PieceCounts never change: cannot delete {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return _from_bytes, (self._counts.to_bytes(), self._pattern)

    def __copy__(self) -> PieceCounts:
        return self

    def __deepcopy__(self, memo: object) -> PieceCounts:
        return self


def _from_bytes(data: bytes, pattern: Pattern | EllipsisType) -> PieceCounts:
    return PieceCounts._from_core(_core.PieceCounts.from_bytes(data), pattern)


def _sum(parts: Sequence[PieceCounts]) -> PieceCounts:
    pattern = common_pattern(part.pattern for part in parts)
    return PieceCounts._from_core(_core.PieceCounts.merge([part._counts for part in parts]), pattern)


def common_pattern(patterns: Iterable[Pattern | EllipsisType]) -> Pattern | EllipsisType:
    """Return the pattern of counts that are added up.

    >>> common_pattern(["a+", ..., "a+"]), common_pattern([])
    ('a+', Ellipsis)

    Raises:
        CorpusError: there are several.
    """
    common: Pattern | EllipsisType = ...
    for pattern in patterns:
        if common is ...:
            common = pattern
        elif pattern not in (common, ...):
            raise CorpusError(
                f"counts of pieces that different patterns made do not add up, {shown(common)} and {shown(pattern)}: count "
                "both corpora with one pattern"
            )
    return common


def count(
    corpus: Corpus,
    *,
    pattern: GivenPattern | EllipsisType = ...,
    threads: int | None = None,
    max_memory: int | None = None,
    spill_to: str | os.PathLike[str] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> PieceCounts:
    """Split a corpus into pieces and count them.

    >>> list(count(["a rose is a rose", "a rose"]).items())
    [(b'a', 2), (b' rose', 3), (b' is', 1), (b' a', 1)]

    Files are mapped into memory, so none may be cut short meanwhile: the system would end the process.

    Args:
        corpus: a text as str or bytes, a file as `pathlib.Path` (its bytes as they are; `read_documents` reads what is compressed,
            jsonl or parquet), or an iterable of these, one document each; of an iterator some 32 MB are held at a time, of what
            comes through a pipe 16. No piece crosses from one document to the next. A file that `save` wrote, or a list of such, is
            not counted but added up, its documents after those of the file before.
        pattern: a name or a regular expression; a list: each splits the pieces of the one before; None: a document is a piece.
            By default "gpt4", or for files of counts the pattern that made the pieces.
        threads: how many work side by side, by default as many as there are cores. The result does not depend on it.
        max_memory: bytes that counting may take, besides the interpreter and the documents of its threads. Distinct pieces
            past it go to disk and are merged in the end; the result is the same.
        spill_to: the directory in which they are, in a file without a name, of which nothing is ever left; by default the
            system's for temporary files. Without `max_memory` none do.
        checkpoint: a directory for what is counted, written each minute and when an exception ends the counting. The same counting
            goes on from it, to the counts of one run, and removes it. An iterator gives its documents again, and needs a name.
        progress: called some twenty times a second, and at the end of each stage. What it raises ends the counting, and what
            was counted is then kept, if there is a checkpoint.

    Raises:
        PatternError: the pattern does not compile, or gave up on a text.
        CorpusError: a piece of 4 GiB or more, or distinct pieces that alone take more than `max_memory`, or `checkpoint` is of
            another corpus or another pattern, or of an iterator without a name; or files of counts beside text, or of another
            pattern.
        FormatError: `checkpoint` or a file of counts is damaged.
        MemoryError: the distinct pieces take more memory than the system gives; set `max_memory`.
        TypeError: what is given is no corpus.
        OSError: a file cannot be read, or `spill_to` cannot be written.

    Warns:
        UserWarning: the text is the name of a file.
        PatternWarning: the pattern is one that only the slow engine takes. Said once for each pattern.
    """
    from minbpe.source import counts_of

    ceiling = Ceiling(max_memory, spill_to)
    with (
        counts_of(corpus, pattern, 1, threads, ceiling, checkpoint, progress) as (counted, regex),
        telling("load", progress) as told,
    ):
        return PieceCounts._from_core(counted.counts(told), regex)


def count_to_file(
    corpus: Corpus,
    path: str | os.PathLike[str],
    *,
    pattern: GivenPattern | EllipsisType = ...,
    min_count: int = 1,
    threads: int | None = None,
    max_memory: int | None = None,
    spill_to: str | os.PathLike[str] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> None:
    """Count a corpus as `count` does and write the counts to a file as `PieceCounts.save` does.

    With `max_memory` the distinct pieces may be more than memory holds: they go from disk to disk. Pieces that were seen
    less than `min_count` times are left out. The other arguments and the errors are those of `count`.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     count_to_file("a rose is a rose", Path(directory) / "rose.counts", max_memory=1 << 30)
    ...     PieceCounts.load(Path(directory) / "rose.counts")
    <PieceCounts of 5 pieces, 4 of them distinct>
    """
    from minbpe.formats.counts import save_counted
    from minbpe.source import counts_of

    ceiling = Ceiling(max_memory, spill_to)
    with counts_of(corpus, pattern, min_count, threads, ceiling, checkpoint, progress) as (counted, regex):
        save_counted(counted, regex, path, progress)
