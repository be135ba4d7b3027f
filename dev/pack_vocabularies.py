"""Make the tables in `minbpe/data/` from OpenAI's `.tiktoken` files.

A `.tiktoken` file lists tokens and ranks but not which two tokens each was merged from. Those follow from the ranks:
a token's bytes, encoded with the merges before it, are exactly its two parents.

    python dev/pack_vocabularies.py FOLDER

FOLDER holds r50k_base.tiktoken, p50k_base.tiktoken, cl100k_base.tiktoken and o200k_base.tiktoken, whose sha256 must
be those that tiktoken pins.
"""

import sys
from base64 import b64decode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from minbpe.packaged import PACKAGED
from minbpe.tiktoken_files import TIKTOKEN_FILES

DATA = Path(__file__).parent.parent / "minbpe" / "data"


def read_ranks(path: Path) -> dict[bytes, int]:
    """Read a `.tiktoken` file, in rank order, once its sha256 is the pinned one."""
    content = path.read_bytes()
    if sha256(content).hexdigest() != TIKTOKEN_FILES[path.name].sha256:
        raise SystemExit(f"{path} is not what tiktoken pins; fetch it anew from {TIKTOKEN_FILES[path.name].url}")
    lines = (line.split() for line in content.splitlines())
    return {b64decode(token): int(rank) for token, rank in lines}


def parents(token: bytes, ranks: dict[bytes, int]) -> tuple[int, int]:
    """Return the ids of the two tokens that `token` was merged from."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        joined = [ranks.get(left + right, sys.maxsize) for left, right in pairwise(parts)]
        at = joined.index(min(joined))
        if joined[at] >= ranks[token]:
            raise SystemExit(f"{token!r} cannot be made of two earlier tokens: {parts}")
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    left, right = parts
    return ranks[left], ranks[right]


def pack(ranks: dict[bytes, int]) -> bytes:
    """Return the table of a vocabulary whose ranks are 0, 1, 2, .. and whose first 256 tokens are the bytes."""
    tokens = list(ranks)
    if list(ranks.values()) != list(range(len(ranks))) or any(len(token) != 1 for token in tokens[:256]):
        raise SystemExit("a table needs ranks without holes, the 256 bytes first")
    pairs = (parents(token, ranks) for token in tokens[256:])
    return b"".join(tokens[:256]) + b"".join(part.to_bytes(3, "little") for pair in pairs for part in pair)


def main(folder: Path) -> None:
    """Write the three tables, and check the merges that p50k has beyond r50k."""
    DATA.mkdir(exist_ok=True)
    for table in ("r50k", "cl100k", "o200k"):
        (DATA / f"{table}.merges").write_bytes(pack(read_ranks(folder / f"{table}_base.tiktoken")))
    r50k, p50k = (read_ranks(folder / f"{name}.tiktoken") for name in ("r50k_base", "p50k_base"))
    extra = tuple((*parents(token, p50k), rank) for token, rank in p50k.items() if token not in r50k)
    if extra != PACKAGED["p50k_base"].extra_merges:
        raise SystemExit(f"p50k's merges beyond r50k's, for minbpe/packaged.py:\n{extra}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
