"""Who may do what over HTTP. Pure: what a request says of itself goes in, a refusal or nothing comes out.

- A probe and the page's own files need nothing. The answer that an http agent brings is signed, which its agent checks.
- Logging in shows the token itself; no other site's page may try: its guesses would count as this machine's.
- Reading needs the token (as a Bearer, or as the session that a login made of it), but not on the machine itself: a
  loopback peer that names a loopback host and that no proxy speaks for. The host is looked at because a page of
  another site can point its own name at 127.0.0.1 (DNS rebinding); its browser still says that name.
- Acting needs the same, and that no other site's page can have made the request: same origin, JSON, and a header of
  our own, which a browser sends across sites only after asking, and nobody answers that question here.
- Sending needs the Bearer, wherever it comes from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from buoy.values import is_loopback

FORWARDED: Final = (
    *("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-host"),
)
FORWARDED_PREFIX: Final = "x-forwarded"
_HOST: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^][:@]+))(?::[0-9]+)?")


class Need(Enum):
    """What a path asks for."""

    NOTHING = auto()
    ENTER = auto()
    READ = auto()
    ACT = auto()
    SEND = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself, as far as it matters here."""

    peer: str
    """The address at the other end of the socket; empty: not known."""
    hosts: tuple[str, ...]
    """Every Host header."""
    is_forwarded: bool = False
    """A proxy has left its mark, or speaks the HTTP/1.0 that no browser speaks."""
    token: bool | None = None
    """Its Bearer is the token; None: it has none."""
    session: bool = False
    """Its cookie is a session that lasts."""
    origin: str | None = None
    site: str | None = None
    """`Sec-Fetch-Site`."""
    is_json: bool = False
    is_marked: bool = False
    """It has `X-Buoy: 1`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: an HTTP status, and one line with the remedy."""

    status: int
    error: str


LOGIN: Final = Refusal(401, "log in first: POST /login with the token, or send it as Authorization: Bearer TOKEN")
WRONG: Final = Refusal(401, "this is not the token; it is in the settings (web.token), or in web.token in the data_dir")
BEARER: Final = Refusal(401, "sending needs the token, from this machine too: Authorization: Bearer TOKEN")
OTHER_SITE: Final = Refusal(403, "a page of another site asked for this; open it here instead")
UNMARKED: Final = Refusal(403, "an action needs Content-Type: application/json and the header X-Buoy: 1")


def decide(need: Need, asked: Asked, *, login_always: bool = False) -> Refusal | None:
    """Say what is in the way of a request; None: nothing. ``login_always``: this machine needs the token too."""
    if need is Need.NOTHING:
        return None
    if need is Need.ENTER:
        return OTHER_SITE if _is_of_another_site(asked) else None
    if asked.token is False:
        return WRONG
    if need is Need.SEND:
        return None if asked.token else BEARER
    if asked.site in {"cross-site", "same-site"}:
        return OTHER_SITE
    if not (asked.token or asked.session or (not login_always and is_local(asked))):
        return LOGIN
    if need is Need.ACT:
        if not (asked.is_json and asked.is_marked):
            return UNMARKED
        if not _is_same_origin(asked):
            return OTHER_SITE
    return None


def is_local(asked: Asked) -> bool:
    """Say whether a request was made on this machine, to this machine, with nobody in between."""
    return (
        not asked.is_forwarded
        and is_loopback(asked.peer)
        and len(asked.hosts) == 1
        and is_loopback(name(asked.hosts[0]))
    )


def name(host: str) -> str:
    """Give the name or address of a Host header, without its port; empty: it is not one."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1] or found[2]


def has_forwarding(headers: list[str]) -> bool:
    """Say whether one of these header names is a proxy's."""
    return any(one.lower().startswith(FORWARDED_PREFIX) or one.lower() in FORWARDED for one in headers)


def _is_of_another_site(asked: Asked) -> bool:
    """Say whether a browser says so; what it says of the site counts, where it says that."""
    if asked.site is not None:
        return asked.site in {"cross-site", "same-site"}
    return asked.origin is not None and not _is_ours(asked.origin, asked.hosts)


def _is_same_origin(asked: Asked) -> bool:
    """A browser names the origin with every POST; what names none is no browser, and has to show the token."""
    if asked.site is not None and asked.site != "same-origin":
        return False
    if asked.origin is not None:
        return _is_ours(asked.origin, asked.hosts)
    return asked.site == "same-origin" or bool(asked.token)


def _is_ours(origin: str, hosts: tuple[str, ...]) -> bool:
    scheme, _, host = origin.partition("://")
    return scheme in {"http", "https"} and (host.lower(),) == tuple(one.lower() for one in hosts)
