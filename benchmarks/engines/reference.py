"""The naive trainer in plain Python, whose merges are right. It takes part only where it is named: it needs a minute for a few MB.

Text is split by minbpe, for splitting is a question of its own, and the other trainers split for themselves.
"""

from typing import Any

from benchmarks.engine import Engine, Trained, Training


def train(naive: Any, training: Training) -> Trained:
    from minbpe import Vocabulary

    splitter = Vocabulary.from_merges((), pattern=training.pattern)
    pieces = (piece.encode() for document in training.documents() for piece in splitter.split(document))
    learned = naive.train(pieces, training.size - 256, training.tie_break)

    def pairs() -> list[tuple[bytes, bytes]]:
        tokens = [bytes([byte]) for byte in range(256)]
        tokens += (tokens[left] + tokens[right] for (left, right), _ in learned)
        return [(tokens[left], tokens[right]) for (left, right), _ in learned]

    return Trained(pairs=pairs)


ENGINE = Engine(
    "reference",
    "benchmarks.naive",
    "minbpe",
    trainer=train,
    exact="identity",
    tie_breaks=("lowest", "first"),
    by_default=False,
)
