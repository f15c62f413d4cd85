"""One QQ bot with its real connection, door and store, on a network in memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from typing import TYPE_CHECKING, Any

from buoy.chat import Agent, Message
from buoy.durable.store import Store
from buoy.gateway.app import App
from buoy.platforms.qq.connection import Connection
from buoy.platforms.qq.platform import QQ, Account
from buoy.protocol.session import Phase, Trouble
from tests.shells.memory import BASE, BOT, SECRET, Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from buoy.letters import Intake

INTENTS = 1 << 25 | 1 << 26 | 1 << 30 | 1 << 12


async def _silent(_: Message) -> None:
    """An agent that has nothing to say."""


class Rig:
    """Built once; the connection may be started, ended and started again on the same store."""

    def __init__(
        self, store: Store, network: Network, wrap: Callable[[Intake], Intake], bases: tuple[str, ...], intents: int
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = store
        self.network = network
        account = Account(BOT, SECRET, bases, tuple(f"{base}/app/getAppAccessToken" for base in bases), intents)
        self.qq = QQ(
            account,
            environ={},
            monotonic=self.loop.time,
            wall=network.wall,
            http=network.http,
            open_socket=network.open_socket,
        )
        self.app = App(store, [self.qq], {BOT: Agent(_silent, "silent")}, wall=network.wall)
        self.services = self.qq.services(wrap(self.app.door))
        connection = self.qq.connection
        assert connection is not None
        self.connection: Connection = connection
        self.history: list[tuple[float, Phase, Trouble | None]] = []
        """Every phase that it entered: loop time, phase, cause."""
        vars(connection).update(_draw=random.Random(7).uniform, _on_change=self._changed)
        self.task: asyncio.Task[None] | None = None

    def _changed(self) -> None:
        state = self.connection.state
        self.history.append((self.loop.time(), state.phase, state.cause))

    def was(self, wanted: Phase | Trouble) -> bool:
        """Whether it was ever in this phase or trouble."""
        return any(wanted in {phase, cause} for _, phase, cause in self.history)

    @property
    def phase(self) -> Phase:
        return self.connection.state.phase

    def start(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.connection.run())
        return self.task

    async def end(self) -> None:
        """End the connection as a dying process would: without a word, in the middle of whatever it does."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])

    async def until(self, condition: Callable[[], bool], within_s: float = 60.0, step_s: float = 0.05) -> None:
        """Let virtual time pass until it holds."""
        ends_at = self.loop.time() + within_s
        while not condition():
            assert self.loop.time() <= ends_at, f"not within {within_s:g} s; {self.phase}: {self.connection.health()}"
            await asyncio.sleep(step_s)

    async def live(self, within_s: float = 75.0) -> None:
        await self.until(lambda: self.connection.state.connected, within_s)

    def rows(self, kind: str = "C2C_MESSAGE_CREATE") -> list[str]:
        """Keys of the stored rows of a kind, in the order in which they were stored."""
        return [key for (key,) in self.ask("SELECT key FROM inbox WHERE type = ? ORDER BY id", kind)]

    def ask(self, sql: str, *values: Any) -> list[Any]:
        def job(db: sqlite3.Connection) -> list[Any]:
            return db.execute(sql, values).fetchall()

        return self.store.read(job)

    @property
    def cursor(self) -> tuple[str, int]:
        found = self.app.door.cursor(BOT, 0)
        return ("", 0) if found is None else (found.session, found.stored)

    @property
    def gaps(self) -> list[tuple[str, int, str]]:
        return self.ask("SELECT session, stored, cause FROM gap ORDER BY id")

    @property
    def identifies(self) -> int:
        return int(self.ask("SELECT count(*) FROM identify")[0][0])


@contextlib.asynccontextmanager
async def rig(
    *,
    path: Path | None = None,
    commit: Callable[[sqlite3.Connection], None] | None = None,
    wrap: Callable[[Intake], Intake] = lambda door: door,
    bases: tuple[str, ...] = (BASE,),
    intents: int = INTENTS,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """Open a store (in memory, or a file at ``path``) and build everything; stop what runs at the end."""
    network = Network(**settings)
    now = network.wall()
    store = Store.open_memory(now=now, commit=commit) if path is None else Store.open(path, now=now, commit=commit)
    one = Rig(store, network, wrap, bases, intents)
    try:
        yield one
    finally:
        if one.task is not None and not one.task.done():
            await one.connection.stop()
            await one.task
        await one.qq.release()
        await one.app.supervisor.stop(timeout_s=1)
        network.stop()
        await store.close(5)


def full_disk() -> sqlite3.OperationalError:
    """What SQLite raises when the disk is full."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


class Disk:
    """A commit that fails while ``is_full``."""

    def __init__(self) -> None:
        self.is_full = False
        self.refused = 0

    def commit(self, db: sqlite3.Connection) -> None:
        if self.is_full:
            self.refused += 1
            raise full_disk()
        db.execute("COMMIT")
