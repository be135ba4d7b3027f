"""What goes wrong while benchmarks run: engines that crash, Ctrl-C, corpora and files of results that are unusable."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import minbpe
from benchmarks import __main__ as main
from benchmarks import check
from benchmarks.engine import Encoder, Engine, Setting
from benchmarks.engines import find_engine
from benchmarks.runner import Runner

ROOT = Path(__file__).parents[1]


def _end(sent: signal.Signals, library: Any, setting: Setting) -> Encoder:
    os.kill(os.getpid(), sent)
    return Encoder()


def _fault(library: Any, setting: Setting) -> Encoder:
    ctypes.string_at(0)
    return Encoder()


def _panic(library: Any, setting: Setting) -> Encoder:
    print("thread panicked\nnote: run with RUST_BACKTRACE=1", file=sys.stderr)
    sys.exit(3)


def _wait(library: Any, setting: Setting) -> Encoder:
    def encode(text: str) -> list[int]:
        time.sleep(0.5)
        return minbpe.get_encoding(setting.encoding).encode_ordinary(text)

    return Encoder(text={"list": encode})


KILLED = Engine("killed", "json", "killed", partial(_end, signal.SIGKILL))
FAULTY = Engine("faulty", "json", "faulty", _fault)
PANICS = Engine("panics", "json", "panics", _panic)
SLOW = Engine("slow", "json", "slow", _wait)


@pytest.mark.parametrize(
    ("engine", "note"),
    [
        ("KILLED", "ended by SIGKILL, as the system does when memory is short"),
        ("FAULTY", "ended by SIGSEGV"),
        ("PANICS", "thread panicked"),
    ],
)
def test_an_engine_whose_process_ends_is_a_row_that_says_how(engine: str, note: str, tmp_path: Path) -> None:
    name = f"{__name__}:{engine}"
    runner = Runner("load", {name: find_engine(name)}, 1, tmp_path, {})
    assert list(runner.take_turns("load", {"encoding": "gpt2"}, [name], encoding="gpt2", files="", right=[])) == []
    (row,) = runner.rows
    assert (row["status"], row["note"]) == ("failed", note)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_was_measured(sent: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    engines = ["minbpe", f"{__name__}:SLOW"]
    about = ["--corpora", "logs", "--megabytes", "0.1", "--shapes", "text", "--outputs", "list", "--threads", "1"]
    command = [sys.executable, "-m", "benchmarks", "encode", *about, "--engines", *engines, "--runs", "1000"]
    with subprocess.Popen(
        [*command, "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        while run.poll() is None and not any(tmp_path.glob("*/result.json")):
            time.sleep(0.1)
        time.sleep(6)  # some runs of both engines
        run.send_signal(sent)
        shown, told = run.communicate(timeout=60)
    assert (run.returncode, "interrupted; what was measured" in told) == (130, True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {(row["engine"], row["status"]) for row in rows} >= {("minbpe", "ok")}
    assert 0 < len(rows[0]["seconds"]) < 1000
    assert "| logs, new |" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def _error(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main.main([*map(str, arguments)]) == 1
    told = capfd.readouterr()
    assert told.out == ""
    return told.err


DAMAGED = {
    '{"benchmark": "encode"': r"rows\.jsonl:2: not a row of results \(.*\): remove the line",
    "[" * 100_000: r"rows\.jsonl:2: not a row of results \(.*\): remove the line",
    "[1]": r"rows\.jsonl:2: not a row of results: name files that a benchmark wrote",
    '{"benchmark": "encode", "engine": "x", "status": "ok", "shape": 1}': r"a row in .*rows\.jsonl lacks 'encoding'",
}


@pytest.mark.parametrize(("line", "message"), DAMAGED.items(), ids=range(len(DAMAGED)))
def test_a_damaged_file_of_results_is_named_with_its_line(
    line: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = {"benchmark": "load", "engine": "x", "status": "missing", "note": "not installed"}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(sound)}\n{line}\n")
    assert re.search(message, _error(capfd, "table", tmp_path / "rows.jsonl"))
    (tmp_path / "rows.jsonl").write_text("")
    assert "no rows are in" in _error(capfd, "table", tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encodings", "none", "--strings", "1"], "unknown encoding 'none'"),
        (["no-such-corpus"], "No such file or directory: 'no-such-corpus'"),
    ],
)
def test_what_ids_cannot_be_compared_on_is_told(
    arguments: list[str], message: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "load_tiktoken", lambda cache: minbpe)
    assert check.run(arguments) == 1
    assert message in capfd.readouterr().err


def test_results_are_not_written_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    told = _error(capfd, "load", "--engines", "minbpe", "--out", tmp_path / "rows.jsonl")
    assert "rows.jsonl holds results: name a new file" in told
    assert (tmp_path / "rows.jsonl").read_text() == "{}\n"


def test_what_measures_nothing_leaves_no_file_of_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    assert "unknown encoding 'none'" in _error(capfd, "load", "--engines", "minbpe", "--encodings", "none")
    assert not any(tmp_path.iterdir())


CORPORA: dict[str, tuple[bytes, str]] = {
    "empty.txt": (b"", r"empty\.txt: too few lines"),
    "bytes.txt": (b"\xff\xfe\n" * 1000, r"bytes\.txt: [0-9,]+ bytes are not UTF-8, of"),
    "line.txt": (b"a" * 10_000, r"line\.txt: too few lines"),
    "text.txt.gz": (b"\x1f\x8b", r"text\.txt\.gz: a \.gz file is no plain text"),
    "code.txt": (b"a line\n", r"2 corpora are called 'code'"),
}


@pytest.mark.parametrize(("name", "case"), CORPORA.items(), ids=CORPORA)
def test_a_corpus_that_cannot_be_measured_is_told(
    name: str,
    case: tuple[bytes, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(case[0])
    beside = ["code"] if name == "code.txt" else []
    told = _error(capfd, "train", "--quick", "--engines", "minbpe", "--corpora", tmp_path / name, *beside)
    assert re.search(case[1], told)
