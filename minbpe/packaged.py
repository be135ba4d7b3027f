"""The published vocabularies that ship with minbpe: gpt2 to o200k_harmony as three tables of merges, 2.1 MB in all.

A table starts with 256 bytes: the byte with id 0, 1, .. 255. Then follow the ids of each merge's left and right part, three
bytes each, little-endian; merge i makes id 256 + i. Nothing is compressed, so loading is one read, and a token's
bytes are its parts' bytes. `dev/pack_vocabularies.py` made the tables from OpenAI's files.
"""

from __future__ import annotations

from minbpe import __path__
from minbpe.errors import VocabularyError

TYPE_CHECKING = False  # importing typing, dataclasses or pathlib would cost more than loading a vocabulary
if TYPE_CHECKING:
    from collections.abc import Mapping

    from minbpe.vocabulary import Vocabulary

END_OF_TEXT = "<|endoftext|>"
END_OF_PROMPT = "<|endofprompt|>"
FIM_PREFIX = "<|fim_prefix|>"
FIM_MIDDLE = "<|fim_middle|>"
FIM_SUFFIX = "<|fim_suffix|>"


class Packaged:
    """The ingredients of one published vocabulary.

    Attributes:
        table: the table of merges, a file in `minbpe/data/`.
        pattern_name: the split pattern, by its name in `minbpe.patterns`.
        special_tokens: special tokens and their ids; an id that two of them share decodes to the first.
        extra_merges: merges beyond the table: left part, right part, the new id.
    """

    def __init__(
        self,
        table: str,
        pattern_name: str,
        special_tokens: Mapping[str, int],
        extra_merges: tuple[tuple[int, int, int], ...] = (),
    ) -> None:
        self.table = table
        self.pattern_name = pattern_name
        self.special_tokens = special_tokens
        self.extra_merges = extra_merges


# p50k is r50k plus 24 tokens for runs of 2 to 25 spaces; their ids skip 50256, which is <|endoftext|>.
# The left part of a run is the largest power of two that is at most two thirds of its length.
RUN_IDS = {1: 220} | {length: 50255 + length for length in range(2, 26)}
RUN_PARTS = {length: 1 << (2 * length // 3).bit_length() - 1 for length in range(2, 26)}
RUNS_OF_SPACES = tuple((RUN_IDS[left], RUN_IDS[run - left], RUN_IDS[run]) for run, left in RUN_PARTS.items())

HARMONY_IDS = (199998, *range(200000, 201088))
HARMONY_NAMES = {
    199998: "startoftext",
    200002: "return",
    200003: "constrain",
    200005: "channel",
    200006: "start",
    200007: "end",
    200008: "message",
    200012: "call",
}

PACKAGED: Mapping[str, Packaged] = {
    "gpt2": Packaged("r50k", "r50k", {END_OF_TEXT: 50256}),
    "r50k_base": Packaged("r50k", "r50k", {END_OF_TEXT: 50256}),
    "p50k_base": Packaged("r50k", "r50k", {END_OF_TEXT: 50256}, RUNS_OF_SPACES),
    "p50k_edit": Packaged(
        "r50k",
        "r50k",
        {END_OF_TEXT: 50256, FIM_PREFIX: 50281, FIM_MIDDLE: 50282, FIM_SUFFIX: 50283},
        RUNS_OF_SPACES,
    ),
    "cl100k_base": Packaged(
        "cl100k",
        "cl100k",
        {END_OF_TEXT: 100257, FIM_PREFIX: 100258, FIM_MIDDLE: 100259, FIM_SUFFIX: 100260, END_OF_PROMPT: 100276},
    ),
    "o200k_base": Packaged("o200k", "o200k", {END_OF_TEXT: 199999, END_OF_PROMPT: 200018}),
    "o200k_harmony": Packaged(
        "o200k",
        "o200k",
        {END_OF_TEXT: 199999, END_OF_PROMPT: 200018}
        | {f"<|{HARMONY_NAMES.get(token, f'reserved_{token}')}|>": token for token in HARMONY_IDS},
    ),
}


def find_packaged(name: str) -> Packaged:
    """Return the description of the packaged vocabulary `name`.

    >>> find_packaged("r50k_base").special_tokens
    {'<|endoftext|>': 50256}

    Raises:
        VocabularyError: no vocabulary of that name ships with minbpe.
    """
    try:
        return PACKAGED[name]
    except KeyError:
        names = ", ".join(PACKAGED)
        raise VocabularyError(f"no vocabulary {name!r} ships with minbpe; those that do: {names}") from None


def read_table(name: str) -> bytes:
    """Return the table of merges that the vocabulary `name` starts from, in the format described at the top of this module.

    >>> table = read_table("gpt2")
    >>> table[:5], (len(table) - 256) // 6
    (b'!"#$%', 50000)

    Raises:
        VocabularyError: no vocabulary of that name ships with minbpe.
    """
    with open(f"{__path__[0]}/data/{find_packaged(name).table}.merges", "rb") as file:  # noqa: PTH123
        return file.read()


def packaged_vocabulary(name: str) -> Vocabulary:
    """Return the packaged vocabulary `name`.

    >>> packaged_vocabulary("p50k_base")[50257]
    b'  '

    Raises:
        VocabularyError: no vocabulary of that name ships with minbpe.
    """
    from minbpe import _core
    from minbpe.vocabulary import Vocabulary

    packaged = find_packaged(name)
    return Vocabulary._from_core(
        _core.Vocabulary.from_table(
            read_table(name),
            list(packaged.extra_merges),
            list(packaged.special_tokens.items()),
            _core.PATTERNS[packaged.pattern_name],
        )
    )
