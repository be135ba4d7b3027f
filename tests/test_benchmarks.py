"""The benchmark runner: which engine gets a figure, which a reason, and what tables show. The figures themselves are not judged."""

import json
import re
import subprocess
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import minbpe
from benchmarks import __main__ as main
from benchmarks import corpora, tables, worst
from benchmarks.__main__ import _command, app
from benchmarks.engine import Encoder, Engine, Setting, Trained
from benchmarks.engines import ENGINES, find_engine
from benchmarks.runner import Runner
from benchmarks.training import difference
from minbpe._core import PATTERNS

ROOT = Path(__file__).parents[1]


def _swap(library: Any, setting: Setting) -> Encoder:
    """Swap the first two ids of a text."""
    encoding = minbpe.get_encoding(setting.encoding)

    def encode(text: str) -> list[int]:
        ids = encoding.encode_ordinary(text)
        return [*ids[1::-1], *ids[2:]]

    return Encoder(text={"list": encode})


WRONG = Engine("wrong", "json", "wrong", _swap)
ABSENT = Engine("absent", "no_such_package.module", "absent-tokenizer", _swap)


def _run(*arguments: str, out: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--quick", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tiktoken", reason="tiktoken, which ids are compared with, is not installed")
    out = tmp_path_factory.mktemp("results") / "encode.jsonl"
    fakes = [f"{__name__}:{engine}" for engine in ("WRONG", "ABSENT")]
    _run(
        "encode",
        "--engines",
        "minbpe",
        "tiktoken",
        *fakes,
        "--shapes",
        "text",
        "documents",
        "--outputs",
        "list",
        out=out,
    )
    return out


@pytest.fixture(scope="module")
def rows(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()]


def _of(rows: list[dict[str, Any]], engine: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["engine"] == engine]


@pytest.mark.parametrize("engine", ["minbpe", "tiktoken"])
def test_an_engine_with_the_right_ids_has_a_figure_for_each_pass(rows: list[dict[str, Any]], engine: str) -> None:
    found = [(row["shape"], row["pass"], row["status"]) for row in _of(rows, engine)]
    assert found == [(shape, name, "ok") for shape in ("text", "documents") for name in ("first", "new", "later")]
    assert all(row["mb_per_second"] > 0 and row["peak_mb"] > 0 for row in _of(rows, engine))


def test_an_engine_with_wrong_ids_has_the_first_difference_and_no_figure(rows: list[dict[str, Any]]) -> None:
    (row,) = _of(rows, "wrong")
    assert row["status"] == "mismatch"
    assert row["note"].startswith("first half, id 0 is ")
    assert "seconds" not in row


def test_a_missing_engine_has_a_row_that_says_how_to_install_it(rows: list[dict[str, Any]]) -> None:
    (row,) = _of(rows, "absent")
    assert (row["status"], row["note"]) == ("missing", "not installed: pip install absent-tokenizer")


def test_a_row_says_under_what_conditions_it_was_measured(rows: list[dict[str, Any]]) -> None:
    row = _of(rows, "minbpe")[0]
    assert row["machine"].keys() == {"cpu", "cores", "system", "python", "pinned"}
    assert row["command"].startswith("python -m benchmarks encode --engines minbpe tiktoken ")
    assert (row["version"], row["threads"], len(row["sha256"])) == (minbpe.__version__, 1, 64)


def test_results_in_a_file_make_the_tables(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["table", str(results)], result_action="return_value")
    shown = capsys.readouterr().out
    assert "| corpus, pass | minbpe | tiktoken | wrong | ours to the best rival |" in shown
    assert "| MISMATCH |" in shown
    assert "- absent MISSING: not installed: pip install absent-tokenizer" in shown
    assert "Ids are compared with those of tiktoken." in shown
    assert shown.count("### encode: cl100k_base") == 2


@pytest.mark.parametrize(
    ("benchmark", "figures"),
    [
        ("worst", {"seconds", "pass", "mb_per_second"}),
        ("train", {"seconds", "peak_mb", "bytes_per_token"}),
        ("load", {"seconds", "import_seconds", "memory_mb"}),
    ],
)
def test_the_other_benchmarks_run_too(benchmark: str, figures: set[str], tmp_path: Path) -> None:
    rows = _run(benchmark, "--engines", "minbpe", out=tmp_path / "rows.jsonl")
    assert all(row["status"] == "ok" and figures <= row.keys() for row in rows)
    assert rows


