"""Hugging Face's tokenizers, from a `tokenizer.json`; it keeps to the number of threads that the environment names."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting, Trained, Training


def load(tokenizers: Any, setting: Setting) -> Encoder:
    tokenizer = tokenizers.Tokenizer.from_file(str(setting.files / f"{setting.encoding}.json"))

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return Encoder(
        text={"list": lambda text: encode([text])[0]} if setting.threads == 1 else {}, documents={"list": encode}
    )


def train(tokenizers: Any, training: Training) -> Trained:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level(tokenizers, training.pattern)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=training.size, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(training.documents(), trainer)

    def tokens() -> list[bytes]:
        from benchmarks.rivals import byte_spelling

        byte_of = {char: byte for byte, char in byte_spelling().items()}
        spelled = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])[256:]
        return [bytes(byte_of[char] for char in token) for token, _ in spelled]

    return Trained(tokens=tokens)


def byte_level(tokenizers: Any, pattern: str) -> Any:
    """Return what splits by `pattern` and then spells each byte as a character."""
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    spell = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizers.pre_tokenizers.Sequence([split, spell])


ENGINE = Engine("tokenizers", "tokenizers", "tokenizers", load, train, exact="gpt2")
