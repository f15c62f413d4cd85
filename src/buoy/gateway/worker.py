"""Whose turn it is: each conversation in order, others beside it, bounded; a run is charged before its agent starts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from buoy.chat import Agent
from buoy.durable import backoff, inbox
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway import asking, posting
from buoy.gateway.line import Desk
from buoy.gateway.patience import Patience
from buoy.gateway.platform import Platform
from buoy.gateway.presence import Presence
from buoy.gateway.questions import Questions
from buoy.gateway.runs import Again, Runs
from buoy.gateway.sender import Sender
from buoy.gateway.supervisor import Supervisor
from buoy.gateway.turns import BESIDE, HEAD, Running, Seat, Turns
from buoy.letters import SCHEDULED, Arrival, Event
from buoy.logger import Logger

__all__ = ["Turns", "Worker"]

STORE_RETRY_S = 1.0
ALONE_RETRY_S = 5.0
MOST_BESIDE = 64  # ours: turns that join one conversation's; beyond that somebody floods us, and waits

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
        self._lanes: Lanes[Event] = Lanes(self._load)
        self._places = 0
        self._beside = 0  # turns that have no place: they joined another, or passed their lane by
        self._retries: dict[int, asyncio.TimerHandle] = {}  # rows that pass their lane by, and wait for another run
        self._is_alone = False
        self._waiting_alone: list[tuple[Key | None, Event]] = []
        self._is_stopping = False
        self._alarm: asyncio.TimerHandle | None = None
        self._patience = Patience()
        self._questions = Questions()
        desk = Desk(store, sender, self._patience, self._questions, wall)
        self.runs = Runs(platforms, agents, desk, self._turns, draw)
        self._presence = Presence(store, supervisor, platforms, sender, self._turns.typing_after_s, wall=wall)
        self.counts = self.runs.counts

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
        """Say as what this arrival may be stored that need not wait; None: it waits."""
        if not arrival.turn or arrival.lane is None:
            return None
        lane = (arrival.bot, arrival.lane)
        if (seat := self._answers(arrival, lane)) is not None or arrival.bypass:
            return seat
        is_free = not (self._is_stopping or self._is_alone or self._waiting_alone)
        if is_free and self._may_join(arrival, lane) and self._lanes.join(lane):
            self._beside += 1
            return BESIDE
        if not is_free or self._places >= self._turns.parallel:
            self._lanes.announce(lane)
            return None
        if self._lanes.offer(lane):
            self._places += 1
            return HEAD
        return None

    def _answers(self, arrival: Arrival, lane: Key) -> Seat | None:
        """The seat of an arrival that answers a question of a turn; None: it answers none."""
        platform = self._platforms.get(arrival.bot)
        if platform is None or not (arrival.click or self._questions.waits_in(lane)):
            return None
        event = inbox.event_of(arrival, 0)
        try:
            if arrival.click:
                click = platform.click(event)
                return None if click is None else self._questions.clicked(lane, click)
            if arrival.bypass or arrival.type == SCHEDULED:
                return None
            message = platform.read(event)
            return None if message is None else self._questions.said(lane, message)
        except Exception:
            log.exception("not looked at as an answer", key=arrival.key)  # its turn says why
            return None

    def _may_join(self, arrival: Arrival, lane: Key) -> bool:
        """Say whether the agent takes it beside the turn that runs. Needs no place: that turn may wait for it.

        What a replay brings was written before that turn began, or it is as fresh as any other.
        """
        joins = self._agents[arrival.bot].joins if arrival.bot in self._agents else None
        if joins is None or arrival.type == SCHEDULED or self._lanes.is_idle(lane):
            return False
        beside = [running for running in self.runs.running.values() if running.lane == lane]
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
        if seat is not None and seat.ends:
            self._questions.stored(seat, is_stored=row is not None)
            return
        if row is None:
            if not arrival.bypass:
                self._lanes.failed(lane, seat is not None)
            self._places -= seat is HEAD
            self._beside -= seat is BESIDE
            self.pump()
            return
        event = inbox.event_of(arrival, row)
        if arrival.bypass:
            self._pass_by(replace(event, attempts=0), is_click=arrival.click)
        elif seat is not None:
            self._lanes.stored(lane, row, event, claimed=True)
            self._launch(Running(event, lane, has_place=seat is HEAD, is_first=True))
        else:
            self._lanes.stored(lane, row, replace(event, attempts=0), claimed=False)
            self.pump()

    # --- what waits for no lane -----------------------------------------------------------------------------------

    def _pass_by(self, event: Event, *, is_click: bool = False) -> None:
        """A row that does not wait for its lane: a click, or `/stop`. An agent that lets messages join has its own."""
        self._retries.pop(event.id, None)
        agent = self._agents.get(event.bot)
        if agent is None or self._is_stopping:
            return
        if agent.joins is None and not is_click and self._is_stop(event):
            self._beside += 1
            self._supervisor.start(self._stop_turn(event))
            return
        until = max(self._clock() + event.not_before - self._wall(), self.runs.absence.until(event.bot))
        if until > self._clock():
            self._retry(replace(event, not_before=0.0), until)
        elif inbox.needs_alone(event):
            self._waiting_alone.append((None, event))
            self.pump()
        else:
            self._beside += 1
            self._supervisor.start(self._claim(Running(event, None, has_place=False)))

    async def _stop_turn(self, stop: Event) -> None:
        await self.runs.stop((stop.bot, stop.lane), stop)
        self._beside -= 1
        self.pump()

    def _is_stop(self, event: Event) -> bool:
        """Say whether it is no click; one that cannot be read must stop nothing, and its run says why."""
        try:
            return self._platforms[event.bot].click(event) is None
        except Exception:
            log.exception("click not read", turn=event.id)
            return False

    def _retry(self, event: Event, at: float) -> None:
        self._retries[event.id] = asyncio.get_running_loop().call_at(at, self._pass_by, event)

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
            if (until := self.runs.absence.until(event.bot)) > self._clock():
                self._lanes.requeue(lane, event, until)
                continue
            if inbox.needs_alone(event):
                if self._places and self.runs.absence.until(
                    event.bot
                ):  # it would only fail, and all others wait for it
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
            self._leave(running, Again(event, self._clock() + STORE_RETRY_S))
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
        self.runs.running[running.event.id] = running
        self.counts["turns"] += 1
        running.task = self._supervisor.start(self._run(running))

    async def _run(self, running: Running) -> None:
        """One run; then lane and place go on, or the row waits for the next."""
        self._presence.began(running)
        try:
            again = await self.runs.run(running)
        finally:
            self._presence.ended(running)
        self._leave(running, again)

    def _leave(self, running: Running, again: Again | None = None) -> None:
        """Give place and lane back; ``again``: the row waits for another run."""
        lane = running.lane
        if running.has_place:
            self._places -= 1
        else:
            self._beside -= 1
        if running.is_alone:
            self._is_alone = False
        if lane is None:
            if again is not None and not self._is_stopping:
                self._retry(again.event, again.at)
        elif again is None:
            self._lanes.release(lane, running.event.id)
        else:
            self._lanes.requeue(lane, again.event, again.at)
        self.pump()

    def give_back(self) -> None:
        """An orderly stop, after all jobs were cancelled: whatever was claimed and did not end waits again, uncharged.

        One job behind all claims, so that it frees those under way as well. Where it fails, the runs count as unclean.
        """
        self._store.write(posting.give_back)

    # --- housekeeping --------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        """Turns under way."""
        return len(self.runs.running)

    @property
    def is_idle(self) -> bool:
        """Nothing waits, runs or is being stored."""
        return not (len(self._lanes) or self._beside or self._retries or self._waiting_alone)

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        return {"lanes": len(self._lanes), **self.runs.health()}

    def stop(self) -> None:
        """Start nothing new; what runs may finish."""
        self._is_stopping = self.runs.is_stopping = True
        self._patience.stop()
        self._presence.stop()
        for later in self._retries.values():
            later.cancel()
        if self._alarm is not None:
            self._alarm.cancel()

    def _load(self, lane: Key, after: int, limit: int) -> list[Event]:
        return self._store.read(inbox.page, lane[0], lane[1], after, limit)
