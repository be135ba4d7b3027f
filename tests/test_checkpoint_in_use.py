"""A checkpoint that one run is using is refused to any other at once, and neither run loses anything."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from minbpe import count, locked, train
from minbpe.checkpoint import Checkpoint, using
from minbpe.counting import Progress
from minbpe.errors import CorpusError
from minbpe.locked import Lock
from minbpe.vocabulary import Vocabulary
from tests.test_checkpoint import StoppedError
from tests.test_cli import error, output
from tests.test_resuming_kinds import KINDS, SMALL, TEXT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a directory")

RUNS: dict[str, Callable[..., Any]] = {"counting": count, **KINDS}
IN_USE = r"another run is using the checkpoint in .*kept: wait for it to end, or name another"

CHILD = """
import sys
from pathlib import Path
from minbpe.checkpoint import Checkpoint
from tests.test_checkpoint_in_use import RUNS
kept, told = Path(sys.argv[2]), []
def wait(progress):
    if kept.exists() and not told:
        told.append(print("in use", flush=True))
        sys.stdin.readline()
RUNS[sys.argv[1]](Path(sys.argv[3]), checkpoint=Checkpoint(kept, every=0, stays=True), progress=wait)
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A corpus that several processes know by the same name."""
    (tmp_path / "text").write_text(TEXT)
    return tmp_path / "text"


def content(kept: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}


def refuse(_: Progress) -> None:
    raise AssertionError("the run is refused before it begins")


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("kind", RUNS)
def test_a_second_process_is_refused_until_the_first_has_ended_or_is_killed(
    kind: str, killed: bool, text: Path, tmp_path: Path
) -> None:
    kept, run = tmp_path / "kept", RUNS[kind]
    command = [sys.executable, "-c", CHILD, kind, str(kept), str(text)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"in use\n"
        before = content(kept)
        for resume in (True, False):
            with pytest.raises(CorpusError, match=IN_USE):
                run(text, checkpoint=Checkpoint(kept, resume=resume), progress=refuse)
        with pytest.raises(CorpusError, match=IN_USE):
            Checkpoint(kept).remove()
        assert content(kept) == before != {}
        if killed:
            child.send_signal(signal.SIGKILL)
        child.communicate(b"\n")
    assert child.returncode == (-signal.SIGKILL if killed else 0)
    assert Checkpoint(kept).holds_something() == (killed or kind != "counting")
    assert run(text, checkpoint=kept) == run(text)


@contextmanager
def running(run: Callable[..., Any], source: Any, checkpoint: Checkpoint) -> Iterator[list[Any]]:
    """Have a run wait in another thread, its checkpoint made, while the block runs; its result is then in the list."""
    made, over, results = threading.Event(), threading.Event(), list[Any]()

    def wait(_: Progress) -> None:
        if Path(checkpoint.path).exists():
            made.set()
            assert over.wait(60)

    thread = threading.Thread(target=lambda: results.append(run(source, checkpoint=checkpoint, progress=wait)))
    thread.start()
    try:
        assert made.wait(60)
        yield results
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kind", RUNS)
def test_a_second_thread_is_refused(kind: str, tmp_path: Path) -> None:
    kept, run = Checkpoint(tmp_path / "kept", every=0), RUNS[kind]
    with running(run, TEXT, kept) as results:
        before = content(tmp_path / "kept")
        with pytest.raises(CorpusError, match=IN_USE):
            run(TEXT, checkpoint=kept, progress=refuse)
        (tmp_path / "elsewhere").symlink_to(tmp_path / "kept")
        with pytest.raises(CorpusError, match=r"another run is using the checkpoint in .*elsewhere"):
            run(TEXT, checkpoint=tmp_path / "elsewhere", progress=refuse)
        assert content(tmp_path / "kept") == before != {}
    assert results == [run(TEXT)]


@pytest.mark.parametrize(("other", "ended"), [*((other, False) for other in RUNS), *((other, True) for other in KINDS)])
@pytest.mark.parametrize("kind", ["counting", "training", "extending"])
def test_of_two_runs_that_begin_without_a_directory_the_second_to_make_it_is_refused(
    kind: str, other: str, ended: bool, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    results: list[list[Any]] = []
    left: dict[Path, bytes] = {}

    def let_another_begin(_: Progress) -> None:
        if not results:
            assert not kept.exists()
            results.append(stack.enter_context(running(RUNS[other], TEXT, Checkpoint(kept, every=0))))
            if ended:
                stack.close()
            left.update(content(kept))
        if kind == "counting":  # A short count makes a directory only if an exception ends it.
            raise StoppedError

    with ExitStack() as stack:
        with pytest.raises(CorpusError, match=IN_USE):
            RUNS[kind](TEXT, checkpoint=kept, progress=let_another_begin)
        assert content(kept) == left != {}
    assert results == [[RUNS[other](TEXT)]]


def test_a_run_that_made_no_directory_removes_none(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "kept", every=0)

    def let_another_begin(_: Progress) -> None:
        train(TEXT, 300, checkpoint=kept)

    assert count(TEXT, checkpoint=tmp_path / "kept", progress=let_another_begin) == count(TEXT)
    assert kept.holds_something()


@pytest.mark.parametrize("kind", RUNS)
def test_a_directory_that_another_run_locks_as_soon_as_it_is_made_is_left_to_that(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, another = Path.mkdir, Lock(tmp_path / "kept")

    def make(path: Path) -> None:
        mkdir(path)
        another.take()

    monkeypatch.setattr(Path, "mkdir", make)
    with pytest.raises(CorpusError, match=IN_USE):
        RUNS[kind](TEXT, checkpoint=Checkpoint(tmp_path / "kept", every=0))
    assert another.holds()
    another.release()


@pytest.mark.parametrize("again", [False, True])
def test_a_directory_that_the_run_before_removes_while_it_is_locked_is_not_taken_for_another(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, lock = tmp_path / "kept", locked.fcntl.flock

    def remove_first(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        kept.rename(tmp_path / "removed")
        if again:
            kept.mkdir()
        lock(descriptor, how)

    kept.mkdir()
    monkeypatch.setattr(locked.fcntl, "flock", remove_first)
    with using(kept) as used:
        assert used.lock
        assert used.lock.holds() == again
        if again:
            with pytest.raises(CorpusError, match=IN_USE):
                train(TEXT, 300, checkpoint=kept)
        with using(tmp_path / "removed"):
            pass


@pytest.mark.parametrize("without", ["flock on this file system", "flock on this system"])
@pytest.mark.parametrize("kind", RUNS)
def test_where_no_directory_can_be_locked_a_checkpoint_works_as_well(
    kind: str, without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    if without == "flock on this system":
        monkeypatch.setattr(locked, "fcntl", None)
    else:
        monkeypatch.setattr(locked.fcntl, "flock", fail)
    run, kept = RUNS[kind], Checkpoint(tmp_path / "kept", every=0)
    with pytest.raises(StoppedError):
        run(TEXT, checkpoint=kept, progress=stop)
    assert kept.holds_something()
    for resume in (True, False):
        assert run(TEXT, checkpoint=Checkpoint(tmp_path / "kept", resume=resume)) == run(TEXT)
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def stop(_: Progress) -> None:
    raise StoppedError


def open_files() -> list[str]:
    return os.listdir("/dev/fd")  # noqa: PTH208 (there are only names)


@pytest.mark.parametrize("kind", RUNS)
def test_no_run_leaves_a_file_open_however_it_ends(kind: str, tmp_path: Path) -> None:
    run, kept = RUNS[kind], Checkpoint(tmp_path / "kept", every=0)
    run(TEXT, checkpoint=kept)
    before, errors = open_files(), []
    for again in (run, partial(run, progress=stop), partial(run, progress=interrupt), partial(run, threads=0), run):
        try:
            again(TEXT, checkpoint=kept)
        except BaseException as error:  # The traceback holds the frames of the run.
            errors.append(error)
    (tmp_path / "kept").mkdir(exist_ok=True)
    with using(kept):
        try:
            run(TEXT, checkpoint=kept)
        except CorpusError as error:
            errors.append(error)
    assert [type(error) for error in errors] == [StoppedError, KeyboardInterrupt, ValueError, CorpusError]
    assert open_files() == before


def interrupt(_: Progress) -> None:
    raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_meanwhile_does_not_keep_the_checkpoint(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    children: list[int] = []

    def fork(_: Progress) -> None:
        if (tmp_path / "kept").exists() and not children:
            children.append(os.fork())
            if not children[0]:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)

    kept = Checkpoint(tmp_path / "kept", every=0)
    try:
        train(TEXT, 300, checkpoint=kept, progress=fork)
        assert train(TEXT, 310, checkpoint=kept) == train(TEXT, 310)
        assert os.waitpid(children[0], os.WNOHANG) == (0, 0)
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(children[0], 0)


COMMANDS = {
    "count": ["count", "text"],
    "train": ["train", "text", "--size", "300"],
    "train in stages": ["train", "text", "--stage", "gpt4:280", "--stage", "none:300"],
    "extend": ["extend", "own", "text", "--add", "9"],
}


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("command", COMMANDS)
def test_two_commands_with_one_out_are_told_apart_until_the_first_has_written_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    SMALL.save("own")
    line, kept = [*COMMANDS[command], "--out", "own"], Path("own.checkpoint")
    tried: list[object] = []
    kept.mkdir()
    with using(kept):
        for more in ([], ["--resume"], ["--no-resume"]):
            message = error(capfd, 1, *line, *more)
            assert message.endswith(
                "another run is using the checkpoint in own.checkpoint: wait for it to end, or name another (for a command, "
                "another --out)"
            )

    def in_use_while(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any) -> Any:
            with pytest.raises(CorpusError, match="another run is using the checkpoint"):
                train(TEXT, 300, checkpoint=kept)
            tried.append(write)
            return write(*arguments)

        return written

    module = sys.modules["minbpe.cli.count"]
    monkeypatch.setattr(Vocabulary, "save", in_use_while(Vocabulary.save))
    monkeypatch.setattr(module, "save_counted", in_use_while(vars(module)["save_counted"]))
    output(capfd, *line)
    assert len(tried) == 1
    assert not kept.exists()
