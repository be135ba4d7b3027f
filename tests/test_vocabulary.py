"""A Vocabulary as a value, from merges and from ranks; those whose merges cannot be recovered encode as tiktoken does."""

import copy
import pickle
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import Encoding, Vocabulary
from minbpe.errors import PatternError, SpecialTokenError, UnknownTokenError, VocabularyError
from tests import reference

BYTES = {bytes([value]): value for value in range(256)}
PATTERN = r"\w+|\W+"


def small() -> Vocabulary:
    return Vocabulary.from_merges([(97, 98), (256, 99)], pattern=PATTERN, special_tokens={"<|end|>": 300})


# Ranks whose merges may not be recoverable


@st.composite
def rank_tables(draw: st.DrawFn) -> dict[bytes, int]:
    """Random tokens over two or three letters, most of which no merges can make, with ranks in any order and with holes."""
    letters = draw(st.sampled_from([b"ab", b"abc"]))
    token = st.lists(st.sampled_from(letters), min_size=2, max_size=6).map(bytes)
    tokens = draw(st.lists(token, unique=True, max_size=14))
    ranks = draw(st.permutations(range(len(BYTES) + 2 * len(tokens))))
    return dict(zip([*BYTES, *tokens], ranks, strict=False))


@given(ranks=rank_tables(), text=st.text("abc", max_size=200), data=st.binary(max_size=8))
def test_random_ranks_encode_as_by_tiktoken(
    tiktoken_module: ModuleType, ranks: dict[bytes, int], text: str, data: bytes
) -> None:
    fields: dict[str, Any] = {"pat_str": r"(?s:.+)", "mergeable_ranks": ranks, "special_tokens": {}}
    ours, theirs = Encoding("", **fields), tiktoken_module.Encoding("", **fields)
    assert ours._mergeable_ranks == ranks
    for part in (text, text[:7], text * 3):
        assert ours.encode(part) == theirs.encode(part)
    assert ours._encode_bytes(data) == theirs._encode_bytes(data)
    assert ours.decode(ours.encode(text)) == text
    assert ours.token_byte_values() == theirs.token_byte_values()
    assert Encoding.from_vocabulary(pickle.loads(pickle.dumps(ours.vocabulary))).encode(text) == ours.encode(text)


@given(ranks=rank_tables(), text=st.text("abc", max_size=12))
def test_completions_with_random_ranks_are_tiktokens(
    tiktoken_module: ModuleType, ranks: dict[bytes, int], text: str
) -> None:
    fields: dict[str, Any] = {"pat_str": r"a+b*|b+|c+", "mergeable_ranks": ranks, "special_tokens": {}}
    found = []
    for make in (Encoding, tiktoken_module.Encoding):
        stable, completions = make("", **fields).encode_with_unstable(text)
        found.append((stable, {tuple(completion) for completion in completions}))
    assert found[0] == found[1]


@given(text=st.text("abc", min_size=1, max_size=60), count=st.integers(0, 24))
def test_the_merges_behind_the_ranks_are_recovered(text: str, count: int) -> None:
    merges = [pair for pair, _ in reference.train([text.encode()], count, "first")]
    from_merges = Vocabulary.from_merges(merges)
    from_ranks = Vocabulary.from_ranks(from_merges.mergeable_ranks)
    assert from_ranks.by_rank is False
    assert from_ranks.merges == tuple(merges)
    assert from_ranks == from_merges


@given(seed=st.integers(0, 2**32), text=st.text("abc", max_size=80))
def test_merges_of_any_order_encode_as_the_reference(seed: int, text: str) -> None:
    rng = random.Random(seed)
    tokens = {value: bytes([value]) for value in b"abc"}
    merges: list[tuple[int, int]] = []
    for _ in range(rng.randint(0, 12)):
        pair = rng.choice(list(tokens)), rng.choice(list(tokens))
        token = tokens[pair[0]] + tokens[pair[1]]
        if token not in tokens.values() and len(token) < 20:
            tokens[256 + len(merges)] = token
            merges.append(pair)
    ids = Encoding.from_vocabulary(Vocabulary.from_merges(merges)).encode(text)
    assert ids == reference.encode(text.encode(), merges)


