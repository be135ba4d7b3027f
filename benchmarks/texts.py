"""Texts made to tell tokenizers apart: seeded, so that a failure can be repeated.

Four kinds, mixed: random code points of all planes, tokens of the vocabulary strung together, repetition, and text that is nearly a
special token. Random letters alone would hardly ever hit a merge or an edge of a pattern.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

# At least one code point of each class that a published pattern tells apart, and the letters of contractions in both cases.
# U+017F is an `s` under (?i:), U+0345 a mark that is alphabetic, U+2160 a number that is not a digit, U+01C5 a title-case letter.
REPRESENTATIVES = (
    *"sStTrReEvVmMlLdDaZ",
    *"'/!1 \n\r\t",
    *"\x85\xa0\u2003\u3000",
    *"\u017f\u01c5\u02b0\u05d0\u0301\u0345\u0416\u4e2d",
    *"\u0661\u2160\xb2",
    *"\u2019\u20ac\U0001f44d\U0001d400\x00\u200d",
)

# What a pattern may see around a character: nothing, a letter, an apostrophe, white space, a digit.
CONTEXTS = ("{}", "a{}b", "'{}l", " {} \n", "1{}!")

HIGHEST_CODE_POINT = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
PLANES = (
    (0, 0x7F),
    (0x80, 0x7FF),
    (0x800, 0xFFFF),
    (0x3000, 0x9FFF),
    (0x1F000, 0x1FAFF),
    (0x10000, HIGHEST_CODE_POINT),
)


def every_code_point() -> Iterator[str]:
    """Yield all 1,112,064 characters that UTF-8 can hold."""
    return (chr(point) for point in range(HIGHEST_CODE_POINT + 1) if point not in SURROGATES)


def every_sequence(length: int, characters: Sequence[str] = REPRESENTATIVES) -> Iterator[str]:
    """Yield all strings of `length` such characters."""
    return map("".join, product(characters, repeat=length))


def character(rng: random.Random) -> str:
    """Return a random character: the plane is drawn first, so that none is rare."""
    while True:
        point = rng.randint(*rng.choice(PLANES))
        if point not in SURROGATES:
            return chr(point)


def mixed_text(rng: random.Random, tokens: Sequence[str], special: Sequence[str]) -> str:
    """Return a random text of up to some 200 characters.

    Args:
        rng: the source of randomness.
        tokens: tokens of a vocabulary that are text.
        special: special tokens, some of which are cut short or stretched.
    """
    parts = []
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(5):
            case 0:
                parts.append("".join(character(rng) for _ in range(rng.randint(1, 12))))
            case 1:
                parts.append("".join(rng.choice(tokens) for _ in range(rng.randint(1, 12))))
            case 2:
                parts.append("".join(rng.choice(REPRESENTATIVES) for _ in range(rng.randint(1, 12))))
            case 3:
                parts.append((character(rng) + rng.choice(("", " ", "a"))) * rng.randint(2, 60))
            case _:
                near = rng.choice(special) if special else "<|endoftext|>"
                cut = rng.randint(0, len(near))
                parts.append(rng.choice((near[:cut], near[cut:], near[:cut] + " " + near[cut:], near * 2, near)))
    return "".join(parts)
