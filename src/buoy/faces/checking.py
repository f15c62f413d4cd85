"""Asks QQ whether AppID and secret are a bot's, and which: the token, the gateway, its name; nothing is connected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from buoy.platforms.qq.locate import Hosts, LocateError, Locator
from buoy.protocol import wire
from buoy.protocol.session import REMEDIES, Trouble
from buoy.settings import Bot
from buoy.transport.http import Http, LostError, NotSentError
from buoy.transport.token import TokenSource

NAME_S: Final = 5.0
ME_PATH: Final = "/users/@me"  # protocol.md 3.5; only its name is read, and the check does not need it


@dataclass(frozen=True, slots=True)
class Verdict:
    """What QQ said. ``trouble`` None: the bot can connect from here."""

    trouble: Trouble | None
    reason: str = ""
    name: str = ""
    identifies_left: int | None = None
    clock_ahead_s: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether AppID and secret are a pair that QQ knows, whatever else is in the way."""
        return self.trouble in {None, Trouble.IP, Trouble.BANNED}

    @property
    def remedy(self) -> str:
        """What a person can do about it."""
        known = REMEDIES.get(self.trouble) if self.trouble is not None else None
        return known[1] if known is not None else ""


async def check(bot: Bot, environ: Mapping[str, str]) -> Verdict:
    """Ask. Takes as long as the platform's own deadlines at most; raises nothing of the platform's."""
    http = Http(environ=environ)
    token = TokenSource(http, bot.app_id, bot.client_secret.reveal(), bot.token_url, clock=time.monotonic)
    hosts = Hosts(bot.api_base)
    locator = Locator(http, token, hosts, monotonic=time.monotonic, wall=time.time)
    try:
        try:
            found = await locator.locate(force_token=False, fresh_url=True)
        except LocateError as error:
            return Verdict(error.trouble, error.reason, clock_ahead_s=locator.skew.seconds)
        name = await _name(http, hosts.current, found.token)
        return Verdict(None, "", name, found.remaining, locator.skew.seconds)
    finally:
        await token.close()
        await http.close()


async def _name(http: Http, base: str, token: str) -> str:
    """What the bot is called; empty where QQ does not say."""
    headers = {"Authorization": f"{wire.AUTH_SCHEME} {token}"}
    try:
        answer = await http.request("GET", base + ME_PATH, headers=headers, body=None, timeout_s=NAME_S)
        told: Any = msgspec.json.decode(answer.body)
    except (NotSentError, LostError, msgspec.DecodeError, UnicodeDecodeError):
        return ""
    name = told.get("username") if isinstance(told, dict) else None
    return "".join(c for c in name if c.isprintable())[:60] if isinstance(name, str) else ""
