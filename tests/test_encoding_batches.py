"""Many texts at once: lists of lists like tiktoken's, and flat buffers that numpy, torch and Arrow share."""

import copy
import io
from collections.abc import Callable
from itertools import chain, pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding
from minbpe.errors import SpecialTokenError

TEXTS = ["hello world", "", "👍 é 中文", "a\ud83d\udc4db\ud83d", "x" * 2_000, "<|endoftext|>", "today\n \n"]
batches = st.lists(st.text(max_size=20) | st.sampled_from(TEXTS), max_size=20)


@pytest.fixture(scope="module")
def encoding() -> Encoding:
    return minbpe.get_encoding("cl100k_base")


@given(batch=batches, num_threads=st.integers(1, 20))
def test_a_batch_is_tiktokens_for_any_number_of_threads(
    tiktoken_module: ModuleType, encoding: Encoding, batch: list[str], num_threads: int
) -> None:
    theirs = tiktoken_module.get_encoding("cl100k_base")
    rows = encoding.encode_batch(batch, num_threads=num_threads, allowed_special="all")
    assert rows == theirs.encode_batch(batch, allowed_special="all", num_threads=2)
    ordinary = encoding.encode_ordinary_batch(batch, num_threads=num_threads)
    assert ordinary == theirs.encode_ordinary_batch(batch, num_threads=2)
    assert encoding.encode_batch(batch, disallowed_special=()) == ordinary
    decoded = theirs.decode_batch(rows, num_threads=2)
    assert encoding.decode_batch(rows, num_threads=num_threads) == decoded
    assert encoding.decode_bytes_batch(rows, num_threads=num_threads) == [text.encode() for text in decoded]


@given(batch=batches)
def test_flat_buffers_hold_the_rows_one_after_the_other(encoding: Encoding, batch: list[str]) -> None:
    ids, offsets = encoding.encode_batch_flat(batch, allowed_special="all")
    assert len(offsets) == len(batch) + 1
    rows = [ids[start:end].tolist() for start, end in pairwise(offsets)]
    assert rows == encoding.encode_batch(batch, allowed_special="all")
    assert (offsets[0], offsets[-1]) == (0, len(ids))


def test_threads_share_a_long_text_and_its_ids_are_the_same(encoding: Encoding) -> None:
    text = (
        "".join(chr(97 + i * i % 26) + " \n"[i % 11 == 0] * (i % 3 == 0) for i in range(1 << 20)) * 4
        + "<|endoftext|>中文"
    )
    ids = encoding.encode(text, allowed_special="all")
    for num_threads in (2, 3):
        assert encoding.encode_batch_flat([text], allowed_special="all", num_threads=num_threads)[0].tolist() == ids
        assert encoding.encode_batch([text, "x"], allowed_special="all", num_threads=num_threads)[0] == ids


def test_a_list_holds_pythons_own_integers_however_many_were_given_before() -> None:
    encoding = minbpe.get_encoding("gpt2").with_special_tokens({"<|high|>": 60_000})
    text = "all of these words " * 50
    expected = encoding.encode_batch_flat([text])[0].tolist()
    for _ in range(300):
        ids = encoding.encode_ordinary(text)
        assert ids == expected
    ids.append(1)
    assert encoding.encode_ordinary(text) == expected
    assert encoding.encode("<|high|>", allowed_special="all") == [60_000]
    assert type(ids[0]) is int


def test_a_batch_may_be_any_iterable(encoding: Encoding) -> None:
    expected = encoding.encode_ordinary_batch(TEXTS)
    for batch in (tuple(TEXTS), iter(TEXTS), dict.fromkeys(TEXTS), np.array(["hello", "world"])):
        count = 2 if isinstance(batch, np.ndarray) else len(TEXTS)
        assert len(encoding.encode_ordinary_batch(copy.copy(batch))) == count
    assert encoding.encode_batch(iter(TEXTS), disallowed_special=iter(())) == expected
    assert encoding.encode_batch_flat(iter(TEXTS), disallowed_special=())[0].tolist() == list(chain(*expected))
    assert encoding.decode_batch(iter([np.array(row) for row in expected])) == encoding.decode_batch(expected)


def test_ids_to_decode_may_be_arrays(encoding: Encoding) -> None:
    rows = [np.array(row, dtype=np.uint32) for row in encoding.encode_ordinary_batch(["hello world", "👍"])]
    assert encoding.decode_batch(rows) == ["hello world", "👍"]
    assert encoding.decode(memoryview(rows[0])) == "hello world"


