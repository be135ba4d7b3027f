"""What several commands share: which files, which tokenizer, and how a result is printed."""

import json
import os
import signal
import sys
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
from minbpe.formats.vocab_text import replace_control_characters
from minbpe.progress import Bars
from minbpe.wording import first_of, several

if TYPE_CHECKING:
    from minbpe.checkpoint import Checkpoint
    from minbpe.encoding import Encoding
    from minbpe.vocabulary import Vocabulary


SPECIAL = 8
"""How many special tokens are shown."""

NOTHING_HALF = "nothing half-written is left"
"""What the message of an interruption says about files, each of which is replaced as a whole."""


class UsageError(MinbpeError):
    """Arguments that are wrong, or that do not go together."""


def within(max_memory: int | None, spill_to: Path | None) -> Ceiling:
    """Return the ceiling that --max-memory and --spill-to describe.

    Raises:
        UsageError: there is a directory but no ceiling. A program may well pass that, but a user who types it expects an effect.
    """
    if spill_to is not None and max_memory is None:
        raise UsageError("--spill-to is for what passes --max-memory: give that too, such as 4G, or no --spill-to")
    return Ceiling(max_memory, spill_to)


def named_pattern(given: list[str]) -> list[str] | None:
    """Return the split pattern that --pattern names, once or several times; `none` is a name too.

    Raises:
        MinbpeError: `none` is one of several names.
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
    """The field of the text in .jsonl or .parquet."""
    lines: Flag = False
    """Make each line of a text file a document, not the whole file."""

    def documents(self, sources: Sequence[Path], bars: Bars, stage: str | None) -> Iterator[bytes | str | Long]:
        """Read the documents of `sources`, with a progress bar for `stage` if one is given."""
        files = find_files(sources, glob=self.glob)
        total = sum(file.stat().st_size for file in files)
        return read_documents(
            files,
            field=self.field,
            lines=self.lines,
            progress=lambda done: bars.show(stage, done, total) if stage else None,
        )


def directory_to_write(place: Path) -> None:
    """Raise a MinbpeError if `place` exists and is not a directory."""
    if place.exists() and not place.is_dir():
        raise MinbpeError(f"{place} is a file: name a directory to write")


def prefix_to_write(out: str) -> Path:
    """Return the path of a vocabulary's files without their endings.

    Raises:
        MinbpeError: it names no file, or one in a directory that is not there.
    """
    prefix = Path(out.removesuffix(".model"))
    if prefix.name in ("", "..") or out.endswith(("/", os.sep)):
        raise MinbpeError(f"--out {out!r} names no file: give the path of a vocabulary, with or without .model")
    if not prefix.parent.is_dir():
        raise MinbpeError(f"{prefix.parent}: no such directory to write {prefix.name}.model in: make it first")
    return prefix


def find_corpus(sources: Sequence[Path], reading: Reading, kept: Path) -> list[Path]:
    """Return the files of `sources`, without those of the checkpoint `kept`, which may lie in a directory to read.

    Raises:
        MinbpeError: a source is itself in the checkpoint, which is removed in the end.
    """
    files = find_files(sources, glob=reading.glob)
    if not kept.is_dir():
        return files
    own = kept.resolve()
    for source in sources:
        place = source.resolve()
        if own in (place, *place.parents):
            raise MinbpeError(f"{source} is to be read, and would be lost with {kept}: move it, or name another --out")
    return [file for file in files if own not in file.resolve().parents]


def spare(written: Path, files: Sequence[Path]) -> None:
    """Raise a MinbpeError if the file to write is one of those to read, or exists and is not a file."""
    if written.exists() and not written.is_file():
        raise MinbpeError(f"{written} is {'a directory' if written.is_dir() else 'no file'}: name a file to write")
    if written.exists() and any(map(written.samefile, files)):
        raise MinbpeError(f"{written} is a file to read, and would be lost: name another one to write")


@contextmanager
def interruptible(left: Callable[[], str | None]) -> Iterator[None]:
    """Let Ctrl-C, or SIGTERM (kill, a time limit), end a block with a message about what it has left.

    A full disk, or a lack of memory, gets the same message.
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
    """Hold back warnings of a class until the block ends; show them only if it succeeds, as otherwise there is an error to read."""
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
    """Return the checkpoint that --resume or --no-resume asks for; with neither, what an interrupted run left must not be lost.

    Raises:
        MinbpeError: neither is given, and this run would replace what an interrupted one has left.
    """
    if asked is None and checkpoint.holds_something():
        raise MinbpeError(
            f"{checkpoint.path} holds what an interrupted run has done: {command} --resume goes on from it, and --no-resume "
            "begins anew and replaces it"
        )
    if asked and not checkpoint.holds_something():
        print(f"{checkpoint.path} holds nothing to resume: this run begins anew", file=sys.stderr)
    return replace(checkpoint, resume=bool(asked))


