"""Shards: documents as files of token ids, a pure function of the documents in order, the vocabulary and the options.

Threads and interruptions leave no trace in them. A document is never cut: one that would overrun its shard starts the
next, and one longer than a shard has a longer shard to itself (llm.c's own scripts cut; its training reads both).
The documents of each shard are hashed, so that a second run resumes where the first stopped, and `verify` proves that
the ids decode to them. A long document is encoded a stretch at a time, so it may be larger than memory.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Literal

from minbpe import shard_file
from minbpe.batches import batch_bytes, batches, encode_in_turn, numbered
from minbpe.documents import (
    LONG,
    File,
    Long,
    Packed,
    Piped,
    Rereadable,
    after,
    joined,
    parts_of,
    refuse_unless_plain,
    size_of,
)
from minbpe.encoding import Encoding, repaired
from minbpe.errors import CorpusError, FormatError, SpecialTokenError, UnknownTokenError, expect
from minbpe.manifest import FILE, Manifest, Options, Shard
from minbpe.shard_file import KINDS, Document, DocumentHash, Rows, read_shard
from minbpe.spooled import Spooled
from minbpe.stretches import encode_stretches
from minbpe.vocabulary import Vocabulary

__all__ = ["read_shard", "verify", "write_shards"]

EndOfText = Literal["prepend", "append", "none"]

VOCABULARY = "vocabulary"
"""The vocabulary is saved beside its shards, as `vocabulary.model` and `vocabulary.vocab`."""
DECODED = 1 << 20
"""How many ids of a document are decoded at once."""


def write_shards(
    documents: Iterable[str | bytes | os.PathLike[str] | Long],
    encoding: Encoding,
    directory: str | Path,
    *,
    tokens_per_shard: int = 100_000_000,
    end_of_text: EndOfText = "append",
    end_of_text_token: str = "<|endoftext|>",
    validation: bool = False,
    threads: int | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> Manifest:
    """Encode `documents` into `directory` and return its manifest, keeping the shards of an interrupted run.

    A special token spelled out in a document stays plain text.

    Args:
        documents: Texts in order. Bytes, and the content of a file given by its path, are encoded as they are, whether or
            not they are UTF-8. Long ones are encoded a stretch at a time, cut where the pattern proves that a piece ends; one
            that comes through a pipe is held in an unnamed file in `directory` meanwhile.
        encoding: The encoding that makes the ids.
        directory: Made if it is missing.
        tokens_per_shard: A shard ends before the document that would take it past this number.
        end_of_text: Where `end_of_text_token` goes: before each document, after it, or nowhere.
        end_of_text_token: A special token of the encoding.
        validation: Name the first shard `val_000000.bin`, as training scripts in llm.c's style expect.
        threads: How many threads encode, by default one per core. The files do not depend on it.
        progress: Called with the bytes of documents encoded so far.

    Raises:
        SpecialTokenError: The encoding has no such special token.
        FormatError: The directory holds shards of another vocabulary, or made with other options.
        CorpusError: The shards in the directory were made of other documents; or a path is that of a compressed file or of one
            of records, which `read_documents` reads.
        TypeError: `documents` is a single text, or `encoding` is not an Encoding.
    """
    if isinstance(documents, str | bytes | os.PathLike | Long):
        raise TypeError(
            f"documents are given one by one, and this is a single one of type {type(documents).__name__}: write [document]"
        )
    way_out = "give minbpe.get_encoding(name), or Encoding.from_vocabulary(vocabulary)"
    expect(isinstance(encoding, Encoding), "write_shards takes an Encoding", encoding, way_out)
    directory = Path(directory)
    if not 0 < tokens_per_shard <= shard_file.LARGEST:
        raise CorpusError(f"tokens_per_shard is {tokens_per_shard:,}: llm.c's header holds 1 to {shard_file.LARGEST:,}")
    options = Options(
        tokens_per_shard, end_of_text, _end_of_text_id(encoding, end_of_text, end_of_text_token), validation
    )
    plan = _plan(encoding, options)
    stream = _held(documents, directory)
    directory.mkdir(parents=True, exist_ok=True)
    manifest = _resume(plan, directory, stream)
    if not manifest.shards:
        encoding.vocabulary.save(directory / VOCABULARY)
    threads = threads or os.cpu_count() or 1
    encoded = _encoded(stream, encoding, manifest, threads, progress)
    for number, group in groupby(_numbered(encoded, manifest), key=itemgetter(0)):
        name = f"val_{number:06}" if validation and number == 0 else f"train_{number:06}"
        shard = shard_file.write(directory, name, manifest.dtype, (documents for _, documents in group), threads)
        manifest = replace(manifest, shards=(*manifest.shards, shard))
        manifest.save(directory)
    manifest = replace(manifest, complete=True)
    manifest.save(directory)
    return manifest


def verify(directory: str | Path, *, progress: Callable[[int], object] = lambda done: None) -> Manifest:
    """Check everything that `write_shards` wrote in `directory`, and return its manifest.

    Beyond comparing hashes, this decodes every document, and proves that all are, byte for byte, those that were encoded.

    Args:
        directory: A directory that `write_shards` wrote.
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
        told = after(done, progress)
        problem = shard_file.damage(shard, directory) or _unfaithful(shard, manifest, directory, encoding, told)
        problems += [problem] if problem else []
        done += shard.bytes
        progress(done)
    if not manifest.complete:
        problems.append("the run that wrote it did not come to its end")
    if problems:
        raise FormatError(f"{directory}: {'; '.join(problems)}; {shard_file.WAY_OUT}")
    return manifest


