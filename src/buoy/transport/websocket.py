"""One WebSocket lifetime: opened under a deadline, read until it ends, closed without a trace.

Every attempt makes a new `Socket` with its own client session. There are no heartbeats, no reconnects and no
policy here; the session machine has those.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

import aiohttp
from aiohttp import WSMsgType

from buoy.errors import ConfigError
from buoy.protocol.wire import Close
from buoy.transport.http import LostError, once
from buoy.transport.route import (
    PLAIN,
    REASON_LIMIT,
    USER_AGENT,
    Connector,
    NotSentError,
    Proxies,
    Resolver,
    check_url,
    deadlines,
    explain,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

FRAME_LIMIT: Final = 4 * 1024 * 1024  # ours: QQ publishes none; message events are some kilobytes
SEND_S: Final = 5.0  # ours: a frame that has not left by then meets a writer that nobody reads
CLOSE_S: Final = 1.0


class OpenError(Exception):
    """No WebSocket came about. ``status`` is the HTTP status where an answer came that was no upgrade."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Closed(NamedTuple):
    """How it ended: the close code, 1006 for an end without one, None for a reset. ``reason`` is one line."""

    code: int | None
    reason: str


class Socket:
    """One open WebSocket. One task receives; any task may send or close."""

    def __init__(self, session: aiohttp.ClientSession, line: _Line, ws: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._session = session
        self._line = line
        self._ws = ws
        self._ended: Closed | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        environ: Mapping[str, str] = os.environ,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect and upgrade: proxy, DNS, TCP, TLS and the 101 within ``timeout_s``, in one attempt.

        ``tls`` replaces the system's certificates.

        Raises:
            OpenError: it did not come about, or ``url`` is one that we do not connect to.
        Nothing is left behind then, nor after cancellation.
        """
        line = _Line(limit=1, force_close=True, resolver=Resolver())
        session = aiohttp.ClientSession(
            connector=line,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            timeout=deadlines(timeout_s),
            middlewares=(once,),
        )
        try:
            where = check_url(url, "gateway URL")
            async with asyncio.timeout(timeout_s):
                ws = await session.ws_connect(
                    where,
                    proxy=Proxies(environ).find(where),
                    ssl=tls or True,
                    max_msg_size=FRAME_LIMIT,
                    autoclose=False,
                    decode_text=False,  # text that is no UTF-8 is a frame to keep, not a reason to reconnect
                )
            if where.scheme in PLAIN or ws.get_extra_info("sslcontext"):
                return cls(session, line, ws)
            failure = OpenError("redirected to an address without TLS")
        except (NotSentError, LostError) as error:
            failure = OpenError(error.reason)
        except aiohttp.WSServerHandshakeError as error:
            failure = OpenError(f"HTTP {error.status} instead of the upgrade to WebSocket", error.status)
        except (ConfigError, aiohttp.InvalidURL) as error:
            failure = OpenError(str(error))
        except TimeoutError:
            failure = OpenError(f"no upgrade to WebSocket within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            failure = OpenError(explain(error))
        except BaseException:
            await _drop(session, line)
            raise
        await _drop(session, line)
        raise failure

    async def receive(self) -> str | bytes | Closed:
        """Return the next frame, or how the connection ended, then and on every later call.

        Never raises for the network. Cancelling it loses no frame.
        """
        while self._ended is None:
            try:
                message = await self._ws.receive()
            except (aiohttp.ClientError, OSError) as error:  # while it answered a ping
                self._ended = Closed(None, explain(error))
                break
            kind = message.type
            if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                return cast("bytes", message.data)
            self._ended = self._ended or self._read_end(kind, message.data, message.extra)
        return self._ended

    def _read_end(self, kind: WSMsgType, data: Any, extra: str | None) -> Closed | None:
        """Say how it ended; None when this message is no end."""
        match kind:
            case WSMsgType.CLOSE:
                return Closed(data or Close.NO_STATUS, _line_of(extra))
            case WSMsgType.CLOSED | WSMsgType.CLOSING:
                lost = self._line.gone.exception() if self._line.gone.done() else None
                if lost is None:
                    return Closed(Close.ABNORMAL, "the connection ended without a close frame")
                return Closed(None, explain(lost.__cause__ or lost))
            case WSMsgType.ERROR:
                code = data.code if isinstance(data, aiohttp.WebSocketError) else None
                return Closed(code, _line_of(str(data)))
        return None

    async def send(self, data: bytes, *, timeout_s: float = SEND_S) -> bool:
        """Send a text frame; return False when the socket is gone.

        A writer that nobody reads from for ``timeout_s`` is gone: the connection is dropped then.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._ws.send_frame(data, WSMsgType.TEXT)
        except TimeoutError:
            self._line.drop()
        except (aiohttp.ClientError, OSError):
            pass
        else:
            return True
        return False

    async def close(self, code: int = Close.NORMAL, *, timeout_s: float = CLOSE_S) -> None:
        """Close with ``code``; wait ``timeout_s`` at most for the other end, then drop the connection.

        Leaves no socket and no task, even when cancelled. A second call does nothing.
        """
        self._ended = self._ended or Closed(code, "closed by us")
        try:
            async with asyncio.timeout(timeout_s):
                await self._ws.close(code=code)
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        finally:
            await _drop(self._session, self._line)


class _Line(Connector):
    """A connector for one connection, which it can drop at any moment and whose end it knows."""

    transport: asyncio.Transport | None = None
    gone: asyncio.Future[None]

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Make the connection and keep hold of it."""
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        self.transport = connection.transport
        if protocol is not None and protocol.closed is not None:
            self.gone = protocol.closed
            self.gone.add_done_callback(lambda gone: gone.cancelled() or gone.exception())  # somebody looked
        return connection

    def drop(self) -> None:
        """Drop the connection now, whatever is still unwritten."""
        if self.transport is not None:
            self.transport.abort()


async def _drop(session: aiohttp.ClientSession, line: _Line) -> None:
    line.drop()
    await session.close()


def _line_of(text: str | None) -> str:
    return " ".join((text or "").split())[:REASON_LIMIT]