def test_without_merges_to_show_there_is_an_error_that_says_why() -> None:
    vocabulary = Vocabulary.from_ranks(BYTES | {b"abc": 256})
    assert vocabulary.by_rank
    with pytest.raises(VocabularyError, match="see by_rank"):
        _ = vocabulary.merges
    assert vocabulary.ids == (256,)
    assert vocabulary[256] == b"abc"


# What a vocabulary holds


def test_ids_may_have_holes_and_bytes_any_order() -> None:
    byte_ids = [*range(1000, 1256)]
    vocabulary = Vocabulary.from_merges([(1097, 1098), (7, 1099)], byte_ids=byte_ids, ids=[7, 2**32 - 1])
    assert vocabulary.byte_ids == tuple(byte_ids)
    assert vocabulary.ids == (7, 2**32 - 1)
    assert vocabulary.merges == ((1097, 1098), (7, 1099))
    assert (vocabulary.n_vocab, len(vocabulary)) == (2**32, 258)
    assert [vocabulary[id] for id in (1000, 7, 2**32 - 1)] == [b"\x00", b"ab", b"abc"]
    assert list(vocabulary.items())[-2:] == [(7, b"ab"), (2**32 - 1, b"abc")]
    encoding = Encoding.from_vocabulary(vocabulary)
    assert encoding.encode("abcab") == [2**32 - 1, 7]
    assert encoding.decode([2**32 - 1, 7, 1100]) == "abcabd"


@pytest.mark.parametrize("id", [-1, 258, 299, 301, 2**32 - 1, 2**32, 10**30])
def test_an_id_that_no_token_has_is_an_error_and_not_in_it(id: int) -> None:
    with pytest.raises(UnknownTokenError, match=f"no token has the id {id}: ids go .*to 300"):
        small()[id]
    assert id not in small()


def test_ids_that_tokens_have_are_in_it() -> None:
    assert all(id in small() for id in (0, 255, 256, 257, 300))
    assert "a" not in small()
    assert small()[300] == b"<|end|>"
    with pytest.raises(TypeError):
        small()["a"]
    with pytest.raises(TypeError, match="iterate over the items"):
        list(small())


def test_a_vocabulary_is_split_by_its_pattern() -> None:
    assert small().split("ab, cd\ud83d") == ["ab", ", ", "cd", "\ufffd"]
    assert Vocabulary.from_merges([]).split("ab, cd") == ["ab, cd"]
    assert small().split("") == []


# Equality, copies, pickles


def test_equal_vocabularies_have_equal_digests_and_hashes() -> None:
    ranks = Vocabulary.from_ranks(small().mergeable_ranks, pattern=PATTERN, special_tokens={"<|end|>": 300})
    assert ranks == small()
    assert hash(ranks) == hash(small())
    assert ranks.digest == small().digest
    assert small() != "a vocabulary"


DIFFERENT: list[Callable[[], Vocabulary]] = [
    small,
    lambda: small().truncate(257),
    lambda: small().without_special_tokens(),
    lambda: small().with_special_tokens({"<|end|>": 301}),
    lambda: small().with_special_tokens({"<|stop|>": 300}),
    lambda: Vocabulary.from_merges([(97, 98), (256, 99)], special_tokens={"<|end|>": 300}),
    lambda: Vocabulary.from_merges([(97, 98), (256, 99)], pattern=r"\w+", special_tokens={"<|end|>": 300}),
    lambda: Vocabulary.from_merges([(97, 98), (256, 99)], pattern=PATTERN, special_tokens={"<|end|>": 300}, ids=[256, 258]),
    lambda: Vocabulary.from_merges([(98, 99), (97, 256)], pattern=PATTERN, special_tokens={"<|end|>": 300}),
    lambda: Vocabulary.from_ranks(BYTES | {b"abc": 256}, pattern=PATTERN, special_tokens={"<|end|>": 300}),
]  # fmt: skip


