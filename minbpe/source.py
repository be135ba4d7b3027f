"""What training learns from: the piece counts of a corpus, given, in files, counted, or kept by a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from minbpe import _core
from minbpe.ceiling import Ceiling
from minbpe.counting import PieceCounts, common_pattern
from minbpe.errors import CorpusError
from minbpe.gathering import MOST, gather, summed, telling
from minbpe.patterns import GPT4_SPLIT_PATTERN, resolve, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from types import EllipsisType

    from minbpe.checkpoint import Keeper
    from minbpe.gathering import Progress
    from minbpe.patterns import GivenPattern, Pattern
    from minbpe.training import Source

NAMED = 3
"""How many files an error about their sum names."""


class SavedCounts:
    """Files of piece counts as one corpus, the documents of each after those of the one before, that need not fit in memory.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minbpe.counting import count
    >>> with TemporaryDirectory() as directory:
    ...     files = [Path(directory) / name for name in ("a.counts", "b.counts")]
    ...     for text, file in zip(("a rose is", "a rose"), files):
    ...         count(text).save(file)
    ...     SavedCounts(files).gather(1, Ceiling()).counts(None) == count(["a rose is", "a rose"])._counts
    True
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike[str]], progress: Callable[[Progress], object] | None = None
    ) -> None:
        """Check the files; errors and warnings are those of `PieceCounts.load`.

        Raises:
            CorpusError: their patterns are not the same.
        """
        from minbpe.loading import check

        self._files = check(paths, progress)
        self.pattern = common_pattern(file.pattern for file in self._files)

    def gather(
        self, min_count: int, ceiling: Ceiling, progress: Callable[[Progress], object] | None = None
    ) -> _core.Counted:
        """Return the sum, without the pieces that were seen less than `min_count` times; past the ceiling it is on disk.

        Raises:
            CorpusError: the counts add up past 2^63.
        """
        from minbpe.loading import add_up

        counter = _core.Counter(None, 1, ceiling.for_core(), (0, 0))
        try:
            add_up(self._files, counter, progress, one_corpus=False)
            return summed(counter, min_count, progress)
        except CorpusError as error:
            named = [str(file.path) for file in self._files]
            more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
            raise CorpusError(f"in {', '.join(named[:NAMED])}{more}, {error}") from error


@dataclass(frozen=True, slots=True)
class Counted:
    """What is trained on."""

    core: _core.Counted
    """The counts. Training takes them, so that it need not hold them while it merges."""
    pattern: Pattern
    pieces: int
    """How many pieces there are."""
    size: int
    """The bytes that they make up."""
    dropped: tuple[int, int]
    """How many pieces were seen too seldom, and how many different ones."""


def counted(
    source: Source,
    pattern: GivenPattern | EllipsisType,
    min_count: int,
    threads: int | None,
    ceiling: Ceiling,
    progress: Callable[[Progress], object] | None,
    keeper: Keeper | None = None,
) -> Counted:
    """Return the counts of `source`, or of `keeper` if they are the same, and the regular expression that made its pieces.

    Raises:
        CorpusError: the source is counts, and made with another pattern than is asked for; the keeper's are of another corpus.
    """
    regex = pattern_of(source, pattern)
    parts = keeper.parts if keeper else None
    dropped = None
    try:
        if keeper and (kept := keeper.counted()):
            core, dropped = kept
        elif isinstance(source, PieceCounts):
            core = source._counts.counted(max(0, min(min_count, MOST)))
        elif isinstance(source, SavedCounts):
            core = source.gather(min_count, ceiling, progress)
        else:
            # A list of counts, which only stages take, is refused as any list is that holds no documents.
            core = gather(source, regex, min_count, threads, ceiling, progress, parts)  # type: ignore[arg-type]
        if keeper and dropped is None:
            keeper.begin(core, progress)
        with telling("load", progress) as told:
            core.counts(told)
    except BaseException:
        if parts:
            parts.rescue()
        raise
    pieces, _, size = core.kept
    return Counted(core, regex, pieces, size, dropped or core.dropped)


def pattern_of(source: Source, pattern: GivenPattern | EllipsisType) -> Pattern:
    """Return the regular expression that makes the pieces of `source`.

    Raises:
        CorpusError: the source is counts, and made with another pattern than is asked for.
    """
    wanted = pattern if pattern is ... else resolve(pattern)
    if not isinstance(source, PieceCounts | SavedCounts) or source.pattern is ...:
        return GPT4_SPLIT_PATTERN if wanted is ... else wanted
    if wanted not in (source.pattern, ...):
        raise CorpusError(
            f"these piece counts were made with the pattern {shown(source.pattern)}, and {shown(wanted)} is asked for: count "
            "the corpus again with that, or train on the counts without naming a pattern"
        )
    return source.pattern


def memory_to_train(distinct_bytes: int, size: int) -> int:
    """Return the bytes of memory that merging takes, within a third: measured, as ARCHITECTURE.md says.

    >>> f"{memory_to_train(distinct_bytes=4_679_020, size=32768) / 1e6:.0f} MB"
    '72 MB'
    """
    return 20_000_000 + 300 * (size - 256) + 9 * distinct_bytes
