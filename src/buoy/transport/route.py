"""The way from a URL to a connection: which addresses are allowed, through which proxy, under which names.

Whatever goes wrong here goes wrong before a request has left, and comes out as :class:`NotSentError`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
import aiohttp.abc
from yarl import URL

from buoy import __version__
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

LOOK_UP_S: Final = 60.0  # ours: what glibc needs at most with three dead name servers, and then some
CONNECT_S: Final = 10.0  # DNS, proxy, TCP and TLS together; a caller's shorter deadline shortens it
SCHEMES: Final = {
    "http": "http",
    "https": "https",
    "ws": "http",
    "wss": "https",
}  # and whose proxy setting counts
PLAIN: Final = {"http": "https", "ws": "wss"}
UNSENT: Final = "before anything was sent"
REASON_LIMIT: Final = 300
USER_AGENT: Final = f"buoy/{__version__}"


class NotSentError(Exception):
    """The request never left: DNS, connect, TLS or the proxy refused. ``reason`` is one line for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- which addresses are allowed ----------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine, by its spelling alone."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str | URL, setting_name: str, environ: Mapping[str, str] | None = None) -> URL:
    """Return ``url`` parsed; refuse what we would not connect to, and with ``environ`` its proxy too.

    Raises:
        ConfigError: no http(s) or ws(s) URL; no host; no TLS outside loopback; no proxy that we can use.
    """
    try:
        parsed = URL(url)
        scheme, host = parsed.scheme, parsed.host
    except ValueError as error:
        raise ConfigError(f"{setting_name}: {url!s} is not a URL ({error}); write https://HOST") from None
    if scheme not in SCHEMES or not host:
        raise ConfigError(f"{setting_name}: {url!s} is not an http(s) or ws(s) URL; write https://HOST")
    if scheme in PLAIN and not is_loopback(host):
        raise ConfigError(
            f"{setting_name}: {scheme}://{host} is not encrypted, which is accepted for loopback only; "
            f"write {PLAIN[scheme]}://{host}"
        )
    if environ is not None:
        Proxies(environ).find(parsed)
    return parsed


# --- through which proxy ------------------------------------------------------------------------------------


class Proxies:
    """The proxy settings of an environment, read once; the answer for each host is remembered.

    Lower-case names win over upper-case ones, loopback is never proxied, ``NO_PROXY`` lists names (which
    cover their subdomains) or ``*``: as curl and Go read them.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        def read(name: str) -> tuple[str, str]:
            spelled = name if environ.get(name) else name.upper()
            return spelled, environ.get(spelled, "").strip()

        fallback = read("all_proxy")
        own = {scheme: read(f"{scheme}_proxy") for scheme in ("http", "https")}
        self._by_scheme = {s: setting if setting[1] else fallback for s, setting in own.items()}
        self._direct = read("no_proxy")[1].replace(",", " ").lower().split()
        self._found: dict[tuple[str, str | None, int | None], URL | None] = {}
        self._none = not any(text for _, text in self._by_scheme.values())

    def find(self, url: URL) -> URL | None:
        """Return the proxy for ``url``, None for a direct connection.

        Raises:
            ConfigError: the environment names a proxy that is none of http:// and https://.
        """
        if self._none:
            return None
        key = (url.scheme, url.host, url.port)
        if key not in self._found:
            self._found[key] = self._look_up(url)
        return self._found[key]

    def variable(self, url: URL) -> str:
        """Name the variable that decides about ``url``."""
        return self._by_scheme[SCHEMES[url.scheme]][0]

    def _look_up(self, url: URL) -> URL | None:
        name, text = self._by_scheme[SCHEMES[url.scheme]]
        host = (url.host or "").lower()
        if not text or is_loopback(host) or any(_covers(entry, host, url.port) for entry in self._direct):
            return None
        with contextlib.suppress(ValueError):
            proxy = URL(text if "://" in text else f"http://{text}")
            if proxy.scheme in {"http", "https"} and proxy.host:
                return proxy
        kind = text.split("://", maxsplit=1)[0] if "://" in text else "this"
        raise ConfigError(
            f"{name}: {kind} is no kind of proxy that Buoy can use; set an http:// proxy, or add {host} to NO_PROXY"
        )


class Route(NamedTuple):
    """Which way a request goes: to HOST and PORT, or to a proxy, which ``variable`` of the environment names."""

    host: str
    port: int
    is_tls: bool
    proxy: tuple[str, int] | None
    variable: str


def route(url: str, environ: Mapping[str, str]) -> Route:
    """Say which way a request to ``url`` goes; nothing is connected.

    Raises:
        ConfigError: we would not go there, or the environment names a proxy that we cannot use.
    """
    parsed = check_url(url, "address")
    proxies = Proxies(environ)
    proxy = proxies.find(parsed)
    where = None if proxy is None else (proxy.host or "", proxy.port or 0)
    is_tls = parsed.scheme not in PLAIN
    return Route(parsed.host or "", parsed.port or (443 if is_tls else 80), is_tls, where, proxies.variable(parsed))


def _covers(entry: str, host: str, port: int | None) -> bool:
    name, _, only_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if only_port and only_port != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return entry == "*" or host == name or (bool(name) and host.endswith(f".{name}"))


# --- under which names --------------------------------------------------------------------------------------


class Resolver(aiohttp.abc.AbstractResolver):
    """Look names up on daemon threads, one for each name at a time.

    A dead name server blocks `getaddrinfo` for up to a minute. The loop's own executor would then have no
    thread left for anybody, and the end of the process would wait for it. A look-up that takes longer than
    `LOOK_UP_S` is joined no more: it may never end.
    """

    def __init__(self, look_up: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
        self._getaddrinfo = look_up
        self._running: dict[tuple[str, int, int], tuple[asyncio.Future[_Found], float]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Return the addresses of ``host``; raise OSError when there are none."""
        key = (host, port, int(family))
        loop = asyncio.get_running_loop()
        future, began = self._running.get(key, (None, 0.0))
        if future is None or loop.time() - began > LOOK_UP_S:
            future = loop.create_future()
            self._running[key] = future, loop.time()
            name = f"dns {host}"
            threading.Thread(target=self._look_up, args=(key, future), name=name, daemon=True).start()
        found = await asyncio.shield(future)
        if isinstance(found, OSError):
            raise type(found)(*found.args)
        return [
            {
                "hostname": host,
                "host": str(a[0]),
                "port": port,
                "family": f,
                "proto": p,
                "flags": socket.AI_NUMERICHOST,
            }
            for f, _, p, _, a in found
            if f in {socket.AF_INET, socket.AF_INET6}
        ]

    def _look_up(self, key: tuple[str, int, int], future: asyncio.Future[_Found]) -> None:
        host, port, family = key
        found: _Found
        try:
            found = self._getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except OSError as error:
            found = error
        except UnicodeError:
            found = OSError(socket.EAI_NONAME, "no valid host name")
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            future.get_loop().call_soon_threadsafe(self._settle, key, future, found)

    def _settle(self, key: tuple[str, int, int], future: asyncio.Future[_Found], found: _Found) -> None:
        if self._running.get(key, (None,))[0] is future:
            del self._running[key]
        if not future.done():
            future.set_result(found)

    async def close(self) -> None:
        """Do nothing: threads that still wait for an answer end by themselves."""


