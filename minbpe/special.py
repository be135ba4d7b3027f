"""Which special tokens a text may hold: tiktoken's rules for `allowed_special` and `disallowed_special`.

An explicit `disallowed_special` wins over `allowed_special="all"`; it may name text that is no special token at all. By default
text that looks like a special token is an error, since it may come from a user posing as somebody else.
"""

from __future__ import annotations

from minbpe import _core
from minbpe.errors import SpecialTokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import Literal, NoReturn, TypeAlias

    # The matchers of the allowed and the disallowed special tokens, and the texts of the latter.
    Matchers: TypeAlias = tuple[_core.Matcher | None, _core.Matcher | None, frozenset[str]]

NONE: frozenset[str] = frozenset()

# The automata of this many different settings are kept; after that all are dropped, and rebuilt as needed.
KEPT = 64


class SpecialTokens:
    """The special tokens of an encoding, and the automata that find them, each built when first asked for."""

    __slots__ = ("_core", "_kept", "ids", "texts", "values")

    def __init__(self, ids: Mapping[str, int], core: _core.Encoder) -> None:
        self.ids = dict(ids)
        self.texts = frozenset(ids)
        self.values = frozenset(ids.values())
        self._core = core
        self._kept: dict[object, Matchers] = {}

    def check(
        self,
        text: str,
        allowed: Literal["all"] | AbstractSet[str],
        disallowed: Literal["all"] | Collection[str],
    ) -> _core.Matcher | None:
        """Return the matcher of the allowed special tokens, None if there are none.

        Raises:
            SpecialTokenError: `text` holds a disallowed one.
            TypeError: `allowed` is not a set or "all", or one of the two holds something other than str.
        """
        if allowed is NONE and disallowed == "all":
            # Nearly every call asks for this: without the lookup, a call with 20 bytes takes 0.9 of the time.
            refuse(self._core.matcher(), self.texts, text)
            return None
        allowed_matcher, disallowed_matcher, texts = self.matchers(allowed, disallowed)
        if disallowed_matcher is not None:
            refuse(disallowed_matcher, texts, text)
        return allowed_matcher

    def check_all(
        self,
        texts: Iterable[str],
        allowed: Literal["all"] | AbstractSet[str],
        disallowed: Literal["all"] | Collection[str],
    ) -> _core.Matcher | None:
        """Check several texts as `check` does each."""
        allowed_matcher, disallowed_matcher, names = self.matchers(allowed, disallowed)
        if disallowed_matcher is not None:
            for text in texts:
                refuse(disallowed_matcher, names, text)
        return allowed_matcher

    def matchers(
        self, allowed: Literal["all"] | AbstractSet[str], disallowed: Literal["all"] | Collection[str]
    ) -> Matchers:
        """Return the matchers of the allowed and the disallowed texts, and the latter themselves."""
        # Immutable values, such as "all" and (), are looked up as they are.
        if type(allowed) is not frozenset and allowed != "all":
            allowed = as_frozenset(allowed)
        if type(disallowed) not in (str, tuple, frozenset):
            disallowed = frozenset(disallowed or ())  # None means none too, as in tiktoken
        kept = self._kept.get((allowed, disallowed))
        if kept is None:
            known = self.texts if allowed == "all" else allowed
            texts = self.texts - known if disallowed == "all" else frozenset(disallowed)
            expect_texts("allowed_special", known)
            expect_texts("disallowed_special", texts)
            kept = self._matcher(known & self.texts), self._matcher(texts), texts
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[allowed, disallowed] = kept
        return kept

    def _matcher(self, texts: AbstractSet[str]) -> _core.Matcher | None:
        """Return the matcher of `texts`, None if there are none. The one of all special tokens is the core's."""
        if not texts:
            return None
        if texts == self.texts:
            return self._core.matcher()
        # A text with lone surrogates occurs in no valid string; `refuse` looks for it in the others.
        return _core.Matcher([(text, self.ids.get(text, 0)) for text in texts if not has_surrogates(text)])


def refuse(matcher: _core.Matcher, names: AbstractSet[str], text: str) -> None:
    """Raise SpecialTokenError if `text` holds one of `names`, which `matcher` finds."""
    try:
        found = matcher.search(text)
    except UnicodeEncodeError:
        found = first_of(names, text)
    if found is not None:
        raise_disallowed(found)


def as_frozenset(allowed: AbstractSet[str]) -> frozenset[str]:
    """Return a set of any kind, such as the keys of a dict, as it is now. Raises TypeError if `allowed` is not a set."""
    if not isinstance(allowed, set):
        from collections.abc import Set  # 3 ms of import, which few programs need

        if not isinstance(allowed, Set):
            raise TypeError(f'allowed_special is "all" or a set of special tokens, not {type(allowed).__name__}')
    return frozenset(allowed)


def expect_texts(name: str, texts: AbstractSet[str]) -> None:
    """Raise TypeError if one of `texts`, the argument called `name`, is not a str."""
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} holds texts, not {type(text).__name__}: {text!r}")


def has_surrogates(text: str) -> bool:
    """Whether `text` holds surrogates, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def first_of(texts: AbstractSet[str], text: str) -> str | None:
    """Return the one of `texts` that comes first in `text`, the longest if several begin there; None if none occurs."""
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
