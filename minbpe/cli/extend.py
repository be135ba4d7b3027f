"""`minbpe extend`: more tokens for a vocabulary that is there, learnt from text files, or from piece counts."""

import sys
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
    VOCABULARY,
    Json,
    Memory,
    Name,
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
    load_encoding,
    model_file,
    nothing_to_learn,
    prefix_to_write,
    print_facts,
    putting_off,
    resuming,
    shown_special,
    sizes,
    spare,
    within,
)
from minbpe.documents import is_plain_text
from minbpe.errors import MinbpeError
from minbpe.progress import Bars

if TYPE_CHECKING:
    from minbpe.checkpoint import Checkpoint
    from minbpe.training import Source
    from minbpe.vocabulary import Vocabulary


def extend(
    tokenizer: Name,
    /,
    *sources: Sources,
    add: Annotated[Positive, Parameter(metavar="N", group=VOCABULARY)],
    out: Annotated[Name, Parameter(name=["--out", "-o"], metavar="PATH", group=OUTPUT)],
    tie_break: Annotated[Literal["first", "lowest"], Parameter(group=VOCABULARY)] = "first",
    min_count: Annotated[Positive, Parameter(group=VOCABULARY)] = 1,
    min_frequency: Annotated[Positive, Parameter(group=VOCABULARY)] = 1,
    max_token_length: Annotated[Positive | None, Parameter(group=VOCABULARY)] = None,
    threads: Annotated[Threads | None, Parameter(group=RESOURCES)] = None,
    max_memory: Annotated[Memory | None, Parameter(group=RESOURCES)] = None,
    spill_to: Annotated[Place | None, Parameter(group=RESOURCES)] = None,
    reading: Annotated[Reading, Parameter(group=CORPUS)] = Reading(),  # noqa: B008 (frozen)
    resume: Annotated[Resume, Parameter(group=OUTPUT)] = None,
    json: Annotated[Json, Parameter(group=OUTPUT)] = False,
) -> None:
    """Learn more tokens on top of a vocabulary.

    Every token that is there, special ones too, keeps its id; new ones get the ids after the highest. From the text that the
    vocabulary was trained on it learns the tokens that training to the larger size at once would have learnt.

    Writes OUT.model, which the other commands take as --tokenizer, and OUT.vocab, which people read. Ctrl-C, kill and each
    minute leave what is done in OUT.checkpoint; the same command with --resume continues from there.

    Args:
        tokenizer: A name such as o200k_base, a .model file (with or without .model), or a directory of shards.
        sources: Files and directories: text, .jsonl, .parquet; .gz, .bz2, .xz, .zst of these; or files that minbpe count wrote
            with the vocabulary's pattern.
        add: How many tokens to add.
        out: The path to write, with or without .model; it may be that of TOKENIZER, which it then replaces.
        tie_break: Among equally frequent pairs, the one that occurs first, or the one of lowest ids: as in the first training.
        min_count: Leave out pieces seen less often than this.
        min_frequency: Merge no pair rarer than this.
        max_token_length: Add no token longer than this, in bytes.
        threads: All cores by default; the vocabulary stays the same.
        max_memory: Count within this much memory, such as 4G; what exceeds it goes to disk, and nothing is lost.
        spill_to: Directory for pieces beyond --max-memory [default: the system's for temporary files]; no file is left there.
        reading: How sources become documents.
        resume: Continue from OUT.checkpoint, which must be there if OUT is TOKENIZER, to the same result; --no-resume replaces it.
        json: Print the result as JSON.
    """
    from minbpe.checkpoint import Checkpoint, name_of, using
    from minbpe.extending import learn_more
    from minbpe.merging import Limits, VocabularyWarning
    from minbpe.source import recognised

    ceiling = within(max_memory, spill_to)
    prefix = prefix_to_write(out)
    kept = prefix.with_name(f"{prefix.name}.checkpoint")
    files = find_corpus(sources, reading, kept)
    for kind in ("model", "vocab"):
        spare(Path(f"{prefix}.{kind}"), files)
    model, read = Path(f"{prefix}.model"), model_file(tokenizer)
    before = load_encoding(tokenizer).vocabulary
    limits = Limits(min_frequency, max_token_length)
    give_back_what_is_freed()
    began = perf_counter()
    with using(Checkpoint(kept, corpus=f"{name_of(files)} {reading}", stays=True)) as used:
        with Bars() as bars, interruptible(lambda: goes_on("minbpe extend", kept)):
            if resume and read and model.exists() and model.samefile(read):
                before = _begun_with(before, model, used)
            checkpoint = resuming(resume, used, "minbpe extend")
            tell = partial(show, bars)
            source: Source = recognised(files, tell)
            if source is files and (reading.lines or not all(map(is_plain_text, files))):
                source = reading.documents(files, bars, "read")
            with putting_off(VocabularyWarning):
                vocabulary, corpus = learn_more(
                    before, source, add, tie_break, min_count, limits, threads, ceiling, checkpoint, tell
                )
                if not corpus.size:
                    used.remove()
                    raise nothing_to_learn(corpus.dropped.pieces, len(files), min_count)
            seconds = perf_counter() - began
            vocabulary.save(model)
        used.remove()
    special = vocabulary.special_tokens
    print_facts(
        {
            "model": str(model),
            **sizes(vocabulary),
            "highest id": vocabulary.n_vocab - 1,
            "merges added": len(vocabulary) - len(before),
            "special": special if json else shown_special(special),
            "files": len(files),
            "bytes": corpus.size,
            **left_out(corpus.dropped.pieces, corpus.dropped.distinct, min_count, json),
            "seconds": round(seconds, 2),
            "digest": vocabulary.digest,
        },
        json,
    )


def _begun_with(vocabulary: "Vocabulary", model: Path, checkpoint: "Checkpoint") -> "Vocabulary":
    """Return what the run to resume began with, which is not what is in `model` now if it got as far as replacing that.

    Raises:
        MinbpeError: there is no such run, so it may well have ended, and the same tokens would be added again.
    """
    from minbpe.extending import before_extending

    if not checkpoint.holds_something():
        raise MinbpeError(
            f"{checkpoint.path} holds nothing to resume: the run that was to extend {model} has ended, or has kept nothing. "
            f"minbpe inspect {model} tells how many tokens there are; to add to them, leave out --resume"
        )
    before = before_extending(vocabulary, checkpoint)
    if before is not vocabulary:
        print(
            f"{model} is already extended: this run completes the one that did so, and adds nothing twice",
            file=sys.stderr,
        )
    return before
