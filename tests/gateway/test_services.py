"""Behaviours S2-S4: whatever ends besides a shutdown begins again, soon; nothing waits for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import structlog

from buoy.gateway.supervisor import Supervisor
from buoy.letters import Letter, Outcome
from tests import clock
from tests.gateway.fakes import BEN, Line, World, play
from tests.shells.rig import rig


def inner(name: str) -> asyncio.Task[Any]:
    """The task in which a service itself runs; the other one of its name keeps it."""
    found = [task for task in asyncio.all_tasks() if task.get_name() == name and "_once" in repr(task.get_coro())]
    assert len(found) == 1
    return found[0]


async def _within(seconds: float, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_every_service_that_runs_is_back_within_a_second_of_its_cancellation() -> None:
    """S2, S3 and S4 on what really runs: a service that is added is tested too."""

    async def main() -> None:
        async with rig() as r:
            await r.app.start()
            connection = r.qq.connection
            assert connection is not None
            names = set(r.app.supervisor.children)
            assert len(names) >= 2
            for name in names:
                await _within(60, lambda: connection.state.connected)
                child = r.app.supervisor.children[name]
                before, old = child.restarts, inner(name)
                old.cancel()
                await _within(1, partial(_is_new, name, old))
                assert child.restarts == before + 1
                assert child.last_end == "cancelled from inside"
                await _within(1.5, lambda: connection.state.connected)
            await connection.stop()

    clock.run(main())


def _is_new(name: str, old: asyncio.Task[Any]) -> bool:
    return old.done() and any(
        task is not old and task.get_name() == name and "_once" in repr(task.get_coro()) for task in asyncio.all_tasks()
    )


class Mute:
    """A log whose other end is gone."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def say(*_: Any, **__: Any) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        return say


class Group(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [ValueError("a bug"), Group("a bug")])
def test_the_supervisor_itself_is_supervised(error: BaseException) -> None:
    """S3: neither a log that cannot be written nor an error of any kind ends the keeping of a service."""
    started: list[float] = []

    async def service() -> None:
        started.append(asyncio.get_running_loop().time())
        raise error

    async def main() -> None:
        supervisor = Supervisor()
        structlog.configure(wrapper_class=None, processors=[], logger_factory=lambda *_: Mute())
        try:
            supervisor.keep("it", service)
            await asyncio.sleep(600)
        finally:
            structlog.reset_defaults()
        assert len(started) >= 100
        assert max(later - earlier for earlier, later in pairwise(started)) <= 5.1
        assert supervisor.children["it"].restarts >= len(started) - 1
        assert supervisor.children["it"].last_end.startswith("not kept: ")
        await supervisor.stop(timeout_s=1)
        count = len(started)
        await asyncio.sleep(60)
        assert len(started) == count

    clock.run(main())


class Cancelling(Line):
    """A library underneath that raises a cancellation nobody asked for, the first time."""

    is_first = True

    async def deliver(self, letter: Letter) -> Outcome:
        if self.is_first:
            self.is_first = False
            raise asyncio.CancelledError
        return await super().deliver(letter)


def test_a_delivery_that_is_cancelled_from_inside_does_not_block_its_conversation() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.put("behind")
        await world.put("other", lane=BEN)
        async with asyncio.timeout(60):
            await world.settle()
        assert world.states() == dict.fromkeys(["k/1", "behind/1", "other/1"], "sent")
        assert world.line.texts().count("k") == 1
        assert world.app.sender.active == 0

    play(test, line=Cancelling())
