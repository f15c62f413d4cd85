"""Loopback servers that misbehave on purpose, for the tests of the transport."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self) -> bytes:
        """Read one request, with its body; b"" at the end."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                head += await self.reader.readexactly(int(line.split(b":")[1]))
        return head

    def answer(self, body: bytes, status: str = "200 OK", *more: str) -> None:
        """Write a whole answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """End with a TCP reset instead of a FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def upgrade(self) -> None:
        """Accept a WebSocket."""
        head = await self.request()
        key = next(x for x in head.split(b"\r\n") if x.lower().startswith(b"sec-websocket-key:"))
        digest = hashlib.sha1(key.split(b":")[1].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )

    def frame(self, payload: bytes, opcode: int = 1) -> None:
        """Write one whole WebSocket frame."""
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, size])
        elif size < 1 << 16:
            head = bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 127]) + size.to_bytes(8, "big")
        self.writer.write(head + payload)

    async def read_frame(self) -> tuple[int, bytes]:
        """Read one masked frame: opcode and payload; (-1, b"") at the end."""
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            mask = await self.reader.readexactly(4)
            data = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return -1, b""
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))

    async def gone(self) -> bool:
        """Wait for the other end to be gone."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True


class Server:
    """A running server: its port, the number of connections it accepted, its peers."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted = 0
        self.open = 0

    @property
    def url(self) -> str:
        """Its address for http."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def ws(self) -> str:
        """Its address for WebSockets."""
        return f"ws://127.0.0.1:{self.port}/websocket/"


@contextlib.asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve every connection with ``handler``; a connection ends with its handler."""
    state = Server()
    running: set[asyncio.Task[None]] = set()

    async def attend(peer: Peer) -> None:
        state.accepted += 1
        state.open += 1
        try:
            with contextlib.suppress(ConnectionError):
                await handler(peer)
                await peer.writer.drain()
        finally:
            state.open -= 1
            peer.writer.close()
            if peer.writer.transport.get_write_buffer_size():
                peer.writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(attend(Peer(reader, writer)))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        results = await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()
        assert all(isinstance(r, asyncio.CancelledError | None) for r in results), results


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until ``condition`` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def never(peer: Peer) -> None:
    """Accept and never answer, until the other end leaves."""
    await peer.gone()


def unused_port() -> int:
    """Return a port that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
