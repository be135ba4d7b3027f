"""Training: from a corpus to the vocabulary that byte pair encoding makes of it, and what each merge contributed."""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from operator import sub
from typing import NamedTuple

from minbpe.ceiling import Ceiling
from minbpe.counting import PieceCounts
from minbpe.errors import VocabularyError, expect_int
from minbpe.gathering import Progress, check_min_count, for_core
from minbpe.merging import (
    BYTE_ORDERS,
    TIE_BREAKS,
    Limits,
    VocabularyWarning,
    check_room,
    choice,
    grown,
    learn_merges,
    run,
    warn_of_early_end,
)
from minbpe.seeding import as_learned, seed_merges
from minbpe.source import counted, keeping_merges, pattern_of, recognised
from minbpe.special_ids import check_ids, listed, with_ids, with_reserved
from minbpe.vocabulary import Vocabulary
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import EllipsisType
    from typing import TypeAlias

    from minbpe.checkpoint import Checkpoint
    from minbpe.corpus import Corpus
    from minbpe.merging import ByteOrder, TieBreak
    from minbpe.patterns import GivenPattern
    from minbpe.source import SavedCounts

    Source: TypeAlias = Corpus | PieceCounts | SavedCounts | Sequence[PieceCounts]
    """What `train` learns from; the last is for stages."""

__all__ = ["Progress", "Training", "VocabularyWarning", "learn", "learn_merges", "train"]


class Training(NamedTuple):
    """A vocabulary and what each of its merges contributed, which describes every smaller vocabulary too."""

    vocabulary: Vocabulary
    pair_counts: tuple[int, ...]
    """How often the pair of each merge occurred when it was merged, in rank order."""
    token_counts: tuple[int, ...]
    """How many tokens the corpus had as bytes, then after each merge: one number more than there are merges."""
    pieces: int
    """How many pieces were trained on."""
    dropped_pieces: int = 0
    """How many pieces were left out because they were seen less than `min_count` times, now or when the corpus was counted."""
    dropped_distinct: int | None = 0
    """How many of these were distinct; None if not known, as for `PieceCounts.dropped_distinct`."""

    def bytes_per_token(self, size: int | None = None) -> float:
        """Return the bytes per token of the corpus when it is encoded by the vocabulary truncated to `size` tokens.

        >>> training = learn("aaabdaaabac", 259, pattern=None)
        >>> training.token_counts
        (11, 9, 7, 5)
        >>> training.bytes_per_token(), training.bytes_per_token(256)
        (2.2, 1.0)

        Args:
            size: bytes and merges, as for `Vocabulary.truncate`; by default all.

        Raises:
            VocabularyError: `size` is below 256 or above the size of the vocabulary.
        """
        size = len(self.vocabulary) if size is None else size
        if not 256 <= size <= len(self.vocabulary):
            raise VocabularyError(f"no vocabulary of {size} tokens was trained: give 256 to {len(self.vocabulary)}")
        return self.token_counts[0] / max(1, self.token_counts[size - 256])


