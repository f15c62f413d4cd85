"""A second door: it looks at what is committed, on its own thread, and lets go at once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from buoy.durable import meta
from buoy.durable.reader import Reader
from buoy.durable.store import Store
from buoy.errors import StoreError


def test_it_sees_what_is_committed_and_cannot_write(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path, now=0.0)
        reader = Reader(tmp_path)
        await store.write(meta.set, "x", 1)
        assert await reader.read(meta.get, "x", 0) == 1
        await store.write(meta.set, "x", 2)
        assert await reader.read(meta.get, "x", 0) == 2
        with pytest.raises(StoreError, match="cannot read the database"):
            await reader.read(meta.set, "x", 3)
        reader.close()
        await store.close(1.0)

    asyncio.run(main())


def test_a_long_look_holds_up_neither_the_loop_nor_the_end(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    begun = threading.Event()

    def look(db: sqlite3.Connection) -> None:
        begun.set()
        db.execute(endless).fetchone()

    async def main() -> None:
        store = Store.open(tmp_path, now=0.0)
        reader = Reader(tmp_path)
        looking = asyncio.ensure_future(reader.read(look))
        while not begun.is_set():
            await asyncio.sleep(0)
        assert not looking.done(), "the loop turns"
        await asyncio.sleep(0.01)
        began = time.monotonic()
        reader.close()
        reader.close()
        with pytest.raises(StoreError):
            await looking
        assert time.monotonic() - began < 1.0
        with pytest.raises(StoreError, match="the reader is closed"):
            await reader.read(meta.get, "x", 0)
        await store.close(1.0)

    asyncio.run(main())


def test_a_directory_without_a_database_is_one_line(tmp_path: Path) -> None:
    async def main() -> None:
        reader = Reader(tmp_path)
        with pytest.raises(StoreError):
            await reader.read(meta.get, "x", 0)
        reader.close()

    asyncio.run(main())
