"""Documents longer than what is encoded at a time: the same shards, in little memory."""

import gzip
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe.documents import File, Packed, read_documents
from minbpe.errors import CorpusError, PatternError
from minbpe.manifest import Manifest
from minbpe.shards import read_shard, verify, write_shards
from tests.test_shards import GPT2, SMALL, TEXTS, content, documents_of

GPT4 = minbpe.Encoding.from_vocabulary(
    minbpe.Vocabulary.from_merges(
        [(116, 104), (256, 101), (32, 257)], pattern=minbpe.GPT4_SPLIT_PATTERN, special_tokens={"<|endoftext|>": 300}
    )
)
WHOLE = minbpe.Encoding.from_vocabulary(
    minbpe.Vocabulary.from_merges([(97, 97), (256, 98)], pattern=None, special_tokens={"<|endoftext|>": 300})
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    BACKTRACKING = minbpe.Encoding.from_vocabulary(
        minbpe.Vocabulary.from_merges([(97, 97)], pattern=r"(?<=a)b+|a+|[^ab]", special_tokens={"<|endoftext|>": 300})
    )
PIECES = st.sampled_from(
    [b"a", b"b", b" ", b"\n", b"12", "\u00e9".encode(), "\U0001f44d".encode(), b"\xf0\x9f", b"\xff", b"the "]
)


@pytest.mark.parametrize("encoding", [GPT4, SMALL, WHOLE, BACKTRACKING])
@given(documents=st.lists(st.lists(PIECES, max_size=40).map(b"".join), max_size=4), stretch=st.integers(1, 20))
def test_a_document_has_the_ids_that_it_has_as_a_whole(
    encoding: minbpe.Encoding, documents: list[bytes], stretch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("shards")
    written: list[int] = []
    checked: list[int] = []
    with patch("minbpe.batches.BATCH_BYTES", stretch), patch("minbpe.shards.DECODED", 3):
        manifest = write_shards(
            documents, encoding, directory, end_of_text="none", tokens_per_shard=30, threads=1, progress=written.append
        )
        assert documents_of(directory) == [encoding.encode_bytes(document) for document in documents]
        assert verify(directory, progress=checked.append) == manifest
    for told in (written, checked):
        assert told == sorted(told)
        assert max(told, default=0) == sum(map(len, documents))


def test_a_long_file_is_one_document_that_is_not_read_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_bytes(text.encode())
    write_shards(TEXTS, GPT2, tmp_path / "texts", tokens_per_shard=20)
    write_shards(paths, GPT2, tmp_path / "paths", tokens_per_shard=20)
    for module in ("documents", "shards"):
        monkeypatch.setattr(f"minbpe.{module}.LONG", 8)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 4)
    monkeypatch.setattr("minbpe.shard_file.READ", 3)
    assert [type(document) for document in read_documents(paths)] == [File, bytes, File, File, File, bytes]
    write_shards(read_documents(paths), GPT2, tmp_path / "files", tokens_per_shard=20)
    write_shards(paths, GPT2, tmp_path / "long paths", tokens_per_shard=20, threads=3)
    assert content(tmp_path / "texts") == content(tmp_path / "paths") == content(tmp_path / "files")
    assert content(tmp_path / "texts") == content(tmp_path / "long paths")
    # A second run looks for the same documents, and finds them.
    assert write_shards(paths, GPT2, tmp_path / "files", tokens_per_shard=20).complete


def test_a_file_is_as_long_as_it_was_found_and_one_that_shrinks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a rose is a rose is a rose")
    write_shards([File(path, 6)], GPT2, tmp_path / "first")
    write_shards(["a rose"], GPT2, tmp_path / "same")
    assert content(tmp_path / "first") == content(tmp_path / "same")
    with pytest.raises(CorpusError, match="log has become shorter while it was read: try again"):
        write_shards([File(path, 100)], GPT2, tmp_path / "shorter")
    assert not [path for path in (tmp_path / "shorter").iterdir() if path.suffix in {".bin", ".idx", ".tmp"}]


def test_a_long_compressed_text_is_unpacked_as_it_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 4)
    monkeypatch.setattr("minbpe.shard_file.READ", 3)
    paths = [tmp_path / f"{number}.txt.gz" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        # Archives may be concatenated.
        path.write_bytes(gzip.compress(text.encode()[:5]) + gzip.compress(text.encode()[5:]))
    kinds = [type(document) for document in read_documents(paths)]
    assert kinds == [Packed, bytes, Packed, Packed, Packed, bytes]
    told: list[int] = []
    write_shards(TEXTS, GPT2, tmp_path / "texts", tokens_per_shard=20)
    for _ in range(2):
        write_shards(read_documents(paths, progress=told.append), GPT2, tmp_path / "packed", tokens_per_shard=20)
        assert content(tmp_path / "texts") == content(tmp_path / "packed")
        # Each is read twice, for its ids and for its hash, but the reported progress never falls.
        assert told == sorted(told)
        assert told[-1] == sum(path.stat().st_size for path in paths)
        told.clear()


@pytest.mark.skipif(os.name != "posix", reason="pipes have names as on POSIX")
@pytest.mark.parametrize("how", [list, read_documents])
def test_what_comes_through_a_pipe_has_the_shards_of_a_file_and_leaves_nothing_else(
    how: Callable[[Any], Any],
    through_pipe: Callable[[bytes, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 4)
    write_shards(TEXTS, GPT2, tmp_path / "texts", tokens_per_shard=20)
    for run in range(2):
        paths = [through_pipe(text.encode(), f"pipe {run} {number}") for number, text in enumerate(TEXTS)]
        write_shards(how(paths), GPT2, tmp_path / "piped", tokens_per_shard=20)
        assert content(tmp_path / "texts") == content(tmp_path / "piped")
    others = [through_pipe(text.encode(), f"other {number}") for number, text in enumerate(["no rose at all", *TEXTS])]
    with pytest.raises(CorpusError, match="was made of other documents"):
        write_shards(how(others), GPT2, tmp_path / "piped", tokens_per_shard=20)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_archive_leaves_only_the_shards_before_it(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 4)
    whole = gzip.compress(bytes(range(256)) * 400, 0)
    wrong = whole[:-9] if damage == "cut" else whole[:-9] + b"?" + whole[-8:]
    for name, data in (("a.gz", whole), ("b.gz", wrong)):
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / "a.gz", tmp_path / "b.gz"]
    with pytest.raises(CorpusError, match=r"b\.gz: damaged or truncated gzip data"):
        write_shards(read_documents(files), GPT2, tmp_path / "shards", tokens_per_shard=10)
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        "manifest.json",
        "train_000000.bin",
        "train_000000.idx",
        "vocabulary.model",
        "vocabulary.vocab",
    ]


def test_a_document_of_more_ids_than_a_shard_can_hold_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbpe.shard_file.LARGEST", 7)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", 4)
    with pytest.raises(
        CorpusError, match="more ids than a shard can hold, which are 7: cut it first, or give it as lines"
    ):
        write_shards(["one", "one two three four five six seven eight"], GPT2, tmp_path, tokens_per_shard=3)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in {".bin", ".idx", ".tmp"}) == [
        "train_000000.bin",
        "train_000000.idx",
    ]
    assert read_shard(tmp_path / "train_000000.bin").ids.tolist() == [505, 50256]


