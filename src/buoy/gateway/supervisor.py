"""Keeps long-running tasks running: whatever ended, for whatever reason, starts again, with backoff, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from buoy.errors import BuoyError
from buoy.logger import Logger

BACKOFF_S = (0.1, 1.0, 2.0, 5.0)  # behaviour S2: back within 5 s
STABLE_S = 60.0

log = Logger("buoy.supervisor")


@dataclass(slots=True)
class Child:
    """What is known about one task."""

    name: str
    restarts: int = 0
    failures: int = 0
    """In a row, without a stable minute between them."""
    last_end: str = ""
    started_at: float = 0.0


class Supervisor:
    """Runs named services for ever and short jobs to their end; owns every task that it starts."""

    def __init__(self) -> None:
        self.children: dict[str, Child] = {}
        self.job_failures = 0
        self.is_stopping = False
        """Services that end from now on may stay ended."""
        self._services: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()

    def keep(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Run a service under this name until :meth:`stop`."""
        if self.is_stopping:
            return
        child = self.children.setdefault(name, Child(name))
        task = asyncio.get_running_loop().create_task(self._keep(child, service), name=name)
        self._services.add(task)
        task.add_done_callback(partial(self._kept, child, service))

    def _kept(self, child: Child, service: Callable[[], Awaitable[None]], task: asyncio.Task[None]) -> None:
        """Who watches the watcher (behaviour S3): begin anew where keeping itself ended, a broken log for one."""
        self._services.discard(task)
        if self.is_stopping or task.cancelled() or (error := task.exception()) is None:
            return
        child.restarts += 1
        child.last_end = f"not kept: {type(error).__name__}: {error}"
        asyncio.get_running_loop().call_later(BACKOFF_S[-1], self.keep, child.name, service)

    async def _keep(self, child: Child, service: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            child.started_at = loop.time()
            try:
                await loop.create_task(_once(service), name=child.name)  # a service that cancels itself ends only that
                child.last_end = "returned"
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
                child.last_end = "cancelled from inside"
            except Exception as error:
                child.last_end = f"{type(error).__name__}: {error}"
                log.exception("service failed", service=child.name, exc_info=not isinstance(error, BuoyError))
            if self.is_stopping:
                return
            child.restarts += 1
            child.failures = 1 if loop.time() - child.started_at >= STABLE_S else child.failures + 1
            pause = BACKOFF_S[min(child.failures, len(BACKOFF_S)) - 1]
            log.warning(
                "service restarts",
                service=child.name,
                ended=child.last_end,
                restarts=child.restarts,
                in_s=pause,
            )
            await asyncio.sleep(pause)

    def start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a job to its end. A job that raises is a bug: it is logged and counted, never lost."""
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.job_failures += 1
            log.error("job failed", exc_info=error)

    @property
    def jobs(self) -> int:
        """How many jobs run now."""
        return len(self._jobs)

    @property
    def kept(self) -> int:
        """How many services somebody keeps: they run, or wait for their next start."""
        return sum(not task.done() for task in self._services)

    async def stop(self, *, timeout_s: float) -> None:
        """Cancel everything and wait for it, no longer than told."""
        self.is_stopping = True
        tasks = [*self._services, *self._jobs]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)


async def _once(service: Callable[[], Awaitable[None]]) -> None:
    await service()
