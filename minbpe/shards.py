"""Shards: documents as files of token ids, a pure function of the documents in order, the vocabulary and the options.

Threads and interruptions leave no trace in them. A document is never cut: one that would pass a shard's end begins the
next, and one longer than a shard has a longer shard to itself (llm.c's own scripts cut; its training reads both).
What a shard was made of is hashed, so that a second run goes on where the first stopped, and `verify` proves every
document back out of its ids.
"""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import accumulate, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Literal

from minbpe import shard_file
from minbpe.encoding import Encoding, repaired
from minbpe.errors import CorpusError, FormatError, SpecialTokenError, UnknownTokenError
from minbpe.manifest import FILE, Manifest, Options, Shard
from minbpe.shard_file import KINDS, Document, DocumentHash, read_shard
from minbpe.vocabulary import Vocabulary

__all__ = ["read_shard", "verify", "write_shards"]

EndOfText = Literal["prepend", "append", "none"]

VOCABULARY = "vocabulary"
"""The vocabulary stands beside its shards, as `vocabulary.model` and `vocabulary.vocab`."""
BATCH_BYTES = 1 << 24


def write_shards(
    documents: Iterable[str | bytes],
    encoding: Encoding,
    directory: str | Path,
    *,
    tokens_per_shard: int = 100_000_000,
    end_of_text: EndOfText = "append",
    end_of_text_token: str = "<|endoftext|>",
    validation: bool = False,
    threads: int | None = None,
) -> Manifest:
    """Encode `documents` into `directory` and return its manifest, keeping the shards of an interrupted run.

    The text of a special token in a document stays plain text.

    Args:
        documents: Texts in order; bytes are encoded as they are, whether or not they are UTF-8.
        encoding: Whose ids.
        directory: Made where it is missing.
        tokens_per_shard: A shard ends before the document that would pass it.
        end_of_text: Where `end_of_text_token` stands: before each document, after it, or nowhere.
        end_of_text_token: A special token of the encoding.
        validation: Name the first shard `val_000000.bin`, as trainings in llm.c's manner expect.
        threads: Of the encoder, all cores by default. The files do not depend on it.

    Raises:
        SpecialTokenError: The encoding has no such special token.
        FormatError: The directory holds shards of another vocabulary, or made with other options.
        CorpusError: The shards in the directory were made of other documents.
    """
    directory = Path(directory)
    if not 0 < tokens_per_shard <= shard_file.LARGEST:
        raise CorpusError(f"tokens_per_shard is {tokens_per_shard:,}: llm.c's header holds 1 to {shard_file.LARGEST:,}")
    options = Options(
        tokens_per_shard, end_of_text, _end_of_text_id(encoding, end_of_text, end_of_text_token), validation
    )
    plan = _plan(encoding, options)
    stream = map(as_bytes, documents)
    directory.mkdir(parents=True, exist_ok=True)
    manifest = _resume(plan, directory, stream)
    if not manifest.shards:
        encoding.vocabulary.save(directory / VOCABULARY)
    encoded = _encoded(stream, encoding, manifest, threads or os.cpu_count() or 1)
    for number, group in groupby(_numbered(encoded, manifest), key=itemgetter(0)):
        name = f"val_{number:06}" if validation and number == 0 else f"train_{number:06}"
        shard = shard_file.write(directory, name, manifest.dtype, (document for _, document in group))
        manifest = replace(manifest, shards=(*manifest.shards, shard))
        manifest.save(directory)
    manifest = replace(manifest, complete=True)
    manifest.save(directory)
    return manifest


def verify(directory: str | Path, *, progress: Callable[[int], object] = lambda done: None) -> Manifest:
    """Check everything that `write_shards` wrote in `directory`, and return its manifest.

    Beyond hashes: every document is decoded, and all of them are, byte for byte, those that were encoded.

    Args:
        directory: What `write_shards` wrote.
        progress: Called with the bytes of documents checked so far.

    Raises:
        FormatError: Something is missing, changed or unfinished; the message names each file concerned.
    """
    directory = Path(directory)
    manifest = Manifest.load(directory)
    vocabulary = Vocabulary.load(directory / f"{VOCABULARY}.model")
    if vocabulary.digest != manifest.vocabulary:
        raise FormatError(f"{directory}: {VOCABULARY}.model is not the vocabulary of these shards: put theirs there")
    encoding = Encoding.from_vocabulary(vocabulary)
    problems: list[str] = []
    done = 0
    for shard in manifest.shards:
        problem = shard_file.damage(shard, directory) or _unfaithful(shard, manifest, directory, encoding)
        problems += [problem] if problem else []
        done += shard.bytes
        progress(done)
    if not manifest.complete:
        problems.append("the run that wrote it did not come to its end")
    if problems:
        raise FormatError(f"{directory}: {'; '.join(problems)}. The command that wrote it repairs it")
    return manifest


