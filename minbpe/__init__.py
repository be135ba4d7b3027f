"""Byte pair encoding: trains vocabularies exactly, encodes as tiktoken does, checks both.

>>> import minbpe
>>> minbpe.get_encoding("cl100k_base").encode("hello world")
[15339, 1917]

Three interfaces: the classes of karpathy/minbpe (`RegexTokenizer` and its kin), the names of tiktoken (`get_encoding`,
`Encoding`), and what neither of them has (`train`, `count`, `Vocabulary`).
"""

from minbpe._core import __version__ as __version__
from minbpe.encoding import Encoding as Encoding
from minbpe.model import encoding_for_model as encoding_for_model
from minbpe.model import encoding_name_for_model as encoding_name_for_model
from minbpe.registry import get_encoding as get_encoding
from minbpe.registry import list_encoding_names as list_encoding_names
from minbpe.vocabulary import Vocabulary as Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minbpe.base import Tokenizer as Tokenizer
    from minbpe.base import get_stats as get_stats
    from minbpe.base import merge as merge
    from minbpe.base import render_token as render_token
    from minbpe.base import replace_control_characters as replace_control_characters
    from minbpe.basic import BasicTokenizer as BasicTokenizer
    from minbpe.checkpoint import Checkpoint as Checkpoint
    from minbpe.counting import PieceCounts as PieceCounts
    from minbpe.counting import count as count
    from minbpe.counting import count_to_file as count_to_file
    from minbpe.documents import find_files as find_files
    from minbpe.documents import read_documents as read_documents
    from minbpe.extending import extend as extend
    from minbpe.gpt4 import GPT4_SPECIAL_TOKENS as GPT4_SPECIAL_TOKENS
    from minbpe.gpt4 import GPT2Tokenizer as GPT2Tokenizer
    from minbpe.gpt4 import GPT4oTokenizer as GPT4oTokenizer
    from minbpe.gpt4 import GPT4Tokenizer as GPT4Tokenizer
    from minbpe.gpt4 import recover_merges as recover_merges
    from minbpe.patterns import GPT2_SPLIT_PATTERN as GPT2_SPLIT_PATTERN
    from minbpe.patterns import GPT4_SPLIT_PATTERN as GPT4_SPLIT_PATTERN
    from minbpe.regex import RegexTokenizer as RegexTokenizer
    from minbpe.training import Training as Training
    from minbpe.training import learn as learn
    from minbpe.training import train as train

# Imported on first use, so that a program that only encodes does not wait for the training modules.
_LATER = {
    "base": ("Tokenizer", "get_stats", "merge", "render_token", "replace_control_characters"),
    "basic": ("BasicTokenizer",),
    "checkpoint": ("Checkpoint",),
    "counting": ("PieceCounts", "count", "count_to_file"),
    "documents": ("find_files", "read_documents"),
    "extending": ("extend",),
    "gpt4": ("GPT2Tokenizer", "GPT4Tokenizer", "GPT4oTokenizer", "GPT4_SPECIAL_TOKENS", "recover_merges"),
    "patterns": ("GPT2_SPLIT_PATTERN", "GPT4_SPLIT_PATTERN"),
    "regex": ("RegexTokenizer",),
    "training": ("Training", "learn", "train"),
}
_MODULES = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'minbpe' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"minbpe.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
