"""Compressed files are read like uncompressed ones, and damage to them is reported."""

import bz2
import gzip
import io
import json
import lzma
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

import minbpe
from minbpe.cli import main
from minbpe.compressed import FORMATS
from minbpe.documents import Packed, read_documents
from minbpe.errors import CorpusError
from minbpe.shards import write_shards

Pack = Callable[[bytes], bytes]


def pack_zstd(data: bytes) -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads .zst, is not installed")
    packed: bytes = pyarrow.compress(data, codec="zstd", asbytes=True)
    return packed


PACK: dict[str, Pack] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": pack_zstd}
every_format = pytest.mark.parametrize("ending", PACK)


def test_every_format_is_tried() -> None:
    assert PACK.keys() == FORMATS.keys()


@every_format
def test_documents_are_those_of_the_plain_files(ending: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = io.BytesIO()
    parquet.write_table(pyarrow.table({"text": ["seven", "eight"]}), table)
    plain = {"a.txt": b"one\r\n\xff", "b.jsonl": b'{"text": "two"}\n{"text": "three"}', "c.parquet": table.getvalue()}
    for name, data in plain.items():
        (tmp_path / f"{name}{ending}").write_bytes(PACK[ending](data))
    files = sorted(tmp_path.iterdir())
    told: list[int] = []
    documents = [*read_documents(files, progress=told.append)]
    assert documents == [b"one\r\n\xff", "two", "three", "seven", "eight"]
    assert told == sorted(told)
    assert told[-1] == sum(file.stat().st_size for file in files)


@every_format
def test_parts_that_were_packed_one_after_the_other_are_one_document(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").with_suffix(ending).write_bytes(PACK[ending](b"a rose ") + PACK[ending](b"is a rose"))
    files = [*tmp_path.iterdir()]
    assert [*read_documents(files)] == [b"a rose is a rose"]
    assert [*read_documents(files, lines=True)] == [b"a rose is a rose"]
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    [document] = read_documents(files)
    assert isinstance(document, Packed)
    assert document.size == 16
    assert [*document.parts(10)] == [b"a rose is ", b"a rose"]


DAMAGE: dict[str, Pack] = {
    "cut": lambda whole: whole[:-9],
    "none of it": lambda whole: b"not packed at all",
    "more after it": lambda whole: whole + b"?" * 40,
    "more inside": lambda whole: whole + b"?" * 40 + whole,
    "cut to nothing": lambda whole: b"",
    "half of a part after it": lambda whole: whole + whole[: len(whole) // 2],
}


@pytest.mark.parametrize(("ending", "damage"), [*product(PACK, DAMAGE)])
def test_damage_is_named(ending: str, damage: str, tmp_path: Path) -> None:
    path = (tmp_path / "text").with_suffix(ending)
    path.write_bytes(DAMAGE[damage](PACK[ending](bytes(range(256)) * 40)))
    with pytest.raises(CorpusError, match=f"text{ending}: damaged or truncated {FORMATS[ending]} data"):
        [*read_documents([path])]


@pytest.mark.parametrize("ending", [".bz2", ".xz"])
def test_damage_of_a_later_part_is_found_wherever_it_is(ending: str, tmp_path: Path) -> None:
    path = (tmp_path / "text").with_suffix(ending)
    first, second = PACK[ending](b"a rose "), PACK[ending](b"is a rose")
    places = [*product(range(len(second)), range(8))]
    found = 0
    for at, bit in places:
        damaged = bytearray(first + second)
        damaged[len(first) + at] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            # Some bits do not matter, such as those of a block's size.
            assert [*read_documents([path])] == [b"a rose is a rose"]
        except CorpusError as error:
            assert "damaged or truncated" in str(error)
            found += 1
    assert found > 0.9 * len(places)


@pytest.mark.parametrize("zeros", [4, 8, 20_000])
def test_xz_may_be_padded_between_and_after_its_parts(zeros: int, tmp_path: Path) -> None:
    path = tmp_path / "text.xz"
    path.write_bytes(b"".join(lzma.compress(text) + bytes(zeros) for text in (b"a rose ", b"", b"is a rose")))
    assert [*read_documents([path])] == [b"a rose is a rose"]
    path.write_bytes(lzma.compress(b"a rose") + bytes(zeros + 1) + lzma.compress(b"is a rose"))
    with pytest.raises(CorpusError, match=rf"text\.xz: damaged .* \({zeros + 1} zeros follow a member"):
        [*read_documents([path])]


def test_an_error_of_the_system_stays_what_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "text.xz"
    directory.mkdir()
    with pytest.raises(IsADirectoryError):
        [*read_documents([directory])]


@pytest.mark.parametrize(
    ("ending", "module", "way_out"),
    [
        (".zst", "pyarrow", r'reading \.zst needs pyarrow: pip install "minbpe\[data\]"'),
        (".bz2", "bz2", r"reading \.bz2 needs bz2: unpack it first"),
    ],
)
def test_what_reads_a_format_may_be_missing(
    ending: str, module: str, way_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (tmp_path / "text").with_suffix(ending)
    path.write_bytes(PACK[ending](b"text"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CorpusError, match=way_out):
        [*read_documents([path])]


@every_format
def test_the_commands_take_compressed_records(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = ["the rose", "the thorn", "the other rose"]
    records = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    Path(f"texts.jsonl{ending}").write_bytes(PACK[ending](records.encode()))
    assert main(["train", f"texts.jsonl{ending}", "--size", "262", "--out", "mine", "--json"]) == 0
    assert minbpe.Vocabulary.load("mine.model").merges == minbpe.train(texts, 261).merges
    Path("texts.jsonl").write_text(records)
    for source, out in ((f"texts.jsonl{ending}", "packed"), ("texts.jsonl", "plain")):
        assert main(["shard", source, "--tokenizer", "mine.model", "--out", out]) == 0
    [packed], [plain] = Path("packed").glob("*.bin"), Path("plain").glob("*.bin")
    assert packed.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(
    "name", ["z.txt.gz", "z.bz2", "z.xz", "z.zst", "z.jsonl", "z.ndjson", "z.jsonl.gz", "z.parquet"]
)
def test_a_path_to_what_is_no_plain_text_is_refused_with_what_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"{}")
    (tmp_path / "plain").write_bytes(b"text")
    encoding = minbpe.get_encoding("gpt2")
    calls: list[Callable[[], object]] = [
        lambda: minbpe.train(path, 260),
        lambda: minbpe.count([tmp_path / "plain", path]),
        lambda: minbpe.count(iter([path])),
        lambda: minbpe.extend(encoding.vocabulary, path, 1),
        lambda: minbpe.count_to_file(path, tmp_path / "out"),
        lambda: write_shards([path], encoding, tmp_path / "out"),
    ]
    for call in calls:
        with pytest.raises(
            CorpusError, match=rf"{name} is a \{path.suffix} file, .* give minbpe\.read_documents\(\[Path\('"
        ):
            call()


def test_the_way_out_of_a_refused_path_is_to_read_its_documents(tmp_path: Path) -> None:
    path = tmp_path / "z.txt.gz"
    path.write_bytes(gzip.compress(b"a rose is a rose"))
    assert minbpe.train(minbpe.read_documents([path]), 260) == minbpe.train("a rose is a rose", 260)
    assert minbpe.count(path.read_bytes()).documents == 1


def test_a_pipe_whose_name_says_that_it_is_compressed_is_refused(through_pipe: Callable[[bytes, str], Path]) -> None:
    with pytest.raises(CorpusError, match=r"text\.gz is a \.gz file"):
        minbpe.count(through_pipe(b"text", "text.gz"))
