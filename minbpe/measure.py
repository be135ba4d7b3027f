"""Measuring tokenizers against each other: equality first, then time, with the engines' runs interleaved."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from statistics import median
from time import perf_counter
from typing import TypeVar

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two lists of ids differ."""

    place: int
    ours: int | None
    theirs: int | None

    def __str__(self) -> str:
        """Describe the difference in words.

        >>> str(Difference(7, 262, None))
        'at id 7 ours is 262 and theirs is missing'
        """
        ours, theirs = ("missing" if token is None else token for token in (self.ours, self.theirs))
        return f"at id {self.place:,} ours is {ours} and theirs is {theirs}"


def first_difference(ours: Iterable[int], theirs: Iterable[int]) -> Difference | None:
    """Return the first place where two lists of ids differ, or None if they are equal.

    >>> first_difference([1, 2, 3], [1, 5])
    Difference(place=1, ours=2, theirs=5)
    """
    pairs = enumerate(zip_longest(ours, theirs))
    return next((Difference(place, *pair) for place, pair in pairs if pair[0] != pair[1]), None)


def median_seconds(runs: Mapping[Name, Callable[[], object]], *, rounds: int = 3) -> dict[Name, float]:
    """Return the median seconds of each run. Runs take turns, so that a slow moment of the machine hits all alike."""
    seconds: dict[Name, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = perf_counter()
            run()
            seconds[name].append(perf_counter() - began)
    return {name: median(times) for name, times in seconds.items()}
