"""Importing minbpe brings in no other package and nothing large; and all of tiktoken's names are here."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import minbpe
from minbpe import load, model, registry

PACKAGE = Path(minbpe.__file__).parent
TABLE = (PACKAGE / "TIKTOKEN.md").read_text(encoding="utf-8")

# Each takes longer to import than all of minbpe.
LARGE = {
    *(
        "argparse",
        "asyncio",
        "ast",
        "concurrent.futures",
        "dataclasses",
        "hashlib",
        "importlib.metadata",
        "inspect",
        "json",
    ),
    *(
        "logging",
        "multiprocessing",
        "pathlib",
        "pickle",
        "random",
        "re",
        "subprocess",
        "tempfile",
        "threading",
        "typing",
    ),
}


def imported_by(program: str) -> set[str]:
    """The modules that a fresh process imports to run `program`, beyond those it starts with."""
    program = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
before = set(sys.modules)
{program}
print(*sorted(set(sys.modules) - before))
"""
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", program]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


ENCODE = "encoding = minbpe.get_encoding('o200k_base'); assert encoding.decode(encoding.encode('hello world')) == 'hello world'"


@pytest.mark.parametrize("program", ["import minbpe", f"import minbpe; {ENCODE}"], ids=["import", "encode"])
def test_importing_and_encoding_need_no_other_package_and_nothing_large(program: str) -> None:
    modules = imported_by(program)
    assert "minbpe._core" in modules
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"minbpe"}
    assert modules & LARGE == set()


def test_training_on_text_needs_no_other_package_and_nothing_larger_than_typing() -> None:
    modules = imported_by("import minbpe; assert len(minbpe.train('aaabdaaabac', 259)) == 259")
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"minbpe"}
    assert modules & LARGE == {"re", "typing"}


def test_what_a_name_needs_is_imported_when_it_is_asked_for() -> None:
    assert not imported_by("import minbpe") & {f"minbpe.{module}" for module in minbpe._LATER}
    modules = imported_by("import minbpe; all(getattr(minbpe, name) for name in minbpe._MODULES)")
    assert modules >= {f"minbpe.{module}" for module in minbpe._LATER}
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"minbpe"}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = minbpe.no_such_name


# tiktoken's names


def public(thing: Any) -> list[str]:
    return [name for name in vars(thing) if not name.startswith("_")]


def keywords(function: Any) -> list[tuple[str, Any, bool]]:
    """A function's parameters: name, kind, and whether there is a default."""
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default is not each.empty) for each in parameters]


def test_every_method_of_tiktokens_encoding_is_here_with_its_keywords_and_in_the_table(
    tiktoken_module: ModuleType,
) -> None:
    theirs = tiktoken_module.Encoding
    encoding, other = minbpe.get_encoding("gpt2"), tiktoken_module.get_encoding("gpt2")
    names = {*public(theirs), *public(other), "__init__", "__repr__"}
    assert len(names) > 20
    for name in names:
        assert hasattr(encoding, name)
        assert re.search(rf"^\| `{name}\b", TABLE, re.MULTILINE), f"{name} is not in the table"
        method = inspect.getattr_static(theirs, name, None)
        if inspect.isfunction(method):
            assert keywords(getattr(encoding, name)) == keywords(getattr(other, name))
    for name in ("_pat_str", "_mergeable_ranks", "_special_tokens", "_encode_bytes", "_encode_single_piece"):
        assert hasattr(encoding, name)
        assert re.search(rf"^\| `{name}\b", TABLE, re.MULTILINE), f"{name} is not in the table"
    for name in ("_encode_bytes", "_encode_single_piece"):
        assert keywords(getattr(encoding, name)) == keywords(getattr(other, name))


def test_every_function_of_tiktoken_is_here_with_its_keywords_and_in_the_table(tiktoken_module: ModuleType) -> None:
    functions = [name for name in public(tiktoken_module) if not inspect.ismodule(getattr(tiktoken_module, name))]
    assert {"Encoding", "get_encoding", "list_encoding_names", "encoding_for_model"} <= set(functions)
    for name in functions:
        assert re.search(rf"^\| `{name}\b", TABLE, re.MULTILINE), f"{name} is not in the table"
        if inspect.isfunction(getattr(tiktoken_module, name)):
            assert keywords(getattr(minbpe, name)) == keywords(getattr(tiktoken_module, name))
    assert isinstance(minbpe.__version__, str)


def test_tiktokens_modules_have_their_counterparts(tiktoken_module: ModuleType) -> None:
    import tiktoken.load
    import tiktoken.model
    import tiktoken.registry

    assert tiktoken.model is tiktoken_module.model
    assert {"MODEL_TO_ENCODING", "MODEL_PREFIX_TO_ENCODING"} <= set(public(model))
    assert {"ENCODINGS", "get_encoding", "list_encoding_names"} <= set(public(registry))
    functions = {name for name in public(tiktoken.load) if inspect.isfunction(getattr(tiktoken.load, name))}
    assert {"load_tiktoken_bpe", "dump_tiktoken_bpe"} <= functions
    for name in functions:
        assert f"`{name}`" in TABLE
        if hasattr(load, name):
            assert keywords(getattr(load, name)) == keywords(getattr(tiktoken.load, name))
    for name in ("MODEL_TO_ENCODING", "MODEL_PREFIX_TO_ENCODING", "ENCODINGS"):
        assert f"`{name}`" in TABLE


def test_what_is_only_ours_is_in_the_table(tiktoken_module: ModuleType) -> None:
    for name in set(public(minbpe.Encoding)) - set(public(tiktoken_module.Encoding)):
        assert re.search(rf"^\| `{name}\b", TABLE, re.MULTILINE), f"{name} is not in the table"
