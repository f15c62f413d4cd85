"""The async door: group commit, what fails with whom, and the end."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from buoy.durable import meta
from buoy.durable.store import BATCH, Store, peek
from buoy.errors import BusyError, StoreError, StoreLostError


def add(db: sqlite3.Connection, name: str) -> str:
    db.execute("INSERT INTO meta VALUES (?, '1')", (name,))
    return name.upper()


def names(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT key FROM meta WHERE key NOT LIKE 'boot%' ORDER BY key")]


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as if the disk said so")
    error.sqlite_errorcode = code
    return error


class Disk:
    """A commit that can be stopped, and can fail, on demand."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()
        self.errors: list[Exception] = []
        self.threads: set[int] = set()

    def __call__(self, db: sqlite3.Connection) -> None:
        self.threads.add(threading.get_ident())
        self.entered.set()
        self.go.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        db.execute("COMMIT")

    @contextmanager
    def stalled(self) -> Iterator[None]:
        self.entered.clear()
        self.go.clear()
        try:
            yield
        finally:
            self.go.set()


def run(path: Path, test: Callable[[Store, Disk], Awaitable[None]]) -> None:
    async def main() -> None:
        disk = Disk()
        store = Store.open(path / "data", now=1.0, commit=disk)
        try:
            await test(store, disk)
        finally:
            disk.go.set()
            await store.close(5)

    asyncio.run(main())


async def in_commit(disk: Disk) -> None:
    """Wait until the thread has the commit in its hands."""
    await asyncio.get_running_loop().run_in_executor(None, disk.entered.wait, 10)


# --- group commit ---


