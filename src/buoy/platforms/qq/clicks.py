"""Tells QQ at once that a click arrived, before anybody has looked at it: the app that shows the button waits 3 s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from buoy.logger import Logger
from buoy.platforms.qq import translate
from buoy.protocol.limits import ACK_S, CLICK_SLACK_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.letters import Arrival
    from buoy.platforms.qq.delivery import Delivery

log = Logger("buoy.qq")


def left_s(row: Arrival, now: float) -> float:
    """How long the acknowledgement of a click is still worth something: seconds, 0 or less where it is too late.

    It counts from the receipt, and for what a replay brings from the platform's time as well, as far as that can be
    trusted. ``now``: wall seconds; a clock that was put back makes it no more than `ACK_S`.
    """
    age = max(0.0, now - row.received_at, now - row.event_at - CLICK_SLACK_S)
    return ACK_S - age


class Acknowledger:
    """Acknowledges the clicks of one bot, each in a task of its own that waits for nothing but QQ."""

    def __init__(self, delivery: Delivery, *, wall: Callable[[], float]) -> None:
        self.counts = {"acknowledged": 0, "failed": 0, "late": 0}
        """``late``: too old when it was stored; nothing was sent."""
        self._delivery = delivery
        self._wall = wall
        self._tasks: set[asyncio.Task[None]] = set()

    def stored(self, row: Arrival) -> None:
        """Acknowledge a click whose row was committed for the first time. Returns at once."""
        within_s = left_s(row, self._wall())
        told = translate.pressed(row.type, row.frame)
        if told is None:
            return
        if within_s <= 0:
            self.counts["late"] += 1
            log.info("click too old to be acknowledged", bot=row.bot, click=row.key)
            return
        task = asyncio.get_running_loop().create_task(self._acknowledge(row, told.id, within_s))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _acknowledge(self, row: Arrival, interaction: str, within_s: float) -> None:
        failed = await self._delivery.acknowledge(interaction, within_s)
        self.counts["acknowledged" if failed is None else "failed"] += 1
        took_ms = round((self._wall() - row.received_at) * 1000)
        if failed is None:
            log.info("click acknowledged", bot=row.bot, click=row.key, took_ms=took_ms)
        else:
            log.warning("click not acknowledged", bot=row.bot, click=row.key, reason=failed.reason, took_ms=took_ms)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["failed"] += 1
            log.error("acknowledging a click failed", exc_info=error)

    async def close(self) -> None:
        """End what is under way: nobody could wait for it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
