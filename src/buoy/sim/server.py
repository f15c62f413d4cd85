"""The sockets of the simulated platform: HTTP, WebSocket, and the network between. No policy."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import WSMsgType, web

from buoy.sim.api import Answer, Api, Place, locate
from buoy.sim.peer import Cut, Peer

if TYPE_CHECKING:
    from buoy.sim.clock import Clock
    from buoy.sim.faults import Fault
    from buoy.sim.world import World

WS_PATH: Final = "/websocket"
NETWORK: Final = ("up", "down", "blackhole", "drop")
_JSON: Final = "application/json"
_PAGE: Final = "text/html"


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Cut a TCP connection with RST."""
    if transport is None or transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast("asyncio.Transport", transport).abort()


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Take requests of any size: what is too large is for the simulated platform to say."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=0)


class _Hole(asyncio.Protocol):
    """A connection that came in while nothing gets through: accepted, and then nothing is read or written."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.transport: asyncio.Transport | None = None
        self.early = b""
        """What a loop read before the pause took hold (uvloop does)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._server.network_mode == "drop":
            reset(transport)
            return
        self.transport.pause_reading()
        self._server.swallow(self)

    def data_received(self, data: bytes) -> None:
        self.early += data
        if self.transport is not None:
            self.transport.pause_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self in self._server.holes:
            self._server.holes.remove(self)


