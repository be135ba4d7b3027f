"""The train benchmark: a corpus to a vocabulary.

If a rival's merges must equal ours, they are compared before its time counts. For every engine the tokens of held-out text are
counted, which exposes a trainer that is fast but wrong, or has rules of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks import corpora
from benchmarks.corpora import Corpus
from benchmarks.engine import ByteOrder, Engine, TieBreak, Trained, Training
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
    tie_breaks: Sequence[TieBreak],
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
        for pattern, tokens, tie_break in product(patterns, sizes, tie_breaks):
            common = {"corpus": str(corpus.first), "size": tokens, "pattern": resolve(pattern), "tie_break": tie_break}
            able = {name: runner.engines[name] for name in runner.able}
            for rival, engine in list(able.items()):
                if note := _cannot(engine, pattern, tie_break):
                    runner.add(able.pop(rival), {"status": "unsupported", "note": note})
            references = _references(runner, able.values(), common)
            for count in threads:
                about = _about(corpus, tokens, pattern, tie_break, count)
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
    engine: Engine,
    threads: int,
    corpus: str,
    held_out: str,
    size: int,
    pattern: str,
    tie_break: TieBreak,
    references: Mapping[str, str],
) -> Outcome:
    """Train in this process; return its seconds and memory, or the first merge that is wrong."""
    if not engine.trainer:
        raise TypeError(f"{engine.name} does not train")
    library, training = import_module(engine.module), _training(corpus, size, pattern, threads, tie_break)
    worked, began = processor_seconds(), perf_counter()
    trained = engine.trainer(library, training)
    seconds, worked, peak = perf_counter() - began, processor_seconds() - worked, peak_memory()
    reference = references.get(engine.exact or "")
    if reference and (note := difference(trained, Path(reference))):
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
    engine: Engine,
    threads: int,
    corpus: str,
    size: int,
    pattern: str,
    tie_break: TieBreak,
    byte_order: ByteOrder,
    target: str,
) -> Outcome:
    """Train with minbpe and write its merges, each as the bytes of its two tokens."""
    from benchmarks.engines.minbpe import learn, merges

    training = _training(corpus, size, pattern, threads, tie_break)
    vocabulary, _ = learn(import_module(engine.module), training, byte_order)
    Path(target).write_text(json.dumps([[left.hex(), right.hex()] for left, right in merges(vocabulary)]))
    return {"status": "ok"}


def difference(trained: Trained, reference: Path) -> str | None:
    """Say where merges first differ from those in a file, or return None.

    Where a trainer gives no pairs, tokens are compared. They say as much: a token's two parents are what the merges before it
    make of its bytes.
    """
    expected = [(bytes.fromhex(left), bytes.fromhex(right)) for left, right in json.loads(reference.read_bytes())]
    found: Sequence[Any] = trained.pairs() if trained.pairs else learned_tokens(trained)
    right: Sequence[Any] = expected if trained.pairs else list(map(b"".join, expected))
    if found == right:
        return None
    both = enumerate(zip(found, right, strict=False))
    place = next((place for place, (merge, other) in both if merge != other), min(len(found), len(right)))
    theirs, ours = (merges[place] if place < len(merges) else "nothing" for merges in (found, right))
    return f"merge {place:,} of {len(found):,} makes {theirs} and should make {ours}"


def counter(trained: Trained, pattern: str) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text under the trained vocabulary."""
    if trained.count:
        return trained.count
    from minbpe import Encoding, Vocabulary

    ranks = {bytes([byte]): byte for byte in range(256)}
    for token in learned_tokens(trained):
        ranks.setdefault(token, len(ranks))
    return Encoding.from_vocabulary(Vocabulary.from_ranks(ranks, pattern=pattern)).count


def learned_tokens(trained: Trained) -> list[bytes]:
    """Return the learned tokens in order."""
    if trained.pairs:
        return list(map(b"".join, trained.pairs()))
    return trained.tokens() if trained.tokens else []


def _cannot(engine: Engine, pattern: str, tie_break: TieBreak) -> str | None:
    """Say why an engine cannot train like this, or return None."""
    if engine.patterns and pattern not in engine.patterns:
        return f"it trains with the pattern {' or '.join(engine.patterns)} only"
    if tie_break not in engine.tie_breaks:
        return f"it has no tie rule {tie_break}"
    return None


def _training(corpus: str, size: int, pattern: str, threads: int, tie_break: TieBreak) -> Training:
    path = Path(corpus)
    return Training(path, partial(corpora.stream, path), size, pattern, threads, tie_break)


def _about(corpus: Corpus, tokens: int, pattern: str, tie_break: TieBreak, threads: int) -> dict[str, Any]:
    return {
        "corpus": corpus.name,
        "bytes": corpus.first.stat().st_size,
        "sha256": corpus.sha256,
        "pattern": pattern,
        "size": tokens,
        "tie_break": tie_break,
        "threads": threads,
    }


def _references(runner: Runner, engines: Iterable[Engine], common: Mapping[str, Any]) -> dict[str, str]:
    """Have our merges written for each byte order that one of these engines is compared under, and return the files."""
    files: dict[str, str] = {}
    for order in sorted({engine.exact for engine in engines if engine.exact}):
        files[order] = str(runner.scratch / f"{order}.merges")
        outcome = runner.measure(OURS.name, "merges", byte_order=order, target=files[order], **common)
        if outcome["status"] != "ok":
            raise RuntimeError(f"minbpe has no vocabulary to compare with: {outcome['note']}")
    return files