PEAKS = """
import re, sys
from minbpe import cli
for arguments in ([sys.argv[1], "-t", "gpt2", "--out", sys.argv[2], "--threads", "2"], ["--verify", sys.argv[2]]):
    cli.main(["shard", *arguments])
    print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_a_document_takes_no_more_memory_than_its_stretches(tmp_path: Path) -> None:
    def peaks(name: str, megabytes: int) -> list[int]:
        file = tmp_path / name
        text = b"".join(b"%d roses are red\n" % number for number in range(50_000))[: 1 << 20] * megabytes
        file.write_bytes(gzip.compress(text, 1) if name.endswith(".gz") else text)
        source = "/dev/stdin" if name.endswith(".pipe") else str(file)
        run = [sys.executable, "-c", PEAKS, source, str(tmp_path / f"{name}.shards")]
        with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as cat:
            lines = subprocess.run(
                run, stdin=cat.stdout, capture_output=True, text=True, check=True
            ).stdout.splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith("peak")]

    for ending in ("", ".gz", ".pipe"):
        short, long = peaks(f"short{ending}", 20), peaks(f"long{ending}", 140)
        assert long[0] - short[0] < 30_000
        # The shard itself, 100 MB more, is mapped while it is verified.
        assert long[1] - short[1] < 180_000


@pytest.mark.parametrize("most", [8, 1 << 21])
@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
def test_an_error_says_on_which_document_the_slow_engine_gave_up(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", most)
    vocabulary = minbpe.Vocabulary.from_merges((), pattern=r"(a|aa)+\1b|(?s:.)")
    encoding = minbpe.Encoding.from_vocabulary(vocabulary)
    documents = [b"x" * 20, b"y", b"a" * 5000]
    with pytest.raises(PatternError, match=r"^document 3: .* gave up on the text after byte 0"):
        write_shards(documents, encoding, tmp_path, tokens_per_shard=20, end_of_text="none")
    assert [shard.documents for shard in Manifest.load(tmp_path).shards] == [1]
