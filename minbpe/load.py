"""Files in tiktoken's format, one token and its rank per line, under the names of `tiktoken.load`; never from a network.

The ranks make an `Encoding`, or through `Vocabulary.from_ranks` a vocabulary.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from pathlib import Path

from minbpe.atomic import replacing
from minbpe.errors import FormatError, MinbpeError
from minbpe.naming import naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping


LONGEST_SHOWN = 60


def load_tiktoken_bpe(tiktoken_bpe_file: str | os.PathLike[str], expected_hash: str | None = None) -> dict[bytes, int]:
    """Return the tokens of a `.tiktoken` file and their ranks.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as directory:
    ...     dump_tiktoken_bpe({b"a": 0, b" rose": 1}, Path(directory) / "small.tiktoken")
    ...     load_tiktoken_bpe(Path(directory) / "small.tiktoken")
    {b'a': 0, b' rose': 1}

    Args:
        tiktoken_bpe_file: the path of the file, which is read again at each call.
        expected_hash: the sha256 that the file must have, in hex.

    Raises:
        FormatError: the file has another sha256, or a line is not a token and its rank.
        ValueError: a URL is given.
        OSError: the file cannot be read.
    """
    path = _local(tiktoken_bpe_file)
    with naming(path):
        data = path.read_bytes()
    if expected_hash:
        from hashlib import sha256

        found = sha256(data).hexdigest()
        if found != expected_hash:
            raise FormatError(f"{path} has the sha256 {found}, and {expected_hash} is expected: get the file anew")
    ranks = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[a2b_base64(token)] = int(rank)
        except ValueError as error:
            shown = repr(line) if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]!r}..."
            raise FormatError(
                f"{path}:{number}: {shown} is no token in base64 and its rank ({error}): take the file from its source again"
            ) from error
    return ranks


def dump_tiktoken_bpe(bpe_ranks: Mapping[bytes, int], tiktoken_bpe_file: str | os.PathLike[str]) -> None:
    """Write tokens, such as `encoding.vocabulary.mergeable_ranks`, to a `.tiktoken` file in the order of their ranks.

    The file appears whole or not at all. Its format has no place for special tokens and the pattern.

    Raises:
        ValueError: a URL is given.
        OSError: the file cannot be written.
    """
    ranked = sorted(bpe_ranks.items(), key=lambda item: item[1])
    with replacing(_local(tiktoken_bpe_file)) as file:
        file.write(token_lines(ranked))


def token_lines(tokens: Iterable[tuple[bytes, int]]) -> bytes:
    r"""Return the lines of a `.tiktoken` file: the bytes of each token in base64, and its rank.

    >>> token_lines([(b"!", 0)])
    b'IQ== 0\n'
    """
    return b"".join(b"%s %d\n" % (b2a_base64(token, newline=False), rank) for token, rank in tokens)


def _local(file: str | os.PathLike[str]) -> Path:
    """Return a file's path; refuse a URL."""
    if isinstance(file, str) and "://" in file:
        raise MinbpeError(f"{file} is a URL, and minbpe reads no network: download it, and give the path of the file")
    return Path(file)
