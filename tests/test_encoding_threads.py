"""One Encoding in many threads and processes: equal results, no lock held, no warning, no child that hangs."""

import os
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import minbpe

TEXT = "The quick brown fox, 12345 👍 中文\n\n  don't " * 40
can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

# The beginning of each program below. A child process exits with 0 if it encodes as its parent did.
PROGRAM = """
import multiprocessing, os, signal, sys, threading, warnings
import minbpe
text = {text!r}
encoding = minbpe.get_encoding("gpt2")
custom = encoding.with_special_tokens({{"<|x|>": 300_000}}, name="custom")
expected = encoding.encode_ordinary(text)

def encodes_as_before():
    signal.alarm(60)  # rather than hang
    rows = encoding.encode_ordinary_batch([text] * 20) + encoding.encode_batch([text] * 20, num_threads=3)
    return rows == [expected] * 40 and custom.encode_ordinary(text) == expected and encoding.decode(expected) == text

def child_exits_with():
    child = os.fork()
    if child == 0:
        os._exit(0 if encodes_as_before() else 1)
    return os.waitpid(child, 0)[1]
"""


def run(program: str, tmp_path: Path) -> list[str]:
    """Run PROGRAM and `program` as a file, with warnings as errors, and return what they print, line by line."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM.format(text=TEXT) + program, encoding="utf-8")
    repository = Path(minbpe.__file__).parents[1]
    paths = os.pathsep.join(filter(None, [str(repository), os.environ.get("PYTHONPATH", "")]))
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.splitlines()


# Threads


def test_64_threads_that_share_an_encoding_get_the_same() -> None:
    encoding = minbpe.get_encoding("cl100k_base")
    texts = [TEXT[n : n + 700] + "<|endoftext|>" * (n % 3) for n in range(64)]
    expected = [encoding.encode(text, allowed_special="all") for text in texts]
    together = threading.Barrier(64)

    def work(n: int) -> bool:
        together.wait()
        fresh = encoding.with_special_tokens({f"<|{n}|>": 200_000})
        for turn in range(64):
            text, ids = texts[(n + turn) % 64], expected[(n + turn) % 64]
            assert encoding.encode(text, allowed_special="all") == ids
            assert encoding.encode(text, allowed_special={"<|endoftext|>", f"<|{n}-{turn}|>"}) == ids
            assert fresh.encode(text, allowed_special="all") == ids
            assert encoding.decode(ids) == text
            assert encoding.count(text) == len(encoding.encode_ordinary(text))
            assert encoding.encode_batch([text, "a"], num_threads=2, disallowed_special=())[1] == [64]
        return True

    with ThreadPoolExecutor(64) as pool:
        assert all(pool.map(work, range(64)))


@pytest.mark.parametrize("method", ["encode", "encode_to_numpy", "count", "encode_batch_flat"])
def test_other_threads_run_while_a_text_is_encoded(method: str) -> None:
    encoding = minbpe.get_encoding("o200k_base")
    encode, long = getattr(encoding, method), TEXT * 16000  # some 60 ms a call: more than 15 steps
    argument = [long] if method == "encode_batch_flat" else long
    calls, seen = 0, threading.Event()

    def work() -> None:
        nonlocal calls
        while not seen.is_set() and calls < 50:
            calls += 1
            encode(argument)

    # If a call held the lock, this thread would wake only at the call's end, and find the next call begun each time it wakes.
    worker = threading.Thread(target=work)
    worker.start()
    steps, call = 0, 0
    while steps < 15 and worker.is_alive():
        time.sleep(0.001)
        steps, call = (steps + 1, call) if calls == call else (0, calls)
    seen.set()
    worker.join()
    assert steps == 15


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has an interpreter lock")
def test_a_python_without_interpreter_lock_stays_without(tmp_path: Path) -> None:
    assert run("print(sys._is_gil_enabled())", tmp_path) == ["False"]


# Processes


@can_fork
def test_a_forked_child_encodes_after_its_parent_used_threads(tmp_path: Path) -> None:
    program = """
print(encodes_as_before(), threading.active_count())
print(child_exits_with(), child_exits_with())
"""
    assert run(program, tmp_path) == ["True 1", "0 0"]


@can_fork
def test_a_child_forked_while_threads_encode_can_encode(tmp_path: Path) -> None:
    program = """
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
stop = threading.Event()
def work():
    while not stop.is_set():
        encoding.encode_ordinary_batch([text * 20] * 4, num_threads=2)
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
print({child_exits_with() for _ in range(20)})
stop.set()
for thread in threads:
    thread.join()
"""
    assert run(program, tmp_path) == ["{0}"]


@pytest.mark.parametrize("method", [pytest.param("fork", marks=can_fork), "spawn"])
def test_a_pool_of_processes_encodes_with_named_and_custom_encodings(method: str, tmp_path: Path) -> None:
    program = f"""
if __name__ == "__main__":
    if {method!r} == "fork":
        encodes_as_before()
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        for any_encoding in (encoding, custom):
            print(pool.map(any_encoding.encode_ordinary, [text] * 8) == [expected] * 8)
            print(pool.apply(any_encoding.encode_ordinary_batch, ([text] * 8,)) == [expected] * 8)
        pool.close()
        pool.join()
"""
    assert run(program, tmp_path) == ["True"] * 4
