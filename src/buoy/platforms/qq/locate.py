"""Where QQ's gateway is: token, look-up with host fail-over, and a cached URL within two look-ups a minute."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from buoy.logger import Logger
from buoy.protocol import codes, rest, wire
from buoy.protocol.limits import (
    GATEWAY_LOOKUP_BURST,
    GATEWAY_LOOKUPS_A_MINUTE,
    GATEWAY_URL_LIFE_S,
    LOCATE_DEADLINE_S,
)
from buoy.protocol.session import Trouble
from buoy.transport.http import Http, LostError, NotSentError
from buoy.transport.token import TokenError, TokenSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = Logger("buoy.qq")

REVIEW_PAUSE_S: Final = 30.0  # ours: look-ups are limited to two a minute, and reconnects need them, too
SKEW_NOTICED_S: Final = 2.0  # a Date header has a resolution of one second

_TOKEN_TROUBLES: Final = {"secret": Trouble.SECRET, "bot": Trouble.APP, "rate": Trouble.RATE}
_LOOKUP_TROUBLES: Final = {"token": Trouble.TOKEN, "rate": Trouble.RATE}


class Hosts:
    """The API hosts in fail-over order; the look-up chooses, sends use what it chose (behaviour P9)."""

    def __init__(self, bases: Sequence[str]) -> None:
        self.bases = tuple(base.rstrip("/") for base in bases)
        self.current = self.bases[0]


class LocateError(Exception):
    """The gateway could not be found. ``trouble`` says who can do something about it."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Location:
    """Where to connect, with which token, and how many identifies QQ says are left (None: it did not say)."""

    url: str
    token: str
    remaining: int | None
    reset_s: float | None
    asked_at: float
    """Wall seconds of the look-up that told ``remaining``."""


class Skew:
    """How far this machine's wall clock is ahead of QQ's, from the Date header of QQ's answers."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def seen(self, date: str | None, now: float) -> None:
        """Take notice of one answer received at ``now`` (wall seconds); nonsense is ignored."""
        try:
            ahead = now - parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        self.seconds = ahead if abs(ahead) > SKEW_NOTICED_S else 0.0


class Locator:
    """Finds the gateway for one bot. Keeps the URL; asks again when told to, never oftener than allowed."""

    def __init__(
        self,
        http: Http,
        token: TokenSource,
        hosts: Hosts,
        *,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.skew = Skew()
        self._http = http
        self._token = token
        self._hosts = hosts
        self._monotonic = monotonic
        self._wall = wall
        self._given = ""
        """The token of the last location: a refusal is meant for it."""
        self._known: rest.Gateway | None = None
        self._known_at = 0.0
        self._asked_at = 0.0
        self._calls = float(GATEWAY_LOOKUP_BURST)
        self._calls_at = monotonic()
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Say that a send could not reach the chosen host: the look-up has to choose again."""
        if len(self._hosts.bases) > 1:
            self._doubted.set()

    async def review(self) -> None:
        """Choose again whenever there is a doubt; for ever.

        A session may live for days on one address while the host that sends go to is gone.
        """
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            before = self._hosts.current
            with suppress(LocateError):
                await self.locate(force_token=False, fresh_url=True)
            if self._hosts.current != before:
                log.warning("sends go to another host", was=before, now=self._hosts.current)
            await asyncio.sleep(REVIEW_PAUSE_S)

    async def locate(self, *, force_token: bool, fresh_url: bool) -> Location:
        """Get a token and the gateway's URL.

        Raises:
            LocateError: with what is wrong; one host failing is not an error while another answers.
        """
        if force_token:
            self._token.refused(self._given)
        try:
            self._given = token = await self._token.get(timeout_s=LOCATE_DEADLINE_S)
        except TokenError as error:
            trouble = _TOKEN_TROUBLES.get(error.kind, Trouble.TRANSIENT)
            raise LocateError(trouble, _join(error.reason, error.remedy)) from None
        known = self._known
        is_young = self._monotonic() - self._known_at < GATEWAY_URL_LIFE_S
        if known is None or ((fresh_url or not is_young) and self._may_ask()):
            known = await self._ask(token)
        return Location(known.url, token, known.remaining, known.reset_s, self._asked_at)

    def _may_ask(self) -> bool:
        """Refill the allowance; True while a call is left."""
        now = self._monotonic()
        refill = (now - self._calls_at) * GATEWAY_LOOKUPS_A_MINUTE / 60
        self._calls = min(float(GATEWAY_LOOKUP_BURST), self._calls + refill)
        self._calls_at = now
        return self._calls >= 1

    async def _ask(self, token: str) -> rest.Gateway:
        """Ask the hosts in order; the first that answers is the one that sends will use."""
        worst = LocateError(Trouble.RATE, "QQ allows two gateway look-ups a minute, and they are used up")
        for base in self._hosts.bases:
            if not self._may_ask():
                break
            self._calls -= 1
            try:
                answer = await self._http.request(
                    "GET",
                    base + wire.GATEWAY_BOT_PATH,
                    headers={"Authorization": f"{wire.AUTH_SCHEME} {token}"},
                    body=None,
                    timeout_s=LOCATE_DEADLINE_S / (len(self._hosts.bases) + 1),
                )
            except NotSentError as error:
                self._calls += 1
                worst = LocateError(Trouble.TRANSIENT, f"{base}: {error.reason}")
                continue
            except LostError as error:
                worst = LocateError(Trouble.TRANSIENT, f"{base}: {error.reason}")
                continue
            now = self._wall()
            self.skew.seen(answer.headers.get("Date"), now)
            told = rest.parse_gateway(answer.status, answer.body, answer.headers)
            if isinstance(told, rest.Gateway):
                self._hosts.current = base
                self._known, self._known_at, self._asked_at = told, self._monotonic(), now
                return told
            worst = LocateError(_trouble(told), f"{base}: {_join(told.reason, told.remedy)}")
            if worst.trouble is not Trouble.TRANSIENT:
                break
        raise worst


def _join(reason: str, remedy: str) -> str:
    return f"{reason}; {remedy}" if remedy else reason


def _trouble(told: rest.GatewayRefused) -> Trouble:
    """Who has to act: nobody (it passes), the token source, or a person."""
    if told.kind != "blocked":
        return _LOOKUP_TROUBLES.get(told.kind, Trouble.TRANSIENT)
    same = codes.find(told.code) == codes.find(codes.IP_NOT_ALLOWED)  # it has a second number (3.3)
    return Trouble.IP if same else Trouble.BANNED
