"""bpeasy, whose choice among equal pairs is its own."""

from typing import Any

from benchmarks.engine import Engine, Trained, Training

LONGEST_TOKEN = 128


def train(bpeasy: Any, training: Training) -> Trained:
    ranks = bpeasy.train_bpe(training.documents(), training.pattern, LONGEST_TOKEN, training.size)
    return Trained(tokens=lambda: sorted(filter(lambda token: len(token) > 1, ranks), key=ranks.__getitem__))


ENGINE = Engine("bpeasy", "bpeasy", "bpeasy", trainer=train)
