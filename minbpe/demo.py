"""The demo: train a vocabulary on real text, encode the text into shards, and compare with other tokenizers.

Ids are compared with tiktoken's on the whole text before anything is timed. Speeds are for one thread, on a sample.
"""

import sysconfig
from codecs import iterdecode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from minbpe import rivals
from minbpe.documents import Long, find_files, parts_of, read_documents
from minbpe.encoding import Encoding
from minbpe.errors import CorpusError, FormatError, MinbpeError
from minbpe.manifest import FILE, Manifest
from minbpe.registry import get_encoding
from minbpe.rivals import Row
from minbpe.shards import VOCABULARY, as_bytes, verify, write_shards
from minbpe.training import Progress, train
from minbpe.vocabulary import Vocabulary

PUBLISHED = ("cl100k_base", "o200k_base")

LARGEST_CORPUS = 64_000_000
"""Bytes of text to read at most, so that the demo stays within three minutes on two cores."""
LARGEST_TEXT = 1_000_000
"""Characters beyond which a file is cut at a line end. All tokenizers get the same texts."""
SAMPLE = 4_000_000
"""Bytes of text to measure speeds on, from texts spread evenly over the corpus."""

RECORD = "demo.txt"
"""The file beside the demo's output with the digests of its vocabularies, so that the demo replaces nothing else."""
HEADING = "minbpe demo wrote the vocabularies of these digests, and replaces them and their shards when it runs again:"

Say = Callable[[str, int, int | None], object]
"""Called with a stage's name, how much of it is done, and how much there is to do, if known."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts and where they came from."""

    name: str
    place: Path
    texts: tuple[str, ...]
    bytes: int
    files: int
    skipped: int
    """Files that are not UTF-8."""
    cut: bool
    """Whether there was more text than `LARGEST_CORPUS`."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that the demo shows."""

    corpus: Corpus
    rows: list[Row]
    encodings: tuple[Encoding, ...]
    model: Path
    shards: Path
    manifest: Manifest
    sharding_seconds: float


def run(corpus: Path | None, out: Path, size: int, say: Say = lambda stage, done, total: None) -> Result:
    """Run the demo on the text in `corpus`, by default the source of Python's standard library.

    Args:
        corpus: A file or a directory, in any form that `minbpe train` reads.
        out: The directory for the vocabulary and the shards; those of an earlier demo are replaced.
        size: The number of tokens in the vocabulary.
        say: Called with the progress of the work.

    Raises:
        MinbpeError: There is no text, or the demo would replace what no earlier demo wrote, or ids differ from tiktoken's;
            the message shows the first that differs.
    """
    say("read", 0, None)
    text = read_corpus(corpus)
    record, model, shards = (out / name for name in (RECORD, f"{text.name}.model", "shards"))
    earlier = _replaceable(record, model, shards)

    def training(progress: Progress) -> None:
        say(progress.stage, progress.done, progress.total)

    began = perf_counter()
    vocabulary = train(text.texts, size, special_tokens=["<|endoftext|>"], progress=training)
    training_seconds = perf_counter() - began
    out.mkdir(parents=True, exist_ok=True)
    record.write_text("\n".join([*dict.fromkeys([HEADING, *earlier, vocabulary.digest]), ""]))
    vocabulary.save(model.with_suffix(""))
    ours = Encoding.from_vocabulary(vocabulary, text.name)

    _remove_shards(shards)
    began = perf_counter()
    manifest = write_shards(_reported(text, say), ours, shards)
    sharding_seconds = perf_counter() - began
    verify(shards, progress=lambda done: say("verify", done, text.bytes))

    encodings = (ours, *map(get_encoding, PUBLISHED))
    rows = _compare(text, encodings, training_seconds, say)
    return Result(text, rows, encodings, model, shards, manifest, sharding_seconds)


