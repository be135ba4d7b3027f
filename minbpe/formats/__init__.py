"""The file formats of vocabularies and piece counts, one module each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from minbpe.vocabulary import Vocabulary


def save(vocabulary: Vocabulary, prefix: str | os.PathLike[str]) -> None:
    """Write `prefix.model`, which `model.load_model` reads, and `prefix.vocab`, which people read.

    Raises:
        OSError: a file cannot be written; no partial file is left.
    """
    import os

    from minbpe.formats.model import save_model
    from minbpe.formats.vocab_text import save_vocab_text

    name = os.fspath(prefix)
    save_model(vocabulary, f"{name}.model")
    save_vocab_text(vocabulary, f"{name}.vocab")
