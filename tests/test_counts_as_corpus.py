"""Files of piece counts given as a corpus: they are added up, never counted as text."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minbpe import extend, train
from minbpe.checkpoint import Checkpoint
from minbpe.counting import PieceCounts, count, count_to_file
from minbpe.errors import CorpusError, FormatError
from minbpe.formats.counts import KIND
from tests.test_cli import MINBPE, TEXT

TEXTS = [TEXT, "another text, for the sake of order " * 9]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of the texts' counts, one of them without the usual suffix."""
    found = [tmp_path / "a.counts", tmp_path / "b"]
    for file, text in zip(found, TEXTS, strict=True):
        count(text, pattern="gpt2").save(file)
    return found


def test_files_of_counts_are_trained_on_as_the_texts_are(files: list[Path]) -> None:
    assert train(files[0], 270) == train(TEXTS[0], 270, pattern="gpt2")
    assert train(files, 280, min_count=2) == train(TEXTS, 280, min_count=2, pattern="gpt2")
    small = train(TEXTS, 260, pattern="gpt2")
    assert extend(small, tuple(files), 9) == extend(small, TEXTS, 9)


def test_files_of_counts_are_added_up(files: list[Path], tmp_path: Path) -> None:
    whole = count(TEXTS, pattern="gpt2")
    assert count(files) == count(files, checkpoint=tmp_path / "kept", max_memory=1 << 20) == whole
    count_to_file(files, tmp_path / "sum", min_count=2)
    assert PieceCounts.load(tmp_path / "sum") == whole.at_least(2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.counts", "b", "sum"]
    with pytest.raises(CorpusError, match="made with the pattern 'gpt2', and 'gpt4' is asked for"):
        count(files, pattern="gpt4")


def test_stages_take_a_file_of_counts_each(tmp_path: Path) -> None:
    stages = [("gpt2", 265), (None, 275)]
    files = [tmp_path / str(number) for number in range(2)]
    for file, (pattern, _) in zip(files, stages, strict=True):
        count(TEXTS, pattern=pattern).save(file)
    assert train(files, 275, stages=stages) == train(TEXTS, 275, stages=stages)
    with pytest.raises(CorpusError, match="do not add up, 'gpt2' and None"):
        train(files, 275)


def test_training_on_files_of_counts_goes_on_from_its_checkpoint(files: list[Path], tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "kept", every=0)
    train(files, 260, checkpoint=kept)
    assert train(files, 270, checkpoint=kept) == train(TEXTS, 270, pattern="gpt2")


TAKERS: list[Callable[[Any], object]] = [count, lambda source: train(source, 257)]


@pytest.mark.parametrize("take", TAKERS)
def test_counts_among_what_is_none_are_refused(
    files: list[Path], tmp_path: Path, take: Callable[[Any], object]
) -> None:
    text = tmp_path / "text"
    text.write_text(TEXT)
    for source, message in [
        ([text, files[1]], f"b holds piece counts, and {text} does not: run minbpe count on {text} first"),
        (
            [files[0], "a text"],
            "a.counts holds piece counts, and a document beside it is no file: write that to one first",
        ),
        (
            iter(files),
            "a.counts holds piece counts, and stands among documents: give it alone, or in a list of such files",
        ),
        ((path for path in [text, files[1]]), "b holds piece counts, and stands among documents"),
    ]:
        with pytest.raises(CorpusError, match=message):
            take(source)
    files[1].write_bytes(files[1].read_bytes()[:-1])
    with pytest.raises(FormatError, match="b is damaged"):
        take(files)


@pytest.mark.skipif(os.name != "posix", reason="pipes have names as on POSIX")
@pytest.mark.parametrize("take", TAKERS)
def test_counts_in_a_pipe_are_refused_and_text_loses_none_of_its_first_bytes(
    files: list[Path], through_pipe: Callable[[bytes, str], Path], take: Callable[[Any], object]
) -> None:
    whole = files[0].read_bytes()
    for number, data in enumerate([whole, whole[:7], KIND[:9]]):
        with pytest.raises(
            CorpusError, match=f"p{number} is a pipe of piece counts, .*: write them to a file, and name"
        ):
            take(through_pipe(data, f"p{number}"))
    with pytest.raises(CorpusError, match=r"named\.counts is a pipe of piece counts"):
        take(through_pipe(whole, "named.counts"))
    with pytest.raises(CorpusError, match=r"a\.counts holds piece counts, and .*p3 beside it is no file"):
        take([files[0], through_pipe(b"", "p3")])
    for number, data in enumerate([TEXT.encode(), b"minbpe", b"minbpe counts nothing", b""]):
        assert count(through_pipe(data, f"text{number}")) == count(data)


@pytest.mark.skipif(os.name != "posix", reason="pipes have names as on POSIX")
@pytest.mark.parametrize("options", [[], ["--lines"]])
@pytest.mark.parametrize("command", ["count", "train"])
def test_the_command_line_says_so_too(command: str, options: list[str], files: list[Path], tmp_path: Path) -> None:
    for data in (files[0].read_bytes(), KIND[:9]):
        line = [*MINBPE, command, "/dev/stdin", *options, "--out", str(tmp_path / "out")]
        said = subprocess.run(line, input=data, stderr=subprocess.PIPE, check=False)
        assert said.returncode == 1
        assert said.stderr.startswith(b"minbpe: error: /dev/stdin is a pipe of piece counts")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_ctrl_c_ends_the_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = [*MINBPE, "count", str(tmp_path / "pipe"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as child, (tmp_path / "pipe").open("wb") as pipe:
        pipe.write(TEXT.encode())
        pipe.flush()
        child.send_signal(2)
        assert child.stderr
        assert child.stderr.read().startswith(b"minbpe: interrupted")
    assert child.returncode == 130
