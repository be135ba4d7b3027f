"""Records: a line of jsonl is read as `json.loads` reads its bytes, and a row of parquet as Arrow holds it, one by one."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minbpe.documents import STEP, read_documents
from minbpe.errors import CorpusError

VALUES = st.sampled_from(
    [
        *('"rose"', '""', r'"\ud83d"', r'"\ud83d\ude00"', '"\u00e9 \u4e2d \U0001f600"', '"\ufeff"', r'"\u0000"'),
        *(
            '"\0"',
            '"\t"',
            r'"\x"',
            '"cut',
            "'a'",
            "null",
            "true",
            "-0",
            "1e400",
            "NaN",
            "1" * 5000,
            "[1]",
            "{}",
            "[1,]",
        ),
    ]
)
RECORDS = st.builds('{{"text": {}}}'.format, VALUES) | st.builds('{{"n":{},"text":{}}}'.format, VALUES, VALUES)
AROUND = st.sampled_from(
    ["", "", "", " ", "\t \r", "\v", "\f", "\x1c", "\x85", "\u3000", "\ufeff", "\0", "x", "{}", ","]
)
ENCODINGS = st.sampled_from(
    ["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "latin-1"]
)


def encoded(before: str, record: str, after: str, encoding: str) -> bytes:
    """The bytes of a line, in UTF-8 if its encoding lacks a character."""
    try:
        return f"{before}{record}{after}".encode(encoding)
    except UnicodeEncodeError:
        return f"{before}{record}{after}".encode()


LINES = (
    st.builds(encoded, AROUND, RECORDS | VALUES, AROUND, ENCODINGS)
    | st.just(b'{"text": "a rose"}')
    | st.sampled_from([b'"\xff"', b'{"text": "\xed\xa0\xbd"}', b"\xef\xbb\xbf", b"1\0", b"\0", b"[" * 5000])
    | st.binary(max_size=6)
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b" \n", b"\v\n", b"\n\n", b"\r", b""])


def outcome(texts: Iterator[Any]) -> tuple[list[str], str | None]:
    """The texts that come, and the message of the error that ends them."""
    came: list[str] = []
    try:
        came.extend(texts)
    except CorpusError as error:
        return came, str(error)
    return came, None


def as_json_loads(path: Path, data: bytes) -> Iterator[str]:
    """The texts of `data` by the plainest code there is."""
    for number, line in enumerate(BytesIO(data), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}:{number}: not a line of JSON ({error})") from error
        if not isinstance(record, dict):
            raise CorpusError(
                f'{path}:{number}: the record is no JSON object, but {json.dumps(record)[:40]}: write {{"text": "..."}}'
            )
        if "text" not in record:
            names = ", ".join(record) or "none"
            raise CorpusError(
                f"{path}:{number}: no text in field 'text' (the record has: {names}); name it with --field"
            )
        text = record["text"]
        if not isinstance(text, str):
            what = "null" if text is None else f"of type {type(text).__name__}"
            raise CorpusError(
                f"{path}:{number}: field 'text' is {what}, not text; leave such records out, or name another with --field"
            )
        yield text


@given(lines=st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=4))
@example(lines=[b'{"text": "\xc3\xa9"}\r\n', b' {"text": "\\ud83d"}\n', b" \x0b\n", b'\xef\xbb\xbf{"text": "a"}'])
@example(lines=['{"text": "a"}'.encode("utf-16")])
@example(lines=[b'{"text": "\xed\xa0\xbd"}\n', b'{"text":\n', b'"a"}'])
@example(lines=[b'{"text": "a"} {}'])
@example(lines=[b"\x1c\n"])
@example(lines=[b'{"text": "a"}\x0b\n'])
def test_lines_are_read_as_json_loads_reads_them(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_bytes(b"".join(lines))
    assert outcome(read_documents([path])) == outcome(as_json_loads(path, path.read_bytes()))  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_record_comes_out_of_a_pipe_before_the_next_is_written(tmp_path: Path) -> None:
    path, came = tmp_path / "a.jsonl", [threading.Event() for _ in range(3)]
    waited = []

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for number, event in enumerate(came):
                pipe.write(b'{"text": "%d"}\n' % number)
                waited.append(event.wait(10))

    os.mkfifo(path)
    writer = threading.Thread(target=write)
    writer.start()
    for text, event in zip(read_documents([path]), came, strict=True):
        assert text == str(came.index(event))
        event.set()
    writer.join()
    assert waited == [True] * 3


def test_a_wrong_record_is_reported_after_the_texts_before_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n\n{"text": "b"}\r\n{"text": "c"\n{"text": "d"}')
    texts = read_documents([tmp_path / "a.jsonl"])
    assert [next(texts), next(texts)] == ["a", "b"]
    with pytest.raises(CorpusError, match=r"a\.jsonl:4: not a line of JSON"):
        next(texts)


def test_progress_is_reported_every_so_many_records_and_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' * (3 * STEP))
    told: list[int] = []
    assert len([*read_documents([tmp_path / "a.jsonl"], progress=told.append)]) == 3 * STEP
    assert told == [14 * (1 + STEP * step) for step in range(3)] + [14 * 3 * STEP]


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns, each given as its name and its array, to a parquet file."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads parquet, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")

    def write_table(*columns: tuple[str, Any]) -> Path:
        names, arrays = zip(*columns, strict=True)
        parquet.write_table(
            pyarrow.Table.from_arrays([*map(pyarrow.array, arrays)], names=names), tmp_path / "a.parquet"
        )
        return tmp_path / "a.parquet"

    return write_table


@pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
def test_a_column_of_any_kind_of_strings_is_text(kind: str, write_table: Callable[..., Path]) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads parquet, is not installed")
    texts = ["a", "\u00e9 \u4e2d \U0001f600", "", "x\0y"] * 700
    type_ = pyarrow.dictionary(pyarrow.int8(), pyarrow.string()) if kind == "dictionary" else getattr(pyarrow, kind)()
    path = write_table(("text", pyarrow.array(texts, type_)), ("n", [*range(len(texts))]))
    assert [*read_documents([path])] == texts
    path = write_table(("text", pyarrow.array(["a", None, "b"], type_)))
    assert outcome(read_documents([path])) == (  # type: ignore[arg-type]
        ["a"],
        f"{path}: field 'text' is null, not text; leave such records out, or name another with --field",
    )


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"a", "of type bytes"),
        (1, "of type int"),
        (["a"], "of type list"),
        ({"text": "a"}, "of type dict"),
        (None, "null"),
    ],
)
def test_a_column_of_another_type_is_named_with_it(value: object, what: str, write_table: Callable[..., Path]) -> None:
    path = write_table(("text", [value]))
    with pytest.raises(CorpusError, match=rf"a\.parquet: field 'text' is {what}, not text"):
        [*read_documents([path])]


def test_a_column_is_found_by_its_whole_name(write_table: Callable[..., Path]) -> None:
    """pyarrow also reads the part `b` of a column `a` where `a.b` is asked for."""
    path = write_table(("a", [{"b": "inner"}]), ("a.b", ["whole"]), ("c", ["other"]))
    assert [*read_documents([path], field="a.b")] == ["whole"]
    path = write_table(("text.list", ["longer"]), ("text", ["a rose"]))
    assert [*read_documents([path])] == ["a rose"]
    path = write_table(("text", ["first"]), ("text", ["last"]))
    assert [*read_documents([path])] == ["last"]
