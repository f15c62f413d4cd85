"""Looks at the health snapshot now and then and does what the ledger decides: rows, notices, log lines.

It never stands in the way of a message: it only reads, writes when something changed, and can be cancelled anywhere.
When the disk takes no rows, that itself is told at once, straight through the channels.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from buoy.durable import alerts, meta
from buoy.durable.alerts import Words
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway.alerts import ledger, notices
from buoy.gateway.alerts.channel import Channel, ChannelError
from buoy.gateway.alerts.delivery import Delivery, facts
from buoy.gateway.alerts.ledger import Act, Close, Memory, Raise, Recover, Tell
from buoy.gateway.alerts.rules import OUTAGES, Limits, Problem, Recent, outage_since, problems
from buoy.gateway.alerts.words import Language
from buoy.gateway.supervisor import Supervisor
from buoy.logger import Logger

CHECK_S: Final = 15.0
FIRST_S: Final = 3.0  # after the start nothing has been tried yet; a refusal comes within a second or two
SILENT_S: Final = 30.0  # a disk that answers later than this is in trouble, and not just asleep
REFUSED_S: Final = 10.0  # so long the disk must refuse until it is told: a backup may hold the database for a moment

log = Logger("buoy.alerts")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the operator is told."""

    language: Language = "zh"
    limits: Limits = field(default_factory=Limits)
    repeat_s: float = 4 * 3600.0
    check_s: float = CHECK_S


@dataclass(slots=True)
class Broken:
    """The store takes nothing, since when, and when that was told."""

    since: float
    reason: str
    told_at: float | None = None


