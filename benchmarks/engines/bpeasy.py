"""bpeasy, whose limit to the length of a token is out of the way."""

from typing import Any

from benchmarks.engine import Engine, Trained, Training

LONGEST_TOKEN = 1 << 30


def train(bpeasy: Any, training: Training, longest: int = LONGEST_TOKEN) -> Trained:
    ranks = bpeasy.train_bpe(training.documents(), training.pattern, longest, training.size)
    return Trained(tokens=lambda: sorted(filter(lambda token: len(token) > 1, ranks), key=ranks.__getitem__))


ENGINE = Engine("bpeasy", "bpeasy", "bpeasy", trainer=train, exact="identity")
