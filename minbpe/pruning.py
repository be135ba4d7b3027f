"""Pruning: a smaller vocabulary out of a larger one, and which row of an embedding goes where."""

from __future__ import annotations

from minbpe.errors import UnknownTokenError, VocabularyError
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def prune(vocabulary: Vocabulary, keep: Iterable[int]) -> tuple[Vocabulary, dict[int, int | None]]:
    """Return a vocabulary of the tokens `keep` and their parts, and a map of each old id to its new one; see `Vocabulary.prune`."""
    if vocabulary.by_rank:
        raise VocabularyError(
            "a vocabulary whose merges are not known cannot be pruned: which tokens a token is made of cannot be told"
        )
    parents = dict(zip(vocabulary.ids, vocabulary.merges, strict=True))
    special = vocabulary.special_tokens
    kept = {*vocabulary.byte_ids, *special.values()}
    pending = list(keep)
    while pending:
        token_id = pending.pop()
        if token_id not in vocabulary:
            raise UnknownTokenError(f"cannot keep the id {token_id!r}: no token has it")
        if token_id not in kept:
            kept.add(token_id)
            pending.extend(parents[token_id])
    numbers = {token_id: number for number, token_id in enumerate(sorted(kept))}
    merges = {numbers[token_id]: pair for token_id, pair in parents.items() if token_id in kept}
    pruned = Vocabulary.from_merges(
        [(numbers[left], numbers[right]) for left, right in merges.values()],
        stages=[
            (sum(token_id in kept for token_id in vocabulary.ids[:first_rank]), pattern)
            for first_rank, pattern in vocabulary.stages
        ],
        special_tokens={text: numbers[token_id] for text, token_id in special.items()},
        byte_ids=[numbers[token_id] for token_id in vocabulary.byte_ids],
        ids=list(merges),
    )
    every = sorted({*vocabulary.byte_ids, *vocabulary.ids, *special.values()})
    return pruned, {token_id: numbers.get(token_id) for token_id in every}
