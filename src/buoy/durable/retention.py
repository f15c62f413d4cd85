"""Forgetting: bodies after 30 days, rows and their dedupe keys later. Freed pages are used again by new rows.

Ids follow time, so what is old enough is found by bisection over the ids, and no index on times is kept for it. A mark
in `meta` says up to where bodies are gone already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from buoy.durable import meta

if TYPE_CHECKING:
    import sqlite3

BODIES_S: Final = 30 * 86400.0  # design, processes: bodies are pruned after 30 days, dedupe keys later
KEYS_S: Final = 90 * 86400.0
SLICE: Final = 500  # rows a table and call: some milliseconds


class _Table(NamedTuple):
    """How one table forgets."""

    name: str
    time: str
    body: str
    clear: str
    open_: str


_TABLES: Final = (
    _Table("inbox", "received_at", "frame", "frame = NULL", "'waiting', 'running'"),
    _Table("outbox", "created_at", "body", "body = NULL, carried = NULL", "'queued', 'claimed', 'held'"),
)


class Pruned(NamedTuple):
    """What one slice took away. ``more``: call again, in a transaction of its own."""

    bodies: int
    rows: int
    more: bool


def prune(
    db: sqlite3.Connection, now: float, bodies_s: float = BODIES_S, keys_s: float = KEYS_S, limit: int = SLICE
) -> Pruned:
    """Forget one slice of what has ended and is old enough: frames and bodies first, whole rows later.

    What has not ended is kept, however old, and so is the state that a bot is in. Nothing is deleted before its body
    was pruned.
    """
    bodies = [_clear(db, table, _older(db, table, now - bodies_s), limit) for table in _TABLES]
    old = now - keys_s
    rows = [
        db.execute(
            f"DELETE FROM {table.name} WHERE id IN (SELECT id FROM {table.name} WHERE id < ? "  # noqa: S608  constants
            f"AND {table.body} IS NULL ORDER BY id LIMIT ?)",
            (_older(db, table, old), limit),
        ).rowcount
        for table in _TABLES
    ]
    rows += [
        db.execute(
            "DELETE FROM note WHERE (ref, text) IN (SELECT ref, text FROM note WHERE last_at < ? LIMIT ?)", (old, limit)
        ).rowcount,
        db.execute(
            "DELETE FROM identify WHERE id IN (SELECT id FROM identify WHERE at < ? LIMIT ?)", (old, limit)
        ).rowcount,
        db.execute("DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE to_at < ? LIMIT ?)", (old, limit)).rowcount,
        db.execute(
            "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE settled_at < ? LIMIT ?)", (old, limit)
        ).rowcount,
        db.execute(
            "DELETE FROM alert WHERE id IN (SELECT id FROM alert WHERE ended_at < ? LIMIT ?)", (old, limit)
        ).rowcount,
        db.execute(
            "DELETE FROM history WHERE id IN (SELECT id FROM history AS old WHERE at < ?1 AND (state = 'off' "
            "OR EXISTS (SELECT 1 FROM history WHERE bot = old.bot AND shard = old.shard AND at > old.at AND at < ?1)) "
            "LIMIT ?2)",
            (old, limit),
        ).rowcount,
    ]
    return Pruned(sum(bodies), sum(rows), limit in bodies or limit in rows)


def first_since(db: sqlite3.Connection, table: str, at: float) -> int:
    """Return the first id of the inbox or the outbox whose row is not older than ``at``."""
    return next(_older(db, known, at) for known in _TABLES if known.name == table)


def _older(db: sqlite3.Connection, table: _Table, at: float) -> int:
    """The first id whose row is not older than ``at``, by bisection."""
    low = db.execute(f"SELECT coalesce(min(id), 0) FROM {table.name}").fetchone()[0]  # noqa: S608
    high = db.execute(f"SELECT coalesce(max(id), -1) + 1 FROM {table.name}").fetchone()[0]  # noqa: S608
    sql = f"SELECT id, {table.time} FROM {table.name} WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608
    while low < high:
        middle = (low + high) // 2
        found, time = db.execute(sql, (middle,)).fetchone()
        if time < at:
            low = found + 1
        else:
            high = middle
    return int(high)


def _clear(db: sqlite3.Connection, table: _Table, before: int, limit: int) -> int:
    """Take the bodies of the next ended rows below the id ``before``; returns how many."""
    key = f"pruned_{table.name}"
    mark: int = meta.get(db, key, 0)
    rows = db.execute(
        f"SELECT id FROM {table.name} WHERE id > ? AND id < ? AND {table.body} IS NOT NULL "  # noqa: S608
        f"AND state NOT IN ({table.open_}) ORDER BY id LIMIT ?",
        (mark, before, limit),
    ).fetchall()
    db.executemany(f"UPDATE {table.name} SET {table.clear} WHERE id = ?", rows)  # noqa: S608
    reached = rows[-1][0] if len(rows) == limit else before - 1
    (kept,) = db.execute(
        f"SELECT min(id) FROM {table.name} WHERE id > ? AND id <= ? AND {table.body} IS NOT NULL",  # noqa: S608
        (mark, reached),
    ).fetchone()
    new_mark = reached if kept is None else kept - 1
    if new_mark > mark:
        meta.set(db, key, new_mark)
    return len(rows)
