"""Numbers in messages, with what they count."""


def several(number: int, thing: str) -> str:
    """Return a number and its noun, in the plural unless there is one.

    >>> several(1, "special token"), several(12_000, "merge")
    ('1 special token', '12,000 merges')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
