"""The worst benchmark: texts of one kind, on which tokenizers that are fast on English can be slow, or not linear.

Each kind is a corpus of `benchmarks.encoding` whose halves are two such texts. If the speed falls from half a megabyte to one,
time is not linear. There is no pass over seen text: it would only show which tokenizer caches a piece of a megabyte.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path

from benchmarks import encoding
from benchmarks.corpora import Corpus
from benchmarks.runner import Runner

LOWER = "abcdefghijklmnopqrstuvwxyz"


def characters(rng: random.Random, first: int, last: int, count: int) -> str:
    """Return random characters between two code points."""
    return "".join(chr(rng.randint(first, last)) for _ in range(count))


def camel_case(rng: random.Random, size: int) -> str:
    """Return random words separated only by their capital letters."""
    words = ("".join(rng.choices(LOWER, k=rng.randint(2, 9))).capitalize() for _ in range(size // 4))
    return "".join(words)[:size]


KINDS: dict[str, Callable[[random.Random, int], str]] = {
    "one letter": lambda _, size: "a" * size,
    "ab": lambda _, size: "ab" * (size // 2),
    "random letters": lambda rng, size: "".join(rng.choices(LOWER, k=size)),
    "CamelCase": camel_case,
    "punctuation": lambda rng, size: "".join(rng.choices("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", k=size)),
    "dashes": lambda _, size: "-" * size,
    "spaces": lambda _, size: " " * size,
    "newlines": lambda _, size: "\n" * size,
    "white space": lambda rng, size: "".join(rng.choices(" \t\n\r", k=size)),
    "digits": lambda rng, size: "".join(rng.choices("0123456789", k=size)),
    "base64": lambda rng, size: base64.b64encode(rng.randbytes(3 * size // 4)).decode(),
    "CJK": lambda rng, size: characters(rng, 0x4E00, 0x9FFF, size // 3),
    "emoji": lambda rng, size: characters(rng, 0x1F300, 0x1FAFF, size // 4),
    "combining marks": lambda rng, size: characters(rng, 0x300, 0x36F, size // 2),
}

PASSES = ("first", "new")


def text_of(kind: str, size: int, seed: int = 1) -> str:
    """Return a text of one of KINDS, of `size` bytes or a few fewer."""
    return KINDS[kind](random.Random(seed), size)


def run(
    runner: Runner, encodings: Sequence[str], kinds: Sequence[str], outputs: Sequence[str], sizes: Sequence[float]
) -> None:
    """Measure all that is asked for; the rows are in `runner.rows`."""
    runner.write_files(encodings)
    for kind, megabytes in product(kinds, sizes):
        corpus = prepare(kind, megabytes, runner.scratch)
        encoding.compare(runner, encodings, corpus, ("text",), outputs, (1,), PASSES)


def prepare(kind: str, megabytes: float, scratch: Path) -> Corpus:
    """Write two texts of a kind into `scratch`; the second is a little shorter, lest it repeat the first."""
    name, size = f"{kind}, {megabytes:g} MB", round(megabytes * 1e6)
    halves = [text_of(kind, size, 1).encode(), text_of(kind, size - size // 100, 2).encode()]
    paths = scratch / f"{name}.first", scratch / f"{name}.second"
    for path, half in zip(paths, halves, strict=True):
        path.write_bytes(half)
    return Corpus(name, *paths, sum(map(len, halves)), sha256(b"".join(halves)).hexdigest())
