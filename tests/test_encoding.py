"""Every method of `Encoding` on one text: those of tiktoken give tiktoken's results, the others those of a naive reference."""

from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding, Vocabulary
from minbpe.encoding import repaired

NAMES = ("gpt2", "r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony")
RANKS = {bytes([value]): value for value in range(256)} | {b"ab": 256, b"abc": 300, " é".encode(): 301}

TEXTS = (
    "",
    "hello world",
    "Hello, World!  How's it going?\n\n  I'LL see; they've 1234567 things…\r\n\t",
    "today\n  \n x\u3000\u3000y\x85z",
    "我非常渴望与人工智能一起工作 நடிகர் சூர்யா שלום",
    "👍🏽👩‍👩‍👧 𝔘𝔫𝔦 e\u0301\u0345 'ſ ǅ",
    "a\ud83d\udc4db",
    "\ud83d lone \udc4d",
    "\udc4d\ud83d",
    "<|endoftext|> as text <|endofprompt|><|fim_prefix",
    "x" * 3000,
    " " * 3000,
    "\x00\x01\x7f\ufeff\uffff\U0010ffff",
)

# Letters, white space and marks of every kind, halves of surrogate pairs, and parts of special tokens.
texts = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            ["\ud83d", "\udc4d", "'s", "'LL", " ", "\n", "\r\n", "  ", "a", "A", "1", "'", "é", "中", "\u0301"]
        ),
        st.sampled_from(["<|endoftext|>", "<|endofprompt|>", "<|fim_", "|>"]),
    )
).map("".join)


@pytest.fixture(scope="module", params=NAMES)
def both(request: pytest.FixtureRequest, tiktoken_module: ModuleType) -> tuple[Encoding, Any]:
    """Our encoding and tiktoken's of the same name."""
    return minbpe.get_encoding(request.param), tiktoken_module.get_encoding(request.param)


@pytest.fixture(scope="module", params=["r50k_base", "cl100k_base", "o200k_base"])
def encoding(request: pytest.FixtureRequest) -> Encoding:
    return minbpe.get_encoding(request.param)


# What tiktoken has


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_has_tiktokens_ids_in_each_form(both: tuple[Encoding, Any], text: str) -> None:
    ours, theirs = both
    ids = theirs.encode(text, disallowed_special=())
    assert ours.encode(text, disallowed_special=()) == ours.encode_ordinary(text) == ids
    assert ours.encode(text, allowed_special="all") == theirs.encode(text, allowed_special="all")
    array = ours.encode_to_numpy(text, allowed_special="all")
    assert array.dtype == "uint32"
    assert not array.flags.writeable
    assert array.tolist() == theirs.encode(text, allowed_special="all")
    assert ours.decode(ids) == theirs.decode(ids) == repaired(text)


@given(text=texts)
def test_ids_text_and_offsets_are_tiktokens(both: tuple[Encoding, Any], text: str) -> None:
    ours, theirs = both
    ids = theirs.encode(text, allowed_special="all")
    assert ours.encode(text, allowed_special="all") == ids
    assert ours.encode_to_numpy(text, allowed_special="all").tolist() == ids
    assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)
    assert ours.decode_bytes(ids) == theirs.decode_bytes(ids)
    assert ours.decode_tokens_bytes(ids) == theirs.decode_tokens_bytes(ids)
    assert ours.decode_with_offsets(ids) == theirs.decode_with_offsets(ids)


@given(data=st.binary() | texts.map(lambda text: repaired(text).encode()[:-1]))
def test_ids_of_bytes_that_are_cut_are_tiktokens(both: tuple[Encoding, Any], data: bytes) -> None:
    ours, theirs = both
    assert ours._encode_bytes(data) == theirs._encode_bytes(data)
    if data:
        assert ours._encode_single_piece(data) == theirs._encode_single_piece(data)


@given(ids=st.lists(st.integers(0, 51_000)), errors=st.sampled_from(["replace", "ignore", "backslashreplace"]))
def test_ids_in_any_order_decode_as_tiktokens(both: tuple[Encoding, Any], ids: list[int], errors: str) -> None:
    ours, theirs = both
    ids = [id for id in ids if id in ours.vocabulary]
    assert ours.decode(ids, errors=errors) == theirs.decode(ids, errors=errors)


