"""Progress bars on stderr for work of more than a second: how far, how fast, how long still. Only on a terminal."""

from math import sqrt
from time import monotonic
from types import TracebackType
from typing import Literal, NamedTuple, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Unit = Literal["bytes", "merges"]

PATIENCE = 1.0
"""Seconds before anything is drawn: what ends sooner needs no bar."""
INTERVAL = 0.1


class Report(NamedTuple):
    """How far a stage is: how much is done, of how much if that is known, and perhaps in how many pieces."""

    stage: str
    done: int
    total: int | None
    unit: Unit
    pieces: int

    def length(self) -> tuple[float, float | None]:
        """Return how long the bar is, and what it is a part of."""
        if self.unit == "merges":
            return work(self.done), self.total and work(self.total)
        return self.done, self.total


class Bars:
    """A bar for each stage of some work; all of them vanish when the work ends, well or not.

    >>> with Bars() as bars:
    ...     bars.show("reading", 1_000_000, 31_000_000)
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._drawn = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._stages: dict[str, tuple[TaskID, float]] = {}
        """The bar of each stage, and when the stage began."""
        self._last: Report | None = None
        self._patience = monotonic() + PATIENCE
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            if self._last and kind is None:
                self._draw(self._last, ended=True)
            self._progress.stop()

    def show(self, stage: str, done: int, total: int | None, unit: Unit = "bytes", pieces: int = 0) -> None:
        """Report that `done` of `total` is done in `stage`, perhaps with a number of pieces; cheap enough to call per document."""
        if not self._drawn:
            return
        last, self._last = self._last, Report(stage, done, total, unit, pieces)
        now = monotonic()
        if last and last.stage == stage and now < self._next:
            return
        new = stage not in self._stages
        if last and last.stage != stage:
            self._draw(last, ended=new)
        if new:
            self._stages[stage] = (self._progress.add_task(stage, total=None, amount=""), now)
        if now < self._patience:
            return
        self._next = now + INTERVAL
        self._progress.start()
        self._draw(self._last)

    def _draw(self, report: Report, *, ended: bool = False) -> None:
        """Make a bar as long as a report says, or full if its stage has ended and never knew how much there was to do."""
        stage, done, total, unit, pieces = report
        task_id, began = self._stages[stage]
        completed, whole = report.length()
        now = monotonic()
        if completed < self._progress.tasks[task_id].completed:  # The stage begins anew, for the next part of the work.
            self._progress.reset(task_id)
            self._stages[stage] = (task_id, now)
        if ended and whole is None:
            whole = completed
        said = amount(done, total, unit, now - began, pieces) if done else ""
        self._progress.update(task_id, completed=completed, total=whole, amount=said)


def work(merges: int) -> float:
    """Return how much work these merges are, the first of a training, in a unit that takes about the same time throughout.

    Frequent pairs are merged first, in many places each: half of the merges are done in some four fifths of the time. By the
    fourth root of their number, a bar is at most a fifth of its length away from the share of the time that has passed.

    >>> round(work(16_384) / work(32_768), 2)
    0.84
    """
    return sqrt(sqrt(merges))


def amount(done: int, total: int | None, unit: Unit, seconds: float, pieces: int = 0) -> str:
    """Say how much is done and how fast.

    >>> amount(12_500_000, 31_000_000, "bytes", 2.5)
    '12.5 of 31.0 MB, 5.0 MB/s'
    >>> amount(12_500_000, None, "bytes", 0.1, pieces=3_125_000)
    '12.5 MB, 3.1 M pieces, 125.0 MB/s'
    >>> amount(1_200, 32_512, "merges", 2.5)
    '1,200 of 32,512 merges'
    """
    if unit == "merges":
        return f"{done:,} of {total:,} merges" if total else f"{done:,} merges"
    size = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB"
    counted = f", {pieces / 1e6:.1f} M pieces" if pieces else ""
    speed = f", {done / 1e6 / seconds:.1f} MB/s" if seconds > 0 else ""
    return size + counted + speed
