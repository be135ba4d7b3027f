"""The command line: results on stdout, everything else on stderr, exit codes 0, 1, 2 and 130."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minbpe
from minbpe.cli import main
from minbpe.shards import verify

GPT2 = minbpe.get_encoding("gpt2")
TEXT = "the theme of the thesis is the theory\n" * 20
MINBPE = [sys.executable, "-m", "minbpe"]
COMMANDS = ["train", "extend", "count", "shard", "encode", "decode", "inspect", "demo"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    directory = tmp_path / "corpus"
    directory.mkdir()
    (directory / "a.txt").write_text(TEXT)
    (directory / "b.txt").write_text("another text, for the sake of order")
    return directory


@pytest.fixture
def model(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    assert main(["train", str(corpus), "--size", "270", "--out", str(tmp_path / "tok")]) == 0
    capfd.readouterr()
    return tmp_path / "tok.model"


def output(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that prints nothing on stderr, and return what it prints on stdout."""
    assert main([str(argument) for argument in arguments]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    return captured.out


def error(capfd: pytest.CaptureFixture[str], code: int, *arguments: str | Path) -> str:
    """Run a command that exits with `code`, and return the one line of error that it prints on stderr."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    line, *rest = captured.err.splitlines()
    assert line.startswith("minbpe: error: ")
    assert len(rest) == (1 if code == 2 else 0)
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_of_help_with_an_example(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    page = output(capfd, command, "--help")
    assert f"Example: minbpe {command}" in page
    assert len(page.splitlines()) <= 60


def test_the_command_alone_lists_all_commands(capfd: pytest.CaptureFixture[str]) -> None:
    page = output(capfd)
    assert all(command in page for command in COMMANDS)
    assert output(capfd, "--version").strip() == minbpe.__version__


def test_train_writes_what_the_function_trains(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from minbpe.training import train

    out = tmp_path / "tok"
    facts = json.loads(output(capfd, "train", corpus, "--size", "270", "--out", out, "--json"))
    expected = train([corpus / "a.txt", corpus / "b.txt"], 270, special_tokens=["<|endoftext|>"])
    assert minbpe.Vocabulary.load(f"{out}.model") == expected
    assert (facts["tokens"], facts["merges"], facts["digest"]) == (270, 13, expected.digest)
    assert facts["ordinary"] == 269
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "tok.model", "tok.vocab"]


def test_train_takes_every_option(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from minbpe.training import train

    options = ["--pattern", "gpt2", "--tie-break", "lowest", "--byte-order", "gpt2", "--threads", "1", "--glob", "a*"]
    specials = ["--special", "<s>", "--special", "</s>"]
    output(capfd, "train", corpus, "--size", "270", "--out", tmp_path / "tok", *options, *specials)
    expected = train(
        corpus / "a.txt", 270, pattern="gpt2", tie_break="lowest", byte_order="gpt2", special_tokens=["<s>", "</s>"]
    )
    assert minbpe.Vocabulary.load(tmp_path / "tok.model") == expected
    output(capfd, "train", corpus, "--size", "270", "--out", tmp_path / "tok", "--no-special")
    assert minbpe.Vocabulary.load(tmp_path / "tok.model").special_tokens == {}


def test_train_takes_stages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from minbpe.training import train

    texts = [TEXT + str(n) for n in range(3)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    arguments = ["train", tmp_path / "x.jsonl", "--out", tmp_path / "tok", "--size", "275"]
    output(capfd, *arguments, "--stage", "gpt4:265", "--stage", "none:275")
    expected = train(texts, 275, stages=[("gpt4", 265), (None, 275)], special_tokens=["<|endoftext|>"])
    assert minbpe.Vocabulary.load(tmp_path / "tok.model") == expected
    facts = json.loads(output(capfd, "inspect", tmp_path / "tok.model", "--json"))
    assert facts["stages"] == [
        {"first_rank": 0, "pattern": minbpe.GPT4_SPLIT_PATTERN},
        {"first_rank": 8, "pattern": None},
    ]
    assert "from merge 8 on, by none: a text is one piece" in output(capfd, "inspect", tmp_path / "tok.model")
    assert "write PATTERN:SIZE, such as gpt4:24576" in error(capfd, 2, *arguments, "--stage", "gpt4")
    assert "no split pattern is named 'gpt9'" in error(capfd, 2, *arguments, "--stage", "gpt9:275")
    assert "2,147,483,136 tokens at most" in error(capfd, 2, *arguments[:-2], "--stage", "none:2147483137")
    assert "leave --size out" in error(capfd, 2, *arguments, "--stage", "none:274")
    output(capfd, *arguments[:-2], "--stage", "gpt4:265", "--stage", "none:275")
    assert minbpe.Vocabulary.load(tmp_path / "tok.model") == expected


def test_stages_take_a_file_of_counts_each(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stages = ["--stage", "gpt4:265", "--stage", "none:275"]
    arguments = ["--out", tmp_path / "tok", "--size", "275", *stages]
    digest = json.loads(output(capfd, "train", corpus, *arguments, "--json"))["digest"]
    files = [tmp_path / f"{pattern}.counts" for pattern in ("gpt4", "none")]
    for file in files:
        output(capfd, "count", corpus, "--out", file, "--pattern", file.stem)
    assert json.loads(output(capfd, "train", *files, *arguments, "--json"))["digest"] == digest
    message = error(capfd, 1, "train", *files, files[0], *arguments)
    assert "for 2 stages give as many PieceCounts" in message
    assert "a file of counts for each, in this order" in message
    assert "do not add up" in error(capfd, 1, "train", *files, *arguments[:-4])


def test_limits_below_one_are_wrong_uses(corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for limit in ("--min-frequency", "--max-token-length"):
        assert "Must be >= 1" in error(capfd, 2, "train", corpus, "--out", tmp_path / "tok", limit, "0")


def test_train_on_records_equals_train_on_their_texts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from minbpe.training import train

    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"body": TEXT + str(n)}) + "\n" for n in range(3)))
    output(capfd, "train", tmp_path / "x.jsonl", "--field", "body", "--size", "262", "--out", tmp_path / "tok")
    expected = train([TEXT + str(n) for n in range(3)], 262, special_tokens=["<|endoftext|>"])
    assert minbpe.Vocabulary.load(tmp_path / "tok.model") == expected


def test_a_corpus_that_cannot_fill_the_vocabulary_is_a_warning_of_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("aaaa")
    run = [*MINBPE, "train", str(tmp_path / "a.txt"), "--size", "1000", "--out", str(tmp_path / "tok")]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("minbpe: warning: ")
    assert len(done.stderr.splitlines()) == 1


def test_encode_prints_a_document_a_line(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert output(capfd, "encode", "-t", "gpt2", "hello world", "hello") == "31373 995\n31373\n"
    assert output(capfd, "encode", "-t", "gpt2", "--json", "hello world") == "[31373, 995]\n"
    ours = minbpe.Encoding.from_vocabulary(minbpe.Vocabulary.load(model))
    assert output(capfd, "encode", "-t", model, "the theory").split() == [*map(str, ours.encode("the theory"))]


def test_text_spells_special_tokens_only_if_asked(capfd: pytest.CaptureFixture[str]) -> None:
    assert output(capfd, "encode", "-t", "gpt2", "<|endoftext|>") == "27 91 437 1659 5239 91 29\n"
    assert output(capfd, "encode", "-t", "gpt2", "--special", "<|endoftext|>") == "50256\n"


def test_encode_reads_files(corpus: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = output(capfd, "encode", "-t", "gpt2", "--file", corpus)
    assert len(whole.splitlines()) == 2
    lines = output(capfd, "encode", "-t", "gpt2", "--lines", "--file", corpus / "a.txt").splitlines()
    assert lines == [" ".join(map(str, GPT2.encode(TEXT.splitlines()[0])))] * 20


@pytest.mark.parametrize("options", [[], ["--lines"]])
def test_decode_gives_back_what_encode_read_byte_for_byte(options: list[str]) -> None:
    data = b"caf\xe9\r\n\n  two \xf0\x9f\x91\x8d\x00 lines\n"
    encoded = subprocess.run(
        [*MINBPE, "encode", "-t", "gpt2", *options], input=data, stdout=subprocess.PIPE, check=True
    )
    decoded = subprocess.run(
        [*MINBPE, "decode", "-t", "gpt2", *options], input=encoded.stdout, stdout=subprocess.PIPE, check=True
    )
    assert decoded.stdout == data


def test_decode_takes_arguments_files_and_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids").write_text("[31373, 995]\n31373\n")
    assert output(capfd, "decode", "-t", "gpt2", "31373", "995") == "hello world"
    assert output(capfd, "decode", "-t", "gpt2", "--file", tmp_path / "ids") == "hello worldhello"
    assert output(capfd, "decode", "-t", "gpt2", "31373", "--file", tmp_path / "ids") == "hellohello worldhello"
    assert output(capfd, "decode", "-t", "gpt2", "--json", "--file", tmp_path / "ids") == '"hello world"\n"hello"\n'


@pytest.mark.parametrize(
    "line", ['["a"]', "[1.5]", "[[1]]", "[null]", "[true]", "[1, 2", "[" * 100_000, "1 x", "9" * 5000, "\\x00\\xff"]
)
def test_a_line_that_holds_no_ids_is_an_error_that_shows_how_it_begins(
    line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ids").write_text(f"\n{line}\n")
    message = error(capfd, 1, "decode", "-t", "gpt2", "--file", tmp_path / "ids")
    assert "ids:2: b" in message
    assert "is no line of ids: write them as `1 2 3` or `[1, 2, 3]`" in message


def test_shard_writes_and_verifies(
    corpus: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    facts = json.loads(output(capfd, "shard", corpus, "--tokenizer", model, "--out", out, "--json"))
    manifest = verify(out)
    assert (facts["documents"], facts["ids"]) == (2, manifest.tokens)
    assert "documents" in output(capfd, "shard", "--verify", out)
    (out / "train_000000.idx").unlink()
    assert "train_000000.idx is missing" in error(capfd, 1, "shard", "--verify", out)


def test_shards_without_their_vocabulary_are_said_to_lack_it(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    output(capfd, "shard", corpus, "-t", "gpt2", "-o", out, "--tokens-per-shard", "100")
    (out / "vocabulary.model").unlink()
    (out / "other.bin").write_bytes(b"no shard")
    missing = "vocabulary.model is missing: put the vocabulary there that its ids are of"
    for command in (["inspect", out], ["encode", "-t", out, "x"]):
        assert f"shards holds manifest.json and 2 shards, but {missing}" in error(capfd, 1, *command)
    assert "vocabulary.model" in error(capfd, 1, "shard", "--verify", out)
    (out / "manifest.json").unlink()
    assert f"shards holds 2 shards, but {missing}" in error(capfd, 1, "inspect", out)


def test_inspect_shows_vocabularies_and_shards(
    corpus: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    digest = minbpe.Vocabulary.load(model).digest
    facts = json.loads(output(capfd, "inspect", model, "--json"))
    assert (facts["tokens"], facts["ordinary"], facts["merges"], facts["digest"]) == (270, 269, 13, digest)
    assert "100,256" in output(capfd, "inspect", "cl100k_base")
    # Two of its special tokens share an id.
    facts = json.loads(output(capfd, "inspect", "o200k_harmony", "--json"))
    assert (facts["tokens"], facts["ordinary"], len(facts["special"])) == (201_088, 199_998, 1_091)
    output(capfd, "shard", corpus, "-t", model, "-o", tmp_path / "shards")
    facts = json.loads(output(capfd, "inspect", tmp_path / "shards", "--json"))
    assert (facts["documents"], facts["digest"]) == (2, digest)
    first = tmp_path / "shards" / "train_000000.bin"
    first.write_bytes(first.read_bytes()[:1024] + b"\xff" * (first.stat().st_size - 1024))
    message = error(capfd, 1, "inspect", tmp_path / "shards")
    assert f"{first} is damaged: no token has the id 65535: ids go up to 269; the command that wrote it" in message


def test_a_directory_that_may_not_be_read_is_not_passed_over(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (corpus / "locked").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "locked" in error(capfd, 1, "train", corpus, "--out", tmp_path / "tok")


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").touch()
    for command in (["inspect", tmp_path / "a"], ["encode", "-t", tmp_path / "a", "text"]):
        assert error(capfd, 1, *command).endswith("a is empty: take the file from its source again")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "-t", "nope", "x"], "no tokenizer 'nope'"),
        (["decode", "-t", "gpt2", "99999"], "no token has the id 99999"),
        (["train", "nowhere", "--out", "x"], "nowhere: no such file"),
        (["train", __file__, "--out", "x", "--pattern", "("], "pattern"),
        (
            ["train", __file__, "--out", "x", "--pattern", "none", "--pattern", "gpt2"],
            "none takes each document as one",
        ),
        (
            ["train", __file__, "--out", "x", "--size", "256"],
            "--size is 256, and 256 bytes and 1 special token are 257: give",
        ),
        (["train", __file__, "--out", "no/such/place/x", "--size", "260"], "no/such/place: no such directory"),
        (["train", __file__, "--out", ".model"], "--out '.model' names no file"),
        (["train", __file__, "--out", ".."], "--out '..' names no file"),
        (["train", __file__, "--out", "./"], "--out './' names no file"),
        (["train", __file__, "--out", "x", "--pattern", "\udcff"], "lone surrogates are not: '\\udcff' holds one"),
        (["shard", __file__, "-t", "gpt2", "--out", __file__], "test_cli.py is a file: name a directory to write"),
        (["shard", __file__, "-t", "gpt2", "--out", "x", "--end-of-text-token", "</s>"], "no special token '</s>'"),
        (
            ["shard", __file__, "-t", "gpt2", "--out", "x", "--end-of-text-token", "</s>"],
            "ask for --end-of-text='none'",
        ),
        (["demo", __file__, "--out", __file__], "test_cli.py is a file: name a directory to write"),
        (["decode", "-t", "gpt2", "--file", os.curdir], ". is a directory: name a file of ids"),
        (["encode", "-t", "gpt-4o", "x"], "no tokenizer 'gpt-4o': this model uses 'o200k_base', give that"),
        (["shard", "--verify", os.curdir], "holds no manifest.json"),
        (["inspect", __file__], "minbpe v"),
        (["inspect", os.curdir], ". is a directory that holds no shards"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in error(capfd, 1, *arguments)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["encode", "-t", "gpt2", "--nonsense", "x"],
        ["decode", "-t", "gpt2", "one"],
        ["nonsense"],
        ["train", "--out", "x"],
        ["shard", "x"],
        ["shard", "x", "--verify", "y"],
        ["train", "x", "--out", "x", "--tie-break", "random"],
        ["train", "x", "--out", "x", "--threads", "0"],
        ["train", "x", "--out", "x", "--threads", "9" * 30],
        ["train", "x", "--out", "x", "--size", "9" * 30],
        ["train", "x", "", "--out", "x"],
        ["encode", "-t", "gpt2", "--file", ""],
        ["decode", "-t", "gpt2", "1.5"],
    ],
)
def test_a_wrong_use_is_exit_code_2_and_points_to_the_help(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    error(capfd, 2, *arguments)


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert 'pip install "minbpe[data]"' in error(capfd, 1, "encode", "-t", "gpt2", "--file", tmp_path / "a.parquet")


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_ctrl_c_exits_130_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    out = tmp_path / "shards"
    os.mkfifo(tmp_path / "endless")
    command = [*MINBPE, "shard", str(tmp_path / "endless"), "--lines", "-t", "gpt2", "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        with (tmp_path / "endless").open("wb") as pipe:
            while not list(out.glob("*.tmp")):
                pipe.write(b"text " * 2000 + b"\n")
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said.startswith("minbpe: interrupted")
    assert "Traceback" not in said
    assert not list(out.glob("train_*"))


def test_ctrl_c_before_the_command_is_imported_exits_130_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "cyclopts.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    stopped = subprocess.run(
        [*MINBPE, "demo"], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert (stopped.returncode, stopped.stderr) == (130, "minbpe: interrupted: nothing was begun\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes close as on POSIX")
def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text\n" * 100_000)
    command = [*MINBPE, "encode", "-t", "gpt2", "--lines", "--file", str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"5239\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_library_imports_no_command_line() -> None:
    code = "import sys, minbpe; print([name for name in ('cyclopts', 'rich') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
