"""Behaviours S2, S6 and S7: what a connection is made of may end in any way, at any time, and for an hour."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog

from buoy.chat import Agent, Message
from buoy.protocol.session import Phase
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.memory import BOT
from tests.shells.rig import Rig, rig


async def supervised(r: Rig) -> None:
    r.app.supervisor.keep("shard0", r.connection.run)
    await r.live()


async def _cancelled(r: Rig) -> None:
    assert r.connection._reader is not None
    r.connection._reader.cancel()


async def _raises(r: Rig) -> None:
    async def receive() -> None:
        raise ZeroDivisionError("a bug")

    vars(r.connection._socket)["receive"] = receive
    r.network.say("so that the next receive begins")


async def _run_cancelled(r: Rig) -> None:
    (task,) = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__name__", "") == "_once"]
    task.cancel()


@pytest.mark.parametrize("end", [_cancelled, _raises, _run_cancelled])
def test_s2_however_the_receiving_task_ends_it_runs_again_within_5_seconds(
    end: Callable[[Rig], Awaitable[None]],
) -> None:
    async def main() -> None:
        async with rig() as r:
            await supervised(r)
            for n in range(1, 4):
                await end(r)
                await asyncio.sleep(5)
                assert len(r.network.sockets) == n + 1
                await r.live(2)
                assert r.app.supervisor.children["shard0"].restarts == n
                await asyncio.sleep(70)
            said = r.network.say("after all that")
            await asyncio.sleep(1)
            assert r.rows()[-1] == said
            assert r.identifies == 1
            await r.connection.stop()
            await r.app.supervisor.stop(timeout_s=1)

    clock.run(main())


@pytest.mark.parametrize("phase", [Phase.LOCATING, Phase.OPENING])
def test_s2_an_attempt_that_is_cancelled_from_outside_ends_in_time(phase: Phase) -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.is_half_open = phase is Phase.LOCATING
            r.network.hangs_sockets = phase is Phase.OPENING
            r.start()
            await r.until(lambda: r.phase is phase, 5)
            assert r.connection._attempt is not None
            r.connection._attempt.cancel()
            r.network.is_half_open = r.network.hangs_sockets = False
            await r.live(45)

    clock.run(main())


def test_s4_a_failure_inside_the_reading_task_itself_restarts_within_a_second() -> None:
    async def main() -> None:
        async with rig() as r:
            await supervised(r)
            keep = r.connection._keeper.keep

            def broken(*_: object, **__: object) -> None:
                vars(r.connection._keeper)["keep"] = keep
                raise ZeroDivisionError("a bug")

            vars(r.connection._keeper)["keep"] = broken
            said = r.network.say("what the bug meets")
            await asyncio.sleep(1)
            assert r.app.supervisor.children["shard0"].last_end.startswith("ZeroDivisionError")
            await r.live(1)
            await asyncio.sleep(1)
            assert r.rows() == [said]
            await r.connection.stop()
            await r.app.supervisor.stop(timeout_s=1)

    clock.run(main())


def test_p1_an_agent_that_takes_its_time_delays_no_heartbeat() -> None:
    async def slow(_: Message) -> None:
        await asyncio.sleep(500)

    async def main() -> None:
        async with rig() as r:
            r.app.agents[BOT] = Agent(slow, "slow")
            r.start()
            await r.live()
            for n in range(5):
                r.network.say(f"m{n}", user=n)
            await asyncio.sleep(400)
            assert r.app.worker.active == 5
            assert len(r.network.times(Op.HEARTBEAT)) == 400 // 45
            assert len(r.network.sockets) == 1
            await asyncio.sleep(200)

    clock.run(main())


def test_s6_every_attempt_leaves_a_line_in_the_log() -> None:
    async def main() -> None:
        structlog.reset_defaults()
        async with rig() as r:
            r.network.world.faults.add("drop_after_ready", count=None)
            with structlog.testing.capture_logs() as lines:
                r.start()
                await asyncio.sleep(3600)
            told = [line for line in lines if line["event"] == "phase" and line["log_level"] == "info"]
            waits = [line for line in told if line["now"] == "waiting"]
            assert len(waits) >= len(r.network.opened) - 1 > 10
            assert all(line["cause"] and line["bot"] for line in waits)

    clock.run(main())


@pytest.mark.parametrize("survives", [False, True])
def test_s7_after_an_hour_s_suspend_it_is_connected_again_within_a_minute(survives: bool) -> None:  # noqa: FBT001
    """The machine sleeps: no code runs, the clock goes on. The platform has dropped the connection, or has not."""

    async def main() -> None:
        async with rig(resume_s=7200.0) as r:
            r.start()
            await r.live()
            await asyncio.sleep(100)
            (socket,) = r.network.open
            if not survives:
                r.network.is_half_open = True  # the end of it never reaches us
                socket.is_open = False
                socket.peer.lost(r.network.wall())
                r.network.is_half_open = False
            assert isinstance(r.loop, clock.JumpingLoop)
            r.loop._world.now += 3600
            woke_at = r.loop.time()
            said = r.network.say("good morning")
            await r.until(lambda: r.rows() == [said], 60)
            await r.live(60)
            assert r.loop.time() - woke_at <= 60
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())