def test_what_encodes_differently_has_another_digest() -> None:
    assert len({make().digest for make in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("make", DIFFERENT)
def test_a_vocabulary_survives_pickling_and_copying(make: Callable[[], Vocabulary]) -> None:
    vocabulary = make()
    restored = pickle.loads(pickle.dumps(vocabulary))
    assert restored == vocabulary
    assert restored.special_tokens == vocabulary.special_tokens
    assert copy.copy(vocabulary) is copy.deepcopy(vocabulary) is vocabulary


def test_a_vocabulary_never_changes() -> None:
    vocabulary = small()
    with pytest.raises(AttributeError, match="cannot set pattern"):
        vocabulary.pattern = None
    with pytest.raises(AttributeError, match="cannot delete digest"):
        del vocabulary.digest
    vocabulary.special_tokens["<|x|>"] = 5
    vocabulary.mergeable_ranks.clear()
    assert vocabulary == small()
    with pytest.raises(TypeError, match="is made by"):
        Vocabulary()


# Truncating, and special tokens


def test_truncating_keeps_the_first_merges_and_moves_special_tokens_behind_them() -> None:
    vocabulary = small().with_special_tokens({"<|stop|>": 300, "<|pad|>": 400})
    cut = vocabulary.truncate(257)
    assert cut.merges == ((97, 98),)
    assert cut.special_tokens == {"<|end|>": 257, "<|stop|>": 257, "<|pad|>": 258}
    assert vocabulary.truncate(258).special_tokens == {"<|end|>": 258, "<|stop|>": 258, "<|pad|>": 259}
    assert Vocabulary.from_ranks(BYTES | {b"abc": 256, b"abd": 257}).truncate(257)[256] == b"abc"


@pytest.mark.parametrize("size", [255, 259, -1, 2**70])
def test_truncating_to_what_it_has_not_is_refused(size: int) -> None:
    with pytest.raises(VocabularyError):
        small().truncate(size)


def test_truncating_leaves_no_special_token_without_an_id() -> None:
    byte_ids = [2**32 - 2, *range(1, 256)]
    one = Vocabulary.from_merges([(97, 98)], byte_ids=byte_ids, ids=[300], special_tokens={"<|end|>": 500})
    assert one.truncate(256).special_tokens == {"<|end|>": 2**32 - 1}
    with pytest.raises(VocabularyError, match="no ids are left for the special tokens after 4294967294"):
        one.with_special_tokens({"<|stop|>": 600}).truncate(256)


def test_special_tokens_may_share_an_id_and_the_first_by_text_is_what_it_decodes_to() -> None:
    vocabulary = small().with_special_tokens({"<|b|>": 500, "<|a|>": 500})
    assert vocabulary[500] == b"<|a|>"
    assert list(vocabulary.special_tokens) == ["<|end|>", "<|a|>", "<|b|>"]


# What is refused


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"merges": [(97, 300)]}, VocabularyError, "merge 0 joins .97, 300., but no token has the id 300"),
        ({"merges": [(257, 97), (97, 98)]}, VocabularyError, "257 is made by a later merge"),
        ({"merges": [(256, 97)]}, VocabularyError, "256 is made by a later merge"),
        ({"merges": [(97, 98), (97, 98)]}, VocabularyError, "as an earlier one does"),
        ({"merges": [(97, 98), (98, 99), (256, 99), (97, 257)]}, VocabularyError, "have the same bytes"),
        ({"merges": [(97, 98)], "ids": []}, VocabularyError, "1 merges have 0 ids"),
        ({"merges": [(97, 98)], "ids": [97]}, VocabularyError, "two tokens have the id 97"),
        ({"merges": [(97, -1)]}, VocabularyError, "ids are whole numbers from 0"),
        ({"merges": [(97, 2**32)]}, VocabularyError, "ids are whole numbers from 0"),
        ({"merges": [(97, 98, 99)]}, ValueError, "length 2"),
        ({"merges": [(97, "a")]}, TypeError, "str"),
        ({"merges": 5}, TypeError, "not iterable"),
        ({"byte_ids": range(255)}, VocabularyError, "give one for each byte value"),
        ({"byte_ids": [1] * 256}, VocabularyError, "two tokens have the id 1"),
        ({"pattern": "("}, PatternError, "does not compile"),
        ({"pattern": 5}, TypeError, "int"),
        ({"special_tokens": {"": 300}}, SpecialTokenError, "is empty"),
        ({"special_tokens": {"<s>": 97}}, SpecialTokenError, "ids from 256 on are free"),
        ({"special_tokens": {"<s>": -1}}, VocabularyError, "ids are whole numbers from 0"),
        ({"special_tokens": {"<s>": 1.5}}, TypeError, "float"),
    ],
    ids=str,
)
def test_merges_and_fields_that_cannot_be_are_refused(
    fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Vocabulary.from_merges(**{"merges": []} | fields)
