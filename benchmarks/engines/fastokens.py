"""fastokens; special tokens are text."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting


def load(fastokens: Any, setting: Setting) -> Encoder:
    file = setting.files / f"{setting.encoding}.tiktoken"
    tokenizer = fastokens.Tokenizer.from_tiktoken(str(file), encoding=setting.encoding)

    def buffer(texts: list[str]) -> Any:
        return tokenizer.encode_batch_flat(texts, split_special_tokens=True)[0]

    def lists(texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in tokenizer.encode_batch(texts, split_special_tokens=True)]

    return Encoder(
        text={"buffer": lambda text: buffer([text]), "list": lambda text: tokenizer.encode_ordinary(text).ids},
        documents={"buffer": buffer, "list": lists},
    )


ENGINE = Engine("fastokens", "fastokens", "fastokens", load)
