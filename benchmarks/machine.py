"""The machine that measures: what it is, and what a process on it may use."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path


def describe() -> dict[str, object]:
    """Return what a reader needs to know about this machine to judge its figures."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "pinned": hasattr(os, "sched_setaffinity"),
    }


def pin(threads: int) -> None:
    """Pin this process to as many cores as it has threads, the last ones, where the system can do that.

    Raises:
        ValueError: there are fewer cores.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if threads > len(cores):
            raise ValueError(f"{threads} threads want as many cores, and this process may use {len(cores)}")
        os.sched_setaffinity(0, cores[-threads:])


def be_ended_first() -> None:
    """Have Linux end this process first where memory is short: a tokenizer that takes too much loses its row, and no other."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")


def environment(threads: int, files: Path) -> dict[str, str]:
    """Return the environment of a measured process: rivals read the number of threads and their files from it.

    Python may cache its bytecode, as pip has done for the rivals: importing this package takes 4 ms with the cache, 24 without.
    """
    return os.environ | {
        "PYTHONDONTWRITEBYTECODE": "",
        "RAYON_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": str(threads > 1).lower(),
        "TIKTOKEN_CACHE_DIR": str(files),
        "HF_HUB_OFFLINE": "1",
    }


def peak_memory() -> float:
    """Return the peak memory of this process, in MB.

    On Linux this is the high-water mark of the address space: `ru_maxrss` would count what the parent had when it started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        marks = (line.split() for line in status.read_text().splitlines())
        return next(int(fields[1]) * 1024 / 1e6 for fields in marks if fields and fields[0] == "VmHWM:")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def processor_seconds() -> float:
    """Return the processor time of this process so far, over all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
