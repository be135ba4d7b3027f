"""tiktoken. With one thread a loop, since its batches always go through a pool of threads, which costs time."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting


def load(tiktoken: Any, setting: Setting) -> Encoder:
    encoding, threads = tiktoken.get_encoding(setting.encoding), setting.threads

    def buffer(text: str) -> Any:
        return encoding.encode_to_numpy(text, disallowed_special=())

    if threads > 1:
        return Encoder(documents={"list": lambda texts: encoding.encode_ordinary_batch(texts, num_threads=threads)})
    return Encoder(
        text={"list": encoding.encode_ordinary, "buffer": buffer},
        documents={
            "list": lambda texts: list(map(encoding.encode_ordinary, texts)),
            "buffer": lambda texts: list(map(buffer, texts)),
        },
    )


ENGINE = Engine("tiktoken", "tiktoken", "tiktoken", load)
