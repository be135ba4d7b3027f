"""Progress bars on stderr for work of more than a second: how far, how fast, how long still. Only on a terminal."""

from time import monotonic
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

Unit = Literal["bytes", "merges"]

PATIENCE = 1.0
"""Seconds before anything is drawn: what ends sooner needs no bar."""
INTERVAL = 0.1


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
        self._told = (0, 0)
        """What the last call reported, drawn or not."""
        self._patience = monotonic() + PATIENCE
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def show(self, stage: str, done: int, total: int | None, unit: Unit = "bytes") -> None:
        """Report that `done` of `total` is done in `stage`; cheap enough to call for every document."""
        if not self._drawn:
            return
        now = monotonic()
        new = stage not in self._stages
        if new:
            for task in self._progress.tasks[-1:]:
                self._progress.update(task.id, completed=self._told[0], total=self._told[1])
            self._stages[stage] = (self._progress.add_task(stage, total=total, amount=""), now)
        self._told = (done, done if total is None else total)
        if not new and now < self._next:
            return
        if now < self._patience:
            return
        self._next = now + INTERVAL
        task_id, began = self._stages[stage]
        self._progress.start()
        said = amount(done, total, unit, now - began) if done else ""
        self._progress.update(task_id, completed=done, total=total, amount=said)


def amount(done: int, total: int | None, unit: Unit, seconds: float) -> str:
    """Say how much is done and how fast.

    >>> amount(12_500_000, 31_000_000, "bytes", 2.5)
    '12.5 of 31.0 MB, 5.0 MB/s'
    >>> amount(1_200, 32_512, "merges", 2.5)
    '1,200 of 32,512 merges'
    """
    if unit == "merges":
        return f"{done:,} of {total:,} merges" if total else f"{done:,} merges"
    size = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB"
    return f"{size}, {done / 1e6 / seconds:.1f} MB/s" if seconds > 0 else size
