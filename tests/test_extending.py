"""Extending adds what training would have added; pruning keeps tokens that encode as before."""

import random
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding, Vocabulary, extend, train
from minbpe.counting import PieceCounts, count
from minbpe.errors import CorpusError, UnknownTokenError, VocabularyError
from minbpe.training import BYTE_ORDERS, VocabularyWarning
from tests import reference
from tests.test_counting import prose
from tests.test_training import TIE_BREAKS

CL100K = minbpe.get_encoding("cl100k_base")

documents = st.lists(st.text("abc \n1") | st.text(max_size=20), max_size=5)


@given(
    documents,
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from(TIE_BREAKS),
    st.sampled_from(sorted(BYTE_ORDERS)),
    st.sampled_from([None, "gpt4"]),
)
def test_extending_on_the_same_corpus_equals_training_at_once(
    documents: list[str], first: int, more: int, tie_break: str, byte_order: str, pattern: str | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        options = {"pattern": pattern, "tie_break": tie_break, "byte_order": byte_order}
        small = train(documents, 256 + first, **options)
        assert extend(small, documents, more, tie_break=tie_break) == train(documents, len(small) + more, **options)


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_a_real_text_may_be_trained_on_in_two_steps(shared_data: Path, tmp_path: Path, tie_break: str) -> None:
    counts = count(shared_data / "tiny_shakespeare.txt")
    at_once = train(counts, 8192, tie_break=tie_break)
    at_once.truncate(4096).save(tmp_path / "small")
    counts.save(tmp_path / "corpus.counts")
    small, again = Vocabulary.load(tmp_path / "small.model"), PieceCounts.load(tmp_path / "corpus.counts")
    assert extend(small, again, 4096, tie_break=tie_break) == at_once


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_tokens_of_a_domain_on_top_of_cl100k_base_equal_the_reference(tie_break: str) -> None:
    text = prose(3000)
    old = CL100K.vocabulary
    extended = extend(old, text, 60, tie_break=tie_break)
    words = [(CL100K.encode(piece), times) for piece, times in Counter(old.split(text)).items()]
    lengths = {token_id: len(token) for token_id, token in old.items()}
    expected = reference.go_on(words, 60, tie_break, lengths, old.n_vocab)
    assert extended.merges[len(old.merges) :] == tuple(pair for pair, _ in expected)
    assert extended.ids[-60:] == tuple(range(old.n_vocab, old.n_vocab + 60))


def test_old_ids_and_special_tokens_stay() -> None:
    old, text = CL100K.vocabulary, prose(3000)
    extended = extend(old, text, 10)
    assert (extended.merges[: len(old.merges)], extended.ids[: len(old.ids)]) == (old.merges, old.ids)
    assert (extended.byte_ids, extended.special_tokens, extended.pattern) == (
        old.byte_ids,
        old.special_tokens,
        old.pattern,
    )
    encoding = Encoding.from_vocabulary(extended)
    ids = encoding.encode(text)
    assert encoding.decode(ids) == text
    assert len(ids) < len(CL100K.encode(text))
    assert CL100K.encode("<|endoftext|>", allowed_special="all") == encoding.encode(
        "<|endoftext|>", allowed_special="all"
    )


def test_ids_with_holes_and_ranks_out_of_order_are_extended() -> None:
    old = Vocabulary.from_merges([(97, 98), (99, 100)], ids=[700, 300], special_tokens={"<|end|>": 1000})
    extended = extend(old, ["abcd", "abcd", "cdab", "cdab"], 2, tie_break="lowest")
    assert extended.merges[2:] == ((300, 700), (700, 300))
    assert extended.ids == (700, 300, 1001, 1002)


def test_limits_hold_for_the_new_tokens() -> None:
    old = train("aaaaaaaa", 258, pattern=None)
    within = "within min_frequency=2 and max_token_length=4 after 2 merges, so there are 260 tokens and not 267"
    with pytest.warns(VocabularyWarning, match=within):
        extended = extend(old, ["aaaaxyz", "aaaaxyz", "qr"], 9, min_count=2, min_frequency=2, max_token_length=4)
    assert [extended[token_id] for token_id in extended.ids] == [b"aa", b"aaaa", b"xy", b"xyz"]


def test_nothing_added_is_the_same_vocabulary() -> None:
    assert extend(CL100K.vocabulary, "any text", 0) == CL100K.vocabulary


def test_what_cannot_be_extended_is_an_error_that_says_why() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256}
    for vocabulary in (
        Vocabulary.from_ranks(ranks),
        Vocabulary.from_merges([(97, 98), (98, 99), (97, 257), (256, 100)]),
    ):
        with pytest.raises(VocabularyError, match="a token that merges do not reach"):
            extend(vocabulary, Path("no such file"), 1)
    with pytest.raises(VocabularyError, match="cannot extend by -1 tokens"):
        extend(CL100K.vocabulary, "text", -1)
    with pytest.raises(
        VocabularyError, match=r"at most, with ids below 2\^32, and the next id is 100,277: ask for fewer"
    ):
        extend(CL100K.vocabulary, Path("no such file"), 2**32 - 100_000)
    with pytest.raises(
        TypeError, match=r"extend takes a Vocabulary, and this is of type Encoding: give encoding\.vocabulary"
    ):
        extend(CL100K, "text", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tokens is an int, and this is of type str"):
        extend(CL100K.vocabulary, "text", "1")  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match="pattern 'gpt2', and the vocabulary splits text by 'cl100k': count the"):
        extend(CL100K.vocabulary, count("text", pattern="gpt2"), 1)


