"""The watch in real processes: signals, deadlines, stuck loops, and a process that was only asleep."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buoy.errors import EXIT_LOOP, EXIT_OK
from buoy.gateway.watch import Watch

SRC = Path(__file__).parents[2] / "src"

CHILD = """
import asyncio, signal, sys, time
from buoy.gateway.watch import Watch

def stuck_here():
    time.sleep(30)

async def main():
    ended = asyncio.Event()
    words = lambda code, why: print("last words", code, flush=True)
    watch = Watch(ended.set, deadline_s={deadline_s}, stuck_s={stuck_s}, last_words=words)
    watch.start()
    print("up", flush=True)
    {body}
    await ended.wait()
    print("ended", flush=True)
    return watch

watch = asyncio.run(main())
watch.stop()
print("over", flush=True)
"""


@contextmanager
def child(body: str = "pass", *, deadline_s: float = 0.8, stuck_s: float = 30.0) -> Iterator[subprocess.Popen[str]]:
    """A process under watch that says "up" and then does ``body``."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(deadline_s=deadline_s, stuck_s=stuck_s, body=body)],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for it: exit code, output, errors."""
    out, errors = process.communicate(timeout=10)
    return process.returncode, out, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_loop_at_once(number: signal.Signals) -> None:
    with child(deadline_s=5.0) as process:
        began = time.monotonic()
        process.send_signal(number)
        code, out, _ = end(process)
        assert (code, out) == (EXIT_OK, "ended\nover\n")
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("body", ["stuck_here()", "ended = asyncio.Event()"])
def test_sigterm_ends_a_process_within_the_deadline_whatever_its_loop_does(body: str) -> None:
    """The first blocks the loop; the second has a loop that turns and an orderly end that never comes."""
    with child(
        body, deadline_s=1.0
    ) as process:  # as long as four of the thread's ticks: the last may not come after it
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code, out, errors = end(process)
        assert time.monotonic() - began < 1.0
        assert (code, out) == (EXIT_OK, "last words 0\n")
        assert "not everything had ended after 1 s" in errors


DEAF = """async def deaf():
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    task = asyncio.ensure_future(deaf())"""


def test_a_task_that_hinders_the_loop_s_close_does_not_hinder_the_end() -> None:
    with child(DEAF) as process:
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code, out, _ = end(process)
        assert time.monotonic() - began < 0.8 + 0.3
        assert (code, out) == (EXIT_OK, "ended\nlast words 0\n")


def test_an_end_that_had_a_cause_keeps_its_code_past_the_deadline() -> None:
    lost = "watch.begin_shutdown(74, 'the store is lost'); watch.begin_shutdown(); ended.set()"
    with child(f"{DEAF}; {lost}") as process:
        code, out, errors = end(process)
        assert (code, out[-14:]) == (74, "last words 74\n")
        assert "the store is lost; not everything had ended" in errors


def test_a_stuck_loop_prints_where_it_stands_and_ends_the_process() -> None:
    with child("stuck_here()", stuck_s=0.6) as process:
        code, out, errors = end(process)
        assert (code, out) == (EXIT_LOOP, "last words 70\n")
        assert "stuck for 0.6 s" in errors
        assert "in stuck_here" in errors


def test_a_disk_that_does_not_answer_hides_no_last_word() -> None:
    with child("watch._last_words = lambda *_: time.sleep(30); stuck_here()", stuck_s=0.6) as process:
        code, _, errors = end(process)
        assert code == EXIT_LOOP
        assert "in stuck_here" in errors


FULL = "pipe = os.pipe(); fcntl.fcntl(pipe[1], 1031, 4096); os.write(pipe[1], b'x' * 4096); os.dup2(pipe[1], 2)"


@pytest.mark.parametrize("gone", ["os.close(2)", "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)", FULL])
def test_it_ends_the_process_also_where_nobody_can_read_why(gone: str) -> None:
    with child(f"import fcntl, os; {gone}; stuck_here()", stuck_s=0.6) as process:
        code, _, _ = end(process)
        assert code == EXIT_LOOP


BUSY = """while not ended.is_set():
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        await asyncio.sleep(0)"""  # so that the watch looks before the loop has turned


def test_a_process_that_was_stopped_is_not_called_stuck() -> None:
    with child(BUSY, stuck_s=1.2) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.7)
        process.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.7)  # the watch looks twice meanwhile
        process.send_signal(signal.SIGTERM)
        code, out, errors = end(process)
        assert (code, out, errors) == (EXIT_OK, "ended\nover\n", "")


def test_another_signal_ends_nothing() -> None:
    body = "signal.signal(signal.SIGUSR1, lambda *_: print('heard', flush=True))\n    print('ready', flush=True)"
    with child(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "heard\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        process.send_signal(signal.SIGTERM)
        assert end(process)[:2] == (EXIT_OK, "ended\nover\n")


def test_it_gives_the_signals_back_and_counts_the_deadline_down() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threads = threading.active_count()

    async def main() -> None:
        inside = signal.getsignal(signal.SIGINT)
        watch = Watch(lambda: None, deadline_s=5.0)
        watch.start()
        assert watch.remaining_s == 5.0
        watch.begin_shutdown()
        assert 4.0 < watch.remaining_s <= 4.8
        ends_at = watch._ends_at
        watch.begin_shutdown()
        assert watch._ends_at == ends_at, "a second signal wins no time"
        watch.stop()
        assert signal.getsignal(signal.SIGINT) is inside

    asyncio.run(main())
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    assert threading.active_count() == threads
