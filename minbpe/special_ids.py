"""The ids of special tokens when a vocabulary is trained: those after the last merge, or the ones given."""

from __future__ import annotations

from collections.abc import Mapping

from minbpe.errors import SpecialTokenError
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def listed(special_tokens: Iterable[str] | Mapping[str, int]) -> list[str] | dict[str, int]:
    """Return special tokens as a list, or as a dict if they come with ids."""
    if isinstance(special_tokens, str):
        raise TypeError(f"special_tokens must be an iterable of str, not a str: write [{special_tokens!r}]")
    if isinstance(special_tokens, Mapping):
        return dict(special_tokens)
    texts = list(special_tokens)
    for text in texts:
        if texts.count(text) > 1:
            raise SpecialTokenError(f"the special token {text!r} is given twice: name each once")
    return texts


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
