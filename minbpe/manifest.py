"""The manifest of a directory of shards, `manifest.json`: a pure function of the documents, the vocabulary and the options."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minbpe.atomic import replacing
from minbpe.errors import FormatError
from minbpe.naming import naming
from minbpe.patterns import from_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)

SCHEMA = 1
FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of ids and what it was made of."""

    file: str
    """The ids, with llm.c's header."""
    index: str
    """Where each document ends: uint64, counted in ids."""
    tokens: int
    documents: int
    bytes: int
    """The size of the documents before they became ids."""
    sha256: str
    index_sha256: str
    source_sha256: str
    """Covers the documents, each preceded by its length as 8 bytes: two runs over the same documents agree on it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that decide which ids go where."""

    tokens_per_shard: int
    end_of_text: str
    end_of_text_id: int | None
    validation: bool


@dataclass(frozen=True, slots=True)
class Manifest:
    """A directory of shards, in the order of its documents."""

    vocabulary: str
    """The vocabulary's digest; the vocabulary itself is `vocabulary.model` beside the manifest."""
    n_vocab: int
    pattern: str | tuple[str, ...] | None
    dtype: str
    """`uint16` or `uint32`: the type that every id of the vocabulary fits in."""
    options: Options
    library: str
    complete: bool = False
    """Whether the run reached the last document; the shards of an interrupted run are whole, but more would follow."""
    shards: tuple[Shard, ...] = ()

    @property
    def tokens(self) -> int:
        """Ids in all shards, including those between documents."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def documents(self) -> int:
        """Documents in all shards."""
        return sum(shard.documents for shard in self.shards)

    @property
    def bytes(self) -> int:
        """Bytes of all documents."""
        return sum(shard.bytes for shard in self.shards)

    def of_same_plan(self, other: "Manifest") -> bool:
        """Whether both write the same ids for the same documents, so that one run may continue where the other stopped."""
        return replace(self, shards=(), complete=False, library="") == replace(
            other, shards=(), complete=False, library=""
        )

    def save(self, directory: Path) -> None:
        """Write `manifest.json` in `directory`, replacing any that is there."""
        content = {"schema": SCHEMA, **asdict(self)}
        with replacing(directory / FILE) as file:
            file.write(json.dumps({**content, "checksum": _checksum(content)}, indent=2).encode() + b"\n")

    @classmethod
    def load(cls, directory: Path) -> "Manifest":
        """Read the manifest of `directory`.

        Raises:
            FormatError: The manifest is missing, was changed, or was written by a later version.
            OSError: It cannot be read.
        """
        path = directory / FILE
        try:
            with naming(path):
                content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise FormatError(f"{directory} holds no {FILE}: it is not a directory that `minbpe shard` wrote") from None
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path} is damaged: remove it and write the shards again ({error})") from error
        if not isinstance(content, dict) or content.pop("checksum", None) != _checksum(content):
            raise FormatError(f"{path} was changed: remove it and write the shards again")
        schema = content.pop("schema", None)
        if schema != SCHEMA:
            raise FormatError(f"{path} has schema {schema}, and this version of minbpe reads {SCHEMA}: update minbpe")
        try:
            shards = tuple(_of_types(Shard, shard) for shard in content.pop("shards"))
            options = _of_types(Options, content.pop("options"))
            pattern = from_json(content.pop("pattern"))
            manifest = cls(**content, shards=shards, options=options, pattern=pattern)
        except (KeyError, TypeError) as error:
            raise FormatError(
                f"{path} does not describe shards: remove it and write the shards again ({error})"
            ) from error
        return manifest


def _of_types(kind: "type[T]", content: dict[str, Any]) -> "T":
    """Return a dataclass made of JSON.

    Raises:
        TypeError: The content has other fields, of other types, or a number that is no size.
    """
    made = kind(**content)
    for name, expected in kind.__annotations__.items():
        value = content[name]
        if not isinstance(value, expected) or (isinstance(value, int) and not 0 <= value < 1 << 63):
            raise TypeError(f"{name} is {value!r}")
    return made


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
