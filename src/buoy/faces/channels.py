"""The ways out for alerts: a webhook by Buoy's own client, everything else by apprise, and the dead-man's switch.

An address is a secret. Of it, names and errors show the scheme and, of a webhook, the host.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from buoy.errors import ConfigError
from buoy.faces.aside import aside
from buoy.gateway.alerts.channel import Channel, ChannelError
from buoy.settings import Alerts
from buoy.transport.http import Http, LostError, NotSentError

TIMEOUT_S: Final = 10.0
HTTP: Final = frozenset({"http", "https"})
JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
KINDS: Final = {"recovered": "success", "test": "info"}
SHORTEST: Final = 4  # parts of an address that are shorter are words, not secrets
SHOWN: Final = 200
AT_ONCE: Final = 8  # deliveries of one address that have not ended: more are not begun


class Webhook:
    """POSTs one JSON object; any 2xx means that it was taken."""

    def __init__(self, url: str, place: int, environ: Mapping[str, str]) -> None:
        self.name = f"{place} webhook {urlsplit(url).hostname}"
        self._url = url
        self._environ = environ

    async def tell(self, title: str, text: str, data: Mapping[str, Any]) -> None:
        """Deliver once; see :class:`buoy.gateway.alerts.channel.Channel`."""
        body = msgspec.json.encode({"title": title, "text": text, **data})
        await _request("POST", self._url, self._environ, headers=JSON, body=body)


class Ping:
    """GETs the address of a dead-man's switch."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self._url = url
        self._environ = environ

    async def __call__(self) -> None:
        """Ping once. Raises ChannelError."""
        await _request("GET", self._url, self._environ, headers={}, body=None)


class Apprise:
    """One address of a service that apprise knows.

    Its plugins block, some for minutes: each delivery runs on a daemon thread, and who waits for it may stop waiting.
    """

    def __init__(self, plugin: Any, scheme: str, place: int, secrets: Sequence[str]) -> None:
        """``secrets`` are those of every address: what a late delivery complains of may show up in another's."""
        self.name = f"{place} {scheme}"
        self._plugin = plugin
        self._secrets = secrets
        self._free = threading.Semaphore(AT_ONCE)

    async def tell(self, title: str, text: str, data: Mapping[str, Any]) -> None:
        """Deliver once; see :class:`buoy.gateway.alerts.channel.Channel`."""
        if not self._free.acquire(blocking=False):
            raise ChannelError(f"{AT_ONCE} deliveries have not ended yet")
        failure = await aside(lambda: self._deliver(title, text, str(data.get("kind"))), name="apprise")
        if failure:
            raise ChannelError(failure)

    def _deliver(self, title: str, text: str, kind: str) -> str:
        try:
            return self._notify(title, text, KINDS.get(kind, "warning"))
        finally:
            self._free.release()

    def _notify(self, title: str, text: str, kind: str) -> str:
        """Deliver, on this thread; returns why not, empty when it was taken."""
        import apprise  # noqa: PLC0415  heavy, and optional

        said = io.StringIO()
        try:
            with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
                notifier = apprise.Apprise()
                notifier.add(self._plugin)
                if notifier.notify(body=text, title=title, notify_type=apprise.NotifyType(kind)):
                    return ""
        except Exception as error:  # noqa: BLE001  plugins raise anything, with the address in it
            return f"it failed with {type(error).__name__}"
        lines = said.getvalue().split("\n")
        return self._hidden(next((line for line in lines if line), "")) or "the service did not take it"

    def _hidden(self, text: str) -> str:
        for part in self._secrets:
            text = text.replace(part, "***")
        return text[:SHOWN]


def build(settings: Alerts, environ: Mapping[str, str]) -> list[Channel]:
    """Make the channels of `[alerts] urls`, in their order.

    Raises:
        ConfigError: an address cannot be used; the text names it by its place, never itself.
    """
    urls = [secret.reveal() for secret in settings.urls]
    secrets = _parts(*urls)
    return [_channel(url, place, environ, secrets) for place, url in enumerate(urls, 1)]


def _channel(url: str, place: int, environ: Mapping[str, str], secrets: Sequence[str]) -> Channel:
    where = f"alerts.urls (BUOY_ALERTS): address {place}"
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host = "", None
    if scheme in HTTP and host:
        return Webhook(url, place, environ)
    if scheme in HTTP or not scheme:
        raise ConfigError(f"{where} is no address; write https://HOST/PATH or an apprise address such as ntfy://TOPIC")
    try:
        import apprise  # noqa: PLC0415  heavy, and optional
    except ImportError:
        raise ConfigError(
            f"{where} ({scheme}://) needs apprise; install it with: pip install 'buoy-qq[alerts]'"
        ) from None
    logger = logging.getLogger("apprise")
    logger.propagate = False  # its lines may hold addresses; what we show of them goes through `Apprise._hidden`
    logger.addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports what it can find, outdated modules too
        plugin = apprise.Apprise.instantiate(url)
    if plugin is None:
        raise ConfigError(
            f"{where} ({scheme}://) is not understood by apprise; its documents tell how to write it, "
            "and a comma in it must be written %2C in BUOY_ALERTS"
        )
    return Apprise(plugin, scheme, place, secrets)


def _parts(*urls: str) -> Sequence[str]:
    """What of addresses must not be shown: everything behind the scheme, longest parts first."""
    rest = " ".join(url.partition("://")[2] for url in urls)
    for mark in "/?&=#@:;,+":
        rest = rest.replace(mark, " ")
    found = {part for whole in rest.split() for part in (whole, unquote(whole)) if len(part) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


async def _request(
    method: str, url: str, environ: Mapping[str, str], *, headers: Mapping[str, str], body: bytes | None
) -> None:
    """Send one request over a connection of its own; alerts are rare, and nothing is left open for a stop to wait for.

    Raises:
        ChannelError: no answer, or one that is not 2xx.
    """
    http = Http(environ=environ)
    try:
        answer = await http.request(method, url, headers=headers, body=body, timeout_s=TIMEOUT_S)
    except (NotSentError, LostError) as error:
        text = error.reason
        for part in _parts(url):
            text = text.replace(part, "***") if part != urlsplit(url).hostname else text
        raise ChannelError(text[:SHOWN]) from None
    finally:
        await http.close()
    if not 200 <= answer.status < 300:
        raise ChannelError(f"HTTP {answer.status}")
