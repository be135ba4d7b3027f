"""The ids of special tokens when a vocabulary is trained: those after the last merge, or the ones given."""

from __future__ import annotations

from collections.abc import Mapping

from minbpe.errors import SpecialTokenError, VocabularyError, expect, expect_int
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def listed(special_tokens: Iterable[str] | Mapping[str, int]) -> list[str] | dict[str, int]:
    """Return special tokens as a list, or as a dict if they come with ids."""
    if isinstance(special_tokens, str):
        raise TypeError(f"special_tokens must be an iterable of str, not a str: write [{special_tokens!r}]")
    texts = list(special_tokens)
    for text in texts:
        expect(
            isinstance(text, str), "a special token is a str", text, "write its text, or a dict of texts and their ids"
        )
    if isinstance(special_tokens, Mapping):
        for token_id in special_tokens.values():
            expect_int("the id of a special token", token_id)
        return dict(special_tokens)
    for text in texts:
        if texts.count(text) > 1:
            raise SpecialTokenError(f"the special token {text!r} is given twice: name each once")
    return texts


def with_reserved(
    special_tokens: list[str] | dict[str, int], reserved: int, vocab_size: int
) -> list[str] | dict[str, int]:
    """Return special tokens and `reserved` more.

    >>> with_reserved(["<|endoftext|>"], 2, 300)
    ['<|endoftext|>', '<|reserved_0|>', '<|reserved_1|>']
    """
    expect_int("reserved", reserved)
    if reserved < 0:
        raise ValueError(f"reserved is {reserved}: it must be 0 or more")
    if reserved > max(0, vocab_size):
        raise VocabularyError(f"vocab_size is {vocab_size}, and {reserved} tokens are reserved: reserve fewer")
    if not reserved:
        return special_tokens
    if isinstance(special_tokens, dict):
        raise SpecialTokenError(
            "reserved tokens get the ids after those of special_tokens: give special_tokens without ids, or name the reserved ones "
            "and their ids there as well"
        )
    names = [f"<|reserved_{number}|>" for number in range(reserved)]
    if twice := set(names).intersection(special_tokens):
        raise SpecialTokenError(
            f"the special token {min(twice)!r} is given, and a reserved one has that name: leave it out"
        )
    return [*special_tokens, *names]


def with_ids(special_tokens: list[str] | dict[str, int], first: int) -> dict[str, int]:
    """Return special tokens with their ids, numbered from `first` if they have none."""
    if isinstance(special_tokens, dict):
        return special_tokens
    return {text: first + number for number, text in enumerate(special_tokens)}


def check_ids(special_tokens: list[str] | dict[str, int], first: int) -> None:
    """Refuse bad special tokens before the long work rather than after it; merges have the ids below `first`."""
    ids = with_ids(special_tokens, first)
    Vocabulary.from_merges((), special_tokens=ids)
    for text, token_id in ids.items():
        if token_id < first:
            raise SpecialTokenError(
                f"the special token {text!r} has the id {token_id}, and merges have the ids below {first}: give it a higher one"
            )
