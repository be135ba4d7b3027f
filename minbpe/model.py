"""Which encoding each of OpenAI's models uses, by the model's name or a prefix of it."""

from __future__ import annotations

from minbpe.errors import UnknownNameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minbpe.encoding import Encoding

MODEL_TO_ENCODING: dict[str, str] = {
    **dict.fromkeys(["o1", "o3", "o4-mini", "gpt-5", "gpt-4.1", "gpt-4o"], "o200k_base"),
    **dict.fromkeys(
        [
            *["gpt-4", "gpt-3.5-turbo", "gpt-3.5", "gpt-35-turbo", "davinci-002", "babbage-002"],
            *["text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large"],
        ],
        "cl100k_base",
    ),
    **dict.fromkeys(
        [
            *["text-davinci-003", "text-davinci-002", "davinci-codex", "cushman-codex"],
            *["code-davinci-002", "code-davinci-001", "code-cushman-002", "code-cushman-001"],
        ],
        "p50k_base",
    ),
    **dict.fromkeys(["text-davinci-edit-001", "code-davinci-edit-001"], "p50k_edit"),
    **dict.fromkeys(
        [
            *["text-davinci-001", "text-curie-001", "text-babbage-001", "text-ada-001"],
            *["davinci", "curie", "babbage", "ada"],
            *["text-similarity-davinci-001", "text-similarity-curie-001"],
            *["text-similarity-babbage-001", "text-similarity-ada-001"],
            *["text-search-davinci-doc-001", "text-search-curie-doc-001"],
            *["text-search-babbage-doc-001", "text-search-ada-doc-001"],
            *["code-search-babbage-code-001", "code-search-ada-code-001"],
        ],
        "r50k_base",
    ),
    **dict.fromkeys(["gpt2", "gpt-2"], "gpt2"),
}
"""Encodings by the whole name of a model."""

MODEL_PREFIX_TO_ENCODING: dict[str, str] = {
    **dict.fromkeys(["o1-", "o3-", "o4-mini-", "gpt-5", "gpt-4.5-", "gpt-4.1-"], "o200k_base"),
    **dict.fromkeys(["chatgpt-4o-", "gpt-4o-"], "o200k_base"),
    **dict.fromkeys(["gpt-4-", "gpt-3.5-turbo-", "gpt-35-turbo-"], "cl100k_base"),
    **dict.fromkeys(["gpt-oss-"], "o200k_harmony"),
    **dict.fromkeys(["ft:gpt-4o"], "o200k_base"),
    **dict.fromkeys(["ft:gpt-4", "ft:gpt-3.5-turbo", "ft:davinci-002", "ft:babbage-002"], "cl100k_base"),
}
"""Encodings by the prefix of a model's name: dated versions, sizes, and fine-tuned models ("ft:")."""


def find_encoding_name(model_name: str) -> str | None:
    """Return the name of the model's encoding, or `None` if the model is not known.

    A whole name wins over a prefix, and a longer prefix over a shorter one.

    Raises:
        TypeError: the name is not a str.
    """
    if not isinstance(model_name, str):
        raise TypeError(f"the name of a model is a str, not {type(model_name).__name__}")
    if model_name in MODEL_TO_ENCODING:
        return MODEL_TO_ENCODING[model_name]
    beginnings = [prefix for prefix in MODEL_PREFIX_TO_ENCODING if model_name.startswith(prefix)]
    return MODEL_PREFIX_TO_ENCODING[max(beginnings, key=len)] if beginnings else None


def encoding_name_for_model(model_name: str) -> str:
    """Return the name of the encoding that a model uses.

    >>> encoding_name_for_model("gpt-4o-2024-05-13")
    'o200k_base'

    Raises:
        UnknownNameError: the model is not known; this is a KeyError, as in tiktoken.
    """
    name = find_encoding_name(model_name)
    if name is None:
        raise UnknownNameError(
            f"no encoding is known for the model {model_name!r}: if you know which it uses, name it to get_encoding"
        )
    return name


def encoding_for_model(model_name: str) -> Encoding:
    """Return the encoding that a model uses.

    >>> encoding_for_model("gpt-4")
    <Encoding 'cl100k_base'>

    Raises:
        UnknownNameError: the model is not known; this is a KeyError, as in tiktoken.
    """
    from minbpe.registry import get_encoding

    return get_encoding(encoding_name_for_model(model_name))
