"""Arguments of training that cannot be: each is an error that says what is wrong, before the corpus is read."""

from collections.abc import Iterator
from typing import Any

import pytest

from minbpe.counting import count
from minbpe.errors import PatternError, SpecialTokenError, VocabularyError
from minbpe.merging import MOST_TOKENS
from minbpe.training import learn_merges, train

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"vocab_size": 255}, VocabularyError, "vocab_size is 255, .* give that or more"),
    ({"vocab_size": 257, "special_tokens": ["<|a|>", "<|b|>"]}, VocabularyError, "are 258"),
    ({"vocab_size": "300"}, TypeError, "str"),
    ({"vocab_size": 300.0}, TypeError, "vocab_size is an int, and this is of type float: give a whole number"),
    ({"vocab_size": 2**31 - 511}, VocabularyError, "has 2,147,483,136 tokens at most"),
    ({"vocab_size": -1}, VocabularyError, "vocab_size is -1, .* give that or more"),
    ({"vocab_size": 2**31, "reserved": 2**31}, VocabularyError, "has 2,147,483,136 tokens at most"),
    ({"min_count": 0}, ValueError, "min_count is 0: it must be 1 or more"),
    ({"min_frequency": "2"}, TypeError, "min_frequency is an int"),
    ({"min_frequency": None}, TypeError, "min_frequency is an int"),
    ({"tie_break": "random"}, ValueError, "tie_break is 'random': it must be 'first' or 'lowest'"),
    ({"byte_order": ["a"]}, ValueError, "it must be 'identity' or 'gpt2'"),
    ({"pattern": "("}, PatternError, "does not compile"),
    ({"threads": 0}, ValueError, "threads must be 1 or more"),
    ({"threads": "2"}, TypeError, "threads is an int"),
    ({"stages": [("gpt4", 300.0)]}, TypeError, "the size after a stage is an int"),
    ({"stages": {"gpt4": 300}}, TypeError, r"not 'gpt4': write \('gpt4', 300\)"),
    ({"stages": [("gpt4", 256), ("(", 300)]}, PatternError, "does not compile"),
    ({"stages": [("gpt4", 260)] * 16 + [(None, 300)]}, VocabularyError, "17 stages are too many"),
    ({"special_tokens": [b"<|a|>"]}, TypeError, "a special token is a str"),
    ({"special_tokens": {"<|a|>": 300.0}}, TypeError, "the id of a special token is an int"),
    ({"special_tokens": "<|end|>"}, TypeError, r"write \['<\|end\|>'\]"),
    ({"special_tokens": ["<|a|>", "<|a|>"]}, SpecialTokenError, "given twice"),
    ({"special_tokens": [""]}, SpecialTokenError, "empty"),
    ({"special_tokens": {"<|a|>": 256}}, SpecialTokenError, "merges have the ids below 299"),
    ({"source": 5}, TypeError, "type int"),
    ({"source": ["text", 5]}, TypeError, "document 1 of the corpus is of type int"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_what_cannot_be_is_an_error_that_says_so(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(**{"source": "some text", "vocab_size": 300, **arguments})


def test_wrong_arguments_are_found_before_the_corpus_is_read() -> None:
    def corpus() -> Iterator[str]:
        pytest.fail("the corpus was read")
        yield ""

    for arguments, error, _ in WRONG:
        if "source" not in arguments:
            with pytest.raises(error):
                train(**{"source": corpus(), "vocab_size": 300, **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"threads": 0}, ValueError, "threads must be 1 or more"),
        ({"threads": -1}, ValueError, "threads must be 1 or more"),
        ({"threads": 1.5}, TypeError, "threads is an int"),
        ({"merges": -1}, VocabularyError, "there cannot be -1 merges"),
        ({"merges": 2**70}, VocabularyError, "there can be 2147483136 tokens at most"),
        ({"merges": 2.0}, TypeError, "merges is an int"),
        ({"counts": "some text"}, TypeError, r"takes PieceCounts, .* of type str: .*count\(corpus\)"),
    ],
)
def test_what_counts_cannot_be_trained_to_is_an_error_that_says_so(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    counts = count("some text")
    with pytest.raises(error, match=message):
        learn_merges(**{"counts": counts, "merges": 3, **arguments})
    if "threads" in arguments:
        with pytest.raises(error, match=message):
            train(counts, 257, **arguments)


def test_more_threads_than_any_machine_has_are_no_error() -> None:
    assert train("some text", 257, threads=2**70) == train("some text", 257)


@pytest.mark.parametrize("name", ["min_frequency", "max_token_length"])
def test_a_limit_below_1_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0: it must be 1 or more"):
        train("text", 300, **{name: 0})


def test_the_size_that_is_refused_is_the_first_that_the_core_refuses() -> None:
    counts = count("aaabdaaabac", pattern=None)
    assert len(learn_merges(counts, MOST_TOKENS - 256)) == 7
    with pytest.raises(VocabularyError, match=f"there can be {MOST_TOKENS} tokens at most"):
        learn_merges(counts, MOST_TOKENS - 255)
