"""A whole Buoy in this process, for the rules: the real app, QQ platform and file against the simulated platform."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from buoy.chat import Agent, Message
from buoy.durable.store import Store
from buoy.errors import NotStoredError
from buoy.gateway.app import App
from buoy.letters import Intake
from buoy.platforms.qq.platform import QQ, Account
from buoy.protocol.wire import Intent
from buoy.sim.simulator import DEFAULT_BOT, Sim

EVERYTHING = int(sum(Intent))
UNDER_WAY = frozenset({"queued", "claimed"})
COMMIT_S = 20.0  # longest that a test keeps a commit waiting
APP_ID, SECRET = DEFAULT_BOT


async def echo(message: Message) -> str:
    return message.text


class Waiting:
    """An agent that answers with the text it got, once that text was let go."""

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self._gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.began: list[Message] = []
        self.running: set[str] = set()

    async def answer(self, message: Message) -> str:
        self.began.append(message)
        self.running.add(message.text)
        self._sim._changed()
        try:
            await self._gates[message.text].wait()
        finally:
            self.running.discard(message.text)
        return message.text

    def let_go(self, *texts: str) -> None:
        for text in texts:
            self._gates[text].set()

    async def has_run(self, times: int) -> None:
        """Wait until so many runs have begun."""
        await self._sim.until(lambda: len(self.began) == times)

    def has_begun(self, text: str) -> bool:
        return any(message.text == text for message in self.began)


def waiting_agent(buoy: Buoy) -> Waiting:
    """The agent of a Buoy that was prepared with :class:`Waiting`."""
    agent = getattr(buoy.agent.answer, "__self__", None)
    assert isinstance(agent, Waiting)
    return agent


class Disk:
    """Every COMMIT: looked at before it happens, refused, or kept waiting."""

    def __init__(self) -> None:
        self.refuses: Callable[[sqlite3.Connection], object] = lambda _: False
        """Says for which transactions the disk is full."""
        self.holds: Callable[[sqlite3.Connection], object] = lambda _: False
        """Says which transactions have to wait for ``go_on``."""
        self.go_on = threading.Event()
        self.looks: list[Callable[[sqlite3.Connection], object]] = []
        """Each is given the transaction that is about to be committed; what it returns and is true is kept."""
        self.seen: list[object] = []

    def __call__(self, db: sqlite3.Connection) -> None:
        if self.holds(db):
            assert self.go_on.wait(COMMIT_S)
        if self.refuses(db):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        self.seen += [seen for look in self.looks if (seen := look(db))]
        db.execute("COMMIT")


class Buoy:
    """One data directory, and the Buoys that run on it one after the other. Its wall clock is the platform's."""

    def __init__(self, sim: Sim, directory: Path, agent: Agent) -> None:
        self.sim = sim
        self.directory = directory
        self.agent = agent
        self.disk = Disk()
        self.account: dict[str, Any] = {"intents": EVERYTHING}
        self.settings: dict[str, Any] = {}
        """What :class:`App` takes besides its parts."""
        self._app: App | None = None

    # --- life ----------------------------------------------------------------------------------------------

    async def start(self, *, live: bool = True) -> None:
        base = self.sim.api_base
        account = {"app_id": APP_ID, "secret": SECRET, "api_bases": (base,), "token_urls": (self.sim.token_url,)}
        store = Store.open(self.directory, now=self.wall(), commit=self.disk)
        committed = store._committed

        def look_again(error: BaseException | None) -> None:
            committed(error)
            self._nudge(5)

        vars(store)["_committed"] = look_again
        platform = _Quick(Account(**account | self.account), environ={}, monotonic=self.sim.clock.now, wall=self.wall)
        platform.changed = self.sim._changed
        app = self._app = App(store, [platform], {platform.bot: self.agent}, wall=self.wall, **self.settings)
        for part in (app.sender._courier, app.worker.runs):
            part._draw = _hasty
        await app.start()
        if live:
            await self.sim.until(lambda: self.is_live and self.bot["stored"] > 0)

    async def stop(self, deadline_s: float = 1.0) -> None:
        app, self._app = self.app, None
        await app.stop(deadline_s=deadline_s)

    async def crash(self) -> None:
        """End without a word: what is not on disk in this moment never happened."""
        app, self._app = self.app, None
        after = self.directory.with_name(self.directory.name + "+")
        after.mkdir(mode=0o700)
        for name in ("buoy.db", "buoy.db-wal"):
            shutil.copy(self.directory / name, after / name)
        self.directory = after
        app.worker.stop()
        app.sender.stop()
        self.disk.refuses = lambda _: True
        await app.supervisor.stop(timeout_s=3.0)
        await self._let_go(app)
        self.disk.refuses = lambda _: False

    @staticmethod
    async def _let_go(app: App) -> None:
        for platform in app.platforms.values():
            await platform.close()
            await platform.release()
        for agent in app.agents.values():
            await agent.close()
        await app.store.close(3.0)

    async def close(self) -> None:
        self.disk.go_on.set()
        if self._app is not None:
            await self.stop()

    def _nudge(self, times: int) -> None:
        """Let `sim.until` look again now and after what follows a commit has run."""
        self.sim._changed()
        if times:
            asyncio.get_running_loop().call_soon(self._nudge, times - 1)

    # --- look ----------------------------------------------------------------------------------------------

    @property
    def app(self) -> App:
        assert self._app is not None
        return self._app

    @property
    def platform(self) -> QQ:
        (platform,) = self.app.platforms.values()
        assert isinstance(platform, QQ)
        return platform

    def wall(self) -> float:
        return self.sim.clock.now()

    @property
    def bot(self) -> dict[str, Any]:
        """What the status tells of the bot."""
        told: dict[str, Any] = self.app.health()["bots"][self.platform.bot]
        return told

    @property
    def is_live(self) -> bool:
        return bool(self.bot["connected"])

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """What is committed, as another process sees it."""
        with closing(sqlite3.connect(f"file:{self.directory / 'buoy.db'}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, values)]

    def event(self, message_id: str) -> dict[str, Any]:
        """The row of a message; all of it is empty as long as there is none."""
        rows = self.rows("SELECT * FROM inbox WHERE key = ?", message_id)
        return rows[0] if rows else defaultdict(str)

    def letters(self, text: str = "") -> list[dict[str, Any]]:
        return [row for row in self.rows("SELECT * FROM outbox ORDER BY id") if text in (row["body"] or b"").decode()]

    def letter(self, text: str) -> dict[str, Any]:
        (row,) = self.letters(text)
        return row

    @property
    def cursor(self) -> tuple[str, int]:
        (row,) = self.rows("SELECT session, stored FROM cursor")
        return row["session"], row["stored"]

    # --- do ------------------------------------------------------------------------------------------------

    async def send(self, target: str, text: str) -> str:
        """Send, as often as a busy disk takes more than 100 ms; returns what is known then."""
        while True:
            with suppress(NotStoredError):
                return (await self.app.send(target, text, key=text)).state.value

    async def answered(self, *messages: str, times: int = 1) -> None:
        """Wait until each of these was answered."""
        await self.sim.until(lambda: all(len(self.sim.replies(one)) >= times for one in messages))

    async def stored(self, seq: int) -> None:
        """Wait until the cursor stands at this sequence."""
        await self.sim.until(lambda: self.cursor[1] == seq)

    async def ends(self, text: str) -> str:
        """Wait until the letter with this text is not under way any more; returns its state."""
        await self.sim.until(lambda: bool(self.letters(text)) and self.letter(text)["state"] not in UNDER_WAY)
        await self.sim.until(lambda: self.app.sender.is_idle and not self.app.store.stats.waiting)
        return str(self.letter(text)["state"])

    async def settled(self) -> None:
        """Wait until nothing is left that could go on now."""
        app = self.app
        await self.sim.until(lambda: app.worker.is_idle and app.sender.is_idle and not app.store.stats.waiting)

    def inject(self, frame: str) -> None:
        """Let the platform send this frame as it stands on every connection."""
        for peer in self.sim._server.peers:
            peer.push(frame.encode())

    def dispatch(self, fields: str) -> int:
        """Let it send a dispatch with these JSON fields and the session's next sequence; returns that."""
        (session,) = self.sim.world.live(self.sim.world.bot())
        session.s += 1
        self.inject(f'{{"op":0,"s":{session.s},{fields}}}')
        return session.s


class _Quick(QQ):
    """Draws the shortest pause and tells of each phase."""

    changed: Callable[[], None] = staticmethod(lambda: None)

    def services(self, intake: Intake) -> Any:
        services = super().services(intake)
        vars(self.connection).update(_draw=_shortest, _on_change=self.changed)
        return services


def _hasty(low: float, _high: float) -> float:
    """Pauses between two tries of a turn or a letter: no rule is about their length."""
    return low / 10


def _shortest(low: float, _high: float) -> float:
    return low


class Requests(list[dict[str, Any]]):
    """Every send that reached the platform: its body, with `at` and `status` of the answer."""

    def __init__(self, sim: Sim) -> None:
        super().__init__()
        answer = sim._server.api.answer

        def note(method: str, place: Any, authorization: str | None, body: bytes, now: float) -> Any:
            answered = answer(method, place, authorization, body, now)
            if place is not None and place.endpoint == "send":
                self.append(msgspec.json.decode(body) | {"at": now, "status": answered.status})
            return answered

        vars(sim._server.api)["answer"] = note


@asynccontextmanager
async def prepared(directory: Path, answer: Any = echo, **settings: Any) -> AsyncIterator[tuple[Sim, Buoy]]:
    """A platform, and a Buoy that has not been started. ``settings`` are the platform's."""
    async with Sim(**{"limits": False, "lifetime_s": None} | settings) as sim:
        made = answer(sim) if isinstance(answer, type) else None
        agent = answer if isinstance(answer, Agent) else Agent(made.answer if made is not None else answer, "agent")
        buoy = Buoy(sim, directory, agent)
        try:
            yield sim, buoy
        finally:
            await buoy.close()
