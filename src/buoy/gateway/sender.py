"""Delivers letters: each conversation in order, all of them in parallel, from the store and through nothing else.

A letter is committed before its request leaves, with the anchor and sequence it will carry; what came of it is
committed after. No path here looks at a connection's state.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from buoy.chat import Reply, Target
from buoy.durable import backoff, inbox, outbox
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import NotStoredError, StoreError, StoreLostError
from buoy.gateway.pace import Pace
from buoy.gateway.platform import Platform
from buoy.gateway.supervisor import Supervisor
from buoy.letters import (
    Anchor,
    Cause,
    End,
    Event,
    Failed,
    Hold,
    Letter,
    LetterState,
    Plan,
    Proactive,
    Repeat,
    Sent,
    Use,
    Wait,
)

if TYPE_CHECKING:
    import sqlite3

PARALLEL = 100  # requests under way at once, per process
REPLANS = 4  # an anchor may be used up between plan and commit; after that the letter waits a moment
SEND_PATIENCE_S = 0.1  # `send()` answers within this, whatever happens
STORE_RETRY_S = 1.0
BUG_RETRY_S = 60.0  # a platform that raised: that conversation waits, the others go on
NOT_STORED = "stored after its caller was told that it was not"

log = structlog.get_logger("buoy.sender")

HELD_CAUSES = frozenset({Cause.PROACTIVE, Cause.OPERATOR})
DEAD_CAUSES = frozenset({Cause.TARGET, Cause.BUG})
TELLS_NOTHING = frozenset({Cause.ANCHOR, Cause.TARGET, Cause.OPERATOR, Cause.PROACTIVE})
"""Definite refusals of a repeat that may be younger than an acceptance; the others hold for every attempt alike."""
OPEN = frozenset({LetterState.QUEUED, LetterState.CLAIMED})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `send()` knows when it returns."""

    id: int
    key: str
    state: LetterState
    position: int
    """Letters of the same conversation ahead of it; 0 when it is its turn or it has left."""
    reason: str = ""


@dataclass(slots=True)
class _Wanted:
    """A `send()` under way: its caller waits for ``settled``, or has given up."""

    settled: asyncio.Future[Letter]
    is_given_up: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """How long undeliverable letters are kept."""

    days: float = 7.0
    per_lane: int = 20


