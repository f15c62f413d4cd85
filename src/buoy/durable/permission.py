"""What was learned about messages without an anchor: one row a conversation, and the newest knowledge in it.

Every function is a job over a connection inside the store's transaction: an event teaches in the transaction that
stores its row, an answer in the one that settles its letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buoy.letters import Permission

if TYPE_CHECKING:
    import sqlite3

_NEWER = "(?3 >= permission.at OR permission.at > ?4)"  # or the clock was set back since


def learn(db: sqlite3.Connection, bot: str, lane: str, told: Permission, now: float) -> None:
    """Keep what was told, unless something newer is known: events may come late, after a connection was lost."""
    if told.allowed is None:
        db.execute(f"DELETE FROM permission WHERE bot = ?1 AND lane = ?2 AND {_NEWER}", (bot, lane, told.at, now))  # noqa: S608
        return
    db.execute(
        "INSERT INTO permission (bot, lane, at, proactive, why) VALUES (?1, ?2, ?3, ?5, ?6) ON CONFLICT (bot, lane) "  # noqa: S608
        f"DO UPDATE SET at = ?3, proactive = ?5, why = ?6 WHERE {_NEWER}",
        (bot, lane, told.at, now, told.allowed, told.why),
    )


def known(db: sqlite3.Connection, bot: str, lane: str) -> Permission | None:
    """Read what was learned last; None where nothing is known."""
    row = db.execute("SELECT proactive, at, why FROM permission WHERE bot = ? AND lane = ?", (bot, lane)).fetchone()
    return None if row is None else Permission(bool(row[0]), row[1], row[2])
