"""An Encoding as a value: it never changes, and is copied, pickled, subclassed and freed together with its method in Rust."""

import copy
import gc
import inspect
import pickle
import subprocess
import sys
import weakref

import pytest

import minbpe
from minbpe import Encoding
from tests.test_encoding import NAMES, RANKS

# The doctest of a method in Rust, which pytest does not find by itself.
__test__ = {"encode_ordinary": Encoding.encode_ordinary}


def custom(name: str = "custom") -> Encoding:
    return Encoding(name, pat_str=r"\w+|\W+", mergeable_ranks=RANKS, special_tokens={"<end>": 400, "<stop>": 400})


@pytest.mark.parametrize("size", [0, 300_000, 1 << 26])
def test_ids_do_not_depend_on_the_size_of_the_cache(size: int) -> None:
    usual = minbpe.get_encoding("cl100k_base")
    words = (f"{number * 7919 % 9973:x} {number:b} straße 東京都{number % 50}\n" for number in range(12_000))
    text = "".join(words)
    encoding = Encoding.from_vocabulary(usual.vocabulary, usual.name, size)
    assert encoding.cache_size == size
    assert encoding.encode(text) == usual.encode(text) == encoding.encode(text)
    for other in (pickle.loads(pickle.dumps(encoding)), encoding.with_special_tokens({"<|x|>": 200_000})):
        assert other.cache_size == size


def test_a_cache_of_less_than_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="cache_size is -1"):
        Encoding.from_vocabulary(minbpe.get_encoding("gpt2").vocabulary, cache_size=-1)


def test_a_copy_is_the_encoding_itself() -> None:
    encoding = custom()
    assert copy.copy(encoding) is copy.deepcopy(encoding) is encoding


def test_a_registered_encoding_is_pickled_by_its_name_and_comes_back_as_itself() -> None:
    for name in NAMES:
        encoding = minbpe.get_encoding(name)
        pickled = pickle.dumps(encoding)
        assert len(pickled) < 100
        assert pickle.loads(pickled) is encoding


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_any_other_encoding_is_pickled_by_value(protocol: int) -> None:
    lookalike = custom("gpt2")
    by_rank = Encoding("", pat_str=None, mergeable_ranks=RANKS | {b"xyz": 500}, special_tokens={})
    assert by_rank.vocabulary.by_rank
    for encoding in (lookalike, by_rank):
        restored = pickle.loads(pickle.dumps(encoding, protocol=protocol))
        assert (restored.name, restored.vocabulary) == (encoding.name, encoding.vocabulary)
        assert restored.encode("xyz abcab é<stop>", allowed_special="all") == encoding.encode(
            "xyz abcab é<stop>", allowed_special="all"
        )


def test_a_pickle_can_be_read_by_another_process() -> None:
    program = "import pickle, sys; print([e.encode('abc é') for e in pickle.load(sys.stdin.buffer)])"
    encodings = [minbpe.get_encoding("gpt2"), custom()]
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=pickle.dumps(encodings),
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    assert output.decode().strip() == str([encoding.encode("abc é") for encoding in encodings])


def test_an_encoding_never_changes() -> None:
    encoding = custom()
    with pytest.raises(AttributeError, match="never changes: cannot set name"):
        encoding.name = "other"
    with pytest.raises(AttributeError, match="never changes: cannot delete vocabulary"):
        del encoding.vocabulary
    encoding._special_tokens.clear()
    assert encoding.special_tokens_set == {"<end>", "<stop>"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_method_in_rust_is_pickled_with_the_encoding_that_it_is_bound_to(protocol: int) -> None:
    for encoding in (minbpe.get_encoding("gpt2"), custom()):
        method = pickle.loads(pickle.dumps(encoding.encode_ordinary, protocol=protocol))
        assert method("abc é") == encoding.encode_ordinary("abc é")
        assert method.__self__.vocabulary == encoding.vocabulary
    assert len(pickle.dumps(minbpe.get_encoding("gpt2").encode_ordinary)) < 150


def test_the_method_in_rust_is_a_method_of_the_class_like_the_others() -> None:
    encoding = custom()
    assert str(inspect.signature(encoding.encode_ordinary)) == "(text)"
    assert encoding.encode_ordinary(text="abc") == Encoding.encode_ordinary(encoding, "abc") == [300]
    assert "encode_ordinary" in vars(Encoding)
    with pytest.raises(TypeError, match="expected str, got bytes"):
        encoding.encode_ordinary(b"abc")  # type: ignore[arg-type]


def test_a_subclass_may_have_an_init_of_its_own() -> None:
    class Letters(Encoding):
        def __init__(self, letters: str, *, last: int) -> None:
            ranks = {bytes([value]): value for value in range(256)} | {letters.encode(): last}
            super().__init__("letters", pat_str=None, mergeable_ranks=ranks, special_tokens={})
            object.__setattr__(self, "letters", letters)

    class Plain(Encoding):
        pass

    assert Letters("ab", last=300).encode_ordinary("ab") == Letters("ab", last=300).encode("ab") == [300]
    assert Letters("ab", last=300).letters == "ab"  # type: ignore[attr-defined]
    assert Plain("", pat_str=None, mergeable_ranks=RANKS, special_tokens={}).encode_ordinary("abc") == [300]
    assert Plain.from_vocabulary(custom().vocabulary).encode_ordinary("abc") == [300]


def test_an_encoding_without_a_vocabulary_says_so_and_one_with_it_keeps_it() -> None:
    with pytest.raises(AttributeError, match="no vocabulary yet"):
        Encoding.__new__(Encoding).encode_ordinary("abc")
    encoding = custom()
    with pytest.raises(AttributeError, match="never changes"):
        encoding.__init__("again", pat_str=None, mergeable_ranks=RANKS, special_tokens={})  # type: ignore[misc]
    assert (encoding.name, encoding.special_tokens_set) == ("custom", {"<end>", "<stop>"})


def test_an_encoding_is_freed_when_nothing_holds_it_and_a_bound_method_holds_it() -> None:
    encoding = custom()
    gone = weakref.ref(encoding)
    method = encoding.encode_ordinary
    del encoding
    assert gone() is method.__self__
    gc.disable()
    try:
        del method
        assert gone() is None
    finally:
        gc.enable()
