"""The inbox: received frames, their dedupe, and the life of a turn from claim to end.

Every function is a job: plain, synchronous, over a connection inside the store's transaction, so that jobs
compose. Changes are guarded by the state they expect; a False or None says that the row was not in it and
nothing happened.

A turn is charged before its agent runs. How a run ends decides what it costs::

    ended                  `finish` or `bury`
    the agent failed       `again`: attempts stay, failed + 1; not where it could not be reached
    orderly stop           `give_back`: as if it had never run
    the process died       `void_claims` at the next start: attempts stay, unclean + 1, and unclean_alone + 1
    if alone

failed + unclean_alone reaching `DEAD_AFTER` makes a dead letter; unclean reaching `ALONE_AFTER` makes it run
alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from buoy.durable import meta, permission
from buoy.durable.sessions import (
    advance,
    cursor,
    gaps,
    identifies_since,
    open_session,
    record_gap,
    record_identify,
    unready,
)
from buoy.durable.trace import event_ref, note
from buoy.letters import NOTICE, Arrival, Event, EventState

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "ALONE_AFTER", "ASKED_AGAIN", "DEAD_AFTER", "Put", "advance", "again", "bury", "claim",
    "counts", "cursor", "drop", "end_waiting", "ended_with", "event_of", "finish", "finish_replied", "gaps", "get",
    "give_back", "heads",
    "history", "identifies_since", "is_spent", "listing", "needs_alone", "open_session", "page", "put",
    "record_gap", "record_identify", "retry_dead", "unready", "urgent", "void_claims",
]  # fmt: skip

DEAD_AFTER: Final = 5  # faults 18
LOOK_BACK: Final = 500  # rows of a lane that are searched for anchors and history; more would stop the loop
ASKED_AGAIN: Final = "a person asked for another run"
AGENT_AWAY: Final = "the agent is away"  # one note, however often: the reason of the last time is in the row
ALONE_AFTER: Final = 2  # design, inbound rules: charged twice by unclean ends


class Put(NamedTuple):
    """What became of an arrival. ``fresh`` False is a duplicate, and ``id`` is None then."""

    id: int | None
    fresh: bool


def needs_alone(event: Event) -> bool:
    """Say whether the turn may only run with nothing beside it: it may be what kills the process."""
    return event.unclean >= ALONE_AFTER


def is_spent(event: Event) -> bool:
    """Say whether the turn has used up its runs; what is left is `bury`."""
    return event.failures >= DEAD_AFTER


def event_of(arrival: Arrival, row: int) -> Event:
    """Build the event of an arrival that was put already claimed, without reading it back."""
    return Event(
        row, arrival.bot, arrival.lane or "", arrival.type, arrival.key, arrival.frame, arrival.anchor,
        arrival.event_at, arrival.received_at, 1,
    )  # fmt: skip


_COLUMNS = (
    "id, bot, lane, type, key, frame, anchor, event_at, received_at, attempts, alone, uses, failed + "
    "unclean_alone, unclean, not_before"
)
_GET = f"SELECT {_COLUMNS} FROM inbox WHERE id = ?"  # noqa: S608  constants only, here and below
_PAGE = (
    f"SELECT {_COLUMNS} FROM inbox INDEXED BY inbox_open "  # noqa: S608
    "WHERE bot = ? AND lane = ? AND id > ? AND state IN ('waiting', 'running') AND bypass = 0 "
    "AND state = 'waiting' ORDER BY id LIMIT ?"
)
_URGENT = (
    f"SELECT {_COLUMNS} FROM inbox "  # noqa: S608
    "WHERE state IN ('waiting', 'running') AND bypass = 1 AND state = 'waiting' ORDER BY id"
)


_RUNNING = (  # a scan of the open rows' index, once a start: an index of its own would cost every message
    "SELECT id FROM inbox INDEXED BY inbox_open "
    "WHERE state IN ('waiting', 'running') AND bypass = 0 AND +state = 'running' AND boot < ?1 UNION ALL "
    "SELECT id FROM inbox INDEXED BY inbox_urgent "
    "WHERE state IN ('waiting', 'running') AND bypass = 1 AND +state = 'running' AND boot < ?1"
)

# --- in -----------------------------------------------------------------------------------------------------


def put(db: sqlite3.Connection, arrival: Arrival, boot: int | None) -> Put:
    """Store an arrival and move its session's cursor, in one transaction.

    ``boot`` claims the turn in the same statement: give it when the lane is idle and empty. A duplicate is
    not fresh, with one exception: when the row it meets got no turn and this arrival wants one, the row
    becomes this arrival (the @-event that follows a full-mode event of the same id).
    """
    if arrival.seq is not None:
        advance(db, arrival)
    if not arrival.turn:
        state, attempts, boot = "stored", 0, None
    elif boot is None:
        state, attempts = "waiting", 0
    else:
        state, attempts = "running", 1
    claimed_at = None if boot is None else arrival.received_at
    new = db.execute(
        "INSERT INTO inbox (bot, shard, session, seq, type, key, frame, lane, anchor, event_at, "
        "received_at, bypass, reason, state, attempts, boot, claimed_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, bot) DO NOTHING",
        (
            arrival.bot, arrival.shard, arrival.session, arrival.seq, arrival.type, arrival.key,
            arrival.frame, arrival.lane, arrival.anchor, arrival.event_at, arrival.received_at,
            arrival.bypass, arrival.reason,
            state, attempts, boot, claimed_at,
        ),
    )  # fmt: skip
    if new.rowcount == 1:
        if arrival.permission is not None and arrival.lane is not None:
            permission.learn(db, arrival.bot, arrival.lane, arrival.permission, arrival.received_at)
        return Put(new.lastrowid, fresh=True)
    if not arrival.turn:
        return Put(None, fresh=False)
    upgraded = db.execute(
        "UPDATE inbox SET type = ?, frame = ?, lane = ?, anchor = ?, event_at = ?, bypass = ?, reason = ?, "
        "state = ?, attempts = ?, boot = ?, claimed_at = ? WHERE key = ? AND bot = ? AND state = 'stored'",
        (
            arrival.type, arrival.frame, arrival.lane, arrival.anchor, arrival.event_at, arrival.bypass,
            arrival.reason,
            state, attempts, boot, claimed_at, arrival.key, arrival.bot,
        ),
    )  # fmt: skip
    if upgraded.rowcount == 0:
        return Put(None, fresh=False)
    (row,) = db.execute("SELECT id FROM inbox WHERE key = ? AND bot = ?", (arrival.key, arrival.bot)).fetchone()
    note(db, event_ref(row), arrival.received_at, f"came again as {arrival.type}, which asks for a turn")
    return Put(row, fresh=True)


# --- a turn -------------------------------------------------------------------------------------------------


def claim(db: sqlite3.Connection, row: int, boot: int, alone: bool, now: float) -> Event | None:  # noqa: FBT001
    """Charge a waiting turn for a run that starts now; returns it as charged. None: it no longer waits."""
    changed = db.execute(
        "UPDATE inbox SET state = 'running', boot = ?, claimed_at = ?, claimed_alone = ?, attempts = "
        "attempts + 1, alone = alone + ? WHERE id = ? AND state = 'waiting'",
        (boot, now, alone, alone, row),
    )
    return get(db, row) if changed.rowcount else None


def finish(db: sqlite3.Connection, row: int, now: float, reason: str = "") -> bool:
    """End a running turn as done. Queue its letters in the same job, and only if this returns True."""
    changed = db.execute(
        "UPDATE inbox SET state = 'done', reason = ?, ended_at = ? WHERE id = ? AND state = 'running'",
        (reason, now, row),
    )
    return changed.rowcount == 1


def finish_replied(db: sqlite3.Connection, row: int, uses: int, now: float) -> bool:
    """End a running turn as done and take the next ``msg_seq`` of its anchor, ``uses + 1``, in one statement.

    False: it does not run any more, or its anchor was spent or used meanwhile; nothing changed.
    """
    changed = db.execute(
        "UPDATE inbox SET state = 'done', reason = '', ended_at = ?1, uses = ?2 + 1 "
        "WHERE id = ?3 AND state = 'running' AND uses = ?2 AND spent = 0",
        (now, uses, row),
    )
    return changed.rowcount == 1


def bury(db: sqlite3.Connection, row: int, reason: str, now: float) -> bool:
    """End a turn as a dead letter; ``reason`` is for people."""
    changed = db.execute(
        "UPDATE inbox SET state = 'dead', reason = ?, ended_at = ? WHERE id = ? AND state IN ('running', 'waiting')",
        (reason, now, row),
    )
    return changed.rowcount == 1


def end_waiting(db: sqlite3.Connection, row: int, reason: str, now: float) -> bool:
    """End a waiting row as done: what it says was taken as an answer, and it needs no turn."""
    changed = db.execute(
        "UPDATE inbox SET state = 'done', reason = ?, ended_at = ? WHERE id = ? AND state = 'waiting'",
        (reason, now, row),
    )
    return changed.rowcount == 1


def give_back(db: sqlite3.Connection, row: int) -> bool:
    """Undo the claim of a turn that an orderly stop interrupted: it waits again, nothing is charged."""
    changed = db.execute(
        "UPDATE inbox SET state = 'waiting', attempts = attempts - 1, alone = alone - claimed_alone, "
        "claimed_alone = 0 WHERE id = ? AND state = 'running'",
        (row,),
    )
    return changed.rowcount == 1


def again(
    db: sqlite3.Connection, row: int, reason: str, now: float, not_before: float, *, charged: bool = True
) -> Event | None:
    """Let a turn whose run failed wait for another, from ``not_before`` on; returns it as it stands then.

    The caller looks at `is_spent` first: this does not bury. Not ``charged``: the message was not at fault.
    """
    changed = db.execute(
        "UPDATE inbox SET state = 'waiting', failed = failed + ?, claimed_alone = 0, reason = ?, "
        "not_before = ? WHERE id = ? AND state = 'running'",
        (charged, reason, not_before, row),
    )
    if changed.rowcount == 0:
        return None
    note(db, event_ref(row), now, f"run failed: {reason}" if charged else AGENT_AWAY)
    return get(db, row)


def void_claims(db: sqlite3.Connection, boot: int) -> list[Event]:
    """Let turns that ran under an older boot wait again at once, charged for an unclean end.

    Those that have used up their runs are buried instead, and returned. The time is that of the boot.
    """
    now = meta.get(db, "boot_at", 0.0)
    rows = db.execute(_RUNNING, (boot,)).fetchall()
    buried = []
    for (row,) in rows:
        db.execute(
            "UPDATE inbox SET state = 'waiting', unclean = unclean + 1, unclean_alone = unclean_alone + "
            "claimed_alone, claimed_alone = 0, not_before = 0 WHERE id = ?",
            (row,),
        )
        note(db, event_ref(row), now, "the process ended while this turn ran")
        event = get(db, row)
        if event is not None and is_spent(event):
            bury(db, row, f"{event.failures} runs failed or ended the process while running alone", now)
            buried.append(event)
    return buried


# --- order --------------------------------------------------------------------------------------------------


def heads(db: sqlite3.Connection) -> list[tuple[str, str, int, int]]:
    """List ``(bot, lane, first row, last row)`` of the turns that have not ended, for the lanes in memory."""
    return db.execute(
        "SELECT bot, lane, min(id), max(id) FROM inbox WHERE state IN ('waiting', 'running') "
        "AND bypass = 0 GROUP BY bot, lane"
    ).fetchall()


def page(db: sqlite3.Connection, bot: str, lane: str, after_id: int, limit: int) -> list[Event]:
    """Read the next waiting turns of a lane, in order."""
    return [Event(*row) for row in db.execute(_PAGE, (bot, lane, after_id, limit))]


def urgent(db: sqlite3.Connection) -> list[Event]:
    """Read the waiting turns that do not wait for their lane."""
    return [Event(*row) for row in db.execute(_URGENT)]


def ended_with(db: sqlite3.Connection, bot: str, lane: str, after_id: int, reason: str) -> list[tuple[str, Event]]:
    """Read the rows of a lane behind ``after_id`` that ended as done with a reason which begins so, oldest first."""
    found = db.execute(
        f"SELECT reason, {_COLUMNS} FROM inbox WHERE bot = ? AND lane = ? AND lane IS NOT NULL AND id > ? "  # noqa: S608
        "AND state = 'done' AND substr(reason, 1, ?) = ? AND frame IS NOT NULL ORDER BY id LIMIT ?",
        (bot, lane, after_id, len(reason), reason, LOOK_BACK),
    )
    return [(row[0], Event(*row[1:])) for row in found]


# --- looking back -------------------------------------------------------------------------------------------


def get(db: sqlite3.Connection, row: int) -> Event | None:
    """Read one row; its frame is None once pruned."""
    found = db.execute(_GET, (row,)).fetchone()
    return None if found is None else Event(*found)


def history(
    db: sqlite3.Connection, bot: str, lane: str, before_id: int, turns: int
) -> list[tuple[bytes, str, list[bytes]]]:
    """Read the last ``turns`` done turns of a lane, oldest first: frame, type, letters as written."""
    rows = db.execute(
        "SELECT id, frame, type FROM (SELECT * FROM inbox WHERE bot = ? AND lane = ? AND lane IS NOT NULL AND id < ? "
        "ORDER BY id DESC LIMIT ?) WHERE state = 'done' AND frame IS NOT NULL ORDER BY id DESC LIMIT ?",
        (bot, lane, before_id, max(LOOK_BACK, 4 * turns), turns),
    ).fetchall()
    told = []
    for row, frame, kind in reversed(rows):
        letters = db.execute(
            "SELECT body FROM outbox WHERE event = ? AND body IS NOT NULL AND origin <> ? ORDER BY id", (row, NOTICE)
        )
        told.append((frame, kind, [body for (body,) in letters]))
    return told


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Count the turns that wait, run or are dead."""
    (open_,) = db.execute("SELECT count(*) FROM inbox WHERE state IN ('waiting', 'running') AND bypass = 0").fetchone()
    (urgent_,) = db.execute(
        "SELECT count(*) FROM inbox WHERE state IN ('waiting', 'running') AND bypass = 1"
    ).fetchone()
    (running,) = db.execute("SELECT count(*) FROM inbox WHERE state = 'running'").fetchone()
    (dead,) = db.execute("SELECT count(*) FROM inbox WHERE state = 'dead'").fetchone()
    return {"waiting": open_ + urgent_ - running, "running": running, "dead": dead}


