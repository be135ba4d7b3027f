"""Counting that was stopped by a signal, even kill -9, resumes from what was kept, and the command line says so."""

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minbpe import learn
from minbpe.checkpoint import Checkpoint
from minbpe.counting import count
from tests.test_resuming import SIZE, state_in
from tests.test_spilling import SPILLING, words


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents that take about a second to count with the pattern below, as separate files and as one archive."""
    directory = tmp_path_factory.mktemp("slow")
    (directory / "texts").mkdir()
    texts = [f"{word}\n" * 12 for word in words(100_000)] * 2
    for number, text in enumerate(texts):
        (directory / "texts" / f"{number:03}.txt").write_text(text)
    with gzip.open(directory / "texts.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return directory


PATTERN = r"(?<=a)b|[a-z]+|\s"


INTERRUPTED = """
import os, sys
from minbpe.cli import main
from minbpe.progress import Bars
how, left = int(sys.argv[1]), dict.fromkeys(sys.argv[2].split(","), int(sys.argv[3]))
def show(bars, stage, *_):
    left[stage] = left.get(stage, 0) - 1
    if left[stage] == 0:
        os.kill(os.getpid(), how)
Bars.show = show
sys.exit(main(sys.argv[4:]))
"""
"""The command line, which sends itself a signal at the n-th progress report of a stage, or of each of several."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize(
    ("command", "name", "how", "stage", "end"),
    [
        (["train", "texts", "--size", "400"], "tok.model", signal.SIGINT, "count", 1),
        (["train", "texts.jsonl.gz", "--size", "400"], "tok.model", signal.SIGTERM, "count", 1),
        (["count", "texts.jsonl.gz", "--max-memory", "2M"], "tok", signal.SIGINT, "read", 3),
        (["count", "texts", "--lines", "--min-count", "2"], "tok", signal.SIGTERM, "count", 1),
    ],
)
def test_the_command_line_goes_on_counting_after_a_signal(
    slow: Path, command: list[str], name: str, how: signal.Signals, stage: str, end: int, tmp_path: Path
) -> None:
    def run(end: int, out: str, *more: str) -> subprocess.CompletedProcess[str]:
        options = ["--pattern", PATTERN, "--threads", "1", "--out", str(tmp_path / out), "--json", *more]
        line = [sys.executable, "-c", INTERRUPTED, str(int(how)), stage, str(end), *command, *options]
        return subprocess.run(line, cwd=slow, capture_output=True, text=True, check=False)

    checkpoint = tmp_path / "tok.checkpoint"
    for more in ([], ["--resume"]):
        stopped = run(end, "tok", *more)
        assert stopped.returncode == 130
        assert f"left; minbpe {command[0]} --resume goes on from {checkpoint}" in stopped.stderr
        assert state_in(checkpoint)["parts"]
        end += end // 2
    for out, more in (("tok", ["--resume"]), ("whole", [])):
        done = run(0, out, *more)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("tok", "whole")).read_bytes()
    assert json.loads(done.stdout).get("spilled", True)
    assert not checkpoint.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("stage", ["check", "load"])
@pytest.mark.parametrize("command", ["count", "train", "inspect"])
def test_ctrl_c_ends_the_loading_of_counts_and_leaves_nothing(command: str, stage: str, tmp_path: Path) -> None:
    for name in "ab":
        count(words(300_000, ord(name))).save(tmp_path / name)
    files = ["a", "b", "--out", "out"] if command != "inspect" else ["a"]
    line = [sys.executable, "-c", INTERRUPTED, str(int(signal.SIGINT)), stage, "1", command, *files]
    stopped = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert stopped.returncode == 130
    assert stopped.stderr.startswith("minbpe: interrupted: nothing half-written is left")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("stage", ["sum", "save"])
def test_ctrl_c_while_runs_are_merged_or_saved_loses_nothing(stage: str, tmp_path: Path) -> None:
    text, out = tmp_path / "numbers", tmp_path / "out"
    text.write_text(" ".join(map(hex, range(1 << 20))))
    options = ["--out", str(out), "--pattern", r"\S+|\s", "--max-memory", "8M", "--threads", "1"]

    def run(stage: str, *more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", INTERRUPTED, str(int(signal.SIGINT)), stage, "1", "count", str(text)]
        return subprocess.run([*line, *options, *more], capture_output=True, text=True, check=False)

    twice = run("sum,save")
    assert (twice.returncode, twice.stderr) == (
        130,
        "minbpe: interrupted: nothing half-written is left; nothing is kept\n",
    )
    assert list(tmp_path.iterdir()) == [text]
    stopped = run(stage)
    assert stopped.returncode == 130
    assert stopped.stderr.endswith(f"minbpe count --resume goes on from {out}.checkpoint\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numbers", "out.checkpoint"]
    assert state_in(out.with_name("out.checkpoint"))["places"][-1][2] == text.stat().st_size
    assert run("never", "--resume").returncode == 0
    count(text, pattern=r"\S+|\s").save(tmp_path / "whole")
    assert out.read_bytes() == (tmp_path / "whole").read_bytes()


KILLED = """
import sys
from pathlib import Path
from minbpe import learn, parts
from minbpe.checkpoint import Checkpoint, name_of
parts.SHARE = 0
files = sorted(Path(sys.argv[1]).iterdir())
corpus = (file.read_text() for file in files) if sys.argv[3] == "documents" else files
checkpoint = Checkpoint(sys.argv[2], corpus="a name", every=0)
learn(corpus, 400, threads=1, max_memory=eval(sys.argv[4]), checkpoint=checkpoint)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("ceiling", [None, 4 * SPILLING])
@pytest.mark.parametrize("kind", ["files", "documents"])
def test_what_was_counted_before_kill_9_is_enough_to_go_on_from(
    slow: Path, kind: str, ceiling: int | None, tmp_path: Path
) -> None:
    kept, size = tmp_path / "kept", 0
    for more in (1, 300_000, 600_000):
        command = [sys.executable, "-c", KILLED, str(slow / "texts"), str(kept), kind, str(ceiling)]
        with subprocess.Popen(command) as child:
            while child.poll() is None and not (
                (kept / "parts").exists() and state_in(kept)["places"][-1][2] >= size + more
            ):
                time.sleep(0.001)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        size = state_in(kept)["places"][-1][2]
    files = sorted((slow / "texts").iterdir())
    rest = learn(files, SIZE, checkpoint=Checkpoint(kept, corpus="a name"), max_memory=ceiling)
    assert rest == learn(files, SIZE)
