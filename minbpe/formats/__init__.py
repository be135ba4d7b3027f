"""The file formats of vocabularies and piece counts, one module each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from minbpe.vocabulary import Vocabulary


def save(vocabulary: Vocabulary, prefix: str | os.PathLike[str]) -> None:
    """Write `prefix.model`, which `model.load_model` reads, and `prefix.vocab`, which people read.

    Neither is put in its place before both are written, so that an interruption or a full disk leaves both as they were.

    Raises:
        OSError: a file cannot be written; no partial file is left.
    """
    import os
    from pathlib import Path

    from minbpe.atomic import replacing
    from minbpe.formats.model import save_model
    from minbpe.formats.vocab_text import write_vocab_text

    name = os.fspath(prefix)
    with replacing(Path(f"{name}.vocab")) as file:
        write_vocab_text(vocabulary, file)
        file.flush()
        save_model(vocabulary, f"{name}.model")
