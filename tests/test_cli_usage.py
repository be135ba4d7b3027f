"""Command lines as typed: what is accepted, what is refused and with which words, and the help pages."""

import json
from pathlib import Path

import pytest

import minbpe
from minbpe.cli import main
from minbpe.shards import verify
from tests.test_cli import TEXT, error, output


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text(TEXT)
    return tmp_path / "corpus"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    vocabulary = minbpe.train(TEXT, 270, special_tokens=["<|endoftext|>"])
    vocabulary.save(tmp_path / "tok")
    return tmp_path / "tok.model"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "x", "--out", ""],
        ["train", "x", "--out", "x", "--max-memory", "1M", "--spill-to", ""],
        ["extend", "gpt2", "x", "--add", "1", "--out", ""],
        ["extend", "", "x", "--add", "1", "--out", "x"],
        ["count", "x", "--out", ""],
        ["shard", "x", "-t", "gpt2", "--out", ""],
        ["shard", "x", "-t", "", "--out", "x"],
        ["shard", "--verify", ""],
        ["inspect", ""],
        ["encode", "-t", "", "x"],
        ["demo", ""],
        ["demo", "--out", ""],
    ],
)
def test_an_empty_name_is_not_the_current_directory(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert "a name is empty: name a file or a directory" in error(capfd, 2, *arguments)


@pytest.mark.parametrize("value", ["280.7", "1.5", "-3", "0", "1e3", "9" * 30])
@pytest.mark.parametrize(
    "command",
    [
        *(["train", "--size"], ["train", "--threads"], ["train", "--min-count"], ["train", "--min-frequency"]),
        *(["train", "--max-token-length"], ["count", "--min-count"], ["count", "--threads"]),
        *(["extend", "gpt2", "--add"], ["extend", "gpt2", "--add", "1", "--max-token-length"]),
        *(["shard", "-t", "gpt2", "--tokens-per-shard"], ["shard", "-t", "gpt2", "--threads"], ["demo", "--size"]),
    ],
)
def test_a_number_is_taken_as_it_is_written_or_refused(
    command: list[str], value: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = error(capfd, 2, *command, value, *([] if command[0] == "demo" else [__file__]), "--out", tmp_path / "x")
    assert command[-1] in line
    assert "is no whole number: write it in digits" in line or "Must be" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("always")
def test_more_tokens_than_there_are_ids_for_are_refused_before_anything_is_counted(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["train", corpus, "--out", tmp_path / "tok", "--size"]
    assert "Must be <= 2147483136" in error(capfd, 2, *line, "2147483137")
    assert main([*map(str, line), "2147483136"]) == 0
    assert "the corpus has no pairs left" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["train --size 270", "count --min-count 1", "shard --tokenizer gpt2"])
def test_sources_stand_before_options_after_them_and_on_both_sides(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file, text in zip(files, [TEXT, "another text, for the sake of order " * 9], strict=True):
        file.write_text(text)
    verb, option, value = command.split()
    first, second, options = *files, [option, value]
    said = []
    for number, line in enumerate([[first, second, *options], [*options, first, second], [first, *options, second]]):
        out = tmp_path / f"out{number}"
        facts = json.loads(output(capfd, verb, *line, "--out", out, "--json"))
        said.append({name: fact for name, fact in facts.items() if name != "seconds" and str(out) not in str(fact)})
    assert said == [said[0]] * 3
    assert said[0]["bytes"] == sum(file.stat().st_size for file in files)
    assert "Unknown option: --odd" in error(capfd, 2, verb, first, option, value, second, "--odd", "--out", tmp_path)


@pytest.mark.parametrize(
    ("command", "given"), [("encode", ["a text", "another", "", "--", "-t"]), ("decode", ["31373", "995", "0"])]
)
def test_texts_and_ids_stand_before_options_after_them_and_on_both_sides(
    command: str, given: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["-t", "gpt2"]
    expected = output(capfd, command, *options, *given)
    for before in range(1, 3):
        assert output(capfd, command, *given[:before], *options, *given[before:]) == expected
    assert "Unknown option: --odd" in error(capfd, 2, command, *given[:1], "--odd", *options)


def test_what_is_missing_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert error(capfd, 2, "train", __file__).endswith("error: --out is missing")
    assert error(capfd, 2, "train", "--out", "x").endswith("error: SOURCES is missing")
    assert error(capfd, 2, "train", __file__, "-o").endswith("error: -o needs a value")


@pytest.mark.filterwarnings("always")
def test_messages_name_options_and_not_what_python_calls_them(
    corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(corpus), "--out", str(tmp_path / "tok"), "--min-frequency", "9"]) == 0
    assert "no pairs left within --min-frequency=9" in capfd.readouterr().err
    assert "min_count.txt: no such file" in error(capfd, 1, "count", "min_count.txt", "--out", tmp_path / "out")


def test_a_vocabulary_may_be_named_without_its_ending(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "the theory"
    named = output(capfd, "encode", "-t", model.with_suffix(""), text)
    assert named == output(capfd, "encode", "-t", model, text)


def test_keys_of_json_have_underscores_and_ids_are_called_so(
    corpus: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shards"
    commands = [
        ["train", corpus, "--size", "270", "--out", tmp_path / "tok"],
        ["extend", model, corpus, "--add", "1", "--min-count", "2", "--out", tmp_path / "more"],
        ["count", corpus, "--min-count", "2", "--max-memory", "1M", "--out", tmp_path / "counts"],
        ["shard", corpus, "-t", model, "--out", out],
        ["inspect", out],
        ["inspect", "gpt2"],
    ]
    facts = [json.loads(output(capfd, *command, "--json")) for command in commands]
    assert [key for each in facts for key in each if " " in key] == []
    assert facts[0]["bytes_per_token"] > 1
    assert facts[3]["ids"] == facts[4]["ids"] == verify(out).tokens
    assert "tokens" not in facts[3]
    assert facts[4]["tokens"] == 270
    assert facts[4]["begins"].startswith("the theme of")
    assert (facts[4]["engine"], facts[4]["refused"]) == ("compiled", None)
    assert "refused" not in output(capfd, "inspect", model)


def test_help_names_what_is_given_and_its_paragraphs_are_as_wide_as_the_page(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = output(capfd, "train", "--help")
    assert "Usage: minbpe train --out PATH [OPTIONS] SOURCES...\n" in page
    assert "Ctrl-C, kill and each minute leave what is done in" in page
    assert "--max-memory SIZE" in page
    assert "or several (--pattern A" in page
    assert "..." not in page.partition("\n")[2]
    assert "Usage: minbpe encode --tokenizer NAME [OPTIONS] [TEXT...]\n" in output(capfd, "encode", "--help")
    assert "Usage: minbpe decode --tokenizer NAME [OPTIONS] [IDS...]\n" in output(capfd, "decode", "--help")
    assert "Tokens of a text are counted by minbpe encode --count." in output(capfd, "count", "--help")
