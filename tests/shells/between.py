"""Intakes that stand before the real one and spoil something."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.letters import Arrival, Cursor, Intake

Job = asyncio.Future[Any]


class Between:
    """Passes everything on."""

    def __init__(self, door: Intake) -> None:
        self.door = door

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        return self.door.put(arrival, opens_session=opens_session)

    def cursor(self, bot: str, shard: int) -> Cursor | None:
        return self.door.cursor(bot, shard)

    def record_identify(self, bot: str, shard: int) -> Job:
        return self.door.record_identify(bot, shard)

    def identifies(self, bot: str, since: float) -> int:
        return self.door.identifies(bot, since)

    def unready(self, bot: str, shard: int, since: float) -> tuple[float, ...]:
        return self.door.unready(bot, shard, since)

    def mark_whole(self, bot: str, shard: int, *, session: str, stored: int, at: float) -> None:
        self.door.mark_whole(bot, shard, session=session, stored=stored, at=at)

    def changed(self, bot: str, shard: int, state: str, cause: str) -> None:
        self.door.changed(bot, shard, state, cause)


class Stalled(Between):
    """A disk that can stop answering: what is put then waits for :meth:`go_on`."""

    def __init__(self, door: Intake) -> None:
        super().__init__(door)
        self.is_stalled = False
        self.waiting: deque[tuple[Callable[[], Job], Job]] = deque()

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        return self._do(partial(super().put, arrival, opens_session=opens_session))

    def record_identify(self, bot: str, shard: int) -> Job:
        return self._do(partial(super().record_identify, bot, shard))

    def _do(self, job: Callable[[], Job]) -> Job:
        if not self.is_stalled:
            return job()
        promise: Job = asyncio.get_running_loop().create_future()
        self.waiting.append((job, promise))
        return promise

    def go_on(self) -> None:
        self.is_stalled = False
        while self.waiting:
            job, promise = self.waiting.popleft()
            job().add_done_callback(partial(_pass_on, promise))


def _pass_on(promise: Job, job: Job) -> None:
    if promise.cancelled():
        return
    if (error := job.exception()) is not None:
        promise.set_exception(error)
    else:
        promise.set_result(job.result())


class Poisoned(Between):
    """What we make of a frame that holds ``poison`` cannot be stored: SQLite takes no half surrogate pairs."""

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> Job:
        if b"poison" in arrival.frame and arrival.lane is not None:
            arrival = replace(arrival, key="\ud800")
        return super().put(arrival, opens_session=opens_session)
