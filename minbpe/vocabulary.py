"""A vocabulary as a value: token bytes, the merges that made them, special tokens, and the pattern that splits text first.

Checked once, when it is made; never changed after. Shards and checkpoints refer to it by `digest`.
"""

from __future__ import annotations

from minbpe import _core
from minbpe.errors import UnknownTokenError, VocabularyError, expect, expect_int
from minbpe.wording import several

TYPE_CHECKING = False  # `typing` takes longer to import than this package
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import NoReturn

    from minbpe._core import Vocabulary as CoreVocabulary
    from minbpe.patterns import Pattern

HIGHEST_ID = 2**32 - 1
NO_VOCABULARY = "give encoding.vocabulary, or Vocabulary.load(path)"
"""The way out that an error names when something other than a Vocabulary is given."""


class Vocabulary:
    """Tokens by id, and how text becomes them.

    >>> v = Vocabulary.from_merges([(97, 97), (256, 98)])
    >>> v[257]
    b'aab'
    >>> len(v), v.n_vocab
    (258, 258)

    An *id* names a token; ids are unique, and may have holes. A *rank* is a merge's place in the order of merges. Two
    vocabularies are equal if their digests are.
    """

    __slots__ = ("_core", "_digest", "_special_tokens")

    _core: _core.Vocabulary
    _digest: str | None
    _special_tokens: dict[str, int]

    def __init__(self) -> None:
        raise TypeError("a Vocabulary is made by minbpe.train, from_merges, from_ranks or load")

    @classmethod
    def _from_core(cls, core: CoreVocabulary) -> Vocabulary:
        self = object.__new__(cls)
        object.__setattr__(self, "_core", core)
        object.__setattr__(self, "_digest", None)
        object.__setattr__(self, "_special_tokens", dict(core.special()))
        return self

    @classmethod
    def from_merges(
        cls,
        merges: Iterable[tuple[int, int]],
        *,
        pattern: str | Sequence[str] | None = None,
        stages: Iterable[tuple[int, str | Sequence[str] | None]] | None = None,
        special_tokens: Mapping[str, int] | None = None,
        byte_ids: Sequence[int] | None = None,
        ids: Sequence[int] | None = None,
    ) -> Vocabulary:
        r"""Return the vocabulary that these merges make, given as pairs of ids in rank order.

        >>> merges = [(104, 105), (256, 32), (257, 256)]
        >>> staged = Vocabulary.from_merges(merges, stages=[(0, r"\S+|\s+"), (1, None)])
        >>> [staged[id] for id in staged.ids]
        [b'hi', b'hi ', b'hi hi']

        Args:
            merges: each joins two tokens that are bytes or made by earlier merges.
            pattern: the regular expression that splits text into pieces, or a list of them, each splitting the pieces of the one
                before; None: a text is one piece. Not a name, as `train` takes: `patterns.NAMED` has
                what names stand for.
            stages: in place of `pattern`, if later merges cross the pieces of earlier ones: the first rank of each stage,
                beginning with 0, and its pattern.
            special_tokens: text to id; the ids must not be those of ordinary tokens, but two texts may share one.
            byte_ids: the id of each byte value, 256 of them; by default byte b has id b.
            ids: the id of each merge's token; by default 256, 257, and so on.

        Raises:
            VocabularyError: a merge joins a token that does not exist yet, two tokens are equal, or an id is used twice; or
                stages are more than 16, not in the order of their ranks, or given beside a pattern.
            SpecialTokenError: a special token is empty, given twice, or has an ordinary token's id.
            PatternError: the pattern does not compile.
        """
        merges = list(merges)
        ids = range(256, 256 + len(merges)) if ids is None else ids
        byte_ids = range(256) if byte_ids is None else byte_ids
        if len(byte_ids) != 256:
            raise VocabularyError(
                f"byte_ids has {len(byte_ids)} ids, and there are 256 bytes: give one for each byte value"
            )
        if stages is not None and pattern is not None:
            raise VocabularyError(f"stages have patterns of their own: leave out pattern={pattern!r}")
        each = [(0, pattern)] if stages is None else list(stages)
        special = list((special_tokens or {}).items())
        return cls._from_core(
            _checked(lambda: _core.Vocabulary.from_merges(list(byte_ids), merges, list(ids), special, each))
        )

    @classmethod
    def from_ranks(
        cls,
        mergeable_ranks: Mapping[bytes, int],
        *,
        pattern: str | Sequence[str] | None = None,
        special_tokens: Mapping[str, int] | None = None,
    ) -> Vocabulary:
        """Return the vocabulary given in tiktoken's form: each token's bytes with its rank, which is its id.

        The merges behind the ranks are recovered; if they cannot be, `by_rank` is true, and encoding joins any two
        neighbours that together are a token, lowest rank first, as tiktoken does.

        >>> ranks = {bytes([b]): b for b in range(256)} | {b"ab": 256, b"abc": 257}
        >>> Vocabulary.from_ranks(ranks).merges
        ((97, 98), (256, 99))

        Raises:
            VocabularyError: a byte has no token, a token is empty, or an id is used twice.
            SpecialTokenError: as for `from_merges`.
            PatternError: the pattern does not compile.
        """
        ranks = dict(mergeable_ranks)
        special = list((special_tokens or {}).items())
        return cls._from_core(_checked(lambda: _core.Vocabulary.from_ranks(ranks, special, pattern)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Return the vocabulary in a `.model` file: ours, or upstream's `minbpe v1`.

        Raises:
            FormatError: the file is not a model file, or is truncated or changed.
        """
        from minbpe.formats.model import load_model

        return load_model(path)

    def save(self, prefix: str | os.PathLike[str]) -> None:
        """Write `prefix.model`, from which `load` restores an equal vocabulary, and `prefix.vocab`, for people to read.

        A `prefix` that already ends in .model does not get that ending twice.
        """
        import os

        from minbpe.formats import save

        save(self, os.fspath(prefix).removesuffix(".model"))

    @property
    def merges(self) -> tuple[tuple[int, int], ...]:
        """The merges in rank order, as pairs of ids. Raises VocabularyError if `by_rank`."""
        if self._core.by_rank:
            raise VocabularyError(
                "this vocabulary has no merges: they could not be recovered from its ranks (see by_rank)"
            )
        return self._core.merges()

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the tokens beyond the 256 bytes, in rank order: those that the merges make."""
        return self._core.ids()

    @property
    def byte_ids(self) -> tuple[int, ...]:
        """The id of each byte value: 256 ids."""
        return self._core.byte_ids()

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special tokens, text to id, by id and then text. A copy."""
        return self._special_tokens.copy()

    @property
    def pattern(self) -> Pattern:
        """The regular expression that splits text into pieces; None: a text is one piece. With several stages, the last one's.

        In a tuple of several, each splits the pieces of the one before.
        """
        return self._core.pattern

    @property
    def stages(self) -> tuple[tuple[int, Pattern], ...]:
        """The first rank and the pattern of each stage: one stage that begins at 0, unless `train` was asked for more.

        A text is split by the pattern of the last stage; the stages before encode each of its pieces as a text of its own,
        and the merges of the last stage join the tokens that result.
        """
        return self._core.stages()

    @property
    def by_rank(self) -> bool:
        """Whether the merges could not be recovered from the ranks that this vocabulary was made from."""
        return self._core.by_rank

    @property
    def engine(self) -> str:
        """Which engine splits text: "compiled", "backtracking" for patterns that it refuses, "whole" without a pattern.

        With several stages, the slowest one used.
        """
        return self._core.engine

    @property
    def refusal(self) -> str | None:
        """Why the compiled engine does not take the pattern, such as "it looks behind"; None if it does.

        With several stages, the reason for the first pattern that it does not take.
        """
        return next((why for _, why in self._core.refusals()), None)

    @property
    def mergeable_ranks(self) -> dict[bytes, int]:
        """Each ordinary token's bytes with its id, in rank order: tiktoken's form. Built anew at each call.

        Raises:
            VocabularyError: there are several stages, and a reader of ranks alone would encode differently; see `items`.
        """
        if len(self.stages) > 1:
            raise VocabularyError(
                f"this vocabulary has {len(self.stages)} stages, and ranks alone do not say which pattern holds for a merge: "
                "keep it in minbpe, with save or items, or export truncate("
                f"{256 + self.stages[1][0]}), its first stage"
            )
        return dict(self._core.items())

    @property
    def unicode_version(self) -> str:
        """The version of the Unicode tables that the pattern splits with."""
        return _core.UNICODE_VERSION

    @property
    def n_vocab(self) -> int:
        """The highest id plus one, special tokens included: the rows that a model's embedding needs."""
        return self._core.n_vocab

    @property
    def digest(self) -> str:
        """The sha256, in hex, of all that encoding depends on: bytes, merges, ids, special tokens, patterns, Unicode version."""
        if self._digest is None:
            import hashlib

            object.__setattr__(self, "_digest", hashlib.sha256(self._core.canonical()).hexdigest())
        assert self._digest is not None
        return self._digest

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over (id, bytes) of the ordinary tokens: the 256 bytes, then the others in rank order."""
        return ((id, token) for token, id in self._core.items())

    def split(self, text: str) -> list[str]:
        """Return the pieces that the pattern, the last stage's, makes of `text`; joined, they are the text.

        >>> Vocabulary.from_merges([], pattern=r" ?[a-z]+").split("hello world!")
        ['hello', ' world', '!']
        """
        from minbpe.encoding import repaired

        return [piece.decode() for piece in self._core.split(repaired(text).encode())]

    def truncate(self, size: int) -> Vocabulary:
        """Return the vocabulary that training to `size` ordinary tokens would have made.

        A merge depends only on those before it, so this is exact, and one training run holds every smaller vocabulary.
        Special tokens move to the ids after the last one kept. A later stage that keeps no merge is dropped. O(size).

        >>> v = Vocabulary.from_merges([(97, 97), (256, 98)], special_tokens={"<|end|>": 258})
        >>> small = v.truncate(257)
        >>> small.merges, small.special_tokens
        (((97, 97),), {'<|end|>': 257})

        Raises:
            VocabularyError: `size` is below 256 or above `len(self)`.
        """
        expect_int("size", size)
        return Vocabulary._from_core(_checked(lambda: self._core.truncate(size)))

    def prune(self, keep: Iterable[int]) -> tuple[Vocabulary, dict[int, int | None]]:
        """Return a vocabulary with fewer tokens, and a map from each id of this one to its new id, None for tokens dropped.

        Exactly these are kept: the tokens `keep`, all tokens that they are merged from, the 256 bytes, and the special tokens.
        Ranks keep their order, and stages their patterns; ids become 0, 1, 2, ... in the order of the old ids. A text that this
        vocabulary encodes with tokens of `keep` alone becomes the same tokens; in other text, dropped tokens fall apart into
        smaller ones.

        The map is what a model's embedding needs: its new rows are the old rows of the ids that do not map to None, in order.

        >>> v = Vocabulary.from_merges([(97, 97), (98, 98), (256, 99)], special_tokens={"<|end|>": 259})
        >>> pruned, new_ids = v.prune(keep=[258])
        >>> [pruned[id] for id in pruned.ids], pruned.special_tokens
        ([b'aa', b'aac'], {'<|end|>': 258})
        >>> [new_ids[id] for id in (97, 256, 257, 258, 259)]
        [97, 256, None, 257, 258]

        Args:
            keep: ids, such as those of all tokens that occur in some corpus.

        Raises:
            UnknownTokenError: no token has one of the ids in `keep`.
            VocabularyError: the merges are not known (`by_rank`).
        """
        from minbpe.pruning import prune

        return prune(self, keep)

    def with_special_tokens(self, special_tokens: Mapping[str, int]) -> Vocabulary:
        """Return this vocabulary with further special tokens, text to id. Everything else is shared, not copied.

        Raises:
            SpecialTokenError: a text is empty, or an id is an ordinary token's.
        """
        expect(
            hasattr(special_tokens, "keys"), "special_tokens is a dict, text to id", special_tokens, "write {text: id}"
        )
        special = {**self._special_tokens, **special_tokens}
        return Vocabulary._from_core(_checked(lambda: self._core.with_special(list(special.items()))))

    def without_special_tokens(self) -> Vocabulary:
        """Return this vocabulary without special tokens."""
        return Vocabulary._from_core(self._core.with_special([]))

    def __getitem__(self, id: int) -> bytes:
        """Return the bytes of a token, special tokens included. Raises UnknownTokenError if no token has this id."""
        if not 0 <= id <= HIGHEST_ID:
            raise UnknownTokenError(f"no token has the id {id}: ids go from 0 to {self.n_vocab - 1}")
        return self._core.bytes_of_id(id)

    def __contains__(self, id: object) -> bool:
        try:
            self[id]  # type: ignore[index]
        except (LookupError, TypeError):
            return False
        return True

    def __iter__(self) -> NoReturn:
        raise TypeError("iterate over the items() of a Vocabulary")

    def __len__(self) -> int:
        """Return the number of ordinary tokens: 256 bytes and the merges."""
        return len(self._core)

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        special = several(len(self._special_tokens), "special token")
        return f"<Vocabulary of {len(self):,} tokens and {special}, {self.digest[:8]}>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Vocabulary never changes: cannot set {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Vocabulary never changes: cannot delete {name}")

    def __reduce__(self) -> tuple[object, ...]:
        if self.by_rank:
            return _from_ranks, (self.mergeable_ranks, self.pattern, self._special_tokens)
        return _from_merges, (self.merges, self.stages, self._special_tokens, self.byte_ids, self.ids)

    def __copy__(self) -> Vocabulary:
        return self

    def __deepcopy__(self, memo: object) -> Vocabulary:
        return self


def _from_merges(
    merges: tuple[tuple[int, int], ...],
    stages: tuple[tuple[int, Pattern], ...],
    special_tokens: dict[str, int],
    byte_ids: tuple[int, ...],
    ids: tuple[int, ...],
) -> Vocabulary:
    return Vocabulary.from_merges(merges, stages=stages, special_tokens=special_tokens, byte_ids=byte_ids, ids=ids)


def _from_ranks(ranks: dict[bytes, int], pattern: Pattern, special_tokens: dict[str, int]) -> Vocabulary:
    return Vocabulary.from_ranks(ranks, pattern=pattern, special_tokens=special_tokens)


def _checked(make: Callable[[], _core.Vocabulary]) -> _core.Vocabulary:
    """Return what `make` returns; numbers that cannot be ids, and text that UTF-8 cannot encode, become a VocabularyError."""
    try:
        return make()
    except OverflowError as error:
        raise VocabularyError(f"ids are whole numbers from 0 to {HIGHEST_ID}: {error}") from None
    except UnicodeEncodeError as error:
        raise VocabularyError(
            f"patterns and special tokens are text, and lone surrogates are not: {error.object!a} holds one"
        ) from None
