"""Shows the user once that an answer is being written, where that takes longer: one timer for all turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from buoy.durable import anchors
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway import posting
from buoy.gateway.platform import Platform
from buoy.gateway.sender import Sender
from buoy.gateway.supervisor import Supervisor
from buoy.gateway.turns import Running
from buoy.letters import Letter, LetterState, Use
from buoy.logger import Logger

log = Logger("buoy.worker")


class Presence:
    """Watches turns that run. What is shown costs one reply of the message's anchor, and never the last one."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        platforms: Mapping[str, Platform],
        sender: Sender,
        after_s: float,
        *,
        wall: Callable[[], float],
    ) -> None:
        """``after_s`` 0: nothing is ever shown."""
        self._store = store
        self._supervisor = supervisor
        self._platforms = platforms
        self._sender = sender
        self._after_s = after_s
        self._wall = wall
        self._due: dict[int, tuple[float, Running]] = {}  # by row, the one that is due first in front
        self._timer: asyncio.TimerHandle | None = None
        self._is_stopping = False

    def began(self, running: Running) -> None:
        """A turn's agent has got it."""
        if not self._after_s or self._is_stopping:
            return
        due = asyncio.get_running_loop().time() + self._after_s
        self._due[running.event.id] = (due, running)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(due, self._look)

    def ended(self, running: Running) -> None:
        """It runs no more; the timer stays as it is, and finds nothing."""
        self._due.pop(running.event.id, None)

    def stop(self) -> None:
        """Show nothing more."""
        self._is_stopping = True
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._due:
            row, (due, running) = next(iter(self._due.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._look)
                return
            del self._due[row]
            if self._sender.is_way_free(running.event.bot):
                self._supervisor.start(self._show(running))

    async def _show(self, running: Running) -> None:
        event, now = running.event, self._wall()
        platform = self._platforms[event.bot]
        own = self._store.read(anchors.of_row, event.id) if platform.types(event) else None
        if own is None:
            return
        draft = Letter(0, "", event.bot, event.lane, b"", LetterState.QUEUED, now, event=event.id)
        plan = platform.plan(draft, [own], now)
        if not isinstance(plan, Use) or plan.anchor.row != event.id:
            return
        lane = (event.bot, event.lane)
        self._sender.announce(lane)  # an answer that is composed meanwhile leaves this reply out
        try:
            seq = await self._store.write(posting.take_typing, event, plan.limit, now)
        except StoreError as error:
            log.info("not shown that an answer is being written", turn=event.id, error=str(error))
            return
        finally:
            self._sender.withdraw(lane, 1, is_mine=False)
        if seq is not None and not self._is_stopping:
            await platform.typing(event, seq)
