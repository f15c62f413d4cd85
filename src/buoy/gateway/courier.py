"""What happens with one letter whose turn it is: planned, attempted, settled, with a reason for every end.

The courier owns no order and no place: the sender says whose turn it is, and is told when a lane may go on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from buoy.durable import anchors, backoff, outbox, permission
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.gateway import posting
from buoy.gateway.commits import STORE_RETRY_S, Commits
from buoy.gateway.pace import Pace
from buoy.gateway.platform import Platform
from buoy.gateway.receipts import OPEN, Receipts
from buoy.letters import (
    SCHEDULED,
    Cause,
    End,
    Failed,
    Hold,
    Letter,
    LetterState,
    Permission,
    Plan,
    Proactive,
    Repeat,
    Sent,
    Use,
    Wait,
)
from buoy.logger import Logger

REPLANS = 4  # an anchor may be used up between plan and commit; after that the letter waits a moment

log = Logger("buoy.sender")

HELD_CAUSES = frozenset({Cause.PROACTIVE, Cause.OPERATOR})
DEAD_CAUSES = frozenset({Cause.TARGET, Cause.BUG})
TELLS_NOTHING = frozenset({Cause.ANCHOR, Cause.TARGET, Cause.OPERATOR, Cause.PROACTIVE})
"""Definite refusals of a repeat that may be younger than an acceptance; the others hold for every attempt alike."""


@dataclass(frozen=True, slots=True)
class Holding:
    """How long undeliverable letters are kept."""

    days: float = 7.0
    per_lane: int = 20


class Desk(Protocol):
    """What the courier needs of the sender."""

    def postpone(self, lane: Key, letter: Letter, delay_s: float = 0.0) -> None:
        """The letter stays the head of its lane and is looked at again after ``delay_s``."""

    def free(self, lane: Key) -> None:
        """The lane may go on."""

    def hold(self, lane: Key) -> None:
        """The lane holds a letter for the next contact."""

    def pause(self, bot: str, lane: Key) -> None:
        """The lane waits for its bot's way to be free."""

    def resume(self, bot: str) -> None:
        """The bot's way is free again."""


