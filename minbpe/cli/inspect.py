"""`minbpe inspect`: shows what a vocabulary, a directory of shards or a file of piece counts holds."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from minbpe.cli.count import said, show
from minbpe.cli.options import Json, Name
from minbpe.cli.shared import left_out, load_encoding, print_facts, shown_special, sizes
from minbpe.errors import FormatError, UnknownTokenError
from minbpe.formats.counts import is_counts
from minbpe.formats.vocab_text import replace_control_characters
from minbpe.loading import check, survey
from minbpe.manifest import FILE, Manifest
from minbpe.progress import Bars
from minbpe.shard_file import WAY_OUT
from minbpe.shards import read_shard

if TYPE_CHECKING:
    from minbpe.encoding import Encoding
    from minbpe.patterns import Pattern
    from minbpe.vocabulary import Vocabulary

LONGEST = 5
PREVIEW = 24


def inspect(name: Name, /, *, json: Json = False) -> None:
    """Show what a vocabulary, a directory of shards or a file of piece counts holds.

    Args:
        name: A name such as o200k_base, a .model file, a directory of shards, or a file of piece counts.
        json: Print the result as JSON.
    """
    directory = Path(name)
    if directory.is_file() and is_counts(directory):
        with Bars() as bars:
            (file,) = check([directory], partial(show, bars))
            counts = survey(file, partial(show, bars))
        dropped = file.dropped
        below = {"min count": dropped.min_count} if dropped.pieces else {}
        rare = left_out(dropped.pieces, dropped.distinct, dropped.min_count, json)
        print_facts({**said(counts, file.pattern, json), **below, **rare}, json)
        return
    shards = directory.is_dir() and (directory / FILE).exists()
    encoding = load_encoding(name)
    facts = _of_vocabulary(encoding, json)
    if shards:
        facts = {**_of_shards(Manifest.load(directory), directory, encoding, json), **facts}
    print_facts(facts, json)


def _of_vocabulary(encoding: "Encoding", as_json: bool) -> dict[str, object]:
    vocabulary = encoding.vocabulary
    tokens = [token for _, token in vocabulary.items()]
    longest = sorted(tokens, key=len, reverse=True)[:LONGEST]
    special = vocabulary.special_tokens
    unknown = None if as_json else "unknown: given by ranks alone"
    return {
        "name": encoding.name,
        **sizes(vocabulary),
        "highest id": vocabulary.n_vocab - 1,
        "merges": unknown if vocabulary.by_rank else len(vocabulary.merges),
        "special": special if as_json else shown_special(special),
        **_patterns(vocabulary, as_json),
        "engine": vocabulary.engine,
        **({"refused": vocabulary.refusal} if as_json or vocabulary.refusal else {}),
        "unicode": vocabulary.unicode_version,
        "digest": vocabulary.digest,
        "mean length": round(sum(map(len, tokens)) / len(tokens), 2),
        "longest": [token.decode("utf-8", "replace") for token in longest]
        if as_json
        else ", ".join(f"{_shown(token)} ({len(token)})" for token in longest),
    }


def _patterns(vocabulary: "Vocabulary", as_json: bool) -> dict[str, object]:
    """Return the pattern or, if there are several stages, the pattern of each with the first rank it applies to."""
    if len(vocabulary.stages) == 1:
        return {"pattern": vocabulary.pattern if as_json else _in_words(vocabulary.pattern)}
    if as_json:
        return {"stages": [{"first_rank": first_rank, "pattern": pattern} for first_rank, pattern in vocabulary.stages]}
    return {
        f"stage {number}": f"from merge {first_rank:,} on, by {_in_words(pattern)}"
        for number, (first_rank, pattern) in enumerate(vocabulary.stages, start=1)
    }


def _in_words(pattern: "Pattern") -> str:
    if isinstance(pattern, tuple):
        return "  then  ".join(map(replace_control_characters, pattern))
    return replace_control_characters(pattern or "none: a text is one piece")


def _of_shards(manifest: Manifest, directory: Path, encoding: "Encoding", as_json: bool) -> dict[str, object]:
    facts: dict[str, object] = {
        "shards": len(manifest.shards),
        "complete": manifest.complete,
        "documents": manifest.documents,
        "ids": manifest.tokens,
        "bytes": manifest.bytes,
        "bytes per id": round(manifest.bytes / max(1, manifest.tokens), 3),
        "dtype": manifest.dtype,
        "end of text": manifest.options.end_of_text,
        "written by": manifest.library,
    }
    if manifest.shards:
        first = directory / manifest.shards[0].file
        try:
            begins = encoding.decode_bytes(read_shard(first).ids[:PREVIEW].tolist())
        except UnknownTokenError as error:
            raise FormatError(f"{first} is damaged: {error}; {WAY_OUT}") from error
        facts["begins"] = begins.decode("utf-8", "replace") if as_json else _shown(begins)
    return facts


def _shown(token: bytes) -> str:
    """Return a token on one line of limited length."""
    text = repr(token.decode("utf-8", "backslashreplace"))
    return text if len(text) <= 60 else f"{text[:40]}...{text[-10:]}"
