"""Byte pair encoding: trains vocabularies exactly, encodes as tiktoken does, checks both.

>>> import minbpe
>>> minbpe.get_encoding("cl100k_base").encode("hello world")
[15339, 1917]
"""

from minbpe._core import __version__ as __version__
from minbpe.encoding import Encoding as Encoding
from minbpe.registry import get_encoding as get_encoding
from minbpe.vocabulary import Vocabulary as Vocabulary