def read_corpus(corpus: Path | None) -> Corpus:
    """Read the texts of `corpus`, or of the standard library's modules and their tests, in sorted order.

    Raises:
        CorpusError: There is no text.
    """
    place = corpus or Path(sysconfig.get_path("stdlib"))
    files = find_files([place], glob="*" if corpus else "*.py")
    if not corpus:
        files = [file for file in files if not {"site-packages", "dist-packages"} & set(file.relative_to(place).parts)]
    texts: list[str] = []
    size = read = skipped = 0
    cut = False
    for file in files:
        try:
            found, cut = _texts(file, LARGEST_CORPUS - size)
        except UnicodeDecodeError:
            skipped += 1
            continue
        texts += found
        size += sum(len(text.encode()) for text in found)
        if cut:
            read += bool(found)
            break
        read += 1
    if not size:
        raise CorpusError(f"{place}: no text in UTF-8: name a file or a directory with some")
    return Corpus(
        name=corpus.resolve().stem if corpus else "stdlib",
        place=place,
        texts=tuple(texts),
        bytes=size,
        files=read,
        skipped=skipped,
        cut=cut,
    )


def _texts(file: Path, room: int) -> tuple[list[str], bool]:
    """Return the texts of a file that fit in `room` bytes, and whether there are more; reading stops there."""
    found: list[str] = []
    for document in read_documents([file]):
        parts = parts_of(document if isinstance(document, Long) else as_bytes(document), LARGEST_TEXT)
        for text in _cut(iterdecode(parts, "utf-8")):
            room -= len(text.encode())
            if room < 0:
                return found, True
            found.append(text)
    return found, False


def _cut(parts: Iterable[str]) -> Iterator[str]:
    """Cut a text that comes in parts into texts of at most `LARGEST_TEXT` characters, at a line end where there is one."""
    text = ""
    for part in parts:
        text += part
        while len(text) > LARGEST_TEXT:
            end = text.rfind("\n", 0, LARGEST_TEXT) + 1 or LARGEST_TEXT
            yield text[:end]
            text = text[end:]
    yield text


def _reported(corpus: Corpus, say: Say) -> Iterator[str]:
    """Yield the texts, reporting how many of their bytes have been taken."""
    done = 0
    for text in corpus.texts:
        say("shard", done, corpus.bytes)
        yield text
        done += len(text.encode())
    say("shard", done, corpus.bytes)


def _replaceable(record: Path, model: Path, shards: Path) -> list[str]:
    """Return the digests of the vocabularies that earlier demos wrote, as listed in `record`.

    Raises:
        MinbpeError: the demo would replace a record, vocabulary or shards that no earlier demo wrote.
    """
    heading, *own = (record.read_text(errors="replace").splitlines() if record.exists() else []) or [HEADING]
    others = [] if heading == HEADING else [record]
    for place, vocabulary in ((model, model), (shards, shards / f"{VOCABULARY}.model")):
        there = any(place.iterdir()) if place.is_dir() else place.exists()
        if there and not _is_of(vocabulary, own):
            others.append(place)
    if not others and (shards / FILE).exists() and Manifest.load(shards).vocabulary not in own:
        others.append(shards)
    if others:
        raise MinbpeError(
            f"{others[0]} is not what an earlier demo wrote, and would be replaced: name another directory"
        )
    return own


def _is_of(model: Path, digests: Sequence[str]) -> bool:
    """Whether a file is a vocabulary with one of the digests."""
    try:
        return Vocabulary.load(model).digest in digests
    except (FileNotFoundError, FormatError):
        return False


def _remove_shards(directory: Path) -> None:
    """Remove the shards of an earlier demo as listed in their own manifest, so that nothing else can be hit."""
    if (directory / FILE).exists():
        for shard in Manifest.load(directory).shards:
            (directory / shard.file).unlink(missing_ok=True)
            (directory / shard.index).unlink(missing_ok=True)
        (directory / FILE).unlink()


def _compare(corpus: Corpus, encodings: Sequence[Encoding], training_seconds: float, say: Say) -> list[Row]:
    mine, *published = encodings
    contenders = [rivals.ours(mine, corpus.texts, "decodes back", training_seconds)]
    with TemporaryDirectory() as directory:
        scratch = Path(directory)
        say("sentencepiece", 0, None)
        contenders.append(rivals.sentencepiece(corpus.name, corpus.texts, mine.n_vocab, scratch))
        for encoding in published:
            say(encoding.name, 0, None)
            contenders.append(rivals.ours(encoding, corpus.texts))
            contenders.append(rivals.tiktoken(encoding, corpus.texts, scratch))
    say("speed", 0, None)
    return rivals.with_speeds(contenders, corpus.texts[:: max(1, corpus.bytes // SAMPLE)])
