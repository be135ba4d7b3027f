"""The split patterns that have a name."""

from __future__ import annotations

from minbpe import _core
from minbpe.errors import PatternError, PatternWarning, warn

GPT2_SPLIT_PATTERN: str = _core.PATTERNS["gpt2"]
GPT4_SPLIT_PATTERN: str = _core.PATTERNS["gpt4"]

_warned: set[str] = set()
"""The refused patterns of which this process has heard."""


def resolve(pattern: str | None) -> str | None:
    r"""Return the regular expression that `pattern` names or is; `None` where each text is one piece.

    A word of three letters or more that is no name is refused: as a regular expression it would hardly be meant.

    >>> resolve("gpt2") == GPT2_SPLIT_PATTERN
    True
    >>> resolve(r"\w+|\W+")
    '\\w+|\\W+'

    Raises:
        PatternError: a word that names no pattern.
        TypeError: neither a str nor None.
    """
    if pattern is None or pattern == "":
        return None
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a str or None, not {type(pattern).__name__}")
    named = _core.PATTERNS.get(pattern)
    if named is None and len(pattern) >= 3 and pattern.isidentifier():
        raise PatternError(
            f"no split pattern is named {pattern!r}: the names are {', '.join(_core.PATTERNS)}; "
            f"if it is meant as a regular expression, write '(?:{pattern})'"
        )
    return named or pattern


def shown(pattern: str | None) -> str:
    """Return a pattern as messages show it: by its name if it has one.

    >>> shown(GPT2_SPLIT_PATTERN), shown(None), shown(" ?[a-z]+")
    ("'gpt2'", 'None', "' ?[a-z]+'")
    """
    names = [name for name, regex in _core.PATTERNS.items() if regex == pattern]
    return repr(names[0] if names else pattern)


def warn_of_refusal(pattern: str, refusal: str) -> None:
    """Warn, once for each pattern, that the compiled engine does not take it, and why."""
    if pattern in _warned:
        return
    warn(
        f"the split pattern {shown(pattern)} is run by backtracking, which is exact but slow, for the compiled engine does not "
        f"take it: {refusal}; write it without that to be fast",
        PatternWarning,
    )
    _warned.add(pattern)
