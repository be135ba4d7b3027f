"""Byte pair encoding as one would explain it: count all pairs, merge the best, start again.

Obviously right, and slow. It takes text already split into pieces, because splitting is a separate question; an unsplit text is a
list of one piece.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import inf

Pair = tuple[int, int]


def merge(ids: Sequence[int], pair: Pair, token: int) -> Sequence[int]:
    """Replace each `pair` by `token`, from left to right."""
    if pair not in pairwise(ids):
        return ids
    merged: list[int] = []
    for id in ids:
        merged.append(id)
        # A token just made is not part of `pair`, so "aaa" becomes (aa)(a).
        if tuple(merged[-2:]) == pair:
            merged[-2:] = [token]
    return merged


def to_ids(piece: bytes, byte_order: Sequence[int]) -> Sequence[int]:
    """Turn each byte into its id: its place in `byte_order`."""
    return [byte_order.index(byte) for byte in piece]


def train(
    pieces: Iterable[bytes],
    merges: int,
    tie_break: str,
    byte_order: Sequence[int] = range(256),
    min_frequency: int = 1,
    max_token_length: float = inf,
) -> list[tuple[Pair, int]]:
    """Learn merges, and how often each pair occurred; fewer if no pair is left. `byte_order` holds the byte of each id.

    A pair that occurs less than `min_frequency` times, or is longer than `max_token_length` bytes, is never merged.
    """
    # A dict keeps its keys in the order of their first use: pieces here, pairs below.
    words = [(to_ids(piece, byte_order), count) for piece, count in Counter(pieces).items()]
    return go_on(words, merges, tie_break, dict.fromkeys(range(256), 1), 256, min_frequency, max_token_length)


def go_on(
    words: list[tuple[Sequence[int], int]],
    merges: int,
    tie_break: str,
    lengths: dict[int, int],
    next_id: int,
    min_frequency: int = 1,
    max_token_length: float = inf,
    tokens: dict[int, bytes] | None = None,
) -> list[tuple[Pair, int]]:
    """Learn merges from pieces given as ids of tokens with these lengths; new tokens get the ids from `next_id` on.

    If `tokens` are given, id to bytes, no pair that spells one of them is merged, and new tokens are added to them.
    """
    learned: list[tuple[Pair, int]] = []
    while len(learned) < merges:
        counts: dict[Pair, int] = {}
        for ids, count in words:
            for pair in pairwise(ids):  # overlapping ones too: "aaa" holds (a, a) twice
                counts[pair] = counts.get(pair, 0) + count
        counts = {
            pair: times
            for pair, times in counts.items()
            if times >= min_frequency and lengths[pair[0]] + lengths[pair[1]] <= max_token_length
            if tokens is None or tokens[pair[0]] + tokens[pair[1]] not in tokens.values()
        }
        if not counts:
            break
        if tie_break == "first":
            best = max(counts, key=lambda pair: counts[pair])  # the first of those with the largest count
        else:
            best = min(counts, key=lambda pair: (-counts[pair], pair))
        token = next_id + len(learned)
        words = [(merge(ids, best, token), count) for ids, count in words]
        lengths[token] = lengths[best[0]] + lengths[best[1]]
        if tokens is not None:
            tokens[token] = tokens[best[0]] + tokens[best[1]]
        learned.append((best, counts[best]))
    return learned


def encode(piece: bytes, merges: Sequence[Pair], byte_order: Sequence[int] = range(256)) -> Sequence[int]:
    """Turn a piece into ids by applying each merge in the order of training."""
    ids = to_ids(piece, byte_order)
    for number, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + number)
    return ids


def decode(ids: Iterable[int], merges: Sequence[Pair], byte_order: Sequence[int] = range(256)) -> bytes:
    """Turn ids into bytes by undoing each merge."""
    tokens = [bytes([byte]) for byte in byte_order]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return b"".join(tokens[id] for id in ids)


Split = Callable[[bytes], Iterable[bytes]]


def train_stages(
    documents: Sequence[bytes], stages: Sequence[tuple[Split, int]], tie_break: str
) -> tuple[list[Pair], list[tuple[Split, int]]]:
    """Learn merges in stages, each a split and the number of merges after it; return them, and each split with its first rank.

    A stage starts from its pieces as the earlier stages encode them. A pair whose bytes already are a token is never merged.
    """
    merges: list[Pair] = []
    begun: list[tuple[Split, int]] = []
    tokens = {byte: bytes([byte]) for byte in range(256)}
    for split, after in stages:
        pieces = Counter(piece for document in documents for piece in split(document))
        words = [(encode_stages(piece, begun, merges), count) for piece, count in pieces.items()]
        begun.append((split, len(merges)))
        learned = go_on(
            words, after - len(merges), tie_break, dict.fromkeys(tokens, 1), 256 + len(merges), tokens=tokens
        )
        merges += [pair for pair, _ in learned]
    return merges, begun


def encode_stages(text: bytes, stages: Sequence[tuple[Split, int]], merges: Sequence[Pair]) -> Sequence[int]:
    """Turn a text into ids: split by the last stage, encode each piece by the stages before, apply the last stage's merges."""
    if not stages:
        return list(text)
    *before, (split, first) = stages
    encoded: list[int] = []
    for piece in split(text):
        ids = encode_stages(piece, before, merges[:first])
        for rank in range(first, len(merges)):
            ids = merge(ids, merges[rank], 256 + rank)
        encoded += ids
    return encoded
