"""What training learns from: the piece counts of a corpus, given, counted, or kept by a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from minbpe.counting import Ceiling, PieceCounts, Progress, gather
from minbpe.errors import CorpusError
from minbpe.patterns import GPT4_SPLIT_PATTERN, resolve, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import EllipsisType

    from minbpe.checkpoint import Keeper
    from minbpe.patterns import GivenPattern, Pattern
    from minbpe.training import Source


@dataclass(frozen=True, slots=True)
class Counted:
    """What is trained on."""

    counts: PieceCounts
    pattern: Pattern
    dropped: tuple[int, int] = (0, 0)
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
    if keeper and (kept := keeper.counted()):
        return Counted(kept[0], regex, kept[1])
    if isinstance(source, PieceCounts):
        counts = source.at_least(min_count)
        dropped = (source.total - counts.total, len(source) - len(counts))
    else:
        # A list of counts, which only stages take, is refused as any list is that holds no documents.
        gathered = gather(source, regex, min_count, threads, ceiling, progress)  # type: ignore[arg-type]
        dropped = gathered.dropped
        counts = PieceCounts._from_core(gathered.counts(), regex)
    if keeper:
        keeper.begin(counts, dropped)
    return Counted(counts, regex, dropped)


def pattern_of(source: Source, pattern: GivenPattern | EllipsisType) -> Pattern:
    """Return the regular expression that makes the pieces of `source`.

    Raises:
        CorpusError: the source is counts, and made with another pattern than is asked for.
    """
    wanted = pattern if pattern is ... else resolve(pattern)
    if not isinstance(source, PieceCounts) or source.pattern is ...:
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
    '124 MB'
    """
    return 18_000_000 + 950 * (size - 256) + 16 * distinct_bytes
