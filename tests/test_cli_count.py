"""Piece counts on the command line: make them, train on them or on nothing, inspect them."""

import ctypes
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minbpe.checkpoint import Checkpoint, name_of
from minbpe.cli import main
from minbpe.cli.shared import Reading
from minbpe.counting import PieceCounts, count
from minbpe.gathering import Progress
from minbpe.patterns import GPT2_SPLIT_PATTERN
from minbpe.training import learn, train
from minbpe.vocabulary import Vocabulary
from tests.test_cli import TEXT, error, output


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    texts = [TEXT, "another text, for the sake of order " * 9, "an end"]
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.txt").write_text(text)
    return [tmp_path / f"{number}.txt" for number in range(3)]


def test_count_writes_what_the_function_counts(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out = parts[0].with_name("all.counts")
    facts = json.loads(output(capfd, "count", *parts, "--out", out, "--pattern", "gpt2", "--json"))
    expected = count(parts, pattern="gpt2")
    assert PieceCounts.load(out) == expected
    assert (facts["pieces"], facts["distinct"], facts["documents"]) == (expected.total, len(expected), 3)
    assert facts["pattern"] == GPT2_SPLIT_PATTERN


def test_training_on_counts_of_parts_equals_training_on_the_whole(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    counts = [part.with_suffix(".counts") for part in parts]
    for part, out in zip(parts, counts, strict=True):
        output(capfd, "count", part, "--out", out)
    tok = parts[0].with_name("tok")
    output(capfd, "train", *counts, "--size", "290", "--out", tok)
    assert Vocabulary.load(f"{tok}.model") == train(parts, 290, special_tokens=["<|endoftext|>"])


def test_counts_of_parts_are_added_up_to_the_counts_of_the_whole(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    counts = [part.with_suffix(".counts") for part in parts]
    for part, out in zip(parts, counts, strict=True):
        output(capfd, "count", part, "--out", out, "--pattern", "gpt2")
    whole, added = parts[0].with_name("whole"), parts[0].with_name("added")
    for options in ([], ["--min-count", "2"], ["--max-memory", "1M"]):
        told = json.loads(output(capfd, "count", *counts, "--out", added, *options, "--json"))
        expected = json.loads(output(capfd, "count", *parts, "--out", whole, "--pattern", "gpt2", *options, "--json"))
        assert added.read_bytes() == whole.read_bytes()
        assert {**told, "counts": "", "seconds": 0} == {**expected, "counts": "", "seconds": 0}
    line = error(capfd, 1, "count", *counts, "--out", added, "--pattern", "gpt4")
    assert "made with the pattern 'gpt2', and 'gpt4' is asked for" in line


def test_a_pattern_that_counts_do_not_know_stays_unknown_unless_it_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counts, out = tmp_path / "a.counts", tmp_path / "b.counts"
    PieceCounts.from_items([(b"piece", 5)]).save(counts)
    output(capfd, "count", counts, "--out", out)
    assert PieceCounts.load(out) == PieceCounts.load(counts)
    output(capfd, "count", counts, "--out", out, "--pattern", "gpt2")
    assert PieceCounts.load(out).pattern == GPT2_SPLIT_PATTERN


def test_training_on_counts_takes_their_pattern(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out, tok = parts[0].with_name("all.counts"), parts[0].with_name("tok")
    output(capfd, "count", *parts, "--out", out, "--pattern", "none")
    output(capfd, "train", out, "--size", "290", "--out", tok)
    assert Vocabulary.load(f"{tok}.model") == train(parts, 290, pattern=None, special_tokens=["<|endoftext|>"])
    line = error(capfd, 1, "train", out, "--size", "290", "--out", tok, "--pattern", "gpt4")
    assert "made with the pattern None" in line


def test_counts_and_text_are_not_mixed(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out = parts[0].with_name("all.counts")
    output(capfd, "count", *parts, "--out", out)
    for command in ("train", "count"):
        line = error(capfd, 1, command, out, parts[0], "--out", out.with_name("tok"))
        assert f"run minbpe count on {parts[0]} first" in line
    assert "make it first" in error(capfd, 1, "count", parts[0], "--out", out / "missing" / "a.counts")


def test_a_file_of_counts_that_was_cut_is_never_counted_as_text(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    out = parts[0].with_name("all.counts")
    output(capfd, "count", *parts, "--out", out)
    sound = out.read_bytes()
    for length in (0, 1, 16, 17, len(sound) - 1):
        out.write_bytes(sound[:length])
        for command in ("count", "train", "inspect"):
            line = error(capfd, 1, command, out, *([] if command == "inspect" else ["--out", out.with_name("tok")]))
            assert re.search(r"all\.counts (is empty|is cut|is damaged|holds no piece counts)", line)
        assert not list(out.parent.glob("tok*"))


def test_what_would_be_lost_is_not_written_over(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    before = parts[0].read_bytes()
    assert "is a file to read, and would be lost" in error(capfd, 1, "count", *parts, "--out", parts[0])
    assert parts[0].read_bytes() == before
    line = error(capfd, 1, "count", *parts, "--out", parts[0].parent)
    assert f"{parts[0].parent} is a directory: name a file to write" in line
    out = parts[0].with_name("all.counts")
    for sources in (parts, [out]):
        output(capfd, "count", *sources, "--out", out)
        assert PieceCounts.load(out) == count(parts)


@pytest.mark.skipif(os.name != "posix", reason="pipes and links as on POSIX")
def test_what_is_no_file_is_not_replaced_by_one_and_a_link_stays_a_link(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    pipe, link = (parts[0].with_name(name) for name in ("pipe", "tok.model"))
    os.mkfifo(pipe)
    assert "pipe is no file: name a file to write" in error(capfd, 1, "count", *parts, "--out", pipe)
    with pytest.raises(FileExistsError, match=r"this is no file, and is not replaced by one: '.*pipe'"):
        count(parts).save(pipe)
    assert pipe.is_fifo()
    link.symlink_to(pipe)
    assert "tok.model is no file" in error(capfd, 1, "train", *parts, "--out", link.with_name("tok"))
    link.unlink()
    link.symlink_to("model of mine")
    output(capfd, "train", *parts, "--size", "270", "--out", link)
    assert link.is_symlink()
    assert Vocabulary.load(link.with_name("model of mine")) == train(parts, 270, special_tokens=["<|endoftext|>"])


@pytest.mark.parametrize("kind", ["model", "vocab"])
def test_a_vocabulary_is_not_written_over_what_it_is_trained_on(
    kind: str, parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    source = parts[0].rename(parts[0].with_name(f"tok.{kind}"))
    before = source.read_bytes()
    line = error(capfd, 1, "train", source.parent, "--size", "270", "--out", source.with_name("tok"))
    assert f"{source} is a file to read, and would be lost" in line
    assert source.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="pipes have names as on POSIX")
@pytest.mark.parametrize("name", ["pipe", "/dev/stdin"])
def test_a_pipe_is_read_from_its_first_byte_to_its_last(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text(TEXT * 50)
    read = f"{sys.executable} -m minbpe count {name} --out pipe.out"
    lines = {"pipe": f"cat text > pipe & {read}", "/dev/stdin": f"cat text | {read}"}
    subprocess.run(["sh", "-c", lines[name]], cwd=tmp_path, timeout=60, check=True, capture_output=True)
    assert PieceCounts.load(tmp_path / "pipe.out") == count(TEXT * 50)


LIMITED = """
import resource, sys
from minbpe.cli import main
assert main(["count", "a.txt", "--out", "warm.up"]) == 0
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (96 << 20),) * 2)
sys.exit(main(["count", "numbers", "--out", "b.counts", "--pattern", "none", "--lines", "--threads", "1"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
def test_too_little_memory_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "numbers").write_text("\n".join(map(hex, range(1 << 20))))
    few = subprocess.run([sys.executable, "-c", LIMITED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert few.returncode == 1
    assert few.stderr.startswith("minbpe: error: the distinct pieces of the corpus need more memory than there is")
    assert len(few.stderr.splitlines()) == 1


FULL = """
import resource, sys
from minbpe.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to the size of a file")
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    count(TEXT).save(tmp_path / "a.counts")
    (tmp_path / "a.txt").write_text(TEXT)
    for source, message in (
        ("a.counts", "[Errno 27] File too large: 'b.counts'"),
        ("a.txt", "File too large: counting cannot be kept in b.counts.checkpoint; make room there"),
    ):
        line = [sys.executable, "-c", FULL, "count", source, "--out", "b.counts"]
        full = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (full.returncode, full.stderr) == (1, f"minbpe: error: {message}\n")
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a.counts", "a.txt"]


def test_resuming_says_so_if_there_is_nothing_to_resume(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out = parts[0].with_name("all.counts")
    assert main(["count", *map(str, parts), "--out", str(out), "--resume"]) == 0
    assert "all.counts.checkpoint holds nothing to resume: this run begins anew" in capfd.readouterr().err


def test_what_an_interrupted_run_has_done_is_not_replaced_unless_asked(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    out = parts[0].with_name("all.counts")
    kept = Checkpoint(out.with_name("all.counts.checkpoint"), corpus=f"{name_of(parts)} {Reading()}")

    def interrupt() -> None:
        with pytest.raises(KeyboardInterrupt):
            count(parts, pattern="gpt2", checkpoint=kept, progress=stop)

    interrupt()
    line = ["count", *parts, "--out", out, "--pattern", "gpt2"]
    for command, again in (("count", line), ("train", ["train", *parts, "--out", out, "--size", "260"])):
        message = error(capfd, 1, *again)
        assert (
            f"all.counts.checkpoint holds what an interrupted run has done: minbpe {command} --resume goes on"
            in message
        )
        assert "--no-resume begins anew and replaces it" in message
        assert kept.holds_something()
    for option in ("--resume", "--no-resume"):
        output(capfd, *line, option)
        assert not Path(kept.path).exists()
        interrupt()
    # Adding up files of counts uses no checkpoint.
    output(capfd, "count", out, "--out", out)
    assert kept.holds_something()


def test_a_place_that_cannot_be_written_is_not_said_to_lack_room(
    parts: list[Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("minbpe.parts.save_counted", refuse)
    monkeypatch.setattr(sys.modules["minbpe.cli.count"], "save_counted", refuse)
    message = error(capfd, 1, "count", *parts, "--out", parts[0].with_name("all.counts"))
    assert "Permission denied: counting cannot be kept in" in message
    assert message.endswith("all.counts.checkpoint; name a place that can be written")


@pytest.mark.parametrize("command", ["count", "train"])
def test_a_directory_for_what_passes_no_ceiling_is_a_wrong_use(
    command: str, parts: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message = error(capfd, 2, command, *parts, "--out", tmp_path / "out", "--spill-to", tmp_path)
    assert "--spill-to is for what passes --max-memory: give that too, such as 4G, or no --spill-to" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("more", [[], ["--lines"], ["--stage", "gpt4:300"]])
def test_training_on_no_text_is_an_error_and_leaves_nothing(
    more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for name in "ab":
        (corpus / name).touch()
    line = ["train", str(corpus), "--out", str(tmp_path / "tok"), "--size", "300", *more]
    assert "there is no text in 2 files, and nothing to learn" in error(capfd, 1, *line)
    output(capfd, "count", corpus, "--out", tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tok")] == []
    (corpus / "a").write_text("ab")
    assert main(line) == 0
    assert "warning: the corpus has no pairs left after 1 merge" in capfd.readouterr().err
    if not more:
        assert "no piece was seen 2 times, as --min-count asks for" in error(capfd, 1, *line, "--min-count", "2")


def test_inspect_shows_counts(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out = parts[0].with_name("all.counts")
    output(capfd, "count", *parts, "--out", out)
    page = output(capfd, "inspect", out)
    assert "pattern          'gpt4'" in page
    assert "' the' (49)" in page
    facts = json.loads(output(capfd, "inspect", out, "--json"))
    assert facts["most_frequent"][0] == [" the", 49]
    assert "memory to train  some 30 MB to 32,768 tokens" in page
    assert 29e6 < facts["memory_to_train"] < 31e6
    data = bytearray(out.read_bytes())
    data[-1] ^= 1
    out.write_bytes(data)
    assert "is damaged" in error(capfd, 1, "inspect", out)


MAPPED = """
import ctypes, sys
from minbpe.cli import main
assert main(sys.argv[1:]) == 0
class Used(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("heap", "free", "small", "mapped", *"abcdef")]
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.mallinfo2.restype = ctypes.c_void_p, [ctypes.c_void_p], Used
libc.free(libc.malloc(16 << 20))
before = libc.mallinfo2().mapped
libc.malloc(1 << 20)
print("mapped", libc.mallinfo2().mapped - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="asks glibc 2.33 or newer"
)
@pytest.mark.parametrize("command", [("count",), ("train", "--size", "270"), ("extend", "gpt2", "--add", "1")])
def test_a_command_has_large_blocks_mapped_whatever_was_freed_so_that_none_is_kept(
    command: tuple[str, ...], parts: list[Path]
) -> None:
    arguments = [*command, *map(str, parts), "--out", str(parts[0].with_name("out"))]
    page = subprocess.run([sys.executable, "-c", MAPPED, *arguments], capture_output=True, text=True, check=True)
    assert page.stdout.endswith("mapped 1\n")


def test_rare_pieces_are_left_out_and_how_many_is_said(parts: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    out, tok = parts[0].with_name("all.counts"), parts[0].with_name("tok")
    counts = count(parts)
    facts = json.loads(output(capfd, "count", *parts, "--out", out, "--min-count", "9", "--json"))
    kept = counts.at_least(9)
    assert PieceCounts.load(out) == kept
    assert facts["dropped"] == counts.total - kept.total > 0
    assert facts["dropped_distinct"] == len(counts) - len(kept)
    arguments = ["--size", "270", "--min-count", "9", "--json"]
    assert json.loads(output(capfd, "train", *parts, "--out", tok, *arguments))["dropped"] == facts["dropped"]


def test_train_reports_bytes_per_token_of_every_doubled_size(
    parts: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    tok = parts[0].with_name("tok")
    arguments = ["train", *parts, "--size", "263", "--out", tok, "--min-frequency", "3", "--max-token-length", "4"]
    facts = json.loads(output(capfd, *arguments, "--report", "--json"))
    training = learn(parts, 263, special_tokens=["<|endoftext|>"], min_frequency=3, max_token_length=4)
    assert Vocabulary.load(f"{tok}.model") == training.vocabulary
    assert [row["size"] for row in facts["report"]] == [256, 262]
    assert [row["ids"] for row in facts["report"]] == [training.token_counts[0], training.token_counts[-1]]
    page = output(capfd, *arguments, "--report")
    assert f"{training.bytes_per_token():.3f}" in page.splitlines()[-1]