def test_merges_are_compared_with_the_naive_reference_under_both_tie_rules(tmp_path: Path) -> None:
    arguments = ("--engines", "minbpe", "reference", "tiktoken", "--tie-breaks", "lowest", "first")
    rows = _run("train", *arguments, out=tmp_path / "rows.jsonl")
    compared = [(row["tie_break"], row["engine"], row["equal"]) for row in rows if row["status"] == "ok"]
    assert compared == [(rule, engine, True) for rule in ("lowest", "first") for engine in ("minbpe", "reference")]


def _reference(tmp_path: Path) -> Path:
    (tmp_path / "reference").write_text(json.dumps([["61", "62"], ["6162", "63"]]))
    return tmp_path / "reference"


def test_the_first_merge_that_differs_is_told(tmp_path: Path) -> None:
    right, wrong = (b"a", b"b"), (b"a", b"bc")
    assert difference(Trained(pairs=lambda: [right, (b"ab", b"c")]), _reference(tmp_path)) is None
    assert difference(Trained(tokens=lambda: [b"ab", b"abc"]), _reference(tmp_path)) is None
    told = difference(Trained(pairs=lambda: [right, wrong]), _reference(tmp_path))
    assert told == "merge 1 of 2 makes (b'a', b'bc') and should make (b'ab', b'c')"
    told = difference(Trained(tokens=lambda: [b"ab"]), _reference(tmp_path))
    assert told == "merge 1 of 1 makes nothing and should make b'abc'"


@pytest.mark.parametrize("kind", worst.KINDS)
def test_the_halves_of_a_kind_are_two_texts_of_the_size_asked_for(kind: str, tmp_path: Path) -> None:
    corpus = worst.prepare(kind, 0.01, tmp_path)
    first, second = corpus.first.read_bytes(), corpus.second.read_bytes()
    assert first != second
    assert all(9_700 <= len(half) <= 10_000 for half in (first, second))


def test_what_does_not_come_to_an_end_is_a_row_that_says_so(tmp_path: Path) -> None:
    runner = Runner("worst", ENGINES, 1, tmp_path, {}, patience=0.001)
    outcomes = runner.take_turns("load", {"encoding": "cl100k_base"}, ["minbpe"])
    assert list(outcomes) == []
    (row,) = runner.rows
    assert (row["engine"], row["status"], row["note"]) == ("minbpe", "failed", "given up after 0.001 seconds")


def test_on_a_terminal_tables_are_aligned_and_as_wide_as_it(results: Path) -> None:
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    lines = tables.markdown(rows, 80).splitlines()
    shown = [line for line in lines if line.startswith("|")]
    assert max(map(len, shown)) <= 80
    assert all({line.index("|", 1) for line in part} == {part[0].index("|", 1)} for part in _tables(lines))
    assert sum("| minbpe" in re.sub(" +", " ", line) for line in shown) == 2
    assert tables.markdown(rows).count("ours to the best rival") == tables.markdown(rows, 80).count(
        "ours to the best rival"
    )


def _tables(lines: list[str]) -> list[list[str]]:
    """The lines of each table."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_a_table_has_medians_ratios_and_reasons() -> None:
    about: dict[str, Any] = {
        "benchmark": "encode",
        "encoding": "gpt2",
        "shape": "text",
        "output": "list",
        "threads": 1,
        "corpus": "code",
        "bytes": 2_000_000,
        "sha256": "ab12",
        "machine": {"cpu": "a cpu", "cores": 2, "system": "Linux x86_64", "python": "3.12.1", "pinned": True},
    }
    ok = {"status": "ok", "pass": "new"}
    rows = [
        about | {"engine": "rival", "version": "2.1"} | ok | {"seconds": [0.02], "mb_per_second": 50.0},
        about | {"engine": "slow", "version": "3"} | ok | {"seconds": [0.1], "mb_per_second": 10.0},
        about | {"engine": "minbpe", "version": "0.1"} | ok | {"seconds": [0.01, 0.005, 0.02], "mb_per_second": 100.0},
        about | {"engine": "other", "version": "1"} | {"status": "mismatch", "note": "id 3 is 7 and should be 8"},
        {"benchmark": "encode", "engine": "gone", "status": "missing", "note": "not installed: pip install gone"},
    ]
    expected = """
