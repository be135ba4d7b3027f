"""Input that an Encoding rejects: the error has the class that tiktoken raises, and its message says what is wrong."""

import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minbpe
from minbpe import Encoding
from minbpe.errors import (
    MinbpeError,
    PatternError,
    PatternWarning,
    SpecialTokenError,
    UnknownTokenError,
    VocabularyError,
)

BYTES = {bytes([value]): value for value in range(256)}


class Index:
    """A number that is not an int."""

    def __index__(self) -> int:
        return 15339


# Calls that give the same as in tiktoken, or raise an error that is an instance of tiktoken's class.
SAME: dict[str, Callable[[Any], Any]] = {
    "ids in a tuple": lambda e: e.decode((15339, 1917)),
    "ids in a range": lambda e: e.decode(range(40, 50)),
    "ids in bytes": lambda e: e.decode(b"12"),
    "ids in a bytearray": lambda e: e.decode_bytes(bytearray(b"12")),
    "ids that are bool": lambda e: e.decode([True, False]),
    "ids that are float": lambda e: e.decode([1.0]),
    "ids that are str": lambda e: e.decode(["1"]),
    "ids that are None": lambda e: e.decode([None]),
    "ids that are lists": lambda e: e.decode([[1]]),
    "ids that can be an index": lambda e: e.decode([Index(), np.int64(1917), np.uint8(7)]),
    "ids that are float64": lambda e: e.decode([np.float64(1)]),
    "an id below zero": lambda e: e.decode([-1]),
    "an id beyond 32 bits": lambda e: e.decode([2**32]),
    "an id beyond 64 bits": lambda e: e.decode([10**30]),
    "an id in a hole": lambda e: e.decode([100256]),
    "an id after the last": lambda e: e.decode([100277]),
    "no ids": lambda e: (e.decode([]), e.decode_bytes(()), e.decode_tokens_bytes([]), e.decode_with_offsets([])),
    "None for ids": lambda e: e.decode(None),
    "a number for ids": lambda e: e.decode(5),
    "a str for ids": lambda e: e.decode("12"),
    "an array of int64": lambda e: e.decode(np.array([15339, 1917])),
    "an array of uint32": lambda e: e.decode(np.array([15339, 1917], dtype=np.uint32)),
    "an array of int32": lambda e: e.decode(np.array([15339, -1], dtype=np.int32)),
    "an array of the other byte order": lambda e: e.decode(np.array([15339, 1917], dtype=">u4")),
    "an array with gaps": lambda e: e.decode(np.array([15339, 5, 1917], dtype=np.uint32)[::2]),
    "an array backwards": lambda e: e.decode(np.array([15339, 5, 1917], dtype=np.uint32)[::-1]),
    "an array of float": lambda e: e.decode(np.array([1.0])),
    "an array of bool": lambda e: e.decode(np.array([True])),
    "an array without axes": lambda e: e.decode(np.array(5, dtype=np.uint32)),
    "an array of two axes": lambda e: e.decode(np.array([[15339, 1917]], dtype=np.uint32)),
    "an array of two axes of int64": lambda e: e.decode(np.array([[15339, 1917]])),
    "an empty array": lambda e: e.decode(np.array([], dtype=np.uint32)),
    "array.array": lambda e: [e.decode(array.array(kind, [15339])) for kind in "IiLlQq"],
    "array.array of float": lambda e: e.decode(array.array("f", [1.0])),
    "a memoryview": lambda e: e.decode(memoryview(np.array([15339], dtype=np.uint32))),
    "errors=strict": lambda e: e.decode([9468], errors="strict"),
    "errors that are none": lambda e: e.decode([9468], errors="no such"),
    "one id below zero": lambda e: e.decode_single_token_bytes(-1),
    "one id too high": lambda e: e.decode_single_token_bytes(2**40),
    "one id in a hole": lambda e: e.decode_single_token_bytes(100256),
    "one id that is str": lambda e: e.decode_single_token_bytes("1"),
    "one id that is None": lambda e: e.decode_single_token_bytes(None),
    "one id that is bool": lambda e: e.decode_single_token_bytes(True),
    "tokens of a generator": lambda e: e.decode_tokens_bytes(id for id in [15339]),
    "offsets of a generator": lambda e: e.decode_with_offsets(iter([15339, 1917])),
    "offsets of half a character": lambda e: e.decode_with_offsets([9468]),
    "a generator of batches": lambda e: e.decode_batch([15339] for _ in range(3)),
    "a batch with a hole": lambda e: e.decode_batch([[1], [100256]]),
    "a strict batch": lambda e: e.decode_batch([[9468]], errors="strict"),
    "None for a batch of ids": lambda e: e.decode_bytes_batch(None),
    "None for a text": lambda e: e.encode(None),
    "None for a text, nothing disallowed": lambda e: e.encode(None, disallowed_special=()),
    "bytes for a text": lambda e: e.encode(b"a"),
    "a number for a text": lambda e: e.encode(5),
    "None for an ordinary text": lambda e: e.encode_ordinary(None),
    "None for a text to numpy": lambda e: e.encode_to_numpy(None),
    "None for an unstable text": lambda e: e.encode_with_unstable(None),
    "a str that is a subclass": lambda e: e.encode(np.str_("hello")),
    "a str for a batch": lambda e: e.encode_batch("ab"),
    "None in a batch": lambda e: e.encode_batch(["a", None]),
    "None for a batch": lambda e: e.encode_batch(None),
    "a generator for a batch": lambda e: e.encode_batch(text for text in ["a", "b"]),
    "a tuple for a batch": lambda e: e.encode_ordinary_batch(("a", "b")),
    "no threads": lambda e: e.encode_batch(["a"], num_threads=0),
    "threads below zero": lambda e: e.decode_batch([[1]], num_threads=-1),
    "threads that are str": lambda e: e.encode_ordinary_batch(["a"], num_threads="2"),
    "more threads than can be": lambda e: e.encode_batch(["a", "b"], num_threads=10**20),
    "None for a token": lambda e: e.encode_single_token(None),
    "a number for a token": lambda e: e.encode_single_token(1),
    "an empty token": lambda e: e.encode_single_token(""),
    "two tokens for one": lambda e: e.encode_single_token("hello world"),
    "bytes that are no token": lambda e: e.encode_single_token(b"\xff\xfe\xfd"),
    "a bytearray for a token": lambda e: e.encode_single_token(bytearray(b"a")),
    "tokens of each kind": lambda e: [e.encode_single_token(t) for t in ("hello", b"hello", "<|endoftext|>", b"<|endoftext|>")],
    "pieces": lambda e: [e._encode_single_piece(p) for p in ("helloqqqq", b"helloqqqq", b"\xff", "a")],
    "None for a piece": lambda e: e._encode_single_piece(None),
    "a str for bytes": lambda e: e._encode_bytes("a"),
    "a bytearray for bytes": lambda e: e._encode_bytes(bytearray(b"a")),
    "special ids": lambda e: [e.is_special_token(id) for id in (100257, 100256, 0, -1, 10**30, True)],
}  # fmt: skip


