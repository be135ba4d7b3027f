"""Encoding and decoding with one vocabulary: every method of `tiktoken.Encoding`, and some that it lacks.

Names, keywords and errors are tiktoken's (0.14), so switching takes one line: `import minbpe as tiktoken`. An Encoding never
changes: threads share it freely, and it is safe after a fork.

The file is long because tiktoken's class is: three lines in four are docstrings and signatures.
"""

from __future__ import annotations

import os

from minbpe import _core
from minbpe._core import BaseEncoding
from minbpe.errors import MinbpeError, UnknownTokenError, VocabularyError, expect, expect_int
from minbpe.special import NONE, SpecialTokens
from minbpe.vocabulary import NO_VOCABULARY, Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import Any, Literal

    import numpy as np
    import numpy.typing as npt

    from minbpe.patterns import Pattern
    from minbpe.streaming import StreamDecoder

NO_LIMIT = 2**63 - 1

# More threads than this would only wait for each other.
MOST_THREADS = 256


class Encoding(BaseEncoding):
    """Encodes text to ids and decodes ids to text.

    >>> import minbpe
    >>> enc = minbpe.get_encoding("cl100k_base")
    >>> enc.encode("hello world")
    [15339, 1917]
    >>> enc.decode([15339, 1917])
    'hello world'

    Args:
        name: the encoding's name, for `repr` and for pickling by name.
        pat_str: the regular expression that splits text into pieces; None: a text is one piece.
        mergeable_ranks: each ordinary token's bytes with its rank, which is its id and its merge priority.
        special_tokens: special tokens, text to id.
        explicit_n_vocab: if given, how many tokens there must be, with ids from 0 on and no gaps.

    Lone surrogates, which UTF-8 cannot hold, are encoded as U+FFFD, and surrogate pairs as the character they stand for.

    Warns:
        PatternWarning: only the slow engine takes the pattern. Shown once per pattern.
    """

    __slots__ = ("__weakref__", "_core", "_ranks", "_special", "cache_size", "name", "vocabulary")

    name: str
    vocabulary: Vocabulary
    cache_size: int | None
    _core: _core.Encoder
    _ranks: dict[bytes, int] | None
    _special: SpecialTokens

    def __init__(
        self,
        name: str,
        *,
        pat_str: str | None,
        mergeable_ranks: Mapping[bytes, int],
        special_tokens: Mapping[str, int],
        explicit_n_vocab: int | None = None,
    ) -> None:
        vocabulary = Vocabulary.from_ranks(mergeable_ranks, pattern=pat_str, special_tokens=special_tokens)
        count = len(mergeable_ranks) + len(special_tokens)
        if explicit_n_vocab is not None and not count == vocabulary.n_vocab == explicit_n_vocab:
            raise VocabularyError(
                f"explicit_n_vocab is {explicit_n_vocab}, but there are {count} tokens and the highest id is "
                f"{vocabulary.n_vocab - 1}: leave explicit_n_vocab out if that is meant"
            )
        self._fill(vocabulary, name)

    @classmethod
    def from_vocabulary(cls, vocabulary: Vocabulary, name: str = "custom", cache_size: int | None = None) -> Encoding:
        """Return an Encoding with `vocabulary`.

        Each thread that encodes more than some 8 KB keeps a cache of pieces and their ids, 1 MB at first. After 2 MB of text the
        cache grows until it has room for all tokens and as many other pieces, 18 MB for 100,000 tokens; `cache_size` sets another
        limit, in bytes. At full size new English text is encoded at 185 MB/s; with half as much memory at 135, with 1 MB at 80,
        and with less than 288 KB, which means no cache, at 20.

        >>> v = Vocabulary.from_merges([(97, 97), (256, 98)])
        >>> Encoding.from_vocabulary(v).encode("aabaa")
        [257, 256]

        Raises:
            ValueError: `cache_size` is below 0.
        """
        self = cls.__new__(cls)
        self._fill(vocabulary, name, cache_size)
        return self

    def _fill(self, vocabulary: Vocabulary, name: str, cache_size: int | None = None) -> None:
        if cache_size is not None and not 0 <= cache_size <= NO_LIMIT:
            raise MinbpeError(
                f"cache_size is {cache_size}, but a cache has 0 bytes or more: leave it out for the usual size"
            )
        expect(isinstance(vocabulary, Vocabulary), "an Encoding is made of a Vocabulary", vocabulary, NO_VOCABULARY)
        core = _core.Encoder(vocabulary._core, cache_size)
        self._hold(core)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "vocabulary", vocabulary)
        object.__setattr__(self, "cache_size", cache_size)
        object.__setattr__(self, "_core", core)
        object.__setattr__(self, "_ranks", None)
        object.__setattr__(self, "_special", SpecialTokens(vocabulary._special_tokens, core))
        for pattern, refusal in vocabulary._core.refusals():
            from minbpe.patterns import warn_of_refusal

            warn_of_refusal(pattern, refusal)

    @classmethod
    def from_tiktoken(cls, encoding: Any) -> Encoding:
        """Return an Encoding with the vocabulary of a `tiktoken.Encoding`, from its public and well-known fields."""
        return cls(
            encoding.name,
            pat_str=encoding._pat_str,
            mergeable_ranks=encoding._mergeable_ranks,
            special_tokens=encoding._special_tokens,
        )

    def to_tiktoken(self) -> Any:
        """Return a `tiktoken.Encoding` that gives the same ids. Needs tiktoken.

        Raises:
            VocabularyError: tiktoken, which knows only ranks, would encode differently, in particular with several stages.
        """
        import tiktoken

        ranks = self.vocabulary.mergeable_ranks
        if isinstance(self._pat_str, tuple):
            raise VocabularyError(
                f"tiktoken splits by one pattern, and this vocabulary by {len(self._pat_str)} in sequence: keep it in minbpe"
            )
        again = Vocabulary.from_ranks(ranks, pattern=self._pat_str, special_tokens=self._special_tokens)
        if again != self.vocabulary:
            raise VocabularyError(
                "tiktoken takes ids for ranks, and the ids of this vocabulary are not in the order of its merges, "
                "or some token is not what its own bytes merge to: keep it in minbpe"
            )
        pattern = r"(?s:.+)" if self._pat_str is None else self._pat_str
        return tiktoken.Encoding(self.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=self._special_tokens)

    def with_special_tokens(self, special_tokens: Mapping[str, int], name: str | None = None) -> Encoding:
        """Return an Encoding with further special tokens, text to id. Everything else is shared, not copied.

        >>> import minbpe
        >>> enc = minbpe.get_encoding("cl100k_base").with_special_tokens({"<|im_start|>": 100264}, name="chat")
        >>> enc.encode("<|im_start|>user", allowed_special="all")
        [100264, 882]

        Raises:
            SpecialTokenError: a text is empty, or an id belongs to an ordinary token.
        """
        vocabulary = self.vocabulary.with_special_tokens(special_tokens)
        return Encoding.from_vocabulary(vocabulary, name or self.name, self.cache_size)

    # Encoding

    encode_ordinary = BaseEncoding.encode_ordinary

    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[int]:
        """Encode a text.

        Special tokens steer a model, so user text must not turn into one by accident: by default, a text that holds one is an
        error. Allow some or "all" of them, or pass `disallowed_special=()` to encode them as plain text.

        >>> import minbpe
        >>> enc = minbpe.get_encoding("gpt2")
        >>> enc.encode("<|endoftext|>", allowed_special="all")
        [50256]
        >>> enc.encode("<|endoftext|>", disallowed_special=())
        [27, 91, 437, 1659, 5239, 91, 29]

        Raises:
            SpecialTokenError: the text holds a disallowed special token.
            TypeError: `text` is not a str, or `allowed_special` not a set.
        """
        if allowed_special is NONE and disallowed_special == "all":
            # The usual call, in one step: separate look-ups and checks would take a third of the time of a 20-byte call.
            ids = self._core.encode_if_plain(text)
            if ids is not None:
                return ids
        return self._core.encode(text, self._special.check(text, allowed_special, disallowed_special))

    def encode_to_numpy(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> npt.NDArray[np.uint32]:
        """Encode as `encode` does, into a read-only numpy array of uint32 that shares the encoder's memory. Needs numpy.

        To encode a text of many megabytes on several threads, use `encode_batch_flat([text])`.
        """
        import numpy as np

        special = self._special.check(text, allowed_special, disallowed_special)
        return np.frombuffer(memoryview(self._core.encode_buffer(text, special)), dtype=np.uint32)

    def encode_bytes(self, data: bytes) -> list[int]:
        r"""Encode bytes that need not be UTF-8: valid stretches as text, each invalid stretch as one piece.

        For valid UTF-8 the ids are those of `encode_ordinary`; `decode_bytes` always restores `data`.

        >>> import minbpe
        >>> enc = minbpe.get_encoding("cl100k_base")
        >>> enc.decode_bytes(enc.encode_bytes(b"caf\xe9 \xff"))
        b'caf\xe9 \xff'
        """
        return self._core.encode_bytes(data)

    def encode_ordinary_batch(self, text: Iterable[str], *, num_threads: int = 8) -> list[list[int]]:
        """Encode several texts on several threads, with special tokens as plain text."""
        return self._core.encode_batch(list(text), _threads(num_threads))

    def encode_batch(
        self,
        text: Iterable[str],
        *,
        num_threads: int = 8,
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[list[int]]:
        """Encode several texts on several threads, each as `encode` does.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").encode_batch(["hello world", "goodbye world"])
        [[31373, 995], [11274, 16390, 995]]
        """
        texts = list(text)
        special = self._special.check_all(texts, allowed_special, disallowed_special)
        return self._core.encode_batch(texts, _threads(num_threads), special)

    def encode_batch_flat(
        self,
        texts: Iterable[str],
        *,
        num_threads: int = 8,
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> tuple[memoryview, memoryview]:
        """Encode several texts into two flat buffers, which numpy, torch and Arrow read without a copy.

        Threads share even a single long text: it is cut where the pattern proves that a piece ends.

        Returns:
            ids: uint32, of all texts one after the other.
            offsets: uint64, one more than there are texts: text i has `ids[offsets[i]:offsets[i + 1]]`.

        >>> import minbpe
        >>> ids, offsets = minbpe.get_encoding("gpt2").encode_batch_flat(["hello world", "", "goodbye"])
        >>> ids.tolist(), offsets.tolist()
        ([31373, 995, 11274, 16390], [0, 2, 2, 4])
        """
        texts = list(texts)
        special = self._special.check_all(texts, allowed_special, disallowed_special)
        ids, offsets = self._core.encode_batch_flat(texts, _threads(num_threads), special)
        return memoryview(ids), memoryview(offsets)

    def encode_files(
        self, paths: Iterable[str | os.PathLike[str]], *, num_threads: int = 8
    ) -> tuple[memoryview, memoryview]:
        """Encode files into two flat buffers, as `encode_batch_flat` does texts; each file is one document.

        A file's bytes are encoded as they are, whether or not they are UTF-8, as by `encode_bytes`. Files are mapped into memory,
        not read, so none may be cut short meanwhile; small ones, and pipes, are read. Threads share many files or one long one.

        >>> import minbpe, tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = pathlib.Path(directory, "a.txt")
        ...     _ = path.write_bytes(b"hello world")
        ...     ids, offsets = minbpe.get_encoding("gpt2").encode_files([path, path])
        >>> ids.tolist(), offsets.tolist()
        ([31373, 995, 31373, 995], [0, 2, 4])

        Raises:
            OSError: a file is missing, is a directory, or cannot be read; the error names it.
            CorpusError: a path is that of a compressed file or of one of records, which `read_documents` reads.
            TypeError: `paths` is a single path.
        """
        from minbpe.documents import mapped_or_read

        if isinstance(paths, str | bytes | os.PathLike):
            raise TypeError(f"paths are given one by one, and this is a single {type(paths).__name__}: write [path]")
        files = list(map(mapped_or_read, paths))
        ids, offsets = self._core.encode_files(files, _threads(num_threads))
        return memoryview(ids), memoryview(offsets)

    def encode_arrow(self, column: Any, *, num_threads: int = 8) -> Any:
        """Encode an Arrow column of text or bytes into a column of lists of uint32, special tokens as plain text.

        Args:
            column: Array or ChunkedArray of string, large_string, string_view, binary, dictionary of these, or null.
            num_threads: how many threads to use.

        Returns:
            A column of the same length and chunks; null rows stay null. Needs pyarrow: `pip install minbpe[data]`.
        """
        from minbpe.arrow import encode_column

        return encode_column(self._core, column, _threads(num_threads))

    def encode_with_unstable(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> tuple[list[int], list[list[int]]]:
        """Encode a text that may continue: the tokens that stay, and each way that its end may turn out.

        The stable tokens cover a prefix of `text`. Followed by any one completion, they cover all of `text`, and possibly more.

        >>> import minbpe
        >>> stable, completions = minbpe.get_encoding("gpt2").encode_with_unstable("hello fanta")
        >>> stable, [8842] in completions
        ([31373], True)

        Raises:
            VocabularyError: the vocabulary has several stages, for which this has no meaning.
        """
        special = self._special.check(text, allowed_special, disallowed_special)
        return self._core.encode_with_unstable(text, special)

    def encode_with_offsets(
        self,
        text: str,
        *,
        unit: Literal["char", "byte"] = "char",
        allowed_special: Literal["all"] | AbstractSet[str] = NONE,
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Encode a text, and give the part of it that each token covers.

        Returns:
            The ids, and for each the half-open range of characters in `text`, or of bytes in its UTF-8. A token with only some
            bytes of a character covers the whole character, so neighbours may share one. Joined surrogate pairs count as one
            character.

        >>> import minbpe
        >>> enc = minbpe.get_encoding("cl100k_base")
        >>> enc.encode_with_offsets("hi 👍")
        ([6151, 62904, 235], [(0, 2), (2, 4), (3, 4)])
        >>> enc.encode_with_offsets("hi 👍", unit="byte")[1]
        [(0, 2), (2, 6), (6, 7)]
        """
        if unit not in ("char", "byte"):
            raise ValueError(f'unit is "char" or "byte", not {unit!r}')
        special = self._special.check(text, allowed_special, disallowed_special)
        return self._core.encode_with_offsets(text, unit == "char", special)

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """Return the id of the token, ordinary or special, with exactly this text or these bytes.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").encode_single_token("hello")
        31373

        Raises:
            UnknownTokenError: there is no such token. The error is also a KeyError.
        """
        token = repaired(text_or_bytes).encode() if isinstance(text_or_bytes, str) else text_or_bytes
        id = self.vocabulary._core.id_of_bytes(token)
        if id is None:
            id = self._special.ids.get(token.decode(errors="surrogateescape"))
        if id is None:
            raise UnknownTokenError(f"no single token is {token!r}: encode() gives the tokens that it is made of")
        return id

    # Counting and cutting

    def encode_up_to(self, text: str, n: int) -> list[int]:
        """Return the first `n` ids of `encode_ordinary(text)`, or all if there are fewer; stops reading there.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").encode_up_to("hello world, and so on and so on", 2)
        [31373, 995]
        """
        return self._core.encode_up_to(text, _limit(n))

    def count(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens as plain text. Builds no list.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").count("hello world")
        2
        """
        return self._core.count(text, NO_LIMIT)

    def count_up_to(self, text: str, n: int) -> int:
        """Return how many tokens `text` has, or `n` if it has more; stops reading there.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").count_up_to("hello world, and so on and so on", 4)
        4
        """
        return self._core.count(text, _limit(n))

    def truncate(self, text: str, n: int) -> str:
        """Return the longest prefix of `text` that consists of at most its first `n` tokens and ends with a whole character.

        `count` of the result is at most `n`. Special tokens are plain text. Stops reading at token `n`.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").truncate("hello world, and so on", 2)
        'hello world'
        """
        return self._core.truncate(text, _limit(n))

    # Decoding

    def decode(self, tokens: Iterable[int], errors: str = "replace") -> str:
        """Decode ids to text. Bytes that are not UTF-8 are handled as `errors` says, by default replaced by U+FFFD.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").decode([31373, 995])
        'hello world'

        Raises:
            UnknownTokenError: no token has one of the ids.
        """
        return self._core.decode_bytes(tokens).decode("utf-8", errors=errors)

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """Decode ids from a list, a numpy array or any iterable to bytes. Raises UnknownTokenError as `decode` does."""
        return self._core.decode_bytes(tokens)

    def decode_single_token_bytes(self, token: int) -> bytes:
        """Return the bytes of a token, ordinary or special. Raises UnknownTokenError, a KeyError, if there is none."""
        return self._core.decode_token(token)

    def decode_tokens_bytes(self, tokens: Iterable[int]) -> list[bytes]:
        """Return the bytes of each token, which show where a text is cut.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").decode_tokens_bytes([31373, 995])
        [b'hello', b' world']
        """
        return [self._core.decode_token(token) for token in tokens]

    def decode_with_offsets(self, tokens: Iterable[int]) -> tuple[str, list[int]]:
        """Decode ids to text, and give for each token the index of the first character it has a byte of.

        >>> import minbpe
        >>> minbpe.get_encoding("gpt2").decode_with_offsets([31373, 995])
        ('hello world', [0, 5])

        Raises:
            UnicodeDecodeError: the bytes are not UTF-8.
            UnknownTokenError: no token has one of the ids.
        """
        parts = self.decode_tokens_bytes(tokens)
        offsets, characters = [], 0
        for part in parts:
            offsets.append(max(0, characters - (part[0] & 0xC0 == 0x80)))
            characters += sum(byte & 0xC0 != 0x80 for byte in part)
        return b"".join(parts).decode(), offsets

    def decode_batch(
        self, batch: Iterable[Iterable[int]], *, errors: str = "replace", num_threads: int = 8
    ) -> list[str]:
        """Decode several lists of ids on several threads."""
        return [text.decode("utf-8", errors=errors) for text in self.decode_bytes_batch(batch, num_threads=num_threads)]

    def decode_bytes_batch(self, batch: Iterable[Iterable[int]], *, num_threads: int = 8) -> list[bytes]:
        """Decode several lists of ids to bytes on several threads."""
        return self._core.decode_bytes_batch(list(batch), _threads(num_threads))

    def stream_decoder(self, errors: str = "replace") -> StreamDecoder:
        """Return a decoder that takes ids one at a time, and holds back a character until its last byte arrives."""
        from minbpe.streaming import StreamDecoder

        return StreamDecoder(self, errors)

    # What the vocabulary holds

    def token_byte_values(self) -> list[bytes]:
        """Return the bytes of all ordinary tokens, sorted."""
        return self._core.sorted_bytes()

    @property
    def eot_token(self) -> int:
        """The id of `<|endoftext|>`. Raises KeyError if there is no such token."""
        return self._special.ids["<|endoftext|>"]

    @property
    def special_tokens_set(self) -> frozenset[str]:
        """The texts of all special tokens."""
        return self._special.texts

    def is_special_token(self, token: int) -> bool:
        """Return whether `token` is the id of a special token."""
        if not isinstance(token, int):
            raise TypeError(f"an id is an int, not {type(token).__name__}")
        return token in self._special.values

    @property
    def max_token_value(self) -> int:
        """The highest id."""
        return self.vocabulary.n_vocab - 1

    @property
    def n_vocab(self) -> int:
        """The highest id plus one."""
        return self.vocabulary.n_vocab

    # Names with an underscore that tiktoken's tests and other libraries read

    @property
    def _pat_str(self) -> Pattern:
        return self.vocabulary.pattern

    @property
    def _mergeable_ranks(self) -> dict[bytes, int]:
        """In id order. Built only when first asked for, as it needs more memory than everything else; then kept."""
        if self._ranks is None:
            ids = self.vocabulary.mergeable_ranks
            object.__setattr__(self, "_ranks", dict(sorted(ids.items(), key=lambda item: item[1])))
        assert self._ranks is not None
        return self._ranks

    @property
    def _special_tokens(self) -> dict[str, int]:
        return self.vocabulary.special_tokens

    def _encode_single_piece(self, text_or_bytes: str | bytes) -> list[int]:
        """Encode without splitting at any stage; special tokens are plain text."""
        piece = repaired(text_or_bytes).encode() if isinstance(text_or_bytes, str) else text_or_bytes
        return self._core.encode_piece(piece)

    def _encode_bytes(self, text: bytes) -> list[int]:
        """Encode bytes as tiktoken does, which guesses at those that are not UTF-8; `encode_bytes` splits them by a rule."""
        return self._core.encode_bytes_as_tiktoken(text)

    # As a value

    def __repr__(self) -> str:
        return f"<Encoding {self.name!r}>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Encoding never changes: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Encoding never changes: cannot delete {name}")

    def __copy__(self) -> Encoding:
        return self

    def __deepcopy__(self, memo: object) -> Encoding:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by name, a few bytes, if `get_encoding` knows this encoding; otherwise by value."""
        from minbpe import registry

        if registry.ENCODINGS.get(self.name) is self:
            return registry.get_encoding, (self.name,)
        return Encoding.from_vocabulary, (self.vocabulary, self.name, self.cache_size)


def repaired(text: str) -> str:
    r"""Return `text` in a form that UTF-8 can hold: surrogate pairs joined, lone surrogates as U+FFFD.

    >>> repaired("\ud83d\udc4d \ud83d")
    '👍 \ufffd'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _threads(num_threads: int) -> int:
    if not hasattr(num_threads, "__index__"):
        raise TypeError(f"num_threads is an int, not {type(num_threads).__name__}")
    if num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}: at least one thread must do the work")
    return min(num_threads, MOST_THREADS)


def _limit(n: int) -> int:
    expect_int("a number of tokens", n)
    if n < 0:
        raise ValueError(f"a text cannot have {n} tokens: give 0 or more")
    return min(n, NO_LIMIT)
