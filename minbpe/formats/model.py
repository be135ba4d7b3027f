r"""`name.model`: a vocabulary as lines of ASCII that people can read, and that show when one of them was changed.

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

Strings are JSON. A stage is its first rank and its split pattern, or null where a text is one piece. `bytes` lists the ids
of the 256 byte values where they are not their own. A merge is left, right and its id, in rank order. A vocabulary that
is known by ranks alone has `tokens`, each in hexadecimal with its id, instead of bytes and merges. The last line is over
every byte above it. Upstream's "minbpe v1" is read too, and never written.
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
from minbpe.vocabulary import HIGHEST_ID, Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

MAGIC = "minbpe v2"
MAGIC_UPSTREAM = "minbpe v1"

_NUMBER = r"(?:0|[1-9][0-9]{0,9})"
_VERSION_LINE = re.compile(r"unicode ([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})")
_STAGE_LINE = re.compile(rf'({_NUMBER}) (null|".*")')
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
        OSError: the file cannot be written; no half of it is left, and an older one stays.
    """
    lines = "".join(f"{line}\n" for line in _lines(vocabulary)).encode("ascii")
    with replacing(Path(path)) as file:
        file.write(lines)
        file.write(f"sha256 {hashlib.sha256(lines).hexdigest()}\n".encode("ascii"))


def load_model(path: str | os.PathLike[str]) -> Vocabulary:
    """Read a vocabulary from a `.model` file, ours (v2) or upstream's (v1).

    Warns:
        UserWarning: the vocabulary was made with other Unicode tables than this minbpe splits with.

    Raises:
        FormatError: the file is truncated, changed or of another version; the message names the line.
        OSError: the file cannot be read.
    """
    name = os.fspath(path)
    data = Path(path).read_bytes()
    magic = data.partition(b"\n")[0]
    try:
        if magic == MAGIC.encode():
            return _read(_Lines(name, data))
        if magic.removesuffix(b"\r") == MAGIC_UPSTREAM.encode():
            return _read_upstream(_Lines(name, data, ending="\r\n" if magic.endswith(b"\r") else "\n"))
    except FormatError:
        raise
    except MinbpeError as error:
        raise FormatError(f"{name}: its lines are well formed, but they make no vocabulary: {error}") from error
    found = magic[:40].decode("utf-8", "backslashreplace")
    raise FormatError(
        f"{name}, line 1: expected {MAGIC!r} or upstream's {MAGIC_UPSTREAM!r}, found {found!r}: load a .model file "
        "(a .vocab file is for people only), and one of a later version with a later minbpe"
    )


def _lines(vocabulary: Vocabulary) -> Iterator[str]:
    """All lines but the checksum's."""
    yield MAGIC
    yield f"unicode {vocabulary.unicode_version}"
    yield "stages 1"
    yield f"0 {json.dumps(vocabulary.pattern)}"
    special_tokens = vocabulary.special_tokens
    yield f"special {len(special_tokens)}"
    # Of those that share an id, the one that the id decodes to comes first, here and for who reads the file.
    for text in sorted(
        special_tokens, key=lambda text: (special_tokens[text], vocabulary[special_tokens[text]] != text.encode())
    ):
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
    """The lines of a file, taken one by one, each error naming the line it stands on."""

    def __init__(self, name: str, data: bytes, *, ending: str = "\n") -> None:
        self.name = name
        self.ending = ending
        self.data = data
        self.number = 0
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.number = data.count(b"\n", 0, error.start) + 1
            self.fail("text in UTF-8", f"the byte 0x{data[error.start]:02x}", "convert it to UTF-8 first")
        *self.lines, self.rest = text.split(ending)

    def fail(self, expected: str, found: str, way_out: str = "take the file from where it was made again") -> NoReturn:
        """Raise the error for the line taken last."""
        raise FormatError(f"{self.name}, line {self.number}: expected {expected}, found {found}: {way_out}")

    def take(self, expected: str) -> str:
        """The next whole line."""
        self.number += 1
        if self.number > len(self.lines):
            found = "the end of the file" if not self.rest else f"{self.rest[:40]!r} and the end of the file"
            self.fail(expected, found)
        return self.lines[self.number - 1]

    def match(self, pattern: re.Pattern[str], expected: str) -> tuple[str, ...]:
        """The groups of `pattern` on the next line."""
        line = self.take(expected)
        match = pattern.fullmatch(line)
        if match is None:
            found = repr(line) if len(line) <= 60 else f"{line[:60]!r}..."
            self.fail(expected, found)
        return match.groups()

    def count(self, word: str, each: str) -> range:
        """The next line, `word` and a number, as a range; refused where fewer lines follow than it promises."""
        prefix = f"{word} " if word else ""
        (digits,) = self.match(re.compile(rf"{prefix}({_NUMBER})"), f"'{prefix}<how many>'")
        left = len(self.lines) - self.number
        if int(digits) > left:
            self.fail(f"{digits} lines of {each} after this one", f"{left}")
        return range(int(digits))

    def id(self, digits: str) -> int:
        """A number of at most 32 bits."""
        value = int(digits)
        if value > HIGHEST_ID:
            self.fail(f"ids up to {HIGHEST_ID}", digits)
        return value

    def string(self, literal: str) -> str:
        """A JSON string; what stands in the file is known to begin and end with a quotation mark."""
        try:
            text = json.loads(literal)
            text.encode("utf-8")
        except ValueError as error:
            self.fail("a JSON string", f"{literal[:60]} ({error})")
        return str(text)

    def end(self) -> None:
        """Nothing follows the line taken last."""
        if self.number < len(self.lines) or self.rest:
            self.number += 1
            self.fail("the end of the file", "more")


