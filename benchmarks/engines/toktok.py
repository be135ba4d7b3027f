"""toktok-rs, whose vocabularies are inside its binary. It makes lists of one text at a time only."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting


def load(toktok: Any, setting: Setting) -> Encoder:
    tokenizer, threads = toktok._encoding(setting.encoding), setting.threads

    def buffer(texts: list[str]) -> Any:
        return tokenizer.encode_batch(texts, threads)[0]

    if threads > 1:
        return Encoder(documents={"buffer": buffer})
    return Encoder(
        text={"list": tokenizer.encode_ordinary, "buffer": lambda text: buffer([text])},
        documents={"list": lambda texts: list(map(tokenizer.encode_ordinary, texts)), "buffer": buffer},
    )


ENGINE = Engine("toktok-rs", "toktok", "toktok-rs", load)
