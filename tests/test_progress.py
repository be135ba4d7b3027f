"""Progress bars: what they say, and that merging fills them at an even pace."""

import re
from itertools import pairwise

import pytest

from minbpe import progress
from minbpe.progress import Bars, amount, work

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


def test_amounts_leave_out_what_is_not_known() -> None:
    assert amount(5_000_000, None, "bytes", 0) == "5.0 MB"
    assert amount(5_000_000, None, "bytes", 0, pieces=2_000_000) == "5.0 MB, 2.0 M pieces"
    assert amount(7, None, "merges", 1) == "7 merges"
