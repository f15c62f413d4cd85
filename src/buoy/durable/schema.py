"""Open the database file: create it, bring it to this schema after a backup, or refuse it untouched."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from buoy.errors import StoreError

FILE: Final = "buoy.db"
APPLICATION_ID: Final = 0x42554F59  # "BUOY", in the file's header: this database is ours
STEPS: Final = tuple(
    Path(__file__).with_name(name).read_text(encoding="utf-8")
    for name in ("schema.sql", "schema_2.sql", "schema_3.sql")
)
"""STEPS[n] brings schema n to n + 1; schema 0 is the empty file. A release only ever appends."""

WAL_PAGES: Final = 2000  # checkpoint after 8 MB: in the commit, on its thread
WAL_KEPT: Final = 32 << 20  # a burst's WAL is cut back to this
CHECKED_WHOLE: Final = 16 << 20  # files up to this size are checked page by page at the start
CLOSED: Final = frozenset({sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})
"""What SQLite answers where the file is well and this user may not use it as it must be used."""
BUSY_MS: Final = 2000  # another process reads; nobody else writes


def open_file(directory: Path, steps: tuple[str, ...] = STEPS) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return the writer and a reader of the database in ``directory``, at schema ``len(steps)``.

    The caller holds the directory's lock.

    Raises:
        StoreError: the file is newer, corrupted, not ours or out of reach. It was not written to.
    """
    path = directory / FILE
    version = check(path, steps)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would make it readable by others
        writer = _connect(path, "rw", len(steps) > version)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write {path} ({error}); check its owner and the space on its disk") from error
    try:
        if 0 < version < len(steps):
            _back_up(writer, path.with_name(f"{FILE}.v{version}.bak"))
        _migrate(writer, version, steps)
        return writer, _connect(path, "ro", fresh=False)
    except (OSError, sqlite3.Error) as error:
        writer.close()
        raise StoreError(f"cannot bring {path} to schema {len(steps)} ({error}); nothing of it was changed") from error


def open_memory() -> sqlite3.Connection:
    """Return an empty database of this schema in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)
    _migrate(db, 0, STEPS)
    return db


def check(path: Path, steps: tuple[str, ...] = STEPS) -> int:
    """Return the schema of the file, 0 when there is none, without writing to it.

    Raises:
        StoreError: it is newer than ``steps``, corrupted or not ours.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    refused = f"it was not touched; restore {path.parent} from a backup, or move the file away to start empty"
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        try:
            db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            (ours,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if ours == APPLICATION_ID and version <= len(steps):
                _sanity(db, path)
        finally:
            db.close()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in CLOSED:
            refused = "run this as the user Buoy runs as, or correct who owns it and its folder"
        raise StoreError(f"the database {path} cannot be read ({error}); {refused}") from error
    if ours != APPLICATION_ID and tables:
        raise StoreError(f"{path} is a database of another program; choose another data_dir")
    if version > len(steps):
        raise StoreError(
            f"the database {path} has schema {version} and this Buoy knows {len(steps)}; it was not touched; "
            "install the newer Buoy again, or restore the .bak file beside it"
        )
    return int(version) if ours == APPLICATION_ID else 0


def peek(directory: Path) -> sqlite3.Connection:
    """Open the database for reading only, without a lock, whether a Buoy runs on it or not.

    Raises:
        StoreError: there is none, or it is not of this schema.
    """
    path = directory / FILE
    try:
        present = path.exists()
    except OSError as error:
        raise StoreError(
            f"cannot look into {directory} ({error.strerror}); run this as the user Buoy runs as"
        ) from error
    if not present:
        raise StoreError(f"no database in {directory}: Buoy has not run with this data_dir yet; check data_dir")
    version = check(path)
    if version < len(STEPS):
        raise StoreError(f"the database {path} has schema {version}, older than this Buoy: start `buoy run` once")
    try:
        db = _connect(path, "ro", fresh=False)
        db.execute("SELECT 1 FROM meta").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {path} ({error}); run this as the user Buoy runs as") from error
    return db


def _connect(path: Path, mode: str, fresh: bool) -> sqlite3.Connection:  # noqa: FBT001
    """Connect with the settings that durability rests on."""
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # the commit runs on its own thread, never beside a job
        cached_statements=256,
    )
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    if mode == "rw":
        if fresh:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if journal != "wal":
            db.close()
            raise StoreError(f"{path} is on a file system without WAL (a network share?); choose another data_dir")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
    return db


def _sanity(db: sqlite3.Connection, path: Path) -> None:
    """Read a little everywhere, the whole of a small file; raises sqlite3.DatabaseError."""
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        db.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()  # noqa: S608  names from the file itself
    if path.stat().st_size <= CHECKED_WHOLE:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)


def _back_up(db: sqlite3.Connection, target: Path) -> None:
    """Copy the database to ``target``, complete or not at all."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        db.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    part.replace(target)


def _migrate(db: sqlite3.Connection, version: int, steps: tuple[str, ...]) -> None:
    """Run the steps from ``version`` on in one transaction."""
    if version == len(steps):
        return
    script = ";".join(steps[version:])
    try:
        db.executescript(f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {len(steps)};COMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
