"""`minbpe train`: a vocabulary out of text files."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from minbpe.cli.shared import Json, Reading, Threads, print_facts
from minbpe.documents import find_files, is_plain_text
from minbpe.errors import MinbpeError
from minbpe.progress import Bars

if TYPE_CHECKING:
    from minbpe.training import Progress


def train(
    sources: list[Path],
    /,
    *,
    out: Annotated[str, Parameter(name=["--out", "-o"])],
    size: Annotated[int, Parameter(name=["--size", "-s"])] = 32768,
    pattern: str = "gpt4",
    special: Annotated[list[str], Parameter(negative="--no-special")] = ["<|endoftext|>"],  # noqa: B006 (never changed)
    tie_break: Literal["first", "lowest"] = "first",
    byte_order: Literal["identity", "gpt2"] = "identity",
    threads: Threads = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Train a vocabulary on text.

    Writes OUT.model, which the other commands take as --tokenizer, and OUT.vocab, which people read.

    Args:
        sources: Files and directories: text, .jsonl, .parquet, and .gz of these.
        out: The path to write, with or without .model.
        size: Tokens in all: 256 bytes, the merges, and the special tokens.
        pattern: How text is split first: gpt2, gpt4, cl100k, o200k, a regular expression, or none.
        special: A special token. May be given several times.
        tie_break: Among equally frequent pairs, the one that occurs first, or the one of lowest ids.
        byte_order: Which ids bytes have: their value, or GPT-2's order.
        threads: All cores by default. The vocabulary does not depend on it.
        reading: How sources become documents.
        json: Print the result as JSON.
    """
    from minbpe.training import train as train_vocabulary

    prefix = Path(out.removesuffix(".model"))
    if not prefix.parent.is_dir():
        raise MinbpeError(f"{prefix.parent}: no such directory to write {prefix.name}.model in: make it first")
    files = find_files(sources, glob=reading.glob)
    whole = not reading.lines and all(map(is_plain_text, files))
    began = perf_counter()
    with Bars() as bars:

        def show(progress: "Progress") -> None:
            unit: Literal["bytes", "merges"] = "merges" if progress.stage == "train" else "bytes"
            bars.show(progress.stage, progress.done, progress.total, unit)

        vocabulary = train_vocabulary(
            files if whole else reading.documents(sources, bars, "read"),
            size,
            pattern=None if pattern == "none" else pattern,
            tie_break=tie_break,
            byte_order=byte_order,
            special_tokens=special,
            threads=threads,
            progress=show,
        )
    seconds = perf_counter() - began
    vocabulary.save(prefix)
    facts = {
        "model": f"{prefix}.model",
        "tokens": vocabulary.n_vocab,
        "merges": len(vocabulary) - 256,
        "special": vocabulary.special_tokens if json else " ".join(vocabulary.special_tokens) or "none",
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "seconds": round(seconds, 2),
        "digest": vocabulary.digest,
    }
    print_facts(facts, json)
