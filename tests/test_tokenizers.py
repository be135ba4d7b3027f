"""The classes of karpathy/minbpe: what upstream's own tests check, and what its users rely on."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from minbpe.base import Tokenizer, get_stats, merge, render_token, replace_control_characters
from minbpe.basic import BasicTokenizer
from minbpe.errors import MinbpeError, PatternError, SpecialTokenError, UnknownTokenError, VocabularyError
from minbpe.gpt4 import (
    GPT4_SPECIAL_TOKENS,
    GPT2Tokenizer,
    GPT4oTokenizer,
    GPT4Tokenizer,
    PretrainedTokenizer,
    bpe,
    recover_merges,
)
from minbpe.regex import GPT2_SPLIT_PATTERN, GPT4_SPLIT_PATTERN, RegexTokenizer

GOLDEN = Path(__file__).parent / "golden" / "minbpe_v1"

TRAINABLE = [BasicTokenizer, RegexTokenizer]
PRETRAINED = [GPT2Tokenizer, GPT4Tokenizer, GPT4oTokenizer]

TEXTS = {
    "nothing": "",
    "one character": "?",
    "scripts": "hello world!!!? (안녕하세요!) lol123 😉",
    "white space": "a\n \n\n  b\t\r\n c   ",
    "surrogate pair planes": "\U0001f9d1\u200d\U0001f680 ﷽ \x00 ſ Ω≈ç√",
}
LLAMAS = (GOLDEN / "corpus.txt").read_text(encoding="utf-8") * 3
DOCUMENTS = (
    "<|endoftext|>Hello world this is one document\n"
    "<|endoftext|>And this is another document\n"
    "<|endoftext|><|fim_prefix|>And this one has<|fim_suffix|> tokens.<|fim_middle|> FIM\n"
    "<|endoftext|>Last document!!! 👋<|endofprompt|>"
)


@pytest.fixture(scope="module")
def swift(shared_data: Path) -> str:
    return (shared_data / "taylorswift.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("make", [*TRAINABLE, *PRETRAINED])
def test_decode_undoes_encode(make: Callable[[], Tokenizer], text: str) -> None:
    tokenizer = make()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("make", [*TRAINABLE, *PRETRAINED])
def test_decode_undoes_encode_on_a_long_text(make: Callable[[], Tokenizer], swift: str) -> None:
    tokenizer = make()
    assert tokenizer.decode(tokenizer.encode(swift)) == swift


@pytest.mark.parametrize("make", TRAINABLE)
def test_decode_undoes_encode_after_training(make: Callable[[], Tokenizer], swift: str) -> None:
    tokenizer = make()
    tokenizer.train(swift, 512)
    ids = tokenizer.encode(swift)
    assert tokenizer.decode(ids) == swift
    assert len(ids) < len(swift.encode()) * 0.6


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("make", PRETRAINED)
def test_ids_equal_tiktokens(make: type[PretrainedTokenizer], text: str, tiktoken_module: ModuleType) -> None:
    assert make().encode(text) == tiktoken_module.get_encoding(make.encoding_name).encode(text)


@pytest.mark.parametrize("make", PRETRAINED)
def test_ids_equal_tiktokens_on_a_long_text(
    make: type[PretrainedTokenizer], swift: str, tiktoken_module: ModuleType
) -> None:
    assert make().encode(swift) == tiktoken_module.get_encoding(make.encoding_name).encode(swift)


@pytest.mark.parametrize("make", PRETRAINED)
def test_ids_of_special_tokens_equal_tiktokens(make: type[PretrainedTokenizer], tiktoken_module: ModuleType) -> None:
    theirs = tiktoken_module.get_encoding(make.encoding_name).encode(DOCUMENTS, allowed_special="all")
    assert make().encode(DOCUMENTS, allowed_special="all") == theirs


@pytest.mark.parametrize("make", TRAINABLE)
def test_the_example_of_wikipedia(make: Callable[[], Tokenizer]) -> None:
    # (a, a) occurs 4 times, counting overlaps: Z = aa leaves ZabdZabac. (Z, a) and (a, b) tie at 2, and (Z, a) comes
    # first: Y = Za leaves YbdYbac (the article takes Y = ab). (Y, b) occurs twice: X = Yb. Either way XdXac is left,
    # and X is 258.
    tokenizer = make()
    tokenizer.train("aaabdaaabac", 256 + 3)
    assert tokenizer.encode("aaabdaaabac") == [258, 100, 258, 97, 99]
    assert tokenizer.decode([258, 100, 258, 97, 99]) == "aaabdaaabac"


@pytest.mark.parametrize("special_tokens", [{}, GPT4_SPECIAL_TOKENS], ids=["no special tokens", "special tokens"])
def test_load_gives_back_what_save_wrote(special_tokens: dict[str, int], tmp_path: Path) -> None:
    text = f"<|endoftext|>{LLAMAS}<|fim_prefix|>{LLAMAS}<|endofprompt|>"
    tokenizer = RegexTokenizer()
    tokenizer.train(text, 256 + 64)
    tokenizer.register_special_tokens(special_tokens)
    ids = tokenizer.encode(text, "all")
    assert tokenizer.decode(ids) == text
    tokenizer.save(str(tmp_path / "saved"))

    loaded = RegexTokenizer()
    loaded.load(str(tmp_path / "saved.model"))
    assert loaded.decode(ids) == text
    assert loaded.encode(text, "all") == ids
    assert loaded.vocabulary == tokenizer.vocabulary


def test_each_way_to_treat_special_tokens() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a>": 256, "<b>": 257})
    text = "x<a><b>"
    plain = list(text.encode())
    assert tokenizer.encode(text, "all") == [120, 256, 257]
    assert tokenizer.encode(text, "none") == plain
    assert tokenizer.encode_ordinary(text) == plain
    for some in ({"<a>"}, frozenset({"<a>"}), ["<a>"]):
        assert tokenizer.encode(text, some) == [120, 256, *b"<b>"]
    assert tokenizer.encode(text, set()) == plain
    assert tokenizer.encode(text, {"not registered"}) == plain
    assert tokenizer.encode("x<", allowed_special="none_raise") == list(b"x<")


def test_a_special_token_that_nobody_allowed_is_an_error_that_shows_the_ways_out() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a>": 256})
    with pytest.raises(ValueError, match=r"'<a>'.*allowed_special=\{'<a>'\}.*'all'.*'none'"):
        tokenizer.encode("x<a>")
    with pytest.raises(SpecialTokenError):
        tokenizer.encode("x<a>", "none_raise")


def test_an_allowed_special_that_is_another_word_is_an_error() -> None:
    with pytest.raises(ValueError, match="'some' is not understood: give 'all'"):
        RegexTokenizer().encode("", "some")


def test_registering_replaces_what_was_registered_before() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a>": 256})
    tokenizer.register_special_tokens({"<b>": 300})
    assert tokenizer.special_tokens == {"<b>": 300}
    assert tokenizer.inverse_special_tokens == {300: "<b>"}
    assert tokenizer.vocab[300] == b"<b>"
    assert tokenizer.encode("<a>", "all") == list(b"<a>")
    with pytest.raises(UnknownTokenError):
        tokenizer.decode([256])


@pytest.mark.parametrize("special_tokens", [{"": 300}, {"<a>": 97}, {"<a>": 256}])
def test_a_special_token_that_cannot_be_is_refused_and_changes_nothing(special_tokens: dict[str, int]) -> None:
    tokenizer = RegexTokenizer()
    tokenizer.train("abab", 257)
    tokenizer.register_special_tokens({"<b>": 300})
    with pytest.raises(MinbpeError):
        tokenizer.register_special_tokens(special_tokens)
    assert tokenizer.special_tokens == {"<b>": 300}


def test_training_keeps_special_tokens_and_refuses_ids_in_their_way() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.register_special_tokens({"<a>": 258})
    tokenizer.train("ababab", 258)
    assert tokenizer.encode("ab<a>", "all") == [256, 258]
    with pytest.raises(SpecialTokenError, match=r"'<a>' has the id 258 already.*from 259 on"):
        tokenizer.train("ababab", 259)
    assert tokenizer.merges == {(97, 98): 256, (256, 256): 257}


def test_the_attributes_tell_what_was_trained() -> None:
    tokenizer = RegexTokenizer()
    tokenizer.train("aaabdaaabac", 259)
    assert tokenizer.merges == {(97, 97): 256, (256, 97): 257, (257, 98): 258}
    assert list(tokenizer.merges) == [(97, 97), (256, 97), (257, 98)]
    assert tokenizer.vocab == {**{b: bytes([b]) for b in range(256)}, 256: b"aa", 257: b"aaa", 258: b"aaab"}
    assert tokenizer.pattern == GPT4_SPLIT_PATTERN
    assert tokenizer.special_tokens == {}
    assert BasicTokenizer().pattern == ""
    assert RegexTokenizer("gpt2").pattern == GPT2_SPLIT_PATTERN
    assert RegexTokenizer(r"\d|\D+").pattern == r"\d|\D+"


@pytest.mark.parametrize("name", ["merges", "vocab", "pattern", "special_tokens", "vocabulary", "encoding"])
def test_what_a_tokenizer_holds_cannot_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(RegexTokenizer(), name, {})


@pytest.mark.parametrize("name", ["merges", "vocab", "special_tokens", "inverse_special_tokens"])
def test_what_a_tokenizer_holds_cannot_be_changed_in_place(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(RegexTokenizer(), name)["x"] = 1


def test_the_compiled_pattern_gives_the_pieces() -> None:
    assert RegexTokenizer("gpt2").compiled_pattern.findall("I'll  go") == ["I", "'ll", " ", " go"]
    assert RegexTokenizer().compiled_pattern.pattern == GPT4_SPLIT_PATTERN
    assert RegexTokenizer("b").compiled_pattern.findall("abba") == ["a", "b", "b", "a"]
    assert RegexTokenizer("").compiled_pattern.findall("a b") == ["a b"]
    assert RegexTokenizer("").compiled_pattern.findall("") == []


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(PatternError):
        RegexTokenizer("(")


@pytest.mark.filterwarnings("ignore::minbpe.errors.PatternWarning")
def test_a_word_that_names_no_pattern_is_refused_with_the_names() -> None:
    with pytest.raises(PatternError, match=r"'gtp4': the names are gpt2, gpt4.*\(\?:gtp4\)"):
        RegexTokenizer("gtp4")
    assert RegexTokenizer("(?:gtp4)").pattern == "(?:gtp4)"


def test_verbose_prints_each_merge_as_upstream_does(capsys: pytest.CaptureFixture[str]) -> None:
    RegexTokenizer().train((GOLDEN / "corpus.txt").read_text(encoding="utf-8"), 256 + 12, verbose=True)
    assert capsys.readouterr().out == (GOLDEN / "verbose.txt").read_text(encoding="utf-8")


def test_training_prints_nothing_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    RegexTokenizer().train("ababab", 257)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("make", TRAINABLE)
def test_a_vocabulary_below_the_256_bytes_is_refused(make: Callable[[], Tokenizer]) -> None:
    with pytest.raises(ValueError, match="256"):
        make().train("abc", 255)


@pytest.mark.parametrize("make", TRAINABLE)
def test_any_corpus_that_train_takes_gives_the_same(make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_bytes(LLAMAS.encode())
    trained = []
    for corpus in (LLAMAS, [LLAMAS], iter([LLAMAS]), LLAMAS.encode(), tmp_path / "corpus.txt"):
        tokenizer = make()
        tokenizer.train(corpus, 300)
        trained.append(tokenizer.vocabulary)
    assert len(set(trained)) == 1


@pytest.mark.parametrize("make", TRAINABLE)
def test_a_training_that_fails_changes_nothing(make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    tokenizer.train("ababab", 257)
    with pytest.raises(TypeError):
        tokenizer.train(17, 300)  # type: ignore[arg-type]
    assert tokenizer.merges == {(97, 98): 256}


@pytest.mark.parametrize("make", [*TRAINABLE, *PRETRAINED])
def test_an_id_that_no_token_has_is_a_value_error_and_a_key_error(make: Callable[[], Tokenizer]) -> None:
    for unknown in (999_999, 2**40, -1):
        with pytest.raises(UnknownTokenError):
            make().decode([unknown])
    assert issubclass(UnknownTokenError, ValueError)
    assert issubclass(UnknownTokenError, KeyError)


@pytest.mark.parametrize("make", [*TRAINABLE, *PRETRAINED])
def test_half_a_character_decodes_to_the_replacement_character(make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    lone = next(token_id for token_id, token in tokenizer.vocab.items() if token == b"\xe2")
    assert tokenizer.decode([lone]) == "\ufffd"
    assert tokenizer.decode(iter([lone, lone])) == "\ufffd\ufffd"


@pytest.mark.parametrize("make", [*TRAINABLE, *PRETRAINED])
def test_text_that_is_no_str_is_a_type_error(make: Callable[[], Tokenizer]) -> None:
    for text in (None, 17, b"bytes"):
        with pytest.raises(TypeError):
            make().encode(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [BasicTokenizer, RegexTokenizer, GPT2Tokenizer])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_encodes_the_same(make: Callable[[], Tokenizer], copied: Callable[[Tokenizer], Tokenizer]) -> None:
    tokenizer = make()
    assert tokenizer.merges is not None  # a derived value, which a copy keeps
    twin = copied(tokenizer)
    assert type(twin) is type(tokenizer)
    assert twin.vocabulary == tokenizer.vocabulary
    assert twin.encode(LLAMAS) == tokenizer.encode(LLAMAS)


def test_a_basic_tokenizer_refuses_a_vocabulary_that_splits(tmp_path: Path) -> None:
    RegexTokenizer().save(tmp_path / "regex")
    with pytest.raises(VocabularyError, match="use a RegexTokenizer"):
        BasicTokenizer().load(tmp_path / "regex.model")


def test_a_regex_tokenizer_takes_a_vocabulary_that_does_not_split(tmp_path: Path) -> None:
    basic = BasicTokenizer()
    basic.train("one two one two", 256 + 6)
    basic.save(tmp_path / "basic")
    loaded = RegexTokenizer()
    loaded.load(tmp_path / "basic.model")
    assert loaded.pattern == ""
    assert loaded.encode("one two") == basic.encode("one two")
    loaded.train("one two one two", 256 + 6)
    assert loaded.vocabulary == basic.vocabulary


def test_the_base_class_says_that_it_does_not_encode() -> None:
    with pytest.raises(NotImplementedError, match="subclass"):
        Tokenizer().encode("text")


@pytest.mark.parametrize("make", PRETRAINED)
def test_a_pretrained_tokenizer_is_not_trained_saved_or_loaded(make: type[PretrainedTokenizer], tmp_path: Path) -> None:
    tokenizer = make()
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: tokenizer.train("text", 300), "train a RegexTokenizer"),
        (lambda: tokenizer.save(tmp_path / "x"), r"vocabulary\.save"),
        (lambda: tokenizer.load(tmp_path / "x.model"), "into a RegexTokenizer"),
    ]
    for attempt, way_out in attempts:
        for error in (NotImplementedError, MinbpeError):
            with pytest.raises(error, match=f"{make.__name__} is pretrained.*{way_out}"):
                attempt()
    assert list(tmp_path.iterdir()) == []


def test_gpt4_has_its_special_tokens_and_its_order_of_bytes() -> None:
    tokenizer = GPT4Tokenizer()
    assert tokenizer.special_tokens == GPT4_SPECIAL_TOKENS
    assert tokenizer.byte_shuffle[ord("!")] == 0
    assert sorted(tokenizer.byte_shuffle.values()) == list(range(256))
    assert all(tokenizer.inverse_byte_shuffle[i] == b for b, i in tokenizer.byte_shuffle.items())
    assert len(tokenizer.merges) == 100_000
    assert tokenizer.vocab[15339] == b"hello"


def test_save_vocab_writes_a_file_to_look_at(tmp_path: Path) -> None:
    GPT4Tokenizer().save_vocab(tmp_path / "gpt4.vocab")
    lines = (tmp_path / "gpt4.vocab").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "[!] 0"
    assert lines[258] == "[i][n] -> [in] 258"
    assert lines[15339] == "[h][ello] -> [hello] 15339"
    assert lines[-2:] == ["[<|endofprompt|>] 100276", ""]


@pytest.mark.parametrize("make", [GPT2Tokenizer])
def test_recover_merges_finds_the_merges_that_made_the_ranks(make: Callable[[], Tokenizer]) -> None:
    vocabulary = make().vocabulary
    recovered = recover_merges(vocabulary.mergeable_ranks)
    assert list(recovered.items()) == list(zip(vocabulary.merges, vocabulary.ids, strict=True))


def test_recover_merges_says_which_token_no_merge_makes() -> None:
    with pytest.raises(VocabularyError, match=r"b'abc' of rank 3 .* of 3.*from_ranks"):
        recover_merges({b"a": 0, b"b": 1, b"c": 2, b"abc": 3})


def test_bpe_stops_before_the_given_rank() -> None:
    ranks = {b"a": 0, b"b": 1, b"ab": 2, b"abab": 3, b"aba": 4}
    assert bpe(ranks, b"ababa") == [b"abab", b"a"]
    assert bpe(ranks, b"ababa", max_rank=3) == [b"ab", b"ab", b"a"]
    assert bpe(ranks, b"ababa", 2) == [b"a", b"b", b"a", b"b", b"a"]
    assert bpe(ranks, b"") == []


def test_get_stats_counts_overlaps_and_adds_to_counts() -> None:
    counts = {(1, 1): 5}
    assert get_stats([1, 1, 1, 2], counts) is counts
    assert counts == {(1, 1): 7, (1, 2): 1}
    assert get_stats([]) == get_stats([1]) == {}


def test_merge_goes_from_left_to_right() -> None:
    assert merge([5, 6, 6, 7, 9, 1], (6, 7), 99) == [5, 6, 99, 9, 1]
    assert merge([1, 1, 1, 1, 1], (1, 1), 2) == [2, 2, 1]
    assert merge([], (1, 1), 2) == []
    assert merge([1], (1, 1), 2) == [1]


def test_rendering_shows_control_characters_as_escapes() -> None:
    assert replace_control_characters("a\n\x00\u200b\U000e0001é") == "a\\u000a\\u0000\\u200b\\ue0001é"
    assert render_token(b"\xff ok\t") == "\ufffd ok\\u0009"