def goes_on(command: str, checkpoint: Path) -> str | None:
    """Say how to resume a command after an interruption, if that is possible."""
    return f"{command} --resume goes on from {checkpoint}" if checkpoint.is_dir() else None


def load_encoding(name: str) -> "Encoding":
    """Return the encoding of a name such as `o200k_base`, of a file with or without `.model`, or of a directory of shards.

    Raises:
        MinbpeError: There is none; the message lists what there is.
    """
    from minbpe.encoding import Encoding
    from minbpe.model import find_encoding_name
    from minbpe.registry import get_encoding, list_encoding_names
    from minbpe.vocabulary import Vocabulary

    if file := model_file(name):
        return Encoding.from_vocabulary(Vocabulary.load(file), name=file.stem)
    names = list_encoding_names()
    if name in names:
        return get_encoding(name)
    if used := find_encoding_name(name):
        raise MinbpeError(f"no tokenizer {name!r}: this model uses {used!r}, give that")
    raise MinbpeError(f"no tokenizer {name!r}: give the path of a .model file, or one of {', '.join(sorted(names))}")


def model_file(name: str) -> Path | None:
    """Return the file of the vocabulary that `load_encoding` loads by this name, or None if it loads none from a file.

    Raises:
        MinbpeError: the name is that of a directory without a vocabulary.
    """
    from minbpe.registry import list_encoding_names
    from minbpe.shards import VOCABULARY

    path = Path(name)
    if path.is_dir():
        path = path / f"{VOCABULARY}.model"
        if not path.exists():
            raise MinbpeError(_without_vocabulary(path))
    if path.exists():
        return path
    model = path.with_name(f"{path.name}.model")
    return model if name not in list_encoding_names() and model.exists() else None


def _without_vocabulary(missing: Path) -> str:
    """Describe a directory that has no vocabulary."""
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


def shown_special(special: Mapping[str, int]) -> str:
    """Return special tokens with their ids on one line, the first of them if there are many."""
    shown = [f"{replace_control_characters(text)} {token_id}" for text, token_id in special.items()]
    return first_of(shown, SPECIAL) or "none"


def nothing_to_learn(dropped_pieces: int, files: int, min_count: int) -> MinbpeError:
    """Return the error that says why there was nothing to learn from."""
    if dropped_pieces and min_count == 1:
        return MinbpeError(
            f"{'these counts hold' if files > 1 else 'this file of counts holds'} no piece, for all were left out as too rare: "
            "count the text again with a lower min_count"
        )
    if dropped_pieces:
        return MinbpeError(
            f"no piece was seen {min_count:,} times, as --min-count asks for: give a lower one, or more text"
        )
    return MinbpeError(f"there is no text in {several(files, 'file')}, and nothing to learn: name files that hold some")


def left_out(dropped: int, distinct: int | None, min_count: int, as_json: bool) -> dict[str, object]:
    """Return how many pieces were left out as too rare, and how many different ones, if any were or `min_count` asks for it."""
    if not dropped and min_count == 1:
        return {}
    unknown = None if as_json else "not known: left out of several parts"
    return {"dropped": dropped, "dropped distinct": unknown if distinct is None else distinct}


def print_facts(facts: Mapping[str, object], as_json: bool) -> None:
    """Print facts as one JSON object, or as aligned lines for people."""
    if as_json:
        print(json.dumps({name.replace(" ", "_"): value for name, value in facts.items()}, default=os.fspath))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        print(f"{name:<{width}}  {shown}")
