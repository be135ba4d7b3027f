"""Byte pair encoding as GPT models use it: a pattern splits the text first, and special tokens stand apart."""

from __future__ import annotations

from minbpe.base import Tokenizer
from minbpe.errors import SpecialTokenError
from minbpe.patterns import GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN, resolve
from minbpe.vocabulary import Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN", "RegexTokenizer", "SplitPattern"]


class RegexTokenizer(Tokenizer):
    """Merges bytes within the pieces of a split pattern, by default that of GPT-4.

    `pattern` is a regular expression, or the name of one: gpt2, gpt4, r50k, cl100k, o200k, llama3, qwen2,
    tekken, kimi_k2, deepseek; or a list of these, each splitting the pieces of the one before.

    >>> tokenizer = RegexTokenizer()
    >>> tokenizer.train("low lower lowest", 256 + 3)
    >>> tokenizer.register_special_tokens({"<|endoftext|>": 259})
    >>> tokenizer.encode("low<|endoftext|>", allowed_special="all")
    [257, 259]

    Raises:
        PatternError: the pattern does not compile.
    """

    def __init__(self, pattern: str | Sequence[str] | None = None) -> None:
        regex = GPT4_SPLIT_PATTERN if pattern is None else resolve(pattern)
        self._adopt(Vocabulary.from_merges((), pattern=regex))

    @property
    def compiled_pattern(self) -> SplitPattern:
        """The pattern as an object that splits text."""
        return SplitPattern(self.vocabulary)

    def register_special_tokens(self, special_tokens: Mapping[str, int]) -> None:
        """Make these texts the special tokens, with these ids, replacing any registered before.

        Raises:
            SpecialTokenError: a text is empty, or an ordinary token has the id.
        """
        self._adopt(self.vocabulary.without_special_tokens().with_special_tokens(special_tokens))

    def encode_ordinary(self, text: str) -> list[int]:
        """Turn text into ids; special tokens in it are plain text."""
        return self._encoding.encode_ordinary(text)

    def encode(self, text: str, allowed_special: str | Collection[str] = "none_raise") -> list[int]:
        """Turn text into ids, treating special tokens as `allowed_special` says.

        Args:
            text: what to encode.
            allowed_special: "all": each special token becomes its id; "none": each is plain text; "none_raise": one in
                the text is an error, since nothing says what it means; a set: its members become ids, others plain text.

        Raises:
            SpecialTokenError: the text holds a special token under "none_raise"; this is a ValueError.
            ValueError: `allowed_special` is another word.
        """
        match allowed_special:
            case "all":
                return self._encoding.encode(text, allowed_special="all", disallowed_special=())
            case "none":
                return self._encoding.encode_ordinary(text)
            case "none_raise":
                self._refuse_special(text)
                return self._encoding.encode_ordinary(text)
            case str():
                raise ValueError(
                    f"allowed_special={allowed_special!r} is not understood: "
                    "give 'all', 'none', 'none_raise' or a set of special tokens"
                )
            case _:
                return self._encoding.encode(text, allowed_special=set(allowed_special), disallowed_special=())

    def _refuse_special(self, text: str) -> None:
        found = next((special for special in self.special_tokens if special in text), None)
        if found is not None:
            raise SpecialTokenError(
                f"the text holds the special token {found!r}, and nothing says what it means here: "
                f"give allowed_special={{{found!r}}} or 'all' to encode it as one, 'none' to encode it as plain text"
            )


class SplitPattern:
    """A compiled split pattern, with as much of a compiled regular expression's interface as splitting needs.

    Upstream has an object of the `regex` package here. This one splits as training and encoding do, with the same
    engine, and loses nothing: the text between two matches is a piece too.

    >>> RegexTokenizer("gpt2").compiled_pattern.findall("Hello  world")
    ['Hello', ' ', ' world']
    >>> RegexTokenizer("[0-9]").compiled_pattern.findall("ab12c")
    ['ab', '1', '2', 'c']
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    @property
    def pattern(self) -> str | tuple[str, ...]:
        """The regular expression, or several in sequence; empty where a text is one piece."""
        return self._vocabulary.pattern or ""

    def findall(self, text: str) -> list[str]:
        """Return the pieces of `text`, in order; joined, they are `text`."""
        return self._vocabulary.split(text)
