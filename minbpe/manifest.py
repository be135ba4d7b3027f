"""What a directory of shards holds: `manifest.json`, a pure function of the documents, the vocabulary and the options."""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

from minbpe.atomic import replacing
from minbpe.errors import FormatError

SCHEMA = 1
FILE = "manifest.json"
Made = TypeVar("Made", "Shard", "Options", "Manifest")


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
    """Of the documents, before they became ids."""
    sha256: str
    index_sha256: str
    source_sha256: str
    """Over the documents, each after its length as 8 bytes: two runs over the same documents agree on it."""


@dataclass(frozen=True, slots=True)
class Options:
    """The choices that decide which ids stand where."""

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
    pattern: str | None
    dtype: str
    """`uint16` or `uint32`: what every id of the vocabulary fits in."""
    options: Options
    library: str
    complete: bool = False
    """Whether the documents came to their end; shards of an interrupted run are whole, but more would follow."""
    shards: tuple[Shard, ...] = ()

    @property
    def tokens(self) -> int:
        """Ids in all shards, those between documents too."""
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
        """Whether both write the same ids for the same documents: a run may then go on where the other stopped."""
        return replace(self, shards=(), complete=False, library="") == replace(
            other, shards=(), complete=False, library=""
        )

    def save(self, directory: Path) -> None:
        """Write `manifest.json` in `directory`, replacing one that is there."""
        with replacing(directory / FILE) as file:
            file.write(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2).encode() + b"\n")

    @classmethod
    def load(cls, directory: Path) -> "Manifest":
        """Read the manifest of `directory`.

        Raises:
            FormatError: There is none, it is damaged, or a later version wrote it.
        """
        path = directory / FILE
        try:
            content = json.loads(path.read_bytes())
            schema = content.pop("schema")
        except FileNotFoundError:
            raise FormatError(f"{directory} holds no {FILE}: it is not a directory that `minbpe shard` wrote") from None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise FormatError(f"{path} is damaged ({error!r}): write the shards again into an empty directory") from error
        if schema != SCHEMA:
            raise FormatError(f"{path} has schema {schema!r}; this version of minbpe reads {SCHEMA}: update minbpe")
        try:
            options = _build(Options, content["options"])
            shards = tuple(_build(Shard, shard) for shard in content["shards"])
            return _build(cls, {**content, "options": options, "shards": shards})
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path} is damaged ({error}): write the shards again into an empty directory") from error


def _build(kind: type[Made], content: dict[str, Any]) -> Made:
    """Make a `kind` of JSON values, whose types are those of its annotations."""
    for field in fields(kind):
        value = content[field.name]
        if isinstance(field.type, (type, UnionType)) and not isinstance(value, field.type):
            raise TypeError(f"{field.name} is {value!r}")
    return kind(**content)
