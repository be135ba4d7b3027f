"""Hugging Face's tokenizers, from a `tokenizer.json`; it keeps to the number of threads that the environment names."""

import json
from typing import Any

from benchmarks.engine import Encoder, Engine, Setting, Trained, Training


def load(tokenizers: Any, setting: Setting) -> Encoder:
    tokenizer = tokenizers.Tokenizer.from_file(str(setting.files / f"{setting.encoding}.json"))

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return Encoder(
        text={"list": lambda text: encode([text])[0]} if setting.threads == 1 else {}, documents={"list": encode}
    )


def train(tokenizers: Any, training: Training, whole_alphabet: bool = True, **options: Any) -> Trained:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level(tokenizers, training.pattern)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet() if whole_alphabet else []
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=training.size, initial_alphabet=alphabet, show_progress=False, special_tokens=[], **options
    )
    tokenizer.train_from_iterator(training.documents(), trainer)

    def pairs() -> list[tuple[bytes, bytes]]:
        from benchmarks.rivals import byte_spelling

        byte_of = {char: byte for byte, char in byte_spelling().items()}

        def to_bytes(token: str) -> bytes:
            return bytes(byte_of[char] for char in token)

        merges = json.loads(tokenizer.to_str())["model"]["merges"]
        return [(to_bytes(left), to_bytes(right)) for left, right in merges]

    return Trained(pairs=pairs)


def byte_level(tokenizers: Any, pattern: str) -> Any:
    """Return what splits by `pattern` and then spells each byte as a character."""
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    spell = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizers.pre_tokenizers.Sequence([split, spell])


ENGINE = Engine("tokenizers", "tokenizers", "tokenizers", load, train, exact="gpt2")
