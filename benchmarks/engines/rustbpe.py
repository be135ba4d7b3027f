"""rustbpe, which nanochat trains with."""

from typing import Any

from benchmarks.engine import Engine, Trained, Training


def train(rustbpe: Any, training: Training) -> Trained:
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(training.documents(), training.size, pattern=training.pattern)

    def tokens() -> list[bytes]:
        ranks = sorted(tokenizer.get_mergeable_ranks(), key=lambda item: item[1])
        return [bytes(token) for token, _ in ranks[256:]]

    return Trained(tokens=tokens)


ENGINE = Engine("rustbpe", "rustbpe", "rustbpe", trainer=train, exact="identity")
