"""Corpora, each as two files that share no document: `first` to warm up or train on, `second` as new or held-out text.

A corpus is sampled in blocks of a megabyte, spread evenly over all of its text, with some text left out between them. Blocks go to
the two files in turn, so that both hold the same kind of text.
"""

from __future__ import annotations

import json
import lzma
import random
import re
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from minbpe.documents import is_plain_text

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Where corpora lie beside a checkout; without this directory there are only those of `ALWAYS`."""

BLOCK = 1_000_000
GAP = 65_536
"""Bytes left out between blocks of the two files: documents of the shared corpora are seldom longer."""

NEW_YEAR = datetime(2026, 1, 1)
"""When the made-up service began to log."""

MOST_LOST = 0.01
"""The share of bytes that are not UTF-8 above which a file is taken for something other than text."""

WINDOW = 16_384
FOREIGN = 0.1
"""The share of bytes beyond ASCII above which a window of the mixed corpus counts as multilingual."""

BETWEEN_PIECES = re.compile(rb"(?<=[!-~]\n)(?=[!-.0-~])")
"""Places where every published pattern ends a piece, whatever follows: cutting documents there changes no piece."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Two files of text."""

    name: str
    first: Path
    second: Path
    bytes: int
    sha256: str


def english(scratch: Path, size: int) -> Path:
    return _shared("english.txt.xz", scratch)


def code(scratch: Path, size: int) -> Path:
    """Join the modules of Python's standard library and their tests."""
    library = Path(sysconfig.get_path("stdlib"))
    modules = (file for file in library.rglob("*.py") if not {"site-packages", "dist-packages"} & set(file.parts))
    return _joined(sorted(modules), scratch / "code.txt")


def mixed(scratch: Path, size: int) -> Path:
    return _shared("mixed.txt.xz", scratch)


def multilingual(scratch: Path, size: int) -> Path:
    """Keep the windows of the mixed corpus whose share of bytes beyond ASCII is above `FOREIGN`."""
    with mixed(scratch, size).open("rb") as source, (scratch / "multilingual.txt").open("wb") as target:
        while window := source.read(WINDOW):
            if len(window.translate(None, bytes(range(128)))) > FOREIGN * len(window):
                target.write(window)
    return scratch / "multilingual.txt"


def cjk(scratch: Path, size: int) -> Path:
    return _shared("cjk.txt.xz", scratch)


def logs(scratch: Path, size: int) -> Path:
    """Make up JSON records of a web service, the same on every machine."""
    rng = random.Random(1)
    words = [bytes(rng.choices(b"aeiounrstlkdm", k=rng.randint(3, 9))).decode() for _ in range(2000)]
    path, written, moment = scratch / "logs.txt", 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < size + size // 4:
            moment += rng.randint(1, 40)
            record = {
                "time": (NEW_YEAR + timedelta(milliseconds=moment)).isoformat(),
                "level": rng.choice(("INFO", "INFO", "INFO", "DEBUG", "WARNING", "ERROR")),
                "service": rng.choice(words[:20]),
                "request_id": f"{rng.getrandbits(128):032x}",
                "path": f"/api/v{rng.randint(1, 3)}/" + "/".join(rng.choices(words, k=rng.randint(1, 4))),
                "status": rng.choice((200, 200, 200, 201, 304, 400, 404, 500)),
                "milliseconds": round(rng.expovariate(0.02), 3),
                "user": {"id": rng.randint(1, 10**7), "roles": rng.sample(("admin", "editor", "viewer"), 2)},
                "message": " ".join(rng.choices(words, k=rng.randint(3, 15))),
            }
            written += file.write(json.dumps(record) + "\n")
    return path


ALWAYS: dict[str, Callable[[Path, int], Path]] = {"code": code, "logs": logs}
SHARED: dict[str, Callable[[Path, int], Path]] = {
    "english": english,
    "multilingual": multilingual,
    "cjk": cjk,
    "mixed": mixed,
}


def name_of(corpus: str) -> str:
    """Return what rows call a corpus: its name, or that of its file or directory.

    >>> name_of("code"), name_of("/books/english.txt")
    ('code', 'english')
    """
    return Path(corpus).resolve().stem


def available() -> list[str]:
    """Return the names of the corpora that this machine has."""
    return [*ALWAYS, *(SHARED if DATA.is_dir() else ())]


