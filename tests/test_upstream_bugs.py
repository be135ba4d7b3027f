"""Bugs of karpathy/minbpe that minbpe does not have: one test per bug, named for the right behaviour."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from minbpe.base import Tokenizer
from minbpe.basic import BasicTokenizer
from minbpe.errors import MinbpeError, UnknownTokenError
from minbpe.gpt4 import GPT4_SPECIAL_TOKENS, GPT4Tokenizer
from minbpe.regex import GPT2_SPLIT_PATTERN, RegexTokenizer

TRAINABLE = [BasicTokenizer, RegexTokenizer]


def reload(tokenizer: RegexTokenizer, folder: Path) -> RegexTokenizer:
    """Save `tokenizer` and load it into one that has the default pattern."""
    tokenizer.save(str(folder / "saved"))
    loaded = RegexTokenizer()
    loaded.load(str(folder / "saved.model"))
    return loaded


def test_load_splits_by_the_pattern_it_loaded(tmp_path: Path) -> None:
    # Upstream's load() sets the pattern but keeps the old compiled one.
    tokenizer = RegexTokenizer(r"\d\d?|\D+")
    tokenizer.train("11 11 11", 256 + 1)
    loaded = reload(tokenizer, tmp_path)
    assert loaded.encode("1111") == tokenizer.encode("1111") == [256, 256]
    assert loaded.compiled_pattern.findall("1111") == ["11", "11"]


def test_load_splits_by_no_pattern_where_none_was_saved(tmp_path: Path) -> None:
    basic = BasicTokenizer()
    basic.train("a b a b", 256 + 3)
    basic.save(tmp_path / "basic")
    loaded = RegexTokenizer()
    loaded.load(tmp_path / "basic.model")
    assert loaded.encode("a b") == basic.encode("a b")


def test_load_forgets_the_special_tokens_of_before(tmp_path: Path) -> None:
    # Upstream's load() leaves inverse_special_tokens as it was.
    RegexTokenizer().save(tmp_path / "plain")
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a>": 300})
    tokenizer.load(tmp_path / "plain.model")
    assert tokenizer.inverse_special_tokens == {}
    with pytest.raises(UnknownTokenError):
        tokenizer.decode([300])


@pytest.mark.parametrize(
    "special", ["end of text", " leading", "trailing ", "two  spaces", "line\nbreak", "\r", "\u2028", '"', "雪 👋", " "]
)
def test_special_tokens_with_white_space_survive_save_and_load(special: str, tmp_path: Path) -> None:
    # Upstream's load() cannot read back a special token that holds a space.
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({special: 256})
    loaded = reload(tokenizer, tmp_path)
    assert loaded.special_tokens == {special: 256}
    assert loaded.encode(f"a{special}b", "all") == [97, 256, 98]


@pytest.mark.parametrize(
    "pattern", [" ", r"\w+| ", " a", "[ab]\n", "\n", "\r|\u2028", "(?x) a  # a comment\n | b ", "[雪\t]"]
)
def test_patterns_with_white_space_survive_save_and_load(pattern: str, tmp_path: Path) -> None:
    # Upstream's load() strips the pattern's line, and reads a newline in it as its end.
    loaded = reload(RegexTokenizer(pattern), tmp_path)
    assert loaded.pattern == pattern


@pytest.mark.parametrize("corpus", ["", "a", "ab", []])
@pytest.mark.parametrize("make", TRAINABLE)
def test_a_corpus_too_short_for_the_vocabulary_ends_training_early(make: Callable[[], Tokenizer], corpus: str) -> None:
    # Upstream takes max() of an empty sequence: "ValueError: max() arg is an empty sequence".
    tokenizer = make()
    with pytest.warns(UserWarning):
        tokenizer.train(corpus, 300)
    assert tokenizer.merges == ({(97, 98): 256} if corpus == "ab" else {})
    assert tokenizer.decode(tokenizer.encode("abc")) == "abc"


@pytest.mark.parametrize("make", TRAINABLE)
def test_encode_works_before_training(make: Callable[[], Tokenizer]) -> None:
    assert make().encode("é") == [0xC3, 0xA9]
    assert make().encode("") == []


@pytest.mark.parametrize(("special", "token_id"), GPT4_SPECIAL_TOKENS.items())
def test_gpt4_decodes_its_special_tokens(special: str, token_id: int) -> None:
    # Upstream's GPT4Tokenizer.decode() knows ordinary ids only, and raises KeyError.
    assert GPT4Tokenizer().decode([15339, token_id, 1917]) == f"hello{special} world"


def test_gpt4_raises_a_value_error_for_an_unknown_id() -> None:
    with pytest.raises(ValueError, match="100256"):
        GPT4Tokenizer().decode([100256])


@pytest.mark.parametrize("text", ["a\n ", "\n ", " \n  ", "x \r\n\t"])
def test_gpt4_equals_tiktoken_on_white_space_at_the_end(text: str, tiktoken_module: ModuleType) -> None:
    # Upstream's GPT4_SPLIT_PATTERN is not the pattern of cl100k_base.
    assert GPT4Tokenizer().encode(text) == tiktoken_module.get_encoding("cl100k_base").encode(text)


def test_gpt4_vocab_holds_the_bytes_of_each_token() -> None:
    # Upstream's vocab keeps the bytes in the order in which the model numbers them.
    tokenizer = GPT4Tokenizer()
    assert tokenizer.vocab[0] == b"!"
    assert b"".join(tokenizer.vocab[token_id] for token_id in tokenizer.encode("Śnieg 👋")) == "Śnieg 👋".encode()


def test_save_writes_utf8_whatever_the_locale(tmp_path: Path) -> None:
    # Upstream opens the .model file without an encoding: an error, or a different file, if the locale is not UTF-8.
    script = (
        "import sys; from minbpe.regex import RegexTokenizer; tokenizer = RegexTokenizer('[\\u96ea]'); "
        "tokenizer.register_special_tokens({'<\\u96ea>': 256}); tokenizer.save(sys.argv[1])"
    )
    command = [sys.executable, "-X", "utf8=0", "-c", script, str(tmp_path / "ascii")]
    subprocess.run(command, check=True, env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, timeout=60)
    loaded = RegexTokenizer()
    loaded.load(tmp_path / "ascii.model")
    assert loaded.pattern == "[雪]"
    assert loaded.special_tokens == {"<雪>": 256}
    assert (tmp_path / "ascii.vocab").read_text(encoding="utf-8").endswith("[<雪>] 256\n")


def test_the_vocab_file_shows_special_tokens(tmp_path: Path) -> None:
    # Upstream's vocab lacks those registered after training.
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a\n>": 300})
    tokenizer.save(tmp_path / "special")
    assert (tmp_path / "special.vocab").read_text(encoding="utf-8").endswith("\n[<a\\u000a>] 300\n")


def test_of_special_tokens_that_overlap_the_longest_wins() -> None:
    # Upstream takes the one registered first.
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a": 256, "<a>": 257})
    assert tokenizer.encode("<a><a", "all") == [257, 256]


def test_the_special_tokens_are_those_registered_whatever_happens_to_the_dict() -> None:
    # Upstream keeps the caller's own dict.
    mine = {"<a>": 256}
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens(mine)
    mine["<b>"] = 257
    assert tokenizer.special_tokens == {"<a>": 256}


def test_an_empty_special_token_is_refused() -> None:
    # Upstream finds it in every text, so encode() always raises.
    with pytest.raises(MinbpeError):
        RegexTokenizer().register_special_tokens({"": 256})


def test_a_special_token_does_not_take_the_id_of_an_ordinary_one() -> None:
    # Upstream silently decodes such an id to the ordinary token.
    tokenizer = RegexTokenizer()
    tokenizer.train("abab", 257)
    with pytest.raises(MinbpeError, match="256"):
        tokenizer.register_special_tokens({"<a>": 256})


@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
@pytest.mark.parametrize("pattern", [r"\w+", r"(a)|(b)", r"a*", r"$"])
def test_no_pattern_loses_text(pattern: str) -> None:
    # Upstream drops text between matches, and takes capturing groups for matches.
    tokenizer = RegexTokenizer(pattern)
    text = "ab, ab, 雪 cab!"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    tokenizer.train(text, 258)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_training_splits_by_the_whole_match_where_the_pattern_has_groups() -> None:
    grouped, plain = RegexTokenizer(r"(a(b))|c+"), RegexTokenizer(r"ab|c+")
    for tokenizer in (grouped, plain):
        tokenizer.train("ababccccab", 258)
    assert grouped.merges == plain.merges


@pytest.mark.parametrize("make", [*TRAINABLE, GPT4Tokenizer])
def test_a_lone_surrogate_is_encoded_as_the_replacement_character(make: Callable[[], Tokenizer]) -> None:
    # Upstream raises UnicodeEncodeError. Two halves that belong together are joined, as tiktoken joins them.
    tokenizer = make()
    assert tokenizer.encode("a\ud83db") == tokenizer.encode("a\ufffdb")
    assert tokenizer.encode("\ud83d\udc4b") == tokenizer.encode("👋")


@pytest.mark.parametrize("make", [*TRAINABLE, GPT4Tokenizer])
def test_a_long_run_of_one_letter_takes_no_quadratic_time(make: Callable[[], Tokenizer]) -> None:
    # Upstream rescans the whole piece at every merge: hours for this text.
    tokenizer = make()
    if not isinstance(tokenizer, GPT4Tokenizer):
        tokenizer.train("a" * 1000, 256 + 8)
    text = "a" * 1_000_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_default_pattern_stays_upstreams_character_for_character() -> None:
    assert RegexTokenizer().pattern.endswith(r"|\s*[\r\n]|\s+(?!\S)|\s+")
    assert GPT2_SPLIT_PATTERN.endswith(r"|\s+(?!\S)|\s+")
