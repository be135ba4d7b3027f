r"""`name.model`: a vocabulary as lines of ASCII that people can read, with a checksum that shows when one was changed.

    minbpe v2
    unicode 16.0.0
    stages 1
    0 "\\p{L}+| ?\\p{N}"
    special 1
    "<|endoftext|>" 258
    bytes identity
    merges 2
    97 97 256
    256 98 257
    sha256 5c1f3f0a...

Strings are JSON. A stage is its first rank and its split pattern: a string; a list of patterns, each of which splits the pieces
of the one before; or null if a text is one piece. Most vocabularies have one stage. `bytes` lists the ids of the 256 byte values
unless each id is the value itself. A merge is its left id, its right id and the new id; merges are in rank order. A vocabulary
known only by its ranks has `tokens`, each in hexadecimal with its id, instead of bytes and merges. The last line's checksum
covers every byte above it. Upstream's "minbpe v1" is read too, and never written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from pathlib import Path

from minbpe.atomic import replacing
from minbpe.errors import FormatError, MinbpeError
from minbpe.naming import naming
from minbpe.vocabulary import Vocabulary
from minbpe.wording import several

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from minbpe.patterns import Pattern

MAGIC = "minbpe v2"
MAGIC_UPSTREAM = "minbpe v1"
LONGEST_MAGIC = 64
"""More bytes than any first line has."""

_NUMBER = r"(?:0|[1-9][0-9]{0,9})"
_VERSION_LINE = re.compile(r"unicode ([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})")
_STAGE_LINE = re.compile(rf'({_NUMBER}) (null|".*"|\[".*"\])')
_SPECIAL_LINE = re.compile(rf'(".*") ({_NUMBER})')
_BYTES_LINE = re.compile(rf"bytes (identity|{_NUMBER}(?: {_NUMBER}){{255}})")
_MERGE_LINE = re.compile(rf"({_NUMBER}) ({_NUMBER}) ({_NUMBER})")
_TOKEN_LINE = re.compile(rf"((?:[0-9a-f]{{2}})+) ({_NUMBER})")
_CHECKSUM_LINE = re.compile(r"sha256 ([0-9a-f]{64})")
_UPSTREAM_SPECIAL_LINE = re.compile(rf"(.*) ({_NUMBER})")
_UPSTREAM_MERGE_LINE = re.compile(rf"({_NUMBER}) ({_NUMBER})")


def save_model(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Write a vocabulary to a `.model` file.

    Raises:
        OSError: the file cannot be written; no partial file is left, and an older one stays.
    """
    lines = "".join(f"{line}\n" for line in _lines(vocabulary)).encode("ascii")
    with replacing(Path(path)) as file:
        file.write(lines)
        file.write(f"sha256 {hashlib.sha256(lines).hexdigest()}\n".encode("ascii"))


def load_model(path: str | os.PathLike[str]) -> Vocabulary:
    """Read a vocabulary from a `.model` file, ours (v2) or upstream's (v1).

    Warns:
        UserWarning: the vocabulary was made with Unicode tables other than this minbpe's.

    Raises:
        FormatError: the file is truncated, changed or of another version; the message names the line.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    with naming(path), Path(path).open("rb") as file:
        begins = file.readline(LONGEST_MAGIC)
        magic = begins.removesuffix(b"\n")
        ours = magic == MAGIC.encode()
        if not ours and magic.removesuffix(b"\r") != MAGIC_UPSTREAM.encode():
            # No more of it is read: it may be as long as a corpus.
            raise _no_model(name, magic if begins else None)
        data = begins + file.read()
    try:
        if ours:
            return _read(_Lines(name, data))
        return _read_upstream(_Lines(name, data, ending="\r\n" if magic.endswith(b"\r") else "\n"))
    except FormatError:
        raise
    except MinbpeError as error:
        raise FormatError(f"{name}: its lines are well formed, but they make no vocabulary: {error}") from error


def _no_model(name: str, first_line: bytes | None) -> FormatError:
    """Return the error about a file that begins like no model."""
    if first_line is None:
        return FormatError(f"{name} is empty: take the file from its source again")
    found = first_line[:40].decode("utf-8", "backslashreplace")
    way_out = (
        "load a .model file that minbpe wrote (a .vocab file is for people only, and minbpe.load reads .tiktoken files), and one "
        "of a later version with a later minbpe"
    )
    if MAGIC.encode() in first_line:
        way_out = (
            "a program has changed its line ends, or put a byte order mark first: take the file from its source again"
        )
    return FormatError(
        f"{name}, line 1: expected {MAGIC!r} or upstream's {MAGIC_UPSTREAM!r}, found {found!r}: {way_out}"
    )


def _lines(vocabulary: Vocabulary) -> Iterator[str]:
    """Yield all lines but the checksum's."""
    yield MAGIC
    yield f"unicode {vocabulary.unicode_version}"
    yield f"stages {len(vocabulary.stages)}"
    for first_rank, pattern in vocabulary.stages:
        yield f"{first_rank} {json.dumps(pattern)}"
    # Of special tokens that share an id, the first is the one that the id decodes to, so that reading restores that choice.
    special_tokens = vocabulary.special_tokens
    yield f"special {len(special_tokens)}"
    for text in sorted(special_tokens, key=lambda t: (special_tokens[t], vocabulary[special_tokens[t]] != t.encode())):
        yield f"{json.dumps(text)} {special_tokens[text]}"
    if vocabulary.by_rank:
        yield f"tokens {len(vocabulary)}"
        for token, token_id in vocabulary.mergeable_ranks.items():
            yield f"{token.hex()} {token_id}"
    else:
        identity = vocabulary.byte_ids == tuple(range(256))
        yield "bytes identity" if identity else " ".join(["bytes", *map(str, vocabulary.byte_ids)])
        yield f"merges {len(vocabulary.merges)}"
        for (left, right), token_id in zip(vocabulary.merges, vocabulary.ids, strict=True):
            yield f"{left} {right} {token_id}"


