"""Training, training in stages and extending resume from a checkpoint, wherever they were stopped or killed, to the same result."""

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minbpe import extend, learn, parts, train
from minbpe.checkpoint import Checkpoint
from minbpe.counting import Progress, count
from minbpe.errors import CorpusError
from minbpe.extending import before_extending
from minbpe.training import BYTE_ORDERS, VocabularyWarning
from minbpe.vocabulary import Vocabulary
from tests.conftest import KilledError
from tests.test_checkpoint import LONG, StoppedError, merges_in
from tests.test_counting import prose
from tests.test_stages import PATTERNS, after_each, documents
from tests.test_training import TIE_BREAKS

TEXT = prose(600)
STAGES = [("gpt4", 280), (r"[^\n.]*[\n.]?", 310), (None, 330)]
SMALL = train(TEXT, 270, special_tokens=["<|end|>"])

KINDS: dict[str, Callable[..., Any]] = {
    "training": functools.partial(learn, vocab_size=330),
    "training in stages": functools.partial(learn, vocab_size=330, stages=STAGES),
    "extending": lambda source, **options: extend(SMALL, source, 30, **options),
}
"""What a checkpoint may be of."""


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """A corpus of several files."""
    (tmp_path / "corpus").mkdir()
    for number, text in enumerate([TEXT, prose(300).upper(), "", "a theory of order. " * 5]):
        (tmp_path / "corpus" / f"{number}.txt").write_text(text)
    return sorted((tmp_path / "corpus").iterdir())


@pytest.fixture(autouse=True)
def _keep_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SHARE", 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # No power cut is tested, and a disk takes its time.


@pytest.mark.parametrize("every", [0, 60])
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_at_any_change_of_the_disk_goes_on_to_the_same_result(
    kind: str, resume: bool, every: float, texts: list[Path], tmp_path: Path, kill_at: Callable[[float], Iterator[int]]
) -> None:
    run, expected = KINDS[kind], KINDS[kind](texts)
    for last in numbers():
        kept = tmp_path / f"{last}"
        if not resume:
            kill_at(float("inf"))
            run(texts, min_frequency=2, checkpoint=Checkpoint(kept, every=0))
        kill_at(last)
        try:
            ended = run(texts, checkpoint=Checkpoint(kept, every=every, resume=resume))
        except KilledError:
            ended = None
        kill_at(float("inf"))
        try:
            assert run(texts, checkpoint=kept) == expected
        except CorpusError as error:  # What the run was to replace is still there.
            assert "min_frequency=2, and min_frequency=1" in str(error)
            assert not resume
            assert run(texts, checkpoint=Checkpoint(kept, resume=False)) == expected
        if ended:
            break
    assert ended == expected
    assert last > 3


