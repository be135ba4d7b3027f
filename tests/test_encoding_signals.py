"""A long encoding ends soon after Ctrl-C, or after whatever a signal's handler raises, and the next one is right."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import minbpe
from minbpe import Encoding, Vocabulary

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")


class HandlerError(Exception):
    """What the handler raises."""


@pytest.fixture(scope="module")
def words() -> str:
    """Text that takes about half a second to encode without a cache, and that nothing shortens."""
    letters = random.Random(0)
    return " ".join("".join(letters.choices("abcdefghij", k=9)) for _ in range(1_000_000))


@pytest.fixture(scope="module")
def encoding() -> Encoding:
    return Encoding.from_vocabulary(minbpe.get_encoding("gpt2").vocabulary, cache_size=0)


PAIRS = [(left, right) for left in range(97, 103) for right in range(97, 107)]
RANKS = {token: rank for rank, token in enumerate([*(bytes([byte]) for byte in range(256)), *map(bytes, PAIRS)])}
ONE_PIECE = {
    "merged in blocks": (Vocabulary.from_merges(PAIRS), 28_000_000),
    "merged by rank": (Vocabulary.from_ranks(RANKS | {b"xyz": len(RANKS)}), 2_000_000),
    "in stages": (Vocabulary.from_merges(PAIRS, stages=[(0, r"\w+|\s"), (40, None)]), 10_000_000),
}
"""To these vocabularies a text is one piece, and one of so many bytes takes long."""


def heard(call: Callable[[], object]) -> int:
    """Return how often a handler runs until `call` ends, for a signal every 10 ms: once if only its end lets it."""
    times = 0

    def hear(*_: object) -> None:
        nonlocal times
        times += 1

    with handler(hear, every=0.01):
        call()
    return times


@contextmanager
def handler(handle: Callable[..., object], every: float) -> Iterator[None]:
    """Have `handle` called at a signal of the timer, first after `every` seconds."""
    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, every, every)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stop(*_: object) -> None:
    raise HandlerError


CALLS: dict[str, Callable[[Encoding, str, Path], object]] = {
    "encode": lambda encoding, text, _: encoding.encode(text),
    "encode_ordinary": lambda encoding, text, _: encoding.encode_ordinary(text),
    "encode_to_numpy": lambda encoding, text, _: encoding.encode_to_numpy(text),
    "encode_bytes": lambda encoding, text, _: encoding.encode_bytes(text.encode()),
    "encode_with_offsets": lambda encoding, text, _: encoding.encode_with_offsets(text),
    "encode_with_unstable": lambda encoding, text, _: encoding.encode_with_unstable(text),
    "count": lambda encoding, text, _: encoding.count(text),
    "encode_up_to": lambda encoding, text, _: encoding.encode_up_to(text, 10**9),
    "truncate": lambda encoding, text, _: encoding.truncate(text, 10**9),
    "encode_ordinary_batch": lambda encoding, text, _: encoding.encode_ordinary_batch([text] * 4, num_threads=2),
    "encode_batch_flat on one thread": lambda encoding, text, _: encoding.encode_batch_flat(["a", text], num_threads=1),
    "encode_batch_flat": lambda encoding, text, _: encoding.encode_batch_flat([text] * 4, num_threads=2),
    "encode_files on one thread": lambda encoding, _, file: encoding.encode_files([file], num_threads=1),
    "encode_files": lambda encoding, _, file: encoding.encode_files([file] * 4, num_threads=2),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_exception_from_a_handler_ends_a_long_call(
    name: str, words: str, encoding: Encoding, tmp_path: Path
) -> None:
    file = tmp_path / "words"
    file.write_text(words)
    assert heard(lambda: CALLS[name](encoding, words, file)) > 2
    with pytest.raises(HandlerError), handler(stop, every=0.03):
        CALLS[name](encoding, words, file)
    assert encoding.encode("a few words") == minbpe.get_encoding("gpt2").encode("a few words")


@pytest.mark.parametrize("kind", ONE_PIECE)
def test_nor_is_a_long_piece_encoded_to_its_end(kind: str, words: str) -> None:
    vocabulary, length = ONE_PIECE[kind]
    encoding, text = Encoding.from_vocabulary(vocabulary), (words * 4)[:length]
    for call in (lambda: encoding.count(text), lambda: encoding._encode_single_piece(text)):
        assert heard(call) > 2
        with pytest.raises(HandlerError), handler(stop, every=0.03):
            call()
    assert encoding.count("ab c") == 3


def test_ctrl_c_is_a_keyboard_interrupt(words: str, encoding: Encoding) -> None:
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        encoding.encode_batch_flat([words] * 100, num_threads=2)
    timer.join()


def test_a_handler_may_encode_with_the_same_encoding(words: str, encoding: Encoding) -> None:
    within: list[list[int]] = []
    with handler(lambda *_: within.append(encoding.encode_ordinary(words[:100_000])), every=0.2):
        ids = encoding.encode_ordinary(words)
    expected = minbpe.get_encoding("gpt2").encode_ordinary(words)
    assert ids == expected
    assert within
    assert all(part[:20_000] == expected[:20_000] for part in within)


def test_another_thread_goes_on(words: str, encoding: Encoding) -> None:
    counted: list[int] = []
    worker = threading.Thread(target=lambda: counted.append(encoding.count(words)))
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(len(counted)))
    try:
        worker.start()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        worker.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [0]
    assert counted == [minbpe.get_encoding("gpt2").count(words)]