def train(
    source: Source,
    vocab_size: int,
    *,
    pattern: GivenPattern | EllipsisType = ...,
    stages: Iterable[tuple[GivenPattern, int]] | None = None,
    tie_break: TieBreak = "first",
    byte_order: ByteOrder = "identity",
    special_tokens: Iterable[str] | Mapping[str, int] = (),
    reserved: int = 0,
    seed_tokens: Iterable[str | bytes] = (),
    min_count: int = 1,
    min_frequency: int = 1,
    max_token_length: int | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
    spill_to: str | os.PathLike[str] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Vocabulary:
    """Learn a vocabulary of `vocab_size` tokens: 256 bytes, the merges, and the special tokens.

    Training is exact: each merge joins the pair of neighbours that is most frequent in the text as merged so far; where pairs
    overlap, as in "aaa", each place counts. A corpus that runs out of pairs gives a smaller vocabulary, with a warning.

    >>> vocabulary = train("aaabdaaabac", 259, pattern=None)
    >>> [vocabulary[id] for id in vocabulary.ids]
    [b'aa', b'aaa', b'aaab']

    In two stages, the first merging within words, the second across them:

    >>> vocabulary = train("go on, go on", 260, stages=[("gpt4", 259), (None, 260)])
    >>> [vocabulary[id] for id in vocabulary.ids]
    [b'go', b' o', b' on', b'go on']

    Args:
        source: a text as str or bytes, a file as `pathlib.Path`, or an iterable of these, one document each; or `PieceCounts`, a
            file of them, or a list of such files as one corpus (for stages: a file for each). A path stands for the file's bytes
            as they are; `read_documents` reads compressed files, jsonl and parquet.
        vocab_size: at least 256 plus the number of special tokens.
        pattern: the name of a split pattern, or a regular expression; a list: each splits the pieces of the one before; None: a
            document is one piece. By default "gpt4", or for `PieceCounts` the pattern that made the pieces, if they know it.
        stages: in place of `pattern`, to learn tokens that cross its pieces, such as superwords: (pattern, size) for each
            stage, the size being that of the vocabulary after it, counted like `vocab_size`, which the last one must equal.
            Each pattern should be wider than the one before; None, the widest, makes a document one piece. The corpus is
            counted for each stage: give files or a list, no iterator; or a list of `PieceCounts`, one for each. Wide pieces are
            nearly all distinct, so a stage of them takes a corpus of less than 4 GiB, and some six times its size in memory.
        tie_break: which of several pairs with the same count is merged. "first": the one that comes first in the text, as
            minbpe always did; "lowest": the one with the lowest ids, as in most other trainers.
        byte_order: the id of each byte. "identity": its value; "gpt2": its place in GPT-2's vocabulary, printable bytes first.
        special_tokens: texts that get the ids after the last merge, in order; or texts with their ids. In the corpus they
            are ordinary text.
        reserved: how many special tokens to add for later use: `<|reserved_0|>` and so on, with the ids after the others.
        seed_tokens: texts or bytes that are tokens whatever the corpus holds, made by the first merges; each takes room for a
            merge per byte but one. One that no piece of a text equals or contains is never used. (All 256 bytes always are tokens.)
        min_count: pieces seen less often are left out before training (`PieceCounts.at_least`).
        min_frequency: a pair that occurs less often is never merged; training ends when no other is left.
        max_token_length: a pair that together has more bytes than this is never merged; the best other pair is instead.
        threads: how many threads work side by side, by default one per core. The result does not depend on it.
        max_memory: a ceiling on the memory of counting, in bytes, as for `count`. Merging then holds the distinct pieces that
            `min_count` leaves: some 9 bytes for each of their bytes, and 0.3 KB per merge. The vocabulary comes on top, mostly
            the bytes of its tokens: for a text of one long piece these may be many times the text.
        spill_to: the directory for what exceeds `max_memory`, as for `count`.
        checkpoint: a directory to keep counts and merges in, every minute and when an exception such as Ctrl-C ends the
            training. The same training with the same checkpoint resumes from there, and ends with exactly the vocabulary that
            it would have had; `vocab_size` and the special tokens may differ, and so may the size of the last stage begun. An
            iterator is kept while it is counted only if it has a name, as in `Checkpoint("mine.checkpoint", corpus="name")`; it
            has to give the same documents again.
        progress: called some twenty times a second, and at the end of each stage. An exception from it ends the training.

    Raises:
        VocabularyError: `vocab_size` leaves no room for the bytes and the special tokens, or is above 2,147,483,136; the stages
            do not rise to it, or have `pattern`, `seed_tokens` or `min_count` beside them.
        SpecialTokenError: a special token is empty, given twice, or has an id that a merge will have.
        PatternError: the pattern does not compile, or gave up on a text.
        CorpusError: counts reach 2^63; distinct pieces take 4 GiB or more, or exceed `max_memory`; `PieceCounts` are of another
            pattern; an iterator is given for several stages; or `checkpoint` is of another corpus or other options, or in use by
            another run.
        FormatError: `checkpoint` or a file of counts is damaged.
        MemoryError: as for `count`; or the distinct pieces are too many to merge in the memory that there is.
        TypeError: `source` is not a corpus.
        OSError: a file cannot be read.

    Warns:
        VocabularyWarning: the corpus ran out of pairs before the vocabulary was full; or the tokens reached 1 GiB together, as
            those of one long piece may.
        PatternWarning: only the slow engine takes the pattern. Given once for each pattern.
        UserWarning: the text is the name of a file; or the corpus is an iterator without a name, of which `checkpoint` keeps
            nothing while it is counted; or rare pieces were left out of one of several files of counts.
    """
    return learn(
        source,
        vocab_size,
        pattern=pattern,
        stages=stages,
        tie_break=tie_break,
        byte_order=byte_order,
        special_tokens=special_tokens,
        reserved=reserved,
        seed_tokens=seed_tokens,
        min_count=min_count,
        min_frequency=min_frequency,
        max_token_length=max_token_length,
        threads=threads,
        max_memory=max_memory,
        spill_to=spill_to,
        checkpoint=checkpoint,
        progress=progress,
    ).vocabulary


def learn(
    source: Source,
    vocab_size: int,
    *,
    pattern: GivenPattern | EllipsisType = ...,
    stages: Iterable[tuple[GivenPattern, int]] | None = None,
    tie_break: TieBreak = "first",
    byte_order: ByteOrder = "identity",
    special_tokens: Iterable[str] | Mapping[str, int] = (),
    reserved: int = 0,
    seed_tokens: Iterable[str | bytes] = (),
    min_count: int = 1,
    min_frequency: int = 1,
    max_token_length: int | None = None,
    threads: int | None = None,
    max_memory: int | None = None,
    spill_to: str | os.PathLike[str] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Training:
    """Learn a vocabulary as `train` does, and return it with what each merge contributed.

    The arguments, errors and warnings are those of `train`. One training describes every smaller vocabulary too, since
    the first merges are the same whatever `vocab_size` is.
    """
    expect_int("vocab_size", vocab_size)
    check_min_count(min_count)
    choice("tie_break", tie_break, TIE_BREAKS)
    order = choice("byte_order", byte_order, BYTE_ORDERS)
    limits = Limits(min_frequency, max_token_length)
    for_core(threads)
    check_room(256, 256, max(0, vocab_size - 256))
    given = with_reserved(listed(special_tokens), reserved, vocab_size)
    room = len(set(given.values())) if isinstance(given, dict) else len(given)
    wanted = vocab_size - 256 - room
    if wanted < 0:
        raise VocabularyError(
            f"vocab_size is {vocab_size}, and 256 bytes and {several(room, 'special token')} are {256 + room}: give that or more"
        )
    check_ids(given, 256 + wanted)
    byte_ids = sorted(range(256), key=order.__getitem__)
    seeds = seed_merges(seed_tokens, byte_ids)
    if len(seeds) > wanted:
        raise VocabularyError(
            f"the seed tokens take {several(len(seeds), 'merge')}, and vocab_size leaves room for {wanted}: "
            f"give {vocab_size + len(seeds) - wanted} or more"
        )
    source = recognised(source, progress)
    options = {
        "tie_break": tie_break,
        "byte_order": byte_order,
        "min_count": min_count,
        "min_frequency": min_frequency,
        "max_token_length": max_token_length,
        "seed_tokens": tuple(f"{left} {right}" for left, right in seeds) or None,
    }
    if stages is not None:
        from minbpe.stages import learn_stages, plan

        if pattern is not ... or min_count > 1 or seeds:
            raise VocabularyError(
                "stages have patterns of their own, begin with bytes, and make pieces that are rare each: leave out pattern, "
                "seed_tokens and min_count (min_frequency keeps rare pairs from being merged)"
            )
        training, full = learn_stages(
            source,
            plan(stages, 256 + room, vocab_size),
            tie_break=tie_break,
            order=order,
            limits=limits,
            threads=threads,
            ceiling=Ceiling(max_memory, spill_to),
            checkpoint=checkpoint,
            options=options,
            progress=progress,
        )
        merges = len(training.pair_counts)
        warn_of_early_end(merges, wanted, 256 + merges + room, vocab_size, limits, full)
        vocabulary = training.vocabulary.with_special_tokens(with_ids(given, 256 + merges))
        return training._replace(vocabulary=vocabulary)
    with keeping_merges(checkpoint, source, {"pattern": pattern_of(source, pattern), **options}, progress) as keeper:
        corpus = counted(source, pattern, min_count, threads, Ceiling(max_memory, spill_to), progress, keeper)
        seeded = as_learned(seeds, corpus.core, byte_ids)
        grow = partial(grown, Vocabulary.from_merges((), pattern=corpus.pattern, byte_ids=byte_ids))
        learned, full = run(corpus.core, order, wanted, tie_break, limits, threads, progress, keeper, seeded, grow)
    vocabulary = grow(learned).with_special_tokens(with_ids(given, 256 + len(learned)))
    warn_of_early_end(len(learned), wanted, len(vocabulary) + room, vocab_size, limits, full)
    return Training(
        vocabulary,
        pair_counts=tuple(times for _, _, times, _ in learned),
        token_counts=tuple(accumulate((places for _, _, _, places in learned), sub, initial=corpus.size)),
        pieces=corpus.pieces,
        dropped_pieces=corpus.dropped.pieces,
        dropped_distinct=corpus.dropped.distinct,
    )
