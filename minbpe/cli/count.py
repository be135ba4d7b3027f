"""`minbpe count`: turns text files into a file of piece counts, which is all that training needs."""

from contextlib import nullcontext
from functools import partial
from time import perf_counter
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from minbpe.checkpoint import Checkpoint, name_of, using
from minbpe.cli.freed import give_back_what_is_freed
from minbpe.cli.options import (
    CORPUS,
    OUTPUT,
    RESOURCES,
    SPLITTING,
    Json,
    Memory,
    Patterns,
    Place,
    Positive,
    Resume,
    Sources,
    Threads,
)
from minbpe.cli.shared import (
    Reading,
    find_corpus,
    goes_on,
    interruptible,
    left_out,
    named_pattern,
    print_facts,
    resuming,
    spare,
    within,
)
from minbpe.documents import is_plain_text
from minbpe.errors import MinbpeError
from minbpe.formats.counts import is_counts, save_counted
from minbpe.gathering import Progress
from minbpe.patterns import shown
from minbpe.progress import Bars
from minbpe.source import counts_of, memory_to_train, recognised

if TYPE_CHECKING:
    from minbpe import _core
    from minbpe.corpus import Corpus
    from minbpe.patterns import Pattern
    from minbpe.source import SavedCounts

SIZE = 32768
"""The default size of a vocabulary to train, in tokens."""


def count(
    *sources: Sources,
    out: Annotated[Place, Parameter(name=["--out", "-o"], group=OUTPUT)],
    pattern: Annotated[Patterns | None, Parameter(group=SPLITTING)] = None,
    min_count: Annotated[Positive, Parameter(group=OUTPUT)] = 1,
    threads: Annotated[Threads | None, Parameter(group=RESOURCES)] = None,
    max_memory: Annotated[Memory | None, Parameter(group=RESOURCES)] = None,
    spill_to: Annotated[Place | None, Parameter(group=RESOURCES)] = None,
    reading: Annotated[Reading, Parameter(group=CORPUS)] = Reading(),  # noqa: B008 (frozen)
    resume: Annotated[Resume, Parameter(group=OUTPUT)] = None,
    json: Annotated[Json, Parameter(group=OUTPUT)] = False,
) -> None:
    """Count the pieces of text, to train on later, or add up files of counts.

    Tokens of a text are counted by minbpe encode --count.

    Ctrl-C, kill and each minute leave what is counted in OUT.checkpoint; the same command with --resume continues from there.

    Parts of a corpus may be counted on different machines, and train as the whole does: name their counts in the order
    of the parts, as in minbpe train part1.counts part2.counts, or minbpe count part1.counts part2.counts --out all.counts.

    Args:
        sources: Files and directories: text, .jsonl, .parquet; .gz, .bz2, .xz, .zst of these; or files that this command wrote.
        out: The file to write.
        pattern: gpt2, gpt4 (the default for text), cl100k, o200k, none or a regular expression; or several
            (--pattern A --pattern B): each splits the pieces of the one before.
        min_count: Leave out pieces seen less often than this. To be exact for a corpus counted in parts, give it only when adding
            them up or training.
        threads: All cores by default. The counts do not depend on it.
        max_memory: Hold distinct pieces in at most this much memory, such as 4G; the others go to disk, and none is lost.
        spill_to: Directory for pieces beyond --max-memory [default: the system's for temporary files]; no file is left there.
        reading: How sources become documents.
        resume: Continue from OUT.checkpoint if there is one; the result is that of an uninterrupted run. --no-resume
            ignores and replaces it.
        json: Print the result as JSON.
    """
    ceiling = within(max_memory, spill_to)
    if not out.parent.is_dir():
        raise MinbpeError(f"{out.parent}: no such directory to write {out.name} in: make it first")
    kept = out.with_name(f"{out.name}.checkpoint")
    files = find_corpus(sources, reading, kept)
    if not (out.exists() and is_counts(out)):
        spare(out, files)
    whole = not reading.lines and all(map(is_plain_text, files))
    checkpoint = Checkpoint(kept, corpus=f"{name_of(files)} {reading}")
    named = ... if pattern is None else named_pattern(pattern)
    give_back_what_is_freed()
    began = perf_counter()
    with Bars() as bars, interruptible(lambda: goes_on("minbpe count", kept)):
        tell = partial(show, bars)
        corpus: Corpus | SavedCounts = recognised(files, tell)
        is_text = corpus is files  # Files of counts are on disk already, and need no checkpoint.
        with using(checkpoint) if is_text else nullcontext() as used:
            if used:
                checkpoint = resuming(resume, used, "minbpe count")
                corpus = files if whole else reading.documents(files, bars, "read")
            with counts_of(corpus, named, min_count, threads, ceiling, checkpoint, tell) as (counted, regex, dropped):
                save_counted(counted, regex, out, tell, dropped)
    spilled = {"spilled": counted.spilled} if max_memory is not None else {}
    seconds = round(perf_counter() - began, 2)
    print_facts(
        {
            "counts": str(out),
            "files": len(files),
            **said(counted, regex, json),
            **left_out(dropped.pieces, dropped.distinct, min_count, json),
            **spilled,
            "seconds": seconds,
        },
        json,
    )


def said(
    counted: "_core.Counted | _core.Survey", pattern: "Pattern | EllipsisType", as_json: bool
) -> dict[str, object]:
    """Return the facts to print about counts."""
    pieces, distinct, size = counted.kept
    needed = memory_to_train(counted.distinct_bytes, SIZE)
    names = [(piece.decode("utf-8", "backslashreplace"), times) for piece, times in counted.most_frequent]
    return {
        "documents": counted.sources,
        "bytes": size,
        "pieces": pieces,
        "distinct": distinct,
        "pattern": "not known" if pattern is ... else pattern if as_json else shown(pattern),
        "memory to train": needed if as_json else f"some {needed / 1e6:,.0f} MB to {SIZE:,} tokens",
        "most frequent": names if as_json else ", ".join(f"{name[:40]!r} ({times:,})" for name, times in names),
    }


def show(bars: Bars, progress: Progress) -> None:
    """Show how far counting or training is."""
    unit: Literal["bytes", "merges"] = "merges" if progress.stage == "train" else "bytes"
    bars.show(progress.stage, progress.done, progress.total, unit, progress.pieces)
