"""Encodings by name: those in the package, and those that tiktoken plugins define.

A packaged name wins over a plugin's. So tiktoken's own `tiktoken_ext.openai_public`, which needs the network, is never
imported, and no plugin is until someone lists the names or asks for one that the package lacks.
"""

from __future__ import annotations

import os
from _thread import RLock  # threading's, whose import costs as much as reading a vocabulary

from minbpe.encoding import Encoding
from minbpe.errors import MinbpeError, UnknownNameError
from minbpe.model import find_encoding_name
from minbpe.packaged import PACKAGED, packaged_vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Constructor = Callable[[], dict[str, Any]]

ENCODINGS: dict[str, Encoding] = {}
"""The encodings made so far, by name; `pickle` refers to them by name."""

_plugins: dict[str, Constructor] | None = None
_lock = RLock()


def _renew_lock() -> None:
    """Give a forked child a lock of its own: a thread that it did not inherit may hold the old one for ever."""
    global _lock  # noqa: PLW0603
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def get_encoding(encoding_name: str) -> Encoding:
    """Return the encoding of that name, always the same object; several threads may call this at once.

    A packaged one is read from the package; any other name is looked up in the `tiktoken_ext` plugins.

    >>> get_encoding("cl100k_base").encode("hello world")
    [15339, 1917]

    Raises:
        UnknownNameError: nothing defines that name.
        ValueError: the name is not a str, or a plugin is malformed.
    """
    if not isinstance(encoding_name, str):
        raise MinbpeError(f"get_encoding takes the name of an encoding, a str, not {type(encoding_name).__name__}")
    encoding = ENCODINGS.get(encoding_name)
    if encoding is not None:
        return encoding
    with _lock:
        if encoding_name not in ENCODINGS:
            ENCODINGS[encoding_name] = _make(encoding_name)
        return ENCODINGS[encoding_name]


def list_encoding_names() -> list[str]:
    """Return the names that `get_encoding` knows: the packaged ones, then those of plugins.

    >>> list_encoding_names()[:3]
    ['gpt2', 'r50k_base', 'p50k_base']

    Raises:
        ValueError: a plugin is malformed.
    """
    return list(dict.fromkeys([*PACKAGED, *_find_plugins()]))


def _make(name: str) -> Encoding:
    """Make the encoding of that name."""
    if name in PACKAGED:
        return Encoding.from_vocabulary(packaged_vocabulary(name), name=name)
    constructor = _find_plugins().get(name)
    if constructor is None:
        used = find_encoding_name(name)
        known = f"this model uses {used!r}" if used else f"known are {', '.join(list_encoding_names())}"
        raise UnknownNameError(
            f"unknown encoding {name!r}: {known}; a model file is for Encoding.from_vocabulary(Vocabulary.load(..))"
        )
    return Encoding(**constructor())


def _find_plugins() -> dict[str, Constructor]:
    """Import every plugin, once, and return the constructors of the encodings that they define."""
    global _plugins  # noqa: PLW0603
    with _lock:
        if _plugins is None:
            _plugins = _import_plugins()
        return _plugins


def _import_plugins() -> dict[str, Constructor]:
    from importlib import import_module
    from pkgutil import iter_modules

    try:
        import tiktoken_ext
    except ModuleNotFoundError:
        return {}
    found: dict[str, Constructor] = {}
    for _, module_name, _ in iter_modules(tiktoken_ext.__path__, "tiktoken_ext."):
        if module_name == "tiktoken_ext.openai_public":
            continue
        constructors = getattr(import_module(module_name), "ENCODING_CONSTRUCTORS", None)
        if constructors is None:
            raise MinbpeError(
                f"tiktoken plugin {module_name} does not define ENCODING_CONSTRUCTORS, "
                "a dict from each name to a function that returns the arguments of Encoding"
            )
        for name, constructor in constructors.items():
            if name in found:
                raise MinbpeError(f"Duplicate encoding name {name} in tiktoken plugin {module_name}: uninstall one")
            found[name] = constructor
    return found
