"""Stages: superwords are learnt and encoded as by the naive algorithm, and everything that takes a vocabulary takes stages."""

import pickle
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minbpe
from minbpe import Encoding, Vocabulary, extend, learn, patterns, train
from minbpe.counting import count
from minbpe.errors import CorpusError, FormatError, PatternError, PatternWarning, VocabularyError
from minbpe.formats.counts import CountsFile
from minbpe.gathering import Progress
from minbpe.training import VocabularyWarning
from tests import reference
from tests.test_counting import prose
from tests.test_training import TIE_BREAKS

PATTERNS = [None, "gpt4", r" ?[a-z]+|'s|[^a-z]", r"'s|[a-z]{1,3}|\s+", r"[^.]*\.?", r"[^\n]*\n+|[^\n]+"]

documents = st.lists(st.text("ab's. \n", max_size=30) | st.text(max_size=10), max_size=5)
plans = st.lists(st.tuples(st.sampled_from(PATTERNS), st.integers(0, 15)), min_size=1, max_size=3)


def splitter(pattern: str | None) -> Callable[[bytes], list[bytes]]:
    return Vocabulary.from_merges((), pattern=pattern if pattern != "gpt4" else minbpe.GPT4_SPLIT_PATTERN)._core.split


def after_each(plan: list[tuple[str | None, int]]) -> list[tuple[str | None, int]]:
    """Turn the number of merges of each stage into the sizes that `train` takes."""
    sizes = [256]
    for _, merges in plan:
        sizes.append(sizes[-1] + merges)
    return [(pattern, size) for (pattern, _), size in zip(plan, sizes[1:], strict=True)]


def staged(texts: list[str], stages: list[tuple[str | None, int]], **options: object) -> Vocabulary:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        return train(texts, stages[-1][1], stages=stages, **options)


@given(documents, plans, st.sampled_from(TIE_BREAKS), st.text("ab's. \n") | st.text() | st.binary())
def test_merges_and_ids_equal_the_reference(
    texts: list[str], plan: list[tuple[str | None, int]], tie_break: str, other: str | bytes
) -> None:
    stages = after_each(plan)
    vocabulary = staged(texts, stages, tie_break=tie_break)
    naive = [(splitter(pattern), size - 256) for pattern, size in stages]
    merges, begun = reference.train_stages([text.encode() for text in texts], naive, tie_break)
    assert vocabulary.merges == tuple(merges)
    assert [first for first, _ in vocabulary.stages] == [first for _, first in begun]
    encoding = Encoding.from_vocabulary(vocabulary)
    for text in [*texts, other]:
        data = text.encode() if isinstance(text, str) else text
        expected = reference.encode_stages(data, begun, merges)
        assert encoding.encode_bytes(data) == expected
        if isinstance(text, str):
            assert encoding.encode_ordinary(text) == expected


@given(documents, plans, st.text("ab's. \n<>", max_size=60), st.integers(0, 20), st.binary(max_size=20))
def test_every_way_to_encode_gives_the_same_ids(
    texts: list[str], plan: list[tuple[str | None, int]], text: str, limit: int, data: bytes
) -> None:
    vocabulary = staged(texts, after_each(plan)).with_special_tokens({"<a>": 1000})
    encoding = Encoding.from_vocabulary(vocabulary)
    ids = encoding.encode_ordinary(text)
    assert encoding.decode(ids) == text
    assert encoding.encode_batch([text, text], disallowed_special=()) == [ids, ids]
    assert encoding.encode_to_numpy(text, disallowed_special=()).tolist() == ids
    assert encoding.encode_batch_flat([text], disallowed_special=())[0].tolist() == ids
    assert (encoding.count(text), encoding.count_up_to(text, limit)) == (len(ids), min(limit, len(ids)))
    assert encoding.encode_up_to(text, limit) == ids[:limit]
    assert encoding.decode_bytes(encoding.encode_bytes(data)) == data
    with_offsets, offsets = encoding.encode_with_offsets(text, unit="byte", disallowed_special=())
    assert with_offsets == ids
    assert [text.encode()[start:end] for start, end in offsets] == encoding.decode_tokens_bytes(ids)
    prefix = encoding.truncate(text, limit)
    assert text.startswith(prefix)
    assert encoding.count(prefix) <= limit
    parts = [encoding.encode_ordinary(part) for part in text.split("<a>")]
    joined = parts[0]
    for part in parts[1:]:
        joined = [*joined, 1000, *part]
    assert encoding.encode(text, allowed_special="all") == joined