_Found = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]] | OSError


# --- the connection -----------------------------------------------------------------------------------------


class Connector(aiohttp.TCPConnector):
    """Connect as aiohttp does; whatever fails on the way is a `NotSentError`, so that nobody has to guess."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Take a connection from the pool or make one."""
        try:
            return await super().connect(req, traces, timeout)
        except asyncio.CancelledError as error:
            error.add_note(UNSENT)
            raise
        except (aiohttp.ClientError, OSError) as error:
            reason = explain(error) or f"no connection to {req.url.host} within {timeout.connect:g} s"
        raise NotSentError(reason)  # outside: the original carries headers and the proxy's password


@functools.lru_cache(64)
def deadlines(timeout_s: float) -> aiohttp.ClientTimeout:
    """Bound the connect inside a deadline of ``timeout_s``, which is the caller's to keep."""
    return aiohttp.ClientTimeout(connect=min(CONNECT_S, timeout_s), ceil_threshold=float("inf"))


def is_unsent(error: TimeoutError) -> bool:
    """Return whether the deadline that raised ``error`` cut a `Connector` off before it had a connection.

    What was cut off is its cause on Python 3.11.7, and only its context on 3.11.2, which is Debian 12's.
    """
    return UNSENT in getattr(error.__cause__ or error.__context__, "__notes__", ())


def explain(error: BaseException) -> str:
    """Say in one line what went wrong, without headers, URLs or passwords; "" for a plain time-out.

    The line can be stored: what a peer wrote in another encoding than UTF-8 is a half surrogate pair in aiohttp.
    """
    match error:
        case aiohttp.ConnectionTimeoutError():
            text = ""
        case aiohttp.ClientConnectorDNSError():
            text = f"the name {error.host} cannot be resolved: {_os_text(error.os_error)}"
        case aiohttp.ClientConnectorCertificateError():
            text = f"the certificate of {error.host} is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            text = f"no TLS with {error.host}: {_os_text(error.os_error)}"
        case aiohttp.ClientProxyConnectionError():
            text = f"the proxy {error.host}:{error.port} cannot be reached: {_os_text(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            text = f"the proxy refused: {error.status} {error.message}"
        case aiohttp.ClientConnectorError():
            text = f"no connection to {error.host}:{error.port}: {_os_text(error.os_error)}"
        case aiohttp.ServerDisconnectedError():
            text = "the connection was closed before the answer was complete"
        case aiohttp.ClientResponseError():
            text = f"the answer is not HTTP: {error.message}"
        case aiohttp.ClientPayloadError():
            text = "the connection was closed before the answer was complete"
        case TimeoutError():
            text = ""
        case OSError():
            text = _os_text(error)
        case aiohttp.ClientConnectionError():
            text = "the connection was closed"  # its own text may show the proxy's password
        case _:
            text = type(error).__name__
    return " ".join(text.encode("utf-8", "replace").decode().split())[:REASON_LIMIT]


def _os_text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
