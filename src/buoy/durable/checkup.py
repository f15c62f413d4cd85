"""What a doctor wants to know of a database and its folder: header, soundness, and what the last day left in it.

Reading only. Nothing here takes a lock, and every look is bounded.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from buoy.durable.schema import APPLICATION_ID, BUSY_MS
from buoy.durable.trace import REWORDED

ROWS: Final = 200  # the newest of a kind: enough for a median
STEPS: Final = 10_000  # of SQLite's machine, between two looks at the clock
PROBE: Final = "buoy-doctor-"


class Header(NamedTuple):
    """What the file says it is. ``tables`` 0: an empty database."""

    ours: bool
    version: int
    tables: int


class Ended(NamedTuple):
    """Letters of one bot in one state for one reason."""

    bot: str
    state: str
    code: int
    reason: str
    times: int


class Turn(NamedTuple):
    """One turn of an agent that ended: done or dead, after how long, and why it died."""

    bot: str
    state: str
    took_s: float
    reason: str


def header(path: Path) -> Header:
    """Read what a database file is.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    db = _open(path)
    try:
        (ours,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    finally:
        db.close()
    return Header(ours == APPLICATION_ID, int(version), int(tables))


def damage(path: Path, within_s: float) -> str | None:
    """Check every page: what is wrong, "" for nothing; None: it took longer, and nothing was found so far."""
    ends_at = time.monotonic() + within_s
    db = _open(path)
    try:
        db.set_progress_handler(lambda: time.monotonic() > ends_at, STEPS)
        found = [str(line) for (line,) in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        db.close()
    return "" if found == ["ok"] else "; ".join(found)


def can_wal(directory: Path) -> str:
    """Say why a database in this folder could not be durable; "" where it could. A scratch file comes and goes."""
    handle, name = tempfile.mkstemp(prefix=PROBE, dir=directory)
    os.close(handle)
    try:
        db = sqlite3.connect(name, isolation_level=None)
        try:
            (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
            db.execute("CREATE TABLE t (x)")
        finally:
            db.close()
    except sqlite3.Error as error:
        return str(error)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)
    return "" if journal == "wal" else f"SQLite answers {journal!r} where it should answer 'wal'"


def letters(db: sqlite3.Connection, since: float) -> list[Ended]:
    """Count what is held, and what ended without success since then, by reason; most first."""
    rows = db.execute(
        "SELECT bot, state, code, reason, count(*) AS times FROM outbox WHERE state = 'held' "
        "GROUP BY bot, code, reason UNION ALL "
        "SELECT bot, state, code, reason, count(*) FROM outbox WHERE (state = 'unsure' OR state = 'dead') "
        "AND coalesce(settled_at, created_at) >= ? GROUP BY bot, state, code, reason ORDER BY times DESC",
        (since,),
    )
    return [Ended(*row) for row in rows]


def trying(db: sqlite3.Connection) -> list[Ended]:
    """Count the letters that were tried and will be tried again, by the newest refusal."""
    rows = db.execute(
        "SELECT bot, state, code, reason, count(*) FROM outbox WHERE state IN ('queued', 'claimed') AND attempts > 0 "
        "GROUP BY bot, code, reason"
    )
    return [Ended(bot, "queued", code, reason, times) for bot, _, code, reason, times in rows]


def reworded(db: sqlite3.Connection, since: float) -> list[Ended]:
    """Count the letters that were refused as they were since then, and sent in other words; most first."""
    rows = db.execute(
        "SELECT outbox.bot, outbox.state, outbox.code, substr(note.text, ?1), count(*) AS times FROM note "
        "JOIN outbox ON note.ref = 'out/' || outbox.id WHERE note.last_at >= ?2 AND note.text LIKE ?3 "
        "GROUP BY outbox.bot, outbox.code, note.text ORDER BY times DESC LIMIT ?4",
        (len(REWORDED) + 3, since, f"{REWORDED}: %", ROWS),
    )
    return [Ended(bot, "reworded", code, reason, times) for bot, _, code, reason, times in rows]


def latencies(db: sqlite3.Connection, since: float) -> list[float]:
    """Seconds that the newest deliveries took."""
    rows = db.execute(
        "SELECT latency_ms FROM (SELECT latency_ms, attempted_at FROM outbox ORDER BY id DESC LIMIT ?) "
        "WHERE latency_ms IS NOT NULL AND attempted_at >= ?",
        (ROWS, since),
    )
    return [latency_ms / 1000 for (latency_ms,) in rows]


def turns(db: sqlite3.Connection, since: float) -> list[Turn]:
    """The newest turns that ended since then, newest first; what ended without having run is no turn."""
    rows = db.execute(
        "SELECT bot, state, ended_at - claimed_at, reason FROM (SELECT * FROM inbox WHERE lane IS NOT NULL "
        "ORDER BY id DESC LIMIT ?) WHERE state IN ('done', 'dead') AND claimed_at IS NOT NULL AND ended_at >= ?",
        (ROWS, since),
    )
    return [Turn(bot, state, max(0.0, took_s or 0.0), reason) for bot, state, took_s, reason in rows]


def events(db: sqlite3.Connection, kind: str, since: float) -> int:
    """Count the received events of one kind, among the newest."""
    (count,) = db.execute(
        "SELECT count(*) FROM (SELECT type, received_at FROM inbox ORDER BY id DESC LIMIT ?) "
        "WHERE type = ? AND received_at >= ?",
        (ROWS * 10, kind, since),
    ).fetchone()
    return int(count)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return db