def test_applying_all_merges_under_the_wide_pattern_is_wrong() -> None:
    vocabulary = train("34 34 34", 258, stages=[("gpt4", 257), (None, 258)])
    assert [vocabulary[token_id] for token_id in vocabulary.ids] == [b"34", b"34 "]
    flat = Vocabulary.from_merges(vocabulary.merges, pattern=None)
    # GPT-4's pattern takes three digits at a time: 123|4.
    assert Encoding.from_vocabulary(vocabulary).encode("1234") == [49, 50, 51, 52]
    assert Encoding.from_vocabulary(flat).encode("1234") == [49, 50, 256]


def test_most_random_models_show_that_difference() -> None:
    chosen = random.Random(19)
    narrow = r"[ab]{1,3}|[^ab]{1,2}"
    wrong = 0
    for _ in range(200):
        text = "".join(chosen.choices("ab .", k=120))
        vocabulary = staged([text], [(narrow, 268), (None, 276)])
        flat = Vocabulary.from_merges(vocabulary.merges, pattern=None)
        begun = [(splitter(pattern), first) for first, pattern in vocabulary.stages]
        ids = Encoding.from_vocabulary(vocabulary).encode(text)
        assert ids == reference.encode_stages(text.encode(), begun, vocabulary.merges)
        wrong += ids != Encoding.from_vocabulary(flat).encode(text)
    assert wrong > 150


def test_a_pair_that_spells_a_token_is_not_merged_a_second_time() -> None:
    # "ab" is a token of the first stage; after a "c" its pattern splits "a" from "b", so the second stage meets the pair again.
    text = "ab ab ab ca|b ca|b ca|b".replace("|", "")
    vocabulary = train(text, 260, stages=[("ca|[a-z]+| ", 257), (None, 260)])
    tokens = [vocabulary[token_id] for token_id in vocabulary.ids]
    assert tokens[0] == b"ab"
    assert len(set(tokens)) == len(tokens) == 4


def test_one_stage_is_a_pattern() -> None:
    assert train(prose(500), 300, stages=[("gpt2", 300)]) == train(prose(500), 300, pattern="gpt2")


def test_sizes_count_special_tokens_as_vocab_size_does() -> None:
    vocabulary = train(prose(500), 400, stages=[("gpt4", 350), (None, 400)], special_tokens=["<|a|>", "<|b|>"])
    assert (vocabulary.n_vocab, vocabulary.special_tokens) == (400, {"<|a|>": 398, "<|b|>": 399})
    assert vocabulary.stages == ((0, minbpe.GPT4_SPLIT_PATTERN), (92, None))
    assert vocabulary.truncate(348).without_special_tokens() == train(prose(500), 348, pattern="gpt4")


@given(documents, plans, st.integers(0, 40), st.sampled_from(TIE_BREAKS))
def test_a_truncated_vocabulary_is_what_training_to_that_size_makes(
    texts: list[str], plan: list[tuple[str | None, int]], size: int, tie_break: str
) -> None:
    vocabulary = staged(texts, after_each(plan), tie_break=tie_break)
    size = min(256 + size, len(vocabulary))
    firsts = [first for first, _ in vocabulary.stages]
    kept = max(1, sum(first < size - 256 for first in firsts))
    shorter = [
        (pattern, 256 + end) for (pattern, _), end in zip(plan[:kept], [*firsts[1:kept], size - 256], strict=True)
    ]
    truncated = vocabulary.truncate(size)
    assert truncated == staged(texts, shorter, tie_break=tie_break)
    assert truncated.truncate(size) == truncated


