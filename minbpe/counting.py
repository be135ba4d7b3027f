"""Counting: reduces a corpus to its distinct pieces and their counts, which is all that training needs.

The counts of a corpus's parts add up to the counts of the whole, whoever counted them and in whatever order.
"""

from __future__ import annotations

from itertools import chain

from minbpe import _core
from minbpe.ceiling import Ceiling
from minbpe.dropping import NOTHING, Dropped, added_up
from minbpe.errors import CorpusError, expect, expect_int
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
    """The distinct pieces of a corpus, in the order in which they were first seen, and how often each occurs.

    >>> counts = count("low lower lowest low", pattern=" ?[a-z]+")
    >>> list(counts.items())
    [(b'low', 1), (b' lower', 1), (b' lowest', 1), (b' low', 1)]
    >>> counts.total
    4

    An immutable value, compared and pickled by content, and saved to files. Each piece also has a place: the number of the
    document where it was first seen, and the byte offset there. Adding two counts keeps each piece's lower place.
    """

    __slots__ = ("_counts", "_dropped", "_pattern")

    _counts: _core.PieceCounts
    _pattern: Pattern | EllipsisType
    _dropped: Dropped

    def __init__(self) -> None:
        raise TypeError("PieceCounts are made by minbpe.count, PieceCounts.from_items or PieceCounts.load")

    @classmethod
    def _from_core(
        cls, core: _core.PieceCounts, pattern: Pattern | EllipsisType, dropped: Dropped = NOTHING
    ) -> PieceCounts:
        self = object.__new__(cls)
        object.__setattr__(self, "_counts", core)
        object.__setattr__(self, "_pattern", pattern)
        object.__setattr__(self, "_dropped", dropped)
        return self

    @classmethod
    def from_items(
        cls, items: Iterable[tuple[bytes | str, int]], *, pattern: GivenPattern | EllipsisType = ...
    ) -> PieceCounts:
        """Return counts made elsewhere from (piece, count) pairs, in the order in which training is to see the pieces.

        If a piece is given twice, its counts add up; a piece with a count of 0 is left out.

        >>> PieceCounts.from_items([(b"low", 5), (b" lower", 2)])
        <PieceCounts of 7 pieces, 2 of them distinct>

        Args:
            items: the pieces, none empty, each with its count.
            pattern: what split the text into these pieces, by name or as a regular expression; None: each document is one
                piece; not given: unknown.

        Raises:
            CorpusError: a piece is empty, a count is negative, or the counts add up to 2^63 or more.
            PatternError: a word that names no pattern.
            TypeError: an item is not a pair of bytes or str and int.
        """
        known = pattern if pattern is ... else resolve(pattern)
        return cls._from_core(_core.PieceCounts.from_items(items), known)

    @classmethod
    def concatenate(cls, parts: Iterable[PieceCounts]) -> PieceCounts:
        """Return the counts of several corpora in sequence: the documents of each come after those of the one before.

        >>> a, b = count("one", pattern=None), count(["two", "one"], pattern=None)
        >>> PieceCounts.concatenate([a, b]) == count(["one", "two", "one"], pattern=None)
        True

        Warns:
            UserWarning: as for `merge`.

        Raises:
            CorpusError: as for `merge`.
        """
        moved: list[PieceCounts] = []
        before = 0
        for part in parts:
            expect_counts(part)
            moved.append(part.shift_sources(before) if before else part)
            before += part.documents
        return _sum(moved)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, progress: Callable[[Progress], object] | None = None) -> PieceCounts:
        """Return the counts that `save` wrote to a file.

        Args:
            path: the file.
            progress: called some twenty times a second, and at the end of checking the file and of loading it. An exception
                that it raises ends the loading.

        Warns:
            UserWarning: the pieces were split with Unicode tables other than this minbpe's.

        Raises:
            FormatError: the file holds no piece counts, is truncated or changed, or a later version wrote it.
            MemoryError: the counts need more memory than there is; `minbpe count` can leave rare pieces out of such a file.
            OSError: the file cannot be read.
        """
        from minbpe.loading import check, load

        return load(check([path], progress), progress)[0]

    def save(self, path: str | os.PathLike[str], *, progress: Callable[[Progress], object] | None = None) -> None:
        """Write the counts to a file, which `load` reads; it appears whole or not at all.

        Args:
            path: the file.
            progress: called some twenty times a second. An exception that it raises ends the writing.

        Raises:
            OSError: the file cannot be written.
        """
        from minbpe.formats.counts import save_counted

        save_counted(self._counts.counted(1), self._pattern, path, progress, self._dropped)

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
        """The size of the corpus in bytes. O(len(self))."""
        return self._counts.corpus_bytes()

    @property
    def documents(self) -> int:
        """How many documents were counted, including those without a piece."""
        return self._counts.sources

    @property
    def pattern(self) -> Pattern | EllipsisType:
        """The pattern that split the corpus, as in `Vocabulary.pattern`; None: each document is one piece; `...`: unknown."""
        return self._pattern

    @property
    def min_count(self) -> int:
        """Pieces seen fewer than this many times were left out, of the corpus or of parts that were added up; 1 if none were."""
        return self._dropped.min_count

    @property
    def dropped_pieces(self) -> int:
        """How many pieces were left out as too rare."""
        return self._dropped.pieces

    @property
    def dropped_distinct(self) -> int | None:
        """How many of these were distinct. None in a sum of counts: its parts may have left out the same pieces."""
        return self._dropped.distinct

    def merge(self, *others: PieceCounts) -> PieceCounts:
        """Return the sum of these counts and the others; `a + b` is `a.merge(b)`.

        The order of adding does not matter. Documents keep their numbers; for counts made separately, each from document 0
        on, use `concatenate`, which gives the same result as counting everything at once.

        Warns:
            UserWarning: rare pieces were left out of a part. Seen once in each of ten parts, a piece may be missing from the sum.
                To be exact, leave rare pieces out of the sum instead, by `at_least`.

        Raises:
            CorpusError: the counts add up to 2^63 or more, or different patterns made the pieces. Counts of unknown pattern
                go with any.
        """
        for other in others:
            expect_counts(other)
        return _sum([self, *others])

    def at_least(self, min_count: int) -> PieceCounts:
        """Return the counts of the pieces seen `min_count` times or more; the others are left out.

        Most distinct pieces of a large corpus are rare. Without them training takes much less memory, and nearly all of the
        text remains.

        >>> count("a rose is a rose is a rose").at_least(2)
        <PieceCounts of 7 pieces, 3 of them distinct>

        What was left out is remembered, in memory and in files:

        >>> counts = count("a rose is a rose is a rose").at_least(2)
        >>> counts.min_count, counts.dropped_pieces, counts.dropped_distinct
        (2, 1, 1)
        """
        expect_int("min_count", min_count)
        if min_count <= 1:
            return self
        core = self._counts.at_least(min(min_count, MOST))
        dropped = self._dropped.and_then(self.total - core.total, len(self) - len(core), min_count)
        return PieceCounts._from_core(core, self._pattern, dropped)

    def shift_sources(self, by: int) -> PieceCounts:
        """Return the same counts with the documents numbered from `by` on instead of from 0.

        Raises:
            CorpusError: `by` is negative, or a document would have a number of 2^64 or more.
        """
        expect_int("by", by)
        if not 0 <= by < 2**64:
            raise CorpusError(f"documents cannot be numbered from {by} on: give a number from 0 to 2^64 - 1")
        return PieceCounts._from_core(self._counts.shift_sources(by), self._pattern, self._dropped)

    def __add__(self, other: PieceCounts) -> PieceCounts:
        return self.merge(other) if isinstance(other, PieceCounts) else NotImplemented

    def __len__(self) -> int:
        """Return the number of distinct pieces."""
        return len(self._counts)

    def __eq__(self, other: object) -> bool:
        """Whether the pieces, their counts and places, the pattern, and what was left out are the same: all that a file holds."""
        if not isinstance(other, PieceCounts):
            return NotImplemented
        same = (self._pattern, self._dropped) == (other._pattern, other._dropped)
        return same and self._counts == other._counts

    def __hash__(self) -> int:
        return hash((len(self), self.total))

    def __repr__(self) -> str:
        return f"<PieceCounts of {several(self.total, 'piece')}, {len(self):,} of them distinct>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"PieceCounts never change: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"PieceCounts never change: cannot delete {name}")

    def __reduce__(self) -> tuple[object, ...]:
        return _from_bytes, (self._counts.to_bytes(), self._pattern, self._dropped)

    def __copy__(self) -> PieceCounts:
        return self

    def __deepcopy__(self, memo: object) -> PieceCounts:
        return self


