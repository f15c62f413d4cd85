"""The wires between a process and the fake QQ, with TCP's semantics: in order, no holes, half-open.

What is under way arrives after the latency; a partition keeps everything back and lets it go on when it heals, as TCP
does; a cut lets what was under way arrive or not, always a prefix of it. A process that dies closes its sockets; where
the network is partitioned the other side learns nothing of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buoy.protocol.wire import Close
from buoy.sim.api import Answer as Reply
from buoy.sim.api import Api, Place, locate
from buoy.sim.faults import Fault
from buoy.sim.peer import Peer
from buoy.sim.world import World as Platform
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.websocket import Closed, OpenError, Socket
from tests.world.heap import Heap, ProcessLoop

if TYPE_CHECKING:
    from yarl import URL

WS_URL = "wss://qq.test/websocket"


class Network:
    """The way to the platform, shared by all processes of a world. ``mode`` says what a new connection meets."""

    def __init__(self, heap: Heap, platform: Platform, wall: Callable[[], float], draw: random.Random) -> None:
        self.heap = heap
        self.platform = platform
        self.wall = wall
        self.draw = draw
        self.api = Api(platform, lambda: WS_URL)
        self.is_refusing = False
        """Nothing listens: every connection is refused."""
        self.is_partitioned = False
        """Packets go nowhere, connections stay as they are."""
        self.drops_sockets = False
        """A WebSocket is accepted and cut at once."""
        self.is_deafening: set[Wire] = set()
        """Wires that carry nothing any more, without a word: half-open for good."""
        self.raises: Exception | None = None
        """What the next request raises: a bug below the platform's code."""
        self.wires: list[Wire] = []
        self.connects: list[tuple[float, str]] = []
        """Attempts to open a WebSocket: when, which bot."""
        self.last_end: dict[str, int | None] = {}
        """The code with which the last connection of each bot was ended by QQ."""
        self.blocked: list[Callable[[], None]] = []
        """What waits for the partition to heal, in its order."""
        platform.faults.added = self.strike

    def latency(self) -> float:
        return self.draw.uniform(0.005, 0.08)

    def carry(self, run: Callable[[], None]) -> None:
        """Let something arrive now, or when the partition heals."""
        if self.is_partitioned:
            self.blocked.append(run)
        else:
            run()

    def heal(self) -> None:
        self.is_partitioned = False
        blocked, self.blocked = self.blocked, []
        for run in blocked:
            run()

    def cut(self) -> None:
        """Reset every WebSocket."""
        for wire in list(self.wires):
            wire.cut(Closed(None, "Connection reset by peer"))

    def go_deaf(self) -> None:
        """Let every WebSocket become half-open."""
        self.is_deafening |= set(self.wires)

    @property
    def peers(self) -> list[Peer]:
        return [wire.peer for wire in self.wires if wire.peer.session is not None]

    def strike(self, fault: Fault) -> None:
        """Let a fault happen to who is connected, where that is its nature; as `Sim` does."""
        from buoy.sim.faults import TRIGGERS  # noqa: PLC0415  beside its only use

        now = self.wall()
        peers = [p for p in self.peers if p.session is not None and fault.bot in {None, p.session.bot.app_id}]
        if fault.kind == "revoke_tokens":
            self.platform.revoke_tokens(fault.bot, now)
            self.platform.faults.remove(fault.id)
        elif fault.kind in TRIGGERS and peers:
            for peer in peers:
                peer.strike(fault, now)
            self.platform.faults.use(fault)
        elif fault.kind in {"banned", "taken_down"}:
            for peer in peers:
                peer.close(Close.BANNED if fault.kind == "banned" else Close.TAKEN_DOWN)
        elif fault.kind == "deaf_session":
            for session in self.platform.sessions.of():
                if fault.bot in {None, session.bot.app_id}:
                    session.deaf = True