class _Lines:
    """The lines of a file, taken one by one; each error names its line."""

    def __init__(self, name: str, data: bytes, *, ending: str = "\n") -> None:
        self.name = name
        self.data = data
        self.number = 0
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.number = data.count(b"\n", 0, error.start) + 1
            self.fail("text in UTF-8", f"the byte 0x{data[error.start]:02x}", "convert it to UTF-8 first")
        *self.lines, self.rest = text.split(ending)

    def fail(self, expected: str, found: str, way_out: str = "take the file from its source again") -> NoReturn:
        """Raise an error about the line taken last."""
        raise FormatError(f"{self.name}, line {self.number}: expected {expected}, found {found}: {way_out}")

    def take(self, expected: str) -> str:
        """Return the next whole line."""
        self.number += 1
        if self.number > len(self.lines):
            self.fail(expected, f"{self.rest[:60]!r} and the end of the file" if self.rest else "the end of the file")
        return self.lines[self.number - 1]

    def match(self, pattern: re.Pattern[str], expected: str) -> tuple[str, ...]:
        """Return the groups of `pattern` on the next line."""
        line = self.take(expected)
        match = pattern.fullmatch(line)
        if match is None:
            self.fail(expected, repr(line) if len(line) <= 60 else f"{line[:60]!r}...")
        return match.groups()

    def count(self, word: str, each: str) -> int:
        """Return the number on the next line, after `word`; refuse it if fewer lines follow."""
        prefix = f"{word} " if word else ""
        (digits,) = self.match(re.compile(rf"{prefix}({_NUMBER})"), f"'{prefix}<how many>'")
        left = len(self.lines) - self.number
        if int(digits) > left:
            self.fail(f"{several(int(digits), 'line')} of {each} after this one", str(left))
        return int(digits)

    def rows(self, count: int, pattern: re.Pattern[str], expected: str) -> Iterator[tuple[str, ...]]:
        """Yield the groups of `pattern` on each of the next `count` lines, which are known to exist."""
        for line in self.lines[self.number : self.number + count]:
            match = pattern.fullmatch(line)
            if match is None:
                self.match(pattern, expected)
            else:
                self.number += 1
                yield match.groups()

    def string(self, literal: str) -> str:
        """Return the string that a JSON literal stands for; the literal is known to begin and end with a quotation mark."""
        try:
            text = json.loads(literal)
            text.encode("utf-8")
        except ValueError as error:
            self.fail("a JSON string", f"{literal[:60]} ({error})")
        return str(text)

    def pattern(self, literal: str) -> Pattern:
        """Return the pattern that a JSON literal stands for: null, a string, or a list of strings."""
        if not literal.startswith("["):
            return None if literal == "null" else self.string(literal)
        try:
            patterns = json.loads(literal)
            "".join(patterns).encode("utf-8")
        except (TypeError, ValueError, RecursionError) as error:
            self.fail("a JSON list of strings", f"{literal[:60]} ({error})")
        return tuple(patterns)

    def end(self) -> None:
        """Refuse anything after the line taken last."""
        if self.number < len(self.lines) or self.rest:
            self.number += 1
            self.fail("the end of the file", "more")


