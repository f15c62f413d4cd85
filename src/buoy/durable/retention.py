"""Forgetting: bodies after 30 days, rows and their dedupe keys later. New rows use the freed pages again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3

BODIES_S: Final = 30 * 86400.0  # design, processes: bodies are pruned after 30 days, dedupe keys later
KEYS_S: Final = 90 * 86400.0
SLICE: Final = 500  # rows a table and call: some milliseconds


class Pruned(NamedTuple):
    """What one slice took away. ``more``: call again, in a transaction of its own."""

    bodies: int
    rows: int
    more: bool


def prune(
    db: sqlite3.Connection, now: float, bodies_s: float = BODIES_S, keys_s: float = KEYS_S, limit: int = SLICE
) -> Pruned:
    """Forget one slice of what has ended and is old enough: frames and bodies first, whole rows later.

    What has not ended is kept, however old. Nothing is deleted before its body was pruned.
    """
    bodies = [
        db.execute(
            "UPDATE inbox SET frame = NULL WHERE id IN (SELECT id FROM inbox WHERE frame IS NOT NULL "
            "AND received_at < ? AND state IN ('stored', 'done', 'dead') ORDER BY received_at LIMIT ?)",
            (now - bodies_s, limit),
        ).rowcount,
        db.execute(
            "UPDATE outbox SET body = NULL, carried = NULL WHERE id IN (SELECT id FROM outbox "
            "WHERE body IS NOT NULL AND created_at < ? AND state NOT IN ('queued', 'claimed', 'held') ORDER "
            "BY created_at LIMIT ?)",
            (now - bodies_s, limit),
        ).rowcount,
    ]
    old = now - keys_s
    rows = [
        db.execute(
            "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE frame IS NULL "
            "AND received_at < ? ORDER BY received_at LIMIT ?)",
            (old, limit),
        ).rowcount,
        db.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE body IS NULL "
            "AND created_at < ? ORDER BY created_at LIMIT ?)",
            (old, limit),
        ).rowcount,
        db.execute(
            "DELETE FROM note WHERE (ref, text) IN (SELECT ref, text FROM note WHERE last_at < ? LIMIT ?)",
            (old, limit),
        ).rowcount,
        db.execute(
            "DELETE FROM identify WHERE id IN (SELECT id FROM identify WHERE at < ? LIMIT ?)", (old, limit)
        ).rowcount,
        db.execute(
            "DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE to_at < ? LIMIT ?)", (old, limit)
        ).rowcount,
    ]
    return Pruned(sum(bodies), sum(rows), limit in bodies or limit in rows)
