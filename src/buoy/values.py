"""How single values are read: addresses, numbers, intents; and the one line about a value that cannot be."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from buoy.errors import ConfigError
from buoy.protocol import wire
from buoy.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS: Final = {row.path: row for row in SETTINGS}


def split(text: str) -> list[str]:
    """Give the parts between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def number(text: str) -> float | str:
    """Read a number; anything else stays as it is, for the check to refuse it by name."""
    try:
        return float(text)
    except ValueError:
        return text


def addresses(value: Any, at: str) -> list[str]:
    """Split and check a fail-over list of API addresses."""
    if not isinstance(value, str):
        raise wrong(at, "not a text")
    addresses = [address.rstrip("/") for address in split(value)]
    if not addresses:
        raise wrong(at, "empty")
    for address in addresses:
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port  # reading the port checks it
        except ValueError:
            raise wrong(at, f"{address!r} is not an address") from None
        if parts.scheme not in {"http", "https"} or not host or re.search(r"[\s?#@]", address):
            raise wrong(at, f"{address!r} is not an address")
        if parts.scheme == "http" and not is_loopback(host):
            raise wrong(at, f"{address!r} has no TLS, which is for this machine (127.0.0.1) only")
    return list(dict.fromkeys(addresses))


def is_loopback(host: str) -> bool:
    """Say whether an address, or the name `localhost`, is this machine, whatever a resolver says."""
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def token_urls(api_base: Iterable[str]) -> list[str]:
    """Derive where tokens come from (protocol.md 2.1); a host that is not the platform's serves both."""
    hosts: list[str] = []
    for base in api_base:
        ours = (urlsplit(base).hostname or "").endswith(wire.PLATFORM_DOMAIN)
        hosts += wire.TOKEN_HOSTS if ours else [base]
    return [host + wire.TOKEN_PATH for host in dict.fromkeys(hosts)]


def intents(value: Any, at: str) -> Any:
    """Turn a list of names into the number; a number stays."""
    if not isinstance(value, list):
        return value
    total = 0
    for name in value:
        if name not in wire.Intent.__members__:
            raise wrong(at, f"{name!r} is none of {', '.join(wire.Intent.__members__)}")
        total |= wire.Intent[name]
    return int(total)


class SettingError(ConfigError):
    """One setting is wrong: the one at this path, indices included; why; and what to do."""

    def __init__(self, at: str, cause: str, remedy: str) -> None:
        row = ROWS[setting(at)]
        super().__init__(f"{f'{at} ({row.env})' if row.env else at}: {cause}; {remedy}")
        self.path, self.cause, self.remedy = setting(at), cause, remedy


def setting(at: str) -> str:
    """Give the path without its indices."""
    return re.sub(r"\[\d+\]", "", at)


def wrong(at: str, cause: str) -> SettingError:
    """One line about the setting at this path, indices included."""
    return SettingError(at, cause, f"write {ROWS[setting(at)].write}")
