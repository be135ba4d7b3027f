"""Split patterns by name, and patterns that the compiled engine refuses: they run all the same, with one warning."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minbpe
from minbpe import Encoding, PieceCounts, RegexTokenizer, Vocabulary, count, train
from minbpe.cli import main
from minbpe.errors import PatternError, PatternWarning
from minbpe.patterns import resolve

BYTES = {bytes([byte]): byte for byte in range(256)}
MAKE: dict[str, Callable[[str], Any]] = {
    "encoding": lambda pattern: Encoding("", pat_str=pattern, mergeable_ranks=BYTES, special_tokens={}),
    "from_vocabulary": lambda pattern: Encoding.from_vocabulary(Vocabulary.from_merges([], pattern=pattern)),
    "tokenizer": RegexTokenizer,
    "count": lambda pattern: count("ab ab", pattern=pattern),
    "train": lambda pattern: train("aa aa", 257, pattern=pattern),
}


@pytest.mark.parametrize("way", MAKE)
def test_a_refused_pattern_is_said_once_with_the_reason_at_the_line_that_made_it(way: str) -> None:
    pattern = f"(?<=c)b|(?:{way})|.."
    with pytest.warns(PatternWarning, match="by backtracking.*: it looks behind; write it without") as caught:
        MAKE[way](pattern)
    assert [(warning.filename, pattern in str(warning.message)) for warning in caught] == [(__file__, True)]
    for make in MAKE.values():
        make(pattern)


def test_a_process_that_makes_warnings_errors_hears_of_it_each_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PatternWarning)
        for _ in range(2):
            with pytest.raises(PatternWarning):
                RegexTokenizer(r"(a)\1|.")


def test_what_is_counted_already_is_not_split_again_and_so_not_warned_of() -> None:
    counts = PieceCounts.from_items([("abab", 1)], pattern="(?<=c)a|.+")
    assert len(train(counts, 258)) == 258


@pytest.mark.parametrize("name", ["gpt2", "gpt4", "r50k", "cl100k", "o200k", "llama3", "qwen2", "tekken", "kimi_k2"])
def test_named_patterns_are_compiled_and_lose_nothing(name: str) -> None:
    vocabulary = Vocabulary.from_merges([], pattern=resolve(name))
    assert (vocabulary.engine, vocabulary.refusal) == ("compiled", None)
    text = "It's 12345 o'clock,\n\n  中文字 in CamelCase and かな ½!"
    assert "".join(vocabulary.split(text)) == text


def test_qwen_has_each_digit_alone_and_kimi_each_run_of_han() -> None:
    def split(name: str, text: str) -> list[str]:
        return Vocabulary.from_merges([], pattern=resolve(name)).split(text)

    assert split("qwen2", "in 2024中文abc") == ["in", " ", "2", "0", "2", "4", "中文abc"]
    assert split("kimi_k2", "in 2024中文abc's") == ["in", " ", "202", "4", "中文", "abc's"]
    assert split("tekken", "in 24 CamelCase's") == ["in", " ", "2", "4", " Camel", "Case", "'s"]


def test_inspect_shows_the_engine_and_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Vocabulary.from_merges([(97, 98)], pattern=r"(?<=x)ab|\S+|\s").save(tmp_path / "slow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        assert main(["inspect", str(tmp_path / "slow.model")]) == 0
        assert "engine backtracking refused it looks behind" in " ".join(capfd.readouterr().out.split())
        assert main(["inspect", str(tmp_path / "slow.model"), "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["engine"], facts["refused"]) == ("backtracking", "it looks behind")
    assert main(["inspect", "gpt2", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["engine"], facts["refused"]) == ("compiled", None)


def test_importing_and_loading_what_is_packaged_warn_of_nothing() -> None:
    program = "import minbpe; [minbpe.get_encoding(name) for name in ('gpt2', 'cl100k_base', 'o200k_base')]"
    environment = {"PYTHONPATH": str(Path(minbpe.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pattern_that_would_match_for_ever_is_an_error_that_says_the_way_out() -> None:
    vocabulary = Vocabulary.from_merges([], pattern=r"(?<=\Ka)")
    with pytest.raises(PatternError, match=r"never end: write it without \\K inside a look-behind"):
        vocabulary.split("baa")
