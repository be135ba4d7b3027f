"""The vocabularies in the package are OpenAI's, to the byte."""

import os
import runpy
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest

import minbpe
from minbpe.errors import VocabularyError
from minbpe.packaged import PACKAGED, find_packaged, packaged_vocabulary, read_table
from minbpe.tiktoken_files import TIKTOKEN_FILES, tiktoken_file
from minbpe.vocabulary import Vocabulary

DATA = Path(minbpe.__file__).parent / "data"


@pytest.mark.parametrize("name", TIKTOKEN_FILES)
def test_each_published_file_is_rebuilt_byte_for_byte(name: str) -> None:
    assert sha256(tiktoken_file(name)).hexdigest() == TIKTOKEN_FILES[name].sha256


def test_all_tables_together_are_under_3_mb() -> None:
    assert sum(file.stat().st_size for file in DATA.iterdir()) < 3_000_000


def test_the_package_holds_no_table_that_no_vocabulary_reads() -> None:
    assert {file.name for file in DATA.iterdir()} == {f"{packaged.table}.merges" for packaged in PACKAGED.values()}


@pytest.mark.parametrize("name", ["r50k_base", "cl100k_base", "o200k_base"])
def test_merge_i_of_a_table_is_of_two_tokens_before_it(name: str) -> None:
    table = read_table(name)
    assert sorted(table[:256]) == list(range(256))
    assert len(table) % 6 == 256 % 6
    parts = [int.from_bytes(table[at : at + 3], "little") for at in range(256, len(table), 3)]
    assert all(part < 256 + position // 2 for position, part in enumerate(parts))


def test_the_packing_script_makes_the_table_from_the_published_file(tmp_path: Path) -> None:
    (tmp_path / "r50k_base.tiktoken").write_bytes(tiktoken_file("r50k_base.tiktoken"))
    script = runpy.run_path(str(DATA.parents[1] / "dev" / "pack_vocabularies.py"))
    assert script["pack"](script["read_ranks"](tmp_path / "r50k_base.tiktoken")) == read_table("r50k_base")


def test_the_packing_script_refuses_a_file_that_is_not_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "r50k_base.tiktoken").write_bytes(b"IQ== 0\n")
    script = runpy.run_path(str(DATA.parents[1] / "dev" / "pack_vocabularies.py"))
    with pytest.raises(SystemExit, match="is not what tiktoken pins"):
        script["read_ranks"](tmp_path / "r50k_base.tiktoken")


def test_the_names_are_those_of_tiktoken(tiktoken_module: ModuleType) -> None:
    from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS

    assert list(PACKAGED) == list(ENCODING_CONSTRUCTORS)


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_vocabulary_is_tiktokens(name: str, tiktoken_module: ModuleType) -> None:
    theirs = tiktoken_module.get_encoding(name)
    ours = packaged_vocabulary(name)
    assert ours.mergeable_ranks == theirs._mergeable_ranks
    assert ours.special_tokens == theirs._special_tokens
    assert ours.pattern == theirs._pat_str
    assert ours.n_vocab == theirs.n_vocab
    assert not ours.by_rank


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_vocabulary_equals_the_one_recovered_from_its_ranks(name: str) -> None:
    packaged = packaged_vocabulary(name)
    recovered = Vocabulary.from_ranks(
        packaged.mergeable_ranks, pattern=packaged.pattern, special_tokens=packaged.special_tokens
    )
    assert recovered.merges == packaged.merges
    assert recovered == packaged


def test_an_id_that_two_special_tokens_share_decodes_to_the_first() -> None:
    harmony = packaged_vocabulary("o200k_harmony")
    assert harmony.special_tokens["<|reserved_200018|>"] == harmony.special_tokens["<|endofprompt|>"] == 200018
    assert minbpe.get_encoding("o200k_harmony").decode([200018]) == "<|endofprompt|>"


@pytest.mark.parametrize("look_up", [find_packaged, read_table, packaged_vocabulary])
def test_a_name_that_is_not_packaged_is_an_error_that_lists_those_that_are(look_up: object) -> None:
    assert callable(look_up)
    with pytest.raises(VocabularyError, match=r"'gpt3'.*r50k_base, p50k_base, p50k_edit, cl100k_base"):
        look_up("gpt3")


def test_tiktoken_loads_every_encoding_from_the_rebuilt_files_alone(tiktoken_cache: Path) -> None:
    program = """
import socket
socket.socket = None
import tiktoken
for name in tiktoken.list_encoding_names():
    assert tiktoken.get_encoding(name).decode_single_token_bytes(1000)
"""
    pytest.importorskip("tiktoken", reason="tiktoken, which reads the files, is not installed")
    environment = os.environ | {"TIKTOKEN_CACHE_DIR": str(tiktoken_cache)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
