"""`name.vocab`: a vocabulary for people to read, one token per line, each merge after the two parts that it joins.

    [t] 116
    [ t][h] -> [ th] 257
    [<|endoftext|>] 512

Not a storage format: bytes that are not whole characters appear as U+FFFD, and control characters as escapes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import BinaryIO

    from minbpe.vocabulary import Vocabulary


def render_token(t: bytes) -> str:
    r"""Show a token's bytes as text on one line.

    >>> render_token(b"caf\xc3\xa9\n"), render_token(b"\xc3")
    ('café\\u000a', '\ufffd')
    """
    return replace_control_characters(t.decode("utf-8", errors="replace"))


def replace_control_characters(s: str) -> str:
    r"""Escape every control, format, surrogate, private or unassigned character, which would distort a terminal.

    >>> print(replace_control_characters("one\ttwo"))
    one\u0009two
    """
    if s.isprintable():  # true of most tokens, and of no control character
        return s
    import unicodedata

    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c).startswith("C") else c for c in s)


def save_vocab_text(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Write the `.vocab` file of a vocabulary, in UTF-8: bytes by id, merges by rank, special tokens.

    Raises:
        OSError: the file cannot be written; no partial file is left.
    """
    from pathlib import Path

    from minbpe.atomic import replacing

    with replacing(Path(path)) as file:
        write_vocab_text(vocabulary, file)


def write_vocab_text(vocabulary: Vocabulary, file: BinaryIO) -> None:
    """Write what a `.vocab` file holds."""
    file.writelines(line.encode("utf-8") for line in _lines(vocabulary))


def _lines(vocabulary: Vocabulary) -> Iterator[str]:
    shown = {token_id: render_token(token) for token_id, token in vocabulary.items()}
    pairs = {} if vocabulary.by_rank else dict(zip(vocabulary.ids, vocabulary.merges, strict=True))
    for token_id in sorted(shown.keys() - pairs.keys()):
        yield f"[{shown[token_id]}] {token_id}\n"
    for token_id, (left, right) in pairs.items():
        yield f"[{shown[left]}][{shown[right]}] -> [{shown[token_id]}] {token_id}\n"
    for text, token_id in vocabulary.special_tokens.items():
        yield f"[{replace_control_characters(text)}] {token_id}\n"
