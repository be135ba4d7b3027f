"""`minbpe train`: a vocabulary out of text files, or out of piece counts."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from minbpe.cli.count import SIZE, load_parts, show
from minbpe.cli.shared import Flag, Json, Memory, Patterns, Reading, Threads, kill_as_ctrl_c, named_pattern, print_facts
from minbpe.cli.staging import Anew, parse_stage
from minbpe.counting import PieceCounts
from minbpe.documents import find_files, is_plain_text
from minbpe.errors import MinbpeError
from minbpe.progress import Bars

if TYPE_CHECKING:
    from minbpe.training import Training


def train(
    sources: list[Path],
    /,
    *,
    out: Annotated[str, Parameter(name=["--out", "-o"])],
    size: Annotated[int, Parameter(name=["--size", "-s"])] = SIZE,
    pattern: Patterns = None,
    stage: Annotated[list[str] | None, Parameter(negative="")] = None,
    special: Annotated[list[str], Parameter(negative="--no-special")] = ["<|endoftext|>"],  # noqa: B006 (never changed)
    tie_break: Literal["first", "lowest"] = "first",
    byte_order: Literal["identity", "gpt2"] = "identity",
    min_count: int = 1,
    min_frequency: Annotated[int, Parameter(validator=Number(gte=1))] = 1,
    max_token_length: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    threads: Threads = None,
    max_memory: Memory = None,
    spill_to: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 (frozen)
    resume: Flag = False,
    report: Flag = False,
    json: Json = False,
) -> None:
    """Train a vocabulary on text.

    Writes OUT.model, which the other commands take as --tokenizer, and OUT.vocab, which people read. Ctrl-C or kill while
    merging leaves what is learnt in OUT.checkpoint, and so does each minute: with --resume, the same command goes on from it.

    Args:
        sources: Files and directories: text, .jsonl, .parquet, and .gz of these; or files that minbpe count wrote.
        out: The path to write, with or without .model.
        size: Tokens in all: 256 bytes, the merges, and the special tokens.
        pattern: How text is split: gpt2, gpt4 (the default, if not counts), cl100k, o200k, a regular expression, none; or several,
            each inside the pieces of the one before.
        stage: PATTERN:SIZE, a pattern and the tokens there are after learning with it, each pattern wider than the last:
            tokens cross words. Of piece counts, each stage takes a file. No checkpoint.
        special: A special token. May be given several times.
        tie_break: Among equally frequent pairs, the one that occurs first, or the one of lowest ids.
        byte_order: Which ids bytes have: their value, or GPT-2's order.
        min_count: Leave out pieces that were seen less often.
        min_frequency: Merge no pair that occurs less often.
        max_token_length: Make no token of more bytes.
        threads: All cores by default. The vocabulary does not depend on it.
        max_memory: Hold no more than this while counting, such as 4G; what passes it goes to disk, and nothing is lost.
        spill_to: The directory for it. Nothing is left in it.
        reading: How sources become documents.
        resume: Go on from OUT.checkpoint, if it is there, to the vocabulary that one run without a break gives.
        report: Print the bytes per token of every smaller vocabulary too.
        json: Print the result as JSON.
    """
    from minbpe.checkpoint import Checkpoint, name_of
    from minbpe.training import learn

    prefix = Path(out.removesuffix(".model"))
    if not prefix.parent.is_dir():
        raise MinbpeError(f"{prefix.parent}: no such directory to write {prefix.name}.model in: make it first")
    files = find_files(sources, glob=reading.glob)
    whole = not reading.lines and all(map(is_plain_text, files))
    counts = load_parts(files)
    checkpoint = Checkpoint(
        prefix.with_name(f"{prefix.name}.checkpoint"), corpus=f"{name_of(files)} {reading}", resume=resume
    )
    keeps = stage is None or resume
    began = perf_counter()
    with Bars() as bars, kill_as_ctrl_c():
        documents = files if whole else Anew(lambda: reading.documents(sources, bars, "read"))
        training = learn(
            documents if not counts else PieceCounts.concatenate(counts) if stage is None else counts,
            size,
            pattern=... if pattern is None else named_pattern(pattern),
            stages=None if stage is None else map(parse_stage, stage),
            tie_break=tie_break,
            byte_order=byte_order,
            special_tokens=special,
            min_count=min_count,
            min_frequency=min_frequency,
            max_token_length=max_token_length,
            threads=threads,
            max_memory=max_memory,
            spill_to=spill_to,
            checkpoint=checkpoint if keeps else None,
            progress=lambda progress: show(bars, progress),
        )
    seconds = perf_counter() - began
    vocabulary = training.vocabulary
    vocabulary.save(prefix)
    if keeps:
        checkpoint.remove()
    dropped = {"dropped": training.dropped_pieces, "dropped distinct": training.dropped_distinct}
    facts = {
        "model": f"{prefix}.model",
        "tokens": vocabulary.n_vocab,
        "merges": len(vocabulary) - 256,
        "special": vocabulary.special_tokens if json else " ".join(vocabulary.special_tokens) or "none",
        "files": len(files),
        "bytes": training.token_counts[0],
        "bytes per token": round(training.bytes_per_token(), 3),
        **(dropped if min_count > 1 else {}),
        "seconds": round(seconds, 2),
        "digest": vocabulary.digest,
    }
    rows = _sizes(training) if report else []
    print_facts({**facts, "report": rows} if report and json else facts, json)
    if report and not json:
        print(f"\n{'size':>9} {'ids':>15} {'bytes/token':>12} {'last merge':>15}")
        for row in rows:
            print("{size:>9,} {ids:>15,} {bytes_per_token:>12.3f} {last_merge:>15,}".format(**row))


def _sizes(training: "Training") -> list[dict[str, float]]:
    """Say what each vocabulary of 256 tokens, twice as many, and so on brings, up to all; special tokens not counted."""
    whole = len(training.vocabulary)
    doubled = [256 << power for power in range(32) if 256 << power < whole]
    return [
        {
            "size": size,
            "ids": training.token_counts[size - 256],
            "bytes_per_token": training.bytes_per_token(size),
            "last_merge": training.pair_counts[size - 257] if size > 256 else 0,
        }
        for size in [*doubled, whole]
    ]
