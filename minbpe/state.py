"""A small file of state: a line that says what it is, a checksum, and JSON. It appears whole or not at all."""

from __future__ import annotations

import hashlib
import json

from minbpe.atomic import replacing
from minbpe.errors import FormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

MAGIC = b"minbpe checkpoint v2\n"
WAY_OUT = "do as before to go on from it, or remove it to begin anew"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write what `read_state` gives back."""
    body = json.dumps(state).encode("ascii")
    with replacing(path) as file:
        file.write(MAGIC + _checksum(body) + body)


def read_state(path: Path) -> dict[str, Any]:
    """Return what was written.

    Raises:
        FormatError: the file is something else, of a later version, or damaged.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise FormatError(f"{path} is no checkpoint that this version of minbpe can go on from: {WAY_OUT}")
    checksum, _, body = data[len(MAGIC) :].partition(b"\n")
    if checksum + b"\n" != _checksum(body):
        raise FormatError(f"{path} is damaged: its sha256 is not the one it was written with; {WAY_OUT}")
    state: dict[str, Any] = json.loads(body)
    return state


def _checksum(body: bytes) -> bytes:
    return f"sha256 {hashlib.sha256(body).hexdigest()}\n".encode("ascii")