class Alerts:
    """One process's alerts. ``health`` gives the snapshot as plain data."""

    def __init__(
        self,
        store: Store,
        health: Callable[[], Mapping[str, Any]],
        channels: Sequence[Channel],
        manner: Manner | None = None,
        *,
        wall: Callable[[], float] = time.time,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.delivery = Delivery(store, channels, wall=wall, draw=draw)
        self.looked_at = wall()
        """When the last look was finished."""
        self._store = store
        self._health = health
        self._manner = manner or Manner()
        self._wall = wall
        self._recent = Recent()
        self._memory = Memory()
        self._broken: Broken | None = None

    def start(self, supervisor: Supervisor) -> None:
        """Run until the supervisor stops."""
        supervisor.keep("alerts:look", self.run)
        if self.delivery.ways:
            supervisor.keep("alerts:deliver", self.delivery.run)
        else:
            self._store.write(alerts.give_all_up, "no channel is configured any more", self._wall())

    async def run(self) -> None:
        """Look for ever."""
        await asyncio.sleep(min(FIRST_S, self._manner.check_s))
        while True:
            await self.look()
            await asyncio.sleep(self._manner.check_s)

    async def look(self) -> None:
        """Look once, and do what there is to do."""
        now = self._wall()
        reason = await self._refusal(now)
        try:
            if reason is None:
                await self._review(now)
                self.looked_at = self._wall()
                return
        except TimeoutError:
            reason = _silent(SILENT_S)
        except StoreError as error:
            reason = str(error)
        await self._cry(reason, now)

    async def _refusal(self, now: float) -> str | None:
        """Why the store takes nothing now; asked of it only where something points to that."""
        stats = self._store.stats
        if stats.committing_since is not None and (silent_s := time.monotonic() - stats.committing_since) > SILENT_S:
            return _silent(silent_s)
        if not stats.refusal and self._broken is None:
            return None
        try:
            async with asyncio.timeout(SILENT_S):
                await self._store.write(meta.set, "alive_at", now)
        except TimeoutError:
            return _silent(SILENT_S)
        except StoreError as error:
            return str(error)
        return None

    async def _cry(self, reason: str, now: float) -> None:
        """Tell of a store that takes nothing: no row can say it, so nothing is queued and nothing is waited for."""
        broken = self._broken = self._broken or Broken(now, reason)
        broken.reason = reason
        is_due = (
            now - broken.since >= REFUSED_S if broken.told_at is None else now - broken.told_at >= self._manner.repeat_s
        )
        if not is_due:
            return
        kind = "raised" if broken.told_at is None else "repeated"
        log.error("alert", rule="store", subject="", detail=reason, kind=kind)
        words = self._words(kind, "store", "", broken.since, reason, 1, now, {})
        data = facts(kind, "store", "", broken.since, now)
        try:
            if self.delivery.ways:
                await self.delivery.now(words, data)
            broken.told_at = now
        except ChannelError as error:
            log.warning("a notice is not heard yet", title=words.title, reason=str(error))

    # --- the ledger's acts ---------------------------------------------------------------------------------------

    async def _review(self, now: float) -> None:
        snapshot, read = self._health(), self._store.read
        self._recent.note(snapshot, now)
        found = [self._dated(one, now) for one in problems(snapshot, self._manner.limits, now, self._recent)]
        broken = self._broken
        if broken is not None:
            found.append(Problem("store", "", broken.since, broken.reason, REFUSED_S))
        rows = read(alerts.open_rows)
        acts, self._memory = ledger.review(
            rows,
            found,
            self._memory,
            now,
            repeat_s=self._manner.repeat_s,
            bots={bot: told.get("since") if told["state"] == "up" else None for bot, told in snapshot["bots"].items()},
            ended=read(alerts.ended_since, now - ledger.FLAPS_S),
            left={row.id: read(alerts.left, row.rule, row.subject) for row in rows if row.rule in ledger.HAPPENINGS},
        )
        queues = {
            "turns": snapshot["inbox"]["states"].get("waiting", 0),
            "letters": snapshot["outbox"]["states"].get("queued", 0),
            "held": snapshot["outbox"]["states"].get("held", 0),
        }
        async with asyncio.timeout(SILENT_S):
            for act in acts:
                await self._do(act, now, queues)
        self._broken = None

    def _dated(self, problem: Problem, now: float) -> Problem:
        """An outage began when the timeline says so, however often its session or its process began anew."""
        if problem.rule not in OUTAGES:
            return problem
        since = outage_since(self._store.read(alerts.states, problem.subject), now)
        return problem if since is None else problem._replace(since=since)

    async def _do(self, act: Act, now: float, queues: Mapping[str, int]) -> None:
        """Commit one act; its log line and its notice follow the commit."""
        write = self._store.write
        match act:
            case Raise(problem, since):
                words = self._words("raised", problem.rule, problem.subject, since, problem.detail, 1, now, queues)
                is_told = problem.rule == "store" and self._broken is not None and self._broken.told_at is not None
                queued = None if is_told else self._queued(words)
                done = await write(alerts.raise_, *problem[:2], since, problem.detail, queued, now)
                self._say(done, words, problem.rule, problem.subject, problem.detail)
            case Tell(alert, rule, detail):
                kind = "repeated" if alert.told else "raised"
                words = self._words(kind, rule, alert.subject, alert.since, detail, alert.times, now, queues)
                done = await write(alerts.tell, alert, rule, detail, self._queued(words), now)
                self._say(done, words, rule, alert.subject, detail)
            case Recover(alert, at, covers):
                caught = None
                if alert.rule in OUTAGES:
                    caught = self._store.read(alerts.caught_up, alert.subject, alert.since, at)
                words = notices.recovered(
                    alert.rule, alert.subject, alert.since, at, alert.detail, caught, self._manner.language
                )
                told_too = tuple(other.id for other in covers)
                if await write(alerts.end, alert.id, at, self._queued(words), now, told_too):
                    log.info("alert over", rule=alert.rule, subject=alert.subject, lasted_s=round(at - alert.since))
                    self.delivery.wake.set()
            case Close(alert):
                await write(alerts.end, alert.id, now, None, now)

    def _words(
        self,
        kind: str,
        rule: str,
        subject: str,
        since: float,
        detail: str,
        times: int,
        now: float,
        queues: Mapping[str, int],
    ) -> Words:
        return notices.trouble(
            kind, rule, subject, since, detail, times=times, now=now, queues=queues, language=self._manner.language
        )

    def _queued(self, words: Words) -> Words | None:
        return words if self.delivery.ways else None

    def _say(self, done: bool, words: Words, rule: str, subject: str, detail: str) -> None:  # noqa: FBT001
        if done:
            log.error("alert", kind=words.kind, rule=rule, subject=subject, detail=detail, title=words.title)
            self.delivery.wake.set()

    # --- state ---------------------------------------------------------------------------------------------------

    def told(self) -> dict[str, Any]:
        """Plain data for status."""
        queued, language = self._store.read(alerts.queued), self._manner.language
        age_s = None if queued.oldest_at is None else max(0.0, round(self._wall() - queued.oldest_at, 1))
        return {
            "open": [
                {
                    "rule": row.rule, "subject": row.subject, "since": row.since, "times": row.times, "told": row.told,
                    "title": notices.title(row.rule, row.subject, language),
                    "detail": notices.cause(row.rule, row.detail, language),
                    "words": notices.everywhere(row.rule, row.subject, row.detail),
                }
                for row in self._store.read(alerts.open_rows)
            ],
            "undelivered": queued.waiting,
            "oldest_undelivered_s": age_s,
            "channels": self.delivery.told(),
        }  # fmt: skip


def _silent(seconds: float) -> str:
    return f"the disk has not answered for {seconds:.0f} s"
