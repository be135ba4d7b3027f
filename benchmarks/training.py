"""The train benchmark: a corpus to a vocabulary.

If a rival's merges must equal ours, they are compared before its time counts. For every engine the tokens of held-out text are
counted, which exposes a trainer that is fast but wrong, or has rules of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import corpora
from benchmarks.corpora import Corpus
from benchmarks.engine import ByteOrder, Engine, Trained, Training
from benchmarks.engines import OURS
from benchmarks.machine import peak_memory, processor_seconds
from benchmarks.runner import Outcome, Runner

LEFT_OUT = "multilingual"
"""Not measured unless it is named: it is part of the mixed corpus."""

HELD_OUT = 16
"""One block in this many is held out for counting tokens, but no more than `ENOUGH` bytes."""
ENOUGH = 8_000_000


def run(
    runner: Runner,
    chosen: Sequence[str],
    sizes: Sequence[int],
    patterns: Sequence[str],
    threads: Sequence[int],
    lengths: Sequence[int],
) -> None:
    """Measure all that is asked for; the rows are in `runner.rows`. A corpus is measured once for all lengths beyond its own."""
    from minbpe.patterns import resolve

    measured = set()
    for name, length in product(chosen, lengths):
        runner.say(f"{name}: reading")
        corpus = corpora.prepare(name, length, runner.scratch, every=max(HELD_OUT, length // ENOUGH))
        if corpus.sha256 in measured:
            continue
        measured.add(corpus.sha256)
        for pattern, tokens in product(patterns, sizes):
            common = {"corpus": str(corpus.first), "size": tokens, "pattern": resolve(pattern)}
            references = _references(runner, common)
            for engine in runner.engines.values():
                if pattern not in (engine.patterns or patterns):
                    note = f"it trains with the pattern {' or '.join(engine.patterns)} only"
                    runner.add(engine, {"status": "unsupported", "note": note})
            for count in threads:
                about = _about(corpus, tokens, pattern, count)
                able = [name for name in runner.able if pattern in (runner.engines[name].patterns or patterns)]
                arguments = common | {"threads": count, "held_out": str(corpus.second), "references": references}
                for engine, outcomes in runner.take_turns("train", about, able, **arguments):
                    runner.add(engine, about, summarise(outcomes, corpus.first.stat().st_size))


def summarise(outcomes: Sequence[Outcome], size: int) -> dict[str, Any]:
    """Return the row for processes that ran the same measurement; `size` is that of the text trained on."""
    seconds = [outcome["seconds"] for outcome in outcomes]
    stages = {stage: median(outcome["stages"][stage] for outcome in outcomes) for stage in outcomes[-1]["stages"]}
    return {
        "status": "ok",
        "seconds": seconds,
        "mb_per_second": size / 1e6 / median(seconds),
        "processor_seconds": median(outcome["processor_seconds"] for outcome in outcomes),
        "stages": stages,
        "peak_mb": median(outcome["peak_mb"] for outcome in outcomes),
        "bytes_per_token": outcomes[-1]["bytes_per_token"],
        "equal": outcomes[-1]["equal"],
    }


def measure(
    engine: Engine, threads: int, corpus: str, held_out: str, size: int, pattern: str, references: Mapping[str, str]
) -> Outcome:
    """Train in this process; return its seconds and memory, or the first token that is wrong."""
    if not engine.trainer:
        raise TypeError(f"{engine.name} does not train")
    library, training = import_module(engine.module), _training(corpus, size, pattern, threads)
    worked, began = processor_seconds(), perf_counter()
    trained = engine.trainer(library, training)
    seconds, worked, peak = perf_counter() - began, processor_seconds() - worked, peak_memory()
    reference = references.get(engine.exact or "")
    if reference and trained.tokens and (note := difference(trained.tokens(), Path(reference))):
        return {"status": "mismatch", "note": note}
    text = Path(held_out).read_bytes().decode()
    return {
        "status": "ok",
        "seconds": seconds,
        "processor_seconds": worked,
        "stages": dict(trained.stages),
        "peak_mb": peak,
        "bytes_per_token": len(text.encode()) / counter(trained, training.pattern)(text),
        "equal": bool(reference),
    }


def write_reference(
    engine: Engine, threads: int, corpus: str, size: int, pattern: str, byte_order: ByteOrder, target: str
) -> Outcome:
    """Train with minbpe and write the tokens that it learned as a JSON list."""
    from benchmarks.engines.minbpe import learn

    vocabulary, _ = learn(import_module(engine.module), _training(corpus, size, pattern, threads), byte_order)
    Path(target).write_text(json.dumps([vocabulary[id].hex() for id in vocabulary.ids]))
    return {"status": "ok"}


def difference(found: Sequence[bytes], reference: Path) -> str | None:
    """Say where tokens first differ from those in a file, or return None if they do not."""
    right = [bytes.fromhex(token) for token in json.loads(reference.read_bytes())]
    if list(found) == right:
        return None
    pairs = enumerate(zip(found, right, strict=False))
    place = next((place for place, (token, other) in pairs if token != other), min(len(found), len(right)))
    theirs, ours = (list(tokens[place : place + 1]) or "nothing" for tokens in (found, right))
    return f"merge {place:,} of {len(found):,} makes {theirs} and should make {ours}"


def counter(trained: Trained, pattern: str) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text under the trained vocabulary."""
    if trained.count:
        return trained.count
    from minbpe import Encoding, Vocabulary

    ranks = {bytes([byte]): byte for byte in range(256)}
    for token in trained.tokens() if trained.tokens else ():
        ranks.setdefault(token, len(ranks))
    return Encoding.from_vocabulary(Vocabulary.from_ranks(ranks, pattern=pattern)).count


def _training(corpus: str, size: int, pattern: str, threads: int) -> Training:
    path = Path(corpus)
    return Training(path, partial(corpora.stream, path), size, pattern, threads)


def _about(corpus: Corpus, tokens: int, pattern: str, threads: int) -> dict[str, Any]:
    return {
        "corpus": corpus.name,
        "bytes": corpus.first.stat().st_size,
        "sha256": corpus.sha256,
        "pattern": pattern,
        "size": tokens,
        "threads": threads,
    }


def _references(runner: Runner, common: Mapping[str, Any]) -> dict[str, str]:
    """Have our tokens written for each byte order that a rival is compared under, and return the files."""
    files: dict[str, str] = {}
    for order in sorted({engine.exact for engine in runner.engines.values() if engine.exact}):
        files[order] = str(runner.scratch / f"{order}.tokens")
        outcome = runner.measure(OURS.name, "tokens", byte_order=order, target=files[order], **common)
        if outcome["status"] != "ok":
            raise RuntimeError(f"minbpe has no vocabulary to compare with: {outcome['note']}")
    return files
