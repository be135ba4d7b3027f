"""The load benchmark: the time and memory that a fresh process takes to its first ids."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.engine import Engine, Setting, flat
from benchmarks.machine import peak_memory
from benchmarks.runner import Outcome, Runner

TEXT = "The first ids of a fresh process: naïve, 你好, 12345.\n"


def run(runner: Runner, encodings: Sequence[str]) -> None:
    """Measure all that is asked for; the rows are in `runner.rows`."""
    import minbpe

    runner.write_files(encodings)
    for encoding in encodings:
        about = {"encoding": encoding, "threads": 1}
        right = minbpe.get_encoding(encoding).encode_ordinary(TEXT)
        arguments = {"encoding": encoding, "files": str(runner.files), "right": right}
        for engine, outcomes in runner.take_turns("load", about, runner.able, **arguments):
            seconds = [outcome["seconds"] for outcome in outcomes]
            importing = [outcome["import_seconds"] for outcome in outcomes]
            memory = median(outcome["memory_mb"] for outcome in outcomes)
            row = {"status": "ok", "seconds": seconds, "import_seconds": importing, "memory_mb": memory}
            runner.add(engine, about, row)


def measure(engine: Engine, threads: int, encoding: str, files: str, right: list[int]) -> Outcome:
    """Load in this process; return seconds to import, seconds from there to the first ids, memory above Python's own."""
    if not engine.encoder:
        raise TypeError(f"{engine.name} does not encode")
    before = peak_memory()
    began = perf_counter()
    library = import_module(engine.module)
    imported = perf_counter()
    encoder = engine.encoder(library, Setting(encoding, Path(files), threads))
    ids = encoder.text["list"](TEXT)
    loaded = perf_counter()
    memory = peak_memory() - before
    if flat(ids).tolist() != right:
        return {"status": "mismatch", "note": f"{TEXT!r} gives {list(ids)} and should give {right}"}
    return {
        "status": "ok",
        "seconds": loaded - imported,
        "import_seconds": imported - began,
        "memory_mb": memory,
    }
