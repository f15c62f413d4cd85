"""Takes notices from their queue to the first channel that takes them, again and again until one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buoy.durable import alerts
from buoy.durable.alerts import Notice, Words
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway.alerts.channel import Channel, ChannelError
from buoy.logger import Logger

CHANNEL_S: Final = 30.0  # one channel, one notice
BACKOFF_S: Final = (30.0, 60.0, 120.0, 300.0, 600.0)
LONGEST_S: Final = 1.15 * BACKOFF_S[-1]  # a longer wait is one of a clock that was put back
KEPT_S: Final = 7 * 86_400.0  # what nobody could be told for a week is in the log
WAKE_S: Final = 60.0

log = Logger("buoy.alerts")


@dataclass(slots=True)
class Way:
    """One channel, and how it went."""

    channel: Channel
    last_error: str = ""
    last_ok_at: float | None = None


class Delivery:
    """The queue's reader. It may be cancelled at any time: what was not settled is told again after the next start."""

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        *,
        wall: Callable[[], float],
        draw: Callable[[float, float], float],
    ) -> None:
        self.ways = [Way(channel) for channel in channels]
        self.wake = asyncio.Event()
        """Set it when something was queued."""
        self._store = store
        self._wall = wall
        self._draw = draw
        self._heard: dict[int, str] = {}
        """Delivered, but the disk did not take that yet."""

    async def run(self) -> None:
        """Deliver for ever. What waited is tried at once after a start: it may have been the machine's network."""
        is_first = True
        while True:
            self.wake.clear()
            waits = WAKE_S
            try:
                await self._settle_heard()
                for notice in self._store.read(alerts.due):
                    in_s = notice.not_before - self._wall()
                    if 0 < in_s <= LONGEST_S and not is_first:
                        waits = min(waits, in_s)
                    elif await self._deliver(notice):
                        waits = 0.0  # the next word about the same alert may be due now
            except StoreError as error:
                log.error("a notice's state was not stored", reason=str(error))  # noqa: TRY400  no trace is needed
            is_first = False
            if waits > 0:
                await self._sleep(waits)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            pass

    async def _settle_heard(self) -> None:
        for notice, name in tuple(self._heard.items()):
            await self._store.write(alerts.delivered, notice, name, self._wall())
            del self._heard[notice]

    async def _deliver(self, notice: Notice) -> bool:
        """Deliver one; False: nobody took it."""
        data = facts(notice.kind, notice.rule, notice.subject, notice.since, notice.created_at)
        try:
            name = await self.now(Words(notice.kind, notice.title, notice.text), data)
        except ChannelError as error:
            await self._failed(notice, str(error))
            return False
        self._heard[notice.id] = name
        await self._settle_heard()
        return True

    async def _failed(self, notice: Notice, reason: str) -> None:
        now = self._wall()
        if now - notice.created_at >= KEPT_S:
            log.error("a notice was never heard", title=notice.title, reason=reason)
            await self._store.write(alerts.give_up, notice.id, reason, now)
            return
        base = BACKOFF_S[min(notice.attempts, len(BACKOFF_S) - 1)]
        pause = self._draw(0.85 * base, 1.15 * base)
        log.warning("a notice is not heard yet", title=notice.title, reason=reason, in_s=round(pause))
        await self._store.write(alerts.failed, notice.id, reason, now + pause)

    async def now(self, words: Words, data: Mapping[str, Any]) -> str:
        """Tell it through the first channel that takes it; returns that channel's name.

        Raises:
            ChannelError: none did; the text says why of each.
        """
        failures = []
        for way in self.ways:
            try:
                await told(way.channel, words, data)
            except ChannelError as error:
                way.last_error = str(error)
                failures.append(f"{way.channel.name}: {error}")
            else:
                way.last_error, way.last_ok_at = "", self._wall()
                return way.channel.name
        raise ChannelError("; ".join(failures) or "no channel is configured")

    def told(self) -> list[dict[str, Any]]:
        """Plain data for status."""
        return [
            {"name": way.channel.name, "last_error": way.last_error, "last_ok_at": way.last_ok_at} for way in self.ways
        ]


def facts(kind: str, rule: str, subject: str, since: float, at: float) -> dict[str, Any]:
    """What a notice says to programs; ``bot`` is empty where it is about no single bot."""
    bot = "" if rule == "restarts" else subject
    return {"kind": kind, "rule": rule, "subject": subject, "bot": bot, "since": since, "at": at}


async def told(channel: Channel, words: Words, data: Mapping[str, Any]) -> None:
    """Tell one channel, in its time.

    Raises:
        ChannelError: whatever went wrong, without the text of an error that might name the address.
    """
    try:
        async with asyncio.timeout(CHANNEL_S):
            await channel.tell(words.title, words.text, data)
    except TimeoutError:
        raise ChannelError(f"no answer within {CHANNEL_S:g} s") from None
    except ChannelError:
        raise
    except Exception as error:  # noqa: BLE001  a channel's library may raise anything
        raise ChannelError(f"it failed with {type(error).__name__}") from None
