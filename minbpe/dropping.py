"""What was left out of piece counts because it was rare: kept with the counts, so that no report forgets it."""

from __future__ import annotations

from operator import index
from typing import NamedTuple

from minbpe.errors import warn
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Dropped(NamedTuple):
    """The pieces left out of counts because they were seen fewer than `min_count` times, in the corpus or in a part of it.

    >>> Dropped().and_then(7, 5, 2).and_then(0, 0, 3)
    Dropped(pieces=7, distinct=5, min_count=3)
    """

    pieces: int = 0
    """How many there were."""
    distinct: int | None = 0
    """How many of these were distinct. None in a sum of counts: its parts may have left out the same pieces."""
    min_count: int = 1
    """1 if nothing was left out."""

    def and_then(self, pieces: int, distinct: int | None, min_count: int) -> Dropped:
        """Return what was left out in all, once `min_count` leaves out this many pieces of those that were kept."""
        if not self.pieces + pieces:
            return NOTHING
        different = None if self.distinct is None or distinct is None else self.distinct + distinct
        return Dropped(self.pieces + pieces, different, max(self.min_count, index(min_count)))

    def to_json(self) -> dict[str, object]:
        """Return what a file of counts says of it: nothing if nothing was left out.

        >>> Dropped(7, 5, 2).to_json(), Dropped(7, None, 2).to_json(), Dropped().to_json()
        ({'min_count': 2, 'dropped': {'pieces': 7, 'distinct': 5}}, {'min_count': 2, 'dropped': {'pieces': 7}}, {})
        """
        if not self.pieces:
            return {}
        distinct = {} if self.distinct is None else {"distinct": self.distinct}
        return {"min_count": self.min_count, "dropped": {"pieces": self.pieces, **distinct}}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Dropped:
        """Return what `to_json` wrote among other facts.

        Raises:
            ValueError: it did not write this.
        """
        if "dropped" not in facts and "min_count" not in facts:
            return NOTHING
        numbers = facts.get("dropped")
        if isinstance(numbers, dict):
            dropped = cls(numbers.get("pieces", 0), numbers.get("distinct"), facts.get("min_count", 0))
            if dropped._possible() and dropped.to_json()["dropped"] == numbers:
                return dropped
        raise ValueError("its second line does not say what was left out")

    def _possible(self) -> bool:
        distinct = 1 if self.distinct is None else self.distinct
        numbers = (self.pieces, distinct, self.min_count)
        return all(type(number) is int for number in numbers) and 0 < distinct <= self.pieces and self.min_count > 1


NOTHING = Dropped()


def added_up(parts: Iterable[tuple[int, Dropped]]) -> Dropped:
    """Return what was left out of the sum of several counts, of each the number of pieces it holds and what was left out of it.

    >>> added_up([(120, Dropped(7, 5, 2)), (0, Dropped())])
    Dropped(pieces=7, distinct=5, min_count=2)

    Warns:
        UserWarning: rare pieces were left out of a part before the parts were added up.
    """
    dropped = [part for held, part in parts if held or part.pieces]
    if len(dropped) <= 1:
        return dropped[0] if dropped else NOTHING
    pieces = sum(part.pieces for part in dropped)
    if not pieces:
        return NOTHING
    min_count = max(part.min_count for part in dropped)
    warn(
        f"{several(pieces, 'piece')} seen fewer than {min_count:,} times in one part of the corpus "
        f"{'was' if pieces == 1 else 'were'} left out before the parts were added up, so the sum lacks pieces that are rare in "
        "each part, and counts others too low: count every part with min_count=1, and give min_count for the sum",
        UserWarning,
    )
    return Dropped(pieces, None, min_count)