def outcome(call: Callable[[Any], Any], encoding: Any) -> Any:
    """What the call returns, or the class of the error it raises."""
    try:
        return call(encoding)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("what", SAME)
def test_the_result_or_the_class_of_the_error_is_tiktokens(tiktoken_module: ModuleType, what: str) -> None:
    theirs = outcome(SAME[what], tiktoken_module.get_encoding("cl100k_base"))
    ours = outcome(SAME[what], minbpe.get_encoding("cl100k_base"))
    if isinstance(theirs, type):
        assert isinstance(ours, type)
        assert issubclass(ours, theirs)
    else:
        assert ours == theirs


# Calls where tiktoken asserts, panics or raises, and ours has an answer or says what is wrong.
MORE: dict[str, tuple[Callable[[Encoding], Any], Any]] = {
    "ids of a generator": (lambda e: e.decode(id for id in [15339, 1917]), "hello world"),
    "an empty piece": (lambda e: e._encode_single_piece(""), []),
    "a piece with surrogates": (lambda e: e._encode_single_piece("\ud83d\udc4d"), [9468, 239, 235]),
    "a token with a surrogate": (lambda e: e.encode_single_token("\ud83d"), 5809),
    "two million spaces": (lambda e: e.count(" " * 2_000_000) > 0, True),
    "an id that is no int": (lambda e: e.is_special_token("1"), TypeError),
    "an id that is float": (lambda e: e.is_special_token(1.0), TypeError),
}


@pytest.mark.parametrize("what", MORE)
def test_what_tiktoken_cannot_do_has_an_answer_or_a_clear_error(what: str) -> None:
    call, expected = MORE[what]
    assert outcome(call, minbpe.get_encoding("cl100k_base")) == expected


