"""A document streamed from an archive or a pipe is counted as if it were held in memory, without being held."""

import gzip
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import learn
from minbpe.ceiling import LEAST_MEMORY
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
from minbpe.corpus import Streamed
from minbpe.counting import PieceCounts, count
from minbpe.documents import read_documents
from minbpe.errors import CorpusError
from minbpe.gathering import Progress
from tests.test_compressed import DAMAGE, PACK, every_format
from tests.test_counts_memory import PEAK_OF_COMMAND
from tests.test_resuming import StoppedError, state_in
from tests.test_spilling import words
from tests.test_stretches import PIECES


class Parts(Streamed):
    """A text in parts of at most `size` bytes."""

    def __init__(self, text: bytes, size: int) -> None:
        self.text, self.size = text, size

    def parts(self, most: int) -> Iterator[bytes]:
        size = min(most, self.size)
        return (self.text[start : start + size] for start in range(0, len(self.text), size))


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many bytes of a document may be held."""

    def hold(most: int) -> None:
        monkeypatch.setattr("minbpe.gathering.HELD", most)
        monkeypatch.setattr("minbpe.documents.LONG", most)

    return hold


PATTERNS = ["gpt4", ["cl100k", r"\w"], r"\w+", r"(?<=a)b+|a+|[^ab]", r"(?s).{1,9}", None]
TEXTS = st.lists(PIECES, max_size=40).map(b"".join)


@pytest.mark.parametrize("pattern", PATTERNS)
@given(texts=st.lists(TEXTS, max_size=4), most=st.integers(1, 40), size=st.integers(1, 50))
def test_the_counts_are_those_of_the_whole(pattern: Any, texts: list[bytes], most: int, size: int) -> None:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr("minbpe.gathering.HELD", most)
        mixed = [text if number % 2 else Parts(text, size) for number, text in enumerate(texts)]
        told: list[Progress] = []
        assert count(mixed, pattern=pattern, progress=told.append) == count(texts, pattern=pattern)
        # On a busy machine the summing is reported too.
        assert [report.done for report in told if report.stage == "count"][-1] == sum(map(len, texts))


@pytest.mark.parametrize("ceiling", [None, 24 * LEAST_MEMORY])
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_a_ceiling_count_alike(threads: int, ceiling: int | None, hold: Callable[[int], None]) -> None:
    hold(1 << 21)
    text = " ".join(words(500_000)).encode() + b"\xff\xe2\x82"
    streamed = Parts(text, 1 << 20)
    counted = count(["before", streamed, "after"], threads=threads, max_memory=ceiling)
    assert counted == count(["before", text, "after"])
    assert learn(streamed, 300) == learn(text, 300)


@every_format
def test_the_commands_stream_long_archives(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: Callable[[int], None]
) -> None:
    hold(1 << 16)
    monkeypatch.chdir(tmp_path)
    text = " ".join(words(50_000)).encode() + b"\xf0\x9f"
    Path(f"text{ending}").write_bytes(PACK[ending](text))
    assert main(["count", f"text{ending}", "--out", "counts"]) == 0
    assert PieceCounts.load("counts") == count(text)
    assert main(["train", f"text{ending}", "--size", "300", "--out", "whole", "--stage", "gpt4:300"]) == 0
    assert main(["train", f"text{ending}", "--size", "300", "--out", "once"]) == 0
    assert Path("once.model").read_bytes() == Path("whole.model").read_bytes()


@every_format
def test_of_a_damaged_archive_nothing_is_kept(ending: str, tmp_path: Path, hold: Callable[[int], None]) -> None:
    hold(1 << 16)
    packed = tmp_path / f"text{ending}"
    text = " ".join(words(50_000)).encode()
    kept = Checkpoint(tmp_path / "kept", corpus="a name", every=0)

    def run(archive: bytes, reads: int = -1) -> PieceCounts:
        packed.write_bytes(archive)
        calls = numbers()

        def stop(_: int) -> None:
            if next(calls) == reads:
                raise StoppedError

        documents = (document for part in ([b"sound"], read_documents([packed], progress=stop)) for document in part)
        return count(documents, checkpoint=kept)

    whole = PACK[ending](text)
    for stopped in (False, True):
        if stopped:
            with pytest.raises(StoppedError):
                run(whole, 50)
            assert state_in(tmp_path / "kept")["places"][-1][1] > 0
        with pytest.raises(CorpusError, match=f"text{ending}: damaged or truncated"):
            run(DAMAGE["cut"](whole))
        assert all(offset == 0 for _, offset, *_ in state_in(tmp_path / "kept")["places"])
    assert run(whole) == count([b"sound", text])


def test_the_command_leaves_nothing_of_a_damaged_archive(
    tmp_path: Path, hold: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    hold(1 << 16)
    (tmp_path / "text.gz").write_bytes(gzip.compress(" ".join(words(50_000)).encode())[:-9])
    for command in ("count", "train"):
        assert main([command, str(tmp_path / "text.gz"), "--out", str(tmp_path / "out")]) == 1
        assert "text.gz: damaged or truncated gzip data" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["text.gz"]


def test_a_document_that_has_become_shorter_is_an_error(tmp_path: Path, hold: Callable[[int], None]) -> None:
    hold(1 << 10)
    text, kept = " ".join(words(5_000)).encode(), Checkpoint(tmp_path / "kept", corpus="a name", every=0)

    class Broken(Parts):
        def parts(self, most: int) -> Iterator[bytes]:
            yield from super().parts(most)
            raise StoppedError

    with pytest.raises(StoppedError):
        count([b"", Broken(text, 1 << 10)], checkpoint=kept)
    [*_, (documents, offset, *_)] = state_in(tmp_path / "kept")["places"]
    assert documents == 1
    assert offset > len(text) - (1 << 12)
    with pytest.raises(OSError, match=f"document 1 is shorter than when it was counted up to its byte {offset}"):
        count([b"", Parts(text[: offset - 1], 1 << 10)], checkpoint=kept)
    assert count([b"", Parts(text, 1 << 10)], checkpoint=kept) == count([b"", text])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("command", ["count", "train"])
def test_an_archive_and_a_pipe_take_no_more_memory_than_a_stretch(command: str, tmp_path: Path) -> None:
    text = b"".join(b"%d roses are red\n" % number for number in range(50_000))[: 1 << 20]
    peaks = []
    for megabytes in (20, 80):
        (tmp_path / "text.gz").write_bytes(gzip.compress(text * megabytes, 1))
        options = ["--out", str(tmp_path / "out"), "--threads", "1", *(["--size", "300"] * (command == "train"))]
        now = []
        for name, piped in ((tmp_path / "text.gz", b""), (Path("/dev/stdin"), text * megabytes)):
            line = [sys.executable, "-c", PEAK_OF_COMMAND, command, str(name), *options]
            done = subprocess.run(line, input=piped, capture_output=True, check=True)
            now.append(int(done.stderr))
        peaks.append(now)
    assert all(long - short < 8 << 20 for short, long in zip(*peaks, strict=True)), peaks