class Courier:
    """Takes one letter at a time through plan, attempt and outcome."""

    def __init__(
        self,
        store: Store,
        platforms: Mapping[str, Platform],
        lanes: Lanes[Letter],
        paces: Mapping[str, Pace],
        receipts: Receipts,
        commits: Commits,
        desk: Desk,
        *,
        wall: Callable[[], float],
        holding: Holding,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._lanes = lanes
        self._paces = paces
        self._receipts = receipts
        self._commits = commits
        self._desk = desk
        self._wall = wall
        self._holding = holding
        self._draw = draw
        self._tried_anew: set[int] = set()
        self._under_way: dict[str, dict[int, float]] = {bot: {} for bot in platforms}  # since when, oldest first
        self.counts = {"sent": 0, "held": 0, "unsure": 0, "dead": 0, "attempts": 0}

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    async def prepare(self, lane: Key, letter: Letter) -> Letter | None:
        """Bring a letter to the point where its request may leave; None when it may not."""
        for _ in range(REPLANS):
            now = self._wall()
            if now - letter.created_at > self._holding.days * 86400 and not letter.frozen:
                self._end(
                    lane,
                    letter,
                    LetterState.DEAD,
                    f"not deliverable for {self._holding.days:g} days: {letter.reason}",
                )
                return None
            match self._plan(letter, now):
                case Use() as plan:
                    bound = await self._store.write(posting.bind, letter, plan, self._store.boot, now)
                    if bound is not None:
                        return bound
                case Repeat():
                    if await self._store.write(outbox.repeat, letter.id, self._store.boot, now):
                        return posting.claimed(letter, now)
                case Proactive():
                    if letter.origin == SCHEDULED and await self._is_away(lane, letter):
                        return None
                    if await self._store.write(outbox.attempt_proactive, letter.id, self._store.boot, now):
                        return replace(posting.claimed(letter, now), anchor=None, anchor_row=None, seq=None)
                case Wait(until, _):
                    self._desk.postpone(lane, letter, max(0.0, until - now))
                    return None
                case Hold(reason):
                    await self._hold(lane, letter, reason)
                    return None
                case End(state, reason):
                    self._end(lane, letter, state, reason)
                    return None
            current = self._store.read(outbox.get, letter.id)
            if current is None or current.state not in OPEN:  # a person dropped it meanwhile
                self._desk.free(lane)
                return None
            letter = current
        self._desk.postpone(lane, letter, STORE_RETRY_S)
        return None

    async def _is_away(self, lane: Key, letter: Letter) -> bool:
        """Look whether anything gets through before a letter is risked that must not be repeated (decision 20).

        An attempt that is interrupted, by a stop or a crash, leaves it unsure even where nothing has left; and nobody
        waits for a schedule's letter, as a caller does for that of a `send()`.
        """
        pace = self._paces[letter.bot]
        if pace.is_proved(self._clock()):
            return False
        found = await self._platforms[letter.bot].reach()
        if found is None or not pace.stops(found):
            return False
        pace.learn(found, self._clock())
        self._desk.pause(letter.bot, lane)
        self._desk.postpone(lane, letter, max(0.0, pace.until - self._clock()))
        return True

    def _plan(self, letter: Letter, now: float) -> Plan:
        """Ask the platform; with the letter's own anchor alone, which is what it uses first, and then with all."""
        platform = self._platforms[letter.bot]
        row = letter.event if letter.anchor_row is None else letter.anchor_row
        own = None if row is None else self._store.read(anchors.of_row, row)
        if own is not None:
            plan = platform.plan(letter, [own], now)
            if isinstance(plan, Use | Repeat):
                return plan
        alive = self._store.read(anchors.newest, letter.bot, letter.lane, platform.alive_since(letter.lane, now))
        if own is not None and all(anchor.row != own.row for anchor in alive):
            alive.append(own)
        return platform.plan(letter, alive, now, self._store.read(permission.known, letter.bot, letter.lane))

    async def attempt(self, lane: Key, letter: Letter, *, in_doubt: bool = False) -> None:
        """Deliver a letter whose attempt is committed, and act on the outcome.

        ``in_doubt``: an earlier attempt may have been accepted; that this one was not proves nothing about it.
        """
        pace = self._paces[letter.bot]
        self.counts["attempts"] += 1
        is_down, told = False, None
        self._under_way[letter.bot][letter.id] = self._clock()
        try:
            outcome = await self._platforms[letter.bot].deliver(letter)
            is_down = not isinstance(outcome, Sent) and pace.stops(outcome)
            if pace.learn(outcome, self._clock()):
                self._desk.resume(letter.bot)
            told = self._platforms[letter.bot].learn(letter, outcome)
        except Exception as error:
            log.exception("platform failed", letter=letter.id)
            pace.abandoned()
            outcome = Failed(Cause.LOST, f"{type(error).__name__}: {error}"[:500])
        except asyncio.CancelledError:
            pace.abandoned()
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # stopping: the letter stays claimed, and a restart repeats it
            outcome = Failed(Cause.LOST, "the delivery was cancelled from inside")
        finally:
            self._under_way[letter.bot].pop(letter.id, None)
        if isinstance(outcome, Sent):
            self._end(lane, letter, LetterState.SENT, outcome.note, remote_id=outcome.remote_id, told=told)
        else:
            await self._failed(lane, letter, outcome, told, in_doubt=in_doubt, is_down=is_down)

    def silent_s(self, bot: str) -> float:
        """How long the oldest attempt of this bot has been waiting for its answer."""
        since = next(iter(self._under_way[bot].values()), None)
        return 0.0 if since is None else self._clock() - since

    async def _failed(
        self, lane: Key, letter: Letter, failed: Failed, told: Permission | None, *, in_doubt: bool, is_down: bool
    ) -> None:
        """Decide what a failed attempt means for the letter."""
        now = self._wall()
        log.info(
            "attempt failed",
            letter=letter.id,
            cause=failed.cause.value,
            reason=failed.reason,
            code=failed.code,
        )
        if in_doubt and failed.cause in TELLS_NOTHING:
            why = f"an earlier attempt may have been accepted, and a repeat is refused: {failed.reason}"
            self._end(lane, letter, LetterState.UNSURE, why, failed=failed, told=told)
        elif failed.cause in DEAD_CAUSES:
            self._end(lane, letter, LetterState.DEAD, failed.reason, failed=failed)
        elif failed.cause in HELD_CAUSES:
            await self._hold(lane, letter, failed.reason, told, failed.code)
        elif failed.cause is Cause.CONTENT and not (in_doubt and failed.early):
            await self._reworded(lane, letter, failed, now)
        elif failed.cause is Cause.ANCHOR:
            await self._commits.insist(outbox.unbind, letter.id, failed.reason, now)
            freed = replace(
                letter, state=LetterState.QUEUED, anchor=None, anchor_row=None, seq=None, reason=failed.reason
            )
            self._desk.postpone(lane, freed)
        else:
            delay = self._draw(*backoff.letter(letter.attempts, failed.retry_after_s))
            if is_down:  # the bot's probes say when it is over; a long backoff of its own would only come after
                delay = max(0.0, self._paces[letter.bot].until - self._clock())
                self._desk.pause(letter.bot, lane)
            unsure = failed.unsure or in_doubt
            await self._commits.insist(outbox.retry, letter.id, now + delay, failed.reason, unsure, now, failed.code)
            state = LetterState.CLAIMED if unsure else LetterState.QUEUED
            self._desk.postpone(lane, replace(letter, state=state, reason=failed.reason), delay)

    async def _reworded(self, lane: Key, letter: Letter, failed: Failed, now: float) -> None:
        """Content was refused: try another wording, once; what it has too much of follows as letters of its own.

        An early refusal was about the form, before anybody looked at the words: they have their one try still.
        """
        is_new = failed.early or letter.id not in self._tried_anew
        bodies = self._platforms[letter.bot].reword(letter, failed) if is_new else []
        if not bodies:
            self._end(lane, letter, LetterState.DEAD, failed.reason, failed=failed)
            return
        for _ in bodies[1:]:
            self._lanes.announce(lane)
        letters = await self._commits.insist(posting.reword, letter, bodies, failed, now)
        if not failed.early:
            self._tried_anew.add(letter.id)
        for more in letters[1:]:
            self._lanes.stored(lane, more.id, more, claimed=False)
        self._desk.postpone(lane, letters[0])

    def _end(
        self,
        lane: Key,
        letter: Letter,
        state: LetterState,
        reason: str,
        *,
        remote_id: str | None = None,
        failed: Failed | None = None,
        told: Permission | None = None,
    ) -> None:
        """Settle for good. The commit may lag behind: a crash before it repeats with the same sequence."""
        now = self._wall()
        self.counts[state.value] += 1
        code, trace = (failed.code, failed.trace_id) if failed else (0, "")
        latency_ms = None if letter.attempted_at is None else round((now - letter.attempted_at) * 1000, 1)
        if state is LetterState.SENT:
            job: tuple[Any, ...] = (outbox.settle_sent, letter.id, remote_id, now, latency_ms, reason)
        else:
            job = (outbox.settle, letter.id, state, reason, remote_id, code, trace, latency_ms, now)
            log.warning("letter ended", letter=letter.id, state=state.value, reason=reason)
        ended = replace(letter, state=state, reason=reason, remote_id=remote_id, settled_at=now)
        self._receipts.remember(ended)
        stored = partial(self._receipts.forget, letter.id)
        self._commits.later(*(job if told is None else (posting.taught, lane, told, now, *job)), then=stored)
        self._tried_anew.discard(letter.id)
        self._receipts.tell(ended)
        self._desk.free(lane)

    async def _hold(
        self, lane: Key, letter: Letter, reason: str, told: Permission | None = None, code: int = 0
    ) -> None:
        """Keep it for the next contact; later letters of the lane go on."""
        self.counts["held"] += 1
        log.warning("letter held", letter=letter.id, reason=reason)
        self._desk.hold(lane)
        now = self._wall()
        job = (outbox.hold, letter.id, reason, now, code)
        await self._commits.insist(*(job if told is None else (posting.taught, lane, told, now, *job)))
        self._desk.hold(lane)  # a contact meanwhile may have looked too early
        self._receipts.tell(replace(letter, state=LetterState.HELD, reason=reason))
        self._desk.free(lane)