def as_bytes(document: str | bytes | Long) -> bytes:
    r"""Return a document's bytes: UTF-8 of a str, with surrogates repaired as everywhere.

    >>> as_bytes("é"), as_bytes("\ud83d")
    (b'\xc3\xa9', b'\xef\xbf\xbd')
    """
    if isinstance(document, bytes):
        return document
    if not isinstance(document, str):
        return joined(document)
    try:
        return document.encode()
    except UnicodeEncodeError:
        return repaired(document).encode()


def _held(documents: Iterable[str | bytes | os.PathLike[str] | Long], directory: Path) -> Iterator[bytes | Rereadable]:
    """Yield documents as bytes, or long ones in a form that can be read a second time, for their hashes.

    A document that comes through a pipe is on disk until the next is asked for.
    """
    for document in documents:
        if isinstance(document, str | bytes):
            yield as_bytes(document)
        elif isinstance(document, File | Packed):
            yield document
        elif isinstance(document, Piped):
            with Spooled(document, directory) as spooled:
                yield spooled
        else:
            path = Path(document)
            refuse_unless_plain(path)
            with path.open("rb") as file:
                if not file.seekable():
                    with Spooled(Piped(path, b"", file), directory) as spooled:
                        yield spooled
                    continue
            size = path.stat().st_size
            yield File(path, size) if size > LONG else path.read_bytes()


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


def _resume(plan: Manifest, directory: Path, documents: Iterator[bytes | Rereadable]) -> Manifest:
    """Check and pass over the documents of the intact shards, up to the first damaged one; return the manifest so far."""
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


def _encoded(
    documents: Iterator[bytes | Rereadable],
    encoding: Encoding,
    manifest: Manifest,
    threads: int,
    progress: Callable[[int], object],
) -> Iterator[Document | Rows]:
    kind, mark = KINDS[manifest.dtype], manifest.options.end_of_text_id
    around = (mark, None) if manifest.options.end_of_text == "prepend" else (None, mark)
    opening, closing = (b"" if token is None else token.to_bytes(kind.width, "little") for token in around)
    done, before = manifest.bytes, sum(shard.documents for shard in manifest.shards)
    most = batch_bytes(threads)
    for batch in batches(documents, most):
        if not isinstance(batch, list):
            before += 1
            stretches = encode_stretches(parts_of(batch, most), encoding, threads, after(done, progress))
            stretches = numbered(before, stretches)
            yield Document(batch, chain([opening], (ids.pack(kind.width) for ids in stretches), [closing]))
            done += size_of(batch)
            continue
        for part, ids, ends in encode_in_turn(batch, before, encoding, threads, around=around):
            yield Rows(part, memoryview(ids.pack(kind.width)).cast(kind.code), ends[1:].tolist())
            done += sum(map(len, part))
            progress(done)
        before += len(batch)


def _numbered(documents: Iterable[Document | Rows], manifest: Manifest) -> Iterator[tuple[int, Document | Rows]]:
    """Yield documents with the number of their shard; one that would overrun the shard starts the next.

    Of a long document, as many ids are held as the shard has room for, until it is known which shard it belongs to.
    """
    number, size = len(manifest.shards), 0
    limit, width = manifest.options.tokens_per_shard, KINDS[manifest.dtype].width

    def counted(parts: Iterable[bytes]) -> Iterator[bytes]:
        nonlocal size
        for part in parts:
            size += len(part) // width
            yield part

    for coming in documents:
        if isinstance(coming, Rows):
            start, before = 0, 0
            while start < len(coming.ends):
                end = bisect_right(coming.ends, before + limit - size, start)
                if end == start and size:
                    number, size = number + 1, 0
                    continue
                end = max(end, start + 1)
                yield number, coming.part(start, end)
                start, size, before = end, size + coming.ends[end - 1] - before, coming.ends[end - 1]
            continue
        text, ids = coming
        parts, held, length = iter(ids), [], 0
        while size and size + length <= limit and (part := next(parts, None)) is not None:
            held.append(part)
            length += len(part) // width
        if size and size + length > limit:
            number, size = number + 1, 0
        yield number, Document(text, counted(chain(held, parts)))


def _unfaithful(
    shard: Shard, manifest: Manifest, directory: Path, encoding: Encoding, progress: Callable[[int], object]
) -> str | None:
    """Say where the ids of `shard` do not decode to its documents, or return None if they do."""
    ids, ends = read_shard(directory / shard.file)
    marker, place = manifest.options.end_of_text_id, manifest.options.end_of_text
    source, start, done = DocumentHash(), 0, 0
    for end in ends or ():
        document = ids[start:end]
        if marker is not None:
            at = 0 if place == "prepend" else -1
            if not document or document[at] != marker:
                return f"{shard.file} lacks the token between documents at id {start:,}"
            document = document[1:] if place == "prepend" else document[:-1]
        try:
            if len(document) <= DECODED:
                text = encoding.decode_bytes(document)
                source.add(text)
                done += len(text)
            else:
                size = sum(map(len, _decoded(document, encoding)))
                source.add_parts(size, _decoded(document, encoding, after(done, progress)))
                done += size
        except UnknownTokenError as error:
            return f"{shard.file}: {error}"
        progress(done)
        start = end
    if (len(ids), start, len(ends or ())) != (shard.tokens, shard.tokens, shard.documents):
        return f"{shard.index} does not cover {shard.file}"
    return None if source.hexdigest() == shard.source_sha256 else f"{shard.file} does not decode to its documents"


def _decoded(
    ids: memoryview, encoding: Encoding, progress: Callable[[int], object] = lambda done: None
) -> Iterator[bytes]:
    """Decode a long document, a part at a time."""
    done = 0
    for start in range(0, len(ids), DECODED):
        text = encoding.decode_bytes(ids[start : start + DECODED])
        yield text
        done += len(text)
        progress(done)
