"""Our ids are tiktoken's, on texts made to tell the two apart; `python -m benchmarks.check` is the long form.

`MINBPE_STRINGS` in the environment is the number of strings of each kind for each encoding.
"""

import os
import random
from collections.abc import Iterator
from itertools import islice
from types import ModuleType
from typing import Any

import pytest

import minbpe
from benchmarks import check, texts, worst
from minbpe import Encoding

STRINGS = int(os.environ.get("MINBPE_STRINGS", "3000"))
SEED = 20_26
# tiktoken takes quadratic time for a long piece, or runs out of stack, so it is compared on the first bytes only: this many.
COMPARED = 30_000

Both = tuple[Encoding, Any]


@pytest.fixture(scope="module", params=check.PATTERN_ENCODINGS)
def both(request: pytest.FixtureRequest, instructions: None, tiktoken_module: ModuleType) -> Both:
    """Our encoding and tiktoken's, one for each split pattern and table; ours with each set of instructions."""
    return minbpe.get_encoding(request.param), tiktoken_module.get_encoding(request.param)


def sampled_code_points() -> Iterator[str]:
    """Every n-th character, from a start that the seed decides; all of them if STRINGS is large."""
    step = max(1, 1_112_064 // STRINGS)
    return islice(texts.every_code_point(), random.Random(SEED).randrange(step), None, step)


@pytest.mark.parametrize("context", check.CONTEXTS)
def test_code_points_have_tiktokens_ids_in_each_context(both: Both, context: str) -> None:
    ours, theirs = both
    found = (context.format(char) for char in sampled_code_points())
    check.compare(ours.name, found, ours.encode_ordinary, theirs.encode_ordinary)


def test_sequences_of_each_class_of_characters_have_tiktokens_ids(both: Both) -> None:
    ours, theirs = both
    for length in (0, 1, 2):
        check.compare(ours.name, texts.every_sequence(length), ours.encode_ordinary, theirs.encode_ordinary)
    rng = random.Random(SEED)
    longer = ("".join(rng.choices(texts.REPRESENTATIVES, k=rng.randint(3, 9))) for _ in range(STRINGS))
    check.compare(ours.name, longer, ours.encode_ordinary, theirs.encode_ordinary)


def test_mixed_strings_have_tiktokens_ids_and_come_back(both: Both) -> None:
    ours, theirs = both
    check.compare(ours.name, check.mixed(ours, STRINGS, SEED), ours.encode_ordinary, theirs.encode_ordinary)
    check.compare(
        ours.name, check.mixed(ours, STRINGS, SEED), lambda text: ours.decode(ours.encode_ordinary(text)), str
    )


def test_mixed_strings_with_special_tokens_have_tiktokens_ids(both: Both) -> None:
    ours, theirs = both
    check.compare(
        ours.name,
        check.mixed(ours, STRINGS, SEED + 1),
        lambda text: ours.encode(text, allowed_special="all"),
        lambda text: theirs.encode(text, allowed_special="all"),
    )


def test_cut_bytes_have_the_ids_that_tiktoken_guesses(both: Both) -> None:
    ours, theirs = both
    check.compare(
        ours.name,
        check.mixed(ours, STRINGS // 5, SEED + 2),
        lambda text: ours._encode_bytes(text.encode()[:-1]),
        lambda text: theirs._encode_bytes(text.encode()[:-1]),
    )


def test_offsets_are_those_of_the_reference_and_of_tiktoken(both: Both) -> None:
    ours, theirs = both
    check.compare(
        ours.name,
        check.mixed(ours, STRINGS // 20, SEED + 3),
        lambda text: ours.encode_with_offsets(text, disallowed_special=())[1],
        check.offsets_reference(theirs),
    )
    check.compare(
        ours.name,
        check.mixed(ours, STRINGS // 5, SEED + 4),
        lambda text: ours.decode_with_offsets(ours.encode_ordinary(text)),
        lambda text: theirs.decode_with_offsets(theirs.encode_ordinary(text)),
    )


def test_completions_of_unstable_text_are_tiktokens(both: Both) -> None:
    ours, theirs = both
    found = (text[-24:] for text in check.mixed(ours, STRINGS // 100, SEED + 5))
    check.compare(ours.name, found, check.completions(ours), check.completions(theirs))


@pytest.mark.parametrize("name", ["english", "cjk", "mixed"])
def test_corpora_have_tiktokens_ids(both: Both, shared_data: Any, name: str) -> None:
    ours, theirs = both
    found = islice(check.parts(shared_data / f"{name}.txt.xz", 20_000), STRINGS // 100)
    check.compare(ours.name, found, ours.encode_ordinary, theirs.encode_ordinary)


# A megabyte of one kind of text: its beginning as in tiktoken, the whole decoded back


@pytest.mark.parametrize("kind", worst.KINDS)
def test_a_megabyte_of_one_kind_has_tiktokens_ids_and_comes_back(both: Both, kind: str) -> None:
    ours, theirs = both
    text = worst.text_of(kind, 1_000_000, SEED)
    beginning = text.encode()[:COMPARED].decode(errors="ignore")
    assert ours.encode_ordinary(beginning) == theirs.encode_ordinary(beginning)
    ids = ours.encode_ordinary(text)
    assert ours.decode(ids) == text
    assert ours.count(text) == len(ids)


@pytest.mark.parametrize("kind", ["CJK", "combining marks", "emoji"])
def test_a_huge_piece_that_is_cut_between_characters_has_the_ids_of_merging_it_whole(both: Both, kind: str) -> None:
    ours, _ = both
    text = worst.text_of(kind, 400_000, SEED)
    whole = [id for piece in ours.vocabulary.split(text) for id in ours._encode_single_piece(piece)]
    for _ in ("new", "seen"):
        assert ours.encode_ordinary(text) == whole
