"""`minbpe train`: makes a vocabulary from text files or from piece counts."""

from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from minbpe.cli.count import show
from minbpe.cli.freed import give_back_what_is_freed
from minbpe.cli.options import (
    CORPUS,
    OUTPUT,
    RESOURCES,
    SPLITTING,
    VOCABULARY,
    Flag,
    Json,
    Memory,
    Name,
    Patterns,
    Place,
    Positive,
    Resume,
    Size,
    Sources,
    Threads,
    Whole,
)
from minbpe.cli.shared import (
    Reading,
    find_corpus,
    goes_on,
    interruptible,
    left_out,
    named_pattern,
    nothing_to_learn,
    prefix_to_write,
    print_facts,
    putting_off,
    resuming,
    sizes,
    spare,
    within,
)
from minbpe.cli.staging import Anew, planned
from minbpe.documents import is_plain_text
from minbpe.progress import Bars

if TYPE_CHECKING:
    from minbpe.training import Source, Training


def train(
    *sources: Sources,
    out: Annotated[Name, Parameter(name=["--out", "-o"], metavar="PATH", group=OUTPUT)],
    size: Annotated[Size | None, Parameter(group=VOCABULARY)] = None,
    pattern: Annotated[Patterns | None, Parameter(group=SPLITTING)] = None,
    stage: Annotated[list[str] | None, Parameter(negative="", metavar="STR", group=SPLITTING)] = None,
    special: Annotated[
        list[str], Parameter(negative="--no-special", metavar="STR", show_default=" ".join, group=VOCABULARY)
    ] = ["<|endoftext|>"],  # noqa: B006 (never changed)
    reserved: Annotated[Whole, Parameter(group=VOCABULARY, show_default=False)] = 0,
    seed: Annotated[list[str] | None, Parameter(negative="", metavar="STR", group=VOCABULARY)] = None,
    tie_break: Annotated[Literal["first", "lowest"], Parameter(group=VOCABULARY)] = "first",
    byte_order: Annotated[Literal["identity", "gpt2"], Parameter(group=VOCABULARY)] = "identity",
    min_count: Annotated[Positive, Parameter(group=VOCABULARY)] = 1,
    min_frequency: Annotated[Positive, Parameter(group=VOCABULARY)] = 1,
    max_token_length: Annotated[Positive | None, Parameter(group=VOCABULARY)] = None,
    threads: Annotated[Threads | None, Parameter(group=RESOURCES)] = None,
    max_memory: Annotated[Memory | None, Parameter(group=RESOURCES)] = None,
    spill_to: Annotated[Place | None, Parameter(group=RESOURCES)] = None,
    reading: Annotated[Reading, Parameter(group=CORPUS)] = Reading(),  # noqa: B008 (frozen)
    resume: Annotated[Resume, Parameter(group=OUTPUT)] = None,
    report: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Json, Parameter(group=OUTPUT)] = False,
) -> None:
    """Train a vocabulary on text.

    Writes OUT.model, which the other commands take as --tokenizer, and OUT.vocab, which people read. Ctrl-C, kill and each
    minute leave what is done in OUT.checkpoint; the same command with --resume continues from there.

    Args:
        sources: Files and directories: text, .jsonl, .parquet; .gz, .bz2, .xz, .zst of these; or files that minbpe count wrote.
        out: The path to write, with or without .model.
        size: Tokens in all: bytes, merges, special tokens [default: 32768, or that of the last --stage].
        pattern: gpt2, gpt4 (the default for text), cl100k, o200k, none or a regular expression; or several
            (--pattern A --pattern B): each splits the pieces of the one before.
        stage: PATTERN:SIZE, repeated from narrow to wide; SIZE is the size of the vocabulary after that stage.
        special: A special token; may be repeated.
        reserved: Spare special tokens, <|reserved_0|> and so on.
        seed: A text to be a token in any case; repeatable.
        tie_break: Among equally frequent pairs, merge the one that occurs first, or the one of lowest ids.
        byte_order: Which ids bytes have: their value, or GPT-2's order.
        min_count: Leave out pieces seen less often than this.
        min_frequency: Merge no pair rarer than this.
        max_token_length: Make no token longer than this, in bytes.
        threads: All cores by default; the vocabulary stays the same.
        max_memory: Count within this much memory, such as 4G; what exceeds it goes to disk, and nothing is lost.
        spill_to: Directory for pieces beyond --max-memory [default: the system's for temporary files]; no file is left there.
        reading: How sources become documents.
        resume: Continue from OUT.checkpoint if there is one, to the same result; --no-resume replaces it.
        report: Print the bytes per token of every smaller vocabulary too.
        json: Print the result as JSON.
    """
    from minbpe.checkpoint import Checkpoint, name_of, using
    from minbpe.source import recognised
    from minbpe.training import VocabularyWarning, learn

    ceiling = within(max_memory, spill_to)
    prefix = prefix_to_write(out)
    size, stages = planned(size, stage)
    kept = prefix.with_name(f"{prefix.name}.checkpoint")
    files = find_corpus(sources, reading, kept)
    for kind in ("model", "vocab"):
        spare(Path(f"{prefix}.{kind}"), files)
    whole = not reading.lines and all(map(is_plain_text, files))
    give_back_what_is_freed()
    began = perf_counter()
    with using(Checkpoint(kept, corpus=f"{name_of(files)} {reading}", stays=True)) as used:
        with Bars() as bars, interruptible(lambda: goes_on("minbpe train", kept)):
            checkpoint = resuming(resume, used, "minbpe train")
            tell = partial(show, bars)
            source: Source = recognised(files, tell)
            if source is files and not whole:
                source = Anew(lambda: reading.documents(files, bars, "read"))
            with putting_off(VocabularyWarning):
                training = learn(
                    source,
                    size,
                    pattern=... if pattern is None else named_pattern(pattern),
                    stages=stages,
                    tie_break=tie_break,
                    byte_order=byte_order,
                    special_tokens=special,
                    reserved=reserved,
                    seed_tokens=seed or (),
                    min_count=min_count,
                    min_frequency=min_frequency,
                    max_token_length=max_token_length,
                    threads=threads,
                    max_memory=ceiling.max_memory,
                    spill_to=ceiling.spill_to,
                    checkpoint=checkpoint,
                    progress=tell,
                )
                if not training.token_counts[0]:
                    used.remove()
                    raise nothing_to_learn(training.dropped_pieces, len(files), min_count)
            seconds = perf_counter() - began
            vocabulary = training.vocabulary
            vocabulary.save(f"{prefix}.model")
        used.remove()
    facts = {
        "model": f"{prefix}.model",
        **sizes(vocabulary),
        "merges": len(vocabulary) - 256,
        "special": vocabulary.special_tokens if json else " ".join(vocabulary.special_tokens) or "none",
        "files": len(files),
        "bytes": training.token_counts[0],
        "bytes per token": round(training.bytes_per_token(), 3),
        **left_out(training.dropped_pieces, training.dropped_distinct, min_count, json),
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
    """Return the figures of the vocabularies of 256 tokens, 512, and so on up to the full size, not counting special tokens."""
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
