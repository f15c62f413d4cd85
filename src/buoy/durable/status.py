"""What the store tells about queues and gaps: counts by state and the age of the oldest. Reading jobs for status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buoy.durable import inbox, outbox

if TYPE_CHECKING:
    import sqlite3

    from buoy.letters import Event


def inbox_depth(db: sqlite3.Connection, now: float) -> dict[str, Any]:
    """Count turns by state; ``oldest_s`` is the age of the oldest that has not ended."""
    (oldest,) = db.execute(
        "SELECT min(received_at) FROM inbox WHERE state IN ('waiting', 'running') AND bypass = 0"
    ).fetchone()
    return {"states": inbox.counts(db), "oldest_s": _age(oldest, now)}


def outbox_depth(db: sqlite3.Connection, now: float) -> dict[str, Any]:
    """Count letters by state; ``oldest_s`` is the age of the oldest that waits, ``held_reasons`` counts the held."""
    reasons = db.execute("SELECT reason, count(*) FROM outbox WHERE state = 'held' GROUP BY reason").fetchall()
    return {
        "states": outbox.counts(db),
        "oldest_s": _age(outbox.oldest_queued(db), now),
        "held_reasons": dict(reasons),
    }


def gaps(db: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """List the newest gaps as plain data."""
    return [gap._asdict() for gap in inbox.gaps(db, limit=limit)]


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 1)


def spoken_for(db: sqlite3.Connection, event: Event) -> int:
    """Count the replies of an event's anchor that were used, or will be by letters which are queued for it."""
    (used,) = db.execute("SELECT coalesce(max(uses), 0) FROM inbox WHERE id = ?", (event.id,)).fetchone()
    (queued,) = db.execute(
        "SELECT count(*) FROM outbox WHERE bot = ?1 AND lane = ?2 AND state IN ('queued', 'claimed') "
        "AND +state = 'queued' AND (event IS NULL OR event = ?3)",
        (event.bot, event.lane, event.id),
    ).fetchone()
    return int(used + queued)
