"""Files that are damaged, forged or simply something else: an error names the file, and no more memory is used than it takes."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minbpe
from minbpe.cli import main
from minbpe.compressed import damage_named
from minbpe.documents import read_documents
from minbpe.errors import CorpusError, FormatError
from minbpe.formats.model import load_model
from minbpe.load import load_tiktoken_bpe
from minbpe.manifest import Manifest, _checksum
from minbpe.shards import read_shard, write_shards
from tests.test_cli import error

TEXTS = ["a rose", "is a rose", "Würde", "a rose", "is"]


@pytest.fixture
def table() -> bytes:
    """A parquet file, the pages of which have no checksums unless asked for."""
    return _parquet()


def _parquet(**options: Any) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads parquet, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    written = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": TEXTS}), written, **options)
    return written.getvalue()


def _documents_or_error(path: Path) -> int:
    """Return how many documents a file has; an error names it."""
    try:
        return len([*read_documents([path])])
    except CorpusError as error:
        assert str(path) in str(error)
        return len(TEXTS)


def test_damaged_parquet_is_named_and_never_loses_a_row(table: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for place in range(0, len(table), 3):
        for damaged in (
            table[:place],
            *(table[:place] + bytes([table[place] ^ bits]) + table[place + 1 :] for bits in (1, 255)),
        ):
            path.write_bytes(damaged)
            assert _documents_or_error(path) == len(TEXTS)


def test_checksums_of_parquet_pages_are_checked(tmp_path: Path) -> None:
    whole = _parquet(write_page_checksum=True, compression="none", use_dictionary=False)
    at = whole.index(b"\0a rose") + 3
    (tmp_path / "a.parquet").write_bytes(whole[:at] + b"n" + whole[at + 1 :])
    with pytest.raises(CorpusError, match=r"a\.parquet: damaged .* CRC"):
        [*read_documents([tmp_path / "a.parquet"])]


def test_parquet_is_read_through_a_pipe(table: bytes, through_pipe: Callable[[bytes, str], Path]) -> None:
    assert [*read_documents([through_pipe(table, "a.parquet")])] == TEXTS


def test_an_error_about_fields_names_some_of_many_and_part_of_each(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({f"{number}" * 1000: 1 for number in range(10, 50)}))
    with pytest.raises(CorpusError, match="and 28 more") as caught:
        [*read_documents([tmp_path / "a.jsonl"])]
    assert len(str(caught.value)) < 2000


def test_a_line_that_memory_does_not_hold_is_of_a_file() -> None:
    with pytest.raises(MemoryError, match=r"a\.jsonl: a line or a record in it"), damage_named(Path("a.jsonl")):
        raise MemoryError


def test_what_is_no_model_is_not_read_to_its_end(tmp_path: Path) -> None:
    long = tmp_path / "corpus.txt"
    with long.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match=r"corpus\.txt, line 1: expected 'minbpe v2'"):
        load_model(long)


def test_a_long_line_in_a_tiktoken_file_is_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "odd.tiktoken").write_bytes(b"YQ== 0\n" + b"x" * 100_000)
    with pytest.raises(FormatError, match=r"odd\.tiktoken:2: b'x+'\.\.\. is no token") as caught:
        load_tiktoken_bpe(tmp_path / "odd.tiktoken")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("size", [1, 7, 9])
def test_an_index_that_is_cut_is_told(size: int, tmp_path: Path) -> None:
    write_shards(["a rose"], minbpe.get_encoding("gpt2"), tmp_path)
    (tmp_path / "train_000000.idx").write_bytes(bytes(size))
    with pytest.raises(FormatError, match=rf"its size, {size} bytes?, is no multiple of 8; the command that wrote it"):
        read_shard(tmp_path / "train_000000.bin")


def test_a_manifest_that_describes_no_shards_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write_shards(TEXTS, minbpe.get_encoding("gpt2"), tmp_path)
    path = tmp_path / "manifest.json"
    sound = json.loads(path.read_bytes())
    del sound["checksum"]
    shard, options = sound["shards"][0], sound["options"]
    forged = [{name: value for name, value in sound.items() if name != left_out} for left_out in sound]
    forged += [{**sound, "more": 1}, {**sound, "shards": 5}, {**sound, "shards": [5]}, {**sound, "options": []}]
    forged += [{**sound, "shards": [{**shard, name: value}]} for name in shard for value in (None, -1, 1 << 70, [])]
    forged += [{**sound, "options": {**options, "end_of_text": value}} for value in (None, -1, [])]
    refused = 0
    for content in forged:
        path.write_text(json.dumps({**content, "checksum": _checksum(content)}))
        try:
            Manifest.load(tmp_path)
        except FormatError as error:
            refused += 1
            assert re.search(r"manifest\.json (does not describe shards: remove it|has schema None)", str(error))
    assert refused == len(forged) - 1, "only `complete` has a default"


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"schema": 1e999}', b"\xff\xfe", b"null", b""])
def test_a_manifest_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(FormatError, match=r"manifest\.json (is damaged|was changed): remove it"):
        Manifest.load(tmp_path)


def test_a_file_where_a_directory_of_shards_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match=r"file holds no manifest\.json: it is not a directory that"):
        Manifest.load(tmp_path / "file")


def test_what_would_distort_a_terminal_is_shown_escaped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"\\u001b[31m": 1}')
    told = error(capfd, 1, "count", tmp_path / "a.jsonl", "--out", tmp_path / "out")
    assert "the record has: \\u001b[31m)" in told
    special = {"\x1b[31m": 256}
    minbpe.Vocabulary.from_merges([], pattern="(?x)a\n|b", special_tokens=special).save(tmp_path / "odd")
    assert main(["inspect", str(tmp_path / "odd.model")]) == 0
    shown = capfd.readouterr().out
    assert "\\u001b[31m 256" in shown
    assert "(?x)a\\u000a|b" in shown