@given(documents, plans, st.integers(0, 10), st.sampled_from(TIE_BREAKS))
def test_extending_the_last_stage_equals_training_at_once(
    texts: list[str], plan: list[tuple[str | None, int]], more: int, tie_break: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        stages = after_each(plan)
        small = train(texts, stages[-1][1], stages=stages, tie_break=tie_break)
        larger = [*stages[:-1], (stages[-1][0], stages[-1][1] + more)]
        at_once = train(texts, larger[-1][1], stages=larger, tie_break=tie_break)
        assert extend(small, texts, len(at_once) - len(small), tie_break=tie_break) == at_once


@given(documents, plans, st.text("ab's. \n"), st.randoms())
def test_pruning_keeps_the_ids_of_text_that_needs_no_more(
    texts: list[str], plan: list[tuple[str | None, int]], other: str, chosen: random.Random
) -> None:
    old = staged(texts, after_each(plan))
    pruned, new_ids = old.prune([token_id for token_id in old.ids if chosen.random() < 0.6])
    assert [pattern for _, pattern in pruned.stages] == [pattern for _, pattern in old.stages]
    before, after = Encoding.from_vocabulary(old), Encoding.from_vocabulary(pruned)
    for text in [*texts, other]:
        ids = before.encode(text)
        if all(new_ids[token_id] is not None for token_id in ids):
            assert after.encode(text) == [new_ids[token_id] for token_id in ids]


@given(documents, plans)
def test_files_and_pickles_restore_it(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], plan: list[tuple[str | None, int]]
) -> None:
    vocabulary = staged(texts, after_each(plan))
    prefix = tmp_path_factory.mktemp("staged") / "staged"
    vocabulary.save(prefix)
    for again in (Vocabulary.load(f"{prefix}.model"), pickle.loads(pickle.dumps(vocabulary))):
        assert again == vocabulary
        assert again.stages == vocabulary.stages


def test_the_digest_knows_stages_and_where_they_begin() -> None:
    merges = [(97, 98), (99, 100)]
    stages = [
        [(0, None)],
        [(0, "a")],
        [(0, None), (1, None)],
        [(0, None), (2, None)],
        [(0, "a"), (1, None)],
        [(0, None), (1, "a")],
        [(0, "a"), (1, "a"), (1, None)],
    ]
    assert len({Vocabulary.from_merges(merges, stages=each).digest for each in stages}) == len(stages)
    assert Vocabulary.from_merges(merges, stages=[(0, "a")]) == Vocabulary.from_merges(merges, pattern="a")


def test_limits_hold_in_every_stage() -> None:
    stages = [("gpt4", 300), (None, 400)]
    longest = train(prose(2000), 400, stages=stages, max_token_length=7)
    assert max(len(token) for _, token in longest.items()) == 7
    with pytest.warns(VocabularyWarning, match="no pairs left within min_frequency=9"):
        training = learn(prose(2000), 400, stages=stages, min_frequency=9)
    assert min(training.pair_counts) >= 9


def test_the_order_of_bytes_changes_their_ids_and_nothing_else() -> None:
    stages = [("gpt4", 300), (None, 400)]
    by_value = train(prose(2000), 400, stages=stages)
    as_gpt2 = train(prose(2000), 400, stages=stages, byte_order="gpt2")
    assert as_gpt2.byte_ids != by_value.byte_ids
    assert list(map(by_value.__getitem__, by_value.ids)) == list(map(as_gpt2.__getitem__, as_gpt2.ids))
    ids = Encoding.from_vocabulary(as_gpt2).encode(prose(300))
    assert [as_gpt2[each] for each in ids] == Encoding.from_vocabulary(by_value).decode_tokens_bytes(
        Encoding.from_vocabulary(by_value).encode(prose(300))
    )


def test_token_counts_are_those_of_the_corpus_under_each_smaller_vocabulary() -> None:
    text = prose(2000)
    training = learn([text, text[:100]], 500, stages=[("gpt4", 400), (r"[^\n]*\n+|[^\n]+", 450), (None, 500)])
    assert len(training.pair_counts) == len(training.vocabulary.merges) == 244
    assert len(training.token_counts) == 245
    for size in (256, 300, 399, 400, 401, 449, 450, 451, 500):
        encoding = Encoding.from_vocabulary(training.vocabulary.truncate(size))
        assert training.token_counts[size - 256] == encoding.count(text) + encoding.count(text[:100])


