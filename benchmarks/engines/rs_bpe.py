"""rs-bpe, whose vocabularies are inside its binary. It returns lists only."""

from typing import Any

from benchmarks.engine import Encoder, Engine, Setting


def load(rs_bpe: Any, setting: Setting) -> Encoder:
    tokenizer = getattr(rs_bpe.openai, setting.encoding)()
    if setting.threads > 1:
        options = rs_bpe.openai.ParallelOptions(min_batch_size=1, chunk_size=64, max_threads=setting.threads)
        return Encoder(documents={"list": lambda texts: tokenizer.encode_batch_parallel(texts, options)[0]})
    return Encoder(
        text={"list": tokenizer.encode}, documents={"list": lambda texts: list(map(tokenizer.encode, texts))}
    )


ENGINE = Engine("rs-bpe", "rs_bpe", "rs-bpe", load)
