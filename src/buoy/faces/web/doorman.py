"""Who is let in at the socket: so many connections, and each must say what it wants in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

CONNECTIONS: Final = 128
HEAD_S: Final = 10.0  # until the first request of a connection has its headers; aiohttp itself would wait for ever
BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Doorman:
    """The protocol factory of the listening socket. A request that has begun is reported with :meth:`heard`."""

    def __init__(self, server: web.Server) -> None:
        self._server = server
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> asyncio.BaseProtocol:
        """Let one connection in, or turn it away."""
        if len(self._server.connections) >= CONNECTIONS and not self._has_made_room():
            return _Turned()
        handler = self._server()
        self._silent[handler] = asyncio.get_running_loop().call_later(HEAD_S, self._too_slow, handler)
        return handler

    def heard(self, handler: web.RequestHandler) -> None:
        """Note that a connection has said what it wants; from then on aiohttp's own time limits hold."""
        timer = self._silent.pop(handler, None)
        if timer is not None:
            timer.cancel()

    def _has_made_room(self) -> bool:
        """Cut who has said nothing for longest: a probe that speaks at once is heard whoever holds connections open."""
        for handler in list(self._silent):
            was_there = handler.transport is not None
            self.heard(handler)
            cut(handler)
            if was_there:
                return True
        return False

    def _too_slow(self, handler: web.RequestHandler) -> None:
        self._silent.pop(handler, None)
        cut(handler)

    def close(self) -> None:
        """Forget the timers."""
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()


def cut(handler: web.RequestHandler) -> None:
    """End a connection now; what it was being told is thrown away."""
    if isinstance(handler.transport, asyncio.Transport):
        handler.transport.abort()


class _Turned(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and hang up."""
        if isinstance(transport, asyncio.Transport):
            transport.write(BUSY)
            transport.close()
