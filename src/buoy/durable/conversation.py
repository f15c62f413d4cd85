"""What one conversation holds: the turns that are open, and the letters of the last while. Reading jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from buoy.letters import EventState, LetterState

if TYPE_CHECKING:
    import sqlite3

LOOKED_AT: Final = 20_000  # rows of the outbox that one look goes over, the newest; some 10 ms


class Row(NamedTuple):
    """One letter. ``body`` is as written, None once pruned; ``turn`` is the key of the event that it answers."""

    id: int
    key: str
    bot: str
    body: bytes | None
    state: LetterState
    created_at: float
    settled_at: float | None
    turn: str | None
    origin: str
    reason: str


class Open(NamedTuple):
    """One turn that has not ended."""

    id: int
    key: str
    state: EventState
    received_at: float
    attempts: int


_LETTER: Final = (
    "SELECT o.id, o.key, o.bot, o.body, o.state, o.created_at, o.settled_at, i.key, o.origin, o.reason "
    "FROM outbox o LEFT JOIN inbox i ON i.id = o.event "
)


def letter(db: sqlite3.Connection, number: int) -> Row | None:
    """Give one letter, whatever its state."""
    found = db.execute(f"{_LETTER} WHERE o.id = ?", (number,)).fetchone()
    return None if found is None else _row(found)


def letters(db: sqlite3.Connection, bot: str, lane: str, since: float) -> list[Row]:
    """List the letters of a conversation that were written since then, oldest first."""
    found = db.execute(
        f"{_LETTER} WHERE o.id > (SELECT coalesce(max(id), 0) FROM outbox) - ? "  # noqa: S608  constants only
        "AND +o.bot = ? AND +o.lane = ? "
        "AND o.created_at >= ? ORDER BY o.id",
        (LOOKED_AT, bot, lane, since),
    )
    return [_row(row) for row in found]


def _row(values: tuple[Any, ...]) -> Row:
    row = Row(*values)
    return row._replace(state=LetterState(row.state))


def turns(db: sqlite3.Connection, bot: str, lane: str) -> list[Open]:
    """List the turns of a conversation that wait or run, in their order."""
    found = db.execute(
        "SELECT id, key, state, received_at, attempts FROM inbox INDEXED BY inbox_open "
        "WHERE bot = ? AND lane = ? AND state IN ('waiting', 'running') AND bypass = 0 ORDER BY id",
        (bot, lane),
    )
    return [Open(number, key, EventState(state), at, attempts) for number, key, state, at, attempts in found]
