"""How long an agent may take: one timer for all turns, because one for each would cost every message."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

TICK_S: Final = 5.0  # how often it looks while anything is limited, so that it sees how long the process stood still
TOO_LATE: Final = "too late"  # what the cancellation carries
STOOD_S: Final = 1.0  # a look that comes later than this was held up by a standstill (fault 23), not by a busy loop


class Patience:
    """Interrupts tasks that are late. Use :meth:`limit` around what may take long, inside the task itself."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def limit(self, seconds: float) -> Generator[None, None, None]:
        """Cancel the current task when its block takes longer than ``seconds``.

        Raises:
            LateError: it did. A cancellation that came from elsewhere passes through.
        """
        task = asyncio.current_task()
        assert task is not None
        self._watch(task, asyncio.get_running_loop().time() + seconds)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._late and task.uncancel() == 0:
                raise LateError from None
            raise
        finally:
            self._until.pop(task, None)
            self._late.discard(task)

    @contextmanager
    def pause(self, task: asyncio.Task[Any] | None = None) -> Generator[None, None, None]:
        """Stop the clock of a task's limit, the current one's: what happens meanwhile is not what is being waited for.

        Where two pauses of one task overlap, the one that began first counts.
        """
        task = task or asyncio.current_task()
        assert task is not None
        clock = asyncio.get_running_loop().time
        until, began = self._until.get(task, math.inf), clock()
        if until == math.inf:
            yield
            return
        self._until[task] = math.inf
        try:
            yield
        finally:
            if task in self._until:  # its block may have ended, where another task paused it
                self._watch(task, until + clock() - began)

    def _watch(self, task: asyncio.Task[Any], until: float) -> None:
        self._until[task] = until
        if self._timer is None or until < self._timer.when():
            self._arm(until)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if at == math.inf else loop.call_at(min(at, loop.time() + TICK_S), self._sweep)

    def _sweep(self) -> None:
        """Interrupt who is late, and look again when the next one may be.

        A process that stood still (SIGSTOP) gave nobody the time that passed: every limit moves by it.
        """
        assert self._timer is not None
        now = asyncio.get_running_loop().time()
        if (stood_s := now - self._timer.when()) > STOOD_S:
            self._until = {task: until + stood_s for task, until in self._until.items()}
        for task in [task for task, until in self._until.items() if until <= now]:
            del self._until[task]
            self._late.add(task)
            task.cancel(TOO_LATE)
        self._timer = None
        self._arm(min(self._until.values(), default=math.inf))

    def stop(self) -> None:
        """Watch no more; whoever stops the tasks bounds them."""
        self._arm(math.inf)


class LateError(Exception):
    """The block took longer than its limit."""
