"""One run of a turn, from the moment in which its agent gets it to the row that says how it ended.

What each end costs is the inbox's; lanes and places are the worker's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from buoy.chat import Agent, Click, Message, NonsenseError, Reply, as_reply, collect
from buoy.durable import backoff, inbox
from buoy.errors import AgentAwayError, AgentError
from buoy.gateway import asking, posting
from buoy.gateway.absence import Absence
from buoy.gateway.line import Desk, TurnLine
from buoy.gateway.patience import LateError
from buoy.gateway.platform import Platform
from buoy.gateway.posting import End
from buoy.gateway.turns import Running, Turns
from buoy.letters import SCHEDULED, Event
from buoy.logger import Logger

NOTHING = "nothing in it to answer"
NOBODY = "no agent takes clicks here"
STOPPED = "stopped by the user"

log = Logger("buoy.worker")


@dataclass(frozen=True, slots=True)
class Again:
    """The row waits for another run, from ``at`` on (the loop's time)."""

    event: Event
    at: float


class Runs:
    """The turns under way."""

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        agents: Mapping[str, Agent],
        desk: Desk,
        turns: Turns,
        draw: Callable[[float, float], float],
    ) -> None:
        self.running: dict[int, Running] = {}
        self.absence = Absence(draw)
        self.is_stopping = False
        self.counts = {"turns": 0, "done": 0, "failed": 0, "dead": 0, "stopped": 0, "late": 0, "skipped": 0}
        self._platforms = platforms
        self._agents = agents
        self._desk = desk
        self._turns = turns
        self._draw = draw

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    async def run(self, running: Running) -> Again | None:
        """One turn from claim to end. Whatever happens, the row says so; None: it has ended.

        Raises:
            CancelledError: the gateway stops, and gives the row back.
        """
        event = running.event
        timeout_s = self._agents[event.bot].timeout_s or self._turns.timeout_s
        line = TurnLine(running, self._platforms[event.bot], self._desk)
        words = self._turns.words
        try:
            await self._play(running, line, timeout_s)
            self.counts["done"] += 1
        except asyncio.CancelledError:
            self.running.pop(event.id, None)  # here and below first of all: what records an end is not to be stopped
            if running.is_stopped_by_user:
                self.counts["stopped"] += 1
                await line.tell("", End(event.id, STOPPED), posting.STOPPED)
            elif self.is_stopping:
                raise  # `give_back` follows
            else:
                return await self._failed(line, event, "the agent cancelled its own turn")
        except posting.EndedError:
            log.info("turn had ended already", turn=event.id)  # with the last word of another one
        except LateError:
            self.running.pop(event.id, None)
            await self._bury(line, event, f"the agent did not answer within {timeout_s:g} s", words.too_long)
        except NonsenseError as error:
            self.running.pop(event.id, None)
            self._is_back(event.bot)
            await self._bury(line, event, str(error), words.failed)
        except AgentAwayError as error:
            self.running.pop(event.id, None)
            return await self._wait(event, str(error)[:500])
        except (Exception, SystemExit) as error:  # noqa: BLE001  an agent may raise anything; the row says what
            self.running.pop(event.id, None)
            self._is_back(event.bot)
            why = str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
            return await self._failed(line, event, why[:500])
        finally:
            line.close()
            self.running.pop(event.id, None)
        return None

    async def _play(self, running: Running, line: TurnLine, timeout_s: float) -> None:
        """Hand the row to its agent and end it with what that answers."""
        event = running.event
        agent, platform, store = self._agents[event.bot], self._platforms[event.bot], self._desk.store
        if (click := platform.click(event)) is not None:
            await self._clicked(event.bot, click, line, timeout_s)
            return
        late_s = asking.late_by(event, self._desk.wall(), self._turns.late_after_s)
        message = asking.message_for(event, agent, platform, store, late_s, is_first=running.is_first)
        if message is None:
            await line.finish([], reason=NOTHING)
        elif late_s and self._turns.skips_late and not asking.is_wanted(event, store):
            log.warning("late message skipped", turn=event.id, age_s=round(late_s))
            self.counts["skipped"] += 1
            await line.finish([], reason=asking.skipped(late_s, self._turns.late_after_s))
        else:
            self.counts["late"] += late_s > 0
            line.asked = None if message.schedule else message.sender.id
            replies = await self._answer(agent, replace(message, line=line), line, timeout_s)
            self._is_back(event.bot)
            if replies is not None:
                await line.finish(replies)

    async def _clicked(self, bot: str, click: Click, line: TurnLine, timeout_s: float) -> None:
        agent = self._agents[bot]
        if agent.clicked is None:
            await line.finish([], reason=NOBODY)
            return
        with self._desk.patience.limit(timeout_s):
            await agent.clicked(click)
        self._is_back(bot)
        await line.finish([])

    async def _answer(self, agent: Agent, message: Message, line: TurnLine, timeout_s: float) -> list[Reply] | None:
        """What the agent answers, within its time; None: it has ended the turn itself, by its last word."""
        replies: list[Reply] = []
        try:
            with self._desk.patience.limit(timeout_s):
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

    async def _continue(self, agent: Agent, message: Message, line: TurnLine) -> list[Reply]:
        """An agent that can continue: each part is committed as it comes; the last one ends the turn."""
        answer = agent.answer(message)
        if not isinstance(answer, AsyncGenerator):
            raise NonsenseError(f"agent {agent.name!r} says that it can continue, but it is no async generator")
        async with aclosing(answer) as parts:
            async for part in parts:
                reply = as_reply(part)
                if not reply.text.strip():
                    continue
                await line.flush()
                line.pending = reply
        return [line.pending] if line.pending is not None else []

    def _is_back(self, bot: str) -> None:
        """The agent did something, if only to fail: it is not away."""
        if (away_s := self.absence.over(bot, self._clock())) is not None:
            log.info("agent is back", bot=bot, seconds=round(away_s, 1))

    async def _failed(self, line: TurnLine, event: Event, reason: str) -> Again | None:
        """A run raised: again later, up to the limit, while the lane waits."""
        self.counts["failed"] += 1
        log.warning("turn failed", turn=event.id, attempt=event.attempts, reason=reason)
        if event.failures + 1 >= self._turns.attempts:
            why = f"failed {event.failures + 1} times, last: {reason}"
            await self._bury(line, event, why, self._turns.words.failed)
            return None
        now, pause = self._desk.wall(), self._draw(*backoff.turn(event.failures + 1))
        await self._desk.sender.commits.insist(inbox.again, event.id, reason, now, now + pause)
        return Again(replace(event, failures=event.failures + 1), self._clock() + pause)

    async def _wait(self, event: Event, reason: str) -> Again:
        """The agent cannot be reached: the turn waits uncharged, as do the others of its bot, for ever."""
        until, is_news = self.absence.noticed(event.bot, reason, self._clock())
        if is_news:
            log.error("agent is away, its messages wait", bot=event.bot, reason=reason)
        now, pause = self._desk.wall(), max(0.0, until - self._clock())
        why = f"the agent is away: {reason}"
        await self._desk.sender.commits.insist(partial(inbox.again, charged=False), event.id, why, now, now + pause)
        return Again(event, until)

    async def _bury(self, line: TurnLine, event: Event, reason: str, text: str) -> None:
        """End it as a dead letter, and tell who wrote it. What a schedule asked nobody waits for."""
        self.counts["dead"] += 1
        log.error("turn is dead", turn=event.id, reason=reason)
        told = "" if event.type == SCHEDULED else text
        await line.tell(told, End(event.id, reason, is_dead=True), posting.FAILED)

    def told_dead(self, event: Event) -> list[bytes]:
        """What a user is told of a turn that was buried because it ended the process; runs inside the commit."""
        platform = self._platforms.get(event.bot)
        text = self._turns.words.failed
        if platform is None or not text or event.type == SCHEDULED:
            return []
        try:
            return platform.compose(event, [Reply(text)])
        except Exception:
            log.exception("user not told", turn=event.id)
            return []

    async def stop(self, lane: tuple[str, str], stop: Event) -> None:
        """`/stop`: end the conversation's running turns now, and say so. Needs no place and no lane."""
        stopped = [one for one in self.running.values() if (one.event.bot, one.event.lane) == lane and one.task]
        for running in stopped:
            running.is_stopped_by_user = True
            if running.task is not None:
                running.task.cancel(STOPPED)
        words, end = self._turns.words, End(stop.id, "asked to stop the running turn", boot=self._desk.store.boot)
        line = TurnLine(Running(stop, None, has_place=False), self._platforms[stop.bot], self._desk)
        await line.tell(words.stopped if stopped else words.idle, end, posting.STOPPED)

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        oldest = min((running.event.received_at for running in self.running.values()), default=None)
        age = None if oldest is None else round(self._desk.wall() - oldest, 1)
        away = self.absence.told(self._clock())
        return {"active": len(self.running), "oldest_running_s": age, **self.counts, "away": away}
