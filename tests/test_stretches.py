"""A document encoded a stretch at a time has the ids of the whole, wherever its parts end."""

import warnings
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe.batches import batches
from minbpe.stretches import encode_stretches, encode_stretches_with_special

MERGES = [(116, 104), (256, 101), (32, 257), (60, 124)]
SPECIAL = {"<|end|>": 300, "<|end|>!": 301, "<|": 302, "\U0001f44d": 303, "the end": 304}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ENCODINGS = [
        minbpe.Encoding.from_vocabulary(minbpe.Vocabulary.from_merges(MERGES, pattern=pattern, special_tokens=special))
        for pattern in (minbpe.GPT4_SPLIT_PATTERN, r"\w+", None, r"(?<=a)b+|a+|[^ab]")
        for special in (SPECIAL, {})
    ]
PIECES = st.sampled_from(
    [b"a", b"b", b" ", b"\n", b"12", "\u00e9".encode(), b"\xed\xa0\x80", b"\xf0\x9f\x91", b"\x8d", b"\xff", b"the "]
    + [text.encode() for text in SPECIAL]
    + [b"<|en", b"d|>", b"|>", b"the e", b"nd"]
)
PARTS = st.lists(st.lists(PIECES, max_size=12).map(b"".join), max_size=6)


def flat(stretches: Iterable[minbpe._core.Buffer]) -> list[int]:
    """The ids of all stretches as one list."""
    return [token_id for ids in stretches for token_id in memoryview(ids)]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(parts=PARTS, size=st.integers(1, 20))
def test_the_ids_are_those_of_the_whole(encoding: minbpe.Encoding, parts: list[bytes], size: int) -> None:
    whole = b"".join(parts)
    text = whole.decode("utf-8", "replace")
    cut = [whole[start : start + size] for start in range(0, len(whole), size)]
    told: list[int] = []
    for given_parts in (parts, cut):
        assert flat(encode_stretches(given_parts, encoding, progress=told.append)) == encoding.encode_bytes(whole)
        special = encode_stretches_with_special(given_parts, encoding)
        assert flat(special) == encoding.encode(text, allowed_special="all")
    assert max(told, default=0) == len(whole)


def test_no_more_is_read_ahead_than_one_part() -> None:
    read: list[int] = []

    def parts() -> Iterable[bytes]:
        for number in range(5):
            read.append(number)
            yield b"the end of it all "

    for encode in (encode_stretches, encode_stretches_with_special):
        stretches = iter(encode(parts(), ENCODINGS[0]))
        next(stretches)
        assert read == [0, 1]
        read.clear()


def test_documents_without_text_fill_a_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minbpe.batches.BATCH_DOCUMENTS", 3)
    assert [len(batch) for batch in batches([b""] * 10, 1 << 20)] == [3, 3, 3, 1]