@pytest.mark.parametrize("batch", [[], [""], ["", "", ""]])
def test_batches_without_text_have_no_ids(encoding: Encoding, batch: list[str]) -> None:
    assert encoding.encode_batch(batch) == encoding.encode_ordinary_batch(batch) == [[] for _ in batch]
    ids, offsets = encoding.encode_batch_flat(batch)
    assert (ids.tolist(), offsets.tolist()) == ([], [0] * (len(batch) + 1))
    assert np.frombuffer(ids, dtype=np.uint32).size == np.asarray(ids).size == 0
    assert encoding.decode_batch([[] for _ in batch]) == [""] * len(batch)


@pytest.mark.parametrize("method", ["encode_batch", "encode_batch_flat"])
def test_a_disallowed_special_token_anywhere_in_a_batch_is_an_error(encoding: Encoding, method: str) -> None:
    with pytest.raises(SpecialTokenError, match=r"<\|endoftext\|>"):
        getattr(encoding, method)(["a", "b <|endoftext|>", "c"])
    with pytest.raises(SpecialTokenError, match="'foo'"):
        getattr(encoding, method)(["a", "b <|endoftext|>", "a foo"], disallowed_special=iter(["foo"]))


# Buffers


def test_the_buffers_can_be_read_in_every_form_without_a_copy(encoding: Encoding) -> None:
    ids, offsets = encoding.encode_batch_flat(["hello world", "hello"])
    for view, kind, dtype in ((ids, "I", np.uint32), (offsets, "Q", np.uint64)):
        assert (view.format, view.ndim, view.readonly, view.contiguous) == (kind, 1, True, True)
        assert (view.shape, view.strides) == ((3,), (view.itemsize,))
        assert view.tolist() == list(view) == memoryview(view.tobytes()).cast(kind).tolist()
        arrays = [np.frombuffer(view, dtype=dtype), np.asarray(view), np.array(view, copy=False)]
        assert len({array.__array_interface__["data"][0] for array in arrays}) == 1
        for array in arrays:
            assert array.dtype == dtype
            assert not array.flags.writeable
            assert array.tolist() == view.tolist()
        assert bytes(view) == view.cast("B").tobytes() == arrays[0].tobytes()
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 1


def test_a_buffer_lives_as_long_as_what_was_made_of_it(encoding: Encoding) -> None:
    arrays = [np.frombuffer(encoding.encode_batch_flat([f"hello {n}"])[0], dtype=np.uint32) for n in range(200)]
    numbers = [encoding.encode_to_numpy(f"hello {n}") for n in range(200)]
    for n, (array, number) in enumerate(zip(arrays, numbers, strict=True)):
        assert array.tolist() == number.tolist() == encoding.encode(f"hello {n}")


def test_ids_are_packed_in_two_or_four_bytes_and_decoded_from_them(encoding: Encoding) -> None:
    text = "hello \u00e9\u00e9 world" * 5
    ids = encoding.encode(text)
    buffer = encoding._core.encode_buffer(text)
    packed = {width: buffer.pack(width) for width in (2, 4)}
    assert packed[4] == np.array(ids, dtype="<u4").tobytes()
    assert packed[2] == np.array(ids, dtype="<u4").astype("<u2").tobytes()
    assert encoding._core.encode_buffer("").pack(2) == b""
    with pytest.raises(ValueError, match="3 bytes a number: 2 or 4 are known"):
        buffer.pack(3)
    small = [id for id in ids if id < 1 << 16]
    for array in (
        np.array(small, dtype=np.uint16),
        np.repeat(np.array(small, dtype=np.uint16), 2)[::2],
        np.array(small, ">u2"),
    ):
        assert encoding.decode_bytes(array) == encoding.decode_bytes(small)
    assert encoding.decode_bytes(memoryview(np.array(small, dtype=np.uint16))) == encoding.decode_bytes(small)


def test_a_buffer_cannot_be_asked_for_in_order_to_write(encoding: Encoding) -> None:
    buffer = encoding._core.encode_buffer("hello world")
    assert len(buffer) == 2
    with pytest.raises((BufferError, TypeError), match=r"read-only|read-write"):
        io.BytesIO(bytes(8)).readinto(buffer)


def test_torch_takes_the_buffers(encoding: Encoding) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ids, _ = encoding.encode_batch_flat(["hello world"])
    with pytest.warns(UserWarning, match="not writable"):
        tensor = torch.frombuffer(ids, dtype=torch.uint32)
    assert tensor.tolist() == ids.tolist()
    assert tensor.data_ptr() == np.asarray(ids).__array_interface__["data"][0]


BUFFER_USERS: list[Callable[[memoryview], Any]] = [bytes, bytearray, memoryview, np.asarray, list]


@pytest.mark.parametrize("use", BUFFER_USERS)
def test_an_empty_buffer_is_a_buffer(encoding: Encoding, use: Callable[[memoryview], Any]) -> None:
    assert len(use(encoding.encode_batch_flat([])[0])) == 0
