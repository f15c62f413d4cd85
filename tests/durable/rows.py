"""Short ways to make rows for the tests of the durable layer."""

from __future__ import annotations

import sqlite3
from typing import Any

from buoy.letters import Arrival, Letter, LetterState

BOT = "bot"
LANE = "qq:c2c:one"


def arrival(key: str, **changes: Any) -> Arrival:
    """A c2c message that wants a turn, written at 100.0."""
    fields: dict[str, Any] = {
        "bot": BOT, "shard": 0, "session": "S1", "seq": None, "type": "MESSAGE", "key": key,
        "frame": f'{{"key":"{key}"}}'.encode(), "lane": LANE, "turn": True, "anchor": f"a-{key}", "event_at": 100.0,
        "received_at": 101.0,
    }  # fmt: skip
    return Arrival(**{**fields, **changes})


def letter(key: str, **changes: Any) -> Letter:
    """A letter, not put yet."""
    fields: dict[str, Any] = {
        "id": 0, "key": key, "bot": BOT, "lane": LANE, "body": b'{"text":"hi"}', "state": LetterState.QUEUED,
        "created_at": 200.0,
    }  # fmt: skip
    return Letter(**{**fields, **changes})


def column(db: sqlite3.Connection, table: str, row: int, name: str) -> Any:
    """One column of one row."""
    return db.execute(f"SELECT {name} FROM {table} WHERE id = ?", (row,)).fetchone()[0]