# --- what a person does -------------------------------------------------------------------------------------


def listing(
    db: sqlite3.Connection,
    state: EventState | None = None,
    bot: str | None = None,
    lane: str | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """List rows for a person, newest first, without their frames."""
    which = "1" if state is None else f"state = '{EventState(state).value}'"
    found = db.execute(
        "SELECT id, key, bot, shard, lane, type, state, reason, attempts, received_at, event_at, "  # noqa: S608
        "claimed_at, ended_at, "
        f"not_before FROM inbox WHERE {which} AND (?1 IS NULL OR bot = ?1) AND (?2 IS NULL OR lane = ?2) "
        "ORDER BY id DESC LIMIT ?3",
        (bot, lane, limit),
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def retry_dead(db: sqlite3.Connection, row: int, now: float) -> Event | None:
    """Let a dead turn wait again with a clean slate; None: it is not dead. Its frame must not be pruned."""
    changed = db.execute(
        "UPDATE inbox SET state = 'waiting', failed = 0, unclean = 0, unclean_alone = 0, not_before = 0, "
        "ended_at = NULL, reason = '' WHERE id = ? AND state = 'dead' AND frame IS NOT NULL",
        (row,),
    )
    if changed.rowcount == 0:
        return None
    note(db, event_ref(row), now, ASKED_AGAIN)
    return get(db, row)


def drop(db: sqlite3.Connection, row: int, now: float) -> bool:
    """Take a waiting or dead turn off the list: it ends as done, without an answer."""
    changed = db.execute(
        "UPDATE inbox SET state = 'done', reason = 'dropped by a person', ended_at = ? WHERE id = ? "
        "AND state IN ('waiting', 'dead')",
        (now, row),
    )
    return changed.rowcount == 1
