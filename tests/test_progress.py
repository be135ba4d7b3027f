"""Progress bars: what they say, that merging fills them at an even pace, and that they end at their end."""

import gzip
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from minbpe import Encoding, count, progress, train
from minbpe.cli import main
from minbpe.progress import Bars, amount, work
from minbpe.shards import write_shards

RECORDED: dict[str, tuple[int, dict[int, float]]] = {
    "English, 20 MB": (32512, {1: 0.12, 17: 0.15, 129: 0.24, 1025: 0.37, 4097: 0.50, 8193: 0.60, 16385: 0.75}),
    "English, 120 MB": (
        99744,
        {1: 0.13, 17: 0.15, 129: 0.21, 1025: 0.29, 4097: 0.42, 8193: 0.53, 16385: 0.62, 32769: 0.73, 65537: 0.87},
    ),
    "English, lines as pieces": (
        32512,
        {1: 0.15, 17: 0.22, 129: 0.40, 1025: 0.59, 4097: 0.74, 8193: 0.83, 16385: 0.90},
    ),
    "Chinese, Japanese, Korean": (
        32512,
        {1: 0.25, 17: 0.33, 129: 0.44, 1025: 0.60, 4097: 0.74, 8193: 0.81, 16385: 0.89},
    ),
    "Python": (32512, {1: 0.13, 17: 0.15, 129: 0.22, 1025: 0.43, 4097: 0.56, 8193: 0.66, 16385: 0.80}),
    "mixed, 300 MB": (
        49744,
        {1: 0.21, 17: 0.23, 129: 0.30, 1025: 0.44, 4097: 0.59, 8193: 0.70, 16385: 0.82, 32769: 0.93},
    ),
}
"""Of some trainings the number of merges, and what share of the time had passed, from the beginning on, once some were made."""


@pytest.mark.parametrize("corpus", RECORDED)
def test_the_work_of_merges_is_near_the_share_of_time_they_took(corpus: str) -> None:
    merges, shares = RECORDED[corpus]
    assert all(abs(work(done) / work(merges) - share) < 0.2 for done, share in shares.items())
    linear = max(abs(done / merges - share) for done, share in shares.items())
    assert linear > 0.35


def test_work_begins_at_none_and_always_rises() -> None:
    assert work(0) == 0
    assert all(less < more for less, more in pairwise(map(work, [0, 1, 2, 100, 32_512, 2**31])))


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> Bars:
    """Bars that are drawn at once, as on a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "INTERVAL", 0)
    return Bars()


def test_a_bar_of_merges_is_as_long_as_their_work_and_says_their_number(
    bars: Bars, capfd: pytest.CaptureFixture[str]
) -> None:
    with bars:
        bars.show("train", 2_032, 32_512, "merges")
        (task,) = bars._progress.tasks
        assert task.percentage == pytest.approx(50)
        bars._progress.refresh()
    assert "2,032 of 32,512 merges" in capfd.readouterr().err


def test_a_bar_of_bytes_says_how_many_pieces_there_are(bars: Bars, capfd: pytest.CaptureFixture[str]) -> None:
    with bars:
        bars.show("count", 12_500_000, 25_000_000, pieces=3_125_000)
        bars.show("count", 12_500_000, 25_000_000, pieces=3_125_000)
        (task,) = bars._progress.tasks
        assert task.percentage == 50
        bars._progress.refresh()
    said = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capfd.readouterr().err)
    assert re.search(r"12\.5 of 25\.0 MB, 3\.1 M pieces, [\d.]+ MB/s", said)


def test_a_stage_that_begins_anew_is_as_new(bars: Bars) -> None:
    with bars:
        bars.show("train", 1, 4)
        bars.show("train", 4, 4)
        assert bars._progress.tasks[0].finished
        bars.show("count", 1, 2)
        bars.show("train", 0, 4)
        (train, count) = bars._progress.tasks
        assert (train.completed, train.total, train.finished) == (0, 4, False)
        assert (count.completed, count.total) == (1, 2)


def test_stages_that_take_turns_each_keep_their_length(bars: Bars) -> None:
    with bars:
        for done in (1, 2, 3):
            bars.show("read", 10 * done, 30)
            bars.show("count", 7 * done, None)
            assert [(task.completed, task.total) for task in bars._progress.tasks] == [
                (10 * done, 30),
                (7 * done, None),
            ]
        bars.show("read", 30, 30)
        bars.show("count", 22, 22)


@pytest.mark.filterwarnings("ignore::minbpe.training.VocabularyWarning")
@pytest.mark.parametrize("interval", [0, 60])
@pytest.mark.parametrize(
    "line",
    [
        "train corpus --size 300 --out out",
        "train corpus --lines --size 300 --out out",
        "train corpus --stage gpt4:300 --stage none:305 --out out",
        "train corpus --seed tokens --min-count 2 --size 3000 --out out",
        "train nothing one --size 300 --out out",
        "train corpus/empty.txt one --size 256 --no-special --out out",
        "train pipe --size 300 --out out",
        "train pipe --lines --size 300 --out out",
        "train some.counts some.counts --size 300 --out out",
        "extend some corpus --add 20 --out out",
        "extend some one --add 20 --out out",
        "count corpus --out out",
        "count corpus --pattern .{1,7} --max-memory 1M --out out",
        "count nothing --out out",
        "count one --out out",
        "count pipe --out out",
        "count some.counts some.counts --out out",
        "inspect some.counts",
        "encode --tokenizer some --file corpus --count",
        "encode --tokenizer some --file nothing --count",
        "shard corpus --tokenizer some --out out",
        "shard nothing one --tokenizer some --out out",
        "shard --verify shards",
        "demo corpus --size 300 --out out",
        "demo one --size 300 --out out",
    ],
)
def test_every_bar_of_every_command_ends_at_its_end(
    line: str,
    interval: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    through_pipe: Callable[[bytes, str], Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    text = " ".join(f"thé wörd{number} 👍\n" for number in range(60_000 if "max-memory" in line else 1000))
    for name, content in {"corpus/a.txt": text, "corpus/empty.txt": "", "one": "a", "nothing": ""}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    with gzip.open("corpus/b.txt.gz", "wt") as file:
        file.write(text)
    if "pipe" in line:
        through_pipe(text.encode(), "pipe")
    vocabulary = train(text, 290, special_tokens=["<|endoftext|>"])
    vocabulary.save("some")
    count(text).save("some.counts")
    write_shards([text], Encoding.from_vocabulary(vocabulary), "shards")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(progress, "INTERVAL", interval)
    ended: list[tuple[str, float, float | None]] = []
    stop = progress.Progress.stop

    def stopped(self: progress.Progress) -> None:
        ended.extend((task.description, task.completed, task.total) for task in self.tasks)
        stop(self)

    monkeypatch.setattr(progress.Progress, "stop", stopped)
    assert main(line.split()) == 0, capfd.readouterr().err
    assert ended
    assert [(stage, total, total) for stage, _, total in ended] == ended


def test_amounts_leave_out_what_is_not_known() -> None:
    assert amount(5_000_000, None, "bytes", 0) == "5.0 MB"
    assert amount(5_000_000, None, "bytes", 0, pieces=2_000_000) == "5.0 MB, 2.0 M pieces"
    assert amount(7, None, "merges", 1) == "7 merges"
