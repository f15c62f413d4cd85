"""A network that fails on demand: a TCP proxy on loopback, on a thread of its own, told what to do by the test.

It carries bytes and knows nothing of what they mean, except which connections are WebSockets: the first line says it.
What is done to the network here is done below HTTP, where the simulator's own faults cannot reach:

    opens         everything flows, at full speed
    swallows      a black hole: connections are accepted and kept, and not one byte is read or passed on
    strands       half-open: the connections of this moment are dead without a word, new ones work
    resets        the connections of this moment are cut by RST, new ones work
    drops         each new connection is cut by RST as soon as it was accepted
    refuses       nothing listens: each connect is refused, and what was open was cut
    delays        every byte arrives so many seconds later, each way
    trickles      so many bytes a second, each way and connection
    cuts          the next connection of a kind that moves data is cut after n bytes: inside a frame or an answer

`opens` ends a black hole the way a network does: what was on the way goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

CHUNK = 16 * 1024
SLICE_S = 0.05  # a trickle passes on what it may in this time
AHEAD = 64  # chunks that may be on the way while they are delayed
UP, DOWN = "up", "down"
WEBSOCKET, REST = "websocket", "rest"


@dataclass
class Cut:
    """A connection of this kind ends after so many more bytes this way."""

    kind: str
    way: str
    left: int
    by: Link | None = None
    """The connection that it has struck: the first that moved data."""


class Link:
    """One connection through the proxy: two sockets, and what is pumped between them."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.upstream: socket.socket | None = None
        self.kind = ""
        self.is_stranded = False
        self.task: asyncio.Task[None] | None = None

    def reset(self) -> None:
        """Cut both ends with RST."""
        if self.task is not None:
            self.task.cancel()
        for one in (self.client, self.upstream):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()


