"""The interface of an adapter: how one tokenizer is loaded, what it can encode, how it trains.

An adapter gets the tokenizer's module as an argument and never imports it, so that a tokenizer which is not installed is a row
and not an error, and the time to import is measured apart from the time to load.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Output = Literal["list", "buffer"]
ByteOrder = Literal["identity", "gpt2"]
TieBreak = Literal["lowest", "first"]
Ways = Mapping[Output, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """Which encoding to load, the directory of the files that rivals load it from, and how many threads may work."""

    encoding: str
    files: Path
    threads: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """The ways a loaded tokenizer encodes, by what they return; only those that use all threads of the setting.

    `text` takes a str, `documents` a list of them. A result is a list of ids, a list of such lists or of buffers, or one
    buffer with the ids of all texts as uint32.
    """

    text: Ways = field(default_factory=dict)
    documents: Ways = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Training:
    """What to train on and to what size. `documents` reads the file anew at each call; together the documents are the file."""

    corpus: Path
    documents: Callable[[], Any]
    size: int
    pattern: str
    threads: int
    tie_break: TieBreak = "lowest"


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gave.

    Args:
        pairs: the merges in order, each as the bytes of its two tokens.
        tokens: the learned tokens in order, of a trainer that does not tell its pairs.
        count: how many tokens a text has, where tokens are not bytes.
        stages: the seconds of each stage.
    """

    pairs: Callable[[], list[tuple[bytes, bytes]]] | None = None
    tokens: Callable[[], list[bytes]] | None = None
    count: Callable[[str], int] | None = None
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engine:
    """One tokenizer.

    Args:
        name: what it is called in tables.
        module: the module that is imported.
        distribution: its name for `pip install`.
        encoder: loads a published encoding; None: it only trains.
        trainer: trains a vocabulary; None: it only encodes.
        exact: the byte order under which its merges must equal ours; None: they need not.
        patterns: the only patterns it trains with; empty: any.
        tie_breaks: the tie rules it trains with.
        by_default: whether it takes part where no engines are named.
        reason: why it has no row among the encoders, if there is a reason to give.
    """

    name: str
    module: str
    distribution: str
    encoder: Callable[[Any, Setting], Encoder] | None = None
    trainer: Callable[[Any, Training], Trained] | None = None
    exact: ByteOrder | None = None
    patterns: tuple[str, ...] = ()
    tie_breaks: tuple[TieBreak, ...] = ("lowest",)
    by_default: bool = True
    reason: str = ""

    @property
    def installed(self) -> bool:
        """Whether its module can be imported here."""
        try:
            return find_spec(self.module) is not None
        except ModuleNotFoundError:  # of a package around it
            return False

    @property
    def version(self) -> str:
        """The installed version."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            pass
        try:
            return str(getattr(import_module(self.module), "__version__", "unknown"))
        except Exception:  # whatever a tokenizer raises, which it does again in its own process
            return "unknown"

    def refusal(self, benchmark: str) -> dict[str, str] | None:
        """Return the status and the reason if it cannot take part, or None if it can."""
        if not self.installed:
            return {"status": "missing", "note": f"not installed: pip install {self.distribution}"}
        if not (self.trainer if benchmark == "train" else self.encoder):
            return {"status": "unsupported", "note": self.reason or f"cannot {benchmark}"}
        return None


def flat(result: Any) -> array[int]:
    """Return all ids that an `Encoder` returned as one array.

    >>> flat([[1, 2], [3]]).tolist(), flat(array("I", [1, 2])).tolist()
    ([1, 2, 3], [1, 2])
    """
    ids = array("I")
    if not isinstance(result, list):
        ids.frombytes(memoryview(result).cast("B"))
    elif result and not isinstance(result[0], int):
        for part in result:
            ids.extend(flat(part))
    else:
        ids.extend(result)
    return ids
