"""The encode benchmark: text to ids, for every shape of text and every form of ids.

Each process encodes the first half of a corpus, then the second, then the second again: the first pass of a fresh process,
new text in a warm one, and text seen before. After each pass it compares its ids with the reference's.
One full stop is encoded before all that, since some rivals import more modules when they encode their first text.
"""

from __future__ import annotations

import ctypes
import gc
from array import array
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal

from benchmarks import corpora
from benchmarks.corpora import Corpus
from benchmarks.engine import Encoder, Engine, Output, Setting, flat
from benchmarks.engines import OURS, REFERENCE
from benchmarks.machine import peak_memory
from benchmarks.runner import Outcome, Runner

Shape = Literal["text", "documents", "calls"]
SHAPES: tuple[Shape, ...] = ("text", "documents", "calls")
OUTPUTS: tuple[Output, ...] = ("buffer", "list")
PASSES = {"first": 0, "new": 1, "later": 1}
"""Each pass and the half of the corpus that it encodes."""

LEFT_OUT = "mixed"
"""Not measured unless it is named: the other corpora cover all that it is mixed from."""

DOCUMENT = 1024, 4096
CALL, CALLS = 20, 50_000
"""The bytes of a short text, and how many of them one pass encodes, one per call."""


def run(
    runner: Runner,
    encodings: Sequence[str],
    chosen: Sequence[str],
    shapes: Sequence[str],
    outputs: Sequence[str],
    threads: Sequence[int],
    size: int,
) -> None:
    """Measure all that is asked for; the rows are in `runner.rows`."""
    runner.write_files(encodings)
    for name in chosen:
        runner.say(f"{name}: reading")
        corpus = corpora.prepare(name, size, runner.scratch)
        compare(runner, encodings, corpus, shapes, outputs, threads)


def compare(
    runner: Runner,
    encodings: Sequence[str],
    corpus: Corpus,
    shapes: Sequence[str],
    outputs: Sequence[str],
    threads: Sequence[int],
    passes: Sequence[str] = tuple(PASSES),
) -> None:
    """Measure all engines with one corpus; the rows are in `runner.rows`."""
    for encoding in encodings:
        reference = _reference(runner, encoding, corpus)
        for shape, output, count in product(shapes, outputs, threads):
            if shape == "calls" and (count > 1 or output != "list"):
                continue
            about = {
                "encoding": encoding,
                "corpus": corpus.name,
                "bytes": corpus.bytes,
                "sha256": corpus.sha256,
                "shape": shape,
                "output": output,
                "threads": count,
            }
            way = {"threads": count, "shape": shape, "output": output, "passes": passes}
            arguments = _arguments(runner, encoding, corpus) | way
            for engine, outcomes in runner.take_turns("encode", about, runner.able, **arguments):
                for row in summarise(outcomes):
                    runner.add(engine, about, {"reference": reference}, row)


