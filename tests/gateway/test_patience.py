"""Late tasks are interrupted, punctual ones are not, and a cancellation from elsewhere stays one."""

from __future__ import annotations

import asyncio

import pytest

from buoy.gateway.patience import TICK_S, LateError, Patience
from tests import clock


async def take(patience: Patience, limit_s: float, seconds: float) -> str:
    try:
        with patience.limit(limit_s):
            await asyncio.sleep(seconds)
    except LateError:
        return "late"
    await asyncio.sleep(0)  # and the task lives on
    return "done"


def test_each_task_has_its_own_limit_under_one_timer() -> None:
    async def main() -> list[str]:
        patience = Patience()
        loop = asyncio.get_running_loop()
        began = loop.time()
        both = await asyncio.gather(take(patience, 5, 60), take(patience, 1, 60), take(patience, 9, 3))
        assert loop.time() - began == pytest.approx(5)
        assert await take(patience, 2, 60) == "late"
        assert loop.time() - began == pytest.approx(7)
        patience.stop()
        return list(both)

    assert clock.run(main()) == ["late", "late", "done"]


def test_a_cancellation_from_elsewhere_passes_through() -> None:
    async def main() -> None:
        patience = Patience()
        task = asyncio.ensure_future(take(patience, 5, 60))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not patience._until
        patience.stop()

    clock.run(main())


def test_who_is_cancelled_while_late_is_cancelled() -> None:
    async def main() -> None:
        patience = Patience()
        task = asyncio.ensure_future(take(patience, 5, 60))
        await asyncio.sleep(0)
        patience._until[task] = 0.0
        patience._sweep()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        patience.stop()

    clock.run(main())


def test_a_pause_is_not_held_against_the_task() -> None:
    async def main() -> None:
        patience = Patience()

        async def stores_for_long(after_s: float) -> str:
            try:
                with patience.limit(5):
                    await asyncio.sleep(3)
                    with patience.pause():
                        await asyncio.sleep(60)
                    await asyncio.sleep(after_s)
            except LateError:
                return "late"
            return "done"

        began = asyncio.get_running_loop().time()
        assert list(await asyncio.gather(stores_for_long(1), stores_for_long(9))) == ["done", "late"]
        assert asyncio.get_running_loop().time() - began == pytest.approx(65)
        assert not patience._until
        patience.stop()

    clock.run(main())


def test_a_pause_of_another_task_that_outlives_the_block_arms_nothing() -> None:
    async def main() -> None:
        patience, loop = Patience(), asyncio.get_running_loop()
        outside = loop.create_future()

        async def pauses(task: asyncio.Task[str]) -> None:
            with patience.pause(task):
                await outside

        async def works() -> str:
            with patience.limit(5):
                await asyncio.sleep(4)
            await asyncio.sleep(60)  # behind its limit: nobody may interrupt this
            return "done"

        task = asyncio.ensure_future(works())
        await asyncio.sleep(1)
        other = asyncio.ensure_future(pauses(task))
        await asyncio.sleep(10)
        outside.set_result(None)
        assert await task == "done"
        await other
        assert not patience._until
        patience.stop()

    clock.run(main())


def test_a_process_that_stood_still_gave_nobody_that_time() -> None:
    async def main() -> None:
        patience = Patience()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.JumpingLoop)
        task = asyncio.ensure_future(take(patience, 90, 60))
        await asyncio.sleep(10)
        loop._world.now += 93  # SIGSTOP: the clock went on, and nothing else did
        await asyncio.sleep(40)
        assert await task == "done"
        slow = asyncio.ensure_future(take(patience, 20, 1000))
        await asyncio.sleep(1)
        loop._world.now += 93
        began = loop.time()
        assert await slow == "late"
        assert loop.time() - began == pytest.approx(19, abs=TICK_S)
        patience.stop()

    clock.run(main())
