"""Every error that minbpe raises on purpose, each a ValueError that says the way out; and how it warns."""

import sys
import warnings


class MinbpeError(ValueError):
    """Base of the errors below."""


class PatternError(MinbpeError):
    """A split pattern that does not compile, or that gave up on a text."""


class VocabularyError(MinbpeError):
    """A vocabulary that breaks an invariant, or an operation that would."""


class SpecialTokenError(MinbpeError):
    """A special token that is not allowed where it is, in a text or in a vocabulary."""


class CorpusError(MinbpeError):
    """A corpus that cannot be read, counted or trained on."""


class FormatError(MinbpeError):
    """A file that is not what it should be: truncated, changed, or of another version."""


class UnknownTokenError(KeyError, MinbpeError, OverflowError):
    """An id, or a token's bytes, that the vocabulary does not hold.

    It is also a KeyError and an OverflowError, as tiktoken raises one or the other, and a ValueError, as upstream minbpe raises.
    """

    def __str__(self) -> str:
        """Return the message itself: KeyError would show its repr."""
        return str(self.args[0]) if self.args else ""


class UnknownNameError(KeyError, MinbpeError):
    """A model or an encoding that minbpe does not know. It is also a KeyError, which tiktoken raises for a model."""

    __str__ = UnknownTokenError.__str__


def expect(fits: bool, wanted: str, given: object, way_out: str) -> None:
    """Raise a TypeError that says the way out, unless `given` fits.

    >>> expect(isinstance("300", int), "vocab_size is an int", "300", "write 300")
    Traceback (most recent call last):
        ...
    TypeError: vocab_size is an int, and this is of type str: write 300
    """
    if not fits:
        raise TypeError(f"{wanted}, and this is of type {type(given).__name__}: {way_out}")


def expect_int(name: str, given: object) -> None:
    """Raise a TypeError unless `given` counts as an int, as numpy's integers do."""
    expect(hasattr(given, "__index__"), f"{name} is an int", given, "give a whole number")


class PatternWarning(UserWarning):
    """A split pattern that the compiled engine refuses: it still splits correctly, but slowly. Shown once per pattern."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that called minbpe, skipping frames of contextlib, through which minbpe calls its context managers."""
    frame, level = sys._getframe(), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith(("minbpe.", "contextlib")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
