"""Extending: further merges for an existing vocabulary, learnt from a corpus; what the vocabulary has stays as it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from minbpe.ceiling import Ceiling
from minbpe.counting import PieceCounts
from minbpe.errors import CorpusError, VocabularyError, expect, expect_int
from minbpe.gathering import check_min_count
from minbpe.merging import Limits, check_room, grown, run, warn_of_early_end
from minbpe.patterns import shown
from minbpe.source import SavedCounts, counted, keeping_merges, recognised
from minbpe.vocabulary import NO_VOCABULARY, Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from minbpe.checkpoint import Checkpoint
    from minbpe.gathering import Progress
    from minbpe.merging import Learned, TieBreak
    from minbpe.source import Counted
    from minbpe.training import Source


def extend(
    vocabulary: Vocabulary,
    source: Source,
    tokens: int,
    *,
    tie_break: TieBreak = "first",
    min_count: int = 1,
    min_frequency: int = 1,
    max_token_length: int | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
    spill_to: str | os.PathLike[str] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Vocabulary:
    """Learn `tokens` more merges on top of a vocabulary, such as 1,000 tokens of your domain on top of cl100k_base.

    Exact: the corpus is encoded with the vocabulary, and training continues from there. With the corpus and the tie rule that
    the vocabulary was trained with, the merges are those of training to the larger size in one go.

    Existing tokens, special tokens and their ids stay; new tokens get the ids from `vocabulary.n_vocab` on. New merges come
    after all others, so a text is encoded as before and then shortened further.

    >>> from minbpe.training import train
    >>> small = train("aaabdaaabac", 257, pattern=None)
    >>> extend(small, "aaabdaaabac", 2) == train("aaabdaaabac", 259, pattern=None)
    True

    Args:
        vocabulary: one whose merges are known, as the published vocabularies' are.
        source: what to learn from, as for `train`; it is split by the pattern of the vocabulary's last stage.
        tokens: how many to add.
        tie_break: as for `train`; "lowest" compares ids.
        min_count: as for `train`.
        min_frequency: as for `train`.
        max_token_length: as for `train`, for the new tokens.
        threads: as for `train`.
        max_memory: as for `train`.
        spill_to: as for `train`.
        checkpoint: as for `train`: the same call resumes from it; `tokens` may differ, the vocabulary may not.
        progress: as for `train`.

    Raises:
        VocabularyError: `tokens` is negative or more than there is room for, or the vocabulary has a token that its merges do not
            reach.
        CorpusError: as for `train`, in particular for `PieceCounts` of another pattern; or `checkpoint` is of another vocabulary,
            another corpus or other options, or in use by another run.
        FormatError: `checkpoint` or a file of counts is damaged.
        TypeError: `vocabulary` is not a Vocabulary, or `source` is not a corpus.
        OSError: a file cannot be read.

    Warns:
        VocabularyWarning: the corpus was exhausted before all `tokens` were added.
        UserWarning: as for `train`.
    """
    limits, ceiling = Limits(min_frequency, max_token_length), Ceiling(max_memory, spill_to)
    extended, _ = learn_more(
        vocabulary, source, tokens, tie_break, min_count, limits, threads, ceiling, checkpoint, progress
    )
    return extended


def learn_more(
    vocabulary: Vocabulary,
    source: Source,
    tokens: int,
    tie_break: TieBreak,
    min_count: int,
    limits: Limits,
    threads: int | None,
    ceiling: Ceiling,
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    progress: Callable[[Progress], object] | None,
) -> tuple[Vocabulary, Counted]:
    """Return the vocabulary that `extend` makes, and the corpus as it was counted.

    Errors and warnings are those of `extend`; a vocabulary that cannot be extended is found before anything is counted.
    """
    expect(isinstance(vocabulary, Vocabulary), "extend takes a Vocabulary", vocabulary, NO_VOCABULARY)
    expect_int("tokens", tokens)
    check_min_count(min_count)
    if tokens < 0:
        raise VocabularyError(f"cannot extend by {tokens} tokens: give 0 or more, or truncate to a smaller size")
    check_room(len(vocabulary), vocabulary.n_vocab, tokens)
    run(PieceCounts.from_items(())._counts.counted(1), vocabulary._core, 0, tie_break, limits, threads, None)
    source = recognised(source, progress)
    if isinstance(source, PieceCounts | SavedCounts) and source.pattern not in (vocabulary.pattern, ...):
        raise CorpusError(
            f"these piece counts were made with the pattern {shown(source.pattern)}, and the vocabulary splits text by "
            f"{shown(vocabulary.pattern)}: count the corpus again with that"
        )
    options = {
        "pattern": vocabulary.pattern,
        "vocabulary": vocabulary.digest,
        "tie_break": tie_break,
        "min_count": min_count,
        "min_frequency": limits.min_frequency,
        "max_token_length": limits.max_token_length,
    }
    grow = partial(grown, vocabulary)
    with keeping_merges(checkpoint, source, options, progress) as keeper:
        corpus = counted(source, vocabulary.pattern, min_count, threads, ceiling, progress, keeper)
        core, start = corpus.core, vocabulary._core
        learned, full = run(core, start, tokens, tie_break, limits, threads, progress, keeper, None, grow)
    before = len(vocabulary) + len(set(vocabulary.special_tokens.values()))
    warn_of_early_end(len(learned), tokens, before + len(learned), before + tokens, limits, full)
    return grow(learned), corpus


def before_extending(vocabulary: Vocabulary, checkpoint: Checkpoint) -> Vocabulary:
    """Return the vocabulary that the extending in a checkpoint began with, if it has already made `vocabulary` of it.

    Any other vocabulary is returned as it is: the checkpoint is of that one, or is refused.

    Raises:
        FormatError: the checkpoint is damaged, or a later version wrote it.
        OSError: the checkpoint cannot be read.
    """
    from minbpe.state import MERGES, read_merges

    path = Path(checkpoint.path)
    if vocabulary.by_rank or not (path / MERGES).exists():
        return vocabulary
    state, merges = read_merges(path), vocabulary.merges
    learned: Learned = state["merges"]
    added = [(left, right) for left, right, _, _ in learned[:1]]
    if not added or added[0] not in merges:
        return vocabulary
    first = merges.index(added[0])
    if first < vocabulary.stages[-1][0]:
        return vocabulary
    before = Vocabulary.from_merges(
        merges[:first],
        stages=vocabulary.stages,
        special_tokens=vocabulary.special_tokens,
        byte_ids=vocabulary.byte_ids,
        ids=vocabulary.ids[:first],
    )
    same = before.digest == state["options"].get("vocabulary")
    return before if same and grown(before, learned[: len(merges) - first]) == vocabulary else vocabulary
