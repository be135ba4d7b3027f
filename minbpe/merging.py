"""Merges: what the core learns from counts, within limits, with checkpoints and progress."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from minbpe import _core
from minbpe.errors import MinbpeError, VocabularyError, expect_int, warn
from minbpe.gathering import MOST, Progress, for_core
from minbpe.vocabulary import HIGHEST_ID, Vocabulary
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Literal, TypeAlias, TypeVar

    from minbpe.checkpoint import Keeper
    from minbpe.counting import PieceCounts
    from minbpe.patterns import Pattern

    TieBreak: TypeAlias = Literal["first", "lowest"]
    ByteOrder: TypeAlias = Literal["identity", "gpt2"]
    Learned: TypeAlias = list[tuple[int, int, int, int]]
    """Merges: left id, right id, how often the pair occurred, and in how many places it became a token."""
    T = TypeVar("T")

TIE_BREAKS = {"first": False, "lowest": True}
"""Whether ids decide between pairs of equal count."""

_PRINTED = {*range(33, 127), *range(161, 173), *range(174, 256)}
"""The bytes that are printable in Latin-1. GPT-2's vocabulary lists them first."""

BYTE_ORDERS = {
    "identity": list(range(256)),
    "gpt2": sorted(range(256), key=lambda byte: (byte not in _PRINTED, byte)),
}
"""The byte that each id below 256 stands for."""

MOST_TOKENS = (1 << 31) - 512
"""The most tokens that the core can number."""


class VocabularyWarning(UserWarning):
    """A vocabulary came out smaller than was asked for."""


class Limits:
    """Which pairs may be merged."""

    def __init__(self, min_frequency: int = 1, max_token_length: int | None = None) -> None:
        self.min_frequency, self.max_token_length = min_frequency, max_token_length
        for name, value in vars(self).items():
            if value is None and name == "max_token_length":
                continue
            expect_int(name, value)
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be 1 or more")

    def __str__(self) -> str:
        longest = [] if self.max_token_length is None else [f"max_token_length={self.max_token_length}"]
        rarest = [] if self.min_frequency == 1 else [f"min_frequency={self.min_frequency}"]
        return " and ".join(rarest + longest)


def check_room(tokens: int, next_id: int, merges: int) -> None:
    """Check, before the long work, that this many merges fit beside the existing tokens.

    Raises:
        VocabularyError: they do not fit.
    """
    if tokens + merges > MOST_TOKENS or next_id + merges > HIGHEST_ID + 1:
        raise VocabularyError(
            f"{merges:,} merges on top of {tokens:,} tokens: a vocabulary has {MOST_TOKENS:,} tokens at most, with ids below 2^32, "
            f"and the next id is {next_id:,}: ask for fewer"
        )


def learn_merges(
    counts: PieceCounts,
    merges: int,
    *,
    tie_break: TieBreak = "first",
    byte_order: ByteOrder = "identity",
    min_frequency: int = 1,
    max_token_length: int | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> list[tuple[tuple[int, int], int]]:
    """Return the merges of a vocabulary in order, each a pair of ids and how often it occurred; fewer if pairs run out.

    >>> from minbpe.counting import PieceCounts
    >>> learn_merges(PieceCounts.from_items([("aaabdaaabac", 1)]), 3)
    [((97, 97), 4), ((256, 97), 2), ((257, 98), 2)]

    The arguments are those of `train`.

    Raises:
        VocabularyError: `merges` is negative, or more than there is room for.
        CorpusError: as for `train`.
        TypeError: `counts` are no PieceCounts.
    """
    from minbpe.counting import expect_counts

    expect_counts(counts)
    expect_int("merges", merges)
    if merges < 0:
        raise VocabularyError(f"there cannot be {merges:,} merges: ask for 0 or more")
    order = choice("byte_order", byte_order, BYTE_ORDERS)
    limits = Limits(min_frequency, max_token_length)
    learned, _ = run(counts._counts.counted(1), order, min(merges, sys.maxsize), tie_break, limits, threads, progress)
    return [((left, right), times) for left, right, times, _ in learned]


def run(
    counted: _core.Counted,
    start: Sequence[int] | _core.Vocabulary | tuple[_core.Vocabulary],
    merges: int,
    tie_break: TieBreak,
    limits: Limits,
    threads: int | None,
    progress: Callable[[Progress], object] | None,
    keeper: Keeper | None = None,
    seeds: Learned | None = None,
    grow: Callable[[Learned], Vocabulary] | None = None,
) -> tuple[Learned, bool]:
    """Return the merges, and whether training ended because the tokens hold as many bytes as a vocabulary takes.

    This consumes `counted`. With `seeds` or a `keeper`, training continues after these merges, from the vocabulary that `grow`
    makes of `start` and them; an exception leaves the new merges with the keeper. A corpus that is refused leaves no new
    checkpoint: no run could resume from it.
    """
    lowest = choice("tie_break", tie_break, TIE_BREAKS)
    # What a keeper has begins with the seeds.
    learned = keeper.merges[:merges] if keeper and keeper.merges else list(seeds or ())
    if learned and grow:
        start = grow(learned)._core

    def heard(done: int, _total: int) -> None:
        if keeper:
            keeper.hear(learned)
        if progress:
            progress(Progress("train", len(learned), merges))

    longest = min(limits.max_token_length or sys.maxsize, sys.maxsize)
    try:
        full = _core.train(
            counted,
            start,
            merges - len(learned),
            lowest,
            min(limits.min_frequency, MOST),
            longest,
            for_core(threads),
            heard,
            learned,
        )
        if keeper:
            keeper.end(learned)
    except BaseException as error:
        if keeper and (learned or not isinstance(error, MinbpeError)):
            keeper.keep(learned)
        elif keeper:
            keeper.close()
        raise
    if keeper:
        keeper.close()
    if progress:
        progress(Progress("train", len(learned), len(learned)))
    return learned, full


def grown(vocabulary: Vocabulary, learned: Learned, stages: Iterable[tuple[int, Pattern]] | None = None) -> Vocabulary:
    """Return a vocabulary with further merges, whose tokens get the ids from `n_vocab` on; `stages` replace its own."""
    first = vocabulary.n_vocab
    return Vocabulary.from_merges(
        [*vocabulary.merges, *((left, right) for left, right, _, _ in learned)],
        stages=vocabulary.stages if stages is None else stages,
        special_tokens=vocabulary.special_tokens,
        byte_ids=vocabulary.byte_ids,
        ids=[*vocabulary.ids, *range(first, first + len(learned))],
    )


def warn_of_early_end(learned: int, wanted: int, tokens: int, vocab_size: int, limits: Limits, full: bool) -> None:
    """Warn if there are fewer merges than wanted, for want of pairs, or because the tokens are `full`."""
    if learned == wanted:
        return
    within = f" within {limits}" if str(limits) else ""
    reason, way_out = f"the corpus has no pairs left{within}", "train on more text, or ask for fewer tokens"
    if full:
        reason = "the tokens together hold 1 GiB, as much as a vocabulary takes,"
        way_out = (
            "leave pairs that occur once unmerged (min_frequency=2), set max_token_length, or ask for fewer tokens"
        )
    warn(
        f"{reason} after {several(learned, 'merge')}, so there are {tokens} tokens and not {vocab_size}: {way_out}",
        VocabularyWarning,
    )


def choice(name: str, value: str, choices: Mapping[str, T]) -> T:
    """Return what `value` stands for among `choices`."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name} is {value!r}: it must be {' or '.join(map(repr, choices))}") from None