class Wire:
    """One TCP connection that carries a WebSocket. ``socket`` is the process's end."""

    def __init__(self, network: Network, socket: WorldSocket) -> None:
        self.network = network
        self.socket = socket
        self.latency_s = network.latency()
        self.is_up = True
        self.peer = Peer(network.platform, self._wake)
        network.wires.append(self)

    @property
    def is_dumb(self) -> bool:
        return self in self.network.is_deafening

    def open(self) -> None:
        if self.network.platform.faults.on("no_hello") is not None:
            self.network.is_deafening.add(self)  # whoever says no HELLO is no platform: nothing else comes either
        self.peer.opened(self.network.wall())

    # --- from the platform ---

    def _wake(self) -> None:
        self.network.heap.later(self.latency_s, self._arrive)

    def _arrive(self) -> None:
        """One frame or the end reaches the other side; a reset has overtaken what was before it."""
        if not self.peer.out:
            return
        item = self.peer.out.popleft()
        if isinstance(item, bytes):
            self.network.carry(lambda: None if self.is_dumb else self.socket.arrive(item))
            return
        if self.peer.bot is not None:
            self.network.last_end[self.peer.bot.app_id] = item.code or None
        codes = {"close": item.code, "eof": int(Close.ABNORMAL), "reset": None}
        end = Closed(codes[item.how], item.reason)
        self.network.carry(lambda: None if self.is_dumb else self.socket.end(end))
        self.lost()

    # --- from the process ---

    def send(self, data: bytes) -> None:
        self.network.heap.later(self.latency_s, self.network.carry, lambda: self._received(data))

    def _received(self, data: bytes) -> None:
        if not self.is_dumb and self.is_up:
            self.peer.received(data, self.network.wall())

    def close(self) -> None:
        """The process closed its end, or died."""
        self.network.heap.later(self.latency_s, self.network.carry, self._closed)

    def _closed(self) -> None:
        if not self.is_dumb:
            self.lost()

    def cut(self, end: Closed) -> None:
        if self.peer.bot is not None:
            self.network.last_end[self.peer.bot.app_id] = None
        self.lost()
        self.network.carry(lambda: None if self.is_dumb else self.socket.end(end))

    def lost(self) -> None:
        """The platform has seen its end."""
        if self.is_up:
            self.is_up = False
            self.network.wires.remove(self)
            self.network.is_deafening.discard(self)
            self.peer.lost(self.network.wall())


class WorldSocket(Socket):
    """The process's end of a wire."""

    def __init__(self, network: Network, loop: ProcessLoop) -> None:
        self._loop = loop
        self._frames: deque[bytes] = deque()
        self._ended: Closed | None = None
        self._is_closed = False
        self._reader: asyncio.Future[None] | None = None
        self.wire = Wire(network, self)

    def arrive(self, raw: bytes) -> None:
        if not self._is_closed and self._ended is None:
            self._frames.append(raw)
            self._news()

    def end(self, end: Closed) -> None:
        if self._ended is None:
            self._ended = end
            self._news()

    def _news(self) -> None:
        if self._reader is not None and not self._reader.done() and not self._loop.is_dead:
            self._reader.set_result(None)

    async def receive(self) -> str | bytes | Closed:
        while not self._frames:
            if self._ended is not None:
                return self._ended
            self._reader = self._loop.create_future()
            await self._reader
        return self._frames.popleft()

    async def send(self, data: bytes, *, timeout_s: float = 5.0) -> bool:
        del timeout_s
        if self._is_closed or (self._ended is not None and self._ended.code is None):
            return False
        self.wire.send(data)
        return True

    async def close(self, code: int = 1000, *, timeout_s: float = 1.0) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._frames.clear()
        self._ended = self._ended or Closed(code, "closed by us")
        self._news()
        self.wire.close()
        if self.wire.network.is_partitioned or self.wire.is_dumb:
            await asyncio.sleep(timeout_s)


