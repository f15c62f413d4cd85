"""The stream of snapshots (server-sent events): one look for all listeners, and none while nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from buoy.errors import StoreError
from buoy.faces.web.snapshots import SHARE, Snapshots, material

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_S: Final = 0.5  # how often it looks
BEAT_S: Final = 5.0  # how long a listener hears nothing at most
LISTENERS: Final = 32


class FullError(Exception):
    """There are as many listeners as are served."""


class Live:
    """Listeners :meth:`follow`; the supervisor keeps :meth:`run`."""

    def __init__(self, snapshots: Snapshots, clock: Callable[[], float]) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._listeners = 0
        self._wanted = asyncio.Event()
        self._news = b""
        self._number = 0
        self._turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._epoch = 0

    @property
    def listeners(self) -> int:
        """How many follow now."""
        return self._listeners

    async def run(self) -> None:
        """Look twice a second while somebody listens, and tell them what changed."""
        told: Any = None
        told_at = float("-inf")
        while True:
            await self._wanted.wait()
            now = self._clock()
            with suppress(StoreError):  # the beat fails to come: what it would say is not known
                plain = self._snapshots.plain()
                state = material(plain)
                if state != told or now - told_at >= BEAT_S - TICK_S:
                    told, told_at = state, now
                    self._tell(frame(plain))
            await asyncio.sleep(max(TICK_S, SHARE * self._snapshots.cost_s))

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """Give the state as it is, and then each news; a listener that is slow gets the newest only.

        Raises:
            FullError: too many listen.
            StoreError: the database cannot be read.
        """
        if self._listeners >= LISTENERS:
            raise FullError
        self._listeners += 1
        self._wanted.set()
        try:
            heard, epoch = self._number, self._epoch
            yield frame(self._snapshots.plain())
            while epoch == self._epoch:
                if heard == self._number:
                    await asyncio.shield(self._turned)
                else:
                    heard = self._number
                    yield self._news
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._wanted.clear()

    def close(self) -> None:
        """End every stream at once."""
        self._epoch += 1
        self._turn()

    def _tell(self, news: bytes) -> None:
        self._news = news
        self._number += 1
        self._turn()

    def _turn(self) -> None:
        turned, self._turned = self._turned, asyncio.get_running_loop().create_future()
        turned.set_result(None)


def frame(plain: dict[str, Any]) -> bytes:
    """Write one event of the stream."""
    return b"event: status\ndata: " + msgspec.json.encode(plain) + b"\n\n"