@pytest.mark.parametrize("name", ["r50k_base", "cl100k_base"])
@given(text=texts.map(lambda text: repaired(text)[-12:]))
def test_completions_of_unstable_text_are_tiktokens(name: str, tiktoken_module: ModuleType, text: str) -> None:
    found = []
    for module in (minbpe, tiktoken_module):
        stable, completions = module.get_encoding(name).encode_with_unstable(text, allowed_special="all")
        found.append((stable, {tuple(completion) for completion in completions}))
    assert found[0] == found[1]


def test_unstable_text_with_surrogates_is_repaired_first() -> None:
    encoding = minbpe.get_encoding("gpt2")
    assert encoding.encode_with_unstable("a\ud83d") == encoding.encode_with_unstable("a\ufffd")
    assert encoding.encode_to_numpy("a\ud83d\udc4d").tolist() == encoding.encode("a👍")


def test_properties_are_tiktokens(both: tuple[Encoding, Any]) -> None:
    ours, theirs = both
    for name in ("name", "n_vocab", "max_token_value", "eot_token", "special_tokens_set"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("_pat_str", "_mergeable_ranks", "_special_tokens"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert list(ours._mergeable_ranks.items()) == list(theirs._mergeable_ranks.items())
    assert repr(ours) == repr(theirs)
    assert ours.token_byte_values() == theirs.token_byte_values()
    special = [id for id in range(ours.n_vocab + 2) if ours.is_special_token(id)]
    assert special == [id for id in range(ours.n_vocab + 2) if theirs.is_special_token(id)]


@pytest.mark.parametrize(
    ("name", "id", "text"),
    [
        ("o200k_harmony", 200018, "<|endofprompt|>"),
        ("o200k_harmony", 199998, "<|startoftext|>"),
        ("p50k_edit", 50283, "<|fim_suffix|>"),
        ("p50k_base", 50257, "  "),
        ("p50k_base", 50256, "<|endoftext|>"),
    ],
)
def test_ids_beside_a_hole_or_shared_by_two_texts_decode_to_the_first(name: str, id: int, text: str) -> None:
    encoding = minbpe.get_encoding(name)
    assert encoding.decode([id]) == text
    assert encoding.decode_single_token_bytes(id) == text.encode()
    assert encoding.encode_single_token(text) == id


def test_two_special_tokens_of_one_id_are_both_encoded_to_it() -> None:
    encoding = minbpe.get_encoding("o200k_harmony")
    both = ["<|endofprompt|>", "<|reserved_200018|>"]
    assert [encoding.encode(text, allowed_special="all") for text in both] == [[200018], [200018]]


# Counting and cutting


@given(text=texts, n=st.integers(0, 40))
def test_a_count_is_the_number_of_ids_up_to_a_limit(encoding: Encoding, text: str, n: int) -> None:
    ids = encoding.encode_ordinary(text)
    assert encoding.count(text) == len(ids)
    assert encoding.count_up_to(text, n) == min(n, len(ids))


@given(text=texts, n=st.integers(0, 40))
def test_the_first_ids_are_those_of_the_whole(encoding: Encoding, text: str, n: int) -> None:
    ids = encoding.encode_ordinary(text)
    assert encoding.encode_up_to(text, n) == ids[:n]
    assert encoding.encode_up_to(text * 1000, n) == encoding.encode_ordinary(text * 1000)[:n]


def truncated(encoding: Encoding, text: str, n: int) -> str:
    """The longest prefix made of at most n whole tokens that is valid text and encodes to at most n tokens, by trying each."""
    parts = encoding.decode_tokens_bytes(encoding.encode_ordinary(text))
    for kept in range(min(n, len(parts)), 0, -1):
        try:
            prefix = b"".join(parts[:kept]).decode()
        except UnicodeDecodeError:
            continue
        if len(encoding.encode_ordinary(prefix)) <= n:
            return prefix
    return ""


@given(text=texts, n=st.integers(0, 40))
def test_a_truncated_text_is_the_longest_prefix_of_whole_tokens(encoding: Encoding, text: str, n: int) -> None:
    assert encoding.truncate(text, n) == truncated(encoding, text, n)


def test_a_limit_beyond_all_numbers_is_no_limit() -> None:
    encoding = minbpe.get_encoding("gpt2")
    assert encoding.truncate("hello world", 10**30) == "hello world"
    assert encoding.count_up_to("hello world", 10**30) == 2
    assert encoding.encode_up_to("hello world", 10**30) == encoding.encode_ordinary("hello world")


def test_text_beyond_the_limit_is_not_read() -> None:
    gives_up = r"x\.|(a|aa)+\1b|a+"  # on a long run of a it tries every way to divide it
    with pytest.warns(minbpe.errors.PatternWarning):
        encoding = Encoding("", pat_str=gives_up, mergeable_ranks=RANKS, special_tokens={})
    text = "x." * 50_000 + "a" * 5_000
    with pytest.raises(minbpe.errors.PatternError, match="gave up"):
        encoding.count(text)
    for begins in ("x." * 50_000, "x." * 50_000_000):
        text = begins + "a" * 5_000
        assert encoding.count_up_to(text, 3) == 3
        assert encoding.encode_up_to(text, 3) == encoding.encode_ordinary("x.x")
        assert encoding.truncate(text, 3) == "x.x"


# Offsets


def offsets_of(encoding: Encoding, ids: list[int], text: str, unit: str) -> list[tuple[int, int]]:
    """Which characters, or bytes, each token covers at least in part, from the length of everything before it."""
    ends = [len(encoding.decode_bytes(ids[:count])) for count in range(len(ids) + 1)]
    if unit == "byte":
        return list(pairwise(ends))
    character_of_byte = [index for index, character in enumerate(text) for _ in character.encode()]
    return [(character_of_byte[start], character_of_byte[end - 1] + 1) for start, end in pairwise(ends)]


@pytest.mark.parametrize("unit", ["char", "byte"])
@given(text=texts)
def test_offsets_say_which_part_of_the_text_a_token_has_bytes_of(encoding: Encoding, unit: Any, text: str) -> None:
    ids, offsets = encoding.encode_with_offsets(text, unit=unit, allowed_special="all")
    assert ids == encoding.encode(text, allowed_special="all")
    assert offsets == offsets_of(encoding, ids, repaired(text), unit)


def test_offsets_of_special_tokens_that_share_an_id_are_those_of_the_text_that_stands_there() -> None:
    encoding = minbpe.get_encoding("o200k_harmony")
    for text in ("<|reserved_200018|>", "<|endofprompt|>"):
        assert encoding.encode_with_offsets(text + " a", allowed_special="all") == (
            [200018, 261],
            [(0, len(text)), (len(text), len(text) + 2)],
        )


# Bytes that are not UTF-8


def stretches(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """The maximal stretches of `data` that are UTF-8, and those that are not, found character by character."""
    kept, start, place = False, 0, 0
    while place < len(data):
        length = next((n for n in range(1, 5) if is_character(data[place : place + n])), 0)
        if place > start and bool(length) != kept:
            yield kept, data[start:place]
            start = place
        kept = bool(length)
        place += length or 1
    if data:
        yield kept, data[start:]


def is_character(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


@given(data=st.lists(st.binary(max_size=6) | st.text(max_size=4).map(str.encode)).map(b"".join))
def test_bytes_are_encoded_as_text_where_they_are_and_as_one_piece_where_not(encoding: Encoding, data: bytes) -> None:
    expected = []
    for valid, part in stretches(data):
        expected += encoding.encode_ordinary(part.decode()) if valid else encoding._encode_single_piece(part)
    assert encoding.encode_bytes(data) == expected
    assert encoding.decode_bytes(expected) == data


# To and from tiktoken


def test_an_encoding_of_tiktokens_becomes_ours(both: tuple[Encoding, Any]) -> None:
    ours, theirs = both
    made = Encoding.from_tiktoken(theirs)
    assert (made.name, made.vocabulary) == (ours.name, ours.vocabulary)


@pytest.mark.usefixtures("tiktoken_module")
@pytest.mark.parametrize("pattern", [None, r"\w+|\W+"])
@given(text=texts)
def test_an_encoding_becomes_tiktokens(pattern: str | None, text: str) -> None:
    ours = Encoding("", pat_str=pattern, mergeable_ranks=RANKS | {b"xyz": 500}, special_tokens={"<|fim_": 400})
    assert ours.to_tiktoken().encode(text, allowed_special="all") == ours.encode(text, allowed_special="all")


@pytest.mark.usefixtures("tiktoken_module")
@pytest.mark.parametrize(
    "vocabulary",
    [
        Vocabulary.from_merges([(97, 98), (300, 99)], ids=[300, 299]),
        Vocabulary.from_merges([(98, 99), (97, 98), (257, 99)]),
    ],
    ids=["ids are not in the order of ranks", "a token is not what its bytes merge to"],
)
def test_what_tiktoken_would_encode_otherwise_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(minbpe.errors.VocabularyError, match="keep it in minbpe"):
        Encoding.from_vocabulary(vocabulary).to_tiktoken()
