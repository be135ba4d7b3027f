"""Byte pair encoding at its simplest: a text is one sequence of bytes, with no split pattern and no special tokens."""

from __future__ import annotations

from minbpe.base import Tokenizer
from minbpe.errors import VocabularyError
from minbpe.vocabulary import Vocabulary


class BasicTokenizer(Tokenizer):
    """Merges bytes across the whole text.

    >>> tokenizer = BasicTokenizer()
    >>> tokenizer.train("aaabdaaabac", 256 + 3)
    >>> tokenizer.encode("aaabdaaabac")
    [258, 100, 258, 97, 99]
    >>> tokenizer.decode([258, 100, 258, 97, 99])
    'aaabdaaabac'
    """

    def _adopt(self, vocabulary: Vocabulary) -> None:
        patterns = [pattern for _, pattern in vocabulary.stages if pattern is not None]
        if patterns:
            raise VocabularyError(
                f"BasicTokenizer does not split text, and this vocabulary does, by {patterns[0]!r}: "
                "use a RegexTokenizer"
            )
        super()._adopt(vocabulary)

    def encode(self, text: str) -> list[int]:
        """Turn text into ids. Special tokens from a loaded file are plain text here."""
        return self._encoding.encode_ordinary(text)
