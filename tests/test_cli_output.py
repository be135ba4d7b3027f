"""The command line's standard output: all of it arrives, or an error says that it did not."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.test_cli import GPT2, MINBPE

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and signals are POSIX's")
FULL = Path("/dev/full")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a text, a vocabulary, counts and shards."""
    (tmp_path / "text").write_text("the theme of the thesis\n" * 9)
    run = [["train", "text", "--size", "260", "--out", "tok"], ["count", "text", "--out", "text.counts"]]
    for line in (*run, ["shard", "text", "-t", "tok.model", "--out", "shards"]):
        subprocess.run([*MINBPE, *line], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "encode -t gpt2 --file text",
        "decode -t gpt2 1 2",
        "inspect tok.model",
        "inspect shards --json",
        "train text --size 260 --report --out a",
        "count text --out b",
        "shard --verify shards",
        "--help",
    ],
)
def test_output_that_cannot_be_written_is_named_in_one_line(line: str, directory: Path) -> None:
    def ends(stdout: str) -> tuple[int, str]:
        shell = ["sh", "-c", f'"$@" {stdout}', "sh", *MINBPE, *line.split()]
        done = subprocess.run(shell, cwd=directory, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stderr

    said = "minbpe: error: standard output could not be written: "
    if FULL.exists():
        assert ends(">/dev/full") == (1, f"{said}No space left on device\n")
    assert ends(">&-") == (1, f"{said}it is closed\n")
    assert ends("| true") == (0, "")


@pytest.mark.parametrize("command", ["encode", "decode"])
@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_pipe_that_takes_a_part_of_what_is_written_gets_the_rest_too(
    command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    text = b"".join(b"%d roses are red\n" % number for number in range(400_000))
    expected = (" ".join(map(str, GPT2.encode_bytes(text))) + "\n").encode()
    (tmp_path / "in").write_bytes(text if command == "encode" else expected)
    run = [*MINBPE, command, "-t", "gpt2", "--file", str(tmp_path / "in")]
    with subprocess.Popen(run, stdout=subprocess.PIPE, env={**os.environ, **environment}) as process:
        assert process.stdout
        read = [os.read(process.stdout.fileno(), 1)]
        while part := os.read(process.stdout.fileno(), 1 << 18):
            read.append(part)
            # A write that is waiting for the pipe ends early if the process is stopped and continued.
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.001)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.001)
    assert b"".join(read) == (expected if command == "encode" else text)


def test_a_name_that_is_not_utf_8_is_printed_as_it_is(directory: Path) -> None:
    name = b"caf\xe9.model"
    (directory / "tok.model").rename(directory / os.fsdecode(name))
    run = [*map(os.fsencode, MINBPE), b"inspect", name]
    for environment in ({"PYTHONUTF8": "1"}, {"PYTHONIOENCODING": "ascii"}):
        done = subprocess.run(run, cwd=directory, env={**os.environ, **environment}, capture_output=True, check=True)
        assert done.stderr == b""
        assert done.stdout.splitlines()[0].split()[1] in (b"caf\xe9", rb"caf\udce9")


def test_what_is_said_on_a_closed_standard_error_is_not_printed(directory: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *MINBPE, "inspect", "nothing"]
    done = subprocess.run(shell, cwd=directory, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
