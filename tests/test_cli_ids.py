"""Ids on the command line: documents and lines of ids longer than what is held in memory at a time."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from io import BufferedReader, BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import cli
from minbpe.cli import ids
from tests.test_cli import GPT2, error, output

TEXTS = ["the theme of the thesis\r\n" * 40, "", "<|endoftext|>caf\u00e9 \U0001f44d<|endoftext|>", "x" * 300]
STRETCHES = st.integers(1, 40)


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of documents, each long enough to be encoded in stretches."""
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_bytes(text.encode())
        (tmp_path / f"{number}.txt.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    return tmp_path


@pytest.fixture
def stretch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many bytes are read and encoded at a time."""
    monkeypatch.setattr(ids, "STRETCH", request.param)
    monkeypatch.setattr("minbpe.batches.BATCH_BYTES", request.param)


def named(files: Iterable[Path]) -> list[str]:
    """The arguments that name files."""
    return [argument for file in sorted(files) for argument in ("--file", str(file))]


@pytest.mark.parametrize("stretch", [1, 5, 64], indirect=True)
@pytest.mark.usefixtures("stretch")
def test_a_long_document_has_one_line_of_all_its_ids(documents: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = named(documents.iterdir())
    for options, allowed in ([], set[str]()), (["--special"], GPT2.special_tokens_set):
        expected = [GPT2.encode(text, allowed_special=allowed, disallowed_special=()) for text in TEXTS for _ in "ab"]
        plain = output(capfd, "encode", "-t", "gpt2", *options, *files)
        assert plain == "".join(" ".join(map(str, row)) + "\n" for row in expected)
        listed = output(capfd, "encode", "-t", "gpt2", "--json", *options, *files)
        assert listed == "".join(f"{row}\n" for row in expected)
        (documents / "ids").write_text(plain)
        (documents / "listed").write_text(listed)
        for name in ("ids", "listed"):
            lines = output(capfd, "decode", "-t", "gpt2", "--json", "--file", documents / name)
            assert lines == "".join(json.dumps(text) + "\n" for text in TEXTS for _ in "ab")
            (documents / name).unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.gz"])
def test_what_comes_through_a_pipe_is_read_once(name: str, documents: Path, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(documents / name)
    content = (documents / f"0.txt{Path(name).suffix}").read_bytes()
    shards = ["shard", documents / name, "-t", "gpt2", "--out", documents / "shards", "--json"]
    for command in (["encode", "-t", "gpt2", "--file", documents / name], shards):
        writer = threading.Thread(target=(documents / name).write_bytes, args=(content,))
        writer.start()
        printed = output(capfd, *command)
        writer.join()
        if command is shards:
            assert json.loads(printed)["bytes"] == len(TEXTS[0])
        else:
            assert printed.split() == [*map(str, GPT2.encode(TEXTS[0]))]


@given(
    rows=st.lists(st.lists(st.integers(0, 50256), max_size=30), max_size=4),
    stretch=STRETCHES,
    between=st.sampled_from([" ", "  ", "\t", "\r"]),
)
def test_a_long_line_of_ids_is_read_as_the_whole(
    rows: list[list[int]], stretch: int, between: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("ids") / "ids"
    spaced = "".join(between.join(map(str, row)) + "\n" for row in rows)
    listed = "".join(json.dumps(row, separators=("," + between, ": ")) + "\n" for row in rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "STRETCH", stretch)
        for text in (spaced, listed, spaced.removesuffix("\n"), listed.removesuffix("\n")):
            file.write_bytes(text.encode())
            read = [[token_id for part in line for token_id in part] for line in ids._documents_of_ids([file])]
            # An empty last line without a newline does not count.
            assert read == rows or (text == spaced.removesuffix("\n") and [*read, []] == rows)


@pytest.mark.parametrize("stretch", [2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    "line",
    [
        *(
            "[1, 2,]",
            "[1, 2,",
            "[,]",
            "[1,,2]",
            "[1], [2]",
            "[1], 2]",
            "[[1, 2]]",
            '["a, b"]',
            "[1, 2]]",
            "[1, 2",
            "1 2 x",
        ),
        *("[1, true, 2]", "[1, 2.0, 3]", "1, 2", "7" * 9000, "[1, " + "7" * 9000),
    ],
)
def test_what_is_no_list_is_none_in_parts_either(
    line: str, stretch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ids, "STRETCH", stretch)
    (tmp_path / "ids").write_text(f"{line}\n")
    assert minbpe.cli.main(["decode", "-t", "gpt2", "--file", str(tmp_path / "ids")]) == 1
    assert "ids:1: b" in capfd.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="Windows has no arguments that are bytes")
@pytest.mark.parametrize("options", [[], ["--special"], ["--json"]])
def test_an_argument_is_the_bytes_that_a_file_of_them_has(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"caf\xe9 \xf0\x9f\x91 <|endoftext|> na\xc3\xafve \xed\xa0\x80")
    encode = f"{sys.executable} -m minbpe encode -t gpt2 {' '.join(options)}"

    def run(more: str) -> bytes:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            f"{encode} {more}", shell=True, cwd=tmp_path, env=environment, capture_output=True, check=True
        ).stdout

    assert run('"$(cat text)"') == run("--file text") == run("< text")


@pytest.mark.parametrize("stretch", [1, 5, 1 << 20], indirect=True)
@pytest.mark.usefixtures("stretch")
def test_tokens_are_counted(documents: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = named(documents.glob("*.txt"))
    for options, allowed in ([], set[str]()), (["--special"], GPT2.special_tokens_set):
        expected = [len(GPT2.encode(text, allowed_special=allowed, disallowed_special=())) for text in TEXTS]
        for more in (files, TEXTS):
            printed = output(capfd, "encode", "-t", "gpt2", "--count", *options, *more)
            assert printed == "".join(f"{number}\n" for number in expected)
    lines = output(capfd, "encode", "-t", "gpt2", "--count", "--lines", "--json", "--file", documents / "0.txt")
    assert [json.loads(line) for line in lines.splitlines()] == [GPT2.count("the theme of the thesis\r")] * 40


@pytest.mark.parametrize("stretch", [1, 40, 1 << 20], indirect=True)
@pytest.mark.usefixtures("stretch")
def test_only_the_first_ids_are_printed_or_counted(documents: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = named(documents.glob("*.txt"))
    for options, allowed in ([], set[str]()), (["--special"], GPT2.special_tokens_set):
        rows = [GPT2.encode(text, allowed_special=allowed, disallowed_special=()) for text in TEXTS]
        for first in (0, 1, 7, 10**18):
            for sources in (files, TEXTS):
                run = ["encode", "-t", "gpt2", "--first", str(first), *options]
                assert output(capfd, *run, "--json", *sources) == "".join(f"{row[:first]}\n" for row in rows)
                assert output(capfd, *run, "--count", *sources) == "".join(f"{len(row[:first])}\n" for row in rows)


@pytest.mark.skipif(os.name != "posix", reason="pipes and shells are POSIX's")
@pytest.mark.parametrize("options", ["", "--count", "--special", "--file /dev/stdin"])
def test_no_more_is_read_than_the_first_ids_need(options: str) -> None:
    run = f"yes | {sys.executable} -m minbpe encode -t gpt2 --first 3 {options}"
    done = subprocess.run(run, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.split() == (["3"] if options == "--count" else [*map(str, GPT2.encode("y\ny"))])


@pytest.mark.parametrize("options", [[], ["--lines"], ["--special"], ["--count"], ["--count", "--lines", "--special"]])
def test_what_is_printed_does_not_depend_on_threads(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = "%d roses are red<|endoftext|>, caf\u00e9 \u4e2d\u6587 and so on\n"
    text = "".join(line % number for number in range(90_000))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    for number in range(300):
        (tmp_path / f"b{number:03}.txt").write_text(text[:number], encoding="utf-8")
    texts = [text, *(text[:number] for number in range(300))]
    documents = [row for whole in texts for row in whole.splitlines()] if "--lines" in options else texts
    allowed = GPT2.special_tokens_set if "--special" in options else set[str]()
    flat, ends = GPT2.encode_batch_flat(documents, allowed_special=allowed, disallowed_special=())
    rows = [flat[start:end] for start, end in pairwise(ends)]
    expected = "".join(f"{len(row) if '--count' in options else ' '.join(map(str, row))}\n" for row in rows)
    for threads in ("1", "2", "8"):
        run = ["encode", "-t", "gpt2", "--threads", threads, *options, "--file", str(tmp_path)]
        assert output(capfd, *run) == expected


@pytest.mark.parametrize("threads", ["1", "8"])
def test_what_comes_before_a_damaged_file_is_printed(
    threads: str, documents: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("minbpe.documents.LONG", 1 << 24)
    (documents / "9.txt.gz").write_bytes((documents / "0.txt.gz").read_bytes()[:-9])
    assert minbpe.cli.main(["encode", "-t", "gpt2", "--count", "--threads", threads, "--file", str(documents)]) == 1
    printed = capfd.readouterr()
    assert printed.out == "".join(f"{GPT2.count(text)}\n" for text in TEXTS for _ in "ab")
    assert "9.txt.gz: damaged or truncated gzip data" in printed.err


@given(
    text=st.lists(st.sampled_from([b"a", b"\n", b"bc", b"\r\n", b"\xff"]), max_size=30).map(b"".join), stretch=STRETCHES
)
def test_lines_of_standard_input_are_those_of_a_file(text: bytes, stretch: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "STRETCH", stretch)
        groups = ids._lines_so_far(BufferedReader(BytesIO(text)))  # type: ignore[arg-type]
        assert [line for group in groups for line in group] == [line.removesuffix(b"\n") for line in BytesIO(text)]


@pytest.mark.skipif(os.name != "posix", reason="pipes are as on POSIX")
@pytest.mark.parametrize("options", [[], ["--special"], ["--count"]])
def test_a_line_is_printed_before_the_next_one_comes(options: list[str]) -> None:
    run = [sys.executable, "-m", "minbpe", "encode", "-t", "gpt2", "--lines", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with subprocess.Popen(run, **pipes) as process:  # type: ignore[call-overload]
        for text in ("a rose", "is", ""):
            process.stdin.write(f"{text}\n".encode())
            process.stdin.flush()
            row = GPT2.encode(text)
            printed = str(len(row)) if options == ["--count"] else " ".join(map(str, row))
            assert process.stdout.readline().decode() == f"{printed}\n"
        process.stdin.close()


def test_tokens_of_standard_input_are_counted() -> None:
    run = [sys.executable, "-m", "minbpe", "encode", "-t", "gpt2", "--count"]
    done = subprocess.run(run, input=b"hello world\n" * 9, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == GPT2.count("hello world\n" * 9)


def test_a_text_beside_files_is_a_wrong_use(documents: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = error(capfd, 2, "encode", "-t", "gpt2", "--file", documents / "0.txt", "b.txt")
    assert "'b.txt' stands beside --file, and would be encoded as text: write --file before each file" in line


@pytest.mark.skipif(os.name != "posix", reason="standard input is closed as on POSIX")
@pytest.mark.parametrize(("command", "what"), [("encode", "a text"), ("decode", "ids")])
def test_a_closed_standard_input_is_an_error_of_one_line(command: str, what: str) -> None:
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "minbpe", command, "-t", "gpt2"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    said = f"minbpe: error: standard input is closed: give {what}, or --file\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_ctrl_c_says_that_what_was_printed_is_not_complete(command: str) -> None:
    run = [sys.executable, "-m", "minbpe", command, "-t", "gpt2"] + ["--lines"] * (command == "encode")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(run, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(b"1 2 3\n" * 4_000)
        process.stdin.flush()
        assert process.stdout.read(5)
        threading.Timer(0.5, process.send_signal, [signal.SIGINT]).start()
        process.stdout.read()
        said = process.stderr.read()
    assert (process.returncode, said) == (130, b"minbpe: interrupted: what was printed is not complete\n")


def test_an_unknown_id_leaves_no_half_of_a_string(capfd: pytest.CaptureFixture[str]) -> None:
    assert "no token has the id 99999" in error(capfd, 1, "decode", "-t", "gpt2", "--json", "99999")


PEAK = """
import re, sys
from minbpe import cli
code = cli.main(sys.argv[1:])
sys.stderr.write(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("options", [[], ["--special"], ["--count"]])
def test_a_document_takes_no_more_memory_than_a_stretch(options: list[str], tmp_path: Path) -> None:
    text = b"".join(b"%d roses are red\n" % number for number in range(50_000))[: 1 << 20]

    def peak(*arguments: str | Path, source: Path) -> int:
        with (tmp_path / "out").open("wb") as out, source.open("rb") as stdin:
            run = [sys.executable, "-c", PEAK, *map(str, arguments)]
            done = subprocess.run(run, stdin=stdin, stdout=out, stderr=subprocess.PIPE, check=True)
        return int(done.stderr)

    peaks = []
    for megabytes in (4, 40):
        (tmp_path / "text").write_bytes(text * megabytes)
        (tmp_path / "text.gz").write_bytes(gzip.compress(text * megabytes, 1))
        encode = ["encode", "-t", "gpt2", *options]
        now = [peak(*encode, "--file", tmp_path / name, source=Path(os.devnull)) for name in ("text.gz", "text")]
        now.append(peak(*encode, source=tmp_path / "text"))
        if "--count" not in options:
            (tmp_path / "out").rename(tmp_path / "ids")
            now.append(peak("decode", "-t", "gpt2", source=tmp_path / "ids"))
            assert (tmp_path / "out").read_bytes() == text * megabytes
        peaks.append(now)
    # Archives of up to 16 MB are unpacked whole.
    assert all(long - short < 40_000 for short, long in zip(*peaks, strict=True)), peaks


@pytest.mark.parametrize("stretch", [8, 1 << 21], indirect=True)
@pytest.mark.parametrize("options", [[], ["--special"], ["--threads", "2", "--json"], ["--count"], ["--first", "2"]])
@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
@pytest.mark.usefixtures("stretch")
def test_where_the_slow_engine_gives_up_the_documents_before_are_printed(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    minbpe.Vocabulary.from_merges((), pattern=r"(a|aa)+\1b|(?s:.)").save(tmp_path / "slow")
    (tmp_path / "lines").write_text("x\nya\n" + "a" * 5000 + "\nz\n" + "a" * 5000 + "\n")
    command = ["encode", "-t", str(tmp_path / "slow.model"), "--lines", "--file", str(tmp_path / "lines"), *options]
    assert cli.main(command) == 1
    printed, said = capfd.readouterr()
    expected = {"--json": "[120]\n[121, 97]\n", "--count": "1\n2\n"}
    assert printed == expected.get(options[-1] if options else "", "120\n121 97\n")
    assert "minbpe: error: document 3: the split pattern" in said
    assert "gave up" in said
