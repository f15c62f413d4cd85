"""Small JSON values that outlive the process: the boot number, the last health snapshot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3


def get(db: sqlite3.Connection, key: str, default: Any = None) -> Any:
    """Return the value stored under ``key``, or ``default``."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return default if row is None else json.loads(row[0])


def set(db: sqlite3.Connection, key: str, value: Any) -> None:  # noqa: A001  meta.set reads as what it does
    """Store ``value`` (anything JSON can carry) under ``key``; a job."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, text))
