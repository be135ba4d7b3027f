"""Shards can be read by llm.c, are a pure function of their input, and survive interruption; damage to them is found."""

import gzip
import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe.documents import find_files, read_documents
from minbpe.errors import CorpusError, FormatError, SpecialTokenError
from minbpe.manifest import Manifest
from minbpe.shards import read_shard, verify, write_shards

GPT2 = minbpe.get_encoding("gpt2")
SMALL = minbpe.Encoding.from_vocabulary(
    minbpe.Vocabulary.from_merges([(104, 101), (256, 108)], pattern=r"\w+", special_tokens={"<|endoftext|>": 300})
)
TEXTS = ["hello world", "", "été 👍\r\n", "<|endoftext|> is plain text here", "x" * 50, "the end"]
LIMIT = 20


def content(directory: Path) -> dict[str, bytes]:
    """The content of each file in a directory, by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def documents_of(directory: Path) -> list[list[int]]:
    """The ids of each document, as a reader of the files would find them."""
    documents = []
    for shard in Manifest.load(directory).shards:
        ids, ends = read_shard(directory / shard.file)
        assert ends is not None
        starts = [0, *ends[:-1].tolist()]
        documents += [ids[start:end].tolist() for start, end in zip(starts, ends.tolist(), strict=True)]
    return documents


def test_a_shard_begins_with_llm_c_s_header(tmp_path: Path) -> None:
    write_shards(["hello world"], GPT2, tmp_path)
    data = (tmp_path / "train_000000.bin").read_bytes()
    assert data == struct.pack("<256i", 20240520, 1, 3, *[0] * 253) + struct.pack("<3H", 31373, 995, 50256)
    assert (tmp_path / "train_000000.idx").read_bytes() == struct.pack("<Q", 3)


def test_a_vocabulary_past_65536_ids_makes_shards_of_uint32(tmp_path: Path) -> None:
    write_shards(["hello world"], minbpe.get_encoding("cl100k_base"), tmp_path)
    data = (tmp_path / "train_000000.bin").read_bytes()
    assert data == struct.pack("<256i", 20240801, 7, 3, *[0] * 253) + struct.pack("<3I", 15339, 1917, 100257)


@pytest.mark.parametrize(
    ("end_of_text", "before", "after"), [("append", [], [50256]), ("prepend", [50256], []), ("none", [], [])]
)
def test_documents_are_parted_as_asked(end_of_text: str, before: list[int], after: list[int], tmp_path: Path) -> None:
    manifest = write_shards(TEXTS, GPT2, tmp_path, end_of_text=end_of_text, tokens_per_shard=LIMIT)  # type: ignore[arg-type]
    assert documents_of(tmp_path) == [before + GPT2.encode_ordinary(text) + after for text in TEXTS]
    assert verify(tmp_path) == manifest


def test_no_document_is_cut_and_only_a_longer_one_passes_the_limit(tmp_path: Path) -> None:
    manifest = write_shards(TEXTS, GPT2, tmp_path, tokens_per_shard=LIMIT)
    assert len(manifest.shards) > 1
    assert all(shard.tokens <= LIMIT or shard.documents == 1 for shard in manifest.shards)
    assert manifest.documents == len(TEXTS)
    assert manifest.bytes == sum(len(text.encode()) for text in TEXTS)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_files_do_not_depend_on_threads_or_batches(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(TEXTS, GPT2, tmp_path / "one", tokens_per_shard=LIMIT)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 10)
    write_shards(TEXTS, GPT2, tmp_path / "two", tokens_per_shard=LIMIT, threads=threads)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@given(documents=st.lists(st.text() | st.binary(max_size=30), max_size=8), limit=st.integers(1, 40))
def test_any_documents_survive(
    documents: list[str | bytes], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("shards")
    manifest = write_shards(documents, SMALL, directory, tokens_per_shard=limit)
    assert verify(directory) == manifest
    assert manifest.documents == len(documents)


@given(
    documents=st.lists(st.text("hello ", max_size=12), max_size=12),
    limit=st.integers(1, 40),
    around=st.sampled_from([("append", [], [300]), ("prepend", [300], []), ("none", [], [])]),
    batch=st.sampled_from([1, 8, 1 << 20]),
    threads=st.sampled_from([1, 3]),
)
def test_documents_are_placed_as_if_one_came_after_the_other(
    documents: list[str],
    limit: int,
    around: tuple[Literal["append", "prepend", "none"], list[int], list[int]],
    batch: int,
    threads: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory, (end_of_text, before, after) = tmp_path_factory.mktemp("shards"), around
    expected: list[list[list[int]]] = []
    size = limit + 1
    for document in documents:
        ids = before + SMALL.encode_ordinary(document) + after
        if size and size + len(ids) > limit:
            expected.append([])
            size = 0
        expected[-1].append(ids)
        size += len(ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minbpe.batches.BATCH_BYTES", batch)
        manifest = write_shards(
            documents, SMALL, directory, tokens_per_shard=limit, end_of_text=end_of_text, threads=threads
        )
    assert documents_of(directory) == [ids for shard in expected for ids in shard]
    assert [shard.documents for shard in manifest.shards] == [len(shard) for shard in expected]
    assert verify(directory) == manifest


def test_bytes_that_are_not_utf8_survive_and_lone_surrogates_become_u_fffd(tmp_path: Path) -> None:
    write_shards([b"caf\xe9", "a\ud83d"], GPT2, tmp_path, end_of_text="none")
    assert [GPT2.decode_bytes(ids) for ids in documents_of(tmp_path)] == [b"caf\xe9", "a\ufffd".encode()]
    verify(tmp_path)


def test_an_interrupted_run_goes_on_to_the_same_files(tmp_path: Path) -> None:
    def interrupted() -> Iterator[str]:
        yield from TEXTS[:4]
        raise KeyboardInterrupt

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    write_shards(TEXTS, GPT2, whole, tokens_per_shard=3)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("minbpe.batches.BATCH_BYTES", 1)
        write_shards(interrupted(), GPT2, parts, tokens_per_shard=3)
    assert 0 < len(Manifest.load(parts).shards) < len(TEXTS)
    assert not list(parts.glob("*.tmp"))
    with pytest.raises(FormatError, match="did not come to its end"):
        verify(parts)
    kept = (parts / "train_000000.bin").stat().st_ino
    write_shards(TEXTS, GPT2, parts, tokens_per_shard=3)
    assert content(whole) == content(parts)
    assert (parts / "train_000000.bin").stat().st_ino == kept, "what stood was written again"


def test_a_second_run_repairs_a_damaged_shard(tmp_path: Path) -> None:
    write_shards(TEXTS, GPT2, tmp_path, tokens_per_shard=LIMIT)
    sound = content(tmp_path)
    (tmp_path / "train_000001.bin").unlink()
    write_shards(TEXTS, GPT2, tmp_path, tokens_per_shard=LIMIT)
    assert content(tmp_path) == sound


@pytest.mark.parametrize("documents", [["other"], TEXTS[:-1], [*TEXTS, "more"]])
def test_shards_of_other_documents_are_not_mixed_in(documents: list[str], tmp_path: Path) -> None:
    write_shards(TEXTS, GPT2, tmp_path)
    with pytest.raises(CorpusError, match="empty directory"):
        write_shards(documents, GPT2, tmp_path)


def test_shards_of_another_vocabulary_or_other_options_are_not_mixed_in(tmp_path: Path) -> None:
    write_shards(TEXTS, GPT2, tmp_path)
    with pytest.raises(FormatError, match="another vocabulary"):
        write_shards(TEXTS, minbpe.get_encoding("cl100k_base"), tmp_path)
    with pytest.raises(FormatError, match="other options"):
        write_shards(TEXTS, GPT2, tmp_path, end_of_text="none")


def test_a_vocabulary_without_the_end_of_text_token_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SpecialTokenError, match="end_of_text='none'"):
        write_shards(TEXTS, GPT2, tmp_path, end_of_text_token="</s>")


def test_a_size_that_the_header_cannot_hold_is_refused(tmp_path: Path) -> None:
    for size in (0, 2**31):
        with pytest.raises(CorpusError, match="tokens_per_shard"):
            write_shards(TEXTS, GPT2, tmp_path, tokens_per_shard=size)


def test_no_documents_make_no_shards(tmp_path: Path) -> None:
    assert write_shards([], GPT2, tmp_path).shards == ()
    assert verify(tmp_path).complete


def test_the_first_shard_is_for_validation_if_asked(tmp_path: Path) -> None:
    manifest = write_shards(TEXTS, GPT2, tmp_path, tokens_per_shard=LIMIT, validation=True)
    assert [shard.file for shard in manifest.shards][:2] == ["val_000000.bin", "train_000001.bin"]


@pytest.mark.parametrize("name", ["train_000000.bin", "train_000000.idx", "vocabulary.model", "manifest.json"])
def test_verify_finds_every_changed_byte(name: str, tmp_path: Path) -> None:
    write_shards(["hello world"], GPT2, tmp_path)
    path = tmp_path / name
    sound = path.read_bytes()
    for place in {0, *range(5, len(sound), max(1, len(sound) // 20)), len(sound) - 2}:
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises(FormatError):
            verify(tmp_path)


def test_verify_finds_ids_that_do_not_decode_to_the_documents(tmp_path: Path) -> None:
    write_shards(["hello world"], GPT2, tmp_path)
    (tmp_path / "wrong").mkdir()
    write_shards(["hello there"], GPT2, tmp_path / "wrong")
    wrong = Manifest.load(tmp_path / "wrong")
    claimed = replace(wrong.shards[0], source_sha256=Manifest.load(tmp_path).shards[0].source_sha256)
    replace(wrong, shards=(claimed,)).save(tmp_path / "wrong")
    with pytest.raises(FormatError, match="does not decode"):
        verify(tmp_path / "wrong")


@pytest.mark.parametrize(
    "data", [b"", b"short", struct.pack("<256i", 1, 2, 3, *[0] * 253), struct.pack("<256i", 20240520, 1, 9, *[0] * 253)]
)
def test_a_file_that_is_no_shard_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(FormatError):
        read_shard(tmp_path / "x.bin")


def test_a_shard_of_llm_c_itself_is_read_without_an_index(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(struct.pack("<256i", 20240520, 1, 2, *[0] * 253) + struct.pack("<2H", 1, 65535))
    ids, ends = read_shard(tmp_path / "x.bin")
    assert (ids.tolist(), ends) == ([1, 65535], None)


def test_files_are_found_in_the_same_order_everywhere(tmp_path: Path) -> None:
    for name in ("b.py", "a.txt", "d/c.py", "d/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path], glob="*.py")]
    assert found == ["b.py", "d/a.py", "d/c.py"]
    assert find_files([tmp_path / "a.txt", tmp_path / "d"], glob="c.*") == [tmp_path / "a.txt", tmp_path / "d/c.py"]
    with pytest.raises(CorpusError, match="no file matches"):
        find_files([tmp_path], glob="*.rs")
    with pytest.raises(CorpusError, match="no such file"):
        find_files([tmp_path / "none"])


def test_documents_come_out_of_text_lines_jsonl_parquet_and_gzip(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, which reads parquet, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\xff\n")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n\n{"text": "four", "n": 1}\n')
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"text": "five"}'))
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"six"))
    parquet.write_table(pyarrow.table({"text": ["seven", "eight"]}), tmp_path / "e.parquet")
    files = find_files([tmp_path])
    seen: list[int] = []
    documents = list(read_documents(files, progress=seen.append))
    assert documents == [b"one\r\ntwo\xff\n", "three", "four", "five", b"six", "seven", "eight"]
    assert seen == sorted(seen)
    assert seen[-1] == sum(file.stat().st_size for file in files)
    assert list(read_documents(files[:1], lines=True)) == [b"one\r", b"two\xff"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"txt": "y"}', "a.jsonl:2: no text in field 'text'"),
        ("a.jsonl", b"{", "a.jsonl:1: not a line of JSON"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: not a line of JSON"),
        ("a.jsonl", b"[1]", r"""a.jsonl:1: the record is no JSON object, but \[1\]: write {"text": "..."}"""),
        ("a.txt.gz", gzip.compress(b"text" * 100)[:-9], "damaged or truncated gzip"),
        ("a.txt.gz", b"no gzip", "damaged or truncated gzip"),
        ("a.parquet", b"no parquet", "a.parquet"),
    ],
)
def test_a_damaged_source_is_named(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        list(read_documents([tmp_path / name]))


def test_a_field_that_is_there_and_no_text_is_named_with_its_type(tmp_path: Path) -> None:
    for value, what in (("null", "null"), ("5", "of type int")):
        (tmp_path / "a.jsonl").write_text(f'{{"text": "x"}}\n{{"text": {value}, "id": 1}}')
        with pytest.raises(CorpusError, match=rf"a\.jsonl:2: field 'text' is {what}, not text"):
            list(read_documents([tmp_path / "a.jsonl"]))


@pytest.mark.parametrize("glob", ["/abs", "**.txt"])
def test_a_pattern_of_names_that_is_none_is_an_error_that_says_what_to_write(glob: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    if glob == "**.txt" and sys.version_info >= (3, 13):
        assert find_files([tmp_path], glob=glob) == [tmp_path / "a.txt"]
        return
    with pytest.raises(CorpusError, match=rf"the pattern '{re.escape(glob)}' is refused \(.+\): write a name such as"):
        find_files([tmp_path], glob=glob)


@pytest.mark.parametrize("single", ["a text", b"a text", Path("a.txt")])
def test_a_single_document_is_refused_for_its_letters_would_be_documents(
    single: str | bytes | Path, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=r"this is a single one of type .*: write \[document\]"):
        write_shards(single, GPT2, tmp_path)  # type: ignore[arg-type]
    assert content(tmp_path) == {}


def test_what_is_no_encoding_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    for wrong in ("gpt2", GPT2.vocabulary):
        with pytest.raises(TypeError, match=r"write_shards takes an Encoding, .* give minbpe\.get_encoding"):
            write_shards(["a text"], wrong, tmp_path)  # type: ignore[arg-type]
    assert content(tmp_path) == {}
