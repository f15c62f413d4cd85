"""The service behind the schedules: it sleeps until the next planned time, and commits what is due then.

It decides nothing about times (see `planned` and `misfire`) and never waits for a platform: what it fires is a row in
the store, and the sender and the worker take it from there. So it cannot hold up a shutdown either.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

from buoy.chat import Reply, Target
from buoy.durable import schedules
from buoy.durable.lanes import Key
from buoy.durable.schedules import Firing, Schedule, key_of
from buoy.durable.store import Store
from buoy.errors import ConfigError, StoreError
from buoy.gateway.commits import STORE_RETRY_S
from buoy.gateway.platform import Platform
from buoy.gateway.schedules import prompt
from buoy.gateway.schedules.misfire import BACK_S, Step, step
from buoy.gateway.schedules.planned import Plan, parse, parse_zone
from buoy.gateway.sender import Sender
from buoy.gateway.turns import Seat
from buoy.gateway.worker import Worker
from buoy.letters import SCHEDULED, Arrival, Letter, LetterState
from buoy.logger import Logger

LOOK_S: Final = 30.0  # the wall clock may be set, and does not count on while the machine is suspended
SOON_S: Final = 0.01  # what has become due meanwhile
NEXT_SHOWN: Final = 3

log = Logger("buoy.schedules")


@dataclass(slots=True)
class _Entry:
    """One schedule as the service knows it."""

    row: Schedule
    plan: Plan | None
    next_at: float | None
    """The first planned time that is not settled; None: there is none, or it is not known."""
    trouble: str = ""
    """Why nothing of it can be fired now; its planned times stay unsettled."""


class Timetable:
    """All schedules of one store. Without :meth:`run` it only keeps and shows them."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        sender: Sender,
        platforms: Mapping[str, Platform],
        resolve: Callable[[Target], Target],
        *,
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._worker = worker
        self._sender = sender
        self._platforms = platforms
        self._resolve = resolve
        self._wall = wall
        self._entries: dict[str, _Entry] = {}
        self._changed = asyncio.Event()
        self._is_running = False
        self._is_stopping = False

    # --- what people want ----------------------------------------------------------------------------------------

    async def start(self, wanted: Sequence[Schedule]) -> None:
        """Take up the schedules of the settings file, in place of those that it named before.

        Raises:
            ConfigError: one of them cannot be fired by this Buoy; nothing was changed.
            StoreError: they could not be stored.
        """
        for new in wanted:
            self.check(new)
        for name in await self._store.write(schedules.sync, wanted):
            log.warning("schedule taken over by the settings file", schedule=name)
        self._is_running = True

    async def add(self, new: Schedule) -> dict[str, Any]:
        """Keep a new schedule from now on; returns it as :meth:`told` tells it.

        Raises:
            ConfigError: it cannot be fired by this Buoy, or its name is taken.
        """
        self.check(new)
        if not await self._change(self._store.write(schedules.add, new)):
            raise ConfigError(f"schedule {new.name} is there already; remove it first, or choose another name")
        return told(new, self._wall())

    async def remove(self, name: str) -> None:
        """Forget a schedule that a command added.

        Raises:
            ConfigError: there is none, or it stands in the settings file.
        """
        one = self._known(name)
        if one.source == schedules.FILE:
            raise ConfigError(f"schedule {name} stands in the settings file; take it out there and restart Buoy")
        await self._change(self._store.write(schedules.remove, name))

    async def _change(self, job: asyncio.Future[bool]) -> bool:
        """Wait for a change; the service looks at it even where nobody waits any more."""
        job.add_done_callback(lambda _: self._changed.set())
        return await asyncio.shield(job)

    async def fire_now(self, name: str) -> str:
        """Fire a schedule once more, whatever its plan; returns the row that came of it.

        Raises:
            ConfigError: there is none, or it cannot be fired.
            StoreError: nothing was stored.
        Cancellation: it is not fired, unless its commit was under way.
        """
        while True:
            one, now = self._known(name), self._wall()
            job = self._fire(one, Step(one.settled_to), f"{name}/now/{uuid.uuid4().hex[:12]}", now)
            try:
                fired = await asyncio.shield(job)
            except asyncio.CancelledError:
                self._store.withdraw(job)
                raise
            if fired is not None:
                return f"in/{fired.row}" if fired.letter is None else f"out/{fired.letter.id}"

    def _known(self, name: str) -> Schedule:
        one = self._store.read(schedules.get, name)
        if one is None:
            raise ConfigError(f"no schedule {name[:80]!r}; `buoy schedule list` shows what is there")
        return one

    def check(self, new: Schedule) -> tuple[Plan, Target]:
        """Refuse what can never be fired; returns its plan, and its target with the bot named.

        Raises:
            ConfigError: one line that names the schedule.
        """
        try:
            plan = parse(new.cron, parse_zone(new.zone))
        except ValueError as error:
            remedy = "write minute hour day month weekday, such as 30 8 * * 1-5, and a zone such as Asia/Shanghai"
            raise ConfigError(f"schedule {new.name}: {error}; {remedy}") from None
        try:
            where = self._resolve(Target.parse(new.target))
            platform = self._platforms[where.bot or ""]
            platform.check(where)
            if new.kind == "text" and new.text.strip():
                platform.body(Reply(new.text))
        except ConfigError as error:
            raise ConfigError(f"schedule {new.name}: {error}") from None
        if not new.text.strip():
            raise ConfigError(f"schedule {new.name}: its text is blank; write what to send or to ask")
        return plan, where

    # --- the service ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Fire what is due, then sleep until something is due or changes; for ever."""
        while not self._is_stopping:
            self._changed.clear()
            try:
                self._reload()
                for entry in sorted(self._entries.values(), key=lambda one: one.next_at or 0.0):
                    await self._attend(entry)
                pause = self._pause()
            except StoreError as error:
                log.warning("schedules wait for the disk", error=str(error))
                pause = STORE_RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    def _pause(self) -> float | None:
        """How long nothing is to do; None: until something changes."""
        if not self._entries:
            return None
        now = self._wall()
        soonest = min(
            (entry.next_at for entry in self._entries.values() if entry.next_at is not None), default=math.inf
        )
        return min(max(soonest - now, SOON_S), LOOK_S)

    def _reload(self) -> None:
        """Look what the store holds; what is known already stays."""
        rows = self._store.read(schedules.listing)
        known, self._entries = self._entries, {}
        for row in rows:
            before = known.get(row.name)
            is_same = before is not None and before.row == row and not before.trouble
            self._entries[row.name] = before if before is not None and is_same else self._entry(row, before)

    def _entry(self, row: Schedule, before: _Entry | None = None) -> _Entry:
        try:
            plan, _ = self.check(row)
            return _Entry(row, plan, plan.next(row.settled_to))
        except ConfigError as error:
            if before is None or before.trouble != str(error):
                log.error("schedule cannot be fired", schedule=row.name, reason=str(error))  # noqa: TRY400
            return _Entry(row, None, None, str(error))
        except Exception as error:
            log.exception("schedule failed", schedule=row.name)
            return _Entry(row, None, None, _bug(error))

    async def _attend(self, entry: _Entry) -> None:
        """Settle one schedule; one that breaks does not keep the others from it, and is tried again later."""
        try:
            await self._settle(entry)
        except StoreError:
            raise
        except Exception as error:
            log.exception("schedule failed", schedule=entry.row.name)
            entry.plan, entry.next_at, entry.trouble = None, None, _bug(error)

    async def _settle(self, entry: _Entry) -> None:
        """Commit step after step until nothing of this schedule is due."""
        while entry.plan is not None and not self._is_stopping:
            row, now = entry.row, self._wall()
            is_due = entry.next_at is not None and entry.next_at <= now
            if not is_due and now >= row.settled_to - BACK_S:
                return
            todo = step(entry.plan.times, row.settled_to, now, row.misfire)
            if todo is None:
                return
            key = "" if todo.fire is None else key_of(row.name, todo.fire)
            fired = await asyncio.shield(self._fire(row, todo, key, now))
            if fired is not None:
                self._tell(row, todo, fired, now)
            after = self._store.read(schedules.get, row.name)
            if after is None:
                return
            fresh = self._entry(after, entry)
            entry.row, entry.plan, entry.next_at, entry.trouble = fresh.row, fresh.plan, fresh.next_at, fresh.trouble

    def _tell(self, row: Schedule, todo: Step, fired: Firing, now: float) -> None:
        if todo.missed:
            log.warning(
                "planned times missed", schedule=row.name, missed=todo.missed, more=todo.is_more, policy=row.misfire
            )
        if todo.fire is not None and fired.fresh:
            late_s = round(now - todo.fire, 1)
            log.info("schedule fired", schedule=row.name, planned_at=todo.fire, late_s=late_s)

    def _fire(self, row: Schedule, todo: Step, key: str, now: float) -> asyncio.Future[Firing | None]:
        """Commit one step; ``key`` names what is fired with it, empty: nothing. None: the schedule has changed.

        Await it shielded: sender and worker go by what becomes of the commit.
        """
        what = self._draft(row, todo, key, now) if key else None
        lane, seat = ("", ""), None
        if self._is_running and isinstance(what, Letter):
            lane = (what.bot, what.lane)
            self._sender.announce(lane)
        elif self._is_running and isinstance(what, Arrival):
            seat = self._worker.reserve(what)
        boot = self._store.boot if seat else None
        job = self._store.write(schedules.settle, row, todo.settled_to, todo.missed, todo.fire, what, now, boot)
        if self._is_running and what is not None:
            job.add_done_callback(partial(self._committed, what, lane, seat))
        return job

    def _draft(self, row: Schedule, todo: Step, key: str, now: float) -> Letter | Arrival:
        _, where = self.check(row)
        bot = where.bot or ""
        if row.kind == "text":
            body = self._platforms[bot].body(Reply(row.text))
            return Letter(0, key, bot, where.lane, body, LetterState.QUEUED, now, origin=SCHEDULED)
        is_alone = sum(platform.name == where.platform for platform in self._platforms.values()) == 1
        planned = now if todo.fire is None else todo.fire
        return prompt.arrival(row.name, row.text, where, where.lane if is_alone else str(where), key, planned, now)

    def _committed(
        self,
        what: Letter | Arrival,
        lane: Key,
        seat: Seat | None,
        job: asyncio.Future[Firing | None],
    ) -> None:
        """The transaction ended, whether anybody still waits for it or not: sender and worker go on with the row."""
        fired = None if job.cancelled() or job.exception() is not None else job.result()
        if isinstance(what, Arrival):
            self._worker.stored(what, None if fired is None else fired.row, seat=seat)
        elif fired is not None and fired.fresh and fired.letter is not None:
            self._sender.accept(lane, [fired.letter], is_mine=False)
        else:
            self._sender.withdraw(lane, 1, is_mine=False)

    def stop(self) -> None:
        """Fire nothing more."""
        self._is_stopping = True
        self._changed.set()

    # --- what is known -------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Plain data for status: for each schedule its next time, its last firing and what was missed."""
        rows = self._store.read(lambda db: [schedules.told(db, one) for one in schedules.listing(db)])
        return {row["name"]: self._shown(row, self._entries.get(row["name"])) for row in rows}

    @staticmethod
    def _shown(row: dict[str, Any], entry: _Entry | None) -> dict[str, Any]:
        return {
            "next_at": None if entry is None else entry.next_at,
            "last_at": row["fired_at"],
            "last_for": row["fired_for"],
            "last_ref": row["fired_ref"],
            "last_state": row["last_state"],
            "missed": row["missed"],
            "missed_at": row["missed_at"],
            "trouble": "" if entry is None else entry.trouble,
        }


def _bug(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def told(one: Schedule, now: float) -> dict[str, Any]:
    """One schedule and its next planned times (wall seconds) as plain data."""
    try:
        plan = parse(one.cron, parse_zone(one.zone))
    except ValueError as error:
        return {"name": one.name, "next": [], "trouble": str(error)}
    return {"name": one.name, "next": list(islice(plan.times(max(now, one.settled_to)), NEXT_SHOWN)), "trouble": ""}
