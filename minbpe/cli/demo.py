"""`minbpe demo`: runs the demo on real text, and shows the result as a table and a line in colours."""

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from minbpe.cli.options import Json, Place, Size
from minbpe.cli.shared import directory_to_write
from minbpe.demo import Corpus, Result, run
from minbpe.encoding import Encoding
from minbpe.progress import Bars
from minbpe.wording import several

WIDTH_OF_A_FILE = 120
COLOURS = ("blue", "magenta", "green", "cyan", "red")
LINE = range(40, 56)
"""The lengths that the line shown token by token may have."""


def demo(
    corpus: Place | None = None,
    *,
    out: Annotated[Place, Parameter(name=["--out", "-o"])] = Path("demo-out"),
    size: Size = 32768,
    json: Json = False,
) -> None:
    """Train on real text, encode it into shards, and compare with other tokenizers.

    It takes less than three minutes. The comparison includes tiktoken and sentencepiece if they are installed.

    Args:
        corpus: A file or a directory; by default the source of Python's standard library. At most 64 MB are read.
        out: The directory for the vocabulary and the shards. Those of an earlier demo are replaced, and nothing else.
        size: Tokens in the vocabulary.
        json: Print the table as JSON.
    """
    directory_to_write(out)
    with Bars() as bars:
        result = run(
            corpus,
            out,
            size,
            lambda stage, done, total: bars.show(stage, done, total, "merges" if stage == "train" else "bytes"),
        )
    if json:
        print(json_format.dumps([asdict(row) for row in result.rows]))
        return
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    _print(result, console)


def _print(result: Result, console: Console) -> None:
    corpus, manifest = result.corpus, result.manifest
    more = f", {corpus.skipped} skipped that are not UTF-8" if corpus.skipped else ""
    more += ", cut there" if corpus.cut else ""
    console.print(
        f"\nThe corpus: {corpus.bytes / 1e6:.1f} MB in {several(corpus.files, 'file')} of {corpus.place}{more}\n"
    )
    console.print(_table(result))
    console.print("\nMB/s: one thread, a text at a time, median of three interleaved runs on a sample.")
    console.print("Ids of minbpe and tiktoken were compared on the whole corpus; the shards were decoded and compared.")
    console.print("sentencepiece trains on lines and encodes lines: a newline is always a token of its own to it.\n")
    for encoding in result.encodings:
        console.print(_coloured(encoding, _line(corpus), console.is_terminal))
    speed = manifest.bytes / 1e6 / max(result.sharding_seconds, 1e-9)
    console.print(f"\nThe vocabulary: {result.model} (to read: {result.model.with_suffix('.vocab')})")
    console.print(
        f"The shards:     {result.shards}, {manifest.tokens:,} ids of {several(manifest.documents, 'document')}, "
        f"written at {speed:.0f} MB/s, verified\n"
    )
    console.print(f"Go on:  minbpe encode -t {result.model} 'def main():'\n        minbpe inspect {result.shards}")


def _table(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("vocabulary", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for heading in ("tokens", "bytes/token", "MB/s", "trained in"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in result.rows:
        table.add_row(
            row.tokenizer,
            row.engine,
            f"{row.tokens:,}" if row.tokens else "",
            f"{row.bytes_per_token:.3f}" if row.bytes_per_token else "",
            f"{row.mb_per_second:.1f}" if row.mb_per_second else "",
            f"{row.training_seconds:.1f} s" if row.training_seconds else "",
            row.note,
            style="bold" if row.engine == "minbpe" else "",
        )
    return table


def _line(corpus: Corpus) -> str:
    """Return a line of the corpus that is long enough to show something and fits on the screen."""
    middle = corpus.texts[len(corpus.texts) // 2 :]
    lines = (line.strip() for text in middle for line in text.splitlines())
    return next((line for line in lines if len(line) in LINE), middle[0][: LINE.stop])


def _coloured(encoding: Encoding, line: str, colours: bool) -> Text:
    """Return the tokens of a line in colours, or with bars between them where there are no colours."""
    tokens = encoding.decode_tokens_bytes(encoding.encode_ordinary(line))
    text = Text(f"{encoding.name:<12} {len(tokens):>3} tokens  ")
    for place, token in enumerate(tokens):
        shown = token.decode("utf-8", "replace")
        text.append(shown if colours else f"{shown}|", style=f"white on {COLOURS[place % len(COLOURS)]}")
    return text
