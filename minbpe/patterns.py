"""The split patterns that have a name."""

from __future__ import annotations

from minbpe import _core
from minbpe.errors import PatternError, PatternWarning, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import EllipsisType
    from typing import Any, TypeAlias

    Pattern: TypeAlias = str | tuple[str, ...] | None
    """A regular expression; two or more, each splitting the pieces of the one before; or None: a text is one piece."""
    GivenPattern: TypeAlias = str | Sequence[str] | None
    """The same, by name or in a list."""

GPT2_SPLIT_PATTERN: str = _core.PATTERNS["gpt2"]
GPT4_SPLIT_PATTERN: str = _core.PATTERNS["gpt4"]
NAMED: Mapping[str, str | tuple[str, ...]] = {**_core.PATTERNS, **_core.SEQUENCES}

_warned: set[str | tuple[str, ...]] = set()
"""The refused patterns that this process has been warned about."""


def resolve(pattern: GivenPattern) -> Pattern:
    r"""Return the regular expression that `pattern` names or is, or several that split in sequence; `None` for none.

    A word of three or more letters that is not a known name is refused: it is hardly meant as a regular expression.

    >>> resolve("gpt2") == GPT2_SPLIT_PATTERN
    True
    >>> resolve([r"\d", r"\w+|\W+"])
    ('\\d', '\\w+|\\W+')

    Raises:
        PatternError: a word that names no pattern.
        TypeError: neither a str, nor a list or tuple of these, nor None.
    """
    if pattern is None or pattern == "":
        return None
    parts = pattern if isinstance(pattern, list | tuple) else [pattern]
    each = [regex for part in parts for regex in _regexes(part)]
    return each[0] if len(each) == 1 else tuple(each) or None


def _regexes(pattern: object) -> Sequence[str]:
    """Return the regular expressions that a str names, or the one that the str is."""
    if not isinstance(pattern, str):
        raise TypeError(f"pattern must be a str, a list of str, or None, not {type(pattern).__name__}")
    named = NAMED.get(pattern, pattern)
    if named is pattern and len(pattern) >= 3 and pattern.isidentifier():
        raise PatternError(
            f"no split pattern is named {pattern!r}: the names are {', '.join(NAMED)}; "
            f"if it is meant as a regular expression, write '(?:{pattern})'"
        )
    if any("\ud800" <= character <= "\udfff" for character in pattern):
        raise PatternError(f"a pattern is text, and lone surrogates are not: {pattern!a} holds one")
    return [named] if isinstance(named, str) else named


def shown(pattern: Pattern | EllipsisType) -> str:
    """Return a pattern as messages show it, by its name if it has one.

    >>> shown(GPT2_SPLIT_PATTERN), shown(None), shown((" ?[a-z]+", GPT2_SPLIT_PATTERN))
    ("'gpt2'", 'None', "[' ?[a-z]+', 'gpt2']")
    """
    names = [name for name, regex in NAMED.items() if regex == pattern]
    if isinstance(pattern, tuple) and not names:
        return f"[{', '.join(map(shown, pattern))}]"
    return repr(names[0] if names else pattern)


def from_json(pattern: Any) -> Any:
    """Return a pattern that was read from JSON: a list of several becomes a tuple again.

    >>> from_json(["a", "b"]), from_json("a"), from_json(None)
    (('a', 'b'), 'a', None)
    """
    return tuple(pattern) if isinstance(pattern, list) else pattern


def warn_of_refusal(pattern: str | tuple[str, ...], refusal: str) -> None:
    """Warn, once for each pattern, that the compiled engine does not take it, and why."""
    if pattern in _warned:
        return
    warn(
        f"the split pattern {shown(pattern)} is run by backtracking, which is exact but slow, for the compiled engine does not "
        f"take it: {refusal}; write it without that to be fast",
        PatternWarning,
    )
    _warned.add(pattern)