def _read(lines: _Lines) -> Vocabulary:
    lines.take(MAGIC)
    (unicode_version,) = lines.match(_VERSION_LINE, "'unicode <version>'")
    if len(lines.count("stages", "stages")) != 1:
        lines.fail(
            "'stages 1'", repr(lines.lines[lines.number - 1]), "this minbpe encodes in one stage; use a later one"
        )
    first_rank, literal = lines.match(_STAGE_LINE, "a stage: '0 <pattern in JSON, or null>'")
    if first_rank != "0":
        lines.fail("a first stage that begins at rank 0", first_rank)
    pattern = None if literal == "null" else lines.string(literal)
    special_tokens = _read_special_tokens(lines, lines.count("special", "special tokens"))
    if lines.number < len(lines.lines) and lines.lines[lines.number].startswith("tokens "):
        ranks = _read_ranks(lines)
        _read_checksum(lines)
        vocabulary = Vocabulary.from_ranks(ranks, pattern=pattern, special_tokens=special_tokens)
    else:
        (listed,) = lines.match(_BYTES_LINE, "'bytes identity', 'bytes' and 256 ids, or 'tokens <how many>'")
        byte_ids = None if listed == "identity" else [lines.id(digits) for digits in listed.split(" ")]
        merges, ids = [], []
        for _ in lines.count("merges", "merges"):
            left, right, token_id = lines.match(_MERGE_LINE, "a merge: '<left> <right> <id>'")
            merges.append((lines.id(left), lines.id(right)))
            ids.append(lines.id(token_id))
        _read_checksum(lines)
        vocabulary = Vocabulary.from_merges(
            merges, pattern=pattern, special_tokens=special_tokens, byte_ids=byte_ids, ids=ids
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


def _read_special_tokens(lines: _Lines, count: range) -> dict[str, int]:
    special_tokens: dict[str, int] = {}
    for _ in count:
        literal, digits = lines.match(_SPECIAL_LINE, "a special token: '<text in JSON> <id>'")
        text = lines.string(literal)
        if text in special_tokens:
            lines.fail("special tokens that differ", f"{literal} again")
        special_tokens[text] = lines.id(digits)
    return special_tokens


def _read_ranks(lines: _Lines) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for _ in lines.count("tokens", "tokens"):
        digits, token_id = lines.match(_TOKEN_LINE, "a token: '<bytes in hexadecimal> <id>'")
        token = bytes.fromhex(digits)
        if token in ranks:
            lines.fail("tokens that differ", f"{digits} again")
        ranks[token] = lines.id(token_id)
    return ranks


def _read_checksum(lines: _Lines) -> None:
    (recorded,) = lines.match(_CHECKSUM_LINE, "'sha256 <64 hexadecimal digits>'")
    lines.end()
    body = lines.data[: -len(f"sha256 {recorded}\n")]
    computed = hashlib.sha256(body).hexdigest()
    if computed != recorded:
        lines.fail(
            f"'sha256 {computed}'",
            f"{recorded[:8]}...",
            "a line above was changed; take the file from where it was made again, or, if you changed it, put that line here",
        )


def _read_upstream(lines: _Lines) -> Vocabulary:
    """Read "minbpe v1", whose pattern line is the pattern to the last space, and whose special tokens may hold spaces."""
    lines.take(MAGIC_UPSTREAM)
    pattern = lines.take("the split pattern") or None
    special_tokens: dict[str, int] = {}
    for _ in lines.count("", "special tokens"):
        text, digits = lines.match(_UPSTREAM_SPECIAL_LINE, "a special token: '<text> <id>'")
        if text in special_tokens:
            lines.fail("special tokens that differ", f"{text!r} again")
        special_tokens[text] = lines.id(digits)
    merges = []
    while lines.number < len(lines.lines) or lines.rest:
        left, right = lines.match(_UPSTREAM_MERGE_LINE, "a merge: '<left> <right>'")
        merges.append((lines.id(left), lines.id(right)))
    return Vocabulary.from_merges(merges, pattern=pattern, special_tokens=special_tokens)
