"""One Buoy after another on one disk: the real App, started, killed, stopped, frozen and started again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from buoy.chat import Agent
from buoy.errors import StoreError
from buoy.gateway.app import App
from buoy.gateway.courier import Holding
from buoy.gateway.worker import Turns
from buoy.platforms.qq.platform import QQ, Account
from tests.world.disk import Disk
from tests.world.heap import Heap, ProcessLoop
from tests.world.network import Network, WorldHttp

if TYPE_CHECKING:
    from buoy.durable.store import Store

DEADLINE_S = 5.0
TURN_TIMEOUT_S = 90.0
INTENTS = 1 << 9 | 1 << 12 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 30
BASES = ("https://qq.test",)


class Process:
    """The life of one process, from start to end. ``is_up`` until it has ended, however."""

    def __init__(
        self,
        heap: Heap,
        network: Network,
        disk: Disk,
        bots: Mapping[str, str],
        agents: Callable[[str], Agent],
        *,
        wall: Callable[[], float],
        draw: random.Random,
        on_end: Callable[[Process, str], None],
        build: Callable[..., App] = App,
    ) -> None:
        self.heap = heap
        self.network = network
        self.disk = disk
        self.started_at = heap.now
        self.is_up = True
        self.is_ready = False
        """The application has taken up what was in the store."""
        self.stop_took_s: float | None = None
        self._on_end = on_end
        self.loop: ProcessLoop = cast("Any", ProcessLoop)(heap, disk.thread)  # what nobody calls of a loop is not there
        self.https: list[WorldHttp] = []
        self._stopping: asyncio.Event | None = None
        self._stop_at: float | None = None
        self.app: App | None = None
        heap.enter(self.loop)
        try:
            store = disk.open(wall())
            lines = [self._line(app_id, secret, wall, draw) for app_id, secret in bots.items()]
            self.app = build(
                store,
                lines,
                {line.bot: agents(line.bot) for line in lines},
                wall=wall,
                draw=draw.uniform,
                turns=Turns(timeout_s=TURN_TIMEOUT_S),
                holding=Holding(),
            )
            self._stopping = asyncio.Event()
            self.main = self.loop.create_task(self._main(self.app))
        finally:
            heap.enter(None)

    def _line(self, app_id: str, secret: str, wall: Callable[[], float], draw: random.Random) -> QQ:
        http = WorldHttp(self.network, app_id)
        self.https.append(http)
        tokens = tuple(f"{base}/app/getAppAccessToken" for base in BASES)
        return QQ(
            Account(app_id, secret, BASES, tokens, INTENTS),
            environ={},
            monotonic=self.loop.time,
            wall=wall,
            http=http,
            open_socket=http.open_socket,
            draw=draw.uniform,
        )

    @property
    def store(self) -> Store:
        assert self.app is not None
        return self.app.store

    @property
    def lines(self) -> Sequence[QQ]:
        assert self.app is not None
        return list(self.app.platforms.values())  # type: ignore[arg-type]

    async def _main(self, app: App) -> None:
        """What `buoy run` does, without its threads."""
        assert self._stopping is not None
        try:
            await app.start()
        except StoreError as error:
            self._end(f"could not start: {error}")
            return
        self.is_ready = True
        stopping = self._stopping
        app.lost.add_done_callback(lambda _: stopping.set())
        await self._stopping.wait()
        began = self.heap.now
        await app.stop(deadline_s=DEADLINE_S)
        self.stop_took_s = self.heap.now - began
        self._end("store lost" if app.lost.done() else "stopped")

    def run(self, job: Any) -> asyncio.Task[Any]:
        """Run something in this process."""
        self.heap.enter(self.loop)
        try:
            return self.loop.create_task(job)
        finally:
            self.heap.enter(None)

    # --- how it ends ---

    def stop(self) -> None:
        """SIGTERM. What has not ended by the deadline is ended by the thread that watches, as `os._exit` would.

        A process that stands still hears of it when it goes on.
        """
        if self._stopping is None or self._stop_at is not None or not self.is_up:
            return
        self._stop_at = max(self.heap.now, self.loop.stands_until or 0.0)
        self.loop.call_soon(self._stopping.set)
        self.heap.at(self._stop_at + DEADLINE_S + 0.001, self._late)

    def _late(self) -> None:
        if self.is_up:
            self.stop_took_s = self.heap.now - (self._stop_at or 0.0)
            self._end("ended by the watch")

    def kill(self) -> None:
        """SIGKILL, now."""
        if self.is_up:
            self._end("killed")

    def _end(self, how: str) -> None:
        """Nothing of it runs any more; the kernel closes its sockets, SQLite forgets what was not committed."""
        self.is_up = False
        self.loop.kill()
        self.disk.release()
        for http in self.https:
            for socket in http.sockets:
                if not socket._is_closed:
                    socket.wire.close()
        self._on_end(self, how)
