"""The dead-man's switch: a ping that somebody else misses when Buoy is dead, or in a trouble that it cannot tell of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from buoy.durable import alerts, meta
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway.alerts.channel import ChannelError
from buoy.gateway.alerts.service import CHECK_S, SILENT_S, Alerts
from buoy.logger import Logger

UNHEARD_S: Final = 300.0  # a notice that nobody took for so long: the operator does not know
STALE_S: Final = 180.0  # housekeeping writes each minute: three missed ones are no proof of life
LOOKED_S: Final = 8 * CHECK_S

log = Logger("buoy.alerts")


def silent_because(
    *, now: float, stored_at: float, silent_s: float, looked_at: float, unheard_at: float | None, untold: int
) -> str:
    """Why the ping must not be sent; empty: it may. Times are wall seconds.

    ``stored_at``: the newest proof of life on the disk. ``silent_s``: how long a commit has been running.
    ``looked_at``: the last finished look for troubles. ``unheard_at``: when the oldest undelivered notice was written.
    ``untold``: open alerts, where there is no channel to tell them by.
    """
    if silent_s > SILENT_S or now - stored_at > STALE_S:
        return "nothing is stored"
    if now - looked_at > LOOKED_S:
        return "nobody looks for troubles"
    if unheard_at is not None and now - unheard_at > UNHEARD_S:
        return "a notice is not heard"
    if untold:
        return "there are alerts, and no channel to tell them by"
    return ""


class Switch:
    """Pings while all is well. ``ping`` raises ChannelError."""

    def __init__(
        self,
        store: Store,
        watched: Alerts,
        ping: Callable[[], Awaitable[None]],
        period_s: float,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._watched = watched
        self._ping = ping
        self._period_s = period_s
        self._wall = wall
        self._last = ""

    async def run(self) -> None:
        """Ping for ever; what keeps a ping back, or from arriving, is logged when it changes."""
        while True:
            reason = self._reason()
            if not reason:
                try:
                    async with asyncio.timeout(self._period_s):
                        await self._ping()
                except ChannelError as error:
                    reason = f"not heard: {error}"
                except TimeoutError:
                    reason = f"not heard: no answer within {self._period_s:g} s"
            if reason != self._last:
                log.warning("heartbeat is silent", reason=reason) if reason else log.info("heartbeat")
                self._last = reason
            await asyncio.sleep(self._period_s)

    def _reason(self) -> str:
        committing, now = self._store.stats.committing_since, self._wall()
        try:
            signs = [self._store.read(meta.get, key, 0.0) for key in ("alive_at", "boot_at")]
            stored_at = max((at for at in signs if at <= now), default=0.0)  # the clock may have been put back
            unheard_at = self._store.read(alerts.queued).oldest_at
            untold = 0 if self._watched.delivery.ways else len(self._store.read(alerts.open_rows))
        except StoreError as error:
            return str(error)
        return silent_because(
            now=now,
            stored_at=stored_at,
            silent_s=0.0 if committing is None else time.monotonic() - committing,
            looked_at=self._watched.looked_at,
            unheard_at=unheard_at,
            untold=untold,
        )
