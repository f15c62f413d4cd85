"""What the store tells about queues and gaps: counts by state and the age of the oldest. Reading jobs for status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from buoy.durable import inbox, outbox

if TYPE_CHECKING:
    import sqlite3

    from buoy.letters import Event


REASONS: Final = 20  # each dead turn may have one of its own
_OPEN: Final = "state IN ('waiting', 'running')"  # as the index says it


def inbox_depth(db: sqlite3.Connection, now: float) -> dict[str, Any]:
    """Count turns by state, with the age of the oldest in each, and the dead by reason.

    ``oldest_s`` is the age of the oldest that has not ended and does not bypass its lane.
    """
    oldest = {
        state: _age(_first(db, "inbox", "received_at", f"{_OPEN} AND bypass = 0 AND state = '{state}'"), now)
        for state in ("waiting", "running")
    }
    return {
        "states": inbox.counts(db),
        "oldest": oldest,
        "oldest_s": max((age for age in oldest.values() if age is not None), default=None),
        "dead_reasons": _reasons(db, "inbox", "dead"),
    }


def outbox_depth(db: sqlite3.Connection, now: float) -> dict[str, Any]:
    """Count letters by state, with the age of the oldest in each; the held, dead and unsure also by reason.

    ``oldest_s`` is the age of the oldest that waits to be sent.
    """
    oldest = {
        "queued": _first(db, "outbox", "created_at", "state IN ('queued', 'claimed') AND +state = 'queued'"),
        "claimed": _first(db, "outbox", "created_at", "state IN ('queued', 'claimed') AND +state = 'claimed'"),
        "held": _first(db, "outbox", "created_at", "state = 'held'"),
        "unsure": _first(db, "outbox", "created_at", "state = 'unsure'"),
        "dead": _first(db, "outbox", "created_at", "state = 'dead'"),
    }
    ages = {state: _age(at, now) for state, at in oldest.items()}
    return {
        "states": outbox.counts(db),
        "oldest": ages,
        "oldest_s": max((age for state in ("queued", "claimed") if (age := ages[state]) is not None), default=None),
        **{f"{state}_reasons": _reasons(db, "outbox", state) for state in ("held", "dead", "unsure")},
    }


def _first(db: sqlite3.Connection, table: str, time: str, where: str) -> float | None:
    """When the first of some rows began: ids follow time, and every ``where`` here has an index of its own."""
    found = db.execute(
        f"SELECT {time} FROM {table} WHERE id = (SELECT min(+id) FROM {table} WHERE {where})"  # noqa: S608  +: not by rowid
    ).fetchone()
    return None if found is None else found[0]


def _reasons(db: sqlite3.Connection, table: str, state: str) -> dict[str, int]:
    """Count the most frequent reasons."""
    sql = f"SELECT reason, count(*) FROM {table} WHERE state = '{state}' GROUP BY reason ORDER BY 2 DESC, 1 LIMIT ?"  # noqa: S608  constants
    return dict(db.execute(sql, (REASONS,)).fetchall())


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
