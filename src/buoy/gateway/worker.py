"""Runs turns: each conversation in order, others in parallel, bounded; what a turn answers is queued as it ends.

A run is charged, in a committed row, before the agent starts. The end of a turn and its letters are one transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from buoy.chat import Agent, Message, NonsenseError, Reply, as_reply, collect
from buoy.durable import backoff, inbox
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import AgentAwayError, AgentError, StoreError
from buoy.gateway import asking, posting
from buoy.gateway.absence import Absence
from buoy.gateway.patience import LateError, Patience
from buoy.gateway.platform import Platform
from buoy.gateway.posting import Batch
from buoy.gateway.sender import Sender
from buoy.gateway.supervisor import Supervisor
from buoy.gateway.turns import Running, Turns
from buoy.letters import Arrival, Event

__all__ = ["Turns", "Worker"]

STORE_RETRY_S = 1.0
ALONE_RETRY_S = 5.0
STOPPED = "stopped by the user"

log = structlog.get_logger("buoy.worker")


class Worker:
    """Owns the inbox's turns while the process lives."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        platforms: Mapping[str, Platform],
        agents: Mapping[str, Agent],
        sender: Sender,
        *,
        wall: Callable[[], float],
        turns: Turns | None = None,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._platforms = platforms
        self._agents = agents
        self._sender = sender
        self._wall = wall
        self._turns = turns or Turns()
        self._draw = draw
        self._lanes: Lanes[Event] = Lanes(self._load)
        self._running: dict[int, Running] = {}
        self._places = 0
        self._is_alone = False
        self._waiting_alone: list[tuple[Key, Event]] = []
        self._is_stopping = False
        self._alarm: asyncio.TimerHandle | None = None
        self._patience = Patience()
        self._absence = Absence(draw)
        self.counts = {"turns": 0, "done": 0, "failed": 0, "dead": 0, "stopped": 0, "late": 0, "skipped": 0}

    # --- messages come in ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up what an earlier process left, and run."""
        for bot, lane, first, last in self._store.read(inbox.heads):
            if bot in self._platforms:
                self._lanes.hydrate((bot, lane), first, last)
            else:
                log.warning("turns of a bot that is not configured stay where they are", bot=bot, lane=lane)
        for event in self._store.read(inbox.urgent):
            self._supervisor.start(self._stop_turn((event.bot, event.lane), event))
        self.pump()

    def revive(self, event: Event) -> None:
        """A person wants a dead turn run again; its row waits."""
        self._lanes.add((event.bot, event.lane), event.id, event)
        self.pump()

    def reserve(self, arrival: Arrival) -> bool:
        """Say whether this arrival may be stored as already claimed: its lane is idle and there is a place."""
        if not arrival.turn or arrival.lane is None or arrival.bypass:
            return False
        lane = (arrival.bot, arrival.lane)
        is_free = not (self._is_stopping or self._is_alone or self._waiting_alone)
        if not is_free or self._places >= self._turns.parallel:
            self._lanes.announce(lane)
            return False
        if self._lanes.offer(lane):
            self._places += 1
            return True
        return False

    def stored(self, arrival: Arrival, row: int | None, *, is_mine: bool) -> None:
        """The commit of an arrival ended. ``row`` is None when it failed or was a duplicate."""
        if arrival.lane is None or not arrival.turn:
            return
        lane = (arrival.bot, arrival.lane)
        if row is None:
            if not arrival.bypass:
                self._lanes.failed(lane, is_mine)
            if is_mine:
                self._places -= 1
            self.pump()
            return
        event = inbox.event_of(arrival, row) if is_mine else replace(inbox.event_of(arrival, row), attempts=0)
        if arrival.bypass:
            self._supervisor.start(self._stop_turn(lane, event))
        else:
            self._lanes.stored(lane, row, event, is_mine)
            if is_mine:
                self._launch(lane, event)
            else:
                self.pump()

    async def _stop_turn(self, lane: Key, stop: Event) -> None:
        """`/stop`: end the conversation's running turn now. Needs no place and no lane."""
        for running in list(self._running.values()):
            if (running.event.bot, running.event.lane) == lane and running.task is not None:
                running.is_stopped_by_user = True
                running.task.cancel()
        try:
            await self._store.write(posting.end_stop, stop.id, self._store.boot, self._wall())
        except StoreError as error:
            log.warning("stop not committed", error=str(error))

    # --- turns run ----------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start a turn for every lane whose head may run, as far as there is room."""
        wakes_at: float | None = None  # where there is no room, whoever makes room comes here
        while not self._is_stopping and not self._is_alone and self._places < self._turns.parallel:
            if self._waiting_alone:
                if self._places:
                    break
                lane, event = self._waiting_alone.pop(0)
                self._is_alone = True
                self._places += 1
                self._supervisor.start(self._claim(lane, event))
                break
            try:
                taken = self._lanes.take(self._clock())
            except StoreError as error:
                log.warning("turns cannot be read", error=str(error))
                wakes_at = self._clock() + STORE_RETRY_S
                break
            if taken is None:
                wakes_at = self._lanes.next_due()
                break
            lane, _, event = taken
            if (wait_s := event.not_before - self._wall()) > 0:  # its last run failed, in an earlier process
                wait_s = min(wait_s, backoff.LONGEST_WAIT_S)
                self._lanes.requeue(lane, replace(event, not_before=0.0), self._clock() + wait_s)
                continue
            if (until := self._absence.until(event.bot)) > self._clock():
                self._lanes.requeue(lane, event, until)
                continue
            if inbox.needs_alone(event):
                if self._places and self._absence.until(event.bot):  # it would only fail, and all others wait for it
                    self._lanes.requeue(lane, event, self._clock() + ALONE_RETRY_S)
                    continue
                self._waiting_alone.append((lane, event))
                continue
            self._places += 1
            self._supervisor.start(self._claim(lane, event))
        self._set_alarm(wakes_at)

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if at is not None:
            self._alarm = asyncio.get_running_loop().call_at(at, self.pump)

    @staticmethod
    def _clock() -> float:
        """Time for pauses; wall time is for what outlives the process."""
        return asyncio.get_running_loop().time()

    async def _claim(self, lane: Key, event: Event) -> None:
        """Charge the run in a committed row, then run."""
        try:
            claimed = await self._store.write(inbox.claim, event.id, self._store.boot, self._is_alone, self._wall())
        except StoreError as error:
            log.warning("turn not claimed", turn=event.id, error=str(error))
            self._lanes.requeue(lane, event, self._clock() + STORE_RETRY_S)
            self._leave()
            return
        if claimed is None:  # a person dropped it meanwhile
            self._lanes.release(lane)
            self._leave()
            return
        self._launch(lane, claimed)

    def _launch(self, lane: Key, event: Event) -> None:
        if self._is_stopping:
            return  # claimed too late: `give_back` frees it
        running = self._running[event.id] = Running(event)
        self.counts["turns"] += 1
        running.task = self._supervisor.start(self._run(lane, running))

    async def _run(self, lane: Key, running: Running) -> None:
        """One turn from claim to end. Whatever happens, the row says so and the lane goes on."""
        event = running.event
        agent = self._agents[event.bot]
        timeout_s = agent.timeout_s or self._turns.timeout_s
        try:
            late_s = asking.late_by(event, self._wall(), self._turns.late_after_s)
            message = asking.message_for(event, agent, self._platforms[event.bot], self._store, late_s)
            if message is None:
                await self._finish(event, [], reason="nothing in it to answer")
            elif late_s and self._turns.skips_late and not asking.is_wanted(event, self._store):
                log.warning("late message skipped", turn=event.id, age_s=round(late_s))
                self.counts["skipped"] += 1
                await self._finish(event, [], reason=asking.skipped(late_s, self._turns.late_after_s))
            else:
                self.counts["late"] += late_s > 0
                with self._patience.limit(timeout_s):
                    if agent.can_continue:
                        replies = await self._continue(event, agent, message)
                    else:
                        replies = await collect(agent, message)
                self._is_back(event.bot)
                await self._finish(event, replies)
            self.counts["done"] += 1
        except asyncio.CancelledError:
            self._running.pop(event.id, None)  # here and below first of all: what records an end is not to be stopped
            if running.is_stopped_by_user:
                self.counts["stopped"] += 1
                await self._sender.commits.insist(inbox.finish, event.id, self._wall(), STOPPED)
            elif self._is_stopping:
                raise  # `give_back` follows
            else:
                await self._failed(lane, event, "the agent cancelled its own turn")
                return
        except LateError:
            self._running.pop(event.id, None)
            await self._bury(event, f"the agent did not answer within {timeout_s:g} s")
        except NonsenseError as error:
            self._running.pop(event.id, None)
            self._is_back(event.bot)
            await self._bury(event, str(error))
        except AgentAwayError as error:
            self._running.pop(event.id, None)
            await self._wait(lane, event, str(error)[:500])
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001  an agent may raise anything; the row says what
            self._running.pop(event.id, None)
            self._is_back(event.bot)
            why = str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            await self._failed(lane, event, why[:500])
            return
        finally:
            self._running.pop(event.id, None)
        self._lanes.release(lane)
        self._leave()

    def _is_back(self, bot: str) -> None:
        """The agent did something, if only to fail: it is not away."""
        if (away_s := self._absence.over(bot, self._clock())) is not None:
            log.info("agent is back", bot=bot, seconds=round(away_s, 1))

    def _leave(self) -> None:
        """Give the place back."""
        self._places -= 1
        self._is_alone = False
        self.pump()

    async def _continue(self, event: Event, agent: Agent, message: Message) -> list[Reply]:
        """An agent that can continue: each part is committed as it comes; the last one ends the turn."""
        last: Reply | None = None
        answer = agent.answer(message)
        if not isinstance(answer, AsyncGenerator):
            raise NonsenseError(f"agent {agent.name!r} says that it can continue, but it is no async generator")
        async with aclosing(answer) as parts:
            async for part in parts:
                reply = as_reply(part)
                if not reply.text.strip():
                    continue
                if last is not None:
                    with self._patience.pause():  # a slow disk is not the agent's fault
                        await self._insist(event, [last], None)
                last = reply
        return [last] if last is not None else []

    def _compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        return self._sender.compose(event, replies) if replies else []

    async def _finish(self, event: Event, replies: Sequence[Reply], *, reason: str = "") -> None:
        """End the turn and queue its letters, in one transaction."""
        await self._insist(event, replies, (event.id, reason))

    async def _insist(self, event: Event, replies: Sequence[Reply], end: tuple[int, str] | None) -> None:
        """Commit letters, and the end of their turn where it has come. A full disk is waited for: nothing is lost."""
        bodies = self._compose(event, replies)
        while True:
            batch = self._sender.batch(event, bodies)
            try:
                await self._queue(batch, end)
            except StoreError as error:
                log.warning("turn not committed", turn=event.id, error=str(error))
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

    async def _queue(self, batch: Batch, end: tuple[int, str] | None) -> None:
        """Commit letters, with the end of their turn where it has come."""
        job = self._store.write(posting.end_turn, batch, end, self._wall())
        try:
            letters = await asyncio.shield(job)
        except asyncio.CancelledError:
            if self._store.withdraw(job):
                batch.failed()
            else:
                job.add_done_callback(lambda done: posting.late(batch, done))
            raise
        except BaseException:
            batch.failed()
            raise
        batch.committed(letters)

    async def _failed(self, lane: Key, event: Event, reason: str) -> None:
        """A run raised: again later, up to the limit, while the lane waits."""
        self.counts["failed"] += 1
        log.warning("turn failed", turn=event.id, attempt=event.attempts, reason=reason)
        if event.failures + 1 >= self._turns.attempts:
            await self._bury(event, f"failed {event.failures + 1} times, last: {reason}")
            self._lanes.release(lane)
        else:
            now, pause = self._wall(), self._draw(*backoff.turn(event.failures + 1))
            await self._sender.commits.insist(inbox.again, event.id, reason, now, now + pause)
            self._lanes.requeue(lane, replace(event, failures=event.failures + 1), self._clock() + pause)
        self._leave()

    async def _wait(self, lane: Key, event: Event, reason: str) -> None:
        """The agent cannot be reached: the turn waits uncharged, as do the others of its bot, for ever."""
        until, is_news = self._absence.noticed(event.bot, reason, self._clock())
        if is_news:
            log.error("agent is away, its messages wait", bot=event.bot, reason=reason)
        now, pause = self._wall(), max(0.0, until - self._clock())
        why = f"the agent is away: {reason}"
        await self._sender.commits.insist(partial(inbox.again, charged=False), event.id, why, now, now + pause)
        self._lanes.requeue(lane, event, until)
        self._leave()

    async def _bury(self, event: Event, reason: str) -> None:
        self.counts["dead"] += 1
        log.error("turn is dead", turn=event.id, reason=reason)
        await self._sender.commits.insist(inbox.bury, event.id, reason, self._wall())

    def give_back(self) -> None:
        """An orderly stop, after all jobs were cancelled: whatever was claimed and did not end waits again, uncharged.

        One job behind all claims, so that it frees those under way as well. Where it fails, the runs count as unclean.
        """
        self._store.write(posting.give_back)

    # --- housekeeping --------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        """Turns under way."""
        return len(self._running)

    @property
    def is_idle(self) -> bool:
        """Nothing waits, runs or is being stored."""
        return not len(self._lanes)

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        oldest = min((running.event.received_at for running in self._running.values()), default=None)
        age = None if oldest is None else round(self._wall() - oldest, 1)
        return {"active": self.active, "lanes": len(self._lanes), "oldest_running_s": age, **self.counts} | {
            "away": self._absence.told(self._clock())
        }

    def stop(self) -> None:
        """Start nothing new; what runs may finish."""
        self._is_stopping = True
        self._patience.stop()
        if self._alarm is not None:
            self._alarm.cancel()

    def _load(self, lane: Key, after: int, limit: int) -> list[Event]:
        return self._store.read(inbox.page, lane[0], lane[1], after, limit)
