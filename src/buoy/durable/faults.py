"""What an error of SQLite means for the store: nothing was stored, or nothing is to be trusted. By code, not text."""

from __future__ import annotations

import sqlite3
from typing import Final, cast

# SQLite's primary codes. After these nothing was stored, and the same file may work again later ...
REFUSED: Final = {
    sqlite3.SQLITE_FULL: "the disk is full: free space",
    sqlite3.SQLITE_BUSY: "another process holds the database: stop it",
    sqlite3.SQLITE_LOCKED: "another process holds the database: stop it",
    sqlite3.SQLITE_READONLY: "the database became read-only: check the disk",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: check the disk and the data directory",
    sqlite3.SQLITE_NOMEM: "no memory is left: free some",
    sqlite3.SQLITE_INTERRUPT: "it was interrupted: try again",
}
# ... and after these, or anything unforeseen from COMMIT, the file or its cache can no longer be trusted.
LOST: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def code_of(error: BaseException) -> int | None:
    """Return the primary result code of an SQLite error; None for anything else."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else cast("int", code) & 0xFF


def is_storage(error: BaseException) -> bool:
    """Say whether the database itself is at fault, not the job."""
    return isinstance(error, sqlite3.Error) and (code_of(error) in REFUSED or code_of(error) in LOST)


def explain(error: BaseException) -> str:
    """Return cause and remedy in one line."""
    remedy = REFUSED.get(code_of(error) or -1)
    return f"{error}; {remedy}" if remedy else str(error)
