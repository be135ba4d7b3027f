"""Compare our ids with tiktoken's, string by string: `python -m benchmarks.check`.

Covers every code point in eight contexts, every sequence of up to four characters of different classes, a million mixed strings,
corpora, offsets, and completions of unstable text. Prints a row per check with the number of strings compared; the first
difference ends it with exit status 1.
"""

from __future__ import annotations

import codecs
import json
import lzma
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

import minbpe
from benchmarks import texts
from benchmarks.rivals import load_tiktoken

PATTERN_ENCODINGS = ("r50k_base", "p50k_base", "cl100k_base", "o200k_base")
CHUNK = 20_000
PART = 1 << 22

# Also a character after the beginning of a contraction.
CONTEXTS = (*texts.CONTEXTS, "'l{}", "'r{}", "'v{}")

app = App(help=__doc__)


class DifferenceError(Exception):
    """The first text on which the two tokenizers differ."""


def compare(
    name: str, strings: Iterable[str], ours: Callable[[str], Any], theirs: Callable[[str], Any], chunk_size: int = CHUNK
) -> int:
    """Compare strings, `chunk_size` at a time, and return how many; raise DifferenceError at the first on which the two differ."""
    count = 0
    strings = iter(strings)
    while chunk := list(islice(strings, chunk_size)):
        mine, expected = list(map(ours, chunk)), list(map(theirs, chunk))
        if mine != expected:
            at = next(i for i in range(len(chunk)) if mine[i] != expected[i])
            raise DifferenceError(f"{name}: {chunk[at]!r}\n  ours   {mine[at]}\n  theirs {expected[at]}")
        count += len(chunk)
        if sys.stderr.isatty():
            print(f"\r{name}: {count:,}", end="\x1b[K", file=sys.stderr, flush=True)
    return count


def mixed(encoding: minbpe.Encoding, count: int, seed: int) -> Iterator[str]:
    """Yield `count` mixed strings made for the tokens of `encoding`."""
    rng = random.Random(seed)
    tokens = [token.decode(errors="ignore") for token in encoding.token_byte_values()]
    special = sorted(encoding.special_tokens_set)
    return (texts.mixed_text(rng, tokens, special) for _ in range(count))


def parts(path: Path, size: int = PART) -> Iterator[str]:
    """Yield the text of a file, which may be compressed as .xz, in parts of `size` bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        while data := file.read(size):
            yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def completions(encoding: Any) -> Callable[[str], Any]:
    """Return a function that gives the stable ids and the set of completions; tiktoken lists these in hash order."""

    def unstable(text: str) -> Any:
        stable, completions = encoding.encode_with_unstable(text, disallowed_special=())
        return stable, {tuple(completion) for completion in completions}

    return unstable


def offsets_reference(encoding: Any) -> Callable[[str], list[tuple[int, int]]]:
    """Return a function that finds each token's characters by decoding all prefixes: slow, and obviously right."""

    def offsets(text: str) -> list[tuple[int, int]]:
        ids = encoding.encode_ordinary(text)
        ends = [len(encoding.decode_bytes(ids[:i])) for i in range(len(ids) + 1)]
        starts = [0]
        for char in text:
            starts.append(starts[-1] + len(char.encode()))
        return [
            (
                max(i for i, start in enumerate(starts) if start <= begin),
                min(i for i, start in enumerate(starts) if start >= end),
            )
            for begin, end in pairwise(ends)
        ]

    return offsets


