"""What training learns from: the piece counts of a corpus, given, read from files, counted, or kept by a checkpoint."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import NamedTuple

from minbpe import _core
from minbpe.ceiling import Ceiling
from minbpe.counting import PieceCounts, common_pattern
from minbpe.dropping import NOTHING, Dropped, added_up
from minbpe.errors import CorpusError, warn
from minbpe.gathering import MOST, check_min_count, gather, summed, telling
from minbpe.patterns import GPT4_SPLIT_PATTERN, resolve, shown
from minbpe.wording import first_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import EllipsisType
    from typing import Any, TypeVar

    from minbpe.checkpoint import Checkpoint, Keeper
    from minbpe.corpus import Corpus
    from minbpe.gathering import Progress
    from minbpe.patterns import GivenPattern, Pattern
    from minbpe.training import Source

    Given = TypeVar("Given")

NAMED = 3
"""How many files an error about their sum names."""
LONGEST_NAME = 1000
"""A longer text is not checked for being the name of a file."""


class SavedCounts:
    """Files of piece counts as one corpus, which need not fit in memory; the documents of each file follow those of the one before.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minbpe.counting import count
    >>> with TemporaryDirectory() as directory:
    ...     files = [Path(directory) / name for name in ("a.counts", "b.counts")]
    ...     for text, file in zip(("a rose is", "a rose"), files):
    ...         count(text).save(file)
    ...     SavedCounts(files).gather(1, Ceiling())[0].counts(None) == count(["a rose is", "a rose"])._counts
    True
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike[str]], progress: Callable[[Progress], object] | None = None
    ) -> None:
        """Check the files; errors and warnings are those of `PieceCounts.load`."""
        from minbpe.loading import check

        self._files = check(paths, progress)

    @property
    def pattern(self) -> Pattern | EllipsisType:
        """As `PieceCounts.pattern`.

        Raises:
            CorpusError: the files were made with different patterns.
        """
        return common_pattern(file.pattern for file in self._files)

    def each(self) -> list[SavedCounts]:
        """Return each file as a corpus of its own."""
        parts = [SavedCounts(()) for _ in self._files]
        for part, file in zip(parts, self._files, strict=True):
            part._files = [file]
        return parts

    def gather(
        self, min_count: int, ceiling: Ceiling, progress: Callable[[Progress], object] | None = None
    ) -> tuple[_core.Counted, Dropped]:
        """Return the sum of all counts, without the pieces seen less than `min_count` times, and all that was ever left out of it.

        Past the ceiling the sum is on disk.

        Warns:
            UserWarning: rare pieces were left out of one of several files.

        Raises:
            CorpusError: the counts add up past 2^63.
        """
        from minbpe.loading import add_up

        before = added_up((file.facts.get("pieces"), file.dropped) for file in self._files)
        counter = _core.Counter(None, 1, ceiling.for_core(), (0, 0))
        try:
            add_up(self._files, counter, progress, one_corpus=False)
            counted = summed(counter, min_count, progress)
            return counted, before.and_then(*counted.dropped, min_count)
        except CorpusError as error:
            files = first_of([str(file.path) for file in self._files], NAMED)
            raise CorpusError(f"in {files}, {error}") from error


def recognised(source: Given, progress: Callable[[Progress], object] | None) -> Given | SavedCounts:
    """Return a file of piece counts, or a list of them, as `SavedCounts`, and any other source as it is.

    Raises:
        CorpusError: a list mixes files of counts with other documents.
        FormatError: a file is damaged.

    Warns:
        UserWarning: a text is the name of a file.
    """
    documents = [source] if isinstance(source, str | os.PathLike) else source
    if not isinstance(documents, list | tuple):
        return source
    _warn_of_a_name(documents)
    if not any(isinstance(document, os.PathLike) for document in documents):
        return source
    from pathlib import Path

    from minbpe.formats.counts import is_counts

    counts = [isinstance(document, os.PathLike) and is_counts(document) for document in documents]
    if not any(counts):
        return source
    if not all(counts):
        first, other = (documents[counts.index(which)] for which in (True, False))
        named = other if isinstance(other, os.PathLike) else "a document"
        way_out = f"{named} does not: run minbpe count on {named} first"
        if not isinstance(other, os.PathLike) or not Path(other).is_file():
            way_out = f"{named} beside it is no file: write that to one first"
        raise CorpusError(f"{first} holds piece counts, and {way_out}")
    return SavedCounts(documents, progress)


