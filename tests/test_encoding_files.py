"""Files as documents: their ids are those of their bytes, however many threads share them, however they are read."""

import errno
import os
import random
import signal
import sys
import threading
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe.errors import CorpusError

GPT2 = minbpe.get_encoding("gpt2")
STAGED = minbpe.Encoding.from_vocabulary(
    minbpe.train("the end of the end, the very end\n" * 9, 275, stages=[("gpt4", 265), (r"[^\n]*\n+|[^\n]+", 275)])
)
PIECES = st.sampled_from([b"a", b" the", b"\n", b"\xff", b"\xe4\xb8\xad", b"\xed\xa0\x80", b"<|endoftext|>", b"7"])


def contents(seed: int) -> bytes:
    """Some 3 MB of words, numbers, white space and bytes that are not UTF-8."""
    choose = random.Random(seed)
    words = [*"the of and caf\u00e9 \u4e2d\u6587 1234 <|endoftext|>".encode().split(), b"\xff\xfe", b"\r\n", b"  "]
    return b" ".join(choose.choices(words, k=700_000))


def check(encoding: minbpe.Encoding, files: list[Path], expected: list[list[int]]) -> None:
    """The ids and offsets of `files` are the expected ones on any number of threads."""
    for num_threads in (1, 2, 8):
        ids, offsets = encoding.encode_files(files, num_threads=num_threads)
        assert (ids.format, offsets.format) == ("I", "Q")
        assert offsets.tolist() == list(accumulate(map(len, expected), initial=0))
        assert ids.tolist() == [token_id for row in expected for token_id in row]


@pytest.mark.parametrize("encoding", [GPT2, STAGED])
@given(documents=st.lists(st.lists(PIECES, max_size=12).map(b"".join), max_size=6))
def test_the_ids_are_those_of_the_bytes(
    encoding: minbpe.Encoding, documents: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("files")
    files = [directory / f"{number}.txt" for number in range(len(documents))]
    for file, document in zip(files, documents, strict=True):
        file.write_bytes(document)
    check(encoding, files, [encoding.encode_bytes(document) for document in documents])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which pages are in memory")
@pytest.mark.parametrize("num_threads", [1, 2])
def test_the_pages_of_a_file_are_given_back_while_it_is_encoded(num_threads: int, tmp_path: Path) -> None:
    def held() -> int:
        return next(
            int(line.split()[1]) >> 10 for line in status.read_text().splitlines() if line.startswith("RssFile")
        )

    status, file = Path("/proc/self/status"), tmp_path / "long"
    file.write_bytes(contents(1) * 20)
    before, most, done = held(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, held() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    GPT2.encode_files([file], num_threads=num_threads)
    done.set()
    watcher.join()
    assert most < (file.stat().st_size >> 20) // 2


@pytest.mark.parametrize("encoding", [GPT2, STAGED])
def test_long_files_and_short_ones_are_shared_among_threads(encoding: minbpe.Encoding, tmp_path: Path) -> None:
    long = [contents(1), contents(2)[: 1 << 16], contents(3)[: (1 << 16) - 1]]
    short = [b"", b"x", b"\xff", b"\xe4\xb8", *(b"document %d " % number * (number % 50) for number in range(700))]
    documents = [*long, *short, *long]
    files = [tmp_path / str(number) for number in range(len(documents))]
    for file, document in zip(files, documents, strict=True):
        file.write_bytes(document)
    check(encoding, files, [encoding.encode_bytes(document) for document in documents])


def test_paths_may_be_of_any_kind_and_come_from_any_iterable(tmp_path: Path) -> None:
    file = tmp_path / "caf\u00e9 \udcff" if os.name == "posix" else tmp_path / "caf\u00e9"
    file.write_bytes(b"hello world")
    for paths in ([str(file)], (file, str(file)), iter([file])):
        count = len(paths) if isinstance(paths, list | tuple) else 1
        ids, offsets = GPT2.encode_files(paths)
        assert ids.tolist() == GPT2.encode("hello world") * count
        assert len(offsets) == count + 1
    ids, offsets = GPT2.encode_files([])
    assert (ids.tolist(), offsets.tolist()) == ([], [0])


def test_a_file_that_cannot_be_read_is_named_in_the_error_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"text")
    (tmp_path / "locked").write_bytes(b"text")
    (tmp_path / "locked").chmod(0)
    for name in ("missing", ".", "there/below", "locked"):
        bad = tmp_path / name
        try:
            bad.open("rb").close()
        except OSError as error:
            expected = error
        else:
            assert name == "locked"  # to root, everything is readable
            continue
        with pytest.raises(type(expected)) as raised:
            GPT2.encode_files([tmp_path / "there", bad, tmp_path / "missing"])
        assert (raised.value.errno, raised.value.filename) == (expected.errno, str(bad))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has a file that opens and cannot be read")
def test_an_error_while_a_file_is_read_names_it_too() -> None:
    with pytest.raises(OSError, match="/proc/self/mem") as raised:
        GPT2.encode_files(["/proc/self/mem"])
    assert raised.value.errno == errno.EIO


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl", "a.parquet"])
def test_a_file_whose_text_is_not_its_bytes_is_refused(name: str) -> None:
    with pytest.raises(CorpusError, match="read_documents"):
        GPT2.encode_files([name])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("writes", [False, True])
def test_waiting_for_a_pipe_ends_with_ctrl_c(writes: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    # Whoever opens a pipe for both ways waits for nobody.
    writer = os.open(tmp_path / "pipe", os.O_RDWR) if writes else None
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        GPT2.encode_files([tmp_path / "pipe"])
    timer.join()
    if writer is not None:
        os.close(writer)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = b"a rose is a rose\n" * 20_000
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(text,))
    writer.start()
    ids, _ = GPT2.encode_files([tmp_path / "pipe"])
    writer.join()
    assert ids.tolist() == GPT2.encode_bytes(text)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has files that claim to be empty")
def test_a_file_that_claims_to_be_empty_is_read() -> None:
    assert GPT2.decode_bytes(GPT2.encode_files(["/proc/version"])[0]) == Path("/proc/version").read_bytes()