def _from_bytes(data: bytes, pattern: Pattern | EllipsisType, dropped: Dropped = NOTHING) -> PieceCounts:
    return PieceCounts._from_core(_core.PieceCounts.from_bytes(data), pattern, dropped)


def _sum(parts: Sequence[PieceCounts]) -> PieceCounts:
    pattern = common_pattern(part.pattern for part in parts)
    core = _core.PieceCounts.merge([part._counts for part in parts])
    return PieceCounts._from_core(core, pattern, added_up((part.total, part._dropped) for part in parts))


def expect_counts(given: object) -> None:
    """Raise a TypeError unless `given` are PieceCounts."""
    expect(isinstance(given, PieceCounts), "this takes PieceCounts", given, "count(corpus) or PieceCounts.load(path)")


def common_pattern(patterns: Iterable[Pattern | EllipsisType]) -> Pattern | EllipsisType:
    """Return the one pattern of counts that are to be added up.

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

    Files are mapped into memory, so no file may be truncated while it is counted: the system would end the process.

    Args:
        corpus: a text as str or bytes, a file as `pathlib.Path` (its bytes as they are; `read_documents` reads compressed files,
            jsonl and parquet), or an iterable of these, one document each. Some 32 MB of an iterator are held at a time, and 16
            of a pipe. No piece crosses from one document to the next. A file that `save` wrote, or a list of such files, is
            added up instead of counted, the documents of each file after those of the file before.
        pattern: a name or a regular expression; a list: each splits the pieces of the one before; None: a document is a piece.
            By default "gpt4", or for files of counts the pattern that made the pieces.
        threads: how many threads to use, by default one per core. The result does not depend on it.
        max_memory: bytes that counting may use, besides the interpreter and the documents of its threads. Distinct pieces
            beyond that go to disk and are merged at the end; the result is the same.
        spill_to: the directory for those pieces, which are in a file without a name, so that nothing is ever left; by default
            the system's for temporary files. Without `max_memory` nothing goes to disk.
        checkpoint: a directory to save the counts in, each minute and when an exception ends the counting. The same counting
            resumes from it, gives the counts of a single run, and removes it. An iterator must yield its documents again, and
            needs a name.
        progress: called some twenty times a second, and at the end of each stage. An exception that it raises ends the
            counting; what was counted is then saved, if there is a checkpoint.

    Raises:
        PatternError: the pattern does not compile, or gave up on a text.
        CorpusError: a piece has 4 GiB or more; or the distinct pieces alone take more than `max_memory`; or `checkpoint` is of
            another corpus or another pattern, of an iterator without a name, or in use by another run; or files of counts are
            mixed with text, or are of another pattern.
        FormatError: `checkpoint` or a file of counts is damaged.
        MemoryError: the distinct pieces need more memory than there is; set `max_memory`.
        TypeError: `corpus` is not a corpus.
        OSError: a file cannot be read, or `spill_to` cannot be written.

    Warns:
        UserWarning: the text is the name of a file; or rare pieces were left out of one of several files of counts.
        PatternWarning: only the slow engine takes the pattern. Shown once per pattern.
    """
    from minbpe.source import counts_of

    ceiling = Ceiling(max_memory, spill_to)
    with (
        counts_of(corpus, pattern, 1, threads, ceiling, checkpoint, progress) as (counted, regex, dropped),
        telling("load", progress) as told,
    ):
        return PieceCounts._from_core(counted.counts(told), regex, dropped)


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

    With `max_memory` the distinct pieces need not fit in memory: they go from disk to disk. Pieces seen fewer than
    `min_count` times are left out. The other arguments and the errors are those of `count`.

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
    with counts_of(corpus, pattern, min_count, threads, ceiling, checkpoint, progress) as (counted, regex, dropped):
        save_counted(counted, regex, path, progress, dropped)
