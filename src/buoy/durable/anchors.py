"""What replies may refer to: the anchors of a conversation, and how many replies each has had. Jobs as the inbox's."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from buoy.durable.inbox import LOOK_BACK
from buoy.letters import Anchor

if TYPE_CHECKING:
    import sqlite3

_ANCHOR = (
    "SELECT id, anchor, event_at, uses, state IN ('waiting', 'running') OR EXISTS "
    "(SELECT 1 FROM outbox WHERE event = inbox.id AND outbox.state = 'queued'), spent FROM inbox "
)


_ANCHORS = _ANCHOR + "WHERE bot = ? AND lane = ? AND lane IS NOT NULL ORDER BY id DESC"


def newest(db: sqlite3.Connection, bot: str, lane: str, since: float, limit: int = 10) -> list[Anchor]:
    """List what replies in this lane may refer to: newest first, written at ``since`` or later.

    Only the newest rows of the lane are looked at, however many it has; :func:`of_row` reads a certain one.
    """
    found: list[Anchor] = []
    rows = db.execute(_ANCHORS, (bot, lane))
    for row in islice(rows, LOOK_BACK):
        if row[1] is not None and row[2] >= since:
            found.append(_anchor(row))
            if len(found) == limit:
                break
    rows.close()  # or the reader would hold on to this state of the database
    return found


def of_row(db: sqlite3.Connection, row: int) -> Anchor | None:
    """Read the anchor of one row, however old; None where it has none."""
    found = db.execute(_ANCHOR + "WHERE id = ? AND anchor IS NOT NULL", (row,)).fetchone()
    return None if found is None else _anchor(found)


def _anchor(row: tuple[int, str, float, int, int, int]) -> Anchor:
    return Anchor(row[0], row[1], row[2], row[3], bool(row[4]), bool(row[5]))


def use(db: sqlite3.Connection, row: int, limit: int) -> int | None:
    """Take the next ``msg_seq`` of an anchor, for good; None when ``limit`` were taken or it is spent."""
    changed = db.execute("UPDATE inbox SET uses = uses + 1 WHERE id = ? AND uses < ? AND spent = 0", (row, limit))
    if changed.rowcount == 0:
        return None
    seq: int = db.execute("SELECT uses FROM inbox WHERE id = ?", (row,)).fetchone()[0]
    return seq


def spend(db: sqlite3.Connection, row: int) -> None:
    """Record that the platform refused this row's anchor for good."""
    db.execute("UPDATE inbox SET spent = 1 WHERE id = ?", (row,))
