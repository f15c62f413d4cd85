"""Where each session stands: its cursor, the identifies spent on it, and the gaps it left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buoy.durable import meta
from buoy.errors import StoreError
from buoy.letters import Cursor

if TYPE_CHECKING:
    import sqlite3

    from buoy.letters import Arrival, Loss


class Gap(NamedTuple):
    """Events after ``stored`` of ``session`` between two times may be lost for good."""

    id: int
    bot: str
    shard: int
    session: str
    stored: int
    from_at: float
    to_at: float
    cause: str
    done: str


def open_session(db: sqlite3.Connection, bot: str, shard: int, session: str, seq: int, now: float) -> None:
    """Replace the cursor of a shard by a new session, at the sequence of the READY its IDENTIFY led to."""
    db.execute(
        "INSERT INTO cursor VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (bot, shard) DO UPDATE SET "
        "session = excluded.session, stored = excluded.stored, updated_at = excluded.updated_at, "
        "ready_at = excluded.ready_at",
        (bot, shard, session, seq, now, now),
    )
    db.execute(
        "UPDATE identify SET ready_at = ? WHERE id = (SELECT max(id) FROM identify WHERE bot = ? AND shard = ?)",
        (now, bot, shard),
    )


def advance(db: sqlite3.Connection, arrival: Arrival) -> bool:
    """Move the cursor to an arrival's sequence: forward, of its own session only; False: it did not move.

    Raises:
        StoreError: the sequence before it is not stored; this one must not be either, or the cursor would
            pass over a hole and RESUME would never bring what is missing.
    """
    whole_at = arrival.received_at if arrival.whole else None
    changed = db.execute(
        "UPDATE cursor SET stored = ?1, updated_at = coalesce(?2, updated_at) WHERE bot = ?3 AND shard = ?4 "
        "AND session = ?5 AND stored < ?1 AND stored >= ?6",
        (arrival.seq, whole_at, arrival.bot, arrival.shard, arrival.session, arrival.after),
    )
    if changed.rowcount == 1:
        return True
    known = cursor(db, arrival.bot, arrival.shard)
    if known is not None and known.session == arrival.session and known.stored < arrival.after:
        raise StoreError(f"not stored: sequence {arrival.after} of this session is missing; RESUME will bring both")
    return False


def cursor(db: sqlite3.Connection, bot: str, shard: int) -> Cursor | None:
    """Read the session that a shard may resume."""
    found = db.execute(
        "SELECT session, stored, updated_at, ready_at FROM cursor WHERE bot = ? AND shard = ?", (bot, shard)
    ).fetchone()
    if found is None:
        return None
    session, stored, updated_at, ready_at = found
    return Cursor(session, stored, updated_at, ready_at, meta.get(db, _note_key(bot, shard), ""))


def mark_whole(db: sqlite3.Connection, bot: str, shard: int, session: str, stored: int, now: float) -> bool:
    """Move the time until which nothing is missing, while the cursor stands at ``stored`` of ``session``."""
    changed = db.execute(
        "UPDATE cursor SET updated_at = ? WHERE bot = ? AND shard = ? AND session = ? AND stored = ?",
        (now, bot, shard, session, stored),
    )
    return changed.rowcount == 1


def leave_note(db: sqlite3.Connection, bot: str, shard: int, note: str) -> None:
    """Keep what the platform wants to know at its next start."""
    meta.set(db, _note_key(bot, shard), note)


def _note_key(bot: str, shard: int) -> str:
    return f"shard/{bot}/{shard}"


def record_identify(db: sqlite3.Connection, bot: str, shard: int, now: float) -> int:
    """Count an IDENTIFY against the budget, before it leaves."""
    row = db.execute("INSERT INTO identify (bot, shard, at) VALUES (?, ?, ?)", (bot, shard, now)).lastrowid
    assert row is not None
    return row


def identifies_since(db: sqlite3.Connection, bot: str, since: float) -> int:
    """Count a bot's identifies at ``since`` or later, all shards together."""
    count: int = db.execute("SELECT count(*) FROM identify WHERE bot = ? AND at >= ?", (bot, since)).fetchone()[0]
    return count


def unready(db: sqlite3.Connection, bot: str, shard: int, since: float) -> list[float]:
    """List when identifies left, at ``since`` or later, that no READY and no gap came after; oldest first."""
    rows = db.execute(
        "SELECT at FROM identify WHERE bot = ?1 AND at >= ?3 AND shard = ?2 "
        "AND id > coalesce((SELECT max(id) FROM identify WHERE bot = ?1 AND shard = ?2 "
        "AND ready_at IS NOT NULL), 0) AND at > coalesce((SELECT max(to_at) FROM gap WHERE bot = ?1 "
        "AND shard = ?2), 0) ORDER BY at",
        (bot, shard, since),
    )
    return [at for (at,) in rows]


def record_gap(
    db: sqlite3.Connection,
    bot: str,
    shard: int,
    session: str,
    stored: int,
    from_at: float,
    to_at: float,
    cause: str,
    done: str = "",
) -> int:
    """Record a span in which events may have been lost, and what was ``done`` about it, for people."""
    row = db.execute(
        "INSERT INTO gap (bot, shard, session, stored, from_at, to_at, cause, done) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (bot, shard, session, stored, from_at, to_at, cause, done),
    ).lastrowid
    assert row is not None
    return row


def lose(db: sqlite3.Connection, bot: str, shard: int, loss: Loss, now: float) -> int:
    """Record the gap of a lost session, from the last moment at which nothing was missing until ``now``.

    That moment is the cursor's, whichever session it belongs to: a session whose READY was never stored began
    after it. Where there is no cursor yet, the first IDENTIFY without READY is all that is known.
    """
    known = cursor(db, bot, shard)
    since = known.updated_at if known is not None else min(unready(db, bot, shard, 0.0), default=now)
    since = min(since - loss.silent_s, now)  # a clock that was put back must not turn the gap around
    return record_gap(db, bot, shard, loss.session, loss.stored, since, now, loss.cause, loss.done)


def gaps(db: sqlite3.Connection, bot: str | None = None, limit: int = 50) -> list[Gap]:
    """List gaps, newest first."""
    rows = db.execute(
        "SELECT id, bot, shard, session, stored, from_at, to_at, cause, done FROM gap "
        "WHERE ?1 IS NULL OR bot = ?1 ORDER BY id DESC LIMIT ?2",
        (bot, limit),
    )
    return [Gap(*row) for row in rows]
