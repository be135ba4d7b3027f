"""`.tiktoken` files are read and written as tiktoken does, on this machine only."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import minbpe
from minbpe.errors import FormatError
from minbpe.load import dump_tiktoken_bpe, load_tiktoken_bpe
from minbpe.tiktoken_files import TIKTOKEN_FILES, tiktoken_file

NAME = "cl100k_base.tiktoken"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file as OpenAI published it."""
    path = tmp_path / NAME
    path.write_bytes(tiktoken_file(NAME))
    return path


def test_a_file_gives_the_ranks_that_tiktoken_reads(published: Path, tiktoken_module: ModuleType) -> None:
    import tiktoken.load

    assert tiktoken.load is tiktoken_module.load
    sha256 = TIKTOKEN_FILES[NAME].sha256
    ranks = load_tiktoken_bpe(str(published), expected_hash=sha256)
    assert list(ranks.items()) == list(tiktoken.load.load_tiktoken_bpe(str(published), sha256).items())
    assert ranks == load_tiktoken_bpe(published) == minbpe.get_encoding("cl100k_base").vocabulary.mergeable_ranks


def test_ranks_are_written_as_tiktoken_writes_them(
    published: Path, tmp_path: Path, tiktoken_module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tiktoken.load

    ranks = dict(reversed(load_tiktoken_bpe(published).items()))
    dump_tiktoken_bpe(ranks, tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == published.read_bytes()
    small = {b"": 9, b"\xff\n": 7, b"a": 0}
    dump_tiktoken_bpe(small, str(tmp_path / "ours"))

    class Blobfile(ModuleType):
        """A stand-in for blobfile, which tiktoken uses to write."""

        @staticmethod
        def BlobFile(path: str, mode: str) -> Any:
            return Path(path).open(mode)

    monkeypatch.setitem(sys.modules, "blobfile", Blobfile("blobfile"))
    tiktoken.load.dump_tiktoken_bpe(small, str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(
    "lines", [b"", b"YQ== 0", b"YQ==  0\r\n\n\rYg== 1\n", b"YQ== 0\nYQ== 1\n", b"YQ==\t-3\n", b"Y!Q== 0"]
)
def test_odd_lines_are_read_as_tiktoken_reads_them(lines: bytes, tmp_path: Path, tiktoken_module: ModuleType) -> None:
    import tiktoken.load

    (tmp_path / "odd").write_bytes(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        expected = tiktoken.load.load_tiktoken_bpe(str(tmp_path / "odd"))
    assert list(load_tiktoken_bpe(tmp_path / "odd").items()) == list(expected.items())


@pytest.mark.parametrize("line", [b"YQ==", b"YQ== one", b"YQ== 1 2", b"YQ= 1", b" 1"])
def test_a_line_that_is_no_token_is_named(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"Yg== 0\n" + line)
    with pytest.raises(FormatError, match=r"bad:2: .* is no token in base64 and its rank"):
        load_tiktoken_bpe(tmp_path / "bad")


def test_another_sha256_a_url_and_no_file_are_errors_that_say_so(published: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"has the sha256 223921b7.*, and 00 is expected: get the file anew"):
        load_tiktoken_bpe(published, "00")
    for call in (load_tiktoken_bpe, lambda url: dump_tiktoken_bpe({}, url)):
        with pytest.raises(ValueError, match=r"is a URL, .* download it"):
            call(TIKTOKEN_FILES[NAME].url)
    with pytest.raises(FileNotFoundError, match="none"):
        load_tiktoken_bpe(tmp_path / "none")
