"""`minbpe train --stage` and `minbpe extend` go on after signals, from what they left, and refuse what another command left."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path

import pytest

from minbpe import extend
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
from minbpe.vocabulary import Vocabulary
from tests.conftest import KilledError
from tests.test_cli import error, output
from tests.test_counting import prose
from tests.test_counting_signals import INTERRUPTED
from tests.test_resuming_kinds import SMALL, TEXT


@pytest.fixture(autouse=True)
def _corpus(tmp_path: Path) -> None:
    """A directory of two files."""
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text(TEXT)
    (tmp_path / "corpus" / "b.txt").write_text(prose(300).upper())


LINES = {
    "train": ["train", "corpus", "--stage", "gpt4:280", "--stage", "none:320"],
    "extend": ["extend", "own", "corpus", "--add", "30"],
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("command", "stage", "number"),
    [
        ("train", "count", 1),
        ("train", "count", 2),
        ("train", "train", 1),
        ("train", "train", 2),
        ("extend", "count", 1),
        ("extend", "train", 1),
    ],
)
def test_the_command_line_goes_on_after_a_signal(
    command: str, stage: str, number: int, how: signal.Signals, tmp_path: Path
) -> None:
    SMALL.save(tmp_path / "own")

    def run(how: int, out: str, *more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", INTERRUPTED, str(how), stage, str(number), *LINES[command], "--out", out, *more]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    stopped = run(how, "tok")
    assert not (tmp_path / "tok.model").exists()
    if how == signal.SIGKILL:
        assert stopped.returncode == -signal.SIGKILL
        nothing = (stage, number) == ("count", 1)
        assert (tmp_path / "tok.checkpoint").exists() != nothing or command == "train"
    else:
        said = f"minbpe: interrupted: nothing half-written is left; minbpe {command} --resume goes on from tok.checkpoint\n"
        assert (stopped.returncode, stopped.stderr) == (130, said)
        refused = run(0, "tok")
        assert refused.returncode == 1
        assert f"what an interrupted run has done: minbpe {command} --resume goes on from it" in refused.stderr
    for out, more in (("tok", ["--resume"]), ("whole", [])):
        done = run(0, out, *more)
        assert done.returncode == 0, done.stderr
    for kind in ("model", "vocab"):
        assert (tmp_path / f"tok.{kind}").read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()
    assert not list(tmp_path.glob("*.checkpoint"))


def test_the_command_line_refuses_a_checkpoint_of_another_command_and_replaces_it_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    SMALL.save("own")

    def interrupt(*arguments: str) -> None:
        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Vocabulary, "save", fail)
            assert main([*arguments, "--out", "tok", "--no-resume"]) == 130
        assert "--resume goes on from tok.checkpoint" in capfd.readouterr().err

    plain = ["train", "corpus", "--size", "280"]
    lines = [plain, *LINES.values()]
    for before in lines:
        interrupt(*before)
        for now in lines:
            if now is not before:
                assert "the checkpoint in tok.checkpoint is " in error(capfd, 1, *now, "--out", "tok", "--resume")
    for now in lines:
        interrupt(*lines[0])
        output(capfd, *now, "--out", "tok", "--no-resume")
        assert not Path("tok.checkpoint").exists()


@pytest.mark.parametrize("lines", [[], ["--lines"]])
@pytest.mark.parametrize("command", ["count", "train", "train in stages", "extend"])
def test_a_checkpoint_in_the_directory_to_read_is_no_part_of_the_corpus(
    command: str,
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kill_at: Callable[[float], Iterator[int]],
) -> None:
    monkeypatch.chdir(tmp_path / "corpus")
    SMALL.save(tmp_path / "own")
    line, result = {
        "count": (["count", "."], "out"),
        "train": (["train", ".", "--size", "300"], "out.model"),
        "train in stages": (["train", ".", "--stage", "gpt4:280", "--stage", "none:300"], "out.model"),
        "extend": (["extend", str(tmp_path / "own"), str(tmp_path / "corpus"), "--add", "30"], "out.model"),
    }[command]
    output(capfd, *line, *lines, "--out", tmp_path / "out")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Vocabulary, "save", stop)
        patch.setattr(sys.modules["minbpe.cli.count"], "save_counted", stop)
        assert main([*line, *lines, "--out", "out"]) == 130
    assert "--resume goes on from out.checkpoint" in capfd.readouterr().err
    refused = error(capfd, 1, "train", Path("out.checkpoint"), "--out", "out", "--no-resume")
    assert "out.checkpoint is to be read, and would be lost with out.checkpoint: move it, or name another" in refused
    output(capfd, *line, *lines, "--out", "out", "--resume")
    assert Path(result).read_bytes() == (tmp_path / result).read_bytes()
    assert not Path("out.checkpoint").exists()


def test_an_extension_that_replaces_its_own_tokenizer_is_made_once_wherever_it_is_killed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kill_at: Callable[[float], Iterator[int]],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["extend", "own", "corpus", "--add", "30", "--out", "own"]
    once = extend(SMALL, sorted(Path("corpus").iterdir()), 30)
    said: list[str] = []
    for last in numbers():
        SMALL.save("own")
        kill_at(last)
        try:
            ended = main(line) == 0
        except KilledError:
            ended = False
        kill_at(float("inf"))
        there = Vocabulary.load("own.model")
        capfd.readouterr()
        failed = main([*line, "--resume"])
        message = capfd.readouterr().err
        if failed:
            assert Vocabulary.load("own.model") == there
            assert "own.checkpoint holds nothing to resume: the run that was to extend own.model has ended" in message
        else:
            assert Vocabulary.load("own.model") == once
            once.save("once")
            assert Path("own.vocab").read_bytes() == Path("once.vocab").read_bytes()
            assert ("own.model is already extended: this run completes the one that did so" in message) == (
                there == once
            )
            assert not Path("own.checkpoint").exists()
        said.append(message)
        Checkpoint("own.checkpoint").remove()
        if ended:
            break
    assert len(set(said)) == 3


def test_a_tokenizer_that_the_interrupted_extension_neither_began_with_nor_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["extend", "own", "corpus", "--add", "30", "--out", "own"]
    extend(SMALL, sorted(Path("corpus").iterdir()), 31).save("own")
    there = Path("own.model").read_bytes()
    extend(SMALL, "corpus", 5, checkpoint=Checkpoint("own.checkpoint", every=0))
    assert "and vocabulary=" in error(capfd, 1, *line, "--resume")
    assert Path("own.model").read_bytes() == there


FULL = """
import resource, sys
from minbpe import extend
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to the size of a file")
@pytest.mark.parametrize("command", LINES)
def test_a_full_disk_is_an_error_that_names_the_directory_and_leaves_nothing(command: str, tmp_path: Path) -> None:
    SMALL.save(tmp_path / "own")
    there = sorted(tmp_path.iterdir())
    line = [sys.executable, "-c", FULL, *LINES[command], "--out", "tok"]
    full = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    place = "tok.checkpoint/stage-1" if command == "train" else "tok.checkpoint"
    message = f"minbpe: error: File too large: counting cannot be kept in {place}; make room there\n"
    assert (full.returncode, full.stderr) == (1, message)
    assert sorted(tmp_path.iterdir()) == there
