"""Pretrained tokenizers: GPT-4's and its siblings, which differ in one class variable.

Their vocabularies are in the package: they need neither tiktoken nor the network, and their ids are tiktoken's.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

from minbpe.errors import MinbpeError, VocabularyError
from minbpe.patterns import GPT4_SPLIT_PATTERN
from minbpe.regex import RegexTokenizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import ClassVar, NoReturn

__all__ = [
    "GPT4_SPECIAL_TOKENS",
    "GPT4_SPLIT_PATTERN",
    "GPT2Tokenizer",
    "GPT4Tokenizer",
    "GPT4oTokenizer",
    "PretrainedTokenizer",
    "PretrainedTokenizerError",
    "bpe",
    "recover_merges",
]

GPT4_SPECIAL_TOKENS: Mapping[str, int] = MappingProxyType(
    {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    }
)


class PretrainedTokenizerError(NotImplementedError, MinbpeError):
    """A pretrained tokenizer was asked to become another one. Upstream raises NotImplementedError."""


class PretrainedTokenizer(RegexTokenizer):
    """A tokenizer with a published vocabulary, which a subclass names in `encoding_name` as `get_encoding` knows it.

    It splits text by the pattern published with the vocabulary. `vocab` holds each token's real bytes, even where a byte's
    id is not its value (`byte_shuffle`).
    """

    encoding_name: ClassVar[str]

    def __init__(self) -> None:
        from minbpe.registry import get_encoding

        self._use(get_encoding(self.encoding_name))

    @property
    def byte_shuffle(self) -> dict[int, int]:
        """The id of each byte value: GPT models number them in an order of their own."""
        return dict(enumerate(self.vocabulary.byte_ids))

    @property
    def inverse_byte_shuffle(self) -> dict[int, int]:
        """The byte value of each id that stands for a byte."""
        return {token_id: value for value, token_id in enumerate(self.vocabulary.byte_ids)}

    def save_vocab(self, vocab_file: str | os.PathLike[str]) -> None:
        """Write the tokens to a file for people to read, as `save` does for a trained tokenizer."""
        from minbpe.formats.vocab_text import save_vocab_text

        save_vocab_text(self.vocabulary, vocab_file)

    def train(self, text: object, vocab_size: int, verbose: bool = False) -> NoReturn:
        """Refuse: train a `RegexTokenizer` instead."""
        raise self._refusal("cannot be trained: train a RegexTokenizer")

    def save(self, file_prefix: str | os.PathLike[str]) -> NoReturn:
        """Refuse: save `vocabulary` instead."""
        raise self._refusal("cannot be saved: save_vocab(path) writes its tokens, vocabulary.save(prefix) a model")

    def load(self, model_file: str | os.PathLike[str]) -> NoReturn:
        """Refuse: load into a `RegexTokenizer` instead."""
        raise self._refusal("cannot be loaded: load the file into a RegexTokenizer")

    def _refusal(self, why: str) -> PretrainedTokenizerError:
        return PretrainedTokenizerError(f"{type(self).__name__} is pretrained and {why}")


class GPT2Tokenizer(PretrainedTokenizer):
    """The tokenizer of GPT-2 and GPT-3.

    >>> GPT2Tokenizer().encode("hello world")
    [31373, 995]
    """

    encoding_name = "gpt2"


class GPT4Tokenizer(PretrainedTokenizer):
    """The tokenizer of GPT-4 and GPT-3.5.

    >>> GPT4Tokenizer().encode("<|endoftext|>hello world", allowed_special="all")
    [100257, 15339, 1917]
    """

    encoding_name = "cl100k_base"


class GPT4oTokenizer(PretrainedTokenizer):
    """The tokenizer of GPT-4o and of the models after it.

    >>> GPT4oTokenizer().encode("hello world")
    [24912, 2375]
    """

    encoding_name = "o200k_base"


def bpe(mergeable_ranks: Mapping[bytes, int], token: bytes, max_rank: int | None = None) -> list[bytes]:
    """Return the parts of `token` after all merges of rank below `max_rank`.

    >>> bpe({b"a": 0, b"b": 1, b"ab": 2, b"abab": 3}, b"abab", max_rank=3)
    [b'ab', b'ab']
    """
    parts = [bytes([value]) for value in token]
    while True:
        ranks = [mergeable_ranks.get(left + right) for left, right in pairwise(parts)]
        lowest = min((rank for rank in ranks if rank is not None), default=None)
        if lowest is None or (max_rank is not None and lowest >= max_rank):
            return parts
        at = ranks.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]


def recover_merges(mergeable_ranks: Mapping[bytes, int]) -> dict[tuple[int, int], int]:
    """Return the pair of ids that made each token, given only the tokens and their ranks.

    The merges below a token's own rank leave exactly the two parts that its merge joined.

    >>> recover_merges({b"a": 0, b"b": 1, b"ab": 2, b"abab": 3})
    {(0, 1): 2, (2, 2): 3}

    Raises:
        VocabularyError: a token is not a merge of two others.
    """
    merges = {}
    for token, rank in mergeable_ranks.items():
        if len(token) == 1:
            continue
        parts = bpe(mergeable_ranks, token, max_rank=rank)
        if len(parts) != 2:
            raise VocabularyError(
                f"the token {token!r} of rank {rank} is no merge of two tokens of lower rank, but of {len(parts)}: "
                "Vocabulary.from_ranks takes such ranks as they are, and encodes by rank"
            )
        merges[mergeable_ranks[parts[0]], mergeable_ranks[parts[1]]] = rank
    return merges
