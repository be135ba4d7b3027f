"""Byte pair encoding: trains vocabularies exactly, encodes as tiktoken does, checks both.

>>> import minbpe
>>> minbpe.get_encoding("cl100k_base").encode("hello world")
[15339, 1917]

Three ways in: the classes of karpathy/minbpe (`RegexTokenizer` and its kin), the names of tiktoken (`get_encoding`, `Encoding`), and
what neither has (`train`, `Vocabulary`).
"""

from minbpe._core import __version__ as __version__
from minbpe.encoding import Encoding as Encoding
from minbpe.model import encoding_for_model as encoding_for_model
from minbpe.model import encoding_name_for_model as encoding_name_for_model
from minbpe.registry import get_encoding as get_encoding
from minbpe.registry import list_encoding_names as list_encoding_names
from minbpe.vocabulary import Vocabulary as Vocabulary
