"""Training in stages: merges within words first, then across them, which makes superwords (SuperBPE, Liu et al. 2025).

Each stage has a pattern of its own, wider than the one before. The corpus is counted once for each stage: its pieces start as the
tokens that the earlier stages make of them, and training goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate, pairwise
from operator import sub
from typing import NamedTuple, cast

from minbpe import _core
from minbpe.checkpoint import keeping_stages
from minbpe.counting import PieceCounts
from minbpe.dropping import NOTHING
from minbpe.errors import CorpusError, VocabularyError, expect_int
from minbpe.merging import grown, run
from minbpe.patterns import resolve, shown
from minbpe.source import SavedCounts, counted
from minbpe.training import Training
from minbpe.vocabulary import Vocabulary
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from minbpe.ceiling import Ceiling
    from minbpe.checkpoint import Checkpoint
    from minbpe.corpus import Corpus
    from minbpe.gathering import Progress
    from minbpe.merging import Limits, TieBreak
    from minbpe.patterns import GivenPattern, Pattern
    from minbpe.training import Source


class Stage(NamedTuple):
    """The pattern that splits text while a vocabulary grows to `merges` merges."""

    pattern: Pattern
    merges: int


def plan(stages: Iterable[tuple[GivenPattern, int]], base: int, vocab_size: int) -> list[Stage]:
    """Return stages given as (pattern, size), the size being that of the vocabulary after the stage, counted like `vocab_size`.

    >>> plan([(" ?[a-z]+", 300), (None, 400)], base=256, vocab_size=400)
    [Stage(pattern=' ?[a-z]+', merges=44), Stage(pattern=None, merges=144)]

    Args:
        stages: in order.
        base: how many tokens there are before any merge.
        vocab_size: the size after the last stage.

    Raises:
        VocabularyError: there is no stage, or the sizes do not rise to `vocab_size`.
        PatternError: a word that names no pattern.
    """
    each = list(stages)
    for stage in each:
        if not isinstance(stage, tuple | list) or len(stage) != 2:
            raise TypeError(f"a stage is a pattern and the tokens after it, and not {stage!r}: write ('gpt4', 300)")
        expect_int("the size after a stage", stage[1])
    sizes = [base, *(size for _, size in each)]
    if not each or sizes[-1] != vocab_size or any(size < before for before, size in pairwise(sizes)):
        raise VocabularyError(
            f"the stages end with {', '.join(map(str, sizes[1:])) or 'no'} tokens: give (pattern, tokens after the stage) for "
            f"each, rising from {base} to vocab_size, which is {vocab_size}"
        )
    return [Stage(resolve(pattern), size - base) for pattern, size in each]


def learn_stages(
    source: Source,
    stages: Sequence[Stage],
    *,
    tie_break: TieBreak,
    order: Sequence[int],
    limits: Limits,
    threads: int | None,
    ceiling: Ceiling,
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    options: Mapping[str, Any],
    progress: Callable[[Progress], object] | None,
) -> tuple[Training, bool]:
    """Learn a vocabulary without special tokens, stage by stage; a stage that runs out of pairs leaves its merges to the next.

    The `checkpoint` belongs to a training with these `options`, and holds each stage in a directory of its own.

    Raises:
        CorpusError: the source can be read only once, or is counts, but not one set for each stage; the stages get corpora of
            different sizes; or the checkpoint is of another corpus, of training with other options, or in use by another run.
        PatternError: a pattern does not compile, or gave up on a text.
        VocabularyError: there are more than 16 stages.
    """
    byte_ids = sorted(range(256), key=order.__getitem__)
    # Finds what is wrong before the long work.
    Vocabulary.from_merges((), stages=[(0, stage.pattern) for stage in stages])
    vocabulary = Vocabulary.from_merges((), pattern=stages[0].pattern, byte_ids=byte_ids)
    begun: list[tuple[int, Pattern]] = []
    pair_counts: list[int] = []
    token_counts: list[int] = []
    pieces, dropped, full = 0, NOTHING, False
    parts = _sources(source, stages)
    each = [
        {"pattern": stage.pattern, "earlier_stages": _told(stages[:number]), **options}
        for number, stage in enumerate(stages)
    ]
    with keeping_stages(checkpoint, each, progress) as keeper_of:
        for number, (stage, part) in enumerate(zip(stages, parts, strict=True)):
            keeper = keeper_of(number, part)
            corpus = counted(part, stage.pattern, 1, threads, ceiling, progress, keeper)
            token_counts = token_counts or [corpus.size]
            if corpus.size != token_counts[0]:
                if keeper:
                    keeper.remove()
                raise CorpusError(
                    f"stage 1 was trained on {several(token_counts[0], 'byte')}, and stage {number + 1} is given "
                    f"{corpus.size:,}: each stage takes the same corpus, which reads the same each time"
                )
            start = (vocabulary._core,) if begun else order
            tokens = _core.tokens_at_start(corpus.core.counts(None), start)
            begun.append((len(pair_counts), stage.pattern))
            grow = partial(grown, vocabulary, stages=tuple(begun))
            merges = stage.merges - len(pair_counts)
            learned, full = run(corpus.core, start, merges, tie_break, limits, threads, progress, keeper, None, grow)
            # [1:] drops what this stage starts with: without a merge of its own it is no stage, and the one before left fewer
            # tokens.
            token_counts += [*accumulate((places for _, _, _, places in learned), sub, initial=tokens)][1:]
            pair_counts += (times for _, _, times, _ in learned)
            pieces += corpus.pieces
            dropped = dropped.and_then(*corpus.dropped)
            vocabulary = grow(learned)
    return Training(vocabulary, tuple(pair_counts), tuple(token_counts), pieces, dropped.pieces, dropped.distinct), full


def _told(stages: Sequence[Stage]) -> tuple[str, ...]:
    """Return stages as a checkpoint and its messages describe them."""
    return tuple(f"{shown(stage.pattern)} up to {256 + stage.merges:,} tokens besides special ones" for stage in stages)


def _sources(source: Source, stages: Sequence[Stage]) -> Sequence[Source]:
    """Return what to count for each stage."""
    if isinstance(source, SavedCounts):
        return _one_for_each(source.each(), stages)
    parts = [source] if isinstance(source, PieceCounts) else source
    if isinstance(parts, list | tuple) and any(isinstance(part, PieceCounts) for part in parts):
        return _one_for_each(parts, stages)
    if isinstance(source, Iterator) and len(stages) > 1:
        raise CorpusError(
            f"an iterator gives its documents once, and {len(stages)} stages count them {len(stages)} times: give a list, files, "
            "or an object whose __iter__ begins anew; or count for each stage, and give the PieceCounts in a list"
        )
    return [cast("Corpus", source)] * len(stages)


def _one_for_each(parts: Sequence[object], stages: Sequence[Stage]) -> Sequence[Source]:
    """Return `parts` as the piece counts of one corpus, one for each stage."""
    counts = [part for part in parts if isinstance(part, PieceCounts | SavedCounts)]
    if not len(counts) == len(parts) == len(stages):
        patterns = ", ".join(shown(stage.pattern) for stage in stages)
        raise CorpusError(
            f"for {several(len(stages), 'stage')} give as many PieceCounts, made with the patterns {patterns}: a list of these, or "
            "a file of counts for each, in this order"
        )
    return counts
