"""The forms in which a corpus may be given, and its documents in batches, so that it may be larger than memory."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import contextmanager

from minbpe.errors import CorpusError
from minbpe.naming import naming
from minbpe.wording import several

TYPE_CHECKING = False  # `typing` takes longer to import than this package
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    Document: TypeAlias = "str | bytes | os.PathLike[str] | Streamed"
    """A text, its bytes, the path of a file, or a stream; a str is always a text, never a path."""
    Corpus: TypeAlias = Document | Iterable[Document]
    Held: TypeAlias = list[str | bytes | os.PathLike[str]]
    """The documents of one batch."""

BATCH_BYTES = 1 << 25
BATCH_DOCUMENTS = 1 << 14


class Streamed(ABC):
    """A text that is read from first byte to last, from an archive or a pipe, and never held whole."""

    @abstractmethod
    def parts(self, most: int) -> Iterator[bytes]:
        """Yield its bytes, at most `most` at a time."""


def batches(corpus: Corpus, most: int | None = None, skip: int = 0) -> Iterator[tuple[Held | Streamed, bool]]:
    """Yield the documents of `corpus` in batches of some 32 MB, or `most` bytes if less, each with whether it is the last batch.

    The first `skip` documents are passed over. A streamed one comes alone, and is to be read before the next batch is requested.

    Nothing more is taken from an iterator until the caller is done with a batch, and no document is kept. Files are not read
    here, only opened, so that an unreadable file is found before work on its batch begins.

    >>> list(batches("one text"))
    [(['one text'], True)]
    >>> list(batches(text for text in ("two", "texts")))
    [(['two', 'texts'], True)]

    Raises:
        TypeError: the corpus, or one of its documents, is neither text nor a path.
        CorpusError: there are fewer than `skip` documents, or one of them holds piece counts or records, or is compressed.
        OSError: a file is missing, is a directory, or may not be read.
    """
    if isinstance(corpus, str | bytes | os.PathLike | Streamed):
        corpus = [corpus]
    try:
        documents = iter(corpus)
    except TypeError:
        raise TypeError(
            "a corpus is a str, bytes, a pathlib.Path, or an iterable of these with one document each; "
            f"this is of type {type(corpus).__name__}"
        ) from None
    for number in range(skip):
        if next(documents, None) is None:
            raise CorpusError(
                f"the corpus ends after {several(number, 'document')}, of which {skip:,} are counted: count it anew"
            )
    batch: Held = []
    size, enough = 0, min(BATCH_BYTES, most or BATCH_BYTES)
    for number, document in enumerate(documents, skip):
        if len(batch) == BATCH_DOCUMENTS or size >= enough:
            yield batch, False
            batch, size = [], 0
        if isinstance(document, str | bytes):
            batch.append(document)
            size += len(document)
            continue
        with _opened(document) as held:
            if isinstance(held, Streamed):
                if batch:
                    yield batch, False
                    batch, size = [], 0
                yield held, False
                continue
        if not isinstance(held, os.PathLike):
            raise TypeError(
                f"a document is a str, bytes or a pathlib.Path; document {number} of the corpus is of type "
                f"{type(document).__name__}"
            )
        batch.append(held)
    yield batch, True


@contextmanager
def _opened(document: Document) -> Iterator[Document]:
    """Yield a document: a path after checking that its file can be read, a pipe as a stream that is open during the block.

    Raises:
        CorpusError: the document holds piece counts or records, or is compressed.
        OSError: the document cannot be read; the error names it.
    """
    if not isinstance(document, os.PathLike):
        yield document
        return
    from minbpe.documents import Piped, refuse_unless_plain
    from minbpe.formats.counts import KIND, are_counts, in_a_pipe

    try:
        with naming(document), open(document, "rb") as file:  # noqa: PTH123 (any os.PathLike)
            begins = file.read(len(KIND))
            if not file.seekable():
                if are_counts(document, begins):
                    raise in_a_pipe(document)
                from pathlib import Path

                refuse_unless_plain(document)
                yield Piped(Path(document), begins, file)
                return
        if are_counts(document, begins):
            raise CorpusError(
                f"{os.fspath(document)} holds piece counts, and stands among documents: give it alone, or in a list of such files"
            )
    except IsADirectoryError as error:
        what = "is a directory: give its files, as in sorted(path.rglob('*.txt'))"
        raise IsADirectoryError(error.errno, what, os.fspath(document)) from None
    refuse_unless_plain(document)
    yield document
