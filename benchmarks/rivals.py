"""Loading the rivals without a network: the files that they read are rebuilt from our vocabularies."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import minbpe
from minbpe.tiktoken_files import TIKTOKEN_FILES, tiktoken_file, write_tiktoken_cache

# The pattern as in `tokenizer.json` files: some of tiktoken's possessive repetitions mean something else to Oniguruma.
CL100K_IN_ONIGURUMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def load_tiktoken(cache: Path) -> Any:
    """Return the tiktoken module, with its vocabulary files in `cache`, byte for byte the published ones."""
    write_tiktoken_cache(cache)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    import tiktoken

    return tiktoken


def write_files(directory: Path, encodings: Sequence[str]) -> None:
    """Write the files that rivals load these encodings from: `.tiktoken` files, tiktoken's cache, `tokenizer.json` files."""
    write_tiktoken_cache(directory)
    for encoding in encodings:
        if (name := f"{encoding}.tiktoken") in TIKTOKEN_FILES:
            (directory / name).write_bytes(tiktoken_file(name))
        (directory / f"{encoding}.json").write_text(tokenizer_json(encoding), encoding="utf-8")


def tokenizer_json(encoding: str) -> str:
    """Return a `tokenizer.json` for Hugging Face's tokenizers with the ids of our encoding, without its special tokens."""
    vocabulary = minbpe.get_encoding(encoding).vocabulary
    spelling = byte_spelling()
    spelled = {id: "".join(map(spelling.__getitem__, token)) for id, token in vocabulary.items()}
    pattern = CL100K_IN_ONIGURUMA if encoding == "cl100k_base" else vocabulary.pattern
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    spell = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, spell]},
            "post_processor": None,
            "decoder": spell,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": True,
                "vocab": {token: id for id, token in spelled.items()},
                "merges": [[spelled[left], spelled[right]] for left, right in vocabulary.merges],
            },
        }
    )


@cache
def byte_spelling() -> dict[int, str]:
    """Return the character that stands for each byte in Hugging Face's files, taken from GPT-2's own file.

    >>> byte_spelling()[ord("a")], byte_spelling()[ord(" ")]
    ('a', 'Ġ')
    """
    gpt2 = minbpe.get_encoding("gpt2")
    ids = json.loads(tiktoken_file("encoder.json"))
    bytes_of = {char: gpt2.decode_single_token_bytes(id) for char, id in ids.items() if len(char) == 1}
    return {token[0]: char for char, token in bytes_of.items() if len(token) == 1}
