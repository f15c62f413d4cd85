"""HTTP for agents: Buoy's own way through proxies, names and TLS; bounded in time and size."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp

from buoy.errors import AgentError, ConfigError
from buoy.transport.route import USER_AGENT, Connector, NotSentError, Proxies, Resolver, check_url, deadlines, explain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from yarl import URL

__all__ = ["BrokenError", "NotSentError", "Wire", "check", "take"]

CLOSE_S: Final = 1.0
CONNECT_S: Final = 10.0


class BrokenError(AgentError):
    """The request left, or may have, and no whole answer came."""


class Wire:
    """Requests, each over a connection of its own. Redirects are answers, cookies are dropped.

    Once made it belongs to the loop that asks first.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._proxies = Proxies(environ)
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request, once; inside, its answer may be read. How long that takes is the caller's to bound.

        Raises:
            NotSentError: nothing of it left.
            BrokenError: it left, or may have, and the connection ended before the answer did.
        Cancellation propagates, and the connection is closed.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(limit=0, resolver=Resolver(), force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxies.find(url),
                timeout=deadlines(CONNECT_S),
            ) as response:
                yield response
                return
        except (aiohttp.ClientError, OSError) as error:
            reason = explain(error)
        raise BrokenError(f"{url.host}: {reason or 'no answer in time'}")  # outside: the original carries the headers

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await session.close()
            except TimeoutError:
                pass  # a peer that does not read keeps its socket until the kernel gives up


def check(url: str, setting_name: str) -> URL:
    """Parse the address of an agent.

    Raises:
        ConfigError: it is no http(s) URL, or has no TLS and is not on this machine.
    """
    parsed = check_url(url, setting_name, os.environ)
    if parsed.scheme not in {"http", "https"}:
        raise ConfigError(f"{setting_name}: {url[:80]} is no http(s) URL; write https://HOST/PATH")
    return parsed


async def take(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read the whole body.

    Raises:
        BrokenError: it is longer than ``limit`` bytes.
    """
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            response.close()
            raise BrokenError(f"the answer is longer than {limit} bytes")
    return bytes(body)