class Server:
    """Listens, and carries bytes between sockets and the world."""

    def __init__(self, world: World, clock: Clock, host: str, port: int, announce: str | None = None) -> None:
        self._world = world
        self._clock = clock
        self._host = host
        self.port = port
        self.api = Api(world, lambda: f"ws://{announce or f'{host}:{self.port}'}{WS_PATH}")
        self.network_mode = "up"
        self.holes: list[_Hole] = []
        self.peers: dict[Peer, asyncio.BaseTransport | None] = {}
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._open = asyncio.Event()
        self._idle = asyncio.Event()
        self._hung: dict[asyncio.Future[None], int] = {}

    async def start(self) -> None:
        """Take the port and listen."""
        self._http = web.Server(self._handle, request_factory=_request, access_log=None)
        self._open.set()
        self._idle.set()
        self._reserve()
        await self._listen()

    async def stop(self) -> None:
        """Close every socket."""
        self.network_mode = "down"
        self._open.set()
        for future in self._hung:
            future.cancel()
        self._deafen()
        self._cut_all()
        if self._placeholder is not None:
            self._placeholder.close()
        if self._http is not None:
            await self._http.shutdown(1.0)
        await self._idle.wait()
        if self._listener is not None:
            await self._listener.wait_closed()
        await asyncio.sleep(0)  # transports that were aborted close their sockets on the next turn of the loop

    async def network(self, mode: str) -> None:
        """Change what gets through; see :class:`buoy.sim.simulator.Sim`."""
        if mode not in NETWORK:
            raise ValueError(f"network mode {mode!r} is unknown; use one of {', '.join(NETWORK)}")
        before, self.network_mode = self.network_mode, mode
        if mode == before:
            return
        if mode == "blackhole":
            self._open.clear()
            for connection in self._connections():
                connection.pause_reading()
        if mode in {"down", "drop"}:
            self._cut_all()
            self._open.set()
        if mode == "down":
            self._deafen()
            if self._listener is not None:
                await self._listener.wait_closed()
            self._reserve()
        elif before == "down":
            await self._listen()
        if mode == "up":
            self._reopen()

    def released(self, fault: Fault) -> None:
        """A fault was removed: requests that hang on it go on."""
        for future, ident in list(self._hung.items()):
            if ident == fault.id and fault.count is None and not future.done():
                future.set_result(None)

    def swallow(self, hole: _Hole) -> None:
        """Keep a connection that came in while nothing gets through."""
        self.holes.append(hole)
        self._world.on_change()

    # --- listening -------------------------------------------------------------------------------------

    def _reserve(self) -> None:
        """Bind the port without listening: connects are refused, and nobody else can take it."""
        self._placeholder = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._placeholder.bind((self._host, self.port))
        self.port = self._placeholder.getsockname()[1]

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        sock, self._placeholder = self._placeholder, None
        assert sock is not None
        self._listener = await loop.create_server(self._accept, sock=sock, backlog=512)

    def _accept(self) -> asyncio.Protocol:
        assert self._http is not None
        return self._http() if self.network_mode == "up" else _Hole(self)

    def _deafen(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def _connections(self) -> list[asyncio.Transport]:
        assert self._http is not None
        return [c.transport for c in self._http.connections if c.transport]

    def _cut_all(self) -> None:
        for connection in self._connections():
            reset(connection)
        for hole in list(self.holes):
            reset(hole.transport)

    def _reopen(self) -> None:
        """Let held connections go on where they stopped, like packets sent again."""
        assert self._http is not None
        for connection in self._connections():
            if not connection.is_closing():
                connection.resume_reading()
        for hole in self.holes:
            transport = hole.transport
            if transport is not None and not transport.is_closing():
                protocol = self._http()
                transport.set_protocol(protocol)
                protocol.connection_made(transport)
                if hole.early:
                    protocol.data_received(hole.early)
                transport.resume_reading()
        self.holes.clear()
        self._open.set()

    # --- HTTP ------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path
        if path.partition("?")[0].rstrip("/") == WS_PATH:
            return await self._websocket(request)
        place = locate(path)
        body = await request.read()
        if len(body) > self._world.settings.body_limit:
            return self._response(self.api.unavailable(413))
        authorization = request.headers.get("Authorization")
        if self._world.faults.active:
            answer = await self._faulty(request, place, authorization, body)
        else:
            answer = self.api.answer(request.method, place, authorization, body, self._clock.now())
        if not self._open.is_set():
            await self._open.wait()
        return self._response(answer)

    def _response(self, answer: Answer) -> web.Response:
        headers = {
            "Content-Type": _PAGE if answer.html else _JSON,
            "X-Tps-trace-ID": answer.trace,
            "Date": self._world.date(self._clock.now()),
        }
        if answer.retry_after is not None:
            headers["Retry-After"] = f"{answer.retry_after:g}"
        return web.Response(body=answer.body, status=answer.status, headers=headers)

    async def _faulty(
        self, request: web.BaseRequest, place: Place | None, authorization: str | None, body: bytes
    ) -> Answer:
        """Answer while faults are on: what strikes before, the request itself, what strikes after."""
        faults, api = self._world.faults, self.api
        endpoint, scene = (place.endpoint, place.scene or None) if place else ("other", None)
        bot = api.caller(place, authorization, body)

        def strikes(kind: str, mode: str | None = None) -> Fault | None:
            return faults.take(kind, bot, endpoint, scene, mode)

        if (fault := strikes("slow", "before")) is not None:
            await self._pause(fault.seconds)
        if (fault := strikes("hang", "before")) is not None:
            await self._hang(fault)
        if endpoint == "token" and (fault := strikes("token_down")) is not None:
            return api.fault(fault)
        for kind, mode in (("http_status", "before"), ("error_code", None)):
            if (fault := strikes(kind, mode)) is not None:
                return api.fault(fault)
        answer = api.answer(request.method, place, authorization, body, self._clock.now())
        if (fault := strikes("slow", "after")) is not None:
            await self._pause(fault.seconds)
        if (fault := strikes("hang", "after")) is not None:
            await self._hang(fault)
        if (fault := strikes("http_status", "after")) is not None:
            return api.fault(fault)
        if endpoint == "send" and answer.status < 300 and strikes("accept_then_reset") is not None:
            reset(request.transport)
        return answer

    async def _pause(self, seconds: float) -> None:
        """Wait on the simulated clock."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._world.at(self._clock.now() + seconds, lambda _: None if future.done() else future.set_result(None))
        await self._wait(future, 0)

    async def _hang(self, fault: Fault) -> None:
        await self._wait(asyncio.get_running_loop().create_future(), fault.id)

    async def _wait(self, future: asyncio.Future[None], ident: int) -> None:
        self._hung[future] = ident
        self._world.on_change()
        try:
            await future
        finally:
            del self._hung[future]

    # --- WebSocket -------------------------------------------------------------------------------------

    async def _websocket(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self._world.faults.take("upgrade_status")
        if fault is not None:
            return self._response(self.api.unavailable(fault.status or 503))
        socket_ = web.WebSocketResponse(compress=False, timeout=1.0)
        await socket_.prepare(request)
        pending = asyncio.Event()
        peer = Peer(self._world, pending.set)
        self.peers[peer] = request.transport
        self._idle.clear()
        writer = asyncio.create_task(self._write(peer, socket_, pending))
        try:
            peer.opened(self._clock.now())
            async for message in socket_:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    peer.received(message.data, self._clock.now())
        finally:
            peer.lost(self._clock.now())
            writer.cancel()
            await asyncio.wait({writer})
            del self.peers[peer]
            if not self.peers:
                self._idle.set()
            self._world.on_change()
        if not writer.cancelled():
            writer.result()
        return socket_

    async def _write(self, peer: Peer, socket_: web.WebSocketResponse, pending: asyncio.Event) -> None:
        """Send what the peer says, in order, as long as the network carries it."""
        out = peer.out
        try:
            while True:
                await pending.wait()
                pending.clear()
                while out:
                    item = out.popleft()
                    if isinstance(item, Cut):
                        peer.lost(self._clock.now())
                    if not self._open.is_set():
                        await self._open.wait()
                    if isinstance(item, bytes):
                        await socket_.send_frame(item, WSMsgType.TEXT)
                    else:
                        await self._end(socket_, item, self.peers.get(peer))
                        return
        except ConnectionError:
            return  # the reading side sees it, too

    @staticmethod
    async def _end(socket_: web.WebSocketResponse, cut: Cut, transport: asyncio.BaseTransport | None) -> None:
        if cut.how == "close":
            await socket_.close(code=cut.code, message=cut.reason.encode())
        elif cut.how == "reset":
            reset(transport)
        elif transport is not None:
            transport.close()
