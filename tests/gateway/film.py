"""What a kill would leave, at every moment of a run: after each commit, and before and after each request."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from buoy.chat import Agent
from buoy.durable import schema
from buoy.durable.store import Store, _start_boot
from buoy.gateway.app import App
from buoy.gateway.worker import Turns
from buoy.letters import Letter, Outcome
from tests import clock
from tests.gateway.fakes import Line, World, wall


@dataclass
class Frame:
    """The database and what the platform has taken, at one moment."""

    db: sqlite3.Connection
    taken: set[tuple[str, int]]
    shown: list[tuple[str, str]]

    def reopened(self) -> tuple[Store, Line]:
        """What the next process finds."""
        store = Store(self.db, self.db, _start_boot(self.db, wall()), threaded=False)
        return store, Line(taken=set(self.taken), shown=list(self.shown))


@dataclass
class Camera(Line):
    """A platform that takes a picture of the store whenever something may have changed."""

    store: Store | None = None
    frames: list[Frame] = field(default_factory=list)

    def shoot(self) -> None:
        if self.store is None:
            return
        db = schema.open_memory()
        self.store._writer.backup(db)
        self.frames.append(Frame(db, set(self.taken), list(self.shown)))

    def commit(self, db: sqlite3.Connection) -> None:
        db.execute("COMMIT")
        self.shoot()

    async def deliver(self, letter: Letter) -> Outcome:
        self.shoot()
        outcome = await super().deliver(letter)
        self.shoot()
        return outcome


Play = Callable[[World], Awaitable[None]]


def kill_everywhere(
    agent: Callable[[], Agent],
    play: Play,
    judge: Callable[[World], None],
    *,
    turns: Turns | None = None,
    most: int = 200,
) -> int:
    """Run ``play`` once; then, for every moment of it, let a next process take over and ``judge`` how that ends.

    Gives the number of moments.
    """
    camera = Camera()

    async def first() -> None:
        store = Store.open_memory(now=wall(), commit=camera.commit)
        camera.store = store
        app = App(store, [camera], {camera.bot: agent()}, wall=wall, turns=turns)
        await app.start()
        world = World(app, camera)
        await play(world)
        await world.settle()
        camera.store = None
        judge(world)
        await app.stop(deadline_s=5)

    clock.run(first())
    assert 0 < len(camera.frames) <= most

    async def then(frame: Frame) -> None:
        store, line = frame.reopened()
        app = App(store, [line], {line.bot: agent()}, wall=wall, turns=turns)
        await app.start()
        world = World(app, line)
        await world.settle()
        judge(world)
        await app.stop(deadline_s=5)

    for n, frame in enumerate(camera.frames):
        try:
            clock.run(then(frame))
        except AssertionError as error:
            raise AssertionError(f"killed at moment {n} of {len(camera.frames)}: {error}") from error
    return len(camera.frames)
