"""The demo does the main job on any text, and fails if an id is not tiktoken's."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import minbpe
from minbpe import demo, rivals
from minbpe.cli import main
from minbpe.errors import CorpusError, MinbpeError
from minbpe.measure import median_seconds
from minbpe.shards import verify, write_shards

TEXTS = [f"def function_{n}(argument):\n    return argument + {n}  # été 👍\n" for n in range(200)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    directory = tmp_path / "corpus"
    directory.mkdir()
    for number, text in enumerate(TEXTS):
        (directory / f"{number:03}.py").write_text(text)
    (directory / "latin1.txt").write_bytes(b"caf\xe9")
    return directory


def test_the_demo_trains_encodes_compares_and_says_where_the_files_are(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tiktoken", reason="tiktoken, which the demo compares with, is not installed")
    pytest.importorskip("sentencepiece", reason="sentencepiece, which the demo compares with, is not installed")
    out = tmp_path / "out"
    assert main(["demo", str(corpus), "--out", str(out), "--size", "400"]) == 0
    said = capfd.readouterr().out
    assert f"{len(TEXTS)} files" in said
    assert "1 skipped" in said
    assert said.count("ids all equal") == 2
    assert "sentencepiece" in said
    assert "return| argument|" in said or "argument|" in said
    assert str(out / "corpus.model") in said
    assert minbpe.Vocabulary.load(out / "corpus.model").n_vocab == 400
    manifest = verify(out / "shards")
    assert manifest.documents == len(TEXTS)
    assert main(["demo", str(corpus), "--out", str(out), "--size", "300", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [row["engine"] for row in rows] == ["minbpe", "sentencepiece", "minbpe", "tiktoken", "minbpe", "tiktoken"]
    assert all(row["bytes_per_token"] > 1 and row["mb_per_second"] > 0 for row in rows)
    assert rows[2]["bytes_per_token"] == rows[3]["bytes_per_token"]
    assert verify(out / "shards").n_vocab == 300, "the shards of an earlier demo are replaced"


def test_an_id_that_is_not_tiktoken_s_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = minbpe.get_encoding("gpt2")
    monkeypatch.setitem(sys.modules, "tiktoken", SimpleNamespace(get_encoding=lambda name: other, __spec__=object()))
    with pytest.raises(MinbpeError, match="cl100k_base: text 0 has other ids than tiktoken's: at id 0 ours is"):
        rivals.tiktoken(minbpe.get_encoding("cl100k_base"), TEXTS, tmp_path)


def test_a_missing_rival_has_a_row_that_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "find_spec", lambda name: None)
    missing = [
        rivals.tiktoken(minbpe.get_encoding("cl100k_base"), TEXTS, tmp_path),
        rivals.sentencepiece("corpus", TEXTS, 400, tmp_path),
    ]
    for row in rivals.with_speeds(missing, TEXTS):
        assert row.mb_per_second is None
        assert 'pip install "minbpe[bench]"' in row.note


def test_a_corpus_too_small_for_sentencepiece_is_a_note_in_its_row(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece, which the demo compares with, is not installed")
    assert rivals.sentencepiece("corpus", ["tiny"], 5000, tmp_path).row.note.startswith("did not train: ")


def test_the_standard_library_is_the_corpus_by_default() -> None:
    corpus = demo.read_corpus(None)
    assert corpus.name == "stdlib"
    assert corpus.bytes > 5_000_000
    assert any("class JSONDecoder" in text for text in corpus.texts)


def test_a_large_corpus_is_cut_and_a_large_file_is_parted_without_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LARGEST_TEXT", 100)
    monkeypatch.setattr(demo, "LARGEST_CORPUS", 451)
    (tmp_path / "a.txt").write_text("x" * 250 + "\n" + "line\n" * 40)
    (tmp_path / "b.txt").write_text("never read")
    corpus = demo.read_corpus(tmp_path)
    assert "".join(corpus.texts) == (tmp_path / "a.txt").read_text()
    assert max(map(len, corpus.texts)) <= 100
    assert (corpus.files, corpus.cut) == (1, True)


def test_no_more_of_one_large_file_is_read_than_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "LARGEST_TEXT", 100)
    monkeypatch.setattr(demo, "LARGEST_CORPUS", 400)
    monkeypatch.setattr("minbpe.documents.LONG", 8)
    text = "\u00e9" * 30 + "line\n" * 200
    (tmp_path / "a.txt").write_bytes(text.encode() + b"\xff")
    corpus = demo.read_corpus(tmp_path)
    assert text.startswith("".join(corpus.texts))
    assert 300 <= corpus.bytes <= 400
    assert (corpus.files, corpus.skipped, corpus.cut) == (1, 0, True)


@pytest.mark.parametrize("theirs", ["shards", "corpus.model", "shards/notes", "demo.txt"])
def test_the_demo_replaces_nothing_that_no_demo_wrote(
    theirs: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_compare", lambda *_: [])
    out = tmp_path / "out"
    out.mkdir()
    vocabulary = minbpe.train("the theory", 260, special_tokens=["<|endoftext|>"])
    if theirs == "shards":
        write_shards(["the theory"], minbpe.Encoding.from_vocabulary(vocabulary), out / "shards")
    elif theirs == "corpus.model":
        vocabulary.save(out / "corpus")
    else:
        (out / theirs).parent.mkdir(exist_ok=True)
        (out / theirs).write_text("mine")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(MinbpeError, match="is not what an earlier demo wrote, and would be replaced"):
        demo.run(corpus, out, 300)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    for size in (300, 310, 300):
        demo.run(corpus, tmp_path / "other", size)
        assert verify(tmp_path / "other" / "shards").n_vocab == size
    for file in (tmp_path / "other" / "shards").glob("*.bin"):
        file.unlink()
    write_shards([], minbpe.Encoding.from_vocabulary(vocabulary), tmp_path / "yet another")
    (tmp_path / "yet another" / "manifest.json").replace(tmp_path / "other" / "shards" / "manifest.json")
    with pytest.raises(MinbpeError, match="shards is not what an earlier demo wrote"):
        demo.run(corpus, tmp_path / "other", 300)


def test_a_corpus_without_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match="no text in UTF-8"):
        demo.read_corpus(tmp_path)


def test_speeds_are_medians_of_runs_that_take_turns() -> None:
    turns: list[str] = []
    seconds = median_seconds({name: lambda name=name: turns.append(name) for name in "ab"}, rounds=3)  # type: ignore[misc]
    assert turns == ["a", "b"] * 3
    assert seconds.keys() == {"a", "b"}