@pytest.mark.parametrize("every", [0, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_stopped_at_any_report_of_progress_goes_on_to_the_same_result(
    kind: str, every: float, texts: list[Path], tmp_path: Path
) -> None:
    run, expected = KINDS[kind], KINDS[kind](texts)

    def stop(at: int) -> Callable[[Progress], None]:
        reports = numbers()

        def heard(_: Progress) -> None:
            if next(reports) == at:
                raise StoppedError

        return heard

    for at in numbers():
        kept = Checkpoint(tmp_path / f"{at}", every=every)
        try:
            ended = run(texts, checkpoint=kept, progress=stop(at))
        except StoppedError:
            ended = None
            for again in (1, 2):
                try:
                    run(texts, checkpoint=kept, progress=stop(again))
                except StoppedError:
                    continue
        assert run(texts, checkpoint=kept) == expected
        if ended:
            break
    assert ended == expected
    assert at >= (6 if kind == "training in stages" else 2)


plans = st.lists(st.tuples(st.sampled_from(PATTERNS), st.integers(0, 15)), min_size=1, max_size=3)


@given(
    documents,
    plans,
    st.integers(0, 2),
    st.integers(0, 15),
    st.sampled_from(TIE_BREAKS),
    st.sampled_from(sorted(BYTE_ORDERS)),
    st.sampled_from([None, 4]),
)
def test_going_on_after_any_merge_of_any_stage_equals_training_at_once(
    texts: list[str],
    plan: list[tuple[str | None, int]],
    stage: int,
    fewer: int,
    tie_break: str,
    byte_order: str,
    max_token_length: int | None,
) -> None:
    begun = plan[: stage + 1]
    begun[-1] = (begun[-1][0], max(0, begun[-1][1] - fewer))
    options: dict[str, Any] = {
        "tie_break": tie_break,
        "byte_order": byte_order,
        "max_token_length": max_token_length,
        "special_tokens": ["<|end|>"],
    }

    def run(plan: list[tuple[str | None, int]], **more: Any) -> Any:
        stages = [(pattern, size + 1) for pattern, size in after_each(plan)]
        return learn(texts, stages[-1][1], stages=stages, **options, **more)

    with warnings.catch_warnings(), TemporaryDirectory() as directory:
        warnings.simplefilter("ignore", VocabularyWarning)
        checkpoint = Checkpoint(Path(directory) / "kept", every=0)
        assert run(begun, checkpoint=checkpoint) == run(begun)
        assert run(plan, checkpoint=checkpoint) == run(plan)
        assert run(begun, checkpoint=checkpoint) == run(begun)


@given(documents, documents, st.integers(0, 30), st.integers(0, 30), st.sampled_from(TIE_BREAKS), st.integers(1, 3))
def test_extending_goes_on_after_any_merge_and_to_more_tokens(
    first: list[str], texts: list[str], begun: int, more: int, tie_break: str, min_count: int
) -> None:
    options: dict[str, Any] = {"tie_break": tie_break, "min_count": min_count, "min_frequency": min_count}
    with warnings.catch_warnings(), TemporaryDirectory() as directory:
        warnings.simplefilter("ignore", VocabularyWarning)
        stages = [("gpt4", 270), (r"[^\n.]*[\n.]?", 280)]
        for old in (
            train(first, 270, byte_order="gpt2", special_tokens={"<|end|>": 1000}),
            train(first, 280, stages=stages),
        ):
            checkpoint = Checkpoint(Path(directory) / old.digest, every=0)
            for tokens in (begun, begun + more, begun):
                expected = extend(old, texts, tokens, **options)
                assert extend(old, texts, tokens, checkpoint=checkpoint, **options) == expected


@pytest.mark.parametrize(
    "old", [SMALL, train(TEXT, 270, stages=[("gpt4", 260), (None, 270)]), Vocabulary.from_merges([], pattern=None)]
)
def test_what_an_interrupted_extension_began_with_is_known_from_what_it_made_of_it(
    old: Vocabulary, tmp_path: Path
) -> None:
    kept = Checkpoint(tmp_path / "kept", every=0)
    assert before_extending(old, kept) == old
    extend(old, TEXT, 0, checkpoint=kept)
    assert before_extending(old, kept) == old
    extend(old, TEXT, 9, checkpoint=kept)
    for tokens in range(10):
        assert before_extending(extend(old, TEXT, tokens), kept) == old
    made = extend(old, TEXT, 9)
    for other in (
        extend(old, TEXT, 10),
        made.with_special_tokens({"<|other|>": 1000}),
        extend(made, "another text", 3),
        extend(old, "another text", 9),
        train(TEXT, 300, stages=[(None, 290), ("gpt4", 300)]),
        Vocabulary.from_ranks({bytes([byte]): byte for byte in range(256)} | {b"abc": 256}),
    ):
        assert before_extending(other, kept) == other


@pytest.mark.parametrize("kind", ["training in stages", "extending"])
def test_merging_that_is_stopped_again_and_again_equals_merging_at_once(kind: str, tmp_path: Path) -> None:
    small = train(LONG[: 1 << 16], 300, pattern=None)
    run: Callable[..., Any] = {
        "training in stages": functools.partial(learn, LONG, 9000, stages=[("[^a]*a?", 2000), (None, 9000)]),
        "extending": functools.partial(extend, small, LONG, 5000),
    }[kind]

    def stop_in(stage: int) -> Callable[[Progress], None]:
        ended = 0

        def stop(progress: Progress) -> None:
            nonlocal ended
            if progress.stage == "train":
                if ended == stage and progress.done:
                    raise StoppedError
                ended += progress.done == progress.total

        return stop

    kept = Checkpoint(tmp_path / "kept", stays=True)
    for stage in range(2) if kind == "training in stages" else range(1):
        done = [0]
        for _ in range(2):
            with pytest.raises(StoppedError):
                run(checkpoint=kept, progress=stop_in(stage))
            done.append(len(merges_in(Path(kept.stage(stage + 1).path if kind == "training in stages" else kept.path))))
        assert done == sorted(done)
        assert done[1] > 0
    told: list[str] = []
    assert run(checkpoint=kept, progress=lambda progress: told.append(progress.stage)) == run()
    assert "count" not in told


def interrupted(kind: str, path: Path, source: Any = TEXT, **options: Any) -> None:
    KINDS[kind](source, checkpoint=Checkpoint(path, every=0), **options)


def test_stages_that_are_done_are_not_counted_again_if_their_corpus_is_known_to_be_the_same(
    texts: list[Path], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"

    def told(source: Any, **options: Any) -> set[str]:
        stages: set[str] = set()
        assert learn(source, 330, stages=STAGES, progress=lambda now: stages.add(now.stage), **options) == learn(
            texts, 330, stages=STAGES
        )
        return stages

    interrupted("training in stages", kept, texts)
    assert told(texts, checkpoint=kept) == {"check", "load", "train"}
    assert "count" in told([file.read_bytes() for file in texts], checkpoint=kept)
    counts = [count(texts, pattern=pattern) for pattern, _ in STAGES]
    assert told(counts, checkpoint=kept) == {"train"}
    named = Checkpoint(tmp_path / "named", corpus="a name", every=0)

    class Texts:
        def __iter__(self) -> Iterator[bytes]:
            return (file.read_bytes() for file in texts)

    assert "count" in told(Texts(), checkpoint=named)
    assert told([], checkpoint=named) == {"check", "load", "train"}


def test_a_stage_that_is_done_stays_however_short_it_was(texts: list[Path], tmp_path: Path) -> None:
    told: list[str] = []

    def stop(progress: Progress) -> None:
        told.append(progress.stage)
        if told.count("count") == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        learn(texts, 330, stages=STAGES, checkpoint=tmp_path / "kept", progress=stop)
    assert len(merges_in(tmp_path / "kept" / "stage-1")) == 280 - 256


def test_a_corpus_without_a_name_is_warned_of_once_with_the_name_of_the_whole_checkpoint(tmp_path: Path) -> None:
    class Texts:
        def __iter__(self) -> Iterator[str]:
            return iter([TEXT])

    with pytest.warns(UserWarning, match=r"Checkpoint\('[^']*kept', corpus='name'\)") as warned:
        learn(Texts(), 330, stages=STAGES, checkpoint=tmp_path / "kept")
    assert len(warned) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_short_run_keeps_nothing_and_a_removed_checkpoint_leaves_nothing(kind: str, tmp_path: Path) -> None:
    KINDS[kind](TEXT, checkpoint=tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []
    kept = Checkpoint(tmp_path / "kept", every=0)
    assert not kept.holds_something()
    interrupted(kind, tmp_path / "kept")
    assert kept.holds_something()
    kept.remove()
    kept.remove()
    assert list(tmp_path.iterdir()) == []
