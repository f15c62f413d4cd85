"""The timeline of each bot: since when it was up, down, blocked or off, and why. Functions over a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3


class Span(NamedTuple):
    """A bot in one state from ``from_at`` to ``to_at`` (wall seconds); ``cause`` is for people."""

    bot: str
    shard: int
    state: str
    from_at: float
    to_at: float
    cause: str


def note(db: sqlite3.Connection, bot: str, shard: int, state: str, cause: str, at: float) -> bool:
    """Let a state begin; False: it is the one that lasts. A clock that was put back does not turn a span around."""
    last = _last(db, bot, shard)
    if last is not None and last[1:] == (state, cause):
        return False
    begins_at = at if last is None else max(at, last[0])
    db.execute(
        "INSERT INTO history (bot, shard, at, state, cause) VALUES (?, ?, ?, ?, ?)",
        (bot, shard, begins_at, state, cause),
    )
    return True


def end(db: sqlite3.Connection, cause: str, at: float) -> None:
    """The process ended: every bot that was not off is, from ``at`` on, whether the settings still name it or not."""
    for bot, shard in bots(db):
        last = _last(db, bot, shard)
        if last is not None and last[1] != "off":
            note(db, bot, shard, "off", cause, at)


def bots(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """List the bots and shards that the timeline knows, as they were when the newest of them was noted."""
    return db.execute("SELECT DISTINCT bot, shard FROM history ORDER BY bot, shard").fetchall()


def spans(db: sqlite3.Connection, since: float, now: float) -> list[Span]:
    """Tell every bot's states between two times, in order of bot, shard and time; none overlap."""
    rows = db.execute(
        "SELECT bot, shard, state, at, cause, lead(at) OVER (PARTITION BY bot, shard ORDER BY at, id) FROM history "
        "ORDER BY bot, shard, at, id"
    )
    found = [
        Span(bot, shard, state, max(at, since), min(now, now if end is None else end), cause)
        for bot, shard, state, at, cause, end in rows
        if end is None or end > since
    ]
    return [span for span in found if span.to_at > span.from_at]


def _last(db: sqlite3.Connection, bot: str, shard: int) -> tuple[float, str, str] | None:
    row: tuple[float, str, str] | None = db.execute(
        "SELECT at, state, cause FROM history WHERE bot = ? AND shard = ? ORDER BY at DESC, id DESC LIMIT 1",
        (bot, shard),
    ).fetchone()
    return row
