"""Work on a thread that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from buoy.faces.aside import aside


def test_what_never_ends_is_left_behind() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await aside(lambda: release.wait(30), 0.02, name="test")
        assert await aside(lambda: 7, 5.0, name="test") == 7
        with pytest.raises(ZeroDivisionError):
            await aside(lambda: 1 // 0, 5.0, name="test")

    try:
        asyncio.run(main())
    finally:
        release.set()


def test_who_gives_up_is_told_nothing_more_and_the_thread_is_no_reason_to_stay() -> None:
    release, threads = threading.Event(), list[threading.Thread]()

    def job() -> None:
        threads.append(threading.current_thread())
        release.wait(30)

    async def main() -> None:
        task = asyncio.create_task(aside(job, name="test"))
        while not threads:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    release.set()  # its loop is closed: the answer goes nowhere, and nothing is raised
    threads[0].join(5)
    assert not threads[0].is_alive()
    assert (threads[0].name, threads[0].daemon) == ("buoy-test", True)
