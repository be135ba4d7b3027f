"""Running measurements: one process each, engines taking turns, each row written as soon as it is known.

An engine that is missing, fails or gives other ids gets one row that says so, and no further turn.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from benchmarks import machine
from benchmarks.engine import Engine

ROOT = Path(__file__).parents[1]
PATIENCE = 3600
"""Seconds after which a measurement is given up, by default."""

Row = dict[str, Any]
Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Runner:
    """What the measurements of one run share.

    Args:
        benchmark: "encode", "worst", "load" or "train".
        engines: the engines to measure, by the names that `find_engine` knows.
        runs: how many processes each figure is the median of.
        scratch: an existing directory for corpora and other files.
        common: what every row says: machine, command.
        sink: where rows are written as they come, one JSON object per line.
        patience: seconds after which a measurement is given up.
    """

    benchmark: str
    engines: Mapping[str, Engine]
    runs: int
    scratch: Path
    common: Mapping[str, Any]
    sink: TextIO | None = None
    patience: float = PATIENCE
    rows: list[Row] = field(default_factory=list)

    @property
    def able(self) -> list[str]:
        """The engines that can take part, by the names that `find_engine` knows."""
        return [name for name, engine in self.engines.items() if not engine.refusal(self.benchmark)]

    @property
    def files(self) -> Path:
        """The directory of the rivals' vocabulary files."""
        return self.scratch / "files"

    def refuse(self) -> None:
        """Add a row for each engine that cannot take part."""
        for engine in self.engines.values():
            if refusal := engine.refusal(self.benchmark):
                self.add(engine, refusal)

    def write_files(self, encodings: Sequence[str]) -> None:
        """Write the vocabulary files that rivals load these encodings from."""
        from benchmarks.rivals import write_files

        self.files.mkdir()
        write_files(self.files, encodings)

    def measure(self, engine: str, measure: str, threads: int = 1, **arguments: Any) -> Outcome:
        """Run one measurement in its own process and return what it found: `status`, then figures or a `note`."""
        job, result = self.scratch / "job.json", self.scratch / "result.json"
        result.unlink(missing_ok=True)
        job.write_text(json.dumps({"engine": engine, "measure": measure, "threads": threads, **arguments}))
        command = [sys.executable, "-m", "benchmarks.worker", str(job), str(result)]
        environment = machine.environment(threads, self.files)
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, timeout=self.patience, check=False
            )
        except subprocess.TimeoutExpired:
            return {"status": "failed", "note": f"given up after {self.patience:g} seconds"}
        if done.returncode or not result.exists():
            return {"status": "failed", "note": _why(done.returncode, done.stderr.decode(errors="replace"))}
        outcome: Outcome = json.loads(result.read_bytes())
        return outcome

    def take_turns(
        self, measure: str, about: Mapping[str, Any], names: Iterable[str], **arguments: Any
    ) -> Iterator[tuple[Engine, list[Outcome]]]:
        """Measure with each named engine in turn, `runs` times over, and yield the outcomes of those that succeeded every time.

        The others get their row here, except those that are "absent". `about` is what rows say about the measurement; `arguments`
        go to its process. Ctrl-C ends it once the figures so far are in rows, as medians of fewer processes.
        """
        what = ", ".join(str(about[key]) for key in about if key not in ("sha256", "bytes"))
        outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
        interrupted: KeyboardInterrupt | None = None
        try:
            for run in range(self.runs):
                for name in list(outcomes):
                    self.say(f"{what}: {name}, {run + 1} of {self.runs}")
                    outcome = self.measure(name, measure, **arguments)
                    if outcome["status"] == "ok":
                        outcomes[name].append(outcome)
                        continue
                    del outcomes[name]
                    if outcome["status"] != "absent":
                        self.add(self.engines[name], about, outcome)
        except KeyboardInterrupt as error:
            interrupted = error
        self.say(what, end="\n")
        yield from ((self.engines[name], found) for name, found in outcomes.items() if found)
        if interrupted:
            raise interrupted

    def add(self, engine: Engine, *parts: Mapping[str, Any]) -> None:
        """Add a row to the results, and write it at once."""
        row: Row = {"benchmark": self.benchmark, **self.common, "engine": engine.name}
        if engine.installed:
            row["version"] = engine.version
        for part in parts:
            row |= part
        self.rows.append(row)
        if self.sink:
            print(json.dumps(row), file=self.sink, flush=True)

    def say(self, message: str, end: str = "") -> None:
        """Report progress: on a terminal in one line that changes, elsewhere in a line at the end of each group."""
        if sys.stderr.isatty():
            shown = message[: shutil.get_terminal_size().columns - 1]
            print(f"\r{shown}", end=f"\x1b[K{end}", file=sys.stderr, flush=True)
        elif end:
            print(message, file=sys.stderr, flush=True)


def _why(status: int, told: str) -> str:
    """Say why a process failed: by the last line of its errors that is not a hint, and by the signal that ended it."""
    lines = [line for line in told.splitlines() if line.strip() and not line.startswith("note: ")]
    ended = f"exit status {status}"
    if status < 0:
        ended = f"ended by {signal.Signals(-status).name}"
        if status == -signal.SIGKILL:
            ended += ", as the system does when memory is short"
    return "; ".join([*lines[-1:], *([ended] if status < 0 or not lines else [])])