@pytest.mark.parametrize("id", [-1, -(10**30), 100_256, 100_277, 2**31, 2**32 - 1, 2**32, 10**30])
def test_an_unknown_id_is_a_key_error_a_value_error_and_an_overflow_error(id: int) -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    calls: list[Callable[[], Any]] = [
        lambda: encoding.decode([15339, id]),
        lambda: encoding.decode_bytes([id]),
        lambda: encoding.decode_single_token_bytes(id),
        lambda: encoding.decode_tokens_bytes([id]),
        lambda: encoding.decode_with_offsets([id]),
        lambda: encoding.decode_batch([[id]]),
        lambda: encoding.decode_bytes_batch([[15339], [id]]),
        lambda: encoding.stream_decoder().push(id),
        lambda: encoding.vocabulary[id],
    ]
    for call in calls:
        with pytest.raises(UnknownTokenError, match=rf"^no token has the id {id}: ids go .*to 100276$") as raised:
            call()
        assert isinstance(raised.value, KeyError)
        assert isinstance(raised.value, OverflowError)
        assert isinstance(raised.value, MinbpeError)
    assert id not in encoding.vocabulary


@pytest.mark.parametrize("id", [-1, 2**40])
def test_so_is_one_in_an_array_of_numpy(id: int) -> None:
    encoding = minbpe.get_encoding("gpt2")
    for call in (encoding.decode, encoding.decode_bytes, encoding.decode_tokens_bytes):
        with pytest.raises(UnknownTokenError, match=rf"^no token has the id {id}: ids go from 0 to 50256$"):
            call(np.array([1, id]))


def test_an_id_may_be_the_highest_of_all() -> None:
    encoding = Encoding("", pat_str=None, mergeable_ranks=BYTES | {b"ab": 2**32 - 2}, special_tokens={"<s>": 2**32 - 1})
    assert encoding.n_vocab == 2**32
    ids = encoding.encode("ab<s>", allowed_special="all")
    assert ids == [2**32 - 2, 2**32 - 1]
    assert encoding.decode(ids) == "ab<s>"
    assert encoding.encode_to_numpy("ab").tolist() == ids[:1]
    with pytest.raises(UnknownTokenError):
        encoding.vocabulary[2**32]


# Making an Encoding


