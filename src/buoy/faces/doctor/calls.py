"""Asks QQ's REST interface what it says to this bot: a token, the gateway, the bot's own name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec

from buoy.faces.doctor.facts import Call, Told
from buoy.protocol import codes, rest, wire
from buoy.settings import Bot
from buoy.transport.http import Answer, Http, LostError, NotSentError
from buoy.transport.token import HEADERS

CALL_S: Final = 5.0  # 3.1: QQ asks clients for at least 5 s
ME_PATH: Final = "/users/@me"


class Rest:
    """The calls of one examination. ``wall`` is this machine's clock, which is under examination, too."""

    def __init__(self, environ: Mapping[str, str], *, wall: Callable[[], float], call_s: float = CALL_S) -> None:
        self._http = Http(environ=environ)
        self._wall = wall
        self._call_s = call_s

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    async def examine(self, bot: Bot) -> list[Call]:
        """Ask every token endpoint; with a token, every API host for the gateway, and one for the bot's name."""
        tokens = await asyncio.gather(*(self._token(bot, url) for url in bot.token_url))
        calls = [call for call, _ in tokens]
        token = next((token for _, token in tokens if token), "")
        if token:
            asked = [self._gateway(bot, base, token) for base in bot.api_base]
            calls += await asyncio.gather(*asked, self._me(bot, bot.api_base[0], token))
        return calls

    async def _token(self, bot: Bot, url: str) -> tuple[Call, str]:
        body = rest.build_token(bot.app_id, bot.client_secret.reveal())
        call, answer = await self._ask(bot, "token", "POST", url, HEADERS, body)
        if answer is None:
            return call, ""
        told = rest.parse_token(answer.status, answer.body)
        if isinstance(told, rest.Token):
            usable = told.access_token.isascii() and told.access_token.isprintable()
            return call, told.access_token if usable else ""
        return replace(call, told=told.kind, text=told.reason, code=told.code), ""

    async def _gateway(self, bot: Bot, base: str, token: str) -> Call:
        call, answer = await self._ask(bot, "gateway", "GET", base + wire.GATEWAY_BOT_PATH, _authorised(token), None)
        if answer is None:
            return call
        told = rest.parse_gateway(answer.status, answer.body, answer.headers)
        if isinstance(told, rest.Gateway):
            return replace(call, url=told.url, remaining=told.remaining, total=told.total)
        return replace(call, told=told.kind, text=told.reason, code=told.code)

    async def _me(self, bot: Bot, base: str, token: str) -> Call:
        call, answer = await self._ask(bot, "me", "GET", base + ME_PATH, _authorised(token), None)
        if answer is None:
            return call
        fields = _object(answer.body)
        numbers = [wire.integer(fields.get(key)) or 0 for key in ("code", "err_code")]
        if 200 <= answer.status < 300 and not any(numbers):
            return replace(call, title=wire.text_of(fields.get("username"))[:80])
        verdict = codes.classify(answer.status, numbers, passive=False)
        return replace(
            call,
            told=_KINDS.get(verdict.action, "down") if verdict.known or answer.status == 401 else "down",
            text=f"asked for the bot's name: {rest.explain(verdict._replace(remedy=''), answer.status)}",
            code=verdict.code,
        )

    async def _ask(
        self, bot: Bot, name: str, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[Call, Answer | None]:
        began, sent_at = time.monotonic(), self._wall()
        where = urlsplit(url)
        host = f"{where.hostname}:{where.port or (443 if where.scheme == 'https' else 80)}"
        try:
            answer = await self._http.request(
                method, url, headers=headers, body=body, timeout_s=self._call_s, fresh=True
            )
        except NotSentError as error:
            return Call(bot.app_id, name, host, "unsent", error.reason, took_s=_since(began)), None
        except LostError as error:
            return Call(bot.app_id, name, host, "lost", error.reason, took_s=_since(began)), None
        took_s = _since(began)
        ahead_s = _ahead(answer.headers.get("Date"), sent_at + took_s / 2)
        return Call(bot.app_id, name, host, took_s=took_s, ahead_s=ahead_s), answer


_KINDS: Final[dict[codes.Action, Told]] = {
    codes.Action.RATE: "rate",
    codes.Action.TOKEN: "token",
    codes.Action.PERM: "blocked",
}


def _authorised(token: str) -> dict[str, str]:
    return {"Authorization": f"{wire.AUTH_SCHEME} {token}"}


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _ahead(date: str | None, at: float) -> float | None:
    """Seconds that ``at`` is ahead of a Date header, which has a resolution of one."""
    try:
        return round(at - 0.5 - parsedate_to_datetime(date or "").timestamp(), 1)
    except (ValueError, TypeError, OverflowError):
        return None


def _object(body: bytes) -> dict[str, object]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
