"""One QQ bot as the gateway sees it: session, translation, planning and delivery under one roof."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from buoy.chat import Click, Message, Reply, Target
from buoy.errors import ConfigError
from buoy.letters import Anchor, Cause, Event, Failed, Intake, Letter, Outcome, Permission, Plan
from buoy.logger import Logger
from buoy.platforms.qq import compose, permission, translate
from buoy.platforms.qq.clicks import Acknowledger
from buoy.platforms.qq.connection import Connection, OpenSocket
from buoy.platforms.qq.delivery import Delivery
from buoy.platforms.qq.locate import Hosts, Locator
from buoy.platforms.qq.planner import Allowed, plan
from buoy.platforms.qq.words import MANNER, Manner
from buoy.protocol import keyboards, signals
from buoy.protocol.limits import TEXT_LIMIT, WINDOWS_S
from buoy.protocol.rest import MSG_ID
from buoy.protocol.text import units
from buoy.transport.http import Http
from buoy.transport.token import TokenSource
from buoy.transport.websocket import Socket

SCENES = frozenset(WINDOWS_S)

T = TypeVar("T")

log = Logger("buoy.qq")


@dataclass(frozen=True, slots=True)
class Account:
    """What a bot needs to know to be one. ``secret`` is handed on to the token source and nowhere else."""

    app_id: str
    secret: str
    api_bases: tuple[str, ...]
    token_urls: tuple[str, ...]
    intents: int
    shard: tuple[int, int] = (0, 1)
    proactive: frozenset[str] = frozenset({"c2c"})
    """Scenes in which messages without an anchor are tried where nothing else was learned; none: never anywhere."""
    repeat_unsure: bool = False
    expect_event_s: float = math.inf
    """No event for so long, while heartbeats are acknowledged, means that the session is deaf; inf: never."""
    names_bot: bool = False
    """There are several bots: conversations are written with ``@<bot>``."""
    manner: Manner = MANNER
    """How Buoy speaks for itself."""


class QQ:
    """Satisfies :class:`buoy.gateway.platform.Platform`."""

    name = "qq"

    def __init__(
        self,
        account: Account,
        *,
        environ: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        http: Http | None = None,
        open_socket: OpenSocket | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.bot = account.app_id
        self._account = account
        self._wall = wall
        self._draw = draw
        self._http = http or Http(environ=environ)
        self._token = TokenSource(self._http, account.app_id, account.secret, account.token_urls, clock=monotonic)
        self._hosts = Hosts(account.api_bases)
        self._locator = Locator(self._http, self._token, self._hosts, monotonic=monotonic, wall=wall)
        self._delivery = Delivery(self._http, self._token, self._hosts, tips=account.manner.too_old)
        self._clicks = Acknowledger(self._delivery, wall=wall)
        self._open_socket = open_socket or partial(_open, environ)
        self.connection: Connection | None = None

    # --- inbound ------------------------------------------------------------------------------------------------

    def services(self, intake: Intake) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The connection, kept for ever, and who chooses the API host anew."""
        connection = self.connection = Connection(
            self.bot,
            intake,
            self._locator,
            self._open_socket,
            wall=self._wall,
            intents=self._account.intents,
            expect_s=self._account.expect_event_s,
            shard=self._account.shard,
            draw=self._draw,
            on_click=self._clicks.stored,
        )
        return {f"shard{self._account.shard[0]}": connection.run, "hosts": self._locator.review}

    def read(self, event: Event) -> Message | None:
        """A stored row as the agent sees it."""
        return translate.message(event, conversation=self._conversation(event))

    def click(self, event: Event) -> Click | None:
        """A stored row as the click that it is."""
        return translate.click(event, conversation=self._conversation(event))

    def _conversation(self, event: Event) -> str:
        return f"{event.lane}@{self.bot}" if self._account.names_bot else event.lane

    def types(self, event: Event) -> bool:
        """Only somebody who wrote a private message is shown that an answer is being written."""
        is_message = event.anchor is not None and event.anchor.startswith(MSG_ID)
        return is_message and translate.place(event.lane).scene in signals.SCENES

    async def typing(self, event: Event, seq: int) -> None:
        """Show it; see :meth:`Delivery.show_typing`."""
        if event.anchor is not None:
            await self._delivery.show_typing(event.lane, event.anchor, seq)

    # --- outbound -----------------------------------------------------------------------------------------------

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        """Letters for a turn, within sizes and, where possible, the reply budget.

        Buttons that QQ would not take are left out, and the log says why: the text is never lost for them.
        """
        replies = [self._shown(reply) if reply.buttons else reply for reply in replies]
        quoted = translate.reference(event) if any(reply.quote for reply in replies) else None
        return compose.compose(
            translate.place(event.lane).scene,
            replies,
            used=event.uses,
            reference=quoted,
            manner=self._account.manner,
        )

    def _shown(self, reply: Reply) -> Reply:
        try:
            return replace(reply, buttons=keyboards.arrange(reply.buttons))
        except ValueError as error:
            log.warning("buttons left out", bot=self.bot, reason=str(error))
            return replace(reply, buttons=())

    def body(self, reply: Reply) -> bytes:
        """One letter that answers nothing."""
        if reply.buttons:
            try:
                reply = replace(reply, buttons=keyboards.arrange(reply.buttons))
            except ValueError as error:
                raise ConfigError(str(error)) from None
        pieces = compose.compose("c2c", [reply])
        if len(pieces) != 1:
            size = f"the text has {units(reply.text)} characters; one QQ message takes {TEXT_LIMIT}"
            raise ConfigError(f"{size}, send it in parts" if pieces else "the text is blank; QQ takes no empty message")
        return pieces[0]

    def text_of(self, body: bytes) -> str:
        """The text of a letter body; what only announces a file has none."""
        told = compose.decode(body)
        return "" if told.is_note else told.text

    def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
        """Held letters in as few as fit, with the time where they are late."""
        return compose.merge(translate.place(held[0].lane).scene, held, now, self._account.manner)

    def reword(self, letter: Letter, failed: Failed) -> list[bytes]:
        """Another wording of refused content."""
        return compose.reword(letter.body, code=failed.code)

    def check(self, target: Target) -> None:
        """Refuse a target that QQ does not know. Raises ConfigError."""
        if target.scene not in SCENES:
            raise ConfigError(
                f"QQ has no scene {target.scene!r}; targets are qq:c2c:, qq:group:, qq:channel: or qq:dm:"
            )

    def plan(self, letter: Letter, anchors: Sequence[Anchor], now: float, known: Permission | None = None) -> Plan:
        """See :mod:`buoy.platforms.qq.planner`."""
        scene = translate.place(letter.lane).scene
        is_allowed, why = permission.allows(known, now, scene, self._account.proactive)
        allowed = Allowed(
            proactive=is_allowed,
            why=why,
            repeat_unsure=self._account.repeat_unsure,
            session=self.connection is None or self.connection.state.connected,
        )
        return plan(letter, anchors, now, scene=scene, allowed=allowed)

    def alive_since(self, lane: str, now: float) -> float:
        """Older events cannot be replied to any more."""
        return now - WINDOWS_S.get(translate.place(lane).scene, 0)

    async def reach(self) -> Failed | None:
        """A token and the host; see :meth:`Delivery.reach`."""
        return self._doubt(await self._delivery.reach())

    async def deliver(self, letter: Letter) -> Outcome:
        """One POST; see :meth:`Delivery.deliver`."""
        return self._doubt(await self._delivery.deliver(letter))

    def _doubt(self, outcome: T) -> T:
        """A host that cannot be reached is not kept for want of a reconnect (behaviour P9)."""
        if isinstance(outcome, Failed) and outcome.cause is Cause.UNREACHABLE:
            self._locator.doubt()
        return outcome

    def learn(self, letter: Letter, outcome: Outcome) -> Permission | None:
        """Whether a message without an anchor was accepted or refused, where the letter was one."""
        return permission.of_outcome(letter, outcome, self._wall())

    # --- state --------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Phase, cause, attempt and next try of the session; host and token."""
        failure, expires_in_s = self._token.last_failure, self._token.expires_in_s
        told: dict[str, Any] = {
            "platform": "qq",
            "state": "down",
            "phase": "not started",
            "host": self._hosts.current,
            "token_expires_s": None if expires_in_s is None else round(expires_in_s),
            "token_failure": None if failure is None else f"{failure.reason}; {failure.remedy}",
            "connected": False,
        }
        told["clock_skew_s"] = round(self._locator.skew.seconds, 1)
        told["shard"] = list(self._account.shard)
        told["clicks"] = dict(self._clicks.counts)
        return told | (self.connection.health() if self.connection is not None else {})

    def hidden(self) -> tuple[str, ...]:
        """What no log line may show."""
        return (self._account.secret, self._token.newest)

    async def close(self) -> None:
        """End the session's connection. REST stays usable for what is still under way."""
        if self.connection is not None:
            await self.connection.stop()

    async def release(self) -> None:
        """Let go of the REST connections."""
        await self._clicks.close()
        await self._token.close()
        await self._http.close()


async def _open(environ: Mapping[str, str], url: str, timeout_s: float) -> Socket:
    return await Socket.open(url, environ=environ, timeout_s=timeout_s)