def test_files_of_counts_are_read_one_for_each_stage_and_only_as_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [prose(1000), prose(900)]
    stages = [("gpt4", 350), (None, 400)]
    files = [tmp_path / "narrow.counts", tmp_path / "wide.counts"]
    for file, (pattern, _) in zip(files, stages, strict=True):
        count(texts, pattern=pattern).save(file)
    told: list[str] = []
    absorb = CountsFile.absorb

    def tell(file: CountsFile, *rest: Any) -> int:
        told.append(file.path.name)
        return absorb(file, *rest)

    def progress(progress: Progress) -> None:
        if progress.stage == "train" != told[-1]:
            told.append("train")

    monkeypatch.setattr(CountsFile, "absorb", tell)
    assert train(files, 400, stages=stages, max_memory=1 << 24, progress=progress) == train(texts, 400, stages=stages)
    assert told == ["narrow.counts", "train", "wide.counts", "train"]


def test_piece_counts_are_given_one_for_each_stage() -> None:
    text = prose(1000)
    stages = [("gpt4", 350), (None, 400)]
    counts = [count(text, pattern="gpt4"), count(text, pattern=None)]
    assert train(counts, 400, stages=stages) == train(text, 400, stages=stages)
    assert train(counts[:1], 350, stages=stages[:1]) == train(text, 350)
    for wrong in (counts[0], counts[:1], [*counts, counts[0]], [counts[0], text]):
        with pytest.raises(
            CorpusError, match="for 2 stages give as many PieceCounts, made with the patterns 'gpt4', None"
        ):
            train(wrong, 400, stages=stages)
    with pytest.raises(CorpusError, match="made with the pattern None, and 'gpt4' is asked for"):
        train(counts[::-1], 400, stages=stages)
    with pytest.raises(
        CorpusError, match="trained on 1,127 bytes, and stage 2 is given 5: each stage takes the same corpus"
    ):
        train([counts[0], count("other", pattern=None)], 400, stages=stages)


def test_each_stage_whose_pattern_is_refused_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [(r"(?<=x)y|\w", 256), (r"(?<=y)z|[^z]+|z", 256)]
    vocabulary = Vocabulary.from_merges((), stages=[(0, stages[0][0]), (0, stages[1][0]), (0, None)])
    for take in (lambda: train("", 256, stages=stages), lambda: Encoding.from_vocabulary(vocabulary)):
        monkeypatch.setattr(patterns, "_warned", set())
        with pytest.warns(PatternWarning) as warned:
            take()
        assert [str(each.message).split("'")[1] for each in warned] == [repr(pattern)[1:-1] for pattern, _ in stages]
    assert (vocabulary.engine, vocabulary.refusal) == ("backtracking", "it looks behind")
    assert Vocabulary.from_merges((), stages=[(0, "a+"), (0, None)]).engine == "compiled"


def test_a_corpus_that_is_read_anew_each_time_is_as_good_as_a_list() -> None:
    class Documents:
        def __iter__(self) -> Iterator[str]:
            yield from ("go on", "go on")

    stages = [("gpt4", 258), (None, 259)]
    assert train(Documents(), 259, stages=stages) == train(["go on", "go on"], 259, stages=stages)
    with pytest.raises(CorpusError, match="2 stages count them 2 times: give a list, files"):
        train(iter(Documents()), 259, stages=stages)


def test_a_corpus_that_has_run_dry_in_the_second_stage_is_an_error() -> None:
    class Once:
        def __init__(self) -> None:
            self.documents = iter(["go on", "go on"])

        def __iter__(self) -> Iterator[str]:
            return self.documents

    with pytest.raises(CorpusError, match=r"trained on 10 bytes, and stage 2 is given 0: .* reads the same each time"):
        train(Once(), 259, stages=[("gpt4", 258), (None, 259)])