class Proxy:
    """Listens at once, so that its address is known; `target` may be told later. It is spoken to from any thread."""

    def __init__(self) -> None:
        self.target = ("127.0.0.1", 0)
        self.accepted = 0
        """Connections that clients have opened."""
        self.passed = {(kind, way): 0 for kind in (WEBSOCKET, REST) for way in (UP, DOWN)}
        """Bytes handed on."""
        self._mode = "opens"
        self._delay_s = 0.0
        self._rate: float | None = None
        self._cuts: list[Cut] = []
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = self._bind(0)
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._do(self._listen)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def links(self) -> list[str]:
        """The kinds of the connections that are open now."""
        return [link.kind for link in list(self._links)]

    def ports(self, kind: str) -> list[int]:
        """The clients' ports of the connections of a kind."""
        return [link.client.getpeername()[1] for link in list(self._links) if link.kind == kind]

    # --- what the network does -----------------------------------------------------------------------------

    def opens(self) -> None:
        self._do(self._become, "opens")

    def swallows(self) -> None:
        self._do(self._become, "swallows")

    def strands(self, *kinds: str) -> None:
        """Of these kinds, or all."""
        self._do(self._strand, kinds or (WEBSOCKET, REST, ""))

    def resets(self) -> None:
        self._do(self._become, "resets")

    def drops(self) -> None:
        self._do(self._become, "drops")

    def refuses(self) -> None:
        self._do(self._become, "refuses")

    def delays(self, seconds: float) -> None:
        self._do(self._become, "opens", seconds)

    def trickles(self, bytes_a_second: float) -> None:
        self._do(self._become, "opens", 0.0, bytes_a_second)

    def cuts(self, kind: str, way: str, after: int) -> None:
        self._do(lambda: self._cuts.append(Cut(kind, way, after)))

    @property
    def has_cut(self) -> bool:
        """Every cut that was asked for has happened."""
        return not self._cuts

    def close(self) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    # --- on the proxy's own loop ---------------------------------------------------------------------------

    def _do(self, what: Callable[..., Any], *arguments: Any) -> None:
        """Run it on the loop, and wait until it has happened."""

        async def call() -> None:
            answer = what(*arguments)
            if asyncio.iscoroutine(answer):
                await answer

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _bind(self, port: int) -> socket.socket:
        """Take the port without listening: connects are refused, and nobody else gets it."""
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        one.setblocking(False)
        return one

    def _listen(self) -> None:
        self._listener.listen(128)
        self._accepting = self._start(self._accept(self._listener))

    def _start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _become(self, mode: str, delay_s: float = 0.0, rate: float | None = None) -> None:
        before, self._mode = self._mode, mode
        self._delay_s, self._rate = delay_s, rate
        if before == "refuses" and mode != "refuses":
            self._listen()
        if mode == "swallows":
            self._flows.clear()
        else:
            self._flows.set()
        if mode in {"resets", "refuses", "drops"}:
            for link in list(self._links):
                link.reset()
        if mode == "refuses" and before != "refuses":
            await self._deafen()
            self._listener = self._bind(self.port)

    def _strand(self, kinds: tuple[str, ...]) -> None:
        for link in self._links:
            link.is_stranded |= link.kind in kinds

    async def _deafen(self) -> None:
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()

    async def _end(self) -> None:
        for link in list(self._links):
            link.reset()
        await self._deafen()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            link = Link(client)
            if self._mode == "drops":
                link.reset()
                continue
            self._links.add(link)
            link.task = self._start(self._carry(link))

    async def _carry(self, link: Link) -> None:
        """Connect onwards and pump both ways until both have ended, or one breaks."""
        try:
            await self._flows.wait()
            first = await self._loop.sock_recv(link.client, CHUNK)
            link.kind = WEBSOCKET if first.startswith(b"GET /websocket") else REST
            link.upstream = upstream = socket.socket()
            upstream.setblocking(False)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(upstream, self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(link, UP, link.client, upstream, first))
                both.create_task(self._pump(link, DOWN, upstream, link.client))
        except* OSError:
            link.reset()
        finally:
            self._links.discard(link)
            link.client.close()
            if link.upstream is not None:
                link.upstream.close()

    async def _pump(self, link: Link, way: str, source: socket.socket, sink: socket.socket, first: bytes = b"") -> None:
        """Read one end; what was read is on its way for as long as the network says, and arrives in order."""
        on_the_way: deque[tuple[float, bytes]] = deque([(self._loop.time() + self._delay_s, first)] if first else [])
        came, went = asyncio.Event(), asyncio.Event()
        came.set()

        async def arrive() -> None:
            while True:
                while not on_the_way:
                    came.clear()
                    await came.wait()
                due, data = on_the_way.popleft()
                went.set()
                if (late_s := due - self._loop.time()) > 0:
                    await asyncio.sleep(late_s)
                await self._passable(link)
                if not data:
                    with contextlib.suppress(OSError):
                        sink.shutdown(socket.SHUT_WR)
                    return
                await self._hand_on(link, way, sink, data)

        async with asyncio.TaskGroup() as group:
            group.create_task(arrive())
            while True:
                while len(on_the_way) >= AHEAD:
                    went.clear()
                    await went.wait()
                await self._passable(link)
                data = await self._loop.sock_recv(source, CHUNK)
                on_the_way.append((self._loop.time() + self._delay_s, data))
                came.set()
                if not data:
                    return

    async def _passable(self, link: Link) -> None:
        """Wait while nothing gets through."""
        if link.is_stranded:
            await asyncio.Event().wait()
        await self._flows.wait()

    async def _hand_on(self, link: Link, way: str, sink: socket.socket, data: bytes) -> None:
        while data:
            rate = self._rate
            part = data if rate is None else data[: max(1, int(rate * SLICE_S))]
            if (cut := self._cut_for(link, way)) is not None and len(part) >= cut.left:
                await self._loop.sock_sendall(sink, part[: cut.left])
                sink.close()  # FIN: what was passed on can still be read
                self._cuts.remove(cut)
                raise ConnectionResetError  # ends both directions
            if cut is not None:
                cut.left -= len(part)
            await self._loop.sock_sendall(sink, part)
            self.passed[link.kind, way] += len(part)
            data = data[len(part) :]
            if rate is not None:
                await asyncio.sleep(len(part) / rate)
                await self._passable(link)

    def _cut_for(self, link: Link, way: str) -> Cut | None:
        """The cut that concerns this connection; the first to move data gets it."""
        for cut in self._cuts:
            if (cut.kind, cut.way) == (link.kind, way) and cut.by in {None, link}:
                cut.by = link
                return cut
        return None
