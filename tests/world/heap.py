"""The event heap of the world, and the loops of the processes that live in it.

One heap orders everything that happens: what the platform does, what the network carries, what each process waits for.
A process has an asyncio loop of its own, :class:`ProcessLoop`, which is only a view of the heap: real code runs on it
unchanged. It can be killed at any step, after which nothing of it ever runs again, and it can stand still. The order of
events depends on the seed alone: tasks hash by number, and nothing looks at a real clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

MICRO = 1e-6  # two times closer than this are the same


class Handle:
    """One callback, due at a time of the heap. Satisfies what asyncio expects of a TimerHandle."""

    __slots__ = ("_when", "args", "is_off", "loop", "run")

    def __init__(
        self,
        loop: ProcessLoop | None,
        run: Callable[..., Any],
        args: tuple[Any, ...],
        when: float,
    ) -> None:
        self.loop = loop
        self.run = run
        self.args = args
        self._when = when
        self.is_off = False

    def cancel(self) -> None:
        self.is_off = True

    def cancelled(self) -> bool:
        return self.is_off

    def when(self) -> float:
        """Return when it is due, on its own loop's clock."""
        return self._when


class Numbered(asyncio.Task[Any]):
    """A task whose place in a set depends on when it was made, not on where it lies in memory."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: ProcessLoop, number: int, **told: Any) -> None:
        self.number = number
        super().__init__(coro, loop=loop, **told)

    def __hash__(self) -> int:
        return self.number


class Heap:
    """Time, and everything that is going to happen."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.steps = 0
        """Callbacks run so far, all loops together."""
        self.on_step: Callable[[], None] | None = None
        """Called before each callback of a process, while it is set: to kill one exactly there."""
        self._timers: list[tuple[float, int, Handle]] = []
        self._ready: deque[Handle] = deque()
        self._serial = itertools.count()
        self._entered: ProcessLoop | None = None

    def at(self, when: float, run: Callable[..., Any], *args: Any) -> Handle:
        """Let something happen in the world itself, outside every process."""
        handle = Handle(None, run, args, when)
        heapq.heappush(self._timers, (max(when, self.now), next(self._serial), handle))
        return handle

    def later(self, delay_s: float, run: Callable[..., Any], *args: Any) -> Handle:
        return self.at(self.now + delay_s, run, *args)

    def push(self, when: float, handle: Handle) -> None:
        heapq.heappush(self._timers, (max(when, self.now), next(self._serial), handle))

    def soon(self, handle: Handle) -> None:
        self._ready.append(handle)

    def run_until(self, end: float) -> None:
        """Let everything happen that is due until then."""
        timers, ready, run, pop = self._timers, self._ready, self._run, heapq.heappop
        try:
            while True:
                while ready:
                    run(ready.popleft())
                if not timers or timers[0][0] > end:
                    break
                when, _, handle = pop(timers)
                if handle.is_off:
                    continue
                self.now = when
                if handle.loop is None:
                    handle.run(*handle.args)
                else:
                    run(handle)
        finally:
            self.enter(None)
        self.now = max(self.now, end)

    def enter(self, loop: ProcessLoop | None) -> None:
        """Make this the running loop. The real call asks the system for the process's id, so only a change costs it."""
        if loop is not self._entered:
            self._entered = loop
            asyncio._set_running_loop(loop)

    def _run(self, handle: Handle) -> None:
        loop = handle.loop
        if handle.is_off:
            return
        if loop is None:
            handle.run(*handle.args)
            return
        if loop.is_dead:
            return
        if loop.stands_until is not None:
            loop.wait(handle)
            return
        if loop._lag and handle._when - loop.time() > MICRO:  # its clock stood still meanwhile
            self.push(loop.world_time(handle._when), handle)
            return
        self.steps += 1
        if self.on_step is not None:
            self.on_step()
            if loop.is_dead:
                return
        if loop is not self._entered:
            self.enter(loop)
        try:
            handle.run(*handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            loop.call_exception_handler({"message": "callback raised", "exception": error})


class ProcessLoop(asyncio.AbstractEventLoop):
    """The asyncio loop of one process. ``thread_s`` says how long a job on a thread takes, before and after it runs."""

    def __init__(self, heap: Heap, thread: Callable[[Callable[..., Any]], tuple[float, float]]) -> None:
        self.heap = heap
        self.is_dead = False
        self.stands_until: float | None = None
        self.unseen: list[str] = []
        """Errors that nobody looked at: each of them is a bug."""
        self.tasks = 0
        self._thread = thread
        self._lag = 0.0
        self._waiting: list[Handle] = []

    # --- life ---

    def kill(self) -> None:
        """Run nothing of it any more."""
        self.is_dead = True
        self._waiting.clear()

    def stand(self, seconds: float, *, clock_stops: bool) -> None:
        """Stand still: SIGSTOP, or a suspended machine whose monotonic clock stops as well."""
        self.stands_until = self.heap.now + seconds
        self.heap.at(self.stands_until, self._go_on, seconds if clock_stops else 0.0)

    def _go_on(self, lost_s: float) -> None:
        self.stands_until = None
        self._lag += lost_s
        waiting, self._waiting = self._waiting, []
        for handle in waiting:
            self.heap.push(max(self.heap.now, self.world_time(handle.when())), handle)

    def wait(self, handle: Handle) -> None:
        """Keep a callback until the process goes on."""
        self._waiting.append(handle)

    def world_time(self, when: float) -> float:
        """When this loop's clock will show ``when``: rather a little late, since a timer that is early starts again."""
        return when + self._lag + MICRO if self._lag else when

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        if self.stands_until is not None:
            return self.stands_until - self._lag
        return self.heap.now - self._lag

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        del context  # nothing that runs here keeps anything in context variables
        handle = Handle(self, callback, args, -1.0)
        if not self.is_dead:
            self.heap.soon(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        del context
        handle = Handle(self, callback, args, when)
        if not self.is_dead and when < float("inf"):
            self.heap.push(self.world_time(when), handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **told: Any) -> asyncio.Task[Any]:
        self.tasks += 1
        return Numbered(coro, loop=self, number=self.tasks, **told)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run a job as a thread would: it takes time before it happens, and time until the loop hears of it."""
        del executor
        before_s, after_s = self._thread(func)
        future = self.create_future()
        self.call_later(before_s, self._work, future, after_s, func, args)
        return future

    def _work(
        self, future: asyncio.Future[Any], after_s: float, func: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        try:
            result, error = func(*args), None
        except Exception as caught:  # it belongs to who awaits
            result, error = None, caught
        self.call_later(after_s, _tell, future, result, error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.is_dead:
            self.unseen.append(f"{context.get('message')}: {context.get('exception')!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.is_dead

    def is_closed(self) -> bool:
        return False


def _tell(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