def find(name: str) -> Callable[[Path, int], Path]:
    """Return a function that writes a corpus into a directory: one of `available()`, or the text of a file or directory.

    Raises:
        ValueError: there is no such corpus.
    """
    if name in available():
        return (ALWAYS | SHARED)[name]
    if (path := Path(name)).is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return lambda scratch, size: _joined(files, scratch / f"{path.resolve().name}.txt")
    if path.is_file():
        if not is_plain_text(path):
            raise ValueError(f"{name}: a {path.suffix} file is no plain text: give the text in it, unpacked")
        return lambda scratch, size: path
    if name in SHARED:
        raise ValueError(f"{name}: this corpus is read from ../shared/data, which is not there: choose another")
    raise ValueError(f"{name}: neither a corpus ({', '.join(available())}) nor a file or a directory")


def prepare(name: str, size: int, scratch: Path, every: int = 2) -> Corpus:
    """Write a corpus into `scratch`.

    Args:
        name: a name that `find` knows.
        size: about how many bytes of the corpus to take; fewer if it has fewer.
        scratch: an existing directory.
        every: of this many blocks, one goes to the second file.

    Raises:
        ValueError: there is no such corpus, too little text in it, or it is not UTF-8; a few bytes that are not are left out.
    """
    source, title = find(name)(scratch, size), name_of(name)
    paths = scratch / f"{title}.first", scratch / f"{title}.second"
    digest, written, lost = sha256(), [0, 0], 0
    with paths[0].open("wb") as first, paths[1].open("wb") as second:
        for number, lines in enumerate(_blocks(source, size, every)):
            part = number % every == every - 1
            block = lines.decode(errors="ignore").encode()
            lost += len(lines) - len(block)
            written[part] += (second if part else first).write(block)
            digest.update(block)
    if lost > MOST_LOST * sum(written):
        raise ValueError(f"{name}: {lost:,} bytes are not UTF-8, of {lost + sum(written):,}: convert it to UTF-8 first")
    if not all(written):
        raise ValueError(f"{name}: too few lines for two parts that share no document: give more text")
    return Corpus(title, *paths, sum(written), digest.hexdigest())


def cut(text: str, shortest: int, longest: int) -> list[str]:
    r"""Cut `text` into documents of `shortest` to `longest` bytes, at a line's end if one comes in time, else between characters.

    >>> cut("one\ntwo\n", 2, 4)
    ['one\n', 'two\n']
    """
    data, rng, start = text.encode(), random.Random(2), 0
    documents = []
    while start < len(data):
        end = start + rng.randint(shortest, longest)
        end = data.find(b"\n", end - 1, start + longest) + 1 or end
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        documents.append(data[start:end].decode())
        start = end
    return documents


def stream(file: Path, shortest: int = 4096) -> Iterator[str]:
    """Yield the text of `file` as documents whose pieces are those of the whole file."""
    rest = b""
    with file.open("rb") as source:
        while data := source.read(BLOCK):
            data, start = rest + data, 0
            while match := BETWEEN_PIECES.search(data, start + shortest):
                yield data[start : match.start()].decode()
                start = match.start()
            rest = data[start:]
    if rest:
        yield rest.decode()


def _shared(name: str, scratch: Path) -> Path:
    path = scratch / name.removesuffix(".xz")
    if not path.exists():
        with lzma.open(DATA / name) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
    return path


def _joined(files: Iterable[Path], target: Path) -> Path:
    """Concatenate all files that are valid UTF-8."""
    with target.open("w", encoding="utf-8", newline="") as joined:
        for file in files:
            try:
                joined.write(file.read_bytes().decode())
            except UnicodeDecodeError:
                continue
    return target


def _blocks(source: Path, size: int, every: int) -> Iterator[bytes]:
    """Yield blocks of whole lines, together about `size` bytes, evenly spread over the file."""
    total = source.stat().st_size
    count = max(2 * every, min(size, total) // BLOCK)
    stride = total // count
    with source.open("rb") as file:
        for number in range(count):
            gap = min(GAP, stride // 16) if number % every >= every - 2 else 0
            file.seek(number * stride)
            block = file.read(min(size // count, stride - gap))
            start = block.find(b"\n") + 1 if number else 0
            yield block[start : block.rfind(b"\n") + 1]
