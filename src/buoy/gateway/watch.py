"""A thread that needs no event loop: it hears signals, sees a stuck loop, and bounds shutdown with `os._exit`.

Nothing inside asyncio can promise to end a process: a blocked callback blocks the promise too.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from buoy.errors import EXIT_LOOP, EXIT_OK

TICK_S = 0.25
STUCK_S = 30.0  # ours: a loop that did not turn for this long is stuck, not busy
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
SAY_S = 2.0  # what a stack may take to print
RESERVE_S = 0.2  # of the deadline, to print and go


class Watch:
    """Start it from the main thread, inside the running loop.

    Stop it after the loop was closed: closing waits for every task that does not listen to its cancellation.
    """

    def __init__(
        self,
        on_signal: Callable[[], None],
        *,
        deadline_s: float,
        stuck_s: float = STUCK_S,
        last_words: Callable[[int, str], None] | None = None,
    ) -> None:
        self._on_signal = on_signal
        self._deadline_s = deadline_s
        self._stuck_s = stuck_s
        self._last_words = last_words
        self._beat = time.monotonic()
        self._ends_at: float | None = None
        self._code, self._why = EXIT_OK, ""
        self._is_over = threading.Event()
        self._read, self._write = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="buoy-watch", daemon=True)
        self._timer: asyncio.TimerHandle | None = None
        self._before: dict[int, Any] = {}
        self.lag_s = 0.0
        self.max_lag_s = 0.0

    def start(self) -> None:
        """Take the signals and begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._write.setblocking(False)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, lambda *_: None)
            self._wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._tick()
        self._thread.start()

    def _tick(self) -> None:
        now = time.monotonic()
        self.lag_s = max(0.0, now - self._beat - TICK_S)
        self.max_lag_s = max(self.max_lag_s, self.lag_s)
        self._beat = now
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def begin_shutdown(self, code: int = EXIT_OK, why: str = "") -> None:
        """From now on the process ends within the deadline, whatever happens, with ``code`` where it has one."""
        self._code, self._why = (code, f"{why}; ") if code else (self._code, self._why)
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._deadline_s - RESERVE_S

    @property
    def remaining_s(self) -> float:
        """What is left of the deadline; the whole of it before shutdown began."""
        return self._deadline_s if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def stop(self) -> None:
        """Give the signals back and end the thread."""
        self._is_over.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._before:
            try:
                signal.set_wakeup_fd(self._wakeup)
            except (ValueError, OSError):  # it was the loop's own, which is closed by now
                signal.set_wakeup_fd(-1)
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._thread.join(timeout=2 * TICK_S)
        self._read.close()
        self._write.close()

    def _run(self) -> None:
        previous = time.monotonic()
        while not self._is_over.is_set():
            wait_s = TICK_S if self._ends_at is None else min(TICK_S, max(0.0, self._ends_at - previous))
            readable, _, _ = select.select([self._read], [], [], wait_s)
            now = time.monotonic()
            if now - previous > TICK_S * 4:
                self._beat = max(self._beat, now - TICK_S)  # all of it slept (SIGSTOP, suspend): not the loop's fault
            previous = now
            if readable and not SIGNALS.isdisjoint(self._read.recv(64)):
                self.begin_shutdown()
                with suppress(RuntimeError):  # the loop is closed already; the deadline holds all the same
                    self._loop.call_soon_threadsafe(self._on_signal)
            if self._ends_at is not None:
                if now >= self._ends_at:
                    self._leave(
                        self._code,
                        f"{self._why}not everything had ended after {self._deadline_s:g} s; "
                        "what is open is in the store",
                    )
            elif now - self._beat > self._stuck_s:
                self._leave(
                    EXIT_LOOP,
                    f"the event loop has been stuck for {self._stuck_s:g} s; it stands here:",
                    is_stuck=True,
                )

    def _leave(self, code: int, why: str, *, is_stuck: bool = False) -> None:
        """End the process now; say why first."""
        if self._is_over.is_set():
            return
        ends_at = time.monotonic() + (SAY_S if is_stuck else RESERVE_S)
        try:  # on threads that may hang: a pipe that nobody reads blocks who writes to it, and so does a silent disk
            words = [
                threading.Thread(target=self._note, args=(code, why), daemon=True),
                threading.Thread(target=self._say, args=(why,), kwargs={"is_stuck": is_stuck}, daemon=True),
            ]
            for thread in words:
                thread.start()
            for thread in words:
                thread.join(max(0.0, ends_at - time.monotonic()))
        finally:
            os._exit(code)

    def _note(self, code: int, why: str) -> None:
        """Leave a last word where it is kept."""
        if self._last_words is not None:
            with suppress(Exception):
                self._last_words(code, why)

    def _say(self, why: str, *, is_stuck: bool) -> None:
        """Leave a last word, where somebody reads."""
        with suppress(Exception):
            print(f"buoy: {why}", file=sys.stderr, flush=True)  # noqa: T201  no logger: it may be what is stuck
            if is_stuck:
                faulthandler.dump_traceback(all_threads=True)
