"""What a person who looks around is shown of the rows: those in one state, the newest, the traffic by minute.

Reading jobs. None looks at more than a bounded number of rows, however many there are.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from buoy.durable import inbox
from buoy.durable.trace import event_ref, letter_ref
from buoy.letters import EventState, LetterState

if TYPE_CHECKING:
    import sqlite3

MINUTE_S: Final = 60
COUNTED: Final = 20_000  # rows of one box that a count by minute looks at; some 10 ms
SETTLES_WITHIN_S: Final = 86_400.0  # a letter that was written earlier than this before a window is not counted in it

_LETTERS: Final = {
    LetterState.QUEUED: "INDEXED BY outbox_open WHERE state IN ('queued', 'claimed') AND +state = 'queued' ORDER BY id",
    LetterState.CLAIMED: "INDEXED BY outbox_open WHERE state IN ('queued', 'claimed') AND +state = 'claimed' "
    "ORDER BY id",
    LetterState.HELD: "INDEXED BY outbox_held WHERE state = 'held' ORDER BY id",
    LetterState.UNSURE: "INDEXED BY outbox_bad WHERE state = 'unsure' ORDER BY id DESC",
    LetterState.DEAD: "INDEXED BY outbox_bad WHERE state = 'dead' ORDER BY id DESC",
}
_OPEN_TURNS: Final = (
    "WHERE id IN (SELECT id FROM inbox INDEXED BY inbox_open WHERE state IN ('waiting', 'running') AND bypass = 0 "
    "AND +state = '{0}' UNION ALL SELECT id FROM inbox INDEXED BY inbox_urgent "
    "WHERE state IN ('waiting', 'running') AND bypass = 1 AND +state = '{0}') ORDER BY id"
)
_TURNS: Final = {
    EventState.WAITING: _OPEN_TURNS.format("waiting"),
    EventState.RUNNING: _OPEN_TURNS.format("running"),
    EventState.DEAD: "INDEXED BY inbox_dead WHERE state = 'dead' ORDER BY id DESC",
}
LETTER_STATES: Final = tuple(_LETTERS)
TURN_STATES: Final = tuple(_TURNS)


def letters(db: sqlite3.Connection, state: LetterState, limit: int) -> list[dict[str, Any]]:
    """List the letters in one of :data:`LETTER_STATES`: what waits oldest first, what ended newest first.

    ``body`` is what leaves, or left: bytes, or None once pruned.
    """
    found = db.execute(
        "SELECT id, bot, lane, state, created_at AS at, settled_at, key, reason, origin, attempts, event, "  # noqa: S608
        f"coalesce(carried, body) AS body FROM outbox {_LETTERS[state]} LIMIT ?",
        (limit,),
    )
    return [{"row": letter_ref(row["id"]), **row} for row in _dicts(found)]


def turns(db: sqlite3.Connection, state: EventState, limit: int) -> list[dict[str, Any]]:
    """List the turns in one of :data:`TURN_STATES`, like :func:`letters`; ``event`` is the row as the worker claims it.

    Its frame is empty once pruned.
    """
    found = db.execute(
        "SELECT id, bot, lane, state, received_at AS at, ended_at, type, key, reason, attempts FROM inbox "  # noqa: S608
        f"{_TURNS[state]} LIMIT ?",
        (limit,),
    )
    return [{"row": event_ref(row["id"]), **row, "event": inbox.get(db, row["id"])} for row in _dicts(found)]


def newest(db: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """List the newest rows of both boxes, newest first: ``row``, ``at``, ``kind`` (in, out), ``state``, ``lane``."""
    events = _dicts(
        db.execute(
            "SELECT id, bot, lane, type, state, received_at AS at FROM inbox ORDER BY id DESC LIMIT ?",
            (limit,),
        )
    )
    sent = _dicts(
        db.execute(
            "SELECT id, bot, lane, origin AS type, state, coalesce(settled_at, attempted_at, created_at) AS at "
            "FROM outbox ORDER BY id DESC LIMIT ?",
            (limit,),
        )
    )
    rows = [{"row": event_ref(row["id"]), "kind": "in", **row} for row in events]
    rows += [{"row": letter_ref(row["id"]), "kind": "out", **row} for row in sent]
    return sorted(rows, key=lambda row: -row["at"])[:limit]


def traffic(db: sqlite3.Connection, minutes: int, now: float) -> dict[str, Any]:
    """Count what was received and what was sent in each of the last minutes, oldest first; the last one is under way.

    ``exact`` False: there were more rows than a count looks at. Then ids tell how many rows were *written* in each
    minute, which is the same while nothing waits.
    """
    last = int(now // MINUTE_S)
    starts = [float(minute * MINUTE_S) for minute in range(last - minutes + 1, last + 1)]
    received, received_exact = _received(db, starts)
    sent, sent_exact = _sent(db, starts)
    return {
        "exact": received_exact and sent_exact,
        "minutes": [{"at": at, "in": came, "out": left} for at, came, left in zip(starts, received, sent, strict=True)],
    }


def _received(db: sqlite3.Connection, starts: list[float]) -> tuple[list[int], bool]:
    first = _first_since(db, "inbox", "received_at", starts[0])
    if _end(db, "inbox") - first > COUNTED:
        return _written(db, "inbox", "received_at", starts), False
    counted = db.execute(
        "SELECT CAST((received_at - ?1) / ?2 AS INTEGER), count(*) FROM inbox WHERE id >= ?3 AND received_at >= ?1 "
        "GROUP BY 1",
        (starts[0], MINUTE_S, first),
    )
    return _spread(counted, len(starts)), True


def _sent(db: sqlite3.Connection, starts: list[float]) -> tuple[list[int], bool]:
    end = _end(db, "outbox")
    if end - _first_since(db, "outbox", "created_at", starts[0]) > COUNTED:
        return _written(db, "outbox", "created_at", starts), False
    first = max(_first_since(db, "outbox", "created_at", starts[0] - SETTLES_WITHIN_S), end - COUNTED)
    counted = db.execute(
        "SELECT CAST((settled_at - ?1) / ?2 AS INTEGER), count(*) FROM outbox WHERE id >= ?3 AND state = 'sent' "
        "AND settled_at >= ?1 GROUP BY 1",
        (starts[0], MINUTE_S, first),
    )
    return _spread(counted, len(starts)), True


def _spread(counted: Any, length: int) -> list[int]:
    found = dict(counted.fetchall())
    return [int(found.get(n, 0)) for n in range(length)]


def _written(db: sqlite3.Connection, table: str, column: str, starts: list[float]) -> list[int]:
    edges = [_first_since(db, table, column, at) for at in starts] + [_end(db, table)]
    return [max(0, after - before) for before, after in pairwise(edges)]


def _end(db: sqlite3.Connection, table: str) -> int:
    """Return the id behind the newest row."""
    (last,) = db.execute(f"SELECT max(id) FROM {table}").fetchone()  # noqa: S608  a name from this file
    return (last or 0) + 1


def _first_since(db: sqlite3.Connection, table: str, column: str, since: float) -> int:
    """Find the first id of a row that is no older, by bisection: ids follow time but for a clock that was put back."""
    (low,) = db.execute(f"SELECT coalesce(min(id), 1) FROM {table}").fetchone()  # noqa: S608  names from this file
    high = _end(db, table)
    look = f"SELECT id, {column} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608
    while low < high:
        middle = (low + high) // 2
        row = db.execute(look, (middle,)).fetchone()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def alerts_open(db: sqlite3.Connection) -> dict[str, int]:
    """Count the alerts that are open, by rule."""
    return dict(db.execute("SELECT rule, count(*) FROM alert WHERE ended_at IS NULL GROUP BY rule").fetchall())


def gaps_kept(db: sqlite3.Connection) -> dict[str, int]:
    """Count the gaps on record, by bot."""
    return dict(db.execute("SELECT bot, count(*) FROM gap GROUP BY bot").fetchall())


def _dicts(found: sqlite3.Cursor) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]
