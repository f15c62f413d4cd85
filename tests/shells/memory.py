"""The simulated QQ without a network: its world and its peers, behind a `Socket` and an `Http` in memory.

What the platform says comes from :mod:`buoy.sim`; here are only the wires, which can be cut. `test_memory.py` holds
them to the real `Socket` and `Http`. Time is the running loop's, so that a jumping loop takes everything along.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from buoy.protocol import wire
from buoy.sim.api import Api, locate
from buoy.sim.events import Speech, say
from buoy.sim.faults import TRIGGERS, Fault
from buoy.sim.peer import Peer
from buoy.sim.settings import Settings
from buoy.sim.world import World
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.websocket import Closed, OpenError, Socket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from yarl import URL

EPOCH = 1_790_000_000.0  # wall seconds at loop time 0
BOT, SECRET = "102000001", "SIMSECRETSIMSECRET01"
BASE = "https://qq.test"


class Network:
    """One platform and the wires to it. Switch the faults while it runs."""

    def __init__(self, **settings: Any) -> None:
        self.loop = asyncio.get_running_loop()
        self.world = World(Settings(**{"heartbeat_s": 45.0, "lifetime_s": None, **settings}), 0, self.wall())
        self.world.add_bot(BOT, SECRET)
        self.world.on_agenda = self._arm
        self.world.faults.added = self._strike
        self.api = Api(self.world, lambda: "wss://qq.test/websocket")
        self.http = MemoryHttp(self)
        self.is_down = False
        """Nothing can be connected to."""
        self.refuses_sockets = False
        """WebSockets cannot be opened; REST works."""
        self.hangs_sockets = False
        """Opening a WebSocket takes for ever."""
        self.is_half_open = False
        """Whatever is written now goes nowhere, without a word."""
        self.hangs_requests = False
        """Requests get no answer; WebSockets work."""
        self.sockets: list[MemorySocket] = []
        self.opened: list[float] = []
        """When a WebSocket was asked for, loop time."""
        self.sent: list[tuple[float, wire.Frame]] = []
        """What the client wrote, loop time."""
        self.requests: list[tuple[str, str]] = []
        self.on_send: Callable[[wire.Frame], None] = lambda _: None
        self._timer: asyncio.TimerHandle | None = None

    def wall(self) -> float:
        return EPOCH + self.loop.time()

    # --- the wires --------------------------------------------------------------------------------------------------

    async def open_socket(self, url: str, timeout_s: float) -> Socket:
        self.opened.append(self.loop.time())
        if self.hangs_sockets:
            await asyncio.sleep(timeout_s)
            raise OpenError(f"no upgrade to WebSocket within {timeout_s:g} s")
        if self.is_down or self.refuses_sockets:
            raise OpenError("no connection: Connection refused")
        socket = MemorySocket(self)
        self.sockets.append(socket)
        return socket

    def cut(self) -> None:
        """Reset every WebSocket."""
        for socket in self.open:
            socket.lose(Closed(None, "Connection reset by peer"))

    @property
    def open(self) -> list[MemorySocket]:
        return [socket for socket in self.sockets if socket.is_open]

    # --- the platform -------------------------------------------------------------------------------------------------

    def say(self, text: str = "hello", **switches: Any) -> str:
        """Let a user say something; returns the message's id."""
        return say(self.world, Speech(text=text, **switches), self.wall()).id

    def push(self, raw: bytes) -> None:
        """Send a frame as it is on every WebSocket."""
        for socket in self.open:
            socket.peer.push(raw)

    def frames(self, op: wire.Op) -> list[Any]:
        """What the client sent with this opcode: the bodies."""
        return [wire.read(frame.d) for _, frame in self.sent if frame.op == op]

    def times(self, op: wire.Op) -> list[float]:
        return [at for at, frame in self.sent if frame.op == op]

    def _strike(self, fault: Fault) -> None:
        """Let a fault happen to who is connected, where that is its nature; as `Sim` does."""
        peers = [socket.peer for socket in self.open if socket.peer.session]
        if fault.kind in TRIGGERS and peers:
            for peer in peers:
                peer.strike(fault, self.wall())
            self.world.faults.use(fault)
        elif fault.kind in {"banned", "taken_down"}:
            for peer in peers:
                peer.close(wire.Close.BANNED if fault.kind == "banned" else wire.Close.TAKEN_DOWN)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.world.next_due()
        self._timer = None if due is None else self.loop.call_at(due - EPOCH, self._run_due)

    def _run_due(self) -> None:
        self.world.run_due(self.wall() + 1e-6)
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.world.on_agenda = lambda: None


class MemorySocket(Socket):
    """The client's end of a WebSocket whose other end is a simulated peer."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._frames: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended: Closed | None = None
        self.is_open = True
        self._is_closed = False
        self.peer = Peer(network.world, self._wake)
        self.peer.opened(network.wall())

    def _wake(self) -> None:
        self._network.loop.call_soon(self._carry)

    def _carry(self) -> None:
        """Bring what the peer said, and its end, to the client."""
        while self.peer.out:
            item = self.peer.out.popleft()
            if isinstance(item, bytes):
                self.arrive(item)
                continue
            codes = {"close": item.code, "eof": wire.Close.ABNORMAL, "reset": None}
            self.lose(Closed(codes[item.how], item.reason))

    def arrive(self, raw: bytes) -> None:
        if self.is_open and not self._network.is_half_open:
            self._frames.append(raw)
            self._news.set()

    def lose(self, end: Closed) -> None:
        """The connection ends; what arrived before can still be read."""
        if not self._network.is_half_open:
            self._ended = self._ended or end
            self._news.set()
        self.is_open = False
        self.peer.lost(self._network.wall())

    async def receive(self) -> str | bytes | Closed:
        while not self._frames:
            if self._ended is not None:
                return self._ended
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    async def send(self, data: bytes, *, timeout_s: float = 5.0) -> bool:
        if self._is_closed or (self._ended is not None and self._ended.code is None):
            return False
        frame = wire.decode(data)
        assert isinstance(frame, wire.Frame)
        self._network.sent.append((self._network.loop.time(), frame))
        self._network.on_send(frame)
        if self.is_open and not self._network.is_half_open:
            self.peer.received(data, self._network.wall())
        return True

    async def close(self, code: int = 1000, *, timeout_s: float = 1.0) -> None:
        is_first, self.is_open, self._is_closed = self.is_open, False, True
        self._frames.clear()
        self._ended = self._ended or Closed(code, "closed by us")
        self._news.set()
        if is_first:
            if self._network.is_half_open:
                await asyncio.sleep(timeout_s)
            self.peer.lost(self._network.wall())


class MemoryHttp(Http):
    """Requests answered by the simulated API."""

    def __init__(self, network: Network) -> None:
        super().__init__(environ={})
        self._network = network

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
        network, path = self._network, urlsplit(str(url)).path
        network.requests.append((method, path))
        if network.is_down:
            raise NotSentError("no connection: Connection refused")
        if network.is_half_open or network.hangs_requests:
            await asyncio.sleep(timeout_s)
            raise LostError(f"no whole answer within {timeout_s:g} s")
        answer = network.api.answer(method, locate(path), headers.get("Authorization"), body or b"", network.wall())
        told = {"Date": network.world.date(network.wall()), "X-Tps-trace-ID": answer.trace}
        return Answer(answer.status, told, answer.body)
