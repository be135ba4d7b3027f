"""What several commands share: which files, which tokenizer, and how a result is printed."""

import json
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from minbpe.ceiling import Ceiling
from minbpe.cli.options import Flag
from minbpe.documents import Long, find_files, read_documents
from minbpe.errors import MinbpeError
from minbpe.progress import Bars
from minbpe.wording import several

if TYPE_CHECKING:
    from minbpe.checkpoint import Checkpoint
    from minbpe.encoding import Encoding
    from minbpe.vocabulary import Vocabulary


NOTHING_HALF = "nothing half-written is left"
"""What an interruption says of files, each of which is replaced at once."""


class UsageError(MinbpeError):
    """Arguments that are each right and together are not."""


def within(max_memory: int | None, spill_to: Path | None) -> Ceiling:
    """Return the ceiling that two options give.

    Raises:
        UsageError: there is a directory for what passes none. A program may hand one on so; who types it means something.
    """
    if spill_to is not None and max_memory is None:
        raise UsageError("--spill-to is for what passes --max-memory: give that too, such as 4G, or no --spill-to")
    return Ceiling(max_memory, spill_to)


def named_pattern(given: list[str]) -> list[str] | None:
    """Return the split pattern that is given by one name or several; `none` is one too.

    Raises:
        MinbpeError: `none` is one of several.
    """
    if "none" in given and len(given) > 1:
        raise MinbpeError(
            "--pattern none takes each document as one piece, and goes with no other: leave it out, or the others"
        )
    return None if given == ["none"] else given


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How sources become documents."""

    glob: str = "*"
    """Files to take from directories, such as '*.py'."""
    field: str = "text"
    """Where the text is in .jsonl or .parquet."""
    lines: Flag = False
    """Each line of a text file is a document, not the whole file."""

    def documents(self, sources: list[Path], bars: Bars, stage: str | None) -> Iterator[bytes | str | Long]:
        """Read the documents of `sources`, with a bar for the stage if it is one of reading."""
        files = find_files(sources, glob=self.glob)
        total = sum(file.stat().st_size for file in files)
        return read_documents(
            files,
            field=self.field,
            lines=self.lines,
            progress=lambda done: bars.show(stage, done, total) if stage else None,
        )


def directory_to_write(place: Path) -> None:
    """Raise a MinbpeError if something else than a directory is there."""
    if place.exists() and not place.is_dir():
        raise MinbpeError(f"{place} is a file: name a directory to write")


def spare(written: Path, files: Sequence[Path]) -> None:
    """Raise a MinbpeError if a file to write is one of those to read, or something else than a file is there."""
    if written.exists() and not written.is_file():
        raise MinbpeError(f"{written} is {'a directory' if written.is_dir() else 'no file'}: name a file to write")
    if written.exists() and any(map(written.samefile, files)):
        raise MinbpeError(f"{written} is a file to read, and would be lost: name another one to write")


@contextmanager
def interruptible(left: Callable[[], str | None]) -> Iterator[None]:
    """Let Ctrl-C end a block with a word on what it has left, and so what ends a process by default (kill, a time limit).

    A full disk, or memory that there is not, gets the same word.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(NOTHING_HALF, left() or "nothing is kept") from None
    except (OSError, MemoryError) as error:
        if word := left():
            error.add_note(word)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def putting_off(category: type[Warning]) -> Iterator[None]:
    """Show warnings of a class when the block has ended, and only if it has ended well: else there is an error to read."""
    show = warnings.showwarning
    put_off: list[tuple[Any, ...]] = []

    def keep(*warning: Any, **_: Any) -> None:
        if issubclass(warning[1], category):
            put_off.append(warning)
        else:
            show(*warning)

    warnings.showwarning = keep
    try:
        yield
    finally:
        warnings.showwarning = show
    for warning in put_off:
        show(*warning)


def resuming(asked: bool | None, checkpoint: "Checkpoint", command: str) -> "Checkpoint":
    """Return a checkpoint as --resume or --no-resume asks for; with neither of them, what is there must not be lost.

    Raises:
        MinbpeError: an interrupted run has left what this one would replace.
    """
    if asked is None and checkpoint.holds_something():
        raise MinbpeError(
            f"{checkpoint.path} holds what an interrupted run has done: {command} --resume goes on from it, and --no-resume "
            "begins anew and replaces it"
        )
    return replace(checkpoint, resume=bool(asked))


def goes_on(command: str, checkpoint: Path | None) -> str | None:
    """Say how a command goes on after an interruption, if it can."""
    return f"{command} --resume goes on from {checkpoint}" if checkpoint and checkpoint.is_dir() else None


def load_encoding(name: str) -> "Encoding":
    """Return the encoding of a name such as `o200k_base`, of a file with or without `.model`, or of a directory of shards.

    Raises:
        MinbpeError: There is no such thing; the message lists what there is.
    """
    from minbpe.encoding import Encoding
    from minbpe.model import find_encoding_name
    from minbpe.registry import get_encoding, list_encoding_names
    from minbpe.shards import VOCABULARY
    from minbpe.vocabulary import Vocabulary

    path = Path(name)
    if path.is_dir():
        path = path / f"{VOCABULARY}.model"
        if not path.exists():
            raise MinbpeError(_without_vocabulary(path))
    if path.exists():
        return Encoding.from_vocabulary(Vocabulary.load(path), name=path.stem)
    names = list_encoding_names()
    if name in names:
        return get_encoding(name)
    model = path.with_name(f"{path.name}.model")
    if model.exists():
        return Encoding.from_vocabulary(Vocabulary.load(model), name=path.name)
    if used := find_encoding_name(name):
        raise MinbpeError(f"no tokenizer {name!r}: this model uses {used!r}, give that")
    raise MinbpeError(f"no tokenizer {name!r}: give the path of a .model file, or one of {', '.join(sorted(names))}")


def _without_vocabulary(missing: Path) -> str:
    """Say what a directory is that has no vocabulary."""
    from minbpe.manifest import FILE
    from minbpe.shard_file import is_shard

    directory = missing.parent
    shards = sum(map(is_shard, directory.glob("*.bin")))
    there = [FILE] * (directory / FILE).exists() + [several(shards, "shard")] * bool(shards)
    if not there:
        return f"{directory} is a directory that holds no shards: name one that does, or a .model file"
    way_out = "put the vocabulary there that its ids are of, or name that"
    return f"{directory} holds {' and '.join(there)}, but {missing.name} is missing: {way_out}"


def sizes(vocabulary: "Vocabulary") -> dict[str, int]:
    """Return how many tokens a vocabulary has in all, as --size counts them, and without the special ones."""
    ordinary = len(vocabulary)
    return {"tokens": ordinary + len(set(vocabulary.special_tokens.values())), "ordinary": ordinary}


def print_facts(facts: Mapping[str, object], as_json: bool) -> None:
    """Print facts as one JSON object, or as aligned lines for people."""
    if as_json:
        print(json.dumps({name.replace(" ", "_"): value for name, value in facts.items()}, default=os.fspath))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        print(f"{name:<{width}}  {shown}")
