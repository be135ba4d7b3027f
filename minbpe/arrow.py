"""Encoding Arrow columns: text in, lists of ids out, without a Python object per row.

Needs pyarrow: `pip install minbpe[data]`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from minbpe import _core

# Arrow's list type counts its values in int32.
LIST_LIMIT = 2**31 - 1


def encode_column(encoder: _core.Encoder, column: Any, num_threads: int) -> Any:
    """Return the ids of each row of `column`, as a column of lists of uint32.

    Args:
        encoder: the encoder to use.
        column: an Array or ChunkedArray of string, large_string, string_view, binary, dictionary of these, or null. Bytes that are
            not UTF-8 are encoded as `Encoding.encode_bytes` does.
        num_threads: how many threads to use.

    Returns:
        An Array, or a ChunkedArray with the same chunks; of large_list if a chunk has 2^31 ids or more. Null rows stay null.
    """
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    encoded = [_encode_chunk(encoder, chunk, num_threads) for chunk in chunks]
    large = any(len(chunk.values) > LIST_LIMIT for chunk in encoded)
    list_type = pa.large_list(pa.uint32()) if large else pa.list_(pa.uint32())
    encoded = [chunk.cast(list_type) for chunk in encoded]
    return pa.chunked_array(encoded, list_type) if isinstance(column, pa.ChunkedArray) else encoded[0]


def _encode_chunk(encoder: _core.Encoder, chunk: Any, num_threads: int) -> Any:
    """Encode one Array of any text type as a LargeListArray."""
    import pyarrow as pa
    from pyarrow import compute

    if not isinstance(chunk, pa.Array):
        raise TypeError(f"expected an Arrow Array or ChunkedArray, got {type(chunk).__name__}")
    if pa.types.is_dictionary(chunk.type):
        # Encode each dictionary entry once, however many rows refer to it.
        return _encode_chunk(encoder, chunk.dictionary, num_threads).take(chunk.indices)
    nulls = chunk.is_null()
    if pa.types.is_string_view(chunk.type):
        chunk = chunk.cast(pa.large_string())
    elif pa.types.is_binary_view(chunk.type) or pa.types.is_fixed_size_binary(chunk.type):
        chunk = chunk.cast(pa.large_binary())
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_null,
    )
    if not any(is_kind(chunk.type) for is_kind in kinds):
        raise TypeError(f"expected a column of string or binary, got {chunk.type}: cast it to string first")
    rows = chunk.cast(pa.large_binary()).fill_null(b"")
    _, offsets, data = rows.buffers()
    if len(rows) == 0:
        return pa.array([], pa.large_list(pa.uint32()))
    # For a slice, pass only the text of its own rows.
    bounds = pa.Array.from_buffers(pa.int64(), len(rows) + 1, [None, offsets], offset=rows.offset)
    first, last = bounds[0].as_py(), bounds[-1].as_py()
    bounds = compute.subtract(bounds, first).buffers()[1]
    text = memoryview(data or b"").cast("B")[first:last]
    ids, ends = encoder.encode_rows(text, memoryview(bounds).cast("B").cast("q"), num_threads)
    values = pa.Array.from_buffers(pa.uint32(), len(ids), [None, pa.py_buffer(ids)])
    # All ends are below 2^63, so their uint64 bytes can be read as int64.
    ends = pa.Array.from_buffers(pa.int64(), len(ends), [None, pa.py_buffer(ends)])
    return pa.LargeListArray.from_arrays(ends, values, mask=nulls if nulls.true_count else None)
