"""One measurement in a process of its own: `python -m benchmarks.worker JOB RESULT`, both JSON files.

The process is pinned to its cores before any part of a tokenizer is imported, ours included.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from benchmarks import machine
from benchmarks.engines import find_engine

MEASURES = {
    "encode": ("benchmarks.encoding", "measure"),
    "ids": ("benchmarks.encoding", "write_reference"),
    "load": ("benchmarks.loading", "measure"),
    "train": ("benchmarks.training", "measure"),
    "merges": ("benchmarks.training", "write_reference"),
}


def main() -> None:
    job, result = map(Path, sys.argv[1:])
    arguments = json.loads(job.read_bytes())
    machine.pin(arguments["threads"])
    machine.be_ended_first()
    engine = find_engine(arguments.pop("engine"))
    module, function = MEASURES[arguments.pop("measure")]
    outcome = getattr(import_module(module), function)(engine, **arguments)
    result.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
