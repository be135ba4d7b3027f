"""The tokenizers that the demo compares with ours: tiktoken, whose ids are checked on every text, and sentencepiece.

Both are optional. Where one is missing, its row says how to install it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minbpe.encoding import Encoding
from minbpe.errors import MinbpeError
from minbpe.measure import first_difference, median_seconds
from minbpe.tiktoken_files import write_tiktoken_cache

BATCH = 256
"""How many texts have their ids compared at a time: lists of ints are large."""

# Runs in a process of its own, which Ctrl-C ends at once and whose log stays out of ours.
SENTENCEPIECE_TRAINING = """
import json, sys, time
from sentencepiece import SentencePieceTrainer
options = json.loads(sys.argv[1])
began = time.perf_counter()
SentencePieceTrainer.train(minloglevel=2, **options)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One tokenizer's results; a value that is missing is None, and `note` says why."""

    tokenizer: str
    engine: str
    tokens: int | None = None
    bytes_per_token: float | None = None
    mb_per_second: float | None = None
    training_seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contender:
    """A row, and the function whose speed is measured for it."""

    row: Row
    encode: Callable[[str], object] | None = None


def ours(encoding: Encoding, texts: Sequence[str], note: str = "", training_seconds: float | None = None) -> Contender:
    """Encode all texts with our encoder."""
    ids, _ = encoding.encode_batch_flat(texts, num_threads=os.cpu_count() or 1, disallowed_special=())
    row = Row(encoding.name, "minbpe", encoding.n_vocab, _size(texts) / len(ids), None, training_seconds, note)
    return Contender(row, encoding.encode_ordinary)


def tiktoken(encoding: Encoding, texts: Sequence[str], scratch: Path) -> Contender:
    """Encode all texts with tiktoken's encoding of the same name, and compare every id with ours.

    Raises:
        MinbpeError: An id differs.
    """
    if not find_spec("tiktoken"):
        return Contender(Row(encoding.name, "tiktoken", note='not installed: pip install "minbpe[bench]"'))
    import tiktoken as theirs

    write_tiktoken_cache(scratch)
    with _environment("TIKTOKEN_CACHE_DIR", str(scratch)):
        rival = theirs.get_encoding(encoding.name)
    threads, count = os.cpu_count() or 1, 0
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        mine = encoding.encode_ordinary_batch(batch, num_threads=threads)
        other = rival.encode_ordinary_batch(batch, num_threads=threads)
        if mine != other:
            place = next(i for i in range(len(batch)) if mine[i] != other[i])
            difference = first_difference(mine[place], other[place])
            raise MinbpeError(f"{encoding.name}: text {start + place:,} has other ids than tiktoken's: {difference}")
        count += sum(map(len, mine))
    row = Row(encoding.name, "tiktoken", encoding.n_vocab, _size(texts) / count, note="ids all equal")
    return Contender(row, rival.encode_ordinary)


def sentencepiece(name: str, texts: Sequence[str], tokens: int, scratch: Path) -> Contender:
    """Train sentencepiece's BPE on the same text to the same size, and encode all texts with it.

    To sentencepiece each line is a sentence. Its options keep all bytes and all white space, as minbpe does.
    """
    row = Row(name, "sentencepiece")
    if not find_spec("sentencepiece"):
        return Contender(replace(row, note='not installed: pip install "minbpe[bench]"'))
    from sentencepiece import SentencePieceProcessor

    lines = scratch / "lines.txt"
    lines.write_text("\n".join(texts), encoding="utf-8", newline="\n")
    options: dict[str, Any] = {
        "input": str(lines),
        "model_prefix": str(scratch / "sentencepiece"),
        "model_type": "bpe",
        "vocab_size": tokens,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "max_sentence_length": 1 << 22,
        "num_threads": os.cpu_count() or 1,
    }
    command = [sys.executable, "-c", SENTENCEPIECE_TRAINING, json.dumps(options)]
    trained = subprocess.run(command, capture_output=True, text=True, check=False)
    if trained.returncode:
        reason = trained.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
        return Contender(replace(row, note=f"did not train: {reason[0].rpartition('] ')[2]}"))
    rival = SentencePieceProcessor(model_file=f"{options['model_prefix']}.model")
    encoded = rival.encode(list(texts), num_threads=os.cpu_count() or 1)
    row = replace(
        row,
        tokens=rival.get_piece_size(),
        bytes_per_token=_size(texts) / sum(map(len, encoded)),
        training_seconds=float(trained.stdout.split()[-1]),
        note="by lines",
    )
    # sentencepiece is faster on lines than on whole texts, and gives as many ids.
    return Contender(row, lambda text: rival.encode(text.splitlines(keepends=True), num_threads=1))


def with_speeds(contenders: Sequence[Contender], sample: Sequence[str]) -> list[Row]:
    """Return the rows with the speed of each encoder on `sample`, one text at a time in one thread."""
    encoders = {place: contender.encode for place, contender in enumerate(contenders) if contender.encode}
    seconds = median_seconds({place: _each(encode, sample) for place, encode in encoders.items()})
    megabytes = _size(sample) / 1e6
    return [
        replace(contender.row, mb_per_second=megabytes / seconds[place]) if place in seconds else contender.row
        for place, contender in enumerate(contenders)
    ]


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _each(encode: Callable[[str], object], texts: Sequence[str]) -> Callable[[], None]:
    def run() -> None:
        for text in texts:
            encode(text)

    return run


def _size(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
