"""Delivers letters: each conversation in order, all of them in parallel, from the store and through nothing else.

A letter is committed before its request leaves, with the anchor and sequence it will carry; what came of it is
committed after. No path here looks at a connection's state.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from buoy.chat import Reply
from buoy.durable import backoff, outbox, status
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway import posting
from buoy.gateway.commits import STORE_RETRY_S, Commits
from buoy.gateway.courier import Courier, Holding
from buoy.gateway.pace import Pace
from buoy.gateway.platform import Platform
from buoy.gateway.posting import Batch
from buoy.gateway.receipts import Receipts
from buoy.gateway.supervisor import Supervisor
from buoy.letters import (
    Anchor,
    Event,
    Letter,
    LetterState,
    Use,
)
from buoy.logger import Logger

SILENT_S = 2.0  # ours: an API that is well answers sooner
PARALLEL = 100  # requests under way at once, per process
BUG_RETRY_S = 60.0  # a platform that raised: that conversation waits, the others go on

log = Logger("buoy.sender")


class Sender:
    """Owns the outbox while the process lives."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        platforms: Mapping[str, Platform],
        *,
        wall: Callable[[], float],
        holding: Holding | None = None,
        parallel: int = PARALLEL,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._platforms = platforms
        self._wall = wall
        self._holding = holding or Holding()
        self._parallel = parallel
        self._lanes: Lanes[Letter] = Lanes(self._load)
        self._paces = {bot: Pace() for bot in platforms}
        self._paused: dict[str, dict[Key, None]] = {
            bot: {} for bot in platforms
        }  # lanes that wait for their bot's pace
        self._held: set[Key] = set()
        self._active = 0
        self._is_stopping = False
        self._alarm: asyncio.TimerHandle | None = None
        self.commits = Commits(store)
        self.receipts = Receipts(
            store, supervisor, platforms, self._lanes, wall=wall, commit=self.commits.insist, pump=self.pump
        )
        self._courier = Courier(
            store, platforms, self._lanes, self._paces, self.receipts, self.commits, self,
            wall=wall, holding=self._holding, draw=draw,
        )  # fmt: skip
        self.counts = self._courier.counts

    # --- letters come in ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what an earlier process left, and deliver."""
        for bot, lane, first, last in self._store.read(outbox.heads):
            if bot in self._platforms:
                self._lanes.hydrate((bot, lane), first, last)
            else:
                log.warning("letters of a bot that is not configured stay where they are", bot=bot, lane=lane)
        self._held = set(self._store.read(outbox.lanes_with_held))
        self.pump()

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        """The letters of a turn's replies, within what its anchor has left.

        Held letters that go first, and parts of before, take replies that were there when the turn was claimed.
        """
        platform = self._platforms[event.bot]
        bodies = platform.compose(event, replies)
        if len(bodies) > 1:
            with suppress(StoreError):  # then the budget of the claim has to do: what exceeds it is held
                used = self._store.read(status.spoken_for, event) + self._lanes.announced((event.bot, event.lane))
                bodies = platform.compose(replace(event, uses=used), replies) if used != event.uses else bodies
        return bodies

    def batch(self, event: Event, bodies: Sequence[bytes], name: str = "", origin: str = "") -> Batch:
        """Prepare the letters of a turn that ends now; the caller commits them together with the turn.

        ``name`` and ``origin`` are those of letters that are no part of its answer, see :class:`Batch`.
        """
        lane = (event.bot, event.lane)
        use = self._immediate(event, bodies[0]) if bodies else None
        if use is not None and not self._lanes.offer(lane):
            use = None
        elif use is not None:
            self._active += 1
        elif bodies:
            self._lanes.announce(lane)
        for _ in bodies[1:]:
            self._lanes.announce(lane)
        return Batch(event, bodies, use, self._store.boot, self, name, origin)

    def _immediate(self, event: Event, body: bytes) -> Use | None:
        """The anchor with which a turn's first letter can leave at once, in the transaction that queues it."""
        if self._is_stopping or self._active >= self._parallel or event.anchor is None:
            return None
        now = self._wall()
        pace = self._paces[event.bot]
        if pace.failures or pace.admit(self._clock()) is not None:
            return None
        own = Anchor(event.id, event.anchor, event.event_at, event.uses, open=True)
        draft = Letter(0, "", event.bot, event.lane, body, LetterState.QUEUED, now, event=event.id)
        try:
            plan = self._platforms[event.bot].plan(draft, [own], now)
        except Exception:
            log.exception("letter not planned", turn=event.id)  # not the agent's fault: the letter is queued
            return None
        return plan if isinstance(plan, Use) else None

    def announce(self, lane: Key) -> None:
        """A letter of this lane is about to be committed; :meth:`accept` or :meth:`withdraw` follows."""
        self._lanes.announce(lane)

    def accept(self, lane: Key, letters: Sequence[Letter], *, is_mine: bool) -> None:
        """Announced letters of one lane were committed. ``is_mine``: lane and place are taken for the first one."""
        for n, letter in enumerate(letters):
            claimed = is_mine and n == 0
            if not claimed and letter.state is not LetterState.QUEUED:
                self._lanes.failed(lane, claimed=False)  # its key was known: it has a life of its own already
            else:
                self._lanes.stored(lane, letter.id, letter, claimed)
        if is_mine and self._is_stopping:
            self._active -= 1  # claimed, and never sent: the next start repeats it
        elif is_mine and letters[0].frozen:
            self._supervisor.start(self._courier.attempt(lane, letters[0]))
        elif is_mine:
            self.postpone(lane, letters[0])
        self.pump()

    def revive(self, letter: Letter) -> None:
        """A person wants a letter tried again; its row is queued."""
        self._lanes.add((letter.bot, letter.lane), letter.id, letter)
        self.pump()

    def withdraw(self, lane: Key, count: int, *, is_mine: bool) -> None:
        """Announced letters were not committed."""
        for n in range(count):
            self._lanes.failed(lane, claimed=is_mine and n == 0)
        if is_mine:
            self._active -= 1
        self.pump()

    def contact(self, lane: Key) -> None:
        """Somebody wrote in this conversation: what was held for it goes out first, merged into one."""
        if lane in self._held and not self._is_stopping:
            self._held.discard(lane)
            self._lanes.announce(lane)  # at once: nothing of this contact's turn may overtake it
            self._supervisor.start(self._release_held(lane))

    async def _release_held(self, lane: Key) -> None:
        letters: list[Letter] = []
        try:
            letters = await self._store.write(posting.merge_held, lane, self._platforms[lane[0]].merge, self._wall())
        except StoreError:
            self._held.add(lane)  # the next contact tries again
        except Exception:
            log.exception("held letters not merged", lane=lane)  # they stay held, and the lane goes on
            self._held.add(lane)
        for _ in letters[1:]:
            self._lanes.announce(lane)
        for letter in letters:
            self._lanes.stored(lane, letter.id, letter, claimed=False)
        if not letters:
            self._lanes.failed(lane, claimed=False)
        self.pump()

    # --- letters go out -----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start a delivery for every lane whose head may go, as far as there is room."""
        wakes_at: float | None = None  # where there is no room, whoever makes room comes here
        while not self._is_stopping and self._active < self._parallel:
            try:
                taken = self._lanes.take(self._clock())
            except StoreError as error:
                log.warning("letters cannot be read", error=str(error))
                wakes_at = self._clock() + STORE_RETRY_S
                break
            if taken is None:
                wakes_at = self._lanes.next_due()
                break
            self._active += 1
            self._supervisor.start(self._serve(taken[0], taken[2]))
        self._set_alarm(wakes_at)

    def _set_alarm(self, at: float | None) -> None:
        """Be called again when the next sleeping lane wakes. The loop's clock: a wall clock may be set back."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if at is not None:
            self._alarm = asyncio.get_running_loop().call_at(at, self.pump)

    @staticmethod
    def _clock() -> float:
        """Time for pauses; wall time is for what outlives the process."""
        return asyncio.get_running_loop().time()

    async def _serve(self, lane: Key, letter: Letter) -> None:
        """Decide about the head of a lane and carry it out."""
        pace = self._paces[letter.bot]
        self._paused[letter.bot].pop(lane, None)
        if (wait_s := letter.not_before - self._wall()) > 0:  # its last attempt failed, in an earlier process
            self.postpone(lane, replace(letter, not_before=0.0), min(wait_s, backoff.LONGEST_WAIT_S))
            return
        if (until := pace.admit(self._clock())) is not None:
            self._paused[letter.bot][lane] = None
            self.postpone(lane, letter, until - self._clock())
            return
        try:
            if pace.failures and await self._is_away(letter.bot):
                self._paused[letter.bot][lane] = None
                self.postpone(lane, letter, max(0.0, pace.until - self._clock()))
                return
            ready = await self._courier.prepare(lane, letter)
        except StoreError as error:
            log.warning("letter not committed", letter=letter.id, error=str(error))
            self.postpone(lane, letter, STORE_RETRY_S)
            ready = None
        except Exception:
            log.exception("letter not planned", letter=letter.id)
            self.postpone(lane, letter, BUG_RETRY_S)
            ready = None
        except BaseException:
            pace.abandoned()
            raise
        if ready is None:
            pace.abandoned()
            return
        await self._courier.attempt(lane, ready, in_doubt=letter.frozen)

    async def _is_away(self, bot: str) -> bool:
        """Look whether anything gets through, before a letter is committed to an attempt that would only fail."""
        pace = self._paces[bot]
        found = await self._platforms[bot].reach()
        if found is None or not pace.stops(found):
            return False
        pace.learn(found, self._clock())
        return True

    # --- what the courier says ------------------------------------------------------------------------------------

    def hold(self, lane: Key) -> None:
        """The lane holds a letter for the next contact."""
        self._held.add(lane)

    def pause(self, bot: str, lane: Key) -> None:
        """The lane waits for its bot's way to be free."""
        self._paused[bot][lane] = None

    def resume(self, bot: str) -> None:
        """The bot's way is free again: whoever waited for it may go, in the order in which they came."""
        for lane in self._paused[bot]:
            self._lanes.wake(lane)
        self._paused[bot].clear()

    def postpone(self, lane: Key, letter: Letter, delay_s: float = 0.0) -> None:
        """It stays the head of its lane and is looked at again after ``delay_s``."""
        self._active -= 1
        self._lanes.requeue(lane, letter, self._clock() + delay_s)
        self.pump()

    def free(self, lane: Key) -> None:
        """The lane may go on."""
        self._active -= 1
        self._lanes.release(lane)
        self.pump()

    # --- housekeeping --------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """End letters that were held too long or are too many."""
        longest_s = self._holding.days * 86400
        for letter in await self._store.write(outbox.expire_held, longest_s, self._holding.per_lane, self._wall()):
            self.counts["dead"] += 1
            log.error("letter ended", letter=letter.id, state=letter.state.value, reason=letter.reason)

    @property
    def active(self) -> int:
        """Requests under way or being prepared."""
        return self._active

    @property
    def is_idle(self) -> bool:
        """Nothing waits, runs or is being stored."""
        return not len(self._lanes)

    def is_way_free(self, bot: str) -> bool:
        """Say whether a letter that is queued now is likely to be delivered at once."""
        pace, now = self._paces[bot], self._clock()
        return not (self._is_stopping or pace.failures or now < pace.until or self._courier.silent_s(bot) > SILENT_S)

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        paces = {bot: self._paced(bot, self._clock()) for bot in self._paces}
        return {"active": self._active, "lanes": len(self._lanes), "pace": paces, **self.counts}

    def _paced(self, bot: str, now: float) -> dict[str, Any]:
        """What holds this bot's sends up. A failure that is over, and that nothing waits for, holds nothing up."""
        pace = self._paces[bot]
        is_held_up = now < pace.until or pace.is_probing or bool(self._paused[bot])
        return {
            "paused_s": max(0.0, round(pace.until - now, 1)),
            "failures": pace.failures if is_held_up else 0,
            "reason": pace.reason if is_held_up else "",
        }

    def stop(self) -> None:
        """Start nothing new; what is under way may finish."""
        self._is_stopping = self.commits.is_stopping = True
        if self._alarm is not None:
            self._alarm.cancel()

    def _load(self, lane: Key, after: int, limit: int) -> list[Letter]:
        return self._store.read(outbox.page, lane[0], lane[1], after, limit)
