"""Encodings by name and by model: tiktoken's names, its plugins, and errors that say the way out."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

import minbpe
from minbpe import model as models
from minbpe import registry
from minbpe.errors import MinbpeError, UnknownNameError
from minbpe.packaged import PACKAGED

PLUGIN = """
def mine():
    return {
        "name": "mine",
        "pat_str": r"[a-z]+|[^a-z]+",
        "mergeable_ranks": {bytes([value]): value for value in range(256)} | {b"ab": 256},
        "special_tokens": {"<|end|>": 300},
    }
"""


def run(program: str, plugins: Path) -> list[str]:
    """Run a program in a process that finds the plugins, and return the lines it prints."""
    repository = Path(minbpe.__file__).parents[1]
    paths = [str(plugins), str(repository), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with a plugin that defines "mine", and also "gpt2", a name of the package."""
    (tmp_path / "tiktoken_ext").mkdir()
    constructors = "ENCODING_CONSTRUCTORS = {'mine': mine, 'gpt2': mine}\n"
    (tmp_path / "tiktoken_ext" / "of_mine.py").write_text(PLUGIN + constructors, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", PACKAGED)
def test_an_encoding_is_made_once(name: str) -> None:
    encoding = minbpe.get_encoding(name)
    assert encoding.name == name
    assert minbpe.get_encoding(name) is encoding is registry.ENCODINGS[name]


def test_threads_that_ask_at_once_get_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENCODINGS", {})
    with ThreadPoolExecutor(16) as pool:
        encodings = list(pool.map(minbpe.get_encoding, ["r50k_base"] * 64))
    assert len(set(map(id, encodings))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_child_forked_while_a_thread_makes_an_encoding_can_make_one_too(tmp_path: Path) -> None:
    program = """
import os, threading, warnings
from minbpe import registry
held, done = threading.Event(), threading.Event()
def hold():
    with registry._lock:
        held.set()
        done.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads
child = os.fork()
if child == 0:
    registry.get_encoding("gpt2")
    os._exit(0)
print(os.waitpid(child, 0)[1])
done.set()
"""
    assert run(program, tmp_path) == ["0"]


def test_the_names_of_tiktoken_are_known(tiktoken_module: ModuleType) -> None:
    assert set(tiktoken_module.list_encoding_names()) <= set(minbpe.list_encoding_names())


def test_packaged_names_come_first_and_then_those_of_plugins(plugins: Path) -> None:
    assert run("import minbpe; print(*minbpe.list_encoding_names())", plugins) == [" ".join([*PACKAGED, "mine"])]


def test_a_plugin_defines_an_encoding(plugins: Path) -> None:
    program = """
import minbpe
encoding = minbpe.get_encoding("mine")
print(encoding.name, encoding.encode("abc <|end|>", allowed_special="all"), encoding is minbpe.get_encoding("mine"))
"""
    assert run(program, plugins) == ["mine [256, 99, 32, 300] True"]


def test_a_packaged_name_goes_before_a_plugins(plugins: Path) -> None:
    assert run("import minbpe; print(minbpe.get_encoding('gpt2').encode('abc'))", plugins) == ["[39305]"]


def test_plugins_are_imported_when_a_name_is_not_packaged_and_tiktokens_own_never(plugins: Path) -> None:
    program = """
import sys, minbpe
def imported():
    return sorted(name for name in sys.modules if name.startswith(("tiktoken", "tiktoken_ext.")))
minbpe.get_encoding("gpt2")
print(imported())
minbpe.get_encoding("mine")
print(imported())
"""
    assert run(program, plugins) == ["[]", "['tiktoken_ext', 'tiktoken_ext.of_mine']"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "tiktoken plugin tiktoken_ext.z_broken does not define ENCODING_CONSTRUCTORS"),
        (
            "ENCODING_CONSTRUCTORS = {'mine': dict}",
            "Duplicate encoding name mine in tiktoken plugin tiktoken_ext.z_broken",
        ),
    ],
    ids=["without constructors", "with a name twice"],
)
def test_a_broken_plugin_is_the_same_error_each_time_and_spares_the_packaged(
    source: str, message: str, plugins: Path
) -> None:
    (plugins / "tiktoken_ext" / "z_broken.py").write_text(source, encoding="utf-8")
    program = """
import minbpe
for attempt in (minbpe.list_encoding_names, lambda: minbpe.get_encoding("mine"), minbpe.list_encoding_names):
    try:
        attempt()
    except ValueError as error:
        print(error)
print(minbpe.get_encoding("gpt2").name)
"""
    lines = run(program, plugins)
    assert lines[:3] == [lines[0]] * 3
    assert lines[0].startswith(message)
    assert lines[3] == "gpt2"


def test_without_a_plugin_folder_the_packaged_names_are_all(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["tiktoken_ext"] = None  # as if no package brought one
import minbpe
print(*minbpe.list_encoding_names())
"""
    assert run(program, tmp_path) == [" ".join(PACKAGED)]


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown encoding 'gpt3': known are gpt2, .*Vocabulary\.load"):
        minbpe.get_encoding("gpt3")


def test_the_name_of_a_model_is_an_error_that_names_its_encoding() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown encoding 'gpt-4o': this model uses 'o200k_base'"):
        minbpe.get_encoding("gpt-4o")


@pytest.mark.parametrize("name", [None, 1, b"gpt2", ["gpt2"]])
def test_a_name_that_is_no_str_is_a_value_error_as_tiktokens(name: str) -> None:
    with pytest.raises(MinbpeError, match=f"a str, not {type(name).__name__}"):
        minbpe.get_encoding(name)


def test_models_have_the_encodings_that_tiktoken_gives_them(tiktoken_module: ModuleType) -> None:
    from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

    assert models.MODEL_TO_ENCODING == MODEL_TO_ENCODING
    assert models.MODEL_PREFIX_TO_ENCODING == MODEL_PREFIX_TO_ENCODING
    known = [*MODEL_TO_ENCODING, *MODEL_PREFIX_TO_ENCODING]
    for name in (name + rest for name in known for rest in ("", "-2024-05-13", "2-mini")):
        try:
            theirs = tiktoken_module.encoding_name_for_model(name)
        except KeyError:
            with pytest.raises(KeyError):
                minbpe.encoding_name_for_model(name)
        else:
            assert minbpe.encoding_name_for_model(name) == theirs


def test_a_longer_beginning_of_a_models_name_goes_before_a_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.MODEL_PREFIX_TO_ENCODING, "gpt-4-mine-", "gpt2")
    assert minbpe.encoding_name_for_model("gpt-4-mine-2") == "gpt2"


def test_a_model_gives_its_encoding() -> None:
    assert minbpe.encoding_for_model("gpt-oss-120b") is minbpe.get_encoding("o200k_harmony")


def test_an_unknown_model_is_a_key_error_and_a_value_error_that_says_the_way_out() -> None:
    for error in (KeyError, ValueError):
        with pytest.raises(error) as raised:
            minbpe.encoding_for_model("llama")
        assert str(raised.value).startswith("no encoding is known for the model 'llama'")


@pytest.mark.parametrize("name", [None, 1, b"gpt-4"])
def test_a_models_name_that_is_no_str_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match=f"a str, not {type(name).__name__}"):
        minbpe.encoding_name_for_model(name)
