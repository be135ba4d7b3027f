"""OpenAI's vocabulary files, rebuilt byte for byte from the packaged tables.

With these files tiktoken works without a network, and their sha256, which tiktoken pins, proves the tables correct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from minbpe.load import token_lines
from minbpe.packaged import END_OF_TEXT, find_packaged, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ORIGIN = "https://openaipublic.blob.core.windows.net"


class TiktokenFile(NamedTuple):
    """A file that tiktoken reads: its URL, the sha256 it must have, and the vocabulary it describes."""

    url: str
    sha256: str
    vocabulary: str


TIKTOKEN_FILES: Mapping[str, TiktokenFile] = {
    "vocab.bpe": TiktokenFile(
        f"{ORIGIN}/gpt-2/encodings/main/vocab.bpe",
        "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        "gpt2",
    ),
    "encoder.json": TiktokenFile(
        f"{ORIGIN}/gpt-2/encodings/main/encoder.json",
        "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        "gpt2",
    ),
    "r50k_base.tiktoken": TiktokenFile(
        f"{ORIGIN}/encodings/r50k_base.tiktoken",
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        "r50k_base",
    ),
    "p50k_base.tiktoken": TiktokenFile(
        f"{ORIGIN}/encodings/p50k_base.tiktoken",
        "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
        "p50k_base",
    ),
    "cl100k_base.tiktoken": TiktokenFile(
        f"{ORIGIN}/encodings/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        "cl100k_base",
    ),
    "o200k_base.tiktoken": TiktokenFile(
        f"{ORIGIN}/encodings/o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        "o200k_base",
    ),
}


def tiktoken_file(name: str) -> bytes:
    r"""Return the bytes of the file `name`, a key of `TIKTOKEN_FILES`, as OpenAI published them.

    >>> tiktoken_file("cl100k_base.tiktoken")[:15]
    b'IQ== 0\nIg== 1\nI'
    """
    merges, tokens = _unpack(TIKTOKEN_FILES[name].vocabulary)
    if name == "vocab.bpe":
        return _vocab_bpe(merges, tokens)
    if name == "encoder.json":
        return _encoder_json(tokens)
    return token_lines((token, rank) for rank, token in tokens.items())


def write_tiktoken_cache(directory: Path) -> None:
    """Fill `directory` with every file that tiktoken's own encodings read, under the names it looks for.

    A process whose `TIKTOKEN_CACHE_DIR` is that directory then uses tiktoken without a network.
    """
    from hashlib import sha1

    directory.mkdir(parents=True, exist_ok=True)
    for name, file in TIKTOKEN_FILES.items():
        key = sha1(file.url.encode(), usedforsecurity=False).hexdigest()
        (directory / key).write_bytes(tiktoken_file(name))


def _unpack(vocabulary: str) -> tuple[list[tuple[int, int]], dict[int, bytes]]:
    """Return the merges of a packaged vocabulary as pairs of ids, and the bytes of each of its ordinary tokens."""
    table = read_table(vocabulary)
    extra = find_packaged(vocabulary).extra_merges
    tokens = {token: table[token : token + 1] for token in range(256)}
    merges = [
        (int.from_bytes(table[at : at + 3], "little"), int.from_bytes(table[at + 3 : at + 6], "little"))
        for at in range(256, len(table), 6)
    ]
    for token, (left, right) in enumerate(merges, start=256):
        tokens[token] = tokens[left] + tokens[right]
    for left, right, token in extra:
        tokens[token] = tokens[left] + tokens[right]
    return merges + [(left, right) for left, right, _ in extra], tokens


def _vocab_bpe(merges: list[tuple[int, int]], tokens: dict[int, bytes]) -> bytes:
    """Write GPT-2's `vocab.bpe`: one line per merge, both parts in printable characters."""
    printable = _printable(tokens)
    lines = [f"{printable[left]} {printable[right]}\n" for left, right in merges]
    return "".join(["#version: 0.2\n", *lines]).encode()


def _encoder_json(tokens: dict[int, bytes]) -> bytes:
    """Write GPT-2's `encoder.json`: the id of each token, spelled in printable characters, and of the special token."""
    from json import dumps

    ids = {token: rank for rank, token in _printable(tokens).items()}
    return dumps({**ids, END_OF_TEXT: len(ids)}).encode()


def _printable(tokens: dict[int, bytes]) -> dict[int, str]:
    """Spell tokens as GPT-2's files do: a printable byte is its Latin-1 character, the others are U+0100 onwards."""
    shown = [byte for byte in range(256) if chr(byte).isprintable() and chr(byte) != " "]
    spelling = dict(zip(shown, map(chr, shown), strict=True))
    for byte in range(256):
        spelling.setdefault(byte, chr(256 + len(spelling) - len(shown)))
    return {rank: "".join(map(spelling.__getitem__, token)) for rank, token in tokens.items()}
