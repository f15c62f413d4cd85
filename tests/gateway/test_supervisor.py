"""Services that always run again, jobs whose end somebody sees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from buoy.errors import StoreError
from buoy.gateway.supervisor import Supervisor
from tests import clock


def now() -> float:
    return asyncio.get_running_loop().time()


async def returns() -> None:
    await asyncio.sleep(0)


async def raises() -> None:
    raise ValueError("as services do")


async def refuses() -> None:
    raise StoreError("the disk is full")


async def raises_cancelled() -> None:
    raise asyncio.CancelledError


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(3600)


async def cancels_what_it_waits_for() -> None:
    inner = asyncio.ensure_future(asyncio.sleep(3600))
    asyncio.get_running_loop().call_later(1, inner.cancel)
    await inner


ENDS: dict[Callable[[], Awaitable[None]], str] = {
    returns: "returned",
    raises: "ValueError: as services do",
    refuses: "StoreError: the disk is full",
    raises_cancelled: "cancelled from inside",
    cancels_itself: "cancelled from inside",
    cancels_what_it_waits_for: "cancelled from inside",
}


@pytest.mark.parametrize("service", ENDS)
def test_whatever_ended_is_restarted_within_5_s_for_ever_and_counted(service: Callable[[], Awaitable[None]]) -> None:
    started: list[float] = []

    async def counting() -> None:
        started.append(now())
        await service()

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("it", counting)
        await asyncio.sleep(3600)
        child = supervisor.children["it"]
        assert len(started) >= 3600 / 7
        assert child.restarts in {len(started), len(started) - 1}
        assert child.last_end == ENDS[service]
        gaps = [later - earlier for earlier, later in pairwise(started)]
        assert max(gaps) <= 6.1
        assert gaps[0] <= 1.2, "the first time at once"
        await supervisor.stop(timeout_s=1)
        count = len(started)
        await asyncio.sleep(60)
        assert len(started) == count

    clock.run(main())


def test_a_stable_minute_makes_the_next_restart_quick_again() -> None:
    started: list[float] = []

    async def service() -> None:
        started.append(now())
        await asyncio.sleep(61 if len(started) == 6 else 0)

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("it", service)
        await asyncio.sleep(100)
        assert started[5] - started[4] == pytest.approx(5.0)
        assert started[6] - started[5] == pytest.approx(61.1)
        await supervisor.stop(timeout_s=1)

    clock.run(main())


def test_one_that_fails_does_not_touch_the_others() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("bad", raises)
        supervisor.keep("good", forever)
        await asyncio.sleep(600)
        assert supervisor.children["good"].restarts == 0
        await supervisor.stop(timeout_s=1)

    clock.run(main())


def test_stop_ends_services_and_jobs_at_once_and_nothing_awaits_itself() -> None:
    async def stopping(supervisor: Supervisor) -> None:
        await supervisor.stop(timeout_s=1)

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("service", lambda: asyncio.sleep(3600))
        supervisor.start(asyncio.sleep(3600))
        await asyncio.sleep(1)
        began = now()
        await supervisor.stop(timeout_s=5)
        assert now() - began < 0.1
        assert supervisor.jobs == 0

    clock.run(main())


def test_a_loop_that_closes_ends_services_also_without_a_stop() -> None:
    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("it", lambda: asyncio.sleep(3600))
        await asyncio.sleep(1)
        tasks = [task for task in asyncio.all_tasks() if task.get_name() == "it"]
        for task in tasks:
            task.cancel()
        await asyncio.sleep(60)
        assert len(tasks) == 2
        assert all(task.done() for task in tasks)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "it"]

    clock.run(main())


def test_a_service_that_may_stay_ended_does() -> None:
    started = 0

    async def service() -> None:
        nonlocal started
        started += 1
        await asyncio.sleep(1)

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("it", service)
        supervisor.is_stopping = True
        await asyncio.sleep(60)
        assert started == 1
        await supervisor.stop(timeout_s=1)

    clock.run(main())


def test_stop_waits_no_longer_than_told_for_what_does_not_listen() -> None:
    async def deaf() -> None:
        for _ in range(100):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        supervisor = Supervisor()
        supervisor.keep("deaf", deaf)
        supervisor.start(deaf())
        await asyncio.sleep(0.05)
        began = now()
        await supervisor.stop(timeout_s=2)
        assert now() - began == pytest.approx(2)
        await asyncio.sleep(20)  # it ends with its own patience

    clock.run(main())


def test_a_job_that_raises_is_counted_and_one_that_is_cancelled_is_not() -> None:
    async def main() -> None:
        supervisor = Supervisor()
        supervisor.start(raises())
        supervisor.start(returns())
        supervisor.start(cancels_itself())
        assert supervisor.jobs == 3
        await asyncio.sleep(1)
        assert (supervisor.jobs, supervisor.job_failures) == (0, 1)

    clock.run(main())
