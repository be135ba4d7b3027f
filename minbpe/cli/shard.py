"""`minbpe shard`: encodes documents into files of ids for training a model, and checks such files."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from minbpe.cli.options import Flag, Json, Place, Positive, Threads, Tokenizer
from minbpe.cli.shared import Reading, UsageError, directory_to_write, interruptible, load_encoding, print_facts
from minbpe.documents import find_files, is_plain_text
from minbpe.manifest import Manifest
from minbpe.progress import Bars
from minbpe.shard_file import LARGEST
from minbpe.shards import EndOfText, write_shards
from minbpe.shards import verify as verify_shards

GOES_ON = "the same command goes on from its shards"


def shard(
    *sources: Place,
    tokenizer: Tokenizer | None = None,
    out: Annotated[Place | None, Parameter(name=["--out", "-o"])] = None,
    verify: Place | None = None,
    tokens_per_shard: Annotated[Positive, Parameter(validator=Number(gte=1, lte=LARGEST))] = 100_000_000,
    end_of_text: EndOfText = "append",
    end_of_text_token: str = "<|endoftext|>",
    validation: Flag = False,
    threads: Threads | None = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Encode documents into shards of ids that llm.c reads.

    An index, a manifest and the vocabulary are written beside them. After an interruption, the same command continues where
    it stopped. A document is never split between two shards.

    Args:
        sources: Files and directories: text, .jsonl, .parquet; .gz, .bz2, .xz, .zst of these.
        tokenizer: A name such as o200k_base, a .model file (with or without .model), or a directory of shards.
        out: The directory to write.
        verify: Check everything in this directory of shards, down to each document's bytes.
        tokens_per_shard: End a shard before the document that would exceed this.
        end_of_text: Where the end-of-text token goes: prepend, append, or none.
        end_of_text_token: Which special token that is.
        validation: Name the first shard val_000000.bin.
        threads: All cores by default. The files do not depend on it.
        reading: How sources become documents.
        json: Print the result as JSON.
    """
    began = perf_counter()
    if verify is not None:
        if sources or tokenizer or out:
            raise UsageError("--verify DIR takes no sources, --tokenizer or --out")
        size = Manifest.load(verify).bytes
        with Bars() as bars:
            manifest = verify_shards(verify, progress=lambda done: bars.show("verify", done, size))
        _print(manifest, verify, began, json)
        return
    if not sources or tokenizer is None or out is None:
        raise UsageError("give sources, --tokenizer and --out (or only --verify DIR)")
    directory_to_write(out)
    encoding = load_encoding(tokenizer)
    files = find_files(sources, glob=reading.glob)
    # For other files, the size of their documents is not known in advance.
    total = sum(file.stat().st_size for file in files) if all(map(is_plain_text, files)) else None
    with Bars() as bars, interruptible(lambda: GOES_ON if out.is_dir() else None):
        manifest = write_shards(
            reading.documents(files, bars, None if total else "shard"),
            encoding,
            out,
            tokens_per_shard=tokens_per_shard,
            end_of_text=end_of_text,
            end_of_text_token=end_of_text_token,
            validation=validation,
            threads=threads,
            progress=lambda done: bars.show("shard", done, total) if total else None,
        )
    _print(manifest, out, began, json)


def _print(manifest: Manifest, directory: Path, began: float, as_json: bool) -> None:
    facts = {
        "directory": str(directory),
        "shards": len(manifest.shards),
        "documents": manifest.documents,
        "ids": manifest.tokens,
        "bytes": manifest.bytes,
        "dtype": manifest.dtype,
        "seconds": round(perf_counter() - began, 2),
        "vocabulary": manifest.vocabulary,
    }
    print_facts(facts, as_json)