@given(
    st.lists(st.text("abc", min_size=1, max_size=30), min_size=1, max_size=4),
    st.text("abcd", max_size=30),
    st.randoms(),
)
def test_pruning_keeps_what_is_asked_for_and_what_it_is_made_of(
    texts: list[str], other: str, chosen: random.Random
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        old = train(texts, 290, pattern=None, special_tokens={"<|end|>": 1000})
    keep = [token_id for token_id in old.ids if chosen.random() < 0.3]
    pruned, new_ids = old.prune(keep)
    made = dict(zip(old.ids, old.merges, strict=True))
    needed = {*keep, *old.byte_ids, 1000}
    while more := {parent for token_id in needed & set(made) for parent in made[token_id]} - needed:
        needed |= more
    assert {old_id for old_id, new_id in new_ids.items() if new_id is not None} == needed
    assert sorted(new_ids) == sorted([*old.byte_ids, *old.ids, 1000])
    assert [new_id for new_id in new_ids.values() if new_id is not None] == list(range(pruned.n_vocab))
    assert all(old[old_id] == pruned[new_id] for old_id, new_id in new_ids.items() if new_id is not None)
    before, after = Encoding.from_vocabulary(old), Encoding.from_vocabulary(pruned)
    assert after.decode(after.encode(other)) == other
    for text in [*texts, other]:
        ids = before.encode(text)
        if set(ids) <= needed:
            assert after.encode(text) == [new_ids[token_id] for token_id in ids]


def test_a_text_is_encoded_alike_by_the_tokens_that_it_uses(shared_data: Path) -> None:
    text = (shared_data / "taylorswift.txt").read_text(encoding="utf-8")
    ids = CL100K.encode_ordinary(text)
    pruned, new_ids = CL100K.vocabulary.prune(ids)
    assert pruned.n_vocab < 12_000
    assert Encoding.from_vocabulary(pruned).encode_ordinary(text) == [new_ids[token_id] for token_id in ids]


def test_what_cannot_be_pruned_is_an_error_that_says_why() -> None:
    with pytest.raises(UnknownTokenError, match="cannot keep the id 100256"):
        CL100K.vocabulary.prune([100256])
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256}
    with pytest.raises(VocabularyError, match="cannot be pruned"):
        Vocabulary.from_ranks(ranks).prune([])
