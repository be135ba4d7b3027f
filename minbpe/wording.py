"""Numbers in messages, with what they count, and lists that may be long."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def several(number: int, thing: str) -> str:
    """Return a number and its noun, in the plural unless there is one.

    >>> several(1, "special token"), several(12_000, "merge")
    ('1 special token', '12,000 merges')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def first_of(names: "Sequence[str]", most: int) -> str:
    """Return names in a row, the first of them if there are many.

    >>> first_of(["id", "title", "body", "date"], 2), first_of(["id", "title"], 2)
    ('id, title and 2 more', 'id, title')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
