"""Measures minbpe beside other tokenizers, each in processes of its own."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

from cyclopts import App, Parameter
from cyclopts.validators import Number

from benchmarks import encoding, loading, machine, tables, training, worst
from benchmarks.corpora import available, find, name_of
from benchmarks.engine import Engine, Output, TieBreak
from benchmarks.engines import ENGINES, find_engine
from benchmarks.runner import PATIENCE, Runner

RESULTS = Path(__file__).parent / "results"
QUICK = 0.2
"""Megabytes of a quick run."""

INTERRUPTED = 130

Many = Parameter(consume_multiple=True, negative="", show_default=lambda values: " ".join(map(str, values)) or None)
Flag = Parameter(negative="", show_default=False)
Chosen = Annotated[tuple[str, ...], Many]
Megabytes = Annotated[float, Parameter(validator=Number(gt=0, lte=1e6))]
Threads = Annotated[int, Parameter(validator=Number(gte=1, lte=1 << 16))]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Common:
    """The options of every benchmark.

    Attributes:
        engines: Which engines to measure; by default all that can. MODULE:NAME is an `Engine` of your own.
        runs: How many processes each figure is the median of.
        quick: Only check that it works: a single run on a little text.
        out: A new file, where rows go as they come, one JSON object per line; by default one in benchmarks/results.
        json: Print rows instead of tables.
    """

    engines: Chosen = ()
    runs: Annotated[int, Parameter(validator=Number(gte=1))] = 7
    quick: Annotated[bool, Flag] = False
    out: Path | None = None
    json: Annotated[bool, Flag] = False


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Text:
    """Which text to encode.

    Attributes:
        corpora: Names of corpora, files or directories; by default those on this machine.
        megabytes: How much of each to take, spread evenly over it.
    """

    corpora: Chosen = ()
    megabytes: Megabytes = 20


app = App(
    name="python -m benchmarks",
    usage="Usage: python -m benchmarks COMMAND [OPTIONS]",
    help=__doc__,
    help_epilogue="Begin with: python -m benchmarks encode --quick",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command(sort_key=0)
def encode(
    *,
    encodings: Chosen = ("cl100k_base",),
    shapes: Annotated[tuple[encoding.Shape, ...], Many] = encoding.SHAPES,
    outputs: Annotated[tuple[Output, ...], Many] = encoding.OUTPUTS,
    threads: Annotated[tuple[Threads, ...], Many] = (1, 2),
    text: Text = Text(),
    common: Common = Common(),
) -> None:
    """Encode text: new text, seen text, long and short, as lists and buffers.

    Args:
        encodings: Published encodings.
        shapes: "text": half of the corpus as one text; "documents": 1 to 4 KB each; "calls": 20 bytes each, one per call.
        outputs: "buffer": ids as uint32; "list": Python ints.
        threads: How many threads and cores.
        text: Which text.
        common: Engines and runs.
    """
    names = _corpora(text.corpora, common, encoding.LEFT_OUT)
    if common.quick:
        encodings, threads = encodings[:1], threads[:1]
    with _runner("encode", common) as runner:
        encoding.run(runner, encodings, names, shapes, outputs, threads, _bytes(text, common))


@app.command(name="worst", sort_key=1)
def worst_cases(
    *,
    encodings: Chosen = ("cl100k_base",),
    kinds: Annotated[Chosen, Parameter(show_default=" | ".join)] = tuple(worst.KINDS),
    outputs: Annotated[tuple[Output, ...], Many] = encoding.OUTPUTS,
    megabytes: Annotated[tuple[Megabytes, ...], Many] = (0.5, 1),
    patience: Annotated[float, Parameter(validator=Number(gt=0, lte=1e6))] = 60,
    common: Common = Common(),
) -> None:
    """Encode texts of one kind, most of them one piece: random letters, a million spaces.

    Args:
        encodings: Published encodings.
        kinds: Kinds of text.
        outputs: "buffer": ids as uint32; "list": Python ints.
        megabytes: How long each text is; all of these lengths.
        patience: Seconds after which a process that has not finished is given up.
        common: Engines and runs.
    """
    if unknown := set(kinds) - set(worst.KINDS):
        raise ValueError(f"no kind of text is called {min(unknown)!r}: there are {', '.join(worst.KINDS)}")
    if common.quick:
        encodings, kinds, megabytes = encodings[:1], kinds[:1], (QUICK,)
    with _runner("worst", common, patience) as runner:
        worst.run(runner, encodings, kinds, outputs, megabytes)


@app.command(sort_key=2)
def train(
    *,
    sizes: Annotated[tuple[int, ...], Many] = (32768,),
    patterns: Chosen = ("gpt4", "gpt2"),
    tie_breaks: Annotated[tuple[TieBreak, ...], Many] = ("lowest",),
    threads: Annotated[tuple[Threads, ...], Many] = (1, 2),
    corpora: Chosen = (),
    megabytes: Annotated[tuple[Megabytes, ...], Many] = (20,),
    common: Common = Common(),
) -> None:
    """Train vocabularies: seconds, memory, and how few tokens held-out text takes.

    Args:
        sizes: How many tokens, including the 256 bytes.
        patterns: Names of split patterns.
        tie_breaks: Tie rules: "lowest", which most engines have, and "first".
        threads: How many threads and cores.
        corpora: Names of corpora, files or directories; by default those on this machine.
        megabytes: How much of each to take; all of these lengths.
        common: Engines and runs.
    """
    names = _corpora(corpora, common, training.LEFT_OUT)
    if common.quick:
        sizes, patterns, threads, megabytes = (512,), patterns[:1], threads[:1], (QUICK,)
    with _runner("train", common) as runner:
        training.run(runner, names, sizes, patterns, tie_breaks, threads, [int(length * 1e6) for length in megabytes])


@app.command(sort_key=3)
def load(
    *,
    encodings: Chosen = ("cl100k_base", "o200k_base"),
    common: Common = Common(),
) -> None:
    """Load encodings in fresh processes: seconds to import, seconds to load, memory.

    Args:
        encodings: Published encodings.
        common: Engines and runs.
    """
    with _runner("load", common) as runner:
        loading.run(runner, encodings)


@app.command(sort_key=4, usage="Usage: python -m benchmarks table FILES...")
def table(*files: Annotated[Path, Parameter(required=True)]) -> None:
    """Print files of results as Markdown.

    Args:
        files: What the other commands wrote.
    """
    rows = [row for file in files for row in _read(file)]
    if not rows:
        raise ValueError(f"no rows are in {', '.join(map(str, files))}: name files that a benchmark wrote")
    try:
        print(tables.markdown(rows, _width()), end="")
    except KeyError as error:
        raise ValueError(
            f"a row in {', '.join(map(str, files))} lacks {error}: measure again, or leave out its file"
        ) from error


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of results."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{file}:{number}: not a row of results ({error}): remove the line") from error
            if not isinstance(row, dict) or not {"benchmark", "engine", "status"} <= row.keys():
                raise ValueError(f"{file}:{number}: not a row of results: name files that a benchmark wrote")
            yield row


def _width() -> int | None:
    """Return the width to fit tables into: that of the terminal; None if they go elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _command(arguments: Sequence[str]) -> str:
    """Return the command as results show it: files given by an absolute path appear by name only."""
    names = (Path(argument).name if Path(argument).is_absolute() else argument for argument in arguments)
    return "python -m benchmarks " + shlex.join(names)


