"""The command `minbpe`: a module a verb; results on stdout, all else on stderr, exit codes 0, 1 and 2."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from cyclopts import App, CycloptsError
from rich.console import Console

from minbpe import __version__
from minbpe.cli.count import count
from minbpe.cli.demo import demo
from minbpe.cli.ids import decode, encode
from minbpe.cli.inspect import inspect
from minbpe.cli.output import standard_output
from minbpe.cli.shard import shard
from minbpe.cli.shared import UsageError
from minbpe.cli.train import train
from minbpe.errors import MinbpeError

FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141

EXAMPLES: dict[Callable[..., None], str] = {
    demo: "minbpe demo",
    train: "minbpe train books/ --glob '*.txt' --size 32768 --out tok32k",
    count: "minbpe count books/ --glob '*.txt' --out books.counts",
    shard: "minbpe shard books/ --tokenizer tok32k.model --out shards",
    encode: "minbpe encode -t o200k_base 'hello world'",
    decode: "minbpe decode -t o200k_base 24912 2375",
    inspect: "minbpe inspect tok32k.model",
}

app = App(
    name="minbpe",
    help="Byte pair encoding: trains vocabularies exactly, encodes as tiktoken does, checks both.",
    help_epilogue="`minbpe COMMAND --help` has a page on each. Begin with: minbpe demo",
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for place, (command, example) in enumerate(EXAMPLES.items()):
    app.command(command, sort_key=place, help_epilogue=f"Example: {example}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 for what went wrong, 2 for a wrong use, 130 for Ctrl-C."""
    warnings.showwarning = _warn
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (for print, no file at all is standard output)
    try:
        with standard_output():
            app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        _say("error", error)
        print("Try: minbpe --help, or --help after a command", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:
        return PIPE_CLOSED  # The reader has seen enough.
    except (MinbpeError, OSError, MemoryError) as error:
        _say("error", "; ".join([str(error) or "there is not enough memory", *getattr(error, "__notes__", ())]))
        return FAILED
    except KeyboardInterrupt as error:
        _say("interrupted", "; ".join(["nothing half-written is left", *error.args]))
        return INTERRUPTED
    return 0


def _say(kind: str, message: object) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]minbpe: {kind}:[/]", end=" ")
    print(" ".join(str(message).split()), file=sys.stderr)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _say("warning", message)