def summarise(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return a row for each pass, over processes that ran the same measurement."""
    last = outcomes[-1]
    rows = []
    for name in last["seconds"]:
        half = PASSES[name]
        seconds = [outcome["seconds"][name] for outcome in outcomes]
        rate = {"mb_per_second": last["bytes"][half] / 1e6 / median(seconds)}
        if last["calls"]:
            rate = {"calls_per_second": last["calls"][half] / median(seconds)}
        peak = median(outcome["peak_mb"] for outcome in outcomes)
        rows.append({"status": "ok", "pass": name, "seconds": seconds, **rate, "peak_mb": peak})
    return rows


def measure(
    engine: Engine,
    threads: int,
    encoding: str,
    files: str,
    halves: list[str],
    shape: str,
    output: Output,
    ids: str,
    passes: list[str],
) -> Outcome:
    """Encode both halves in this process; return its seconds for each pass, or the first wrong id."""
    encoder = _load(engine, Setting(encoding, Path(files), threads))
    encode = way(encoder, shape, output)
    if not encode:
        return {"status": "absent"}
    encode(["."])
    texts = [_texts(Path(half), shape) for half in halves]
    seconds: dict[str, float] = {}
    peak = 0.0
    for name in passes:
        half = PASSES[name]
        seconds[name], result = _timed(encode, texts[half])
        peak = peak or peak_memory()
        note = difference(flat(result), Path(ids) / f"{shape}.{half}")
        del result
        if note:
            return {"status": "mismatch", "note": f"{('first', 'second')[half]} half, {note}"}
    sizes = [sum(len(text.encode()) for text in half) for half in texts]
    calls = [len(half) for half in texts] if shape == "calls" else None
    return {"status": "ok", "seconds": seconds, "peak_mb": peak, "bytes": sizes, "calls": calls}


def write_reference(engine: Engine, threads: int, encoding: str, files: str, halves: list[str], ids: str) -> Outcome:
    """Write the right ids of both halves in each shape into the directory `ids`."""
    encoder = _load(engine, Setting(encoding, Path(files), threads))
    for (half, file), shape in product(enumerate(halves), SHAPES):
        found = array("I")
        for text in _texts(Path(file), shape):
            found.extend(encoder.text["list"](text))
        (Path(ids) / f"{shape}.{half}").write_bytes(found.tobytes())
    return {"status": "ok"}


def way(encoder: Encoder, shape: str, output: Output) -> Callable[[list[str]], Any] | None:
    """Return a function that encodes a list of texts in this way, or None if the engine cannot."""
    encode = (encoder.documents if shape == "documents" else encoder.text).get(output)
    if not encode or shape == "documents":
        return encode
    return lambda texts: list(map(encode, texts))


def difference(found: array[int], reference: Path) -> str | None:
    """Say where ids first differ from those in a file, or return None if they do not."""
    right = array("I", reference.read_bytes())
    if found == right:
        return None
    from minbpe.measure import first_difference

    first = first_difference(right, found)
    return f"id {first.place:,} is {first.theirs} and should be {first.ours}" if first else None


def _load(engine: Engine, setting: Setting) -> Encoder:
    if not engine.encoder:
        raise TypeError(f"{engine.name} does not encode")
    return engine.encoder(import_module(engine.module), setting)


def _timed(encode: Callable[[list[str]], Any], texts: list[str]) -> tuple[float, Any]:
    gc.collect()
    gc.disable()
    began = perf_counter()
    result = encode(texts)
    seconds = perf_counter() - began
    gc.enable()
    return seconds, result


def _texts(half: Path, shape: str) -> list[str]:
    """Return the texts of a half, with their UTF-8 made beforehand: CPython keeps it, and no engine should pay for it."""
    text = half.read_bytes().decode()
    match shape:
        case "documents":
            texts = corpora.cut(text, *DOCUMENT)
        case "calls":
            texts = corpora.cut(text[: CALL * CALLS], CALL, CALL)[:CALLS]
        case _:
            texts = [text]
    for text in texts:
        ctypes.pythonapi.PyUnicode_AsUTF8AndSize(ctypes.py_object(text), None)
    return texts


def _arguments(runner: Runner, encoding: str, corpus: Corpus) -> dict[str, Any]:
    ids = runner.scratch / f"{corpus.name}.{encoding}.ids"
    return {
        "encoding": encoding,
        "files": str(runner.files),
        "halves": [str(corpus.first), str(corpus.second)],
        "ids": str(ids),
    }


def _reference(runner: Runner, encoding: str, corpus: Corpus) -> str:
    """Have the reference write its ids, and return its name: tiktoken, or minbpe if that is not installed."""
    engine = REFERENCE if REFERENCE.installed else OURS
    arguments = _arguments(runner, encoding, corpus)
    Path(arguments["ids"]).mkdir()
    runner.say(f"{corpus.name}, {encoding}: the ids of {engine.name}")
    outcome = runner.measure(engine.name, "ids", **arguments)
    if outcome["status"] != "ok":
        raise RuntimeError(f"{engine.name} has no ids of {corpus.name} to compare with: {outcome['note']}")
    return engine.name