def checks(
    name: str, ours: minbpe.Encoding, theirs: Any, strings: int, sequence: int, corpora: list[Path], seed: int
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each check of one encoding: its name, and a function that runs it and returns how many strings it compared."""
    ordinary = ours.encode_ordinary, theirs.encode_ordinary
    for context in CONTEXTS:
        found = map(context.format, texts.every_code_point())
        yield f"every code point in {context!r}", partial(compare, name, found, *ordinary)
    for length in range(sequence + 1):
        sequences = texts.every_sequence(length)
        yield f"every sequence of {length} classes", partial(compare, name, sequences, *ordinary)
    yield "mixed strings", partial(compare, name, mixed(ours, strings, seed), *ordinary)
    yield (
        "mixed strings, special tokens allowed",
        lambda: compare(
            name,
            mixed(ours, strings // 10, seed + 1),
            lambda text: ours.encode(text, allowed_special="all"),
            lambda text: theirs.encode(text, allowed_special="all"),
        ),
    )
    yield (
        "mixed strings come back",
        lambda: compare(name, mixed(ours, strings, seed), lambda text: ours.decode(ours.encode_ordinary(text)), str),
    )
    yield (
        "bytes cut anywhere, as _encode_bytes",
        lambda: compare(
            name,
            mixed(ours, strings // 10, seed + 2),
            lambda text: ours._encode_bytes(text.encode()[:-1]),
            lambda text: theirs._encode_bytes(text.encode()[:-1]),
        ),
    )
    yield (
        "offsets of decoded tokens",
        lambda: compare(
            name,
            mixed(ours, strings // 20, seed + 3),
            lambda text: ours.decode_with_offsets(ours.encode_ordinary(text)),
            lambda text: theirs.decode_with_offsets(theirs.encode_ordinary(text)),
        ),
    )
    yield (
        "offsets of encoded characters",
        lambda: compare(
            name,
            mixed(ours, strings // 200, seed + 4),
            lambda text: ours.encode_with_offsets(text, disallowed_special=())[1],
            offsets_reference(ours),
        ),
    )
    yield (
        "completions of unstable text",
        lambda: compare(
            name,
            (text[:24] for text in mixed(ours, strings // 5_000, seed + 5)),
            completions(ours),
            completions(theirs),
        ),
    )
    for path in corpora:
        yield (
            f"corpus {path.name}, in parts of 4 MB",
            partial(compare, name, parts(path), *ordinary, chunk_size=1),
        )


@app.default
def main(
    *corpora: Path,
    encodings: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=" ".join)
    ] = PATTERN_ENCODINGS,
    strings: int = 1_000_000,
    sequence: int = 4,
    seed: int = 1,
    json_lines: Annotated[bool, Parameter(name="--json", negative="", show_default=False)] = False,
) -> int:
    """Compare our ids with tiktoken's.

    Args:
        corpora: Text files to compare on, plain or compressed as .xz.
        encodings: Which encodings; by default one of each split pattern and table.
        strings: How many mixed strings for each encoding.
        sequence: The length up to which all sequences of characters of different classes are compared.
        seed: The seed of the random strings.
        json_lines: Print one JSON object per check.
    """
    for path in corpora:
        next(parts(path, 1))  # one that cannot be read is told before an hour has passed
    total, began = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        tiktoken = load_tiktoken(Path(cache))
        for name in encodings:
            ours, theirs = minbpe.get_encoding(name), tiktoken.get_encoding(name)
            for what, run in checks(name, ours, theirs, strings, sequence, list(corpora), seed):
                start = time.perf_counter()
                try:
                    count = run()
                except DifferenceError as difference:
                    print(f"\nDIFFERENT  {what}\n  {difference}", file=sys.stderr)
                    return 1
                total += count
                seconds = time.perf_counter() - start
                if json_lines:
                    row = {"encoding": name, "check": what, "strings": count, "seconds": round(seconds, 2)}
                    print(json.dumps(row), flush=True)
                else:
                    print(f"\r{name:12}  {what:40}  {count:>12,} equal  {seconds:8.1f} s", flush=True)
    print(f"{total:,} strings, all equal, in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return 0


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors are reported without a traceback."""
    try:
        status: int = app(arguments, result_action="return_value")
    except (ValueError, OSError, lzma.LZMAError, ModuleNotFoundError) as error:
        way_out = f": pip install {error.name}" if isinstance(error, ModuleNotFoundError) else ""
        print(f"benchmarks.check: {error}{way_out}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(run())
