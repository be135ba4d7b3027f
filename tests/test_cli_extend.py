"""The command line that extends a vocabulary: what is added, what stays, and what is refused."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minbpe
from minbpe import Vocabulary, extend, train
from minbpe.cli import main
from minbpe.counting import PieceCounts
from tests.test_cli import TEXT, error, output
from tests.test_counting_signals import INTERRUPTED

DOMAIN = "acetylsalicylic acid, ibuprofen, paracetamol\n" * 20
GPT2 = minbpe.get_encoding("gpt2").vocabulary


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    directory = tmp_path / "corpus"
    directory.mkdir()
    (directory / "a.txt").write_text(TEXT)
    (directory / "b.txt").write_text(DOMAIN)
    return directory


@pytest.fixture
def files(corpus: Path) -> list[Path]:
    return sorted(corpus.iterdir())


@pytest.mark.parametrize("tie_break", ["first", "lowest"])
@pytest.mark.parametrize("name", ["small", "small.model"])
def test_extending_on_the_same_text_writes_what_training_to_the_larger_size_writes(
    name: str, tie_break: str, corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--tie-break", tie_break]
    for size, out in (("262", "small"), ("280", "once")):
        output(capfd, "train", corpus, "--size", size, "--no-special", "--out", tmp_path / out, *options)
    output(capfd, "extend", tmp_path / name, corpus, "--add", "18", "--out", tmp_path / "large", *options)
    for kind in ("model", "vocab"):
        assert (tmp_path / f"large.{kind}").read_bytes() == (tmp_path / f"once.{kind}").read_bytes()


def test_special_tokens_stay_where_they_are_and_the_tokens_are_the_same(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for size, out in (("262", "small"), ("280", "once")):
        output(capfd, "train", corpus, "--size", size, "--out", tmp_path / out)
    output(capfd, "extend", tmp_path / "small", corpus, "--add", "18", "--out", tmp_path / "large")
    large, once = (Vocabulary.load(tmp_path / f"{name}.model") for name in ("large", "once"))
    assert [token for _, token in large.items()] == [token for _, token in once.items()]
    assert large.special_tokens == {"<|endoftext|>": 261}
    assert large.ids[-18:] == tuple(range(262, 280))


def test_a_published_vocabulary_keeps_its_ids_and_its_special_tokens(
    files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    facts = json.loads(output(capfd, "extend", "gpt2", *files, "--add", "5", "--out", out, "--json"))
    extended = Vocabulary.load(tmp_path / "out.model")
    assert extended == extend(GPT2, files, 5)
    assert (extended.merges[:-5], extended.ids[:-5], extended.byte_ids) == (GPT2.merges, GPT2.ids, GPT2.byte_ids)
    del facts["seconds"]
    assert facts == {
        "model": f"{out}.model",
        "tokens": 50_262,
        "ordinary": 50_261,
        "highest_id": 50_261,
        "merges_added": 5,
        "special": {"<|endoftext|>": 50_256},
        "files": 2,
        "bytes": sum(file.stat().st_size for file in files),
        "digest": extended.digest,
    }
    page = output(capfd, "extend", "gpt2", *files, "--add", "5", "--out", out)
    assert "merges added  5\nspecial       <|endoftext|> 50256\n" in page


def test_sources_stand_before_options_after_them_and_on_both_sides(
    files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--add", "5", "--out", tmp_path / "out"]
    first, second = files
    for line in (
        ["gpt2", first, second, *options],
        ["gpt2", *options, first, second],
        ["gpt2", first, *options, second],
        [*options, "gpt2", first, second],
    ):
        output(capfd, "extend", *line)
        assert Vocabulary.load(tmp_path / "out.model") == extend(GPT2, files, 5)


def test_extend_takes_every_option(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = [DOMAIN + f"dose {n}" for n in range(3)]
    with gzip.open(tmp_path / "x.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"body": text}) + "\n" for text in texts)
    (tmp_path / "x.txt").write_text("ibuprofen\nparacetamol")
    out = tmp_path / "out"
    limits = ["--min-count", "9", "--min-frequency", "3", "--max-token-length", "12", "--tie-break", "lowest"]
    resources = ["--threads", "1", "--max-memory", "1M", "--spill-to", tmp_path]
    reading = ["--glob", "*.gz", "--field", "body"]
    line = ["extend", "gpt2", tmp_path, "--add", "4", "-o", f"{out}.model", *limits, *resources, *reading]
    facts = json.loads(output(capfd, *line, "--json"))
    expected = extend(GPT2, texts, 4, min_count=9, min_frequency=3, max_token_length=12, tie_break="lowest")
    assert Vocabulary.load(f"{out}.model") == expected
    counts = minbpe.count(texts, pattern=GPT2.pattern)
    kept = counts.at_least(9)
    assert facts["dropped"] == counts.total - kept.total > 0
    assert facts["dropped_distinct"] == len(counts) - len(kept)
    by_line = ["extend", "gpt2", tmp_path / "x.txt", "--lines", "--add", "2", "--out", out]
    output(capfd, *by_line)
    assert Vocabulary.load(f"{out}.model") == extend(GPT2, ["ibuprofen", "paracetamol"], 2)


def test_counts_of_the_vocabulary_s_pattern_are_as_good_as_text(
    files: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counts = [file.with_suffix(".counts") for file in files]
    for file, counted in zip(files, counts, strict=True):
        output(capfd, "count", file, "--pattern", "cl100k", "--out", counted)
    line = ["--add", "5", "--out", tmp_path / "out"]
    output(capfd, "extend", "cl100k_base", *counts, *line)
    assert Vocabulary.load(tmp_path / "out.model") == extend(minbpe.get_encoding("cl100k_base").vocabulary, files, 5)
    message = error(capfd, 1, "extend", "o200k_base", *counts, *line)
    assert (
        "made with the pattern 'cl100k', and the vocabulary splits text by 'o200k': count the corpus again" in message
    )
    assert f"run minbpe count on {files[0]} first" in error(
        capfd, 1, "extend", "cl100k_base", counts[0], files[0], *line
    )
    PieceCounts.from_items([("paracetamol", 5)]).save(counts[0])
    output(capfd, "extend", "gpt2", counts[0], "--add", "1", "--out", tmp_path / "out")


def test_a_vocabulary_is_replaced_by_its_extension_if_that_is_its_name_and_never_for_being_read(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    train(TEXT, 262).save(own)
    output(capfd, "extend", own, corpus, "--add", "4", "--out", own)
    assert len(Vocabulary.load(f"{own}.model")) == 266
    before = (tmp_path / "own.vocab").read_bytes()
    for kind in ("model", "vocab"):
        line = error(capfd, 1, "extend", own, corpus, tmp_path / f"own.{kind}", "--add", "4", "--out", own)
        assert f"own.{kind} is a file to read, and would be lost" in line
    assert (tmp_path / "own.vocab").read_bytes() == before


@pytest.mark.filterwarnings("always")
def test_a_text_that_does_not_give_so_many_tokens_is_a_warning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("acetylsalicylic")
    line = ["extend", "gpt2", str(tmp_path / "a.txt"), "--add", "1000", "--out", str(tmp_path / "out"), "--json"]
    assert main(line) == 0
    said = capfd.readouterr()
    added = json.loads(said.out)["merges_added"]
    assert 0 < added < 10
    assert said.err.startswith(f"minbpe: warning: the corpus has no pairs left after {added} merges, so there are")
    assert len(said.err.splitlines()) == 1


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nope a.txt --add 1 --out x", "no tokenizer 'nope'"),
        ("ranks a.txt --add 1 --out x", "has a token that merges do not reach"),
        ("a.txt a.txt --add 1 --out x", "a.txt, line 1: expected 'minbpe v2'"),
        ("gpt2 nowhere --add 1 --out x", "nowhere: no such file or directory"),
        ("gpt2 empty --add 1 --out x", "there is no text in 1 file, and nothing to learn"),
        ("gpt2 empty --lines --add 1 --out x", "there is no text in 1 file, and nothing to learn"),
        ("gpt2 a.txt --add 1 --out x --min-count 9", "no piece was seen 9 times, as --min-count asks for"),
        ("gpt2 a.txt --add 1 --out no/such/place/x", "no/such/place: no such directory to write x.model in"),
        ("gpt2 a.txt --add 1 --out ./", "--out './' names no file"),
        ("gpt2 a.txt --add 4294967296 --out x", "2,147,483,136 tokens at most, with ids below 2^32"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Vocabulary.from_ranks({bytes([byte]): byte for byte in range(256)} | {b"abc": 256}).save("ranks")
    Path("a.txt").write_text("a text\n")
    Path("empty").touch()
    there = sorted(tmp_path.iterdir())
    assert message in error(capfd, 1, "extend", *line.split())
    assert sorted(tmp_path.iterdir()) == there


def test_what_is_missing_or_no_number_is_a_wrong_use(capfd: pytest.CaptureFixture[str]) -> None:
    line = ["extend", "gpt2", __file__, "--out", "x"]
    assert error(capfd, 2, *line).endswith("error: --add is missing")
    assert error(capfd, 2, *line[:-2], "--add", "1").endswith("error: --out is missing")
    assert error(capfd, 2, "extend", "gpt2", "--add", "1", "--out", "x").endswith("error: SOURCES is missing")
    for number in ("-1", "0"):
        assert "--add. Must be >= 1" in error(capfd, 2, *line, "--add", number)
    assert "--spill-to is for what passes --max-memory" in error(capfd, 2, *line, "--add", "1", "--spill-to", ".")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["count", "train"])
def test_an_interruption_leaves_the_vocabulary_as_it_was_and_the_same_command_goes_on(
    stage: str, how: signal.Signals, corpus: Path, tmp_path: Path
) -> None:
    small = train(TEXT, 262)
    small.save(tmp_path / "own")
    before = (tmp_path / "own.model").read_bytes()
    arguments = ["extend", "own", str(corpus), "--add", "9", "--out", "own"]
    run = [sys.executable, "-c", INTERRUPTED, str(int(how)), stage, "1", *arguments]
    stopped = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert stopped.returncode == 130
    way_out = "minbpe extend --resume goes on from own.checkpoint"
    assert stopped.stderr == f"minbpe: interrupted: nothing half-written is left; {way_out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "own.checkpoint", "own.model", "own.vocab"]
    assert (tmp_path / "own.model").read_bytes() == before
    run[4] = "never"
    subprocess.run([*run, "--resume"], cwd=tmp_path, capture_output=True, check=True)
    assert Vocabulary.load(tmp_path / "own.model") == extend(small, sorted(corpus.iterdir()), 9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "own.model", "own.vocab"]
