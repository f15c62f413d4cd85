"""Runs turns: each conversation in order, others in parallel, bounded; what a turn answers is queued as it ends.

A run is charged, in a committed row, before the agent starts. The end of a turn and its letters are one transaction.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

from buoy.chat import Agent, Message, NonsenseError, Reply, as_reply, collect
from buoy.durable import backoff, inbox
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import AgentAwayError, AgentError, StoreError
from buoy.gateway import asking, posting
from buoy.gateway.absence import Absence
from buoy.gateway.line import TurnLine
from buoy.gateway.patience import LateError, Patience
from buoy.gateway.platform import Platform
from buoy.gateway.sender import Sender
from buoy.gateway.supervisor import Supervisor
from buoy.gateway.turns import Running, Seat, Turns
from buoy.letters import SCHEDULED, Arrival, Event
from buoy.logger import Logger

__all__ = ["Turns", "Worker"]

STORE_RETRY_S = 1.0
ALONE_RETRY_S = 5.0
MOST_BESIDE = 64  # ours: turns that join one conversation's; beyond that somebody floods us, and waits
STOPPED = "stopped by the user"

log = Logger("buoy.worker")


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
        self._beside = 0  # turns that have no place: they joined another, or passed their lane by
        self._retries: dict[int, asyncio.TimerHandle] = {}  # rows that pass their lane by, and wait for another run
        self._is_alone = False
        self._waiting_alone: list[tuple[Key | None, Event]] = []
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
            self._pass_by(event)
        self.pump()

    def revive(self, event: Event) -> None:
        """A person wants a dead turn run again; its row waits."""
        self._lanes.add((event.bot, event.lane), event.id, event)
        self.pump()

    def reserve(self, arrival: Arrival) -> Seat | None:
        """Say whether this arrival may be stored as already claimed, and as what; None: it waits."""
        if not arrival.turn or arrival.lane is None or arrival.bypass:
            return None
        lane = (arrival.bot, arrival.lane)
        is_free = not (self._is_stopping or self._is_alone or self._waiting_alone)
        if is_free and self._may_join(arrival, lane) and self._lanes.join(lane):
            self._beside += 1
            return Seat.BESIDE
        if not is_free or self._places >= self._turns.parallel:
            self._lanes.announce(lane)
            return None
        if self._lanes.offer(lane):
            self._places += 1
            return Seat.HEAD
        return None

    def _may_join(self, arrival: Arrival, lane: Key) -> bool:
        """Say whether the agent takes it beside the turn that runs. Needs no place: that turn may wait for it.

        What a replay brings was written before that turn began, or it is as fresh as any other.
        """
        joins = self._agents[arrival.bot].joins if arrival.bot in self._agents else None
        if joins is None or arrival.type == SCHEDULED or self._lanes.is_idle(lane):
            return False
        beside = [running for running in self._running.values() if running.lane == lane]
        if len(beside) > MOST_BESIDE:
            return False
        if not arrival.whole and not any(running.began_at <= arrival.event_at for running in beside):
            return False
        try:
            message = asking.read(inbox.event_of(arrival, 0), self._platforms[arrival.bot])
            return message is not None and joins(message)
        except Exception:
            log.exception("not asked whether it joins", key=arrival.key)  # its turn says why
            return False

    def stored(self, arrival: Arrival, row: int | None, *, seat: Seat | None) -> None:
        """The commit of an arrival ended. ``row`` is None when it failed or was a duplicate."""
        if arrival.lane is None or not arrival.turn:
            return
        lane = (arrival.bot, arrival.lane)
        if row is None:
            if not arrival.bypass:
                self._lanes.failed(lane, seat is not None)
            self._places -= seat is Seat.HEAD
            self._beside -= seat is Seat.BESIDE
            self.pump()
            return
        event = inbox.event_of(arrival, row)
        if arrival.bypass:
            self._pass_by(replace(event, attempts=0))
        elif seat is not None:
            self._lanes.stored(lane, row, event, claimed=True)
            self._launch(Running(event, lane, has_place=seat is Seat.HEAD, is_first=True))
        else:
            self._lanes.stored(lane, row, replace(event, attempts=0), claimed=False)
            self.pump()

    # --- what waits for no lane -----------------------------------------------------------------------------------

    def _pass_by(self, event: Event) -> None:
        """A row that does not wait for its lane: `/stop`. An agent that lets messages join has its own."""
        self._retries.pop(event.id, None)
        agent = self._agents.get(event.bot)
        if agent is None or self._is_stopping:
            return
        until = max(self._clock() + event.not_before - self._wall(), self._absence.until(event.bot))
        if agent.joins is not None and until > self._clock():
            self._retry(replace(event, not_before=0.0), until)
            return
        if agent.joins is None:
            self._supervisor.start(self._stop_turn((event.bot, event.lane), event))
        elif inbox.needs_alone(event):
            self._waiting_alone.append((None, event))
            self.pump()
        else:
            self._beside += 1
            self._supervisor.start(self._claim(Running(event, None, has_place=False)))

    def _retry(self, event: Event, at: float) -> None:
        self._retries[event.id] = asyncio.get_running_loop().call_at(at, self._pass_by, event)

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
                if self._places or self._beside:
                    break
                where, event = self._waiting_alone.pop(0)
                self._is_alone = True
                self._places += 1
                self._supervisor.start(self._claim(Running(event, where, is_alone=True)))
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
            self._supervisor.start(self._claim(Running(event, lane)))
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

    async def _claim(self, running: Running) -> None:
        """Charge the run in a committed row, then run."""
        event = running.event
        try:
            claimed = await self._store.write(inbox.claim, event.id, self._store.boot, running.is_alone, self._wall())
        except StoreError as error:
            log.warning("turn not claimed", turn=event.id, error=str(error))
            self._leave(running, again_at=self._clock() + STORE_RETRY_S)
            return
        if claimed is None:  # a person dropped it meanwhile
            self._leave(running)
            return
        running.event = claimed
        self._launch(running)

    def _launch(self, running: Running) -> None:
        if self._is_stopping:
            return  # claimed too late: `give_back` frees it
        running.began_at = self._wall()
        self._running[running.event.id] = running
        self.counts["turns"] += 1
        running.task = self._supervisor.start(self._run(running))

    async def _run(self, running: Running) -> None:
        """One turn from claim to end. Whatever happens, the row says so and the lane goes on."""
        event = running.event
        agent = self._agents[event.bot]
        timeout_s = agent.timeout_s or self._turns.timeout_s
        line = TurnLine(running, self._store, self._sender, self._patience, wall=self._wall)
        try:
            late_s = asking.late_by(event, self._wall(), self._turns.late_after_s)
            platform = self._platforms[event.bot]
            message = asking.message_for(event, agent, platform, self._store, late_s, is_first=running.is_first)
            if message is None:
                await line.finish([], reason="nothing in it to answer")
            elif late_s and self._turns.skips_late and not asking.is_wanted(event, self._store):
                log.warning("late message skipped", turn=event.id, age_s=round(late_s))
                self.counts["skipped"] += 1
                await line.finish([], reason=asking.skipped(late_s, self._turns.late_after_s))
            else:
                self.counts["late"] += late_s > 0
                replies = await self._answer(agent, replace(message, line=line), line, timeout_s)
                self._is_back(event.bot)
                if replies is not None:
                    await line.finish(replies)
            self.counts["done"] += 1
        except asyncio.CancelledError:
            self._running.pop(event.id, None)  # here and below first of all: what records an end is not to be stopped
            if running.is_stopped_by_user:
                self.counts["stopped"] += 1
                await self._sender.commits.insist(inbox.finish, event.id, self._wall(), STOPPED)
            elif self._is_stopping:
                raise  # `give_back` follows
            else:
                await self._failed(running, "the agent cancelled its own turn")
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
            await self._wait(running, str(error)[:500])
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001  an agent may raise anything; the row says what
            self._running.pop(event.id, None)
            self._is_back(event.bot)
            why = str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            await self._failed(running, why[:500])
            return
        finally:
            self._running.pop(event.id, None)
        self._leave(running)

    async def _answer(self, agent: Agent, message: Message, line: TurnLine, timeout_s: float) -> list[Reply] | None:
        """What the agent answers, within its time; None: it has ended the turn itself, by its last word."""
        replies: list[Reply] = []
        try:
            with self._patience.limit(timeout_s):
                run = self._continue(agent, message, line) if agent.can_continue else collect(agent, message)
                replies = await run
        except BaseException as error:
            line.close()
            if not await line.has_ended():
                raise
            log.info("turn had ended already", turn=message.turn, error=f"{type(error).__name__}: {error}"[:500])
            return None
        line.close()
        return None if await line.has_ended() else replies

    def _is_back(self, bot: str) -> None:
        """The agent did something, if only to fail: it is not away."""
        if (away_s := self._absence.over(bot, self._clock())) is not None:
            log.info("agent is back", bot=bot, seconds=round(away_s, 1))

    def _leave(self, running: Running, *, again: Event | None = None, again_at: float | None = None) -> None:
        """Give place and lane back. ``again_at``: the row waits for another run then, as ``again`` says."""
        event, lane = again or running.event, running.lane
        if running.has_place:
            self._places -= 1
        else:
            self._beside -= 1
        if running.is_alone:
            self._is_alone = False
        if lane is None:
            if again_at is not None and not self._is_stopping:
                self._retry(event, again_at)
        elif again_at is None:
            self._lanes.release(lane, event.id)
        else:
            self._lanes.requeue(lane, event, again_at)
        self.pump()

    async def _continue(self, agent: Agent, message: Message, line: TurnLine) -> list[Reply]:
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
                    await line.part(last)
                last = reply
        return [last] if last is not None else []

    async def _failed(self, running: Running, reason: str) -> None:
        """A run raised: again later, up to the limit, while the lane waits."""
        event = running.event
        self.counts["failed"] += 1
        log.warning("turn failed", turn=event.id, attempt=event.attempts, reason=reason)
        if event.failures + 1 >= self._turns.attempts:
            await self._bury(event, f"failed {event.failures + 1} times, last: {reason}")
            self._leave(running)
        else:
            now, pause = self._wall(), self._draw(*backoff.turn(event.failures + 1))
            await self._sender.commits.insist(inbox.again, event.id, reason, now, now + pause)
            self._leave(running, again=replace(event, failures=event.failures + 1), again_at=self._clock() + pause)

    async def _wait(self, running: Running, reason: str) -> None:
        """The agent cannot be reached: the turn waits uncharged, as do the others of its bot, for ever."""
        event = running.event
        until, is_news = self._absence.noticed(event.bot, reason, self._clock())
        if is_news:
            log.error("agent is away, its messages wait", bot=event.bot, reason=reason)
        now, pause = self._wall(), max(0.0, until - self._clock())
        why = f"the agent is away: {reason}"
        await self._sender.commits.insist(partial(inbox.again, charged=False), event.id, why, now, now + pause)
        self._leave(running, again_at=until)

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
        return not (len(self._lanes) or self._beside or self._retries or self._waiting_alone)

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
        for later in self._retries.values():
            later.cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    def _load(self, lane: Key, after: int, limit: int) -> list[Event]:
        return self._store.read(inbox.page, lane[0], lane[1], after, limit)
