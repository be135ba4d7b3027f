"""Which special tokens a text may hold: tiktoken's rules for `allowed_special` and `disallowed_special`.

An explicit `disallowed_special` wins over `allowed_special="all"`; it may name text that is no special token at all. By default
text that looks like a special token is an error, since it may come from a user who wants to be taken for somebody else.
"""

from __future__ import annotations

from minbpe import _core
from minbpe.errors import SpecialTokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import Literal, NoReturn, TypeAlias

    # What finds the allowed and the disallowed special tokens, and the latter themselves.
    Matchers: TypeAlias = tuple[_core.Matcher | None, _core.Matcher | None, frozenset[str]]

NONE: frozenset[str] = frozenset()

# Automata for so many different settings are kept; then all are dropped and built again as needed.
KEPT = 64


class SpecialTokens:
    """The special tokens of an encoding, and the automata that find them, each built when first asked for."""

    __slots__ = ("_by_default", "_kept", "ids", "texts", "values")

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self.texts = frozenset(ids)
        self.values = frozenset(ids.values())
        self._kept: dict[object, Matchers] = {}
        self._by_default: Matchers | None = None

    def check(
        self,
        text: str,
        allowed: Literal["all"] | AbstractSet[str],
        disallowed: Literal["all"] | Collection[str],
    ) -> _core.Matcher | None:
        """Return what finds the allowed special tokens, None if there are none.

        Raises:
            SpecialTokenError: `text` holds a disallowed one.
            TypeError: `allowed` is not a set or "all", or one of the two holds something else than str.
        """
        # What nearly every call asks for; looking it up made a call with 20 bytes take twice as long.
        by_default = self._by_default if allowed is NONE and disallowed == "all" else None
        allowed_matcher, disallowed_matcher, texts = by_default or self.matchers(allowed, disallowed)
        if disallowed_matcher is not None:
            refuse(disallowed_matcher, texts, text)
        return allowed_matcher

    def check_all(
        self,
        texts: Iterable[str],
        allowed: Literal["all"] | AbstractSet[str],
        disallowed: Literal["all"] | Collection[str],
    ) -> _core.Matcher | None:
        """Check several texts, each as `check` does."""
        allowed_matcher, disallowed_matcher, names = self.matchers(allowed, disallowed)
        if disallowed_matcher is not None:
            for text in texts:
                refuse(disallowed_matcher, names, text)
        return allowed_matcher

    def matchers(
        self, allowed: Literal["all"] | AbstractSet[str], disallowed: Literal["all"] | Collection[str]
    ) -> Matchers:
        """Return what finds the allowed and the disallowed texts, and the latter themselves."""
        if allowed == "all":
            allowed = self.texts
        elif not is_set(allowed):
            raise TypeError(f'allowed_special is "all" or a set of special tokens, not {type(allowed).__name__}')
        else:
            allowed = frozenset(allowed)
        if disallowed != "all":
            disallowed = frozenset(disallowed or ())  # None is nothing too, as for tiktoken
        key = (allowed, disallowed)
        kept = self._kept.get(key)
        if kept is None:
            texts = self.texts - allowed if disallowed == "all" else frozenset(disallowed)
            expect_texts("allowed_special", allowed)
            expect_texts("disallowed_special", texts)
            known = [(text, self.ids[text]) for text in allowed & self.texts]
            # A text with lone surrogates is in no valid string; `check` looks for it in the others.
            wanted = [(text, 0) for text in texts if not has_surrogates(text)]
            kept = (_core.Matcher(known) if known else None, _core.Matcher(wanted) if texts else None, texts)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = kept
            if disallowed == "all" and not allowed:
                self._by_default = kept
        return kept


def refuse(matcher: _core.Matcher, names: AbstractSet[str], text: str) -> None:
    """Raise SpecialTokenError if `text` holds one of `names`, which `matcher` finds."""
    try:
        found = matcher.search(text)
    except UnicodeEncodeError:
        found = first_of(names, text)
    if found is not None:
        raise_disallowed(found)


def is_set(value: object) -> bool:
    """Whether `value` is a set of any kind, such as the keys of a dict."""
    if isinstance(value, frozenset | set):
        return True
    from collections.abc import Set  # 3 ms of import, which few programs need

    return isinstance(value, Set)


def expect_texts(name: str, texts: AbstractSet[str]) -> None:
    """Raise TypeError if one of `texts`, the argument called `name`, is no str."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} holds texts, not {type(text).__name__}: {text!r}")


def has_surrogates(text: str) -> bool:
    """Whether `text` holds surrogates, which UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def first_of(texts: AbstractSet[str], text: str) -> str | None:
    """Return which of `texts` comes first in `text`, of several there the longest; None if none does."""
    found = [(text.find(candidate), -len(candidate), candidate) for candidate in texts if candidate in text]
    return min(found)[2] if found else None


def raise_disallowed(token: str) -> NoReturn:
    """Say which special token the text holds, and the three ways out."""
    raise SpecialTokenError(
        f"Encountered text corresponding to disallowed special token {token!r}.\n"
        "If you want this text to be encoded as a special token, "
        f"pass it to `allowed_special`, e.g. `allowed_special={{{token!r}, ...}}`.\n"
        "If you want this text to be encoded as normal text, disable the check for this token "
        f"by passing `disallowed_special=(enc.special_tokens_set - {{{token!r}}})`.\n"
        "To disable this check for all special tokens, pass `disallowed_special=()`.\n"
    )
