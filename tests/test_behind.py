"""Calls that run behind their caller."""

import threading

import pytest

from minbpe.behind import Behind


@pytest.mark.parametrize("threads", [1, 2])
def test_calls_run_in_order_one_at_a_time(threads: int) -> None:
    running, most, order = 0, 0, []

    def call(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        running -= 1

    with Behind(threads) as behind:
        for number in range(100):
            behind.do(lambda number=number: call(number))  # type: ignore[misc]
    assert (order, most) == ([*range(100)], 1)


def test_the_caller_goes_on_meanwhile_and_the_block_ends_after_the_call() -> None:
    went_on, done = threading.Event(), []
    with Behind(2) as behind:
        behind.do(lambda: done.append(went_on.wait(60)))
        went_on.set()
    assert done == [True]


def test_with_one_thread_a_call_is_over_at_once_and_raises_where_it_was_made() -> None:
    seen: list[threading.Thread] = []
    with Behind(1) as behind:
        behind.do(lambda: seen.append(threading.current_thread()))
        assert seen == [threading.current_thread()]
        with pytest.raises(ZeroDivisionError):
            behind.do(lambda: 1 // 0)


def test_what_a_call_raises_comes_from_the_next_one_which_does_not_run() -> None:
    done: list[int] = []
    with Behind(2) as behind:
        behind.do(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            behind.do(lambda: done.append(1))
        behind.do(lambda: done.append(2))
    assert done == [2]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_what_the_last_call_raises_comes_at_the_end_of_the_block(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)), Behind(2) as behind:
        behind.do(fail)


def test_an_exception_of_the_block_waits_for_the_call_and_stands() -> None:
    goes_on, done = threading.Event(), []

    def call() -> None:
        done.append(goes_on.wait(60))
        raise OSError("no space left")

    with pytest.raises(RuntimeError, match="of the block"), Behind(2) as behind:
        behind.do(call)
        goes_on.set()
        raise RuntimeError("of the block")
    assert done == [True]
