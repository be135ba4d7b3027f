"""Counting under a memory ceiling: the same result, from a process that could not hold it, and no file left behind."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from minbpe import extend, learn, train
from minbpe.ceiling import LEAST_MEMORY
from minbpe.corpus import batches
from minbpe.counting import PieceCounts, count, count_to_file
from minbpe.errors import CorpusError
from minbpe.formats import counts as counts_format
from minbpe.gathering import Progress
from tests.test_cli import error, output

SPILLING = 2 * LEAST_MEMORY
"""A ceiling that counting `words` passes, but the counts themselves do not."""

LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


def words(number: int, seed: int = 1) -> Iterator[str]:
    """Documents of 1,000 words each, most of which occur once or twice."""
    chosen = random.Random(seed)
    for _ in range(number // 1000):
        yield " ".join(f"{chosen.randrange(number):x}" for _ in range(1000)).translate(LETTERS)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return list(words(30_000))


@pytest.fixture(scope="module")
def whole(documents: list[str]) -> PieceCounts:
    return count(documents, pattern="gpt2")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pattern", ["gpt2", "[a-f]+"])
def test_counts_do_not_depend_on_the_ceiling(documents: list[str], pattern: str, threads: int, tmp_path: Path) -> None:
    expected = count(documents, pattern=pattern)
    for ceiling in (SPILLING, 4 * SPILLING, 2**40):
        bounded = count(iter(documents), pattern=pattern, threads=threads, max_memory=ceiling, spill_to=tmp_path)
        assert bounded == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("min_count", [1, 2])
@pytest.mark.parametrize("ceiling", [LEAST_MEMORY, SPILLING, None])
def test_a_file_written_from_disk_has_the_same_bytes(
    documents: list[str], whole: PieceCounts, min_count: int, ceiling: int | None, tmp_path: Path
) -> None:
    (tmp_path / "spilled").mkdir()
    count_to_file(
        documents,
        tmp_path / "bounded",
        pattern="gpt2",
        min_count=min_count,
        max_memory=ceiling,
        spill_to=tmp_path / "spilled",
    )
    whole.at_least(min_count).save(tmp_path / "whole")
    assert (tmp_path / "bounded").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bounded", "spilled", "whole"]


def test_merging_runs_and_reading_and_saving_them_tell_how_far_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        """A checksum that takes longer per megabyte than the time between two progress reports."""

        def __init__(self, data: bytes) -> None:
            self.sum = sha256(data)
            self.hexdigest = self.sum.hexdigest

        def update(self, data: bytes) -> None:
            time.sleep(0.06)
            self.sum.update(data)

    text, told = " ".join(map(hex, range(1 << 21))), list[Progress]()
    options: dict[str, Any] = {"pattern": r"\S+|\s", "threads": 1, "progress": told.append}
    counts = count(text, max_memory=160 * LEAST_MEMORY, **options)
    with monkeypatch.context() as patch:
        patch.setattr(counts_format.hashlib, "sha256", Slow)
        count_to_file(text, tmp_path / "spilled", max_memory=8 * SPILLING, **options)
        counts.save(tmp_path / "saved", progress=told.append)
    assert (tmp_path / "spilled").read_bytes() == (tmp_path / "saved").read_bytes()
    stages = [(stage, list(all_told)) for stage, all_told in groupby(told, lambda progress: progress.stage)]
    assert [stage for stage, _ in stages] == ["count", "sum", "load", "count", "sum", "save"]
    for _, all_told in stages[:-1]:
        done = [progress.done for progress in all_told if progress.total is not None]
        assert done == sorted(done)
        assert done[-1] == all_told[-1].total
        assert 0 < done[0] < done[-1]


def test_training_under_a_ceiling_learns_the_same(documents: list[str], tmp_path: Path) -> None:
    for min_count in (1, 3):
        expected = learn(documents, 400, min_count=min_count)
        bounded = learn(documents, 400, min_count=min_count, max_memory=SPILLING, spill_to=tmp_path)
        assert bounded == expected
        assert (bounded.dropped_distinct > 0) == (min_count > 1)
    small = train(documents, 300)
    assert extend(small, documents, 50, max_memory=SPILLING) == extend(small, documents, 50)
    stages = [("gpt4", 300), (None, 320)]
    assert learn(documents, 320, stages=stages, max_memory=SPILLING) == learn(documents, 320, stages=stages)


def test_counts_that_pass_the_ceiling_by_themselves_are_an_error_that_says_the_way_out(documents: list[str]) -> None:
    with pytest.raises(
        CorpusError, match=r"raise it to \d+ MB, leave out rare pieces with min_count, or write .* to a file"
    ):
        count(documents, max_memory=LEAST_MEMORY)
    assert learn(documents, 300, min_count=5, max_memory=LEAST_MEMORY) == learn(documents, 300, min_count=5)


def test_a_ceiling_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_memory is 5 bytes: give 1048576 or more"):
        count("text", max_memory=5)
    with pytest.raises(NotADirectoryError, match="missing: no such directory for what passes max_memory"):
        count("text", max_memory=LEAST_MEMORY, spill_to=tmp_path / "missing")


def test_documents_are_held_by_the_ceiling_too() -> None:
    assert [len(documents) for documents, _ in batches(["ten bytes."] * 10, 30)] == [3, 3, 3, 1]


LIMITED = """
import resource, sys
from tests.test_spilling import words
import minbpe
minbpe.count("warm up", threads=1)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (160 << 20),) * 2)
ceiling = eval(sys.argv[1])
try:
    minbpe.count_to_file(words(2_000_000), sys.argv[2], threads=1, max_memory=ceiling, spill_to=sys.argv[3])
