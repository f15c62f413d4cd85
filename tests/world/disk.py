"""The fake disk: real SQLite files on a file system in memory, with a commit that can be slow, refused or fatal."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buoy.durable import schema
from buoy.durable.store import Store, _start_boot

MEMORY = Path("/dev/shm")  # where there is none, a temporary folder does, more slowly


class Disk:
    """One data directory. It survives the processes that use it."""

    def __init__(self, draw: random.Random) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="buoy-world-", dir=MEMORY if MEMORY.is_dir() else None))
        self.draw = draw
        self.is_full = False
        self.is_lost = False
        """fsync fails: what SQLite holds in memory cannot be trusted any more."""
        self.commit_s = 0.002
        """How long a commit takes, about."""
        self.refuse = 0
        """How many of the next commits are refused as if the disk were full."""
        self.refused = 0
        self._open: list[sqlite3.Connection] = []

    def open(self, now: float, store: Callable[..., Store] = Store) -> Store:
        """Open the database as a new process does, and begin a boot. The lock is left out: one process at a time."""
        path = self.directory / schema.FILE
        if path.exists():  # checking it again, page by page, was a twelfth of the time
            writer, reader = schema._connect(path, "rw", fresh=False), schema._connect(path, "ro", fresh=False)
        else:
            writer, reader = schema.open_file(self.directory)
        writer.execute("PRAGMA synchronous = OFF")  # the file system is memory: it outlives the process anyway
        self._open = [writer, reader]
        return store(writer, reader, _start_boot(writer, now), commit=self.commit)

    def thread(self, job: Callable[..., Any]) -> tuple[float, float]:
        """How long a job on the thread takes before it happens, and before the loop hears of it."""
        if getattr(job, "__func__", None) is Disk.commit:
            return self.commit_s * self.draw.uniform(0.2, 2.0), self.draw.uniform(0.0, 0.001)
        return 0.0, 0.0

    def commit(self, db: sqlite3.Connection) -> None:
        if self.is_lost:
            self.refused += 1
            raise failure(sqlite3.SQLITE_IOERR, "disk I/O error")
        if self.is_full or self.refuse:
            self.refuse = max(0, self.refuse - 1)
            self.refused += 1
            raise failure(sqlite3.SQLITE_FULL, "database or disk is full")
        db.execute("COMMIT")

    def release(self) -> None:
        """The process that had it open is dead: what it had not committed is gone."""
        for db in self._open:
            db.close()
        self._open = []

    def ask(self, sql: str, *values: Any) -> list[Any]:
        """Look into the database from outside."""
        db = sqlite3.connect(f"file:{self.directory / schema.FILE}?mode=ro", uri=True)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def remove(self) -> None:
        self.release()
        shutil.rmtree(self.directory, ignore_errors=True)


def failure(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error