class WorldHttp(Http):
    """Requests over the world's network, answered by the simulated API."""

    def __init__(self, network: Network, app_id: str) -> None:
        super().__init__(environ={})
        self.network = network
        self.app_id = app_id
        self.sockets: list[WorldSocket] = []
        self.loop = asyncio.get_running_loop()

    async def open_socket(self, url: str, timeout_s: float) -> Socket:
        """Open a WebSocket, as :meth:`Socket.open` does."""
        network = self.network
        assert url == WS_URL
        network.connects.append((network.heap.now, self.app_id))
        if network.is_partitioned:
            await asyncio.sleep(timeout_s)
            raise OpenError(f"no upgrade to WebSocket within {timeout_s:g} s")
        await asyncio.sleep(network.latency())
        if network.is_refusing:
            raise OpenError("no connection: Connection refused")
        fault = network.platform.faults.take("upgrade_status", self.app_id)
        if fault is not None:
            raise OpenError(f"no upgrade to WebSocket: HTTP {fault.status or 503}")
        assert isinstance(self.loop, ProcessLoop)
        socket = WorldSocket(network, self.loop)
        self.sockets.append(socket)
        socket.wire.open()
        if network.drops_sockets:
            network.heap.later(network.latency(), socket.wire.cut, Closed(None, "Connection reset by peer"))
        return socket

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        fresh: bool = False,
    ) -> Answer:
        """Ask once. How it ends depends on where it was when the network failed."""
        network = self.network
        if network.raises is not None:
            error, network.raises = network.raises, None
            raise error
        if network.is_partitioned and (fresh or network.draw.random() < 0.5):
            await asyncio.sleep(timeout_s)
            raise NotSentError(f"no connection within {timeout_s:g} s")
        if network.is_refusing:
            await asyncio.sleep(network.latency())
            raise NotSentError("no connection: Connection refused")
        done: asyncio.Future[Answer | None] = self.loop.create_future()
        asked = Request(network, self.loop, method, urlsplit(str(url)).path, headers.get("Authorization"), body or b"")
        asked.on_end = done.set_result
        network.heap.later(network.latency(), network.carry, asked.arrive)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await done
        except TimeoutError:
            raise LostError(f"no whole answer within {timeout_s:g} s") from None
        finally:
            asked.on_end = _nobody
        if answer is None:
            raise LostError("the connection ended before the answer: Connection reset by peer")
        return answer


class Request:
    """One request at the platform: what strikes before it, the request itself, what strikes after."""

    def __init__(
        self, network: Network, loop: Any, method: str, path: str, authorization: str | None, body: bytes
    ) -> None:
        self._network = network
        self._loop = loop
        self._method = method
        self._authorization = authorization
        self._body = body
        self._place: Place | None = locate(path)
        self._bot: str | None = None
        self.on_end: Callable[[Answer | None], None] = _nobody

    def arrive(self) -> None:
        """It came in; the platform works on it even if nobody waits for the answer any more."""
        network = self._network
        if network.is_refusing:
            network.heap.later(0.0, self._end, None)
            return
        self._bot = network.api.caller(self._place, self._authorization, self._body)
        if (fault := self._strikes("slow", "before")) is not None:
            network.heap.later(fault.seconds, self._go_on)
        elif self._strikes("hang", "before") is None:
            self._go_on()

    def _strikes(self, kind: str, mode: str | None = None) -> Fault | None:
        faults = self._network.platform.faults
        if not faults.active:
            return None
        place = self._place
        endpoint, scene = (place.endpoint, place.scene or None) if place else ("other", None)
        return faults.take(kind, self._bot, endpoint, scene, mode)

    def _go_on(self) -> None:
        network, api = self._network, self._network.api
        if self._place is not None and self._place.endpoint == "token" and (down := self._strikes("token_down")):
            self._answer(api.fault(down))
            return
        for kind, mode in (("http_status", "before"), ("error_code", None)):
            if (fault := self._strikes(kind, mode)) is not None:
                self._answer(api.fault(fault))
                return
        reply = api.answer(self._method, self._place, self._authorization, self._body, network.wall())
        if (fault := self._strikes("slow", "after")) is not None:
            network.heap.later(fault.seconds, self._answer, reply)
        elif self._strikes("hang", "after") is not None:
            return
        elif (fault := self._strikes("http_status", "after")) is not None:
            self._answer(api.fault(fault))
        elif (
            self._place is not None
            and self._place.endpoint == "send"
            and reply.status < 300
            and (self._strikes("accept_then_reset") is not None)
        ):
            network.heap.later(network.latency(), self._end, None)
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        headers = {"Date": self._network.platform.date(self._network.wall()), "X-Tps-trace-ID": reply.trace}
        if reply.retry_after is not None:
            headers["Retry-After"] = f"{reply.retry_after:g}"
        answer = Answer(reply.status, headers, reply.body)
        self._network.heap.later(self._network.latency(), self._network.carry, lambda: self._end(answer))

    def _end(self, answer: Answer | None) -> None:
        if not self._loop.is_dead:
            on_end, self.on_end = self.on_end, _nobody
            on_end(answer)


def _nobody(_: Answer | None) -> None:
    """Who asked has gone."""
