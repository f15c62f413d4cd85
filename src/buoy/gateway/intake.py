"""The door through which platforms store what they receive; behind it stand the store, the worker and the sender."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from buoy.durable import history, inbox, sessions
from buoy.durable.store import Store
from buoy.errors import StoreError, StoreLostError
from buoy.gateway.commits import STORE_RETRY_S
from buoy.gateway.sender import Sender
from buoy.gateway.turns import Seat
from buoy.gateway.worker import Worker
from buoy.letters import Arrival, Cursor
from buoy.logger import Logger

if TYPE_CHECKING:
    import sqlite3

WHOLE_S = 300.0  # how often a proof that nothing is missing is written; a gap after a crash may be so much too long

OWED: Final = 1000  # changes that the timeline is owed at most, while the disk takes nothing

_News = tuple[str, int, str, str, float]
"""Bot, shard, state, cause, and when it began."""

log = Logger("buoy.intake")


class Door:
    """Satisfies :class:`buoy.letters.Intake`."""

    def __init__(self, store: Store, worker: Worker, sender: Sender, *, wall: Callable[[], float]) -> None:
        self._store = store
        self._begun: set[tuple[str, int]] = set()
        self._owed: list[_News] = []
        self._is_noting = False
        self._worker = worker
        self._sender = sender
        self._wall = wall
        self._whole: dict[tuple[str, int], sessions.Whole] = {}
        self._whole_stored_at: dict[tuple[str, int], float] = {}
        self.on_changed: Callable[[str, str, str], object] = lambda *_: None
        """Called with bot, state and cause when what an operator sees of a bot has changed; raises nothing."""
        self.counts = {"frames": 0, "duplicates": 0, "refused": 0}

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> asyncio.Future[inbox.Put]:
        """Store one frame; where its lane is idle the turn is claimed by the same row."""
        seat = self._worker.reserve(arrival)
        boot = self._store.boot if seat else None
        whole = self._whole.get((arrival.bot, arrival.shard)) if arrival.losses else None
        ends = seat.ends if seat else ""
        job = self._store.write(_put, arrival, boot, opens_session, whole, ends)
        job.add_done_callback(partial(self._committed, arrival, seat))
        return job

    def _committed(self, arrival: Arrival, seat: Seat | None, job: asyncio.Future[inbox.Put]) -> None:
        put = None if job.cancelled() or job.exception() is not None else job.result()
        if put is None:
            self.counts["refused"] += 1
        elif put.fresh:
            self.counts["frames"] += 1
        else:
            self.counts["duplicates"] += 1
        if put is not None and arrival.losses:
            self._tell(arrival.bot, len(arrival.losses))
        row = put.id if put is not None and put.fresh else None
        if row is not None and arrival.lane is not None and arrival.anchor is not None:
            self._sender.contact((arrival.bot, arrival.lane))
        self._worker.stored(arrival, row, seat=seat)

    def cursor(self, bot: str, shard: int) -> Cursor | None:
        """The session to resume, if any."""
        return self._store.read(inbox.cursor, bot, shard)

    def record_identify(self, bot: str, shard: int) -> asyncio.Future[int]:
        """Commit that an IDENTIFY is about to leave."""
        return self._store.write(inbox.record_identify, bot, shard, self._wall())

    def identifies(self, bot: str, since: float) -> int:
        """How many identifies of all shards were committed since then."""
        return self._store.read(inbox.identifies_since, bot, since)

    def unready(self, bot: str, shard: int, since: float) -> tuple[float, ...]:
        """When the identifies left that no READY and no gap came after."""
        return tuple(self._store.read(inbox.unready, bot, shard, since))

    def mark_whole(self, bot: str, shard: int, *, session: str, stored: int, at: float) -> None:
        """Note that nothing which the platform had sent at ``at`` is missing; now and then in the store."""
        self._whole[bot, shard] = sessions.Whole(session, stored, at)
        if not 0 <= at - self._whole_stored_at.get((bot, shard), at - WHOLE_S) < WHOLE_S:
            self._whole_stored_at[bot, shard] = at
            self._store.write(sessions.mark_whole, bot, shard, session, stored, at)

    def changed(self, bot: str, shard: int, state: str, cause: str) -> None:
        """Note it in the timeline; the first of this process begins with its start."""
        now = self._wall()
        if (bot, shard) not in self._begun:
            self._begun.add((bot, shard))
            self._owed.append((bot, shard, "down", "starting", now))
        self._owed.append((bot, shard, state, cause, now))
        if not self._is_noting:
            self._note()
        self.on_changed(bot, state, cause)

    def _note(self) -> None:
        """Commit what the timeline is owed, as one job however much it is."""
        self._is_noting = True
        news, self._owed = self._owed, []
        self._store.write(_note_all, news).add_done_callback(partial(self._noted, news))

    def _noted(self, news: list[_News], job: asyncio.Future[None]) -> None:
        self._is_noting = False
        error = None if job.cancelled() else job.exception()
        if isinstance(error, StoreError) and not isinstance(error, StoreLostError):
            if not self._sender.commits.is_stopping:
                self._is_noting = True
                self._owed = [*news, *self._owed][-OWED:]
                asyncio.get_running_loop().call_later(STORE_RETRY_S, self._note)
        elif error is not None:
            log.error("the timeline was not noted", reason=str(error))
        elif self._owed:
            self._note()

    def _tell(self, bot: str, losses: int) -> None:
        for gap in reversed(self._store.read(inbox.gaps, bot, losses)):
            seconds = round(gap.to_at - gap.from_at, 1)
            log.error("gap", **gap._asdict(), seconds=seconds)


def _note_all(db: sqlite3.Connection, news: Sequence[_News]) -> None:
    for bot, shard, state, cause, at in news:
        history.note(db, bot, shard, state, cause, at)


def _put(
    db: sqlite3.Connection,
    arrival: Arrival,
    boot: int | None,
    opens_session: bool,  # noqa: FBT001
    whole: sessions.Whole | None,
    ends: str,
) -> inbox.Put:
    """One transaction: the row, the session's cursor, and the gap that a lost session leaves before it.

    ``ends``: the row needs no turn, for this reason.
    """
    for loss in arrival.losses:
        sessions.lose(db, arrival.bot, arrival.shard, loss, arrival.received_at, whole)
    if arrival.note:
        sessions.leave_note(db, arrival.bot, arrival.shard, arrival.note)
    if opens_session and arrival.seq is not None:
        inbox.open_session(db, arrival.bot, arrival.shard, arrival.session, arrival.seq, arrival.received_at)
    put = inbox.put(db, arrival, boot)
    if ends and put.id is not None:
        inbox.finish(db, put.id, arrival.received_at, ends)
    return put
