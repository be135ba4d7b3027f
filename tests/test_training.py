"""Training: on any corpus the merges equal the reference's, and those of other exact trainers under their tie rule."""

import json
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import naive
from minbpe.basic import BasicTokenizer
from minbpe.counting import PieceCounts, Progress, count
from minbpe.encoding import Encoding
from minbpe.errors import CorpusError, VocabularyError
from minbpe.patterns import resolve
from minbpe.training import BYTE_ORDERS, VocabularyWarning, learn, learn_merges, train
from minbpe.vocabulary import Vocabulary
from tests import reference

CORPORA = int(os.environ.get("MINBPE_CORPORA", "300"))
"""How many generated corpora are compared with the reference."""
CASES = json.loads((Path(__file__).parent / "golden" / "merges.json").read_text(encoding="utf-8"))
GPT2 = BYTE_ORDERS["gpt2"]
TIE_BREAKS = ["first", "lowest"]


def pieces_of(counts: PieceCounts) -> list[bytes]:
    """Each piece, repeated as often as it was counted."""
    return [piece for piece, times in counts.items() for _ in range(times)]


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        pytest.param(case, rule, id=f"{case['name']} ({rule})")
        for case in CASES
        for rule in ("first", "lowest", "lowest_gpt2")
        if rule in case
    ],
)
def test_the_golden_cases_hold(case: dict[str, Any], rule: str) -> None:
    counts = PieceCounts.from_items(map(tuple, case["pieces"]))
    tie_break, _, byte_order = rule.partition("_")
    learned = learn_merges(counts, case["merges"], tie_break=tie_break, byte_order=byte_order or "identity")
    assert learned == [(tuple(pair), times) for pair, times in case[rule]]


def test_merges_equal_the_reference_on_corpora_of_few_letters() -> None:
    chosen = random.Random(CORPORA)
    for _ in range(CORPORA):
        alphabet = "abcd"[: chosen.randint(1, 4)]
        longest = chosen.choice([3, 8, 30, 100])
        pieces = [
            bytes(chosen.choices(alphabet.encode(), k=chosen.randint(1, longest))) for _ in range(chosen.randint(1, 12))
        ]
        merges, byte_order = chosen.randint(1, 40), chosen.choice(["identity", "gpt2"])
        for tie_break in TIE_BREAKS:
            learned = learn_merges(count(pieces, pattern=None), merges, tie_break=tie_break, byte_order=byte_order)
            expected = reference.train(pieces, merges, tie_break, BYTE_ORDERS[byte_order])
            assert learned == expected, (pieces, merges, tie_break, byte_order)


@given(
    st.lists(st.text(max_size=60) | st.text("ab \n1", max_size=60), max_size=5),
    st.integers(0, 60),
    st.sampled_from(TIE_BREAKS),
    st.sampled_from(sorted(BYTE_ORDERS)),
    st.sampled_from([None, "gpt2", "gpt4", "cl100k", "o200k", "[a-m]+"]),
)
def test_merges_equal_the_reference_on_any_text(
    documents: list[str], merges: int, tie_break: str, byte_order: str, pattern: str | None
) -> None:
    splitter = Vocabulary.from_merges((), pattern=resolve(pattern))
    pieces = [piece.encode() for document in documents for piece in splitter.split(document)]
    learned = learn_merges(count(documents, pattern=pattern), merges, tie_break=tie_break, byte_order=byte_order)
    assert learned == reference.train(pieces, merges, tie_break, BYTE_ORDERS[byte_order])


