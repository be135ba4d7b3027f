"""Texts of one kind, on which tokenizers that are fast on English can be slow: `python -m benchmarks.worst`.

For each kind: that the first ids are tiktoken's and the text comes back; then how fast it is encoded, compared with English, how
much longer twice the text takes, and how fast tiktoken is on as much as it survives. Time is the median of interleaved runs.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

from cyclopts import App, Parameter

import minbpe
from benchmarks.check import PATTERN_ENCODINGS, DifferenceError
from benchmarks.rivals import load_tiktoken

# tiktoken takes the square of a long piece's length, or runs out of stack: it is compared on a beginning of so many bytes.
COMPARED = 30_000

KINDS: dict[str, Callable[[random.Random, int], str]] = {
    "one letter": lambda _, size: "a" * size,
    "ab": lambda _, size: "ab" * (size // 2),
    "random letters": lambda rng, size: "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=size)),
    "spaces": lambda _, size: " " * size,
    "newlines": lambda _, size: "\n" * size,
    "digits": lambda rng, size: "".join(rng.choices("0123456789", k=size)),
    "one sign": lambda _, size: "=" * size,
    "punctuation": lambda rng, size: "".join(rng.choices("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", k=size)),
    "base64": lambda rng, size: base64.b64encode(rng.randbytes(3 * size // 4)).decode(),
    "CJK": lambda rng, size: characters(rng, 0x4E00, 0x9FFF, size // 3),
    "emoji": lambda rng, size: characters(rng, 0x1F300, 0x1FAFF, size // 4),
    "combining marks": lambda rng, size: characters(rng, 0x300, 0x36F, size // 2),
}

app = App(help=__doc__)


def characters(rng: random.Random, first: int, last: int, count: int) -> str:
    """Return random characters between two code points."""
    return "".join(chr(rng.randint(first, last)) for _ in range(count))


def text_of(kind: str, size: int, seed: int = 1) -> str:
    """Return a text of one of KINDS, of `size` bytes or a few less."""
    return KINDS[kind](random.Random(seed), size)


def english(size: int) -> str:
    """Return `size` bytes of what Python's help says of the language, over and over."""
    from pydoc_data.topics import topics

    text = "\n".join(topics.values()).encode("ascii", "replace").decode()
    return (text * (size // len(text) + 1))[:size]


def seconds(*calls: Callable[[], object], repeats: int) -> list[float]:
    """Return the median time of each call, all of them taking turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [median(taken) for taken in times]


def rows(ours: minbpe.Encoding, theirs: Any, size: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Yield what was measured for each kind.

    Raises:
        DifferenceError: ids are not tiktoken's, or a text does not come back.
    """
    plain = english(size)
    for kind in KINDS:
        once, twice = text_of(kind, size), text_of(kind, 2 * size)
        beginning = once.encode()[:COMPARED].decode(errors="ignore")
        if ours.encode_ordinary(beginning) != theirs.encode_ordinary(beginning):
            raise DifferenceError(f"{ours.name}: the ids of {kind} are not tiktoken's")
        if ours.decode(ours.encode_ordinary(twice)) != twice:
            raise DifferenceError(f"{ours.name}: {kind} does not come back")
        one, two, of_english = seconds(
            partial(ours.encode_ordinary, once),
            partial(ours.encode_ordinary, twice),
            partial(ours.encode_ordinary, plain),
            repeats=repeats,
        )
        short, short_tiktoken = seconds(
            partial(ours.encode_ordinary, beginning),
            partial(theirs.encode_ordinary, beginning),
            repeats=repeats,
        )
        bytes_once, bytes_twice, bytes_short = (len(text.encode()) for text in (once, twice, beginning))
        yield {
            "encoding": ours.name,
            "kind": kind,
            "mb_per_s": bytes_once / one / 1e6,
            "time_per_byte_to_english": (one / bytes_once) / (of_english / len(plain)),
            "time_of_twice_to_once": (two / bytes_twice) / (one / bytes_once) * 2,
            "mb_per_s_of_beginning": bytes_short / short / 1e6,
            "tiktoken_mb_per_s_of_beginning": bytes_short / short_tiktoken / 1e6,
        }


@app.default
def main(
    *,
    encodings: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = PATTERN_ENCODINGS,
    size: int = 1_000_000,
    repeats: int = 5,
    json_lines: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Encode texts of one kind, and say where encoding is slow or not linear.

    Args:
        encodings: which encodings; by default one of each split pattern and table.
        size: bytes of each text; twice as many are encoded too.
        repeats: how often each is encoded; the median counts.
        json_lines: print one JSON object a row.
    """
    if not json_lines:
        columns = f"{'MB/s':>8}{'time/byte':>12}{'time(2n)':>12}{'first 30 kB':>14}{'tiktoken':>10}"
        print(f"{'':12}  {'':16}{columns}\n{'encoding':12}  {'text':16}{'':>8}{'/ English':>12}{'/ time(n)':>12}")
    with tempfile.TemporaryDirectory() as cache:
        tiktoken = load_tiktoken(Path(cache))
        for name in encodings:
            try:
                for row in rows(minbpe.get_encoding(name), tiktoken.get_encoding(name), size, repeats):
                    print(json.dumps(row) if json_lines else line(row), flush=True)
            except DifferenceError as difference:
                print(f"DIFFERENT  {difference}", file=sys.stderr)
                return 1
    return 0


def line(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    return (
        f"{row['encoding']:12}  {row['kind']:16}{row['mb_per_s']:8.1f}{row['time_per_byte_to_english']:12.2f}"
        f"{row['time_of_twice_to_once']:12.2f}{row['mb_per_s_of_beginning']:14.1f}"
        f"{row['tiktoken_mb_per_s_of_beginning']:10.2f}"
    )


if __name__ == "__main__":
    sys.exit(app())
