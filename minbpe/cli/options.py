"""The types of arguments: names, whole numbers, amounts of memory; each is exactly what was typed, or a usage error."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter, Token
from cyclopts.validators import Number

from minbpe.ceiling import LEAST_MEMORY
from minbpe.gathering import MOST_THREADS
from minbpe.merging import MOST_TOKENS

CORPUS, SPLITTING, VOCABULARY, RESOURCES, OUTPUT = map(
    Group.create_ordered, ("Corpus", "Splitting", "Vocabulary", "Resources", "Output")
)
"""The groups into which a command with many options sorts them on its help page."""

LARGEST_COUNT = (1 << 63) - 1


def name(_: object, tokens: Sequence[Token]) -> str:
    """Return a name; an empty one, as of an unset shell variable, is refused, for as a path it would mean this directory."""
    if not all(token.value for token in tokens):
        raise ValueError("a name is empty: name a file or a directory, and this directory with a dot")
    return tokens[0].value


def path(hint: object, tokens: Sequence[Token]) -> Path:
    """Return the path of a name."""
    return Path(name(hint, tokens))


def paths(hint: object, tokens: Sequence[Token]) -> list[Path]:
    """Return the paths of several names."""
    return [path(hint, [token]) for token in tokens]


def whole_number(_: object, tokens: Sequence[Token]) -> int:
    """Return a number written in digits; 1.5 is refused, which cyclopts would turn into 2."""
    value = tokens[0].value
    if not value.removeprefix("-").isdecimal():
        raise ValueError(f"{value!r} is no whole number: write it in digits")
    return int(value)


def memory(_: object, tokens: Sequence[Token]) -> int:
    """Return the bytes that `4G`, `512M` or a plain number stands for; a G is 2^30, as for ulimit."""
    text = tokens[0].value
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        size = int(float(number) * UNITS[unit])
    except (LookupError, ValueError, OverflowError):
        raise ValueError(f"{text!r} is no amount of memory: give bytes, or a number with K, M, G or T") from None
    if size < LEAST_MEMORY:
        raise ValueError(f"{text!r} is less than {LEAST_MEMORY} bytes: give that or more")
    return size


UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

Name = Annotated[str, Parameter(metavar="NAME", converter=name)]
Place = Annotated[Path, Parameter(converter=path)]
Sources = Annotated[Path, Parameter(required=True, converter=path)]
"""One of `*sources`: cyclopts lets only such arguments stand on both sides of options."""
Files = Annotated[list[Path], Parameter(name=["--file", "-f"], negative="", metavar="PATH", converter=paths)]
Tokenizer = Annotated[str, Parameter(name=["--tokenizer", "-t"], metavar="NAME", converter=name)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Resume = Annotated[bool | None, Parameter(show_default=False)]
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Patterns = Annotated[list[str], Parameter(negative="", metavar="STR")]
Whole = Annotated[int, Parameter(converter=whole_number, validator=Number(gte=0, lte=LARGEST_COUNT))]
Positive = Annotated[int, Parameter(converter=whole_number, validator=Number(gte=1, lte=LARGEST_COUNT))]
Threads = Annotated[int, Parameter(converter=whole_number, validator=Number(gte=1, lte=MOST_THREADS))]
Size = Annotated[
    int,
    Parameter(name=["--size", "-s"], converter=whole_number, validator=Number(gte=256, lte=MOST_TOKENS)),
]
Memory = Annotated[int, Parameter(converter=memory, metavar="SIZE")]
