"""The `minbpe` command, one module per verb: results on stdout, everything else on stderr, exit codes 0, 1 and 2."""

import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from inspect import getdoc
from pathlib import Path

from cyclopts import App, CycloptsError, MissingArgumentError
from rich.console import Console

from minbpe import __version__
from minbpe.cli.count import count
from minbpe.cli.demo import demo
from minbpe.cli.extend import extend
from minbpe.cli.ids import decode, encode
from minbpe.cli.inspect import inspect
from minbpe.cli.output import standard_output
from minbpe.cli.shard import shard
from minbpe.cli.shared import NOTHING_HALF, UsageError
from minbpe.cli.train import train
from minbpe.errors import MinbpeError
from minbpe.formats.vocab_text import replace_control_characters

OPTIONS = {"vocab_size": "size"}
PARAMETER = re.compile(
    r"(?<![\w./'\"-])(?:vocab_size|tokens_per_shard|end_of_text|min_count|min_frequency|max_token_length|max_memory|spill_to)"
    r"(?![\w/'\"-]|\.\w)"
)
"""Parameter names in the library's errors and warnings; the same words in a path or in quotes are something else."""

FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141

EXAMPLES: dict[Callable[..., None], tuple[str, str]] = {
    demo: ("[OPTIONS] [CORPUS]", "minbpe demo"),
    train: ("--out PATH [OPTIONS] SOURCES...", "minbpe train books/ --glob '*.txt' --size 32768 --out tok32k"),
    extend: (
        "--add N --out PATH [OPTIONS] TOKENIZER SOURCES...",
        "minbpe extend cl100k_base notes/ --glob '*.md' --add 1000 --out cl101k",
    ),
    count: ("--out PATH [OPTIONS] SOURCES...", "minbpe count books/ --glob '*.txt' --out books.counts"),
    shard: (
        "--tokenizer NAME --out PATH [OPTIONS] SOURCES...\n       minbpe shard --verify PATH [--json]",
        "minbpe shard books/ --tokenizer tok32k.model --out shards",
    ),
    encode: ("--tokenizer NAME [OPTIONS] [TEXT...]", "minbpe encode -t o200k_base 'hello world'"),
    decode: ("--tokenizer NAME [OPTIONS] [IDS...]", "minbpe decode -t o200k_base 24912 2375"),
    inspect: ("[OPTIONS] NAME", "minbpe inspect tok32k.model"),
}
"""How each command is called, and an example to start with."""


def _unwrapped(page: str) -> str:
    """Return a docstring with each paragraph and argument on one line: help is as wide as the terminal, not the source."""
    return re.sub(r"(?<=\S)\n(?: {8,})?(?=\S)", " ", page)


app = App(
    name="minbpe",
    help="Byte pair encoding: trains vocabularies exactly, encodes as tiktoken does, checks both.",
    help_epilogue="`minbpe COMMAND --help` has a page on each. Begin with: minbpe demo",
    help_format="plaintext",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for place, (command, (usage, example)) in enumerate(EXAMPLES.items()):
    command.__doc__ = _unwrapped(getdoc(command) or "")
    app.command(
        command,
        sort_key=place,
        usage=f"Usage: minbpe {command.__name__} {usage}",
        help_epilogue=f"Example: {example}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return 0, or 1 for a failure, 2 for wrong usage, 130 for Ctrl-C, 141 for a closed pipe."""
    warnings.showwarning = _warn
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (to print, file=None means standard output)
    try:
        with standard_output():
            app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        _say("error", _missing(error) if isinstance(error, MissingArgumentError) else error)
        print("Try: minbpe --help, or --help after a command", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:
        return PIPE_CLOSED  # The reader has seen enough.
    except (MinbpeError, OSError, MemoryError) as error:
        _say("error", "; ".join([str(error) or "there is not enough memory", *getattr(error, "__notes__", ())]))
        return FAILED
    except KeyboardInterrupt as error:
        _say("interrupted", "; ".join(error.args or [NOTHING_HALF]))
        return INTERRUPTED
    return 0


def _missing(error: MissingArgumentError) -> str:
    """Say which argument is missing, or has no value."""
    return f"{error.keyword} needs a value" if error.keyword else f"{error.argument and error.argument.name} is missing"


def _in_options(message: str) -> str:
    """Return a message with options under their names on the command line instead of those in Python.

    >>> _in_options("vocab_size is 200, and tokens_per_shard is 0: see min_count.txt")
    '--size is 200, and --tokens-per-shard is 0: see min_count.txt'
    """
    return PARAMETER.sub(lambda found: f"--{OPTIONS.get(found[0], found[0].replace('_', '-'))}", message)


def _say(kind: str, message: object) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]minbpe: {kind}:[/]", end=" ")
    print(_in_options(replace_control_characters(" ".join(str(message).split()))), file=sys.stderr)


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    _say("warning", message)
