"""What many tests need: tiktoken with its files but no network, and the corpora beside a checkout.

`MAX_EXAMPLES` in the environment is the number of cases that each generated test tries.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

from minbpe import _core
from minbpe.tiktoken_files import write_tiktoken_cache

# A shared machine may stall for a second, which says nothing about how long examples take to generate: no deadline.
hypothesis.settings.register_profile(
    "minbpe",
    deadline=None,
    max_examples=int(os.environ.get("MAX_EXAMPLES", "100")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minbpe")

# A shell's background job ignores Ctrl-C, and the children that tests interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiktoken_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `TIKTOKEN_CACHE_DIR` with every file that tiktoken reads, rebuilt from the packaged vocabularies."""
    directory = tmp_path_factory.mktemp("tiktoken")
    write_tiktoken_cache(directory)
    return directory


@pytest.fixture(scope="session")
def tiktoken_module(tiktoken_cache: Path) -> Iterator[ModuleType]:
    """The module `tiktoken`, whose `get_encoding` finds its files without a network."""
    module = pytest.importorskip("tiktoken", reason="tiktoken, which ids are compared with, is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(tiktoken_cache))
        yield module


@pytest.fixture(scope="module", params=["newest instructions", "baseline"])
def instructions(request: pytest.FixtureRequest) -> Iterator[None]:
    """The instructions that encoding uses: all that this processor has, then only the baseline that every processor has."""
    _core.use_baseline(request.param == "baseline")
    yield
    _core.use_baseline(False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The corpora beside a checkout; without them, the tests that need them are skipped."""
    directory = Path(__file__).parents[2] / "shared" / "data"
    if not directory.is_dir():
        pytest.skip(f"there are no corpora in {directory}")
    return directory


@pytest.fixture
def through_pipe(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Make a named pipe that `data` can be read from."""

    def through_pipe(data: bytes, name: str) -> Path:
        path = tmp_path / name
        os.mkfifo(path)

        def write() -> None:
            with contextlib.suppress(BrokenPipeError):
                path.write_bytes(data)

        threading.Thread(target=write, daemon=True).start()
        return path

    return through_pipe


class KilledError(BaseException):
    """Ends a run at a change of the disk; the disk no longer changes after it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Iterator[int]]:
    """Have all changes of the disk fail from the one of this number on, as a killed process makes none; return the count."""
    changes = {name: getattr(Path, name) for name in ("replace", "unlink", "mkdir", "rmdir")}

    def kill_at(last: float) -> Iterator[int]:
        made = count()

        def change(name: str, path: Path, *arguments: Any, **options: Any) -> Any:
            if next(made) >= last:
                raise KilledError
            return changes[name](path, *arguments, **options)

        for name in changes:
            monkeypatch.setattr(
                Path, name, lambda path, *arguments, name=name, **options: change(name, path, *arguments, **options)
            )
        return made

    return kill_at
