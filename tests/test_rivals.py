"""Where other trainers make the merges of `lowest` and where they do not: the cases of the table in benchmarks/README.md.

A case that fails for a rival tells that a new version trains otherwise: then the table, or the adapter, is out of date.
"""

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks import corpora, training
from benchmarks.engine import Trained, Training
from benchmarks.engines import ENGINES
from minbpe.patterns import resolve
from minbpe.training import VocabularyWarning, train

CASES = json.loads((Path(__file__).parent / "golden" / "rivals.json").read_text(encoding="utf-8"))
EXACT = ["rustbpe", "tokenizers", "gigatoken", "bpeasy"]


def learn(name: str, corpus: Path, size: int, pattern: str, **options: Any) -> Trained:
    """Train with a rival."""
    engine = ENGINES[name]
    library = pytest.importorskip(engine.module, reason=f"{name}, which merges are compared with, is not installed")
    documents = partial(iter, [corpus.read_text(encoding="utf-8")])
    assert engine.trainer is not None
    return engine.trainer(library, Training(corpus, documents, size, pattern, 1), **options)


@pytest.mark.parametrize("case", CASES, ids=[f"{case['engine']}: {case['name']}" for case in CASES])
def test_a_rival_trains_as_the_table_says(case: dict[str, Any], tmp_path: Path) -> None:
    corpus, pattern, size = tmp_path / "corpus.txt", resolve(case["pattern"]), 256 + case["merges"]
    corpus.write_text(case["text"], encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VocabularyWarning)
        ours = train(corpus, size, pattern=pattern, tie_break="lowest", byte_order=case["byte_order"])
    assert [ours[id].decode() for id in ours.ids] == case["lowest"]
    trained = learn(case["engine"], corpus, size, pattern, **case["options"])
    assert [token.decode() for token in training.learned_tokens(trained)] == case["theirs"]


@pytest.mark.parametrize("name", EXACT)
def test_lowest_gives_the_merges_of_an_exact_rival(name: str, tmp_path: Path) -> None:
    engine, size, pattern, reference = ENGINES[name], 3000, resolve("gpt2"), tmp_path / "reference"
    corpus = corpora.prepare("code", 500_000, tmp_path).first
    trained = learn(name, corpus, size, pattern)
    assert engine.exact is not None
    training.write_reference(ENGINES["minbpe"], 1, str(corpus), size, pattern, "lowest", engine.exact, str(reference))
    assert training.difference(trained, reference) is None
