"""What became of one message: every step it took, told from its rows and their notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from buoy.letters import SCHEDULED

if TYPE_CHECKING:
    import sqlite3

Step = tuple[float, str]
"""When (wall seconds), and one line for people."""

REWORDED: Final = "refused as it was, worded anew"


def event_ref(row: int) -> str:
    """Name an inbox row, for notes and for people."""
    return f"in/{row}"


def letter_ref(row: int) -> str:
    """Name an outbox row, for notes and for people."""
    return f"out/{row}"


def note(db: sqlite3.Connection, ref: str, at: float, text: str) -> None:
    """Remember an abnormal happening of a row; the same text again only counts up."""
    db.execute(
        "INSERT INTO note (ref, text, at, last_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (ref, text) DO UPDATE SET times = times + 1, last_at = excluded.last_at",
        (ref, text, at, at),
    )


def has_note(db: sqlite3.Connection, ref: str, text: str) -> bool:
    """Say whether this was ever noted of a row."""
    return db.execute("SELECT 1 FROM note WHERE ref = ? AND text = ?", (ref, text)).fetchone() is not None


def trace(db: sqlite3.Connection, any_id: str) -> list[Step]:
    """Tell every step of one message in order of time; empty when nothing is known of it.

    ``any_id`` is ``in/<n>``, ``out/<n>``, a plain row number (inbox first), a key, the platform's message id
    or the id that the platform gave to a letter. A letter that answers an event is told together with it.
    """
    event, letter = _find(db, any_id.strip())
    steps: list[Step] = []
    if event is not None:
        steps += _event_steps(db, event)
        letters = _rows(db, "SELECT * FROM outbox WHERE event = ? ORDER BY id", event["id"])
    else:
        letters = [] if letter is None else [letter]
    carriers = {row["into_id"] for row in letters} - {None} - {row["id"] for row in letters}
    for carrier in sorted(carriers):
        letters += _rows(db, "SELECT * FROM outbox WHERE id = ?", carrier)
    for row in letters:
        steps += _letter_steps(db, row)
    return sorted(steps, key=lambda step: step[0])


Row = dict[str, Any]


def _find(db: sqlite3.Connection, any_id: str) -> tuple[Row | None, Row | None]:
    """Find the inbox row, or else the letter, that ``any_id`` names."""
    kind, _, number = any_id.rpartition("/")
    if number.isascii() and number.isdigit() and len(number) < 19:
        if kind in {"", "in"}:
            event = _first(db, "SELECT * FROM inbox WHERE id = ?", int(number))
            if event is not None:
                return event, None
        if kind in {"", "out"}:
            letter = _first(db, "SELECT * FROM outbox WHERE id = ?", int(number))
            if letter is not None:
                return _event_of(db, letter), letter
    event = _first(db, "SELECT * FROM inbox WHERE key = ?", any_id)
    if event is not None:
        return event, None
    letter = _first(db, "SELECT * FROM outbox WHERE key IN (?1, 'send/' || ?1)", any_id)  # as `send --key` names it
    if letter is None:
        event = _first(db, "SELECT * FROM inbox WHERE anchor = ?", any_id)  # a scan: only a person waits for it
        if event is not None:
            return event, None
        letter = _first(db, "SELECT * FROM outbox WHERE remote_id = ?", any_id)
    return (None, None) if letter is None else (_event_of(db, letter), letter)


def _event_of(db: sqlite3.Connection, letter: Row) -> Row | None:
    return None if letter["event"] is None else _first(db, "SELECT * FROM inbox WHERE id = ?", letter["event"])


def _event_steps(db: sqlite3.Connection, row: Row) -> list[Step]:
    ref = event_ref(row["id"])
    where = f"bot {row['bot']}, shard {row['shard']}"
    is_planned = row["type"] == SCHEDULED
    if row["seq"] is not None:
        where += f", sequence {row['seq']}"
    steps = [
        (row["event_at"], f"{row['key']}: {'planned' if is_planned else 'written at the platform'}"),
        (
            row["received_at"],
            f"{ref}: received as {row['type']} ({where}) in {row['lane'] or 'no conversation'}",
        ),
        *_notes(db, ref),
    ]
    if row["state"] == "stored":
        steps.append((row["received_at"], f"{ref}: stored without a turn" + _because(row["reason"])))
    if row["claimed_at"] is not None and row["attempts"]:
        alone = ", alone" if row["claimed_alone"] else ""
        steps.append((row["claimed_at"], f"{ref}: turn started (attempt {row['attempts']}, boot {row['boot']}{alone})"))
    if row["ended_at"] is not None:
        steps.append((row["ended_at"], f"{ref}: turn ended, {row['state']}" + _because(row["reason"])))
    elif row["state"] == "waiting":
        steps.append(
            (
                max(row["received_at"], row["not_before"]),
                f"{ref}: waits for its turn" + _because(row["reason"]),
            )
        )
    return steps


def _letter_steps(db: sqlite3.Connection, row: Row) -> list[Step]:
    ref = letter_ref(row["id"])
    steps = [(row["created_at"], f"{ref}: letter {row['key']} queued ({row['origin']})"), *_notes(db, ref)]
    if row["attempted_at"] is not None:
        how = f"reply {row['seq']} to {row['anchor']}" if row["anchor"] else "without an anchor"
        steps.append((row["attempted_at"], f"{ref}: attempt {row['attempts']}, {how}"))
    if row["state"] == "merged":
        carrier = _first(db, "SELECT attempted_at FROM outbox WHERE id = ?", row["into_id"])
        at = (carrier and carrier["attempted_at"]) or row["created_at"]
        steps.append((at, f"{ref}: merged into {letter_ref(row['into_id'])}"))
    elif row["settled_at"] is not None:
        what = row["state"] if row["into_id"] is None else f"{row['state']} into {letter_ref(row['into_id'])}"
        if row["remote_id"]:
            what += f" as {row['remote_id']}"
        if row["latency_ms"] is not None:
            what += f" in {row['latency_ms']:.0f} ms"
        steps.append((row["settled_at"], f"{ref}: {what}" + _because(row["reason"])))
    elif row["state"] == "queued":
        steps.append((max(row["created_at"], row["not_before"]), f"{ref}: waits to be sent" + _because(row["reason"])))
    elif row["state"] == "held":
        steps.append((row["created_at"], f"{ref}: held until the next contact" + _because(row["reason"])))
    return steps


def _notes(db: sqlite3.Connection, ref: str) -> list[Step]:
    steps: list[Step] = []
    for at, text, times, last_at in db.execute("SELECT at, text, times, last_at FROM note WHERE ref = ?", (ref,)):
        steps.append((at, f"{ref}: {text}"))
        if times > 1:
            steps.append((last_at, f"{ref}: {text} (for the {times}th time)"))
    return steps


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _rows(db: sqlite3.Connection, sql: str, value: Any) -> list[Row]:
    found = db.execute(sql, (value,))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def _first(db: sqlite3.Connection, sql: str, value: Any) -> Row | None:
    rows = _rows(db, sql + " LIMIT 1", value)
    return rows[0] if rows else None
