"""Training: from a corpus to the vocabulary that byte pair encoding makes of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

from minbpe import _core
from minbpe.counting import PieceCounts, Progress, count
from minbpe.errors import SpecialTokenError, VocabularyError
from minbpe.patterns import resolve
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal, TypeAlias, TypeVar

    from minbpe.corpus import Corpus

    Source: TypeAlias = Corpus | PieceCounts
    """What `train` learns from."""
    TieBreak: TypeAlias = Literal["first", "lowest"]
    ByteOrder: TypeAlias = Literal["identity", "gpt2"]
    T = TypeVar("T")

__all__ = ["Progress", "VocabularyWarning", "learn_merges", "train"]

TIE_BREAKS = {"first": False, "lowest": True}
"""Whether ids decide between pairs of the same count."""

_PRINTED = {*range(33, 127), *range(161, 173), *range(174, 256)}
"""The bytes that Latin-1 prints. GPT-2's vocabulary has them first."""

BYTE_ORDERS = {
    "identity": list(range(256)),
    "gpt2": sorted(range(256), key=lambda byte: (byte not in _PRINTED, byte)),
}
"""The byte of each id."""


class VocabularyWarning(UserWarning):
    """A vocabulary came out smaller than it was asked to be."""


def train(
    source: Source,
    vocab_size: int,
    *,
    pattern: str | None = "gpt4",
    tie_break: TieBreak = "first",
    byte_order: ByteOrder = "identity",
    special_tokens: Iterable[str] | Mapping[str, int] = (),
    threads: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Vocabulary:
    """Learn a vocabulary of `vocab_size` tokens: 256 bytes, the merges, and the special tokens.

    Exact: each merge is of the pair of neighbours that is most frequent in the text as merged so far; where pairs overlap,
    as in "aaa", each place counts. A corpus in which nothing is left to merge gives a smaller vocabulary, with a warning.

    >>> vocabulary = train("aaabdaaabac", 259, pattern=None)
    >>> [vocabulary[id] for id in vocabulary.ids]
    [b'aa', b'aaa', b'aaab']

    Args:
        source: a text as str or bytes, a file as `pathlib.Path`, an iterable of these, one document each, or `PieceCounts`.
        vocab_size: at least 256 and the number of special tokens.
        pattern: the name of a split pattern, or a regular expression; None: a document is one piece. For `PieceCounts`, the
            pattern that made the pieces.
        tie_break: which of several pairs with the same count is merged. "first": the one that comes first in the text, as
            minbpe always did; "lowest": the one of lowest ids, as most other trainers do.
        byte_order: which byte has which id below 256: its value, or the order of GPT-2's vocabulary, printed bytes first.
        special_tokens: texts that get the ids after the last merge, in order; or texts with their ids. In the corpus they
            are text as any other.
        threads: how many work side by side, by default as many as there are cores. The result does not depend on it.
        progress: called some twenty times a second, and at the end of each stage. What it raises ends the training.

    Raises:
        VocabularyError: `vocab_size` leaves no room for the bytes and the special tokens.
        SpecialTokenError: a special token is empty, given twice, or has an id that a merge will have.
        PatternError: the pattern does not compile, or gave up on a text.
        CorpusError: counts of 2^63 or more, or distinct pieces of 4 GiB or more.
        TypeError: what is given is no corpus.
        OSError: a file cannot be read.

    Warns:
        VocabularyWarning: the corpus was exhausted before the vocabulary was full.
    """
    pattern = resolve(pattern)
    _choice("tie_break", tie_break, TIE_BREAKS)
    order = _choice("byte_order", byte_order, BYTE_ORDERS)
    given = _special_tokens(special_tokens)
    room = len(set(given.values())) if isinstance(given, dict) else len(given)
    wanted = vocab_size - 256 - room
    if wanted < 0:
        raise VocabularyError(
            f"vocab_size is {vocab_size}, and the 256 bytes and {room} special tokens alone are {256 + room}: give that or more"
        )
    _check_special_tokens(given, 256 + wanted)
    if not isinstance(source, PieceCounts):
        source = count(source, pattern=pattern, threads=threads, progress=progress)
    merges = [
        pair for pair, _ in learn_merges(source, wanted, tie_break=tie_break, byte_order=byte_order, progress=progress)
    ]
    vocabulary = Vocabulary.from_merges(
        merges,
        pattern=pattern,
        special_tokens=_with_ids(given, 256 + len(merges)),
        byte_ids=sorted(range(256), key=order.__getitem__),
    )
    if len(merges) < wanted:
        warnings.warn(
            f"the corpus has no pairs left after {len(merges)} merges, so there are {len(vocabulary) + room} tokens and not "
            f"{vocab_size}: train on more text, or ask for fewer tokens",
            VocabularyWarning,
            stacklevel=2,
        )
    return vocabulary


def learn_merges(
    counts: PieceCounts,
    merges: int,
    *,
    tie_break: TieBreak = "first",
    byte_order: ByteOrder = "identity",
    progress: Callable[[Progress], object] | None = None,
) -> list[tuple[tuple[int, int], int]]:
    """Return the merges of a vocabulary in order, each a pair of ids and how often it occurred; fewer if none are left.

    >>> learn_merges(PieceCounts.from_items([("aaabdaaabac", 1)]), 3)
    [((97, 97), 4), ((256, 97), 2), ((257, 98), 2)]

    The arguments are those of `train`.
    """
    lowest = _choice("tie_break", tie_break, TIE_BREAKS)
    order = _choice("byte_order", byte_order, BYTE_ORDERS)
    report = partial(_report, progress) if progress else None
    learned = [
        ((left, right), times) for left, right, times in _core.train(counts._counts, merges, lowest, order, report)
    ]
    if progress:
        progress(Progress("train", len(learned), len(learned)))
    return learned


def _report(progress: Callable[[Progress], object], done: int, total: int) -> None:
    progress(Progress("train", done, total))


def _choice(name: str, value: str, choices: Mapping[str, T]) -> T:
    """Return what `value` stands for among `choices`."""
    try:
        return choices[value]
    except (KeyError, TypeError):
        raise ValueError(f"{name} is {value!r}: it must be {' or '.join(map(repr, choices))}") from None


def _special_tokens(special_tokens: Iterable[str] | Mapping[str, int]) -> list[str] | dict[str, int]:
    """Return special tokens, with their ids if they have any."""
    if isinstance(special_tokens, str):
        raise TypeError(f"special_tokens must be an iterable of str, not a str: write [{special_tokens!r}]")
    if isinstance(special_tokens, Mapping):
        return dict(special_tokens)
    texts = list(special_tokens)
    for text in texts:
        if texts.count(text) > 1:
            raise SpecialTokenError(f"the special token {text!r} is given twice: name each once")
    return texts


def _with_ids(special_tokens: list[str] | dict[str, int], first: int) -> dict[str, int]:
    """Return special tokens with their ids, from `first` on if they have none."""
    if isinstance(special_tokens, dict):
        return special_tokens
    return {text: first + number for number, text in enumerate(special_tokens)}


def _check_special_tokens(special_tokens: list[str] | dict[str, int], first: int) -> None:
    """Find what is wrong with special tokens before the long work, not after; merges have the ids below `first`."""
    with_ids = _with_ids(special_tokens, first)
    Vocabulary.from_merges((), special_tokens=with_ids)
    for text, token_id in with_ids.items():
        if token_id < first:
            raise SpecialTokenError(
                f"the special token {text!r} has the id {token_id}, and merges have the ids below {first}: give it a higher one"
            )