def _warn_of_a_name(documents: Sequence[object]) -> None:
    """Warn if the first document is the name of a file: a str is always a text, so the letters of the name would be learnt."""
    first = documents[0] if documents else None
    # `isfile` raises nothing for text that cannot name a file, such as text with a zero byte.
    if isinstance(first, str) and len(first) <= LONGEST_NAME and "\n" not in first and os.path.isfile(first):  # noqa: PTH113
        warn(f"the text {first!r} is the name of a file: write Path({first!r}) to read it", UserWarning)


@contextmanager
def counts_of(
    corpus: Corpus | SavedCounts,
    pattern: GivenPattern | EllipsisType,
    min_count: int,
    threads: int | None,
    ceiling: Ceiling,
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    progress: Callable[[Progress], object] | None,
) -> Iterator[tuple[_core.Counted, Pattern | EllipsisType, Dropped]]:
    """Yield the counts of a corpus, be it text or files of counts, the pattern of its pieces, and what was left out of them.

    This is for a block that saves them.

    The checkpoint holds what was counted of text until the block ends without an exception; files of counts are on disk anyway.

    Raises:
        CorpusError: as `recognised`, `pattern_of` and `keeping` do, and for counts that add up past 2^63.
    """
    from minbpe.checkpoint import keeping

    check_min_count(min_count)
    source = recognised(corpus, progress)
    if isinstance(source, SavedCounts):
        regex = source.pattern if pattern is ... else pattern_of(source, pattern)
        added, dropped = source.gather(min_count, ceiling, progress)
        yield added, regex, dropped
        return
    regex = pattern_of(source, pattern)
    with keeping(checkpoint, source, regex, progress) as parts:
        core = gather(source, regex, min_count, threads, ceiling, progress, parts)
        yield core, regex, NOTHING.and_then(*core.dropped, min_count)


@contextmanager
def keeping_merges(
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    source: object,
    options: Mapping[str, Any],
    progress: Callable[[Progress], object] | None,
) -> Iterator[Keeper | None]:
    """Yield what saves a training with these `options` in a checkpoint, which no other run can use meanwhile; None without one.

    Raises:
        CorpusError: another run is using the checkpoint, or it is of training of another kind, or with other options.
        FormatError: the checkpoint is damaged, or a later version wrote it.
        OSError: the checkpoint cannot be read, or its directory cannot be made.
    """
    if checkpoint is None:
        yield None
        return
    from minbpe.checkpoint import Keeper, using

    with using(checkpoint) as used:
        yield Keeper(used, source, options, progress)


class Counted(NamedTuple):
    """The counts that are trained on."""

    core: _core.Counted
    """The counts. Training consumes them, so that they are not held while it merges."""
    pattern: Pattern
    pieces: int
    """How many pieces there are."""
    size: int
    """The bytes of all of them together."""
    dropped: Dropped
    """What was left out as too rare, now or by whoever counted."""


def counted(
    source: Source,
    pattern: GivenPattern | EllipsisType,
    min_count: int,
    threads: int | None,
    ceiling: Ceiling,
    progress: Callable[[Progress], object] | None,
    keeper: Keeper | None = None,
) -> Counted:
    """Return the counts of `source`, from `keeper` if it has them, and the regular expression that made the pieces.

    Raises:
        CorpusError: the source is counts made with another pattern than is asked for, or the keeper's counts are of another corpus.
    """
    regex = pattern_of(source, pattern)
    parts = keeper.parts if keeper else None
    kept = keeper.counted() if keeper else None
    try:
        if kept:
            core, dropped = kept
        elif isinstance(source, SavedCounts):
            core, dropped = source.gather(min_count, ceiling, progress)
        else:
            if isinstance(source, PieceCounts):
                core, before = source._counts.counted(min(min_count, MOST)), source._dropped
            else:
                # A list of counts, which only stages take, is refused like any list of things that are not documents.
                core = gather(source, regex, min_count, threads, ceiling, progress, parts)  # type: ignore[arg-type]
                before = NOTHING
            dropped = before.and_then(*core.dropped, min_count)
        if keeper and not kept:
            keeper.begin(core, dropped, progress)
        with telling("load", progress) as told:
            core.counts(told)
    except BaseException:
        if parts:
            parts.rescue(progress)
        raise
    pieces, _, size = core.kept
    return Counted(core, regex, pieces, size, dropped)


def pattern_of(source: Source, pattern: GivenPattern | EllipsisType) -> Pattern:
    """Return the regular expression that makes the pieces of `source`.

    Raises:
        CorpusError: the source is counts made with another pattern than is asked for.
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
    """Return the bytes of memory that merging takes, to within a third; ARCHITECTURE.md has the measurements.

    >>> f"{memory_to_train(distinct_bytes=4_679_020, size=32768) / 1e6:.0f} MB"
    '72 MB'
    """
    return 20_000_000 + 300 * (size - 256) + 9 * distinct_bytes
