"""Columns of text in, columns of ids out: each row gets the ids of its text alone, whatever the column's type and layout."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding, arrow

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

ROWS = ["hello world", None, "", "👍 é 中文", "x" * 300, "<|endoftext|>", None, "a\n b"]
TEXT_TYPES = ["string", "large_string", "string_view"]
BINARY_TYPES = ["binary", "large_binary", "binary_view"]


@pytest.fixture(scope="module")
def encoding() -> Encoding:
    return minbpe.get_encoding("cl100k_base")


def array(rows: list[Any], kind: str) -> Any:
    """An Arrow array of these texts, as text or as bytes."""
    if "binary" in kind:
        rows = [row.encode() if isinstance(row, str) else row for row in rows]
    return pa.array(rows, getattr(pa, kind)())


def expected(encoding: Encoding, rows: list[str | None]) -> list[list[int] | None]:
    return [None if row is None else encoding.encode_ordinary(row) for row in rows]


@pytest.mark.parametrize("kind", TEXT_TYPES + BINARY_TYPES)
def test_each_row_has_the_ids_of_its_text(encoding: Encoding, kind: str) -> None:
    ids = encoding.encode_arrow(array(ROWS, kind))
    ids.validate(full=True)
    assert ids.type == pa.list_(pa.uint32())
    assert ids.to_pylist() == expected(encoding, ROWS)


@pytest.mark.parametrize("kind", TEXT_TYPES + BINARY_TYPES)
@given(
    rows=st.lists(st.none() | st.text(max_size=5), max_size=12),
    start=st.integers(0, 12),
    length=st.integers(0, 12),
    threads=st.integers(1, 3),
)
def test_a_slice_has_the_ids_of_its_rows(
    encoding: Encoding, kind: str, rows: list[str | None], start: int, length: int, threads: int
) -> None:
    column = array(rows, kind).slice(min(start, len(rows)), length)
    ids = encoding.encode_arrow(column, num_threads=threads)
    ids.validate(full=True)
    assert ids.to_pylist() == expected(encoding, rows[start : start + length])


@pytest.mark.parametrize("kind", TEXT_TYPES)
@given(data=st.data())
def test_a_dictionary_is_read_through(encoding: Encoding, kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | st.text(max_size=5), min_size=1, max_size=4, unique=True))
    chosen = data.draw(st.lists(st.none() | st.integers(0, len(values) - 1), max_size=9))
    column = pa.DictionaryArray.from_arrays(pa.array(chosen, pa.int32()), array(values, kind))
    rows = [None if index is None else values[index] for index in chosen]
    assert encoding.encode_arrow(column).to_pylist() == expected(encoding, rows)
    assert encoding.encode_arrow(column.slice(1)).to_pylist() == expected(encoding, rows[1:])


@pytest.mark.parametrize("kind", ["string", "binary"])
def test_a_chunked_column_keeps_its_chunks(encoding: Encoding, kind: str) -> None:
    chunks = [array(ROWS, kind), array([], kind), array(ROWS, kind).slice(2, 3), array([None], kind)]
    column = pa.chunked_array(chunks)
    ids = encoding.encode_arrow(column)
    ids.validate(full=True)
    assert ids.type == pa.list_(pa.uint32())
    assert [len(chunk) for chunk in ids.chunks] == [8, 0, 3, 1]
    assert ids.to_pylist() == expected(encoding, [*ROWS, *ROWS[2:5], None])


@pytest.mark.parametrize(
    ("column", "rows"),
    [
        (pa.nulls(3), [None, None, None]),
        (pa.array([None, None], pa.string()), [None, None]),
        (pa.array([], pa.string()), []),
        (pa.array([], pa.null()), []),
        (pa.array(["", ""]), [[], []]),
        (pa.chunked_array([], pa.string()), []),
        (pa.chunked_array([pa.nulls(1), pa.nulls(0)]), [None]),
        (pa.array([b"abc", b"abd"], pa.binary(3)), [[13997], [87020]]),
    ],
    ids=lambda value: str(getattr(value, "type", len(value))),
)
def test_columns_with_little_in_them_are_columns_too(encoding: Encoding, column: Any, rows: list[Any]) -> None:
    ids = encoding.encode_arrow(column)
    ids.validate(full=True)
    assert type(ids) is (pa.ChunkedArray if isinstance(column, pa.ChunkedArray) else pa.ListArray)
    assert ids.type == pa.list_(pa.uint32())
    assert ids.to_pylist() == rows


@given(rows=st.lists(st.none() | st.binary(max_size=6)))
def test_bytes_that_are_not_text_are_encoded_as_by_encode_bytes(encoding: Encoding, rows: list[bytes | None]) -> None:
    ids = encoding.encode_arrow(pa.array(rows, pa.binary())).to_pylist()
    assert ids == [None if row is None else encoding.encode_bytes(row) for row in rows]


def test_a_column_of_a_table_is_encoded_beside_the_others(encoding: Encoding) -> None:
    table = pa.table({"text": ROWS, "row": range(len(ROWS))})
    table = table.append_column("ids", encoding.encode_arrow(table["text"]))
    assert table.filter(pa.compute.field("row") == 3)["ids"].to_pylist() == [encoding.encode_ordinary(ROWS[3] or "")]


@pytest.mark.parametrize("in_chunks", [False, True])
def test_more_ids_than_a_list_can_number_make_a_large_list(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch, in_chunks: bool
) -> None:
    monkeypatch.setattr(arrow, "LIST_LIMIT", 3)
    column = array(ROWS, "string")
    ids = encoding.encode_arrow(pa.chunked_array([array(["a"], "string"), column]) if in_chunks else column)
    assert ids.type == pa.large_list(pa.uint32())
    assert ids.to_pylist()[-len(ROWS) :] == expected(encoding, ROWS)


def test_flat_buffers_become_an_arrow_column_without_a_copy(encoding: Encoding) -> None:
    texts = [row for row in ROWS if row is not None]
    ids, offsets = encoding.encode_batch_flat(texts, disallowed_special=())
    buffers = [pa.py_buffer(offsets), pa.py_buffer(ids)]
    values = pa.Array.from_buffers(pa.uint32(), len(ids), [None, buffers[1]])
    column = pa.LargeListArray.from_arrays(pa.Array.from_buffers(pa.int64(), len(offsets), [None, buffers[0]]), values)
    assert column.to_pylist() == expected(encoding, texts)
    assert [column.values.buffers()[1].address, column.buffers()[1].address] == [buffers[1].address, buffers[0].address]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1, 2]), r"a column of string or binary, got int64: cast it to string first"),
        (pa.array([["a"]]), r"got list<item: string>"),
        (pa.chunked_array([pa.array([1.5])]), r"got double"),
        (pa.array([1, 1]).dictionary_encode(), r"got int64"),
        (["a", "b"], r"expected an Arrow Array or ChunkedArray, got list"),
        (None, r"got NoneType"),
        (pa.table({"text": ["a"]}), r"got Table"),
        (pa.scalar("a"), r"got StringScalar"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_column_of_text_is_refused(encoding: Encoding, column: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        encoding.encode_arrow(column)


def test_a_number_of_threads_below_one_is_refused(encoding: Encoding) -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        encoding.encode_arrow(pa.array(["a"]), num_threads=0)
