"""How a connection ends: told to stop in any phase, cancelled, or by a bug; nothing of it stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from buoy.protocol.session import Phase
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.between import Stalled
from tests.shells.rig import Rig, rig

Prepare = Callable[[Rig], Awaitable[None]]


async def _locating(r: Rig) -> None:
    r.network.is_half_open = True


async def _opening(r: Rig) -> None:
    r.network.hangs_sockets = True


def _with(kind: str) -> Prepare:
    async def add(r: Rig) -> None:
        if kind in {"no_resumed", "op9"}:
            r.start()
            await r.live()
            await r.end()
        r.network.world.faults.add(kind)

    return add


async def _reserving(r: Rig) -> None:
    door = r.connection._intake
    assert isinstance(door, Stalled)
    door.is_stalled = True


async def _nothing(_: Rig) -> None:
    pass


async def _refused(r: Rig) -> None:
    r.network.refuses_sockets = True


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize(
    ("phase", "prepare"),
    [
        (Phase.LOCATING, _locating),
        (Phase.OPENING, _opening),
        (Phase.GREETING, _with("no_hello")),
        (Phase.RESERVING, _reserving),
        (Phase.IDENTIFYING, _with("no_ready")),
        (Phase.RESUMING, _with("no_resumed")),
        (Phase.LIVE, _nothing),
        (Phase.LINGERING, _with("op9")),
        (Phase.WAITING, _refused),
        (Phase.BLOCKED, _with("taken_down")),
    ],
)
def test_stop_returns_within_its_bound_and_leaves_nothing(
    phase: Phase,
    prepare: Prepare,
    is_cut: bool,  # noqa: FBT001
    is_cancelled: bool,  # noqa: FBT001
) -> None:
    async def main() -> None:
        async with rig(wrap=Stalled) as r:
            await prepare(r)
            task = r.start()
            await r.until(lambda: r.phase is phase, 60, 0.01)
            r.network.is_half_open = is_cut or r.network.is_half_open
            began = r.loop.time()
            if is_cancelled:
                task.cancel()
                await asyncio.wait([task])
            else:
                await r.connection.stop()
            assert r.loop.time() - began <= (1.1 if r.network.is_half_open else 0.01)  # a close that nobody answers
            await asyncio.sleep(0)
            assert task.done()
            assert r.connection._tasks == set()
            assert r.network.open == []
            assert r.phase is Phase.STOPPED
            assert not r.connection.health()["connected"]
            sockets, opened = len(r.network.sockets), len(r.network.opened)
            await asyncio.sleep(3600)  # a timer that was left behind would show now
            assert (len(r.network.sockets), len(r.network.opened)) == (sockets, opened)
            assert r.phase is Phase.STOPPED

    clock.run(main())


def test_stopped_before_it_ran_it_does_not_run() -> None:
    async def main() -> None:
        async with rig() as r:
            await r.connection.stop()
            await r.start()
            assert r.network.opened == []

    clock.run(main())


def test_a_bug_inside_ends_run_and_the_supervisor_starts_it_anew_from_the_store() -> None:
    async def main() -> None:
        async with rig() as r:
            supervisor = r.app.supervisor
            supervisor.keep("shard0", r.connection.run)
            await r.live()
            first = r.network.say("before")
            await asyncio.sleep(1)
            session, stored = r.cursor
            keeper = vars(r.connection._keeper)
            keeper["keep"] = _boom
            second = r.network.say("boom")
            await r.until(lambda: not r.connection.health()["connected"], 1, 0)
            del keeper["keep"]
            await r.until(lambda: supervisor.children["shard0"].restarts == 1, 5)
            assert "boom" in supervisor.children["shard0"].last_end
            await r.live(10)
            await asyncio.sleep(0.1)
            assert [(d["session_id"], d["seq"]) for d in r.network.frames(Op.RESUME)] == [(session, stored)]
            assert r.rows() == [first, second]
            assert len(r.network.open) == 1
            await r.connection.stop()

    clock.run(main())


def _boom(*_: object, **__: object) -> None:
    raise RuntimeError("boom")
