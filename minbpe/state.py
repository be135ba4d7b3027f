"""A small file of state: a line that says what it is, a checksum, and JSON. It appears whole or not at all."""

from __future__ import annotations

import hashlib
import json

from minbpe.atomic import replacing
from minbpe.errors import FormatError
from minbpe.naming import naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import UnionType
    from typing import Any

MAGIC = b"minbpe checkpoint v2\n"
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


def _checksum(body: bytes) -> bytes:
    return f"sha256 {hashlib.sha256(body).hexdigest()}\n".encode("ascii")
