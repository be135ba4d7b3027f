"""A small file of state: a line that says what it is, a checksum, and JSON. It appears whole or not at all.

The state of a training is its merges so far, with its options: a checkpoint is refused for others.
"""

from __future__ import annotations

import hashlib
import json

from minbpe.atomic import replacing
from minbpe.errors import CorpusError, FormatError
from minbpe.naming import naming
from minbpe.patterns import from_json, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import UnionType
    from typing import Any

MAGIC = b"minbpe checkpoint v2\n"
COUNTS, MERGES = "corpus.counts", "merges"
WAY_OUT = "do as before to go on from it, or remove it to begin anew"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what `read_state` gives back."""
    body = json.dumps(state).encode("ascii")
    with replacing(path) as file:
        file.write(MAGIC + _checksum(body) + body)


def read_state(path: Path, kinds: Mapping[str, type | UnionType]) -> dict[str, Any]:
    """Return what was written.

    Args:
        path: the file.
        kinds: what the state is to hold, by name.

    Raises:
        FormatError: the file is something else, of a later version, or damaged.
        OSError: it cannot be read.
    """
    with naming(path):
        data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise FormatError(f"{path} is no checkpoint that this version of minbpe can go on from: {WAY_OUT}")
    checksum, _, body = data[len(MAGIC) :].partition(b"\n")
    if checksum + b"\n" != _checksum(body):
        raise FormatError(f"{path} is damaged: its sha256 is not the one it was written with; {WAY_OUT}")
    try:
        state = json.loads(body)
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict) or not all(
        name in state and isinstance(state[name], kind) for name, kind in kinds.items()
    ):
        raise FormatError(f"{path} holds no state of a checkpoint: {WAY_OUT}")
    return state


def rows_of_ints(given: list[Any], length: int) -> bool:
    """Whether a list from JSON holds only lists of this many ints."""
    return all(isinstance(row, list) and len(row) == length and {int}.issuperset(map(type, row)) for row in given)


def read_merges(path: Path) -> dict[str, Any]:
    """Return what the checkpoint at `path` says of the merges that are made.

    Raises:
        FormatError: it is damaged, or a later version wrote it.
        OSError: it cannot be read.
    """
    state = read_state(path / MERGES, {"options": dict, "corpus": str | None, "counts": str | None, "merges": list})
    if not rows_of_ints(state["merges"], 4):
        raise FormatError(f"{path / MERGES} holds no state of a checkpoint: {WAY_OUT}")
    return state


def read_options(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state that a training with these options has left in a directory.

    Raises:
        CorpusError: the training was of another kind, or had other options.
        FormatError: the state is damaged, or a later version wrote it.
        OSError: the state cannot be read.
    """
    state = read_merges(path)
    kind, wanted = _kind(state["options"]), _kind(options)
    if kind != wanted:
        raise CorpusError(f"the checkpoint in {path} is of {kind}, and this is {wanted}: {WAY_OUT}")
    for name, value in options.items():
        before = from_json(state["options"].get(name))
        if before != value:
            said = {"pattern": shown, "earlier_stages": ", ".join}.get(name, repr)
            raise CorpusError(
                f"the checkpoint in {path} is of {kind} with {name}={said(before)}, and {name}={said(value)} is asked for: "
                f"{WAY_OUT}{_reusable(path, name, before, value)}"
            )
    return state


def _kind(options: Mapping[str, Any]) -> str:
    """Return what a run with these options does."""
    return (
        "extending" if "vocabulary" in options else "training in stages" if "earlier_stages" in options else "training"
    )


def _reusable(path: Path, name: str, before: Any, value: Any) -> str:
    """Say where the counts are, if the option that differs leaves them of use to a training on one file of them."""
    if name in ("pattern", "earlier_stages") or (name == "min_count" and value < before):
        return ""
    return f"; or train on its counts without counting again: {path / COUNTS} is a file of them"


def _checksum(body: bytes) -> bytes:
    return f"sha256 {hashlib.sha256(body).hexdigest()}\n".encode("ascii")
