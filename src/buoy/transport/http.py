"""HTTP requests with a deadline, which end as an answer, as not sent or as lost, and never as a guess."""

from __future__ import annotations

import asyncio
import functools
import io
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from yarl import URL

from buoy.errors import ConfigError
from buoy.transport.route import (
    USER_AGENT,
    Connector,
    NotSentError,
    Proxies,
    Resolver,
    check_url,
    deadlines,
    explain,
    is_unsent,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

__all__ = ["Answer", "Http", "LostError", "NotSentError", "check_url"]

ANSWER_LIMIT: Final = 1024 * 1024  # ours: QQ's answers are a few hundred bytes
STREAM_FROM: Final = 1024 * 1024  # aiohttp wants larger bodies as a stream
CLOSE_S: Final = 1.0
HEADERS: Final = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class LostError(Exception):
    """It left, or may have, and no whole answer came. ``reason`` is one line for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answer(NamedTuple):
    """A whole answer, whatever its status. ``headers`` ignores case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Pool:
    """Connections that live and die together."""

    __slots__ = ("retired", "session", "users")

    def __init__(self, resolver: Resolver, limit: int, *, fresh: bool) -> None:
        self.users = 0
        self.retired = False
        self.session = aiohttp.ClientSession(
            connector=Connector(limit=limit, resolver=resolver, force_close=fresh),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers=HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.session.close()
        except TimeoutError:
            pass  # a peer that does not read keeps its socket until the kernel gives up; nobody waits for it


class Http:
    """Requests to QQ over pooled connections.

    After any failure, and after a request that was cancelled because nobody wanted to wait any longer, the pool is
    replaced: the next request starts with new connections and new look-ups, and the old pool is closed when its
    last request has ended.
    """

    def __init__(self, *, environ: Mapping[str, str] = os.environ, limit: int = 100) -> None:
        self._proxies = Proxies(environ)
        self._resolver = Resolver()
        self._limit = limit
        self._tls: ssl.SSLContext | bool = True
        self._pools: dict[bool, _Pool] = {}
        self._closed = False

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
        """Send one request, once, and return its whole answer; redirects are answers.

        ``fresh`` makes a connection for this request alone: take it for what may not be repeated. The other
        end may close a kept connection just as we write, and then nobody knows whether the request arrived.

        Raises:
            NotSentError: nothing of it left.
            LostError: it left, or may have; nobody knows what became of it.
        Cancellation propagates, and its connection is closed.
        """
        try:
            url = _parse(url) if isinstance(url, str) else url
        except ValueError as error:
            raise NotSentError(f"no URL: {error}") from None
        if self._closed:
            raise NotSentError("the client is closed")
        pool = self._pools.get(fresh)
        if pool is None:
            pool = self._pools[fresh] = _Pool(self._resolver, self._limit, fresh=fresh)
        pool.users += 1
        try:
            async with asyncio.timeout(timeout_s):
                response = await pool.session.request(
                    method,
                    url,
                    headers=headers,
                    data=body if body is None or len(body) < STREAM_FROM else io.BytesIO(body),
                    allow_redirects=False,
                    proxy=self._proxies.find(url),
                    ssl=self._tls,
                    timeout=deadlines(timeout_s),
                    middlewares=() if method == "POST" else (once,),
                )
                return Answer(response.status, response.headers, await _read(response))
        except (NotSentError, LostError) as error:
            failure: NotSentError | LostError = error
            self._retire(pool)
        except (ConfigError, aiohttp.InvalidURL) as error:
            failure = NotSentError(str(error))
        except TimeoutError as error:
            late = f"within {timeout_s:g} s"
            failure = (
                NotSentError(f"no connection to {url.host} {late}")
                if is_unsent(error)
                else LostError(f"no whole answer {late}")
            )
            self._retire(pool)
        except (aiohttp.ClientError, OSError) as error:
            failure = LostError(explain(error))
            self._retire(pool)
        except asyncio.CancelledError:
            self._retire(pool)  # behaviour S5: an attempt that was given up leaves nothing to the next one
            raise
        finally:
            pool.users -= 1
            if pool.retired and not pool.users:
                await pool.close()
        raise failure  # outside: aiohttp's errors carry the headers, and with them the token

    def _retire(self, pool: _Pool) -> None:
        pool.retired = True
        self._pools = {fresh: other for fresh, other in self._pools.items() if other is not pool}

    async def close(self) -> None:
        """Close every connection; requests under way end as lost. At most `CLOSE_S` for each pool."""
        self._closed = True
        for pool in tuple(self._pools.values()):
            self._retire(pool)
            await pool.close()


async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a lost GET or PUT on its own: whether to repeat is not ours to decide."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        reason = explain(error)
    raise LostError(reason)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body, up to `ANSWER_LIMIT`."""
    content = response.content
    try:
        body = await content.readany()
        while not content.at_eof() and len(body) <= ANSWER_LIMIT:
            body += await content.readany()
    except BaseException:
        response.close()
        raise
    if len(body) > ANSWER_LIMIT:
        response.close()
        raise LostError(f"the answer is longer than {ANSWER_LIMIT} bytes")
    response.release()
    return body


@functools.lru_cache(1024)
def _parse(url: str) -> URL:
    return URL(url)
