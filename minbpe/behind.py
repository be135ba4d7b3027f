"""Work behind the caller: one call at a time, in a thread of its own, while the caller prepares the next."""

from collections.abc import Callable
from threading import Thread
from types import TracebackType
from typing import Self


class Behind:
    """Runs calls one after the other, each while the caller goes on; what one raises, the next `do` or the end of the block raises.

    >>> squares = []
    >>> with Behind(2) as behind:
    ...     for number in range(4):
    ...         behind.do(lambda number=number: squares.append(number**2))
    >>> squares
    [0, 1, 4, 9]
    """

    def __init__(self, threads: int) -> None:
        """With one thread, a call is over when `do` returns."""
        self._threads = threads
        self._running: Thread | None = None
        self._failed: BaseException | None = None

    def do(self, call: Callable[[], object]) -> None:
        """Wait for the call before, and begin this one."""
        if self._threads == 1:
            call()
            return
        self.wait()
        self._running = Thread(target=self._run, args=[call])
        self._running.start()

    def wait(self) -> None:
        """Wait for the call that runs, and raise what it raised."""
        if self._running:
            self._running.join()
        self._running, failed, self._failed = None, self._failed, None
        if failed:
            raise failed

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            self._failed = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception:
            if value is None:
                raise
