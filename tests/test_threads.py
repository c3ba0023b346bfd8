"""Work by several threads, in order, and Ctrl-C at safe places."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from mien._threads import defer_signals, in_order


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


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal for oneself")
def test_a_signal_waits_for_the_end_of_the_block() -> None:
    done = []

    def strike(*, fails: bool) -> None:
        with defer_signals():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(True)
            if fails:
                raise ValueError

    with pytest.raises(KeyboardInterrupt):
        strike(fails=False)
    with pytest.raises(KeyboardInterrupt) as found:
        strike(fails=True)
    assert done == [True, True]
    assert isinstance(found.value.__context__, ValueError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Ctrl-C strikes just when the main thread has taken a lock of a queue or of a future.
INTERRUPTED = """
import operator, os, signal, sys, threading, time
from mien._threads import in_order
from mien.data.prepare.work import run_tasks

enter, hits, main = threading.Condition.__enter__, [], threading.get_ident()

def strike(lock):
    taken = enter(lock)
    if threading.get_ident() == main and len(results) > 3:
        hits.append(True)
        if len(hits) == {hit}:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)
    return taken

if __name__ == "__main__":
    results = []
    threading.Condition.__enter__ = strike
    try:
        for result in {call}:
            results.append(result)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal for oneself")
@pytest.mark.parametrize("hit", [2, 3, 4, 10])
@pytest.mark.parametrize(
    "call", ["in_order(range(40), lambda _: time.sleep(0.005), 2)", "run_tasks(operator.neg, range(99), 99, workers=2)"]
)
def test_ctrl_c_leaves_no_lock_taken(call: str, hit: int, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.format(call=call, hit=hit))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)