class Batch:
    """The letters of one turn, on their way into the transaction that ends the turn."""

    def __init__(self, sender: Sender, event: Event, bodies: Sequence[bytes], use: Use | None) -> None:
        self._sender = sender
        self._event = event
        self._lane = (event.bot, event.lane)
        self._bodies = bodies
        self._use = use

    def write(self, db: sqlite3.Connection, now: float) -> list[Letter]:
        """Queue the letters; the first one is claimed at once where its lane was idle. Runs inside the commit."""
        event, letters, n = self._event, [], 0
        for body in self._bodies:
            n += 1
            put = outbox.put(db, self._draft(n, body, now))
            if not put.fresh:  # an earlier run of this turn queued parts: go on behind them
                n = len(outbox.of_event(db, event.id)) + 1
                put = outbox.put(db, self._draft(n, body, now))
            letters.append(put.letter)
        if self._use is not None and letters[0].state is LetterState.QUEUED:
            letters[0] = self._sender.bind(db, letters[0], self._use, now) or letters[0]
        return letters

    def write_with_end(self, db: sqlite3.Connection, now: float) -> list[Letter] | None:
        """End the turn, queue its letters and claim the first one, with one statement each: the usual case.

        None: it is not the usual case, and nothing changed.
        """
        use, event = self._use, self._event
        if use is None or use.anchor.row != event.id or not inbox.finish_replied(db, event.id, event.uses, now):
            return None
        first = self._sender.put_claimed(db, self._draft(1, self._bodies[0], now), use, event.uses + 1, now)
        n = 1
        if not first.fresh:
            n = len(outbox.of_event(db, event.id)) + 1
            first = self._sender.put_claimed(db, self._draft(n, self._bodies[0], now), use, event.uses + 1, now)
        rest = enumerate(self._bodies[1:], n + 1)
        return [first.letter, *(outbox.put(db, self._draft(at, body, now)).letter for at, body in rest)]

    def _draft(self, n: int, body: bytes, now: float) -> Letter:
        key = f"{self._event.key}/{n}"
        return Letter(0, key, *self._lane, body, LetterState.QUEUED, now, event=self._event.id)

    def committed(self, letters: Sequence[Letter]) -> None:
        """The transaction is on disk: deliver."""
        self._sender.accept(self._lane, letters, is_mine=self._use is not None)

    def failed(self) -> None:
        """The transaction was not stored; nothing of it happened."""
        self._sender.withdraw(self._lane, len(self._bodies), is_mine=self._use is not None)


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
        self._draw = draw
        self._lanes: Lanes[Letter] = Lanes(self._load)
        self._paces = {bot: Pace() for bot in platforms}
        self._paused: dict[str, set[Key]] = {bot: set() for bot in platforms}  # lanes that wait for their bot's pace
        self._unwanted: set[tuple[str, str]] = set()  # sends given up while their commit was under way
        self._held: set[Key] = set()
        self._tried_anew: set[int] = set()
        self._active = 0
        self._is_stopping = False
        self._settled: dict[int, asyncio.Future[Letter]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self.counts = {"sent": 0, "held": 0, "unsure": 0, "dead": 0, "attempts": 0}

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

    def batch(self, event: Event, bodies: Sequence[bytes]) -> Batch:
        """Prepare the letters of a turn that ends now; the caller commits them together with the turn."""
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
        return Batch(self, event, bodies, use)

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
            self._supervisor.start(self._attempt(lane, letters[0]))
        elif is_mine:
            self._postpone(lane, letters[0])
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

    async def send(self, target: Target, reply: Reply, *, key: str | None = None, origin: str = "send") -> Receipt:
        """Queue one message and say what is known after 100 ms at most.

        Returns:
            ``sent`` or, from then on, whatever state the letter is in; ``queued`` means committed.
        Raises:
            NotStoredError: it could not be committed in time; it will not be delivered.
        Repeatable:
            With the same ``key``: the same letter, whatever its state.
        """
        bot = target.bot or ""
        lane = (bot, target.lane)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SEND_PATIENCE_S
        name = f"send/{key or uuid.uuid4().hex}"
        body = self._platforms[bot].body(reply)
        draft = Letter(0, name, bot, target.lane, body, LetterState.QUEUED, self._wall(), origin=origin)
        if (bot, name) in self._unwanted:
            raise NotStoredError(
                "not stored: the disk is still busy with the last try; nothing will be sent, try again"
            )
        wanted = _Wanted(loop.create_future())
        self._lanes.announce(lane)
        job = self._store.write(_put_wanted, draft)
        job.add_done_callback(partial(self._put_ended, lane, name, wanted))
        try:
            async with asyncio.timeout_at(ends_at):
                await asyncio.shield(job)
        except TimeoutError:
            if not job.done():
                wanted.is_given_up = True
                if self._store.withdraw(job):
                    self._lanes.failed(lane, claimed=False)
                else:
                    self._unwanted.add((bot, name))
                raise NotStoredError(
                    "not stored: the disk did not take it in time; nothing will be sent, try again"
                ) from None
        except StoreError as error:
            raise NotStoredError(f"not stored: {error}; nothing will be sent") from error
        letter, is_fresh = job.result()
        if not is_fresh:
            return self._receipt(letter)
        try:
            async with asyncio.timeout_at(ends_at):
                letter = await wanted.settled
        except TimeoutError:
            letter = self._store.read(outbox.get, letter.id) or letter
        return self._receipt(letter)

    def _put_ended(self, lane: Key, name: str, wanted: _Wanted, job: asyncio.Future[outbox.Put]) -> None:
        """The commit of a `send()` ended, perhaps after its caller was told "not stored": make that true then."""
        if job.cancelled():
            return
        put = None if job.exception() is not None else job.result()
        if put is not None and put.fresh and wanted.is_given_up:
            self._lanes.failed(lane, claimed=False)
            self._supervisor.start(self._unsend(lane[0], name, put.letter.id))
        elif put is None or not put.fresh:
            self._lanes.failed(lane, claimed=False)
            self._unwanted.discard((lane[0], name))
        else:
            self._settled[put.letter.id] = wanted.settled
            self._lanes.stored(lane, put.letter.id, put.letter, claimed=False)
        self.pump()

    async def _unsend(self, bot: str, name: str, letter: int) -> None:
        await self._commit(outbox.drop, letter, NOT_STORED, self._wall())
        self._unwanted.discard((bot, name))

    def _receipt(self, letter: Letter) -> Receipt:
        place = self._store.read(outbox.position, letter.id) if letter.state in OPEN else 0
        return Receipt(letter.id, letter.key, letter.state, max(0, place - 1), letter.reason)

    def contact(self, lane: Key) -> None:
        """Somebody wrote in this conversation: what was held for it goes out first, merged into one."""
        if lane in self._held and not self._is_stopping:
            self._held.discard(lane)
            self._lanes.announce(lane)  # at once: nothing of this contact's turn may overtake it
            self._supervisor.start(self._release_held(lane))

    async def _release_held(self, lane: Key) -> None:
        try:
            letters = await self._store.write(_merge_held, lane, self._platforms[lane[0]].merge, self._wall())
        except StoreError:
            self._held.add(lane)  # the next contact tries again
            letters = []
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

    def put_claimed(self, db: sqlite3.Connection, letter: Letter, use: Use, seq: int, now: float) -> outbox.Put:
        """Store a letter together with its first attempt, inside a transaction."""
        return outbox.put_claimed(db, letter, use.anchor.row, use.anchor.id, seq, self._store.boot, now)

    def bind(self, db: sqlite3.Connection, letter: Letter, use: Use, now: float) -> Letter | None:
        """Bind a letter to an anchor inside a transaction; None when the anchor has no reply left."""
        seq = outbox.attempt(db, letter.id, use.anchor.row, use.anchor.id, use.limit, self._store.boot, now)
        if seq is None:
            return None
        return replace(
            letter,
            state=LetterState.CLAIMED,
            anchor_row=use.anchor.row,
            anchor=use.anchor.id,
            seq=seq,
            attempts=letter.attempts + 1,
            attempted_at=now,
        )

    async def _serve(self, lane: Key, letter: Letter) -> None:
        """Decide about the head of a lane and carry it out."""
        pace = self._paces[letter.bot]
        self._paused[letter.bot].discard(lane)
        if (wait_s := letter.not_before - self._wall()) > 0:  # its last attempt failed, in an earlier process
            self._postpone(lane, replace(letter, not_before=0.0), min(wait_s, backoff.LONGEST_WAIT_S))
            return
        if (until := pace.admit(self._clock())) is not None:
            self._paused[letter.bot].add(lane)
            self._postpone(lane, letter, until - self._clock())
            return
        try:
            ready = await self._prepare(lane, letter)
        except StoreError as error:
            log.warning("letter not committed", letter=letter.id, error=str(error))
            self._postpone(lane, letter, STORE_RETRY_S)
            ready = None
        except Exception:
            log.exception("letter not planned", letter=letter.id)
            self._postpone(lane, letter, BUG_RETRY_S)
            ready = None
        except BaseException:
            pace.abandoned()
            raise
        if ready is None:
            pace.abandoned()
            return
        await self._attempt(lane, ready, in_doubt=letter.frozen)

    async def _prepare(self, lane: Key, letter: Letter) -> Letter | None:
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
                    bound = await self._store.write(self.bind, letter, plan, now)
                    if bound is not None:
                        return bound
                case Repeat():
                    if await self._store.write(outbox.repeat, letter.id, self._store.boot, now):
                        return _claimed(letter, now)
                case Proactive():
                    if await self._store.write(outbox.attempt_proactive, letter.id, self._store.boot, now):
                        return replace(_claimed(letter, now), anchor=None, anchor_row=None, seq=None)
                case Wait(until, _):
                    self._postpone(lane, letter, max(0.0, until - now))
                    return None
                case Hold(reason):
                    await self._hold(lane, letter, reason)
                    return None
                case End(state, reason):
                    self._end(lane, letter, state, reason)
                    return None
            current = self._store.read(outbox.get, letter.id)
            if current is None or current.state not in OPEN:  # a person dropped it meanwhile
                self._free(lane)
                return None
            letter = current
        self._postpone(lane, letter, STORE_RETRY_S)
        return None

    def _plan(self, letter: Letter, now: float) -> Plan:
        """Ask the platform; with the letter's own anchor alone, which is what it uses first, and then with all."""
        platform = self._platforms[letter.bot]
        row = letter.event if letter.anchor_row is None else letter.anchor_row
        own = None if row is None else self._store.read(inbox.anchor_of, row)
        if own is not None:
            plan = platform.plan(letter, [own], now)
            if isinstance(plan, Use | Repeat):
                return plan
        anchors = self._store.read(inbox.anchors, letter.bot, letter.lane, platform.alive_since(letter.lane, now))
        if own is not None and all(anchor.row != own.row for anchor in anchors):
            anchors.append(own)
        return platform.plan(letter, anchors, now)

    async def _attempt(self, lane: Key, letter: Letter, *, in_doubt: bool = False) -> None:
        """Deliver a letter whose attempt is committed, and act on the outcome.

        ``in_doubt``: an earlier attempt may have been accepted; that this one was not proves nothing about it.
        """
        pace = self._paces[letter.bot]
        self.counts["attempts"] += 1
        is_down = False
        try:
            outcome = await self._platforms[letter.bot].deliver(letter)
            is_down = not isinstance(outcome, Sent) and pace.stops(outcome)
            if pace.learn(outcome, self._clock()):
                for paused in self._paused[letter.bot]:
                    self._lanes.wake(paused)
                self._paused[letter.bot].clear()
            self._platforms[letter.bot].learn(letter, outcome)
        except Exception as error:
            log.exception("platform failed", letter=letter.id)
            pace.abandoned()
            outcome = Failed(Cause.LOST, f"{type(error).__name__}: {error}"[:500])
        except BaseException:
            pace.abandoned()  # stopping: the letter stays claimed, and a restart repeats it
            raise
        if isinstance(outcome, Sent):
            self._end(lane, letter, LetterState.SENT, outcome.note, remote_id=outcome.remote_id)
        else:
            await self._failed(lane, letter, outcome, in_doubt=in_doubt, is_down=is_down)

    async def _failed(self, lane: Key, letter: Letter, failed: Failed, *, in_doubt: bool, is_down: bool) -> None:
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
            self._end(lane, letter, LetterState.UNSURE, why, failed=failed)
        elif failed.cause in DEAD_CAUSES:
            self._end(lane, letter, LetterState.DEAD, failed.reason, failed=failed)
        elif failed.cause in HELD_CAUSES:
            await self._hold(lane, letter, failed.reason)
        elif failed.cause is Cause.CONTENT:
            await self._reworded(lane, letter, failed, now)
        elif failed.cause is Cause.ANCHOR:
            await self._commit(outbox.unbind, letter.id, failed.reason, now)
            freed = replace(
                letter, state=LetterState.QUEUED, anchor=None, anchor_row=None, seq=None, reason=failed.reason
            )
            self._postpone(lane, freed)
        else:
            delay = self._draw(*backoff.letter(letter.attempts, failed.retry_after_s))
            if is_down:  # the bot's probes say when it is over; a long backoff of its own would only come after
                delay = max(0.0, self._paces[letter.bot].until - self._clock())
                self._paused[letter.bot].add(lane)
            unsure = failed.unsure or in_doubt
            await self._commit(outbox.retry, letter.id, now + delay, failed.reason, unsure, now)
            state = LetterState.CLAIMED if unsure else LetterState.QUEUED
            self._postpone(lane, replace(letter, state=state, reason=failed.reason), delay)

    async def _reworded(self, lane: Key, letter: Letter, failed: Failed, now: float) -> None:
        """Content was refused: try another wording, once; what it has too much of follows as letters of its own."""
        is_new = letter.id not in self._tried_anew
        bodies = self._platforms[letter.bot].reword(letter, failed) if is_new else []
        if not bodies:
            self._end(lane, letter, LetterState.DEAD, failed.reason, failed=failed)
            return
        for _ in bodies[1:]:
            self._lanes.announce(lane)
        letters = await self._commit(_reword, letter, bodies, failed.reason, now)
        self._tried_anew.add(letter.id)
        for more in letters[1:]:
            self._lanes.stored(lane, more.id, more, claimed=False)
        self._postpone(lane, letters[0])

    # --- what became of it ---------------------------------------------------------------------------------------

    def _end(
        self,
        lane: Key,
        letter: Letter,
        state: LetterState,
        reason: str,
        *,
        remote_id: str | None = None,
        failed: Failed | None = None,
    ) -> None:
        """Settle for good. The commit may lag behind: a crash before it repeats with the same sequence."""
        now = self._wall()
        self.counts[state.value] += 1
        code, trace = (failed.code, failed.trace_id) if failed else (0, "")
        latency_ms = None if letter.attempted_at is None else round((now - letter.attempted_at) * 1000, 1)
        self._later(outbox.settle, letter.id, state, reason, remote_id, code, trace, latency_ms, now)
        if state is not LetterState.SENT:
            log.warning("letter ended", letter=letter.id, state=state.value, reason=reason)
        self._tried_anew.discard(letter.id)
        self._tell(replace(letter, state=state, reason=reason, remote_id=remote_id, settled_at=now))
        self._free(lane)

    async def _hold(self, lane: Key, letter: Letter, reason: str) -> None:
        """Keep it for the next contact; later letters of the lane go on."""
        self.counts["held"] += 1
        log.warning("letter held", letter=letter.id, reason=reason)
        self._held.add(lane)
        await self._commit(outbox.hold, letter.id, reason, self._wall())
        self._held.add(lane)  # a contact meanwhile may have looked too early
        self._tell(replace(letter, state=LetterState.HELD, reason=reason))
        self._free(lane)

    def _tell(self, letter: Letter) -> None:
        """Tell the `send()` that waits for this letter, if one does."""
        waiter = self._settled.pop(letter.id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(letter)

    def _postpone(self, lane: Key, letter: Letter, delay_s: float = 0.0) -> None:
        """It stays the head of its lane and is looked at again after ``delay_s``."""
        self._active -= 1
        self._lanes.requeue(lane, letter, self._clock() + delay_s)
        self.pump()

    def _free(self, lane: Key) -> None:
        self._active -= 1
        self._lanes.release(lane)
        self.pump()

    async def _commit(self, job: Callable[..., Any], *args: Any) -> Any:
        """Commit what the letter's next attempt builds on, again and again while the disk refuses."""
        while True:
            try:
                return await self._store.write(job, *args)
            except StoreError as error:
                log.warning("outcome not committed", job=getattr(job, "__name__", ""), error=str(error))
                await asyncio.sleep(STORE_RETRY_S)

    def _later(self, job: Callable[..., Any], *args: Any) -> None:
        """Commit an end without waiting, again and again while the disk refuses; a crash before repeats the letter."""
        self._store.write(job, *args).add_done_callback(partial(self._committed, job, args))

    def _committed(self, job: Callable[..., Any], args: tuple[Any, ...], done: asyncio.Future[Any]) -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        log.warning("outcome not committed", job=getattr(job, "__name__", ""), error=str(error))
        if isinstance(error, StoreError) and not isinstance(error, StoreLostError) and not self._is_stopping:
            asyncio.get_running_loop().call_later(STORE_RETRY_S, self._later, job, *args)

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

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        now = self._clock()
        paces = {
            bot: {
                "paused_s": max(0.0, round(pace.until - now, 1)),
                "failures": pace.failures,
                "reason": pace.reason,
            }
            for bot, pace in self._paces.items()
        }
        return {"active": self._active, "lanes": len(self._lanes), "pace": paces, **self.counts}

    def stop(self) -> None:
        """Start nothing new; what is under way may finish."""
        self._is_stopping = True
        if self._alarm is not None:
            self._alarm.cancel()

    def _load(self, lane: Key, after: int, limit: int) -> list[Letter]:
        return self._store.read(outbox.page, lane[0], lane[1], after, limit)


def _claimed(letter: Letter, now: float) -> Letter:
    """The letter as its row says once an attempt is recorded."""
    return replace(letter, state=LetterState.CLAIMED, attempts=letter.attempts + 1, attempted_at=now)


def _put_wanted(db: sqlite3.Connection, draft: Letter) -> outbox.Put:
    """Queue a `send()`. A letter of this key whose caller was told "not stored" is wanted after all."""
    put = outbox.put(db, draft)
    if put.fresh or put.letter.state is not LetterState.DROPPED or put.letter.reason != NOT_STORED:
        return put
    again = outbox.retry_dead(db, put.letter.id, draft.created_at)
    return put if again is None else outbox.Put(again, fresh=True)


def _merge_held(
    db: sqlite3.Connection, lane: Key, merge: Callable[[Sequence[bytes]], list[bytes]], now: float
) -> list[Letter]:
    """Turn a lane's held letters into new ones at its end; the old ones name where their text went."""
    held = outbox.held(db, *lane)
    carriers = [
        outbox.put(db, Letter(0, f"held/{held[0].key}/{n}", *lane, body, LetterState.QUEUED, now, origin="held")).letter
        for n, body in enumerate(merge([letter.body for letter in held]) if held else [], 1)
    ]
    if carriers:
        outbox.merge(db, [letter.id for letter in held], carriers[0].id, now)
    return carriers


def _reword(db: sqlite3.Connection, letter: Letter, bodies: Sequence[bytes], reason: str, now: float) -> list[Letter]:
    """Give a refused letter another body; further bodies become letters of their own."""
    outbox.reword(db, letter.id, bodies[0], reason, now)
    first = outbox.get(db, letter.id)
    assert first is not None
    more = (
        replace(first, id=0, key=f"{letter.key}~{n}", body=body, created_at=now) for n, body in enumerate(bodies[1:], 2)
    )
    return [first, *(outbox.put(db, one).letter for one in more)]
