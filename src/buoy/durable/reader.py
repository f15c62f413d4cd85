"""A second door to the database, to look through: read-only, on a thread of its own, so that no look stops the loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from buoy.durable import faults
from buoy.durable.schema import peek
from buoy.errors import StoreError

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Looks of any length at what is committed, one after the other. Nothing is opened before the first."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "buoy-reader")
        self._is_closed = False

    async def read(self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``job(db, *args)``; it returns values, not cursors.

        Raises:
            StoreError: the database cannot be read, or the reader is closed.
        """
        if self._is_closed:
            raise StoreError("the reader is closed: Buoy is stopping")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self._look(lambda db: job(db, *args, **kwargs)))

    def _look(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._db = self._db or peek(self._directory)
            return job(db)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database: {faults.explain(error)}") from error

    def close(self) -> None:
        """Break off the look that is under way, and let go of the file; waits for nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._db is not None:
            self._db.interrupt()
        self._thread.submit(self._let_go)
        self._thread.shutdown(wait=False)

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
