"""Seed tokens and reserved special tokens."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import Encoding, Vocabulary, count, extend, learn, train
from minbpe.checkpoint import Checkpoint
from minbpe.cli import main
from minbpe.errors import MinbpeError, SpecialTokenError, VocabularyError
from minbpe.seeding import seed_merges

TEXT = "the cat sat on the mat, the cat sat on the hat; def f(): return the_cat\n" * 4
PLAIN = range(256)


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=6))
def test_each_seed_is_one_token_where_it_is_a_piece(seeds: list[bytes]) -> None:
    merges = seed_merges(seeds, PLAIN)
    assert len(merges) <= sum(len(seed) - 1 for seed in seeds)
    encoding = Encoding.from_vocabulary(Vocabulary.from_merges(merges))
    assert all(len(encoding._encode_single_piece(seed)) == 1 for seed in seeds)


@pytest.mark.parametrize("byte_order", ["identity", "gpt2"])
@pytest.mark.parametrize("tie_break", ["first", "lowest"])
def test_training_goes_on_from_the_seeds(tie_break: Any, byte_order: Any) -> None:
    seeds = [" return", b"zebra", " cat"]
    training = learn(TEXT, 280, tie_break=tie_break, byte_order=byte_order, seed_tokens=seeds)
    vocabulary = training.vocabulary
    assert {b" return", b"zebra", b" cat"} <= {vocabulary[token_id] for token_id in vocabulary.ids}
    made = len(seed_merges(seeds, list(vocabulary.byte_ids)))
    assert extend(vocabulary.truncate(256 + made), TEXT, 280 - 256 - made, tie_break=tie_break) == vocabulary
    for size in (256, 259, 256 + made, 280):
        encoding = Encoding.from_vocabulary(vocabulary.truncate(size))
        assert training.token_counts[size - 256] == len(encoding.encode_ordinary(TEXT))
    assert "zebra" not in TEXT
    assert training.pair_counts[6:10] == (0, 0, 0, 0)


def test_a_checkpoint_knows_its_seeds(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "kept", every=0)
    train(TEXT, 275, seed_tokens=["zebra"], checkpoint=kept)
    with pytest.raises(MinbpeError, match="seed_tokens"):
        train(TEXT, 280, checkpoint=kept)
    assert train(TEXT, 280, seed_tokens=["zebra"], checkpoint=kept) == train(TEXT, 280, seed_tokens=["zebra"])


def test_reserved_tokens_come_after_the_special_ones() -> None:
    vocabulary = train(TEXT, 270, special_tokens=["<|endoftext|>"], reserved=2)
    assert vocabulary.special_tokens == {"<|endoftext|>": 267, "<|reserved_0|>": 268, "<|reserved_1|>": 269}
    encoding = Encoding.from_vocabulary(vocabulary)
    assert encoding.encode("<|reserved_1|>", allowed_special="all") == [269]


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"seed_tokens": "the"}, TypeError, r"write \['the'\]"),
    ({"seed_tokens": [7]}, TypeError, "7 is of type int"),
    ({"seed_tokens": [""]}, VocabularyError, "a seed token is empty"),
    (
        {"seed_tokens": ["abcdefgh"], "vocab_size": 260},
        VocabularyError,
        "take 7 merges, .* room for 4: give 263 or more",
    ),
    ({"seed_tokens": ["the"], "stages": [("gpt4", 280), (None, 300)]}, VocabularyError, "seed_tokens"),
    ({"reserved": -1}, ValueError, "reserved is -1"),
    ({"reserved": 2.0}, TypeError, "reserved is an int"),
    ({"reserved": 10**15}, VocabularyError, "reserve fewer"),
    ({"reserved": 60}, VocabularyError, "60 special tokens are 316"),
    ({"reserved": 1, "special_tokens": {"<|a|>": 400}}, SpecialTokenError, "without ids"),
    ({"reserved": 1, "special_tokens": ["<|reserved_0|>"]}, SpecialTokenError, "a reserved one has that name"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_what_cannot_be_is_an_error_that_says_so(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(**{"source": TEXT, "vocab_size": 300, **arguments})


def test_the_command_takes_both(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    line = ["train", str(tmp_path / "corpus.txt"), "--out", str(tmp_path / "tok"), "--size", "280", "--json"]
    assert main([*line, "--seed", "zebra", "--seed", " cat", "--reserved", "3"]) == 0
    facts = json.loads(capfd.readouterr().out)
    special = ["<|endoftext|>"]
    expected = train(TEXT, 280, special_tokens=special, seed_tokens=["zebra", " cat"], reserved=3)
    assert facts["digest"] == expected.digest
    assert count(TEXT).pattern == expected.pattern