except MemoryError as error:
    sys.exit(f"MemoryError: {error}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_the_ceiling_holds_where_the_system_gives_no_more_memory(tmp_path: Path) -> None:
    def limited(ceiling: str) -> subprocess.CompletedProcess[str]:
        out = tmp_path / "words.counts"
        command = [sys.executable, "-c", LIMITED, ceiling, str(out), str(tmp_path)]
        return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)

    unbounded = limited("None")
    assert unbounded.returncode == 1
    assert (
        "MemoryError: the distinct pieces of the corpus need more memory than there is: set a ceiling"
        in unbounded.stderr
    )
    bounded = limited("32 << 20")
    assert (bounded.returncode, bounded.stderr) == (0, "")
    assert PieceCounts.load(tmp_path / "words.counts").total == 2_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["words.counts"]


MAPPED = """
import sys
from pathlib import Path
import minbpe
print(minbpe.count(Path(sys.argv[1]), threads=2).total)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory a process had at most")
def test_a_file_takes_no_memory_that_is_in_proportion_to_it(tmp_path: Path) -> None:
    words = 1 << 24
    (tmp_path / "text").write_bytes(b" letters" * words)
    command = [sys.executable, "-c", MAPPED, str(tmp_path / "text")]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    total, kilobytes = map(int, done.stdout.split())
    assert total == words
    assert kilobytes < 64 << 10  # for 128 MB of text


TOO_MANY = """
import resource, sys
from minbpe.counting import PieceCounts
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (24 << 20),) * 2)
PieceCounts.load(sys.argv[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_counts_that_do_not_fit_in_memory_say_the_way_out_and_it_leads_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, fewer = tmp_path / "all.counts", tmp_path / "fewer.counts"
    count_to_file(words(600_000), out)

    def loaded(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", TOO_MANY, str(path)]
        return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)

    way = f"minbpe count {out} --min-count 2 --max-memory 1G --out fewer.counts"
    assert f"the counts in {out} take more memory than there is: leave out rare pieces ({way})" in loaded(out).stderr
    output(capfd, "count", out, "--min-count", "3", "--max-memory", "2M", "--out", fewer)
    assert loaded(fewer).returncode == 0
    assert PieceCounts.load(fewer) == PieceCounts.load(out).at_least(3)


FULL = """
import resource, sys
from tests.test_spilling import words
import minbpe
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19,) * 2)
try:
    minbpe.count(words(200_000), max_memory=1 << 20, spill_to=sys.argv[1])
except OSError as error:
    sys.exit(f"OSError: {error}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to the size of a file")
def test_a_full_disk_is_an_error_that_names_the_directory_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    full = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert full.returncode == 1
    assert f"OSError: cannot write pieces past the memory ceiling to a temporary file in {tmp_path}" in full.stderr
    assert list(tmp_path.iterdir()) == []


ENDLESS = """
import sys
from itertools import count
from tests.test_spilling import words
import minbpe
documents = (document for seed in count() for document in words(100_000, seed))
minbpe.count(documents, max_memory=1 << 20, spill_to=sys.argv[1])
"""


def holds_a_file_of(process: int, directory: Path) -> bool:
    try:
        return any(directory in file.readlink().parents for file in Path(f"/proc/{process}/fd").iterdir())
    except OSError:  # the file was closed meanwhile
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which files a process holds")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_counting_that_is_killed_leaves_no_file(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDLESS, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL) as child:
        while child.poll() is None and not holds_a_file_of(child.pid, tmp_path):
            time.sleep(0.01)
        child.send_signal(how)
    assert child.returncode in (-how, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_counts_and_trains_under_a_ceiling(
    documents: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text, out, tok = tmp_path / "words.txt", tmp_path / "words.counts", tmp_path / "tok"
    text.write_text("\n".join(documents))
    facts = json.loads(output(capfd, "count", text, "--out", out, "--max-memory", "1.5M", "--json"))
    expected = json.loads(output(capfd, "count", text, "--out", tmp_path / "whole.counts", "--json"))
    assert facts.pop("spilled") is True
    assert {**facts, "counts": "", "seconds": 0} == {**expected, "counts": "", "seconds": 0}
    assert out.read_bytes() == (tmp_path / "whole.counts").read_bytes()
    trained = json.loads(output(capfd, "train", text, "--size", "300", "--out", tok, "--max-memory", "2m", "--json"))
    assert trained["digest"] == train(PieceCounts.load(out), 300, special_tokens=["<|endoftext|>"]).digest
    assert "'1K' is less than 1048576 bytes" in error(capfd, 2, "train", text, "--out", tok, "--max-memory", "1K")
    assert "'much' is no amount of memory" in error(capfd, 2, "count", text, "--out", out, "--max-memory", "much")