def test_explicit_n_vocab_is_the_number_of_tokens_without_holes() -> None:
    fields: dict[str, Any] = {"pat_str": None, "mergeable_ranks": BYTES, "special_tokens": {"<s>": 256}}
    assert Encoding("", **fields, explicit_n_vocab=257).n_vocab == 257
    for number, special in ((256, {"<s>": 256}), (258, {"<s>": 256}), (258, {"<s>": 257}), (257, {"<s>": 257})):
        with pytest.raises(VocabularyError, match="leave explicit_n_vocab out"):
            Encoding("", **fields | {"special_tokens": special}, explicit_n_vocab=number)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mergeable_ranks": {}}, VocabularyError, "0x00 has no token"),
        ({"mergeable_ranks": {k: v for k, v in BYTES.items() if k != b"A"}}, VocabularyError, "0x41 has no token"),
        ({"mergeable_ranks": BYTES | {b"ab": 5}}, VocabularyError, "two tokens have the id 5"),
        ({"mergeable_ranks": BYTES | {b"": 300}}, VocabularyError, "token 300 is empty"),
        ({"mergeable_ranks": BYTES | {b"ab": -1}}, VocabularyError, "whole numbers from 0 to 4294967295"),
        ({"mergeable_ranks": BYTES | {b"ab": 2**32}}, VocabularyError, "whole numbers from 0 to 4294967295"),
        ({"mergeable_ranks": BYTES | {b"ab": 256.0}}, TypeError, "float"),
        ({"mergeable_ranks": BYTES | {"ab": 256}}, TypeError, "keys of mergeable_ranks are bytes"),
        ({"mergeable_ranks": None}, TypeError, "NoneType"),
        ({"special_tokens": {"<s>": 97}}, SpecialTokenError, "ids from 256 on are free"),
        ({"special_tokens": {"": 300}}, SpecialTokenError, "id 300 is empty"),
        ({"pat_str": "("}, PatternError, "does not compile"),
        ({"pat_str": 5}, TypeError, "int"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_fields_that_cannot_be_are_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    fields = {"pat_str": None, "mergeable_ranks": BYTES, "special_tokens": {}} | change
    with pytest.raises(error, match=message):
        Encoding("", **fields)


# Arguments of methods that tiktoken lacks


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.encode_with_offsets("a", unit="word"), ValueError, 'unit is "char" or "byte", not \'word\''),
        (lambda e: e.count_up_to("a", -1), ValueError, "give 0 or more"),
        (lambda e: e.truncate("a", -1), ValueError, "give 0 or more"),
        (lambda e: e.encode_up_to("a", -1), ValueError, "a text cannot have -1 tokens: give 0 or more"),
        (lambda e: e.encode_up_to("a", 1.5), TypeError, "a number of tokens is an int, and this is of type float"),
        (lambda e: e.encode_up_to(b"a", 0), TypeError, "expected str, got bytes"),
        (lambda e: e.truncate("a", 1.5), TypeError, "float"),
        (lambda e: e.truncate("a", None), TypeError, "NoneType"),
        (lambda e: e.truncate("a", "x"), TypeError, "a number of tokens is an int, and this is of type str"),
        (lambda e: e.count_up_to("a", "x"), TypeError, "a number of tokens is an int, and this is of type str"),
        (lambda e: e.count(None), TypeError, "expected str, got NoneType"),
        (lambda e: e.truncate(b"a", 1), TypeError, "expected str, got bytes"),
        (lambda e: e.encode_with_offsets(b"a"), TypeError, "expected str, got bytes"),
        (lambda e: e.encode_bytes("a"), TypeError, "str"),
        (lambda e: e.encode_bytes(None), TypeError, "None"),
        (lambda e: e.encode_batch_flat(["a", 5]), TypeError, "expected str, got int"),
        (lambda e: e.encode_batch_flat(["a"], num_threads=0), ValueError, "at least one thread"),
        (lambda e: e.encode_files("a.txt"), TypeError, r"this is a single str: write \[path\]"),
        (lambda e: e.encode_files(Path("a.txt")), TypeError, "this is a single PosixPath|WindowsPath"),
        (lambda e: e.encode_files([5]), TypeError, "int"),
        (lambda e: e.encode_files([], num_threads=0), ValueError, "at least one thread"),
        (lambda e: e.encode_batch(["a"], num_threads=None), TypeError, "num_threads is an int, not NoneType"),
        (lambda e: e.stream_decoder(errors="no such"), LookupError, "no such"),
    ],
    ids=str,
)
def test_arguments_of_the_wrong_kind_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(minbpe.get_encoding("gpt2"))


def test_a_pattern_that_tries_too_long_is_an_error_that_says_where(tiktoken_module: ModuleType) -> None:
    fields: dict[str, Any] = {"pat_str": r"(a|aa)+\1b|a+|[^a]+", "mergeable_ranks": BYTES, "special_tokens": {}}
    with pytest.warns(PatternWarning, match="back-references"):
        encoding = Encoding("", **fields)
    assert encoding.encode("aab") == tiktoken_module.Encoding("", **fields).encode("aab") == [97, 97, 98]
    calls: list[Callable[[str], Any]] = [
        encoding.encode,
        encoding.encode_to_numpy,
        encoding.count,
        encoding.encode_with_offsets,
        encoding.encode_with_unstable,
        lambda text: encoding.encode_batch(["b", text]),
        lambda text: encoding.encode_batch_flat([text, "b"]),
        lambda text: encoding.encode_bytes(text.encode()),
        lambda text: encoding.truncate(text, 10**9),
    ]
    for call in calls:
        with pytest.raises(
            PatternError, match=r"gave up on the text .*byte 1\b.*: break up the long run there, or write"
        ):
            call("b" + "a" * 5_000)
    assert encoding.encode("aab") == [97, 97, 98]


def test_what_is_no_vocabulary_or_no_dict_of_special_tokens_is_refused_with_the_way_out() -> None:
    encoding = minbpe.get_encoding("gpt2")
    with pytest.raises(
        TypeError, match=r"made of a Vocabulary, and this is of type str: give .* Vocabulary\.load\(path\)"
    ):
        Encoding.from_vocabulary("m.model")  # type: ignore[arg-type]
    for call in (encoding.with_special_tokens, encoding.vocabulary.with_special_tokens):
        with pytest.raises(
            TypeError, match=r"special_tokens is a dict, text to id, and this is of type list: write \{text: id\}"
        ):
            call(["<|a|>"])  # type: ignore[operator]
    with pytest.raises(TypeError, match="size is an int, and this is of type str"):
        encoding.vocabulary.truncate("300")  # type: ignore[arg-type]
