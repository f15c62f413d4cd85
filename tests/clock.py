"""An event loop whose clock jumps: a test lives through days in milliseconds, and in the right order.

When nothing is ready, `time()` moves to the next timer at once. What happens outside the loop is waited for
in real time: executor jobs until they end, sockets for a moment (a peer in this process has its bytes in the
kernel by then), anything else inside `hold()`. Code under test takes its clock as an argument: `loop.time`.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from concurrent.futures import Executor

START = 1000.0  # not 0, so that `if at:` is not right by luck
SOCKET_GRACE_S = 0.005  # real seconds that open sockets get before the clock jumps over them
STUCK_S = 2.0  # real seconds without a timer, job or socket before we call it a deadlock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Stuck(RuntimeError):  # noqa: N818 - it names a state, as tests read it
    """Every task waits for something that no timer, job or socket will bring."""


class JumpingSelector(selectors.DefaultSelector):
    """Wait for sockets like any selector, but let `now` jump instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.outside = 0  # executor jobs and holds under way
        self._quiet: set[int] = set()  # the loop's own wake-up pipe, and listening sockets

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Remember which files say nothing about work in flight."""
        key = super().register(fileobj, events, data)
        if not self.get_map().keys() - {key.fd} or _listens(key.fd):
            self._quiet.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget the file."""
        key = super().unregister(fileobj)
        self._quiet.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; otherwise wait for the world outside, or jump by ``timeout``."""
        if ready := super().select(0):
            return ready
        if timeout is not None and timeout <= 0:
            return []
        if self.outside:
            return super().select(None)  # its end wakes the loop
        busy = self.get_map().keys() - self._quiet
        if timeout is None:
            if not busy and not (ready := super().select(STUCK_S)):
                raise Stuck("every task waits, and there is no timer, job or socket that could wake one")
            return ready or super().select(None)
        if busy and (ready := super().select(min(timeout, SOCKET_GRACE_S))):
            return ready
        self.now += timeout
        return []


def _listens(fd: int) -> bool:
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return False  # a pipe
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        sock.detach()


class JumpingLoop(asyncio.SelectorEventLoop):
    """A selector event loop on virtual time."""

    def __init__(self) -> None:
        self._world = JumpingSelector()
        super().__init__(self._world)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._world.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run it for real; the clock stands still until its future is done."""
        future = super().run_in_executor(executor, func, *args)
        self._world.outside += 1
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self._world.outside -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the executor's threads in real time."""
        del timeout  # 3.12 has it; virtual seconds would mean nothing here
        with self.hold():
            await super().shutdown_default_executor()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let the clock stand still while something real happens (a thread of our own, a child process)."""
        self._world.outside += 1
        try:
            yield
        finally:
            self._world.outside -= 1


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run ``coro`` on a jumping loop; fail on tasks it left behind and on errors that nobody looked at."""
    unseen: list[str] = []

    async def main() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unseen.append(_describe(context)))
        result = await coro
        for _ in range(3):  # what was just cancelled may end; nothing else may
            await asyncio.sleep(0)
        leaked = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leaked:
            task.cancel()
        await asyncio.gather(*leaked, return_exceptions=True)
        assert not leaked, f"tasks left behind: {sorted(map(repr, leaked))}"
        return result

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        result = runner.run(main())
    assert not unseen, f"errors that nobody looked at: {unseen}"
    return result


def _describe(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
