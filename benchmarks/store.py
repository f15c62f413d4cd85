"""What the store costs: commits a second, the price of a message, of a claim, of a start with a full inbox.

Run it with ``python benchmarks/store.py``; ``--rows 1000000`` for the long form of the last two. Each figure about
commits stands beside a bare sqlite3 loop of the same transaction in the same run: compare the ratios, not the machines.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from buoy.durable import inbox, outbox, schema, sessions
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.letters import Arrival, Event, Letter, LetterState

BOT = "102000001"
FRAME = b'{"op":0,"s":1,"t":"C2C_MESSAGE_CREATE","d":{"id":"ROBOT1.0_x","content":"hello"}}' + b" " * 170
BODY = b'{"text":"hello, this is what the agent has to say about it"}'
SECONDS = 2.0


def arrival(n: int, lanes: int = 50) -> Arrival:
    name = f"ROBOT1.0_{n:032x}"
    lane = f"qq:c2c:{n % lanes:032X}"
    return Arrival(BOT, 0, "S", n + 2, "C2C_MESSAGE_CREATE", name, FRAME, lane, True, name, 1e9 + n, 1e9 + n)


class Counter:
    """Numbers for arrivals that nobody had before."""

    def __init__(self) -> None:
        self.n = 0

    def next(self) -> Arrival:
        self.n += 1
        return arrival(self.n)


def bare_commits(directory: Path) -> float:
    """Transactions a second of one sqlite3 connection: BEGIN, the same INSERT, COMMIT, again."""
    writer, reader = schema.open_file(directory)
    counter = Counter()
    ends_at = time.perf_counter() + SECONDS
    started = time.perf_counter()
    while time.perf_counter() < ends_at:
        writer.execute("BEGIN IMMEDIATE")
        inbox.put(writer, counter.next(), 1)
        writer.execute("COMMIT")
    rate = counter.n / (time.perf_counter() - started)
    reader.close()
    writer.close()
    return rate


async def group_commits(directory: Path, waiters: int) -> tuple[float, float]:
    """Jobs a second with so many callers waiting for theirs, and how many shared a commit."""
    store = Store.open(directory, now=1e9)
    counter = Counter()
    ends_at = time.perf_counter() + SECONDS

    async def caller() -> None:
        while time.perf_counter() < ends_at:
            await store.write(inbox.put, counter.next(), store.boot)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(waiters)))
    rate = store.stats.jobs / (time.perf_counter() - started)
    shared = store.stats.jobs / store.stats.commits
    await store.close(10)
    return rate, shared


def message_path(directory: Path, messages: int = 20_000, batch: int = 50) -> dict[str, float]:
    """Microseconds a message of each step, in batches; the commits run on a thread in the product."""
    writer, reader = schema.open_file(directory)
    sessions.open_session(writer, BOT, 0, "S", 1, 1e9)
    spent = {"put, claimed": 0.0, "finish, put letter, attempt": 0.0, "settle": 0.0, "3 commits": 0.0}

    def timed(name: str, job: Callable[[], list[int]]) -> list[int]:
        writer.execute("BEGIN IMMEDIATE")
        started = time.perf_counter()
        result = job()
        middle = time.perf_counter()
        writer.execute("COMMIT")
        spent[name] += middle - started
        spent["3 commits"] += time.perf_counter() - middle
        return result

    def put(arrivals: list[Arrival]) -> list[int]:
        return [inbox.put(writer, it, 1).id or 0 for it in arrivals]

    def end(arrivals: list[Arrival], rows: list[int]) -> list[int]:
        letters = []
        for it, row in zip(arrivals, rows, strict=True):
            inbox.finish(writer, row, 1e9)
            draft = Letter(0, f"{it.key}/1", it.bot, it.lane or "", BODY, LetterState.QUEUED, 1e9, event=row)
            letter = outbox.put(writer, draft).letter
            outbox.attempt(writer, letter.id, row, it.anchor or "", 4, 1, 1e9)
            letters.append(letter.id)
        return letters

    def settle(letters: list[int]) -> list[int]:
        for letter in letters:
            outbox.settle_sent(writer, letter, "ROBOT1.0_y", 1e9, 12.0)
        return []

    for first in range(0, messages, batch):
        arrivals = [arrival(n) for n in range(first, first + batch)]
        rows = timed("put, claimed", partial(put, arrivals))
        letters = timed("finish, put letter, attempt", partial(end, arrivals, rows))
        timed("settle", partial(settle, letters))
    reader.close()
    writer.close()
    return {name: seconds / messages * 1e6 for name, seconds in spent.items()}


def fill(writer: sqlite3.Connection, rows: int, lanes: int) -> None:
    """Let so many turns wait."""
    writer.execute("BEGIN IMMEDIATE")
    for n in range(rows):
        inbox.put(writer, arrival(n, lanes), None)
    writer.execute("COMMIT")


def full_inbox(directory: Path, rows: int, lanes: int = 5_000) -> dict[str, float]:
    """Seconds to start with so many rows waiting, and microseconds of one claim, once the start is over."""
    writer, reader = schema.open_file(directory)
    fill(writer, rows, lanes)
    reader.close()
    writer.close()
    started = time.perf_counter()
    writer, reader = schema.open_file(directory)

    def load(lane: Key, after: int, limit: int) -> list[Event]:
        return inbox.page(reader, *lane, after, limit)

    order = Lanes[Event](load)
    for bot, lane, first, last in inbox.heads(reader):
        order.hydrate((bot, lane), first, last)
    hydrated = time.perf_counter()
    claims = min(rows, 2_000)
    writer.execute("BEGIN IMMEDIATE")
    for _ in range(claims):
        taken = order.take(1e9)
        assert taken is not None
        assert inbox.claim(writer, taken[1], 2, False, 1e9) is not None
        inbox.finish(writer, taken[1], 1e9)
        order.release(taken[0])
    writer.execute("COMMIT")
    ended = time.perf_counter()
    reader.close()
    writer.close()
    return {"start_s": hydrated - started, "claim_us": (ended - hydrated) / claims * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description="What the store costs.")
    parser.add_argument(
        "--directory", type=Path, help="a folder on the disk to measure (default: the system's temporary one)"
    )
    parser.add_argument("--rows", type=int, default=100_000, help="waiting rows of the largest full inbox")
    options = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        home = Path(name)

        def fresh(of: str) -> Path:
            (home / of).mkdir()
            return home / of

        print("\njobs committed a second (one row and its cursor each)")
        bare = bare_commits(fresh("bare"))
        print(f"  bare sqlite3 loop, one by one   {bare:9,.0f}")
        for waiters in (1, 8, 32):
            rate, shared = asyncio.run(group_commits(fresh(f"group{waiters}"), waiters))
            print(
                f"  store, {waiters:2} waiting               {rate:9,.0f}   x {rate / bare:.2f}   {shared:.1f} a commit"
            )
        print("\nmicroseconds a message, batches of 50")
        path = message_path(fresh("path"))
        for step, us in path.items():
            print(f"  {step:<30}  {us:9.1f}")
        print(f"  {'on the loop, all together':<30}  {sum(path.values()) - path['3 commits']:9.1f}")
        print("\nwith turns waiting in 5,000 conversations")
        for rows in sorted({1_000, 100_000, options.rows}):
            cost = full_inbox(fresh(f"full{rows}"), rows)
            print(
                f"  {rows:9,}: start {cost['start_s'] * 1e3:7.1f} ms, page, claim and finish {cost['claim_us']:6.1f} us"
            )


if __name__ == "__main__":
    main()
