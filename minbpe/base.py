"""What the tokenizers of karpathy/minbpe share: a vocabulary, its files, and a few functions to learn from.

The classes are thin wrappers: `minbpe.train` trains, an `Encoding` encodes. `get_stats` and `merge` are all of byte pair
encoding in ten lines; nothing here calls them, because they scan the whole text at every merge.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

from minbpe.encoding import Encoding
from minbpe.errors import SpecialTokenError, VocabularyError
from minbpe.formats import save
from minbpe.formats.vocab_text import render_token, replace_control_characters
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from minbpe.training import Source

__all__ = ["Tokenizer", "get_stats", "merge", "render_token", "replace_control_characters"]


def get_stats(ids: Sequence[int], counts: dict[tuple[int, int], int] | None = None) -> dict[tuple[int, int], int]:
    """Count each pair of neighbours, adding to `counts` if given.

    >>> get_stats([1, 2, 3, 1, 2])
    {(1, 2): 2, (2, 3): 1, (3, 1): 1}
    """
    counts = {} if counts is None else counts
    for pair in pairwise(ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids: Sequence[int], pair: tuple[int, int], idx: int) -> list[int]:
    """Replace each occurrence of `pair` by `idx`, from left to right.

    >>> merge([1, 2, 3, 1, 2], (1, 2), 4)
    [4, 3, 4]
    >>> merge([1, 1, 1], (1, 1), 4)
    [4, 1]
    """
    left, right = pair
    merged: list[int] = []
    at = 0
    while at < len(ids):
        if at + 1 < len(ids) and ids[at] == left and ids[at + 1] == right:
            merged.append(idx)
            at += 2
        else:
            merged.append(ids[at])
            at += 1
    return merged


class Tokenizer:
    """A vocabulary that can be trained, saved and loaded, and that decodes; how it encodes is up to the subclass.

    Only `train`, `load` and `register_special_tokens` change a tokenizer, and each of them either succeeds or changes
    nothing. The properties are read-only; `vocabulary` and `encoding` are immutable values that can be kept.
    """

    def __init__(self) -> None:
        self._adopt(Vocabulary.from_merges(()))

    def _adopt(self, vocabulary: Vocabulary) -> None:
        """Use `vocabulary` from now on."""
        self._use(Encoding.from_vocabulary(vocabulary, name=type(self).__name__))

    def _use(self, encoding: Encoding) -> None:
        """Use `encoding` from now on, and drop what was derived from the previous one."""
        self._encoding = encoding
        self._merges: dict[tuple[int, int], int] | None = None
        self._vocab: dict[int, bytes] | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary as a value."""
        return self._encoding.vocabulary

    @property
    def encoding(self) -> Encoding:
        """The same vocabulary with tiktoken's methods: batches, numpy, offsets, threads."""
        return self._encoding

    @property
    def merges(self) -> Mapping[tuple[int, int], int]:
        """Each merged pair with the id of the new token, in training order."""
        if self._merges is None:
            self._merges = dict(zip(self.vocabulary.merges, self.vocabulary.ids, strict=True))
        return MappingProxyType(self._merges)

    @property
    def vocab(self) -> Mapping[int, bytes]:
        """Each id with its bytes, special tokens last."""
        if self._vocab is None:
            special = {token_id: text.encode("utf-8") for token_id, text in self.inverse_special_tokens.items()}
            self._vocab = dict(self.vocabulary.items()) | special
        return MappingProxyType(self._vocab)

    @property
    def pattern(self) -> str | tuple[str, ...]:
        """The regular expression that splits text before merging, or several applied in sequence; empty if there is none."""
        return self.vocabulary.pattern or ""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Each special token with its id."""
        return MappingProxyType(self.vocabulary.special_tokens)

    @property
    def inverse_special_tokens(self) -> Mapping[int, str]:
        """Each special token's id with its text; if several texts share an id, the one it decodes to."""
        ids = sorted(set(self.special_tokens.values()))
        return MappingProxyType({token_id: self.vocabulary[token_id].decode("utf-8") for token_id in ids})

    def train(self, text: Source, vocab_size: int, verbose: bool = False) -> None:
        r"""Learn `vocab_size` tokens, including the 256 bytes, from `text`.

        Registered special tokens stay, with their ids. If the corpus is too small for `vocab_size`, training ends
        early, with a warning.

        Args:
            text: a str, an iterable of str or bytes, a `pathlib.Path` or several, or a `PieceCounts`.
            vocab_size: 256 or more; special tokens are not counted.
            verbose: print each merge.

        Raises:
            ValueError: `vocab_size` is below 256.
            VocabularyError: the loaded vocabulary has several stages.
            SpecialTokenError: a registered special token has an id below `vocab_size`.
        """
        from minbpe.training import learn

        if len(self.vocabulary.stages) > 1:
            raise VocabularyError(
                f"this tokenizer holds a vocabulary of {len(self.vocabulary.stages)} stages, and trains one of one: "
                "use minbpe.train with stages, or a new tokenizer"
            )
        for special, token_id in self.special_tokens.items():
            if token_id < vocab_size:
                raise SpecialTokenError(
                    f"cannot train {vocab_size} tokens: the special token {special!r} has the id {token_id} already; "
                    f"register special tokens after training, with ids from {vocab_size} on"
                )
        training = learn(text, vocab_size, pattern=self.vocabulary.pattern)
        learned = training.vocabulary
        self._adopt(learned.with_special_tokens(self.special_tokens))
        if verbose:
            for number, (pair, times) in enumerate(zip(learned.merges, training.pair_counts, strict=True), start=1):
                token = f"{255 + number} ({learned[255 + number]!r})"
                print(f"merge {number}/{vocab_size - 256}: {pair} -> {token} had {times} occurrences")

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; each subclass defines how."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it encodes: use a subclass of Tokenizer")

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids back into text; bytes that are not UTF-8, such as half a character, become U+FFFD.

        Raises:
            UnknownTokenError: no token has one of the ids; the error is both a ValueError and a KeyError.
        """
        return self._encoding.decode(ids)

    def save(self, file_prefix: str | os.PathLike[str]) -> None:
        """Write `file_prefix.model`, which `load` reads, and `file_prefix.vocab`, which people read.

        Raises:
            OSError: a file cannot be written; no partial file is left.
        """
        # Like upstream, which appends the ending even if the prefix already has it.
        save(self.vocabulary, file_prefix)

    def load(self, model_file: str | os.PathLike[str]) -> None:
        """Load what `save` wrote, including pattern and special tokens; upstream's "minbpe v1" files are read too.

        Raises:
            FormatError: the file is truncated, changed or of another version.
        """
        self._adopt(Vocabulary.load(model_file))
