"""Adding up and inspecting files of counts takes little memory, and so does counting files of text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from minbpe import extend, learn, train
from minbpe.counting import PieceCounts, count
from tests.test_spilling import words

LIMITED = """
import resource, sys
from minbpe import cli
cli.main(["count", sys.argv[1], "--out", sys.argv[1] + ".warm"])
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (16 << 20),) * 2)
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_counts_in_files_are_added_up_within_the_ceiling_and_inspected_without_being_held(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.counts" for number in range(3)]
    for number, file in enumerate(files):
        count(words(1_000_000, number)).save(file)
    (tmp_path / "text").write_text("a few words")

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIMITED, str(tmp_path / "text"), *line]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def limited(*arguments: str) -> subprocess.CompletedProcess[str]:
        paths, out = map(str, files), str(tmp_path / "tok")
        spill = ["--spill-to", str(tmp_path)] if "--max-memory" in arguments else []
        return run("train", *paths, "--size", "300", "--out", out, *spill, *arguments)

    assert "set a ceiling with --max-memory" in limited().stderr
    too_many = limited("--max-memory", "12M")
    assert too_many.returncode == 1
    assert "leave out rare pieces with --min-count" in too_many.stderr
    # The run before left its counts in a checkpoint, which this one is not to use.
    fewer = limited("--max-memory", "12M", "--min-count", "6", "--no-resume", "--json")
    assert fewer.returncode == 0, fewer.stderr
    whole = PieceCounts.concatenate(map(PieceCounts.load, files))
    expected = learn(whole, 300, min_count=6, special_tokens=["<|endoftext|>"])
    facts = json.loads(fewer.stdout.splitlines()[-1])
    assert (facts["digest"], facts["dropped"]) == (expected.vocabulary.digest, expected.dropped_pieces)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("minbpe-")]
    whole.save(tmp_path / "whole")
    inspected = run("inspect", str(tmp_path / "whole"), "--json")
    assert inspected.returncode == 0, inspected.stderr
    assert json.loads(inspected.stdout.splitlines()[-1])["distinct"] == len(whole)


IN_PYTHON = """
import resource, sys
from pathlib import Path
from minbpe.counting import count, count_to_file
from minbpe.errors import CorpusError
directory = Path(sys.argv[1])
files, options = sorted(directory.glob("?.counts")), {"max_memory": 12_000_000, "spill_to": directory}
count_to_file([directory / "text"], directory / "warm", **options)
count([directory / "warm"], **options)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (16 << 20),) * 2)
count_to_file(files, directory / "out", **options)
try:
    count(files, **options)
except CorpusError:
    pass
assert len(count(files[:1], max_memory=12_000_000)) < 50_000
if sys.argv[2:]:
    count_to_file(files, directory / "out")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_counts_in_files_are_added_up_within_the_ceiling_by_every_way_there_is(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.counts" for number in range(3)]
    count([" ".join(words(30_000))], pattern="gpt2").save(files[0])
    for number, file in enumerate(files[1:]):
        count(words(1_000_000, number), pattern="gpt2").save(file)
    (tmp_path / "text").write_text("a few words")
    whole = PieceCounts.concatenate(map(PieceCounts.load, files))
    paths, out = list(map(str, files)), str(tmp_path / "out")
    ceiling = ["--max-memory", "12M", "--spill-to", str(tmp_path)]

    def run(code: str, *line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True, check=False)

    text = str(tmp_path / "text")
    assert "set a ceiling with --max-memory" in run(LIMITED, text, "count", *paths, "--out", out).stderr
    for min_count in ("1", "3"):
        added = run(LIMITED, text, "count", *paths, "--out", out, *ceiling, "--min-count", min_count)
        assert added.returncode == 0, added.stderr
        assert PieceCounts.load(out) == whole.at_least(int(min_count))
    small = train("a few words", 260, pattern="gpt2")
    small.save(tmp_path / "small.model")
    more = ["--add", "9", "--min-count", "6", "--json"]
    extended = run(LIMITED, text, "extend", str(tmp_path / "small"), *paths, "--out", out, *ceiling, *more)
    assert extended.returncode == 0, extended.stderr
    facts = json.loads(extended.stdout.splitlines()[-1])
    expected = extend(small, whole, 9, min_count=6)
    assert (facts["digest"], facts["dropped"]) == (expected.digest, whole.at_least(6).dropped_pieces)
    in_python = run(IN_PYTHON, str(tmp_path))
    assert in_python.returncode == 0, in_python.stderr
    assert PieceCounts.load(out) == whole
    assert "MemoryError" in run(IN_PYTHON, str(tmp_path), "without a ceiling").stderr
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("minbpe-")]


PEAK = r"""
import re, sys
from pathlib import Path
from minbpe.counting import count
def peak():
    return int(re.search(r"VmHWM:\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1]) << 10
small, large = map(Path, sys.argv[1:])
count(small, pattern="(?s).{1,9}", threads=1)
before = peak()
assert count(large, pattern="(?s).{1,9}", threads=1).corpus_bytes == large.stat().st_size
print(peak() - before)
"""


PEAK_OF_COMMAND = r"""
import re, sys
from minbpe import cli
code = cli.main(sys.argv[1:])
sys.stderr.write(str(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) << 10))
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory that a process had")
def test_a_file_whose_pattern_proves_no_cut_leaves_no_pages_behind(tmp_path: Path) -> None:
    for name, times in (("small", 1), ("large", 1 << 20)):
        (tmp_path / name).write_text("ninebytes" * 8 * times)
    line = [sys.executable, "-c", PEAK, str(tmp_path / "small"), str(tmp_path / "large")]
    peak = subprocess.run(line, capture_output=True, text=True, check=True)
    assert int(peak.stdout) < (tmp_path / "large").stat().st_size / 4


LONG = """
import resource, sys
from pathlib import Path
from minbpe.counting import count_to_file
text, out, room = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
options = {"pattern": None, "threads": 1, "max_memory": 1 << 20, "spill_to": out.parent}
count_to_file(["a text", "and one more"], out, **options)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + room,) * 2)
try:
    count_to_file(text, out, **options)
except MemoryError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_a_piece_longer_than_the_ceiling_takes_three_times_its_length_or_is_an_error(tmp_path: Path) -> None:
    text, out, size = tmp_path / "text", tmp_path / "out", 1 << 27
    text.write_bytes(b"abcdefgh" * (size // 8))
    ended = []
    for eighths in range(10, 31, 4):
        line = [sys.executable, "-c", LONG, str(text), str(out), str(eighths * size // 8)]
        run = subprocess.run(line, capture_output=True, text=True, check=False)
        assert run.returncode in (0, 1), run.stderr
        assert bool(run.returncode) == ("a piece needs more memory than there is: split the corpus by" in run.stderr)
        ended.append(run.returncode)
    assert sorted(ended, reverse=True) == ended
    assert set(ended) == {0, 1}
    assert PieceCounts.load(out) == count(text, pattern=None)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("minbpe-")]