def test_stages_that_make_no_sense_are_errors_that_say_why() -> None:
    for stages in ([], [("gpt4", 300)], [("gpt4", 350), (None, 300)], [("gpt4", 255), (None, 300)]):
        with pytest.raises(VocabularyError, match="rising from 256 to vocab_size, which is 310"):
            train("text", 310, stages=stages)
    for beside in ({"pattern": "gpt4"}, {"min_count": 2}):
        with pytest.raises(VocabularyError, match="leave out pattern, seed_tokens and min_count"):
            train("text", 300, stages=[("gpt4", 300)], **beside)
    with pytest.raises(PatternError, match="no split pattern is named 'gpt5'"):
        train("text", 300, stages=[("gpt5", 300)])
    with pytest.raises(VocabularyError, match="leave out pattern='a'"):
        Vocabulary.from_merges((), pattern="a", stages=[(0, "b")])
    with pytest.raises(VocabularyError, match="one stage at least"):
        Vocabulary.from_merges((), stages=[])
    with pytest.raises(VocabularyError, match="the first stage begins at rank 1"):
        Vocabulary.from_merges((), stages=[(1, "b")])
    with pytest.raises(VocabularyError, match="100000 stages are too many: a vocabulary has up to 16"):
        Vocabulary.from_merges((), stages=[(0, None)] * 100_000)
    for ranks in ((0, 3), (0, 2, 1)):
        with pytest.raises(VocabularyError, match="order the stages by rank, and there are 2 merges"):
            Vocabulary.from_merges([(97, 98), (98, 99)], stages=[(rank, None) for rank in ranks])


def test_what_knows_only_ranks_or_one_pattern_is_refused_with_the_reason() -> None:
    vocabulary = train("go on, go on", 260, stages=[("gpt4", 259), (None, 260)])
    encoding = Encoding.from_vocabulary(vocabulary)
    for export in (lambda: vocabulary.mergeable_ranks, lambda: encoding._mergeable_ranks, encoding.to_tiktoken):
        with pytest.raises(VocabularyError, match=r"2 stages, and ranks alone do not say .* export truncate\(259\)"):
            export()
    for guess in (lambda: encoding.encode_with_unstable("go"), lambda: encoding._encode_bytes(b"go")):
        with pytest.raises(VocabularyError, match="follows tiktoken, which knows no stages"):
            guess()
    with pytest.raises(VocabularyError, match="BasicTokenizer does not split text"):
        minbpe.BasicTokenizer()._adopt(vocabulary)


def test_the_classes_load_stages_and_do_not_train_them(tmp_path: Path) -> None:
    vocabulary = train("go on, go on", 260, stages=[("gpt4", 259), (None, 260)])
    vocabulary.save(tmp_path / "staged")
    tokenizer = minbpe.RegexTokenizer()
    tokenizer.load(tmp_path / "staged.model")
    assert tokenizer.encode("go on") == [259]
    with pytest.raises(VocabularyError, match="a vocabulary of 2 stages, and trains one of one"):
        tokenizer.train("text", 300)


def test_a_file_of_ranks_has_one_stage(tmp_path: Path) -> None:
    from hashlib import sha256

    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256}
    Vocabulary.from_ranks(ranks).save(tmp_path / "ranks")
    file = tmp_path / "ranks.model"
    lines = file.read_bytes().replace(b"stages 1\n0 null\n", b"stages 2\n0 null\n1 null\n").splitlines(keepends=True)
    body = b"".join(lines[:-1])
    file.write_bytes(body + f"sha256 {sha256(body).hexdigest()}\n".encode())
    with pytest.raises(FormatError, match="ranks alone have one stage"):
        Vocabulary.load(file)


def test_a_long_piece_is_encoded_in_time_near_linear_in_its_length() -> None:
    """A merge that costs the length of the piece would take hours here."""
    words = prose(50_000).split(" ")
    text = " ".join(random.Random(1).choices(words, k=1 << 17))
    vocabulary = train(text[:50_000], 2000, stages=[("gpt4", 1000), (None, 2000)])
    encoding = Encoding.from_vocabulary(vocabulary)
    ids = encoding.encode(text)
    assert encoding.decode(ids) == text
    assert len(learn(text, 1500, stages=[("gpt4", 1000), (None, 1500)]).vocabulary) == 1500
