"""Walks to each host of QQ: the name, TCP, TLS, or the proxy in between. Each step has a deadline."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from buoy.errors import ConfigError
from buoy.faces.doctor.facts import Trouble, Way
from buoy.transport.route import Resolver, route

WALK_S: Final = 6.0
ADDRESSES: Final = 3  # tried one after the other
LEAVE_S: Final = 0.5
NOT_YET, EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED: a wrong clock shows so


async def walk(url: str, environ: Mapping[str, str] = os.environ, *, within_s: float = WALK_S) -> Way:
    """Go as far as a request to ``url`` would, and say where it ends."""
    try:
        way = route(url, environ)
    except ConfigError as error:
        return Way(url, "proxy_kind", str(error))
    host, port = way.host, way.port
    through, named = way.proxy, f"{way.host}:{way.port}"
    if through is not None:
        host, port = through
    label = "" if through is None else f"{host}:{port} ({way.variable})"
    began = time.monotonic()

    def ends(trouble: Trouble, text: str) -> Way:
        if through is not None:
            return Way(named, "proxy", f"the proxy {label} cannot be reached: {text}", _since(began), label)
        return Way(named, trouble, text, _since(began))

    try:
        async with asyncio.timeout(within_s):
            try:
                found = await Resolver().resolve(host, port, socket.AF_UNSPEC)
            except OSError as error:
                return ends("dns", f"{host}: {error.strerror or error}")
            if not found:
                return ends("dns", f"{host}: the resolver knows no address")
            is_tls = way.is_tls and through is None
            failure: OSError = OSError("no address")
            for place in found[:ADDRESSES]:
                try:
                    await _knock(str(place["host"]), port, host if is_tls else None, within_s / 2)
                except ssl.SSLCertVerificationError as error:
                    kind: Trouble = "tls_time" if error.verify_code in {NOT_YET, EXPIRED} else "tls"
                    return ends(kind, f"{host}: {error.verify_message}")
                except ssl.SSLError as error:
                    return ends("tls", f"{host}: {error.reason or error}")
                except TimeoutError:
                    failure = TimeoutError()
                except OSError as error:
                    failure = error
                else:
                    return Way(named, "", str(place["host"]), _since(began), label)
    except TimeoutError:
        return ends("silent", f"{host}:{port} did not answer within {within_s:g} s")
    if isinstance(failure, TimeoutError):
        return ends("silent", f"{host}:{port} did not answer within {within_s / 2:g} s")
    return ends("refused", f"{host}:{port}: {failure.strerror or failure}")


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


async def _knock(address: str, port: int, name: str | None, within_s: float) -> None:
    """Connect to one address, with TLS where ``name`` is given, and leave again."""
    async with asyncio.timeout(within_s):
        context = None if name is None else ssl.create_default_context()
        _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(LEAVE_S):
            await writer.wait_closed()