def _read(lines: _Lines) -> Vocabulary:
    lines.take(MAGIC)
    (unicode_version,) = lines.match(_VERSION_LINE, "'unicode <version>'")
    stages = [
        (int(first_rank), lines.pattern(literal))
        for first_rank, literal in lines.rows(
            lines.count("stages", "stages"), _STAGE_LINE, "a stage: '<first rank> <pattern in JSON, or null>'"
        )
    ]
    special_tokens = _read_special_tokens(lines)
    if lines.number < len(lines.lines) and lines.lines[lines.number].startswith("tokens "):
        ranks = _read_ranks(lines)
        _read_checksum(lines)
        if [first_rank for first_rank, _ in stages] != [0]:
            raise FormatError(
                f"{lines.name}: ranks alone have one stage, from rank 0 on: take the file from its source again"
            )
        vocabulary = Vocabulary.from_ranks(ranks, pattern=stages[0][1], special_tokens=special_tokens)
    else:
        (listed,) = lines.match(_BYTES_LINE, "'bytes identity', 'bytes' and 256 ids, or 'tokens <how many>'")
        byte_ids = None if listed == "identity" else [int(token_id) for token_id in listed.split(" ")]
        merges, ids = [], []
        for left, right, token_id in lines.rows(
            lines.count("merges", "merges"), _MERGE_LINE, "a merge: '<left> <right> <id>'"
        ):
            merges.append((int(left), int(right)))
            ids.append(int(token_id))
        _read_checksum(lines)
        vocabulary = Vocabulary.from_merges(
            merges, stages=stages, special_tokens=special_tokens, byte_ids=byte_ids, ids=ids
        )
    if vocabulary.unicode_version != unicode_version:
        warnings.warn(
            f"{lines.name} was made with Unicode {unicode_version}, and this minbpe splits text with Unicode "
            f"{vocabulary.unicode_version}: text with characters that changed in between may get other ids; "
            "save it anew to accept that",
            UserWarning,
            stacklevel=3,
        )
    return vocabulary


def _read_special_tokens(lines: _Lines) -> dict[str, int]:
    special_tokens: dict[str, int] = {}
    count = lines.count("special", "special tokens")
    for literal, token_id in lines.rows(count, _SPECIAL_LINE, "a special token: '<text in JSON> <id>'"):
        _put(lines, special_tokens, lines.string(literal), int(token_id))
    return special_tokens


def _read_ranks(lines: _Lines) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    count = lines.count("tokens", "tokens")
    for digits, token_id in lines.rows(count, _TOKEN_LINE, "a token: '<bytes in hexadecimal> <id>'"):
        _put(lines, ranks, bytes.fromhex(digits), int(token_id))
    return ranks


def _put(lines: _Lines, tokens: dict[Any, int], token: str | bytes, token_id: int) -> None:
    """Add a token; refuse one that is there already."""
    if token in tokens:
        lines.fail("a token that is not there yet", repr(token))
    tokens[token] = token_id


def _read_checksum(lines: _Lines) -> None:
    (recorded,) = lines.match(_CHECKSUM_LINE, "'sha256 <64 hexadecimal digits>'")
    lines.end()
    body = lines.data[: -len(f"sha256 {recorded}\n")]
    computed = hashlib.sha256(body).hexdigest()
    if computed != recorded:
        lines.fail(
            f"'sha256 {computed}'",
            f"{recorded[:8]}...",
            "a line above was changed: take the file from its source again, or correct this line if you meant it",
        )


def _read_upstream(lines: _Lines) -> Vocabulary:
    """Read "minbpe v1", whose pattern is a whole line, spaces included, and whose special tokens may contain spaces."""
    lines.take(MAGIC_UPSTREAM)
    pattern = lines.take("the split pattern") or None
    special_tokens: dict[str, int] = {}
    count = lines.count("", "special tokens")
    for text, token_id in lines.rows(count, _UPSTREAM_SPECIAL_LINE, "a special token: '<text> <id>'"):
        _put(lines, special_tokens, text, int(token_id))
    count = len(lines.lines) - lines.number
    pairs = lines.rows(count, _UPSTREAM_MERGE_LINE, "a merge: '<left> <right>'")
    merges = [(int(left), int(right)) for left, right in pairs]
    if lines.rest:
        lines.take("a merge: '<left> <right>'")
    return Vocabulary.from_merges(merges, pattern=pattern, special_tokens=special_tokens)
