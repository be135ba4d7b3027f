"""Byte pair encoding learned in plain Python, one merge at a time: the merges that fast trainers must make.

It makes the merges of `tests/reference.py`, as a test checks, and makes them sooner. Each pair has its count and the set of places
where it stands, and a merge changes both only around those places: a few megabytes take a minute for some thousand merges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

Pair = tuple[int, int]
NOWHERE = -1


def train(
    pieces: Iterable[bytes], merges: int, tie_break: str, byte_order: Sequence[int] = range(256)
) -> list[tuple[Pair, int]]:
    """Learn merges, and how often each pair occurred; fewer if no pair is left. `byte_order` holds the byte of each id.

    >>> train([b"aaabdaaabac"], 3, "first")
    [((97, 97), 4), ((256, 97), 2), ((257, 98), 2)]
    """
    # The distinct pieces stand one after the other as they first came, so that of two places the lower comes first in the text too.
    # A token's place is that of its first byte; the places of its other bytes are no longer linked.
    ids: list[int] = []
    before: list[int] = []
    after: list[int] = []
    times: list[int] = []  # how often the piece around a place occurs
    id_of = {byte: id for id, byte in enumerate(byte_order)}
    for piece, occurrences in Counter(filter(None, pieces)).items():
        first, end = len(ids), len(ids) + len(piece)
        ids += [id_of[byte] for byte in piece]
        before += [NOWHERE, *range(first, end - 1)]
        after += [*range(first + 1, end), NOWHERE]
        times += [occurrences] * len(piece)

    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)  # of the left token

    def add(place: int) -> None:
        """Count the pair whose left token is here, if a token is here and another follows."""
        if place != NOWHERE and after[place] != NOWHERE:
            pair = ids[place], ids[after[place]]
            counts[pair] += times[place]
            places[pair].add(place)

    def remove(place: int) -> None:
        """Undo `add`."""
        if place != NOWHERE and after[place] != NOWHERE:
            pair = ids[place], ids[after[place]]
            counts[pair] -= times[place]
            places[pair].remove(place)
            if not places[pair]:
                del counts[pair], places[pair]

    for place in range(len(ids)):
        add(place)
    learned: list[tuple[Pair, int]] = []
    while counts and len(learned) < merges:
        most = max(counts.values())
        tied = [pair for pair, count in counts.items() if count == most]
        best = min(tied) if tie_break == "lowest" else min(tied, key=lambda pair: min(places[pair]))
        token = 256 + len(learned)
        learned.append((best, most))
        for place in sorted(places[best]):
            if place not in places.get(best, ()):
                continue  # its left token is part of the token just made: "aaa" becomes (aa)(a)
            second = after[place]
            for changed in (before[place], place, second):
                remove(changed)
            ids[place], after[place] = token, after[second]
            if after[place] != NOWHERE:
                before[after[place]] = place
            for changed in (before[place], place):
                add(changed)
    return learned
