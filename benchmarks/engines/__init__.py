"""The tokenizers that are measured: a module each, a line each in the table."""

from importlib import import_module

from benchmarks.engine import Engine
from benchmarks.engines import (
    bpeasy,
    fastokens,
    gigatoken,
    minbpe,
    reference,
    rs_bpe,
    rustbpe,
    sentencepiece,
    tiktoken,
    tokenizers,
    toktok,
)

OURS = minbpe.ENGINE
REFERENCE = tiktoken.ENGINE
"""Whose ids are right."""

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        OURS,
        REFERENCE,
        tokenizers.ENGINE,
        gigatoken.ENGINE,
        fastokens.ENGINE,
        toktok.ENGINE,
        rs_bpe.ENGINE,
        sentencepiece.ENGINE,
        rustbpe.ENGINE,
        bpeasy.ENGINE,
        reference.ENGINE,
    )
}


def find_engine(name: str) -> Engine:
    """Return the engine of this name, or one that is not in the table: `package.module:NAME`.

    Raises:
        ValueError: there is none.
    """
    module, separator, attribute = name.partition(":")
    if separator:
        try:
            engine = getattr(import_module(module), attribute, None)
        except ImportError as error:
            raise ValueError(f"{name} cannot be imported: {error}") from error
        if isinstance(engine, Engine):
            return engine
    elif name in ENGINES:
        return ENGINES[name]
    raise ValueError(f"no engine is called {name!r}: there are {', '.join(ENGINES)}, and MODULE:NAME for your own")