@contextmanager
def _runner(benchmark: str, common: Common, patience: float = PATIENCE) -> Iterator[Runner]:
    """Yield a runner, and print what it measured when the block ends; by Ctrl-C or an error, only if that is something."""
    names = common.engines or [name for name, engine in ENGINES.items() if _relevant(engine, benchmark)]
    engines = {name: find_engine(name) for name in names}
    about = {
        "machine": machine.describe(),
        "command": _command(sys.argv[1:]),
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
    }
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink: TextIO | None = None
        if common.out:
            if common.out.is_file() and common.out.stat().st_size:
                raise ValueError(f"{common.out} holds results: name a new file")
            sink = stack.enter_context(common.out.open("w", encoding="utf-8"))
        elif not common.quick:
            sink = stack.enter_context(_new_results(benchmark))
            stack.callback(_remove_if_empty, sink)
        runner = Runner(benchmark, engines, 1 if common.quick else common.runs, scratch, about, sink, patience)
        runner.refuse()
        try:
            yield runner
        except BaseException:
            if any(row["status"] == "ok" for row in runner.rows):
                _print(runner, common)
            raise
        _print(runner, common)


def _print(runner: Runner, common: Common) -> None:
    if common.json:
        print("\n".join(map(json.dumps, runner.rows)))
    else:
        print(tables.markdown(runner.rows, _width()), end="")


def _new_results(benchmark: str) -> TextIO:
    """Open a new file in benchmarks/results; FileExistsError if another run of this benchmark began in the same second."""
    RESULTS.mkdir(exist_ok=True)
    return (RESULTS / f"{benchmark}-{datetime.now():%Y-%m-%d-%H%M%S}.jsonl").open("x", encoding="utf-8")


def _remove_if_empty(file: TextIO) -> None:
    if not file.tell():
        Path(file.name).unlink()


def _relevant(engine: Engine, benchmark: str) -> bool:
    return engine.by_default and bool(engine.trainer if benchmark == "train" else engine.encoder or engine.reason)


def _corpora(chosen: Sequence[str], common: Common, left_out: str) -> Sequence[str]:
    """Return the names of the corpora; a wrong one is reported before anything is measured."""
    every = [name for name in available() if name != left_out]
    names = chosen or (every[:1] if common.quick else every)
    for name in names:
        find(name)
    title, times = Counter(map(name_of, names)).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"{times} corpora are called {title!r}: name each once, and rename files that rows could not tell apart"
        )
    return names


def _bytes(text: Text, common: Common) -> int:
    return int((QUICK if common.quick else text.megabytes) * 1e6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; errors are reported without a traceback."""
    try:
        app(arguments)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nbenchmarks: interrupted; what was measured, if anything, is above and in the file of results",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
