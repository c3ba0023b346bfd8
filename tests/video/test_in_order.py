"""Work by several threads, in order."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from mien._threads import in_order


def test_results_come_in_the_order_of_what_was_given() -> None:
    pauses = random.Random(3)

    def work(number: int) -> int:
        time.sleep(pauses.random() / 500)
        return -number

    assert list(in_order(range(60), work, 3)) == [-number for number in range(60)]


def test_workers_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)  # breaks, and raises, unless two wait there at once

    def work(number: int) -> int:
        both.wait()
        return number

    assert list(in_order(range(6), work, 2)) == list(range(6))


def test_no_more_is_taken_than_can_wait() -> None:
    taken = 0
    free = threading.Event()

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            if taken > 9:  # the results so far are not handed out: the first is not done
                raise AssertionError("too much was taken")
            if taken == 9:
                free.set()
            yield taken

    def work(number: int) -> int:
        assert free.wait(20)
        return number

    results = in_order(endless(), work, 3)
    assert next(results) == 1
    results.close()


def test_a_result_that_is_ready_does_not_wait_for_as_many_as_may_wait() -> None:
    taken = []

    def slow() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number
            time.sleep(0.02)

    results = in_order(slow(), lambda number: number, 10)
    assert next(results) == 0
    assert len(taken) < 20
    results.close()


def test_memory_does_not_grow_with_what_is_done() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            for result in in_order(range(count), lambda number: bytes(1000 + number % 2), 2):
                assert len(result) >= 1000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(5000) < peak(500) + 50_000  # 4,500 results more would be 4.5 MB


def test_what_work_raises_is_raised_in_its_turn() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    results = in_order(range(9), work, 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


def test_what_has_not_begun_is_left_out_after_an_end() -> None:
    begun = []
    go_on = threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        if number:
            assert go_on.wait(20)
        return number

    results = in_order(range(100), work, 1)
    assert next(results) == 0
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert begun in ([0], [0, 1])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mien")]
