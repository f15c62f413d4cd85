"""The async door to the database: jobs of many callers, one transaction, one commit on a thread.

A job is a plain function over the connection. Jobs run on the loop's thread, in the order they were written; only
COMMIT, which waits for the disk, runs in a thread of its own. Whatever is written while a commit runs goes into the
next one: no timer, one hand-off and one fsync per batch however many wait.

    idle --write--> scheduled --(next turn of the loop)--> jobs run --> COMMIT in the thread --> futures resolve
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from buoy.durable import faults, meta, schema
from buoy.durable.lock import Lock, lock_directory
from buoy.durable.schema import peek
from buoy.errors import StoreError, StoreLostError

__all__ = ["Store", "StoreStats", "peek"]

BATCH: Final = 2000  # jobs in one transaction: some 50 ms of the loop's time at most

P = ParamSpec("P")
T = TypeVar("T")
Commit = Callable[[sqlite3.Connection], None]
_Queue = dict[asyncio.Future[Any], tuple[Callable[..., Any], tuple[Any, ...]]]


@dataclass(slots=True)
class StoreStats:
    """What the store has done since it was opened."""

    commits: int = 0
    jobs: int = 0
    failed: int = 0
    """Jobs that raised, and jobs whose commit failed."""
    last_commit_s: float = 0.0
    max_commit_s: float = 0.0
    waiting: int = 0
    """Jobs written and not committed yet."""
    committing_since: float | None = None
    """`time.monotonic` at the start of the commit that runs now: how long the disk has been silent."""
    refusal: str = ""
    """Why the newest commit was refused, for people; empty: it was not."""


class Store:
    """One database, one writer. Open it with :meth:`open`; everything else belongs to the loop's thread."""

    def __init__(
        self,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        boot: int,
        *,
        lock: Lock | None = None,
        commit: Commit | None = None,
        threaded: bool = True,
    ) -> None:
        self.boot = boot
        self.on_lost: Callable[[StoreLostError], None] | None = None
        self.stats = StoreStats()
        self._writer = writer
        self._reader = reader
        self._lock = lock
        self._commit: Commit = commit or _commit
        self._thread = ThreadPoolExecutor(1, "buoy-commit") if threaded else None
        self._queue: _Queue = {}
        self._batch: list[tuple[asyncio.Future[Any], Any]] = []  # in the running commit, with their results
        self._scheduled = False
        self._committing = False
        self._idle: asyncio.Future[None] | None = None
        self._closed = False
        self._refusal: StoreError | None = None  # why nothing is taken any more

    @classmethod
    def open(cls, directory: Path, *, now: float, commit: Commit | None = None) -> Store:
        """Lock the directory, open or create the database, and start a new boot.

        ``commit`` replaces the COMMIT statement, for tests of slow and failing disks.

        Raises:
            BusyError: another process holds the directory.
            StoreError: the database is newer, corrupted or out of reach; it was not touched.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make {directory} ({error.strerror}); choose another data_dir") from error
        lock = lock_directory(directory)
        try:
            writer, reader = schema.open_file(directory)
            try:
                boot = _start_boot(writer, now)
            except sqlite3.Error as error:
                reader.close()
                writer.close()
                raise StoreError(f"cannot write to {directory / schema.FILE}: {faults.explain(error)}") from error
        except BaseException:
            lock.release()
            raise
        return cls(writer, reader, boot, lock=lock, commit=commit)

    @classmethod
    def open_memory(cls, *, now: float, commit: Commit | None = None) -> Store:
        """Open an empty database in memory. Its commits run at once, on the loop: no thread takes part."""
        db = schema.open_memory()
        return cls(db, db, _start_boot(db, now), commit=commit, threaded=False)

    # --- jobs ---

    def write(
        self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run ``job(db, *args)`` in the next commit; the future has its result once that is on disk.

        Errors of the future: what the job raised (nothing of it was stored, other jobs are not touched),
        StoreError (the disk refused; nothing was stored; trying again later may work), StoreLostError (end
        the process). Cancelling the future, or an await of it, does not stop the job: use `withdraw` for
        that.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._refusal is not None:
            _fail(future, self._refusal)
            return future
        self._queue[future] = (job, args) if not kwargs else (_bound(job, kwargs), args)
        self.stats.waiting += 1
        if not self._scheduled and not self._committing:
            self._scheduled = True
            loop.call_soon(self._flush)
        return future

    def withdraw(self, future: asyncio.Future[Any]) -> bool:
        """Take a job back. True: it had not entered a batch and will never run. False: it has entered one."""
        if self._queue.pop(future, None) is None:
            return False
        self.stats.waiting -= 1
        future.cancel()
        return True

    def read(self, job: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a small reading job now, on committed state. It returns values, not cursors.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            return job(self._reader, *args, **kwargs)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database: {faults.explain(error)}") from error

    # --- the batch ---

    def _flush(self) -> None:
        """Run what is queued in one transaction and hand it to the commit."""
        self._scheduled = False
        if self._committing or self._refusal_is_lost():  # a job may have written another and scheduled this
            return
        queue = self._take()
        if not queue:
            self._rest()
            return
        db = self._writer
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                batch = [(future, job(db, *args)) for future, (job, args) in queue.items()]
            except Exception as error:  # noqa: BLE001  a job may raise anything; it is its caller's
                batch = self._isolate(queue, error)
        except sqlite3.Error as error:
            self._give_up(list(queue), error)
            return
        self._batch = batch
        self._committing = True
        self.stats.committing_since = time.monotonic()
        if self._thread is None:
            try:
                self._commit(db)
            except Exception as error:  # noqa: BLE001  classified below
                self._committed(error)
            else:
                self._committed(None)
            return
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, db)
        running.add_done_callback(self._ended)

    def _take(self) -> _Queue:
        """Take the next batch off the queue."""
        if len(self._queue) <= BATCH:
            queue, self._queue = self._queue, {}
            return queue
        queue = dict(islice(self._queue.items(), BATCH))
        for future in queue:
            del self._queue[future]
        return queue

    def _isolate(self, queue: _Queue, error: Exception) -> list[tuple[asyncio.Future[Any], Any]]:
        """Run the jobs of a batch again, each in a savepoint of its own, so that only the bad ones fail.

        Raises:
            sqlite3.Error: the database, not a job, is at fault; all of the batch failed.
        """
        db = self._writer
        if faults.is_storage(error):
            raise error
        _roll_back(db)
        db.execute("BEGIN IMMEDIATE")
        batch: list[tuple[asyncio.Future[Any], Any]] = []
        for future, (job, args) in queue.items():
            db.execute("SAVEPOINT job")
            try:
                result = job(db, *args)
            except Exception as own:
                if faults.is_storage(own) or not db.in_transaction:
                    raise
                db.execute("ROLLBACK TO job")
                self.stats.waiting -= 1
                self.stats.failed += 1
                _fail(future, own)
            else:
                batch.append((future, result))
            db.execute("RELEASE job")
        return batch

    def _ended(self, running: asyncio.Future[None]) -> None:
        """Go on after the commit on the thread."""
        if running.cancelled():
            self._committed(RuntimeError("the commit was cancelled"))
            return
        self._committed(running.exception())

    def _committed(self, error: BaseException | None) -> None:
        """Tell every caller of the batch what became of it, and go on with what has queued up meanwhile."""
        stats = self.stats
        if stats.committing_since is not None:
            stats.last_commit_s = time.monotonic() - stats.committing_since
            stats.max_commit_s = max(stats.max_commit_s, stats.last_commit_s)
            stats.committing_since = None
        self._committing = False
        batch, self._batch = self._batch, []
        if error is not None:
            self._give_up([future for future, _ in batch], error)
            return
        stats.refusal = ""
        stats.commits += 1
        stats.jobs += len(batch)
        stats.waiting -= len(batch)
        for future, result in batch:
            if not future.done():
                future.set_result(result)
        self._go_on()

    def _go_on(self) -> None:
        """Schedule the next batch behind the callers that were just told: what they write joins it."""
        if not self._queue:
            self._rest()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _rest(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    # --- failure ---

    def _give_up(self, futures: list[asyncio.Future[Any]], error: BaseException) -> None:
        """Fail a batch that was not stored; if the file cannot be trusted, fail everything from now on."""
        self.stats.waiting -= len(futures)
        self.stats.failed += len(futures)
        try:
            _roll_back(self._writer)
        except sqlite3.Error as second:
            error = second if faults.code_of(second) in faults.LOST else error
        if faults.code_of(error) in faults.REFUSED:
            self.stats.refusal = faults.explain(error)
            refused = StoreError(f"nothing was stored: {self.stats.refusal}")
            for future in futures:
                _fail(future, refused)
            self._go_on()
            return
        lost = StoreLostError(f"the database can no longer be trusted ({error}): restart Buoy, and check the disk")
        self._refusal = lost
        for future in futures:
            _fail(future, lost)
        self._drop_queue(lost)
        self._rest()
        if self.on_lost is not None:
            self.on_lost(lost)

    def _drop_queue(self, error: StoreError) -> None:
        queue, self._queue = self._queue, {}
        self.stats.waiting -= len(queue)
        self.stats.failed += len(queue)
        for future in queue:
            _fail(future, error)

    def _refusal_is_lost(self) -> bool:
        return isinstance(self._refusal, StoreLostError)

    # --- end ---

    async def close(self, timeout_s: float) -> None:
        """Commit what is queued, then close the file and free the directory; takes ``timeout_s`` at most.

        What could not be committed in time fails with StoreError. A commit that is stuck in the disk keeps
        the directory locked until the process ends, because it may still happen: only ``os._exit`` leaves
        such a thread behind. Closing again finishes what a silent disk interrupted.
        """
        if self._refusal is None:
            self._refusal = StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout_s
        try:
            async with asyncio.timeout_at(ends_at):
                while (self._queue or self._committing) and not self._refusal_is_lost():
                    self._idle = loop.create_future()
                    await self._idle
        except TimeoutError:
            self._drop_queue(StoreError("not stored: the disk did not answer before the store had to close"))
        if self._committing or self._closed:
            return
        self._closed = True
        self._reader.close()
        if self._thread is None:
            self._writer.close()
        else:
            closing = loop.run_in_executor(self._thread, self._writer.close)  # the last checkpoint happens here
            self._thread.shutdown(wait=False)
            try:
                async with asyncio.timeout_at(ends_at):
                    await asyncio.shield(closing)
            except TimeoutError:
                closing.add_done_callback(self._closed_late)
                return
        if self._lock is not None:
            self._lock.release()

    def _closed_late(self, closing: asyncio.Future[None]) -> None:
        """The disk has answered after all: whoever starts again in this process finds the directory free."""
        if not closing.cancelled():
            closing.exception()
        if self._lock is not None:
            self._lock.release()


def _commit(db: sqlite3.Connection) -> None:
    db.execute("COMMIT")


def _start_boot(db: sqlite3.Connection, now: float) -> int:
    """Raise the boot number, and commit it."""
    db.execute("BEGIN IMMEDIATE")
    boot = int(meta.get(db, "boot", 0)) + 1
    meta.set(db, "boot", boot)
    meta.set(db, "boot_at", now)
    db.execute("COMMIT")
    return boot


def _bound(job: Callable[..., T], kwargs: dict[str, Any]) -> Callable[..., T]:
    return lambda *args: job(*args, **kwargs)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Set an error that nobody has to look at: the store counts it."""
    if not future.done():
        future.set_exception(error)
        future.exception()


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