@given(st.text("abc", min_size=2, max_size=80), st.integers(1, 30), st.sampled_from(TIE_BREAKS))
def test_a_vocabulary_encodes_and_decodes_its_corpus_as_the_reference_does(
    text: str, merges: int, tie_break: str
) -> None:
    learned = [pair for pair, _ in reference.train([text.encode()], merges, tie_break)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        vocabulary = train(text, 256 + merges, pattern=None, tie_break=tie_break)
    assert vocabulary.merges == tuple(learned)
    ids = reference.encode(text.encode(), learned)
    assert b"".join(vocabulary[id] for id in ids) == reference.decode(ids, learned) == text.encode()


@given(
    st.lists(st.text("ab", max_size=40) | st.text("abcé \n", max_size=40), max_size=8),
    st.integers(0, 60),
    st.sampled_from(TIE_BREAKS),
    st.sampled_from(sorted(BYTE_ORDERS)),
)
def test_the_naive_trainer_with_places_equals_the_reference(
    texts: list[str], merges: int, tie_break: str, byte_order: str
) -> None:
    pieces, order = [text.encode() for text in texts], BYTE_ORDERS[byte_order]
    assert naive.train(pieces, merges, tie_break, order) == reference.train(pieces, merges, tie_break, order)


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_2048_merges_of_the_taylor_swift_text_equal_the_reference(shared_data: Path, tie_break: str) -> None:
    counts = count(shared_data / "taylorswift.txt")
    pieces = pieces_of(counts)
    expected = naive.train(pieces, 2048, tie_break)
    assert expected[:20] == reference.train(pieces, 20, tie_break)
    assert learn_merges(counts, 2048, tie_break=tie_break) == expected


@pytest.mark.parametrize("tie_break", TIE_BREAKS)
def test_a_text_that_is_not_split_gives_the_merges_of_the_reference(shared_data: Path, tie_break: str) -> None:
    text = (shared_data / "taylorswift.txt").read_bytes()[:20_000]
    assert learn_merges(count(text, pattern=None), 100, tie_break=tie_break) == reference.train([text], 100, tie_break)


def tokens_of(vocabulary: Vocabulary) -> list[bytes]:
    """The tokens that the merges made, in order."""
    return [vocabulary[id] for id in vocabulary.ids]


def test_lowest_gives_the_tokens_of_rustbpe(shared_data: Path) -> None:
    rustbpe = pytest.importorskip("rustbpe", reason="rustbpe, which merges are compared with, is not installed")
    text = (shared_data / "taylorswift.txt").read_text(encoding="utf-8")
    vocabulary = train(text, 3000, tie_break="lowest")
    other = rustbpe.Tokenizer()
    other.train_from_iterator(iter([text]), 3000, pattern=vocabulary.pattern)
    assert vocabulary.mergeable_ranks == {bytes(token): id for token, id in other.get_mergeable_ranks()}


def test_lowest_with_the_order_of_gpt2_gives_the_tokens_of_tokenizers(shared_data: Path) -> None:
    tokenizers = pytest.importorskip(
        "tokenizers", reason="tokenizers, which merges are compared with, is not installed"
    )
    text = (shared_data / "taylorswift.txt").read_text(encoding="utf-8")
    level = tokenizers.pre_tokenizers.ByteLevel
    other = tokenizers.Tokenizer(tokenizers.models.BPE())
    other.pre_tokenizer = level(add_prefix_space=False, use_regex=True)
    other.train_from_iterator(
        [text], tokenizers.trainers.BpeTrainer(vocab_size=3000, initial_alphabet=level.alphabet(), show_progress=False)
    )
    letters = {letter: byte for byte, letter in zip(GPT2, sorted(level.alphabet()), strict=True)}
    tokens = [
        bytes(letters[letter] for letter in token)
        for token, _ in sorted(other.get_vocab().items(), key=lambda item: item[1])
    ]
    vocabulary = train(text, 3000, pattern="gpt2", tie_break="lowest", byte_order="gpt2")
    assert tokens_of(vocabulary) == tokens[256:]
    assert list(vocabulary.byte_ids) == [GPT2.index(byte) for byte in range(256)]


def test_merges_do_not_cross_documents() -> None:
    vocabulary = train(["ab", "ab", "cd"], 258, pattern=None)
    assert tokens_of(vocabulary) == [b"ab", b"cd"]


def test_special_tokens_get_the_ids_after_the_last_merge() -> None:
    vocabulary = train("abababc", 260, pattern=None, special_tokens=["<|b|>", "<|a|>"])
    assert len(vocabulary.merges) == 2
    assert vocabulary.special_tokens == {"<|b|>": 258, "<|a|>": 259}
    assert vocabulary.n_vocab == 260


def test_special_tokens_may_bring_their_ids_and_share_them() -> None:
    vocabulary = train("abababc", 258, pattern=None, special_tokens={"<|a|>": 300, "<|b|>": 300})
    assert len(vocabulary.merges) == 1
    assert vocabulary.special_tokens == {"<|a|>": 300, "<|b|>": 300}


@pytest.mark.parametrize("source", ["", b"", [], [""], "a", ["a", "b"], PieceCounts.from_items([])])
@pytest.mark.parametrize("pattern", [None, "gpt4"])
def test_a_corpus_without_pairs_gives_the_bytes_and_a_warning(source: Any, pattern: str | None) -> None:
    with pytest.warns(VocabularyWarning, match="after 0 merges, so there are 257 tokens and not 300"):
        vocabulary = train(source, 300, pattern=pattern, special_tokens=["<|end|>"])
    assert vocabulary.merges == ()
    assert vocabulary.special_tokens == {"<|end|>": 256}


def test_a_corpus_that_cannot_fill_the_vocabulary_ends_early_with_a_warning() -> None:
    with pytest.warns(VocabularyWarning, match="after 2 merges, so there are 258 tokens and not 1000"):
        assert tokens_of(train("aaaa", 1000, pattern=None)) == [b"aa", b"aaaa"]


def test_no_merges_are_made_where_only_bytes_are_asked_for() -> None:
    assert train("some text", 256).merges == ()


def test_counts_above_2_to_the_32_are_exact() -> None:
    counts = PieceCounts.from_items([("ab", 2**32 + 1), ("bc", 2**32), ("abc", 3)])
    assert learn_merges(counts, 3) == [((97, 98), 2**32 + 4), ((98, 99), 2**32), ((256, 99), 3)]


def test_a_pair_past_2_to_the_63_is_an_error() -> None:
    with pytest.raises(CorpusError, match=r"2\^63"):
        train(PieceCounts.from_items([("aaaa", 2**62)]), 300)


def test_a_piece_of_many_million_letters_trains() -> None:
    learned = learn_merges(count(b"a" * 2**22, pattern=None), 100)
    assert [times for _, times in learned] == [2**22 - 1, *(2**power - 1 for power in range(21, 0, -1))]


def test_a_vocabulary_whose_tokens_hold_1_gib_ends_there_with_a_warning() -> None:
    # 26 doublings, then tokens of half of the text and more.
    with pytest.warns(
        VocabularyWarning, match="hold 1 GiB.* after 35 merges, so there are 291 tokens and not 300: .*min_frequency=2"
    ):
        vocabulary = train(b"a" * 100_000_000, 300, pattern=None)
    assert len(vocabulary) == 291


def test_progress_tells_each_stage_to_its_end() -> None:
    told: list[Progress] = []
    train(["some text ", "some more text"], 260, pattern=None, progress=told.append)
    assert told == [Progress("count", 24, 24, pieces=2), Progress("train", 4, 4)]
    assert pickle.loads(pickle.dumps(told)) == told


def test_what_progress_raises_ends_the_training() -> None:
    counts = count(bytes(random.Random(1).choices(b"abcdefgh", k=2**22)), pattern=None)

    def stop(progress: Progress) -> None:
        raise InterruptedError(f"at {progress.done} of {progress.total}")

    with pytest.raises(InterruptedError, match="of 20000"):
        learn_merges(counts, 20000, progress=stop)


LONG_WORK = """
import sys
from minbpe.counting import count
from minbpe.training import learn_merges
print("ready", flush=True)
counts = count(b"abcdefghij" * 10_000_000, pattern={pattern!r})
learn_merges(counts, 1000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child alone")
@pytest.mark.parametrize("pattern", [None, "(?<![0-9])."])
def test_ctrl_c_ends_the_work(pattern: str | None) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LONG_WORK.format(pattern=pattern)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")


@given(
    st.lists(st.text("abc", min_size=1, max_size=30), min_size=1, max_size=6),
    st.integers(1, 40),
    st.sampled_from(TIE_BREAKS),
    st.integers(1, 4),
    st.integers(1, 8) | st.none(),
)
def test_limits_are_those_of_the_reference(
    pieces: list[str], merges: int, tie_break: str, least: int, longest: int | None
) -> None:
    learned = learn_merges(
        count(pieces, pattern=None), merges, tie_break=tie_break, min_frequency=least, max_token_length=longest
    )
    data = [piece.encode() for piece in pieces]
    assert learned == reference.train(
        data, merges, tie_break, min_frequency=least, max_token_length=math.inf if longest is None else longest
    )


def test_limits_name_themselves_where_they_end_the_training() -> None:
    with pytest.warns(
        VocabularyWarning, match="no pairs left within min_frequency=3 and max_token_length=2 after 1 merge,"
    ):
        vocabulary = train("abab abab", 300, pattern=None, min_frequency=3, max_token_length=2)
    assert tokens_of(vocabulary) == [b"ab"]
    assert tokens_of(train("abab abab", 257, pattern=None, min_frequency=4, max_token_length=2)) == [b"ab"]


def test_a_warning_names_the_line_that_called() -> None:
    tokenizer = BasicTokenizer()
    for call in (lambda: train("aa", 300), lambda: learn("aa", 300), lambda: tokenizer.train("aa", 300)):
        with pytest.warns(VocabularyWarning) as caught:
            call()
        assert [warning.filename for warning in caught] == [__file__]


@given(st.lists(st.text("ab \n1"), max_size=5), st.integers(0, 30), st.sampled_from([None, "gpt2", "gpt4"]))
def test_token_counts_are_those_of_the_truncated_vocabularies(
    documents: list[str], merges: int, pattern: str | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        training = learn(documents, 256 + merges, pattern=pattern)
    made = len(training.vocabulary) - 256
    assert len(training.token_counts) - 1 == len(training.pair_counts) == made
    for size, tokens in enumerate(training.token_counts, start=256):
        encoding = Encoding.from_vocabulary(training.vocabulary.truncate(size))
        assert tokens == sum(map(encoding.count, documents))
        assert training.bytes_per_token(size) == sum(map(len, documents)) / max(1, tokens)
    assert training.pieces == count(documents, pattern=pattern).total
    with pytest.raises(VocabularyError, match="no vocabulary of 255 tokens was trained"):
        training.bytes_per_token(255)


def test_rare_pieces_are_left_out_and_counted() -> None:
    training = learn(["ab", "ab", "cd", "ef", "ef"], 258, pattern=None, min_count=2)
    assert tokens_of(training.vocabulary) == [b"ab", b"ef"]
    assert (training.pieces, training.dropped_pieces, training.dropped_distinct) == (4, 1, 1)
    assert training.token_counts == (8, 6, 4)


LIMITED = """
import resource, sys
from pathlib import Path
from minbpe import train
text, room = Path(sys.argv[1]), int(sys.argv[2])
train("a text, and one more", 260, pattern=None, threads=1)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + room,) * 2)
try:
    train(text, 260, pattern=None, threads=1)
except MemoryError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space and tells its size")
@pytest.mark.parametrize(
    ("times", "said"),
    [
        (2, "the distinct pieces of the corpus need more memory than there is: set a ceiling with max_memory"),
        (4, "training needs more memory than there is: leave out rare pieces with a higher min_count"),
        (7, "training needs more memory than there is"),
        (12, ""),
    ],
)
def test_too_little_memory_is_an_error_that_says_the_way_out(times: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(random.Random(1).randbytes(1 << 26))
    line = [sys.executable, "-c", LIMITED, str(tmp_path / "text"), str(times << 26)]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    assert run.stderr.startswith(said)
    assert run.returncode == bool(said) == bool(run.stderr)
