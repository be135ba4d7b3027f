"""Decoding one id at a time gives the same text as decoding all at once, and holds back no more than part of a character."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe

# Ids of the packaged encodings, many of which are only part of a character: the first 256 are single bytes.
ids_of_bytes_and_words = st.lists(st.integers(0, 255) | st.integers(256, 50_000))


@pytest.mark.parametrize("errors", ["replace", "ignore", "backslashreplace", "surrogateescape"])
@given(ids=ids_of_bytes_and_words)
def test_the_parts_together_are_the_decoded_text(errors: str, ids: list[int]) -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    stream = encoding.stream_decoder(errors)
    parts = [stream.push(id) for id in ids]
    assert "".join(parts) + stream.flush() == encoding.decode(ids, errors=errors)


@given(ids=ids_of_bytes_and_words)
def test_at_each_step_all_but_an_unfinished_character_is_out(ids: list[int]) -> None:
    encoding = minbpe.get_encoding("gpt2")
    stream = encoding.stream_decoder()
    out = ""
    for count, id in enumerate(ids, start=1):
        out += stream.push(id)
        assert encoding.decode(ids[:count]) in (out, out + "\ufffd")


@given(text=st.text())
def test_text_comes_back_character_by_character_and_nothing_is_left(text: str) -> None:
    encoding = minbpe.get_encoding("o200k_base")
    stream = encoding.stream_decoder(errors="strict")
    assert "".join(stream.push(id) for id in encoding.encode_ordinary(text)) == text
    assert stream.flush() == ""


def test_a_character_of_several_tokens_is_held_back_until_its_last_byte() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    stream = encoding.stream_decoder()
    assert [stream.push(id) for id in encoding.encode("a👍b")] == ["a", "", "", "👍", "b"]


def test_after_a_flush_the_stream_begins_anew() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    stream = encoding.stream_decoder()
    first, second, third = encoding.encode("👍")
    assert stream.push(first) + stream.push(second) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""
    assert [stream.push(id) for id in (first, second, third)] == ["", "", "👍"]


def test_special_tokens_are_text() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    stream = encoding.stream_decoder()
    assert stream.push(encoding.eot_token) == "<|endoftext|>"


def test_strict_streams_raise_and_can_be_used_after_a_flush() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    half, *_ = encoding.encode("👍")
    stream = encoding.stream_decoder(errors="strict")
    assert stream.push(half) == ""
    with pytest.raises(UnicodeDecodeError):
        stream.push(encoding.encode_single_token("a"))
    with pytest.raises(UnicodeDecodeError):
        stream.flush()
    assert stream.push(encoding.encode_single_token("a")) == "a"


@pytest.mark.parametrize(
    ("id", "error"), [(100_256, KeyError), (-1, KeyError), (10**30, KeyError), ("1", TypeError), (None, TypeError)]
)
def test_an_id_that_is_none_is_an_error_and_changes_nothing(id: Any, error: type[Exception]) -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    first, second, third = encoding.encode("👍")
    stream = encoding.stream_decoder()
    stream.push(first)
    with pytest.raises(error):
        stream.push(id)
    assert stream.push(second) + stream.push(third) == "👍"
