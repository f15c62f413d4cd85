"""The schedules and what became of them. Functions over a connection; a firing is one transaction with its row.

A planned time is settled in the same transaction that queues its letter or stores its prompt, under the key
``<schedule>/<planned time>``. So it is fired once, whatever ends the process, and once more is refused by the key.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from buoy.durable import inbox, outbox
from buoy.durable.trace import event_ref, letter_ref
from buoy.letters import Arrival, EventState, Letter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

FILE, COMMAND = "file", "command"
_SAID = ("source", "cron", "zone", "target", "kind", "text", "misfire")  # what a person says of a schedule


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row."""

    name: str
    source: str
    """``file``: from the settings; ``command``: from `buoy schedule add`."""
    cron: str
    zone: str
    target: str
    kind: str
    """``text``: send it; ``prompt``: let the agent answer it."""
    text: str
    misfire: str
    settled_to: float
    """Planned times up to here were fired, or left out."""
    created_at: float
    fired_for: float | None = None
    """The planned time that was fired last."""
    fired_at: float | None = None
    fired_ref: str = ""
    """What it became: ``out/9``, ``in/7``."""
    missed: int = 0
    """Planned times that were left out, ever."""
    missed_at: float | None = None
    """When that was found last."""


_NAMES = ", ".join(field.name for field in fields(Schedule))
_MARKS = ", ".join("?" for _ in fields(Schedule))
_PUT = f"INSERT OR REPLACE INTO schedule ({_NAMES}) VALUES ({_MARKS})"  # noqa: S608  constants only, here and below
_ALL = f"SELECT {_NAMES} FROM schedule ORDER BY name"  # noqa: S608
_GET = f"SELECT {_NAMES} FROM schedule WHERE name = ?"  # noqa: S608


class Firing(NamedTuple):
    """What became of one step. ``fresh`` False: this planned time was fired before, and nothing was queued now."""

    fresh: bool
    letter: Letter | None = None
    row: int | None = None
    """The inbox row of a prompt."""


def key_of(name: str, planned: float) -> str:
    """Name the firing of one planned time."""
    return f"{name}/{datetime.fromtimestamp(planned, UTC):%Y-%m-%dT%H:%M:%SZ}"


def get(db: sqlite3.Connection, name: str) -> Schedule | None:
    """Read one."""
    found = db.execute(_GET, (name,)).fetchone()
    return None if found is None else Schedule(*found)


def listing(db: sqlite3.Connection) -> list[Schedule]:
    """Read all, by name."""
    return [Schedule(*row) for row in db.execute(_ALL)]


def add(db: sqlite3.Connection, new: Schedule) -> bool:
    """Add one; False: there is one of this name, and nothing changed."""
    if get(db, new.name) is not None:
        return False
    db.execute(_PUT, astuple(new))
    return True


def remove(db: sqlite3.Connection, name: str) -> bool:
    """Remove one that a command added; False: there is none."""
    return db.execute("DELETE FROM schedule WHERE name = ? AND source = ?", (name, COMMAND)).rowcount == 1


def sync(db: sqlite3.Connection, wanted: Sequence[Schedule]) -> list[str]:
    """Make those from the settings file what the file says; returns the names that commands had added and it takes.

    What ran before is remembered. Another cron line or zone starts anew: an edit does not fire the past.
    """
    taken = []
    for new in wanted:
        old = get(db, new.name)
        if old is not None:
            taken += [new.name] if old.source == COMMAND else []
            settled_to = old.settled_to if (old.cron, old.zone) == (new.cron, new.zone) else new.settled_to
            new = replace(old, **{name: getattr(new, name) for name in _SAID}, settled_to=settled_to)  # noqa: PLW2901
        db.execute(_PUT, astuple(new))
    names = {new.name for new in wanted}
    for old in listing(db):
        if old.source == FILE and old.name not in names:
            db.execute("DELETE FROM schedule WHERE name = ?", (old.name,))
    return taken


def settle(
    db: sqlite3.Connection,
    known: Schedule,
    settled_to: float,
    missed: int,
    planned: float | None,
    what: Letter | Arrival | None,
    now: float,
    boot: int | None = None,
) -> Firing | None:
    """Queue what is due and settle the planned times up to ``settled_to``, in one transaction.

    ``what`` None: nothing is fired. ``boot`` claims a prompt's turn in the same statement, as :func:`inbox.put`.
    None: the schedule is not any more what the caller knew, and nothing happened.
    """
    if get(db, known.name) != known:
        return None
    done, ref = Firing(fresh=False), ""
    if isinstance(what, Letter):
        put = outbox.put(db, what)
        done, ref = Firing(put.fresh, letter=put.letter), letter_ref(put.letter.id)
    elif what is not None:
        row = inbox.put(db, what, boot).id
        done, ref = Firing(row is not None, row=row), "" if row is None else event_ref(row)
    db.execute(
        "UPDATE schedule SET settled_to = ?1, missed = missed + ?2, "
        "missed_at = CASE WHEN ?2 > 0 THEN ?3 ELSE missed_at END WHERE name = ?4",
        (settled_to, missed, now, known.name),
    )
    if done.fresh:
        db.execute(
            "UPDATE schedule SET fired_for = ?, fired_at = ?, fired_ref = ? WHERE name = ?",
            (now if planned is None else planned, now, ref, known.name),
        )
    return done


def fate(db: sqlite3.Connection, ref: str) -> str:
    """Say what became of a firing: the state of its letter, or of its turn and then of that turn's letters."""
    box, _, number = ref.partition("/")
    if box == "out":
        letter = outbox.get(db, int(number))
        return "forgotten" if letter is None else letter.state.value
    if box != "in":
        return ""
    found = db.execute("SELECT state FROM inbox WHERE id = ?", (int(number),)).fetchone()
    if found is None:
        return "forgotten"
    if found[0] != EventState.DONE:
        return str(found[0])
    states = {letter.state.value for letter in outbox.of_event(db, int(number))}
    return ", ".join(sorted(states)) or "no answer"


def told(db: sqlite3.Connection, one: Schedule) -> dict[str, Any]:
    """Everything about one as plain data."""
    plain = {field.name: getattr(one, field.name) for field in fields(Schedule)}
    return plain | {"last_state": fate(db, one.fired_ref)}