### encode: gpt2, text, list, 1 thread, MB/s

| corpus, pass | minbpe | rival | slow | other | ours to the best rival |
|---|--:|--:|--:|--:|--:|
| code, new | 100 (50 to 200) | 50 (50 to 50) | 10 (10 to 10) | MISMATCH | 2.00 (rival) |
| code, peak MB |  |  |  | MISMATCH |  |

- other MISMATCH (code gpt2 text list): id 3 is 7 and should be 8
- gone MISSING: not installed: pip install gone

A ratio above 1 says that ours is the better, in memory too.

Versions: rival 2.1, slow 3, minbpe 0.1, other 1.

Machine: a cpu, 2 cores, Linux x86_64, Python 3.12.1, processes pinned to their cores.

- code: sha256 ab12
"""
    assert tables.markdown(rows) == expected.lstrip()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpora.prepare("code", 200_000, tmp_path_factory.mktemp("code")).first


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_documents_to_train_on_have_the_pieces_of_the_whole_file(pattern: str, code: Path) -> None:
    documents, text = list(corpora.stream(code, 10)), code.read_bytes().decode()
    assert len(documents) > 100
    assert "".join(documents) == text
    assert dict(minbpe.count(documents, pattern=pattern).items()) == dict(minbpe.count(text, pattern=pattern).items())


def test_documents_to_encode_are_the_text_and_of_the_size_asked_for(tmp_path: Path) -> None:
    text = corpora.prepare("logs", 200_000, tmp_path).second.read_bytes().decode() + "é中👍" * 1000
    documents = corpora.cut(text, 20, 20)
    assert "".join(documents) == text
    assert {len(document.encode()) for document in documents[:-1]} <= {18, 19, 20}


def test_the_two_parts_of_a_corpus_are_the_same_each_time_and_share_no_block(tmp_path: Path) -> None:
    once = corpora.prepare("logs", 100_000, tmp_path)
    parts = [set(file.read_text().splitlines()) for file in (once.first, once.second)]
    assert parts[0] and parts[1] and not parts[0] & parts[1]
    assert corpora.prepare("logs", 100_000, tmp_path).sha256 == once.sha256


def test_training_on_a_whole_file_leaves_out_little_but_what_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("a line of 23 characters\n" * 50_000)
    corpus = corpora.prepare(str(tmp_path / "lines"), 1_200_000, tmp_path, every=16)
    trained, held_out = (file.stat().st_size for file in (corpus.first, corpus.second))
    assert 0.98 < (trained + held_out) / 1_200_000 < 1
    assert 0.05 < held_out / trained < 0.07


def test_a_directory_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("one line\n" * 500)
    (tmp_path / "texts" / "b.bin").write_bytes(b"\xff")
    assert corpora.prepare(str(tmp_path / "texts"), 10_000, tmp_path).bytes > 3000


@pytest.mark.parametrize("name", ["no-such-corpus", "no-such-directory/text"])
def test_an_unknown_corpus_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"neither a corpus \(code, logs"):
        corpora.find(name)


def test_an_unknown_engine_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no engine is called 'gone': there are minbpe, tiktoken, .*MODULE:NAME"):
        find_engine("gone")


def test_every_engine_of_the_table_encodes_or_trains() -> None:
    assert all(engine.encoder or engine.trainer for engine in ENGINES.values())


def test_two_runs_of_a_minute_write_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    opened = []
    for second in (1, 2):
        monkeypatch.setattr(main, "datetime", SimpleNamespace(now=partial(datetime, 2026, 1, 1, 0, 0, second)))
        opened.append(main._new_results("encode"))
    with opened[0] as first, opened[1] as later:
        assert first.name != later.name
        with pytest.raises(FileExistsError):
            main._new_results("encode")


def test_results_tell_the_command_without_the_machines_paths() -> None:
    told = _command(["train", "--corpora", "/somewhere/on/this machine/big.txt", "code", "--runs", "1"])
    assert told == "python -m benchmarks train --corpora big.txt code --runs 1"