def test_a_write_resolves_with_the_result_of_its_job_once_it_is_on_disk(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        with disk.stalled():
            future = store.write(add, "a")
            await in_commit(disk)
            assert not future.done()
            assert store.read(names) == []
            assert store.stats.committing_since is not None
        assert await future == "A"
        assert store.read(names) == ["a"]
        other = peek(tmp_path / "data")
        assert names(other) == ["a"]
        other.close()

    run(tmp_path, test)


def test_what_waits_during_a_commit_shares_the_next_one(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        with disk.stalled():
            first = store.write(add, "a")
            await in_commit(disk)
            rest = [store.write(add, f"n{n:02}") for n in range(20)]
            assert store.stats.waiting == 21
        await asyncio.gather(first, *rest)
        assert store.stats.commits == 2
        assert store.stats.jobs == 21
        assert store.stats.waiting == 0
        assert store.stats.max_commit_s >= store.stats.last_commit_s > 0
        assert threading.get_ident() not in disk.threads
        assert len(disk.threads) == 1

    run(tmp_path, test)


def test_callers_that_write_again_at_once_share_a_commit(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        async def caller(name: str) -> None:
            for n in range(10):
                await store.write(add, f"{name}{n}")

        await asyncio.gather(*(caller(name) for name in "abcdefgh"))
        assert store.stats.jobs == 80
        assert store.stats.commits == 10

    run(tmp_path, test)


def test_jobs_run_in_the_order_they_were_written_and_batches_are_bounded(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        order: list[int] = []

        def job(db: sqlite3.Connection, n: int) -> None:
            order.append(n)

        await asyncio.gather(*(store.write(job, n) for n in range(2 * BATCH + 1)))
        assert order == list(range(2 * BATCH + 1))
        assert store.stats.commits == 3

    run(tmp_path, test)


def test_a_job_may_write_another(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        def outer(db: sqlite3.Connection) -> asyncio.Future[str]:
            return store.write(add, "inner")

        assert await (await store.write(outer)) == "INNER"

    run(tmp_path, test)


# --- who fails ---


def test_a_job_that_raises_fails_alone(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        def bad(db: sqlite3.Connection) -> None:
            add(db, "half")
            raise LookupError("mine")

        good = [store.write(add, "a"), store.write(add, "b")]
        raising = store.write(bad)
        twice = store.write(add, "a")
        after = store.write(add, "c")
        assert await asyncio.gather(*good, after) == ["A", "B", "C"]
        with pytest.raises(LookupError, match="mine"):
            await raising
        with pytest.raises(sqlite3.IntegrityError):
            await twice
        assert store.read(names) == ["a", "b", "c"]
        assert (store.stats.jobs, store.stats.failed, store.stats.waiting, store.stats.commits) == (3, 2, 0, 1)

    run(tmp_path, test)


def test_a_batch_of_bad_jobs_alone_goes_on(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        def bad(db: sqlite3.Connection) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            await store.write(bad)
        assert await store.write(add, "a") == "A"

    run(tmp_path, test)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY])
def test_a_commit_that_the_disk_refuses_stores_nothing_and_later_ones_work(tmp_path: Path, code: int) -> None:
    async def test(store: Store, disk: Disk) -> None:
        disk.errors.append(sqlite_error(code))
        failed = [store.write(add, "a"), store.write(add, "b")]
        for future in failed:
            with pytest.raises(StoreError, match="nothing was stored"):
                await future
        assert store.read(names) == []
        assert await store.write(add, "a") == "A"
        assert store.read(names) == ["a"]
        assert (store.stats.jobs, store.stats.failed, store.stats.waiting) == (1, 2, 0)

    run(tmp_path, test)


def test_a_disk_that_fills_up_for_real_refuses_the_batch_and_recovers(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        def limit(db: sqlite3.Connection, pages: int) -> None:
            db.execute(f"PRAGMA max_page_count = {pages}")

        def big(db: sqlite3.Connection) -> None:
            meta.set(db, "big", "x" * 4_000_000)

        await store.write(limit, 1)  # no smaller than the file is: every new page is one too many
        small = store.write(add, "a")
        with pytest.raises(StoreError, match="the disk is full: free space"):
            await store.write(big)
        with pytest.raises(StoreError, match="nothing was stored"):
            await small
        await store.write(limit, 100_000)
        await store.write(big)
        assert await store.write(add, "a") == "A"

    run(tmp_path, test)


def test_a_lock_of_another_process_refuses_the_batch(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        store._writer.execute("PRAGMA busy_timeout = 0")
        other = sqlite3.connect(tmp_path / "data" / "buoy.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds the database"):
            await store.write(add, "a")
        other.execute("ROLLBACK")
        other.close()
        assert await store.write(add, "a") == "A"

    run(tmp_path, test)


@pytest.mark.parametrize(
    "error",
    [sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), sqlite_error(sqlite3.SQLITE_CORRUPT), RuntimeError("unforeseen")],
)
def test_after_an_io_error_nothing_is_taken_any_more(tmp_path: Path, error: Exception) -> None:
    async def test(store: Store, disk: Disk) -> None:
        told: list[StoreLostError] = []
        store.on_lost = told.append
        await store.write(add, "before")
        with disk.stalled():
            disk.errors.append(error)
            inside = store.write(add, "a")
            await in_commit(disk)
            queued = store.write(add, "b")
        later = [inside, queued]
        for future in later:
            with pytest.raises(StoreLostError, match="restart Buoy"):
                await future
        with pytest.raises(StoreLostError):
            await store.write(add, "c")
        assert len(told) == 1
        assert store.stats.waiting == 0
        assert store.read(names) == ["before"]

    run(tmp_path, test)


def test_a_job_that_meets_a_corrupted_page_loses_the_store(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        errors = [sqlite_error(sqlite3.SQLITE_CORRUPT)]

        def unlucky(db: sqlite3.Connection) -> None:
            if errors:  # once is enough: no second look at a page that was wrong
                raise errors.pop()

        with pytest.raises(StoreLostError):
            await store.write(unlucky)
        with pytest.raises(StoreLostError):
            await store.write(add, "a")

    run(tmp_path, test)


def test_a_failure_that_nobody_awaits_is_counted_and_makes_no_noise(tmp_path: Path) -> None:
    noise: list[object] = []

    async def test(store: Store, disk: Disk) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))

        def bad(db: sqlite3.Connection) -> None:
            raise LookupError

        store.write(bad)
        await store.write(add, "a")
        disk.errors.append(sqlite_error(sqlite3.SQLITE_FULL))
        store.write(add, "b")
        while store.stats.failed < 2:
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)

    run(tmp_path, test)
    assert noise == []


def test_a_cancelled_awaiter_breaks_nothing_and_its_job_is_stored(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        async def caller() -> None:
            await store.write(add, "a")

        with disk.stalled():
            first = asyncio.create_task(caller())
            await in_commit(disk)
            second = store.write(add, "b")
            queued = store.write(add, "c")
            first.cancel()
            queued.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
        assert await second == "B"
        assert store.read(names) == ["a", "b", "c"]

    run(tmp_path, test)


def test_withdraw_takes_back_only_what_has_not_entered_a_batch(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        with disk.stalled():
            inside = store.write(add, "inside")
            await in_commit(disk)
            queued = store.write(add, "queued")
            late = store.write(add, "late")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await late
            assert store.withdraw(queued)
            assert store.withdraw(late), "a caller whose patience ended has cancelled it already"
            assert not store.withdraw(inside)
            assert not store.withdraw(queued)
            assert store.stats.waiting == 1
        assert await inside == "INSIDE"
        assert queued.cancelled()
        assert not store.withdraw(inside)
        await store.write(add, "z")
        assert store.read(names) == ["inside", "z"]

    run(tmp_path, test)


# --- open, read, close ---


def test_each_open_raises_the_boot_number(tmp_path: Path) -> None:
    boots = []
    for now in (1.0, 2.0, 3.0):
        store = Store.open(tmp_path / "data", now=now)
        boots.append((store.boot, store.read(meta.get, "boot_at")))
        asyncio.run(store.close(5))
    assert boots == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_second_open_is_refused_with_the_holders_pid_and_close_frees_the_directory(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        with pytest.raises(BusyError, match=r"data directory .* is in use \(pid \d+\): stop that Buoy"):
            Store.open(tmp_path / "data", now=2.0)

    run(tmp_path, test)
    asyncio.run(Store.open(tmp_path / "data", now=3.0).close(5))


def test_the_directory_and_the_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        await store.write(add, "a")
        for file in (tmp_path / "data").iterdir():
            assert file.stat().st_mode & 0o077 == 0, file

    run(tmp_path, test)


def test_close_commits_what_is_queued_and_takes_nothing_more(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path / "data", now=1.0)
        futures = [store.write(add, f"n{n}") for n in range(3 * BATCH)]
        await store.close(5)
        assert all(future.done() for future in futures)
        with pytest.raises(StoreError, match="closed"):
            await store.write(add, "late")

    asyncio.run(main())
    db = peek(tmp_path / "data")
    assert len(names(db)) == 3 * BATCH
    db.close()
    assert not (tmp_path / "data" / "buoy.db-wal").exists() or (tmp_path / "data" / "buoy.db-wal").stat().st_size == 0


def test_close_does_not_wait_longer_than_told_for_a_silent_disk(tmp_path: Path) -> None:
    async def main() -> None:
        disk = Disk()
        store = Store.open(tmp_path / "data", now=1.0, commit=disk)
        with disk.stalled():
            inside = store.write(add, "a")
            await in_commit(disk)
            queued = store.write(add, "b")
            await store.close(0.05)
            assert not inside.done()
            with pytest.raises(StoreError, match="not stored"):
                await queued
            with pytest.raises(BusyError):  # the commit may still happen: nobody else may write
                Store.open(tmp_path / "data", now=2.0)
        assert await inside == "A"
        await store.close(5)
        again = Store.open(tmp_path / "data", now=3.0)
        assert again.read(names) == ["a"]
        await again.close(5)

    asyncio.run(main())


def test_a_read_that_fails_says_so_in_our_words(tmp_path: Path) -> None:
    async def test(store: Store, disk: Disk) -> None:
        def wrong(db: sqlite3.Connection) -> None:
            db.execute("SELECT * FROM nowhere")

        with pytest.raises(StoreError, match="cannot read the database"):
            store.read(wrong)
        with pytest.raises(StoreError, match="readonly"):
            store.read(add, "a")

    run(tmp_path, test)


def test_the_store_in_memory_commits_at_once_on_the_loop() -> None:
    async def main() -> None:
        disk = Disk()
        store = Store.open_memory(now=1.0, commit=disk)
        assert store.boot == 1
        assert await store.write(add, "a") == "A"
        assert disk.threads == {threading.get_ident()}
        disk.errors.append(sqlite_error(sqlite3.SQLITE_FULL))
        with pytest.raises(StoreError):
            await store.write(add, "b")
        assert store.read(names) == ["a"]
        await store.close(1)

    asyncio.run(main())


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        store = Store.open(tmp_path / "data", now=1.0)
        assert await asyncio.gather(*(store.write(add, f"n{n}") for n in range(50))) == [f"N{n}" for n in range(50)]
        assert store.stats.commits == 1
        await store.close(5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
