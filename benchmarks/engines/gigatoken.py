"""gigatoken, without special tokens, which it would find in any text. It trains with GPT-2's pattern alone."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting, Trained, Training, Ways

PATTERNS = {"r50k_base": "r50k", "cl100k_base": "cl100k", "o200k_base": "o200k"}


def load(gigatoken: Any, setting: Setting) -> Encoder:
    file = setting.files / f"{setting.encoding}.tiktoken"
    tokenizer = gigatoken.Tokenizer.from_tiktoken(file, PATTERNS[setting.encoding], {})
    parallel = setting.threads > 1
    documents: Ways = {
        "list": lambda texts: tokenizer.encode_batch_list(texts, parallel=parallel),
        "buffer": lambda texts: tokenizer.encode_batch(texts, parallel=parallel).layout.content.data,
    }
    if parallel:
        return Encoder(documents=documents)
    return Encoder(
        text={"list": lambda text: tokenizer.encode_batch_list([text], parallel=False)[0], "buffer": tokenizer.encode},
        documents=documents,
    )


def train(gigatoken: Any, training: Training, tie_breaking: str = "huggingface") -> Trained:
    source = gigatoken.TextFileSource([training.corpus])
    _, merges = gigatoken.train_bpe(source, training.size, [], tie_breaking=tie_breaking)
    return Trained(pairs=lambda: list(map(tuple, merges)))


ENGINE = Engine("gigatoken", "gigatoken", "gigatoken", load, train, exact="gpt2", patterns=("gpt2",))
