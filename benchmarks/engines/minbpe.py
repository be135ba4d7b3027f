"""minbpe, by the functions that its users call."""

from time import perf_counter
from typing import Any

from benchmarks.engine import Encoder, Engine, Setting, Trained, Training


def load(minbpe: Any, setting: Setting) -> Encoder:
    encoding, threads = minbpe.get_encoding(setting.encoding), setting.threads

    def buffer(texts: list[str]) -> memoryview:
        ids: memoryview = encoding.encode_batch_flat(texts, num_threads=threads, disallowed_special=())[0]
        return ids

    def shared(text: str) -> list[int]:
        ids: list[int] = encoding.encode_ordinary_batch([text], num_threads=threads)[0]
        return ids

    return Encoder(
        text={"buffer": lambda text: buffer([text]), "list": encoding.encode_ordinary if threads == 1 else shared},
        documents={"list": lambda texts: encoding.encode_ordinary_batch(texts, num_threads=threads), "buffer": buffer},
    )


def train(minbpe: Any, training: Training) -> Trained:
    vocabulary, stages = learn(minbpe, training)
    return Trained(pairs=lambda: merges(vocabulary), stages=stages)


def merges(vocabulary: Any) -> list[tuple[bytes, bytes]]:
    """Return the merges as pairs of bytes."""
    return [(vocabulary[left], vocabulary[right]) for left, right in vocabulary.merges]


def learn(minbpe: Any, training: Training, byte_order: str = "identity") -> tuple[Any, dict[str, float]]:
    """Train, and say how the time divides."""
    began = counted = perf_counter()

    def hear(progress: Any) -> None:
        nonlocal counted
        if progress.stage == "count":
            counted = perf_counter()

    vocabulary = minbpe.train(
        training.corpus,
        training.size,
        pattern=training.pattern,
        tie_break=training.tie_break,
        byte_order=byte_order,
        threads=training.threads,
        progress=hear,
    )
    return vocabulary, {"count": counted - began, "merge": perf_counter() - counted}


ENGINE = Engine("minbpe", "minbpe", "minbpe", load, train, exact="identity", tie_breaks=("lowest", "first"))
