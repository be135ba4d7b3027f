"""Seed tokens: tokens that a vocabulary has whatever its corpus holds, made by merges that come before all learnt ones."""

from __future__ import annotations

from itertools import pairwise

from minbpe import _core
from minbpe.errors import VocabularyError
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from minbpe.merging import Learned


def seed_merges(tokens: Iterable[str | bytes], byte_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Return merges, each a pair of ids, that make every one of `tokens` a token when its bytes are one piece.

    A token takes a merge for each of its bytes but one, less those that earlier tokens have made already.

    >>> seed_merges(["ab", b"abc", "ab"], range(256))
    [(97, 98), (256, 99)]

    Raises:
        VocabularyError: a token is empty.
        TypeError: `tokens` is a str or bytes, or holds something else.
    """
    from minbpe.encoding import Encoding

    if isinstance(tokens, str | bytes):
        raise TypeError(
            f"seed_tokens must be an iterable of str or bytes, not {type(tokens).__name__}: write [{tokens!r}]"
        )
    merges: list[tuple[int, int]] = []
    for token in tokens:
        if not isinstance(token, str | bytes):
            raise TypeError(f"a seed token is str or bytes, and {token!r} is of type {type(token).__name__}")
        if not token:
            raise VocabularyError("a seed token is empty: give it at least one byte")
        # One merge at a time: the next one applies wherever its pair stands, in this token too.
        while len(ids := Encoding.from_vocabulary(_made_by(merges, byte_ids))._encode_single_piece(token)) > 1:
            merges.append((ids[0], ids[1]))
    return merges


def as_learned(merges: Sequence[tuple[int, int]], counted: _core.Counted, byte_ids: Sequence[int]) -> Learned:
    """Return merges as if they had been learnt: each with the number of places in which the corpus has it, twice.

    Encodes the corpus once for each merge.
    """
    if not merges:
        return []
    counts = counted.counts(None)
    starts = [_made_by(merges[:number], byte_ids)._core for number in range(len(merges) + 1)]
    sizes = [_core.tokens_at_start(counts, start) for start in starts]
    return [
        (left, right, before - after, before - after)
        for (left, right), (before, after) in zip(merges, pairwise(sizes), strict=True)
    ]


def _made_by(merges: Sequence[tuple[int, int]], byte_ids: Sequence[int]) -> Vocabulary:
    return Vocabulary.from_merges(merges, byte_ids=byte_ids)