def as_bytes(document: str | bytes) -> bytes:
    r"""Return a document's bytes: UTF-8 of a str, with surrogates repaired as everywhere.

    >>> as_bytes("é"), as_bytes("\ud83d")
    (b'\xc3\xa9', b'\xef\xbf\xbd')
    """
    return repaired(document).encode() if isinstance(document, str) else document


def _plan(encoding: Encoding, options: Options) -> Manifest:
    from minbpe import __version__

    vocabulary = encoding.vocabulary
    return Manifest(
        vocabulary=vocabulary.digest,
        n_vocab=vocabulary.n_vocab,
        pattern=vocabulary.pattern,
        dtype="uint16" if vocabulary.n_vocab <= 1 << 16 else "uint32",
        options=options,
        library=f"minbpe {__version__}",
    )


def _end_of_text_id(encoding: Encoding, end_of_text: EndOfText, token: str) -> int | None:
    if end_of_text == "none":
        return None
    special_tokens = encoding.vocabulary.special_tokens
    if token not in special_tokens:
        known = ", ".join(special_tokens) or "none"
        raise SpecialTokenError(
            f"the vocabulary has no special token {token!r} to part documents with (it has: {known}): "
            f"train it with that special token, name another, or ask for end_of_text='none'"
        )
    return special_tokens[token]


def _resume(plan: Manifest, directory: Path, documents: Iterator[bytes]) -> Manifest:
    """Take the documents of the shards that stand, up to the first damaged one, and return the manifest so far."""
    if not (directory / FILE).exists():
        return plan
    earlier = Manifest.load(directory)
    if not earlier.of_same_plan(plan):
        raise FormatError(
            f"{directory} holds shards of another vocabulary, or made with other options: name an empty directory"
        )
    standing: list[Shard] = []
    for shard in earlier.shards:
        if shard_file.damage(shard, directory):
            break
        source = DocumentHash()
        for document in islice(documents, shard.documents):
            source.add(document)
        if source.hexdigest() != shard.source_sha256:
            raise CorpusError(f"{directory / shard.file} was made of other documents: name an empty directory")
        standing.append(shard)
    if earlier.complete and len(standing) == len(earlier.shards) and next(documents, None) is not None:
        raise CorpusError(f"{directory} is complete, and there are now more documents: name an empty directory")
    return replace(plan, shards=tuple(standing))


def _encoded(documents: Iterator[bytes], encoding: Encoding, manifest: Manifest, threads: int) -> Iterator[Document]:
    width = KINDS[manifest.dtype].width
    marker = manifest.options.end_of_text_id
    mark = b"" if marker is None else shard_file.pack(memoryview(array("I", [marker])), manifest.dtype)
    before, after = (mark, b"") if manifest.options.end_of_text == "prepend" else (b"", mark)
    for batch in _batches(documents):
        starts = array("q", accumulate(map(len, batch), initial=0))
        flat, offsets = encoding._core.encode_rows(b"".join(batch), starts, threads)
        ids, ends = shard_file.pack(memoryview(flat), manifest.dtype), memoryview(offsets)
        for text, start, end in zip(batch, ends[:-1], ends[1:], strict=True):
            yield Document(text, before + ids[start * width : end * width] + after)


def _batches(documents: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Documents by the some 16 MB, to keep all threads busy and memory small; where a batch ends changes no id."""
    batch: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _numbered(documents: Iterable[Document], manifest: Manifest) -> Iterator[tuple[int, Document]]:
    """Each document with the number of its shard: one that would pass the shard's end begins the next."""
    number, size = len(manifest.shards), 0
    limit = manifest.options.tokens_per_shard * KINDS[manifest.dtype].width
    for document in documents:
        if size and size + len(document.ids) > limit:
            number, size = number + 1, 0
        size += len(document.ids)
        yield number, document


def _unfaithful(shard: Shard, manifest: Manifest, directory: Path, encoding: Encoding) -> str | None:
    """Say where the ids of `shard` do not give its documents back, or None where they do."""
    ids, ends = read_shard(directory / shard.file)
    marker, place = manifest.options.end_of_text_id, manifest.options.end_of_text
    source, start = DocumentHash(), 0
    for end in ends or ():
        document = ids[start:end].tolist()
        if marker is not None and (not document or document.pop(0 if place == "prepend" else -1) != marker):
            return f"{shard.file} lacks the token between documents at id {start:,}"
        try:
            source.add(encoding.decode_bytes(document))
        except UnknownTokenError as error:
            return f"{shard.file}: {error}"
        start = end
    if (len(ids), start, len(ends or ())) != (shard.tokens, shard.tokens, shard.documents):
        return f"{shard.index} does not cover {shard.file}"
    return None if source.hexdigest() == shard.source_sha256 else f"{shard.file} does not decode to its documents"
