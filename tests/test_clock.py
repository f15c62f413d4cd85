"""The jumping clock keeps its word, because every shell test leans on it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import clock


def now() -> float:
    return asyncio.get_running_loop().time()


def test_ten_days_take_no_time() -> None:
    async def main() -> float:
        began = now()
        await asyncio.sleep(10 * 86_400)
        return now() - began

    began = time.monotonic()
    assert clock.run(main()) == pytest.approx(864_000)
    assert time.monotonic() - began < 1


def test_timers_fire_in_their_order_and_at_their_time() -> None:
    async def main() -> list[tuple[int, float]]:
        seen: list[tuple[int, float]] = []

        async def one(delay: int) -> None:
            await asyncio.sleep(delay)
            seen.append((delay, now() - clock.START))

        await asyncio.gather(*(one(delay) for delay in (3600, 1, 60)))
        return seen

    assert clock.run(main()) == [(1, 1.0), (60, 60.0), (3600, 3600.0)]


def test_what_is_ready_runs_before_the_clock_moves() -> None:
    async def main() -> float:
        later = asyncio.create_task(asyncio.sleep(5))
        for _ in range(1000):
            await asyncio.sleep(0)
        before = now()
        await later
        return before

    assert clock.run(main()) == clock.START


@pytest.mark.parametrize("own", [False, True])
def test_no_jump_while_an_executor_job_runs(own: bool) -> None:  # noqa: FBT001
    async def main() -> tuple[float, bool]:
        go = threading.Event()
        timer = asyncio.create_task(asyncio.sleep(1))
        with ThreadPoolExecutor(1) if own else contextlib.nullcontext() as pool:
            job = asyncio.get_running_loop().run_in_executor(pool, go.wait, 10)
            threading.Timer(0.05, go.set).start()
            released = await job
            at = now()
        assert not timer.done()
        await timer
        return at, released

    assert clock.run(main()) == (clock.START, True)


def test_hold_keeps_the_clock_for_a_thread_of_ones_own() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.JumpingLoop)
        done = asyncio.Event()
        timer = asyncio.create_task(asyncio.sleep(1))
        with loop.hold():
            threading.Timer(0.05, lambda: loop.call_soon_threadsafe(done.set)).start()
            await done.wait()
        at = now()
        await timer
        return at

    assert clock.run(main()) == clock.START


def test_bytes_between_sockets_of_one_process_come_before_the_jump() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async def main() -> float:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for _ in range(20):
                async with asyncio.timeout(3600):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"hello\n")
                    assert await reader.read() == b"hello\n"
                    writer.close()
                    await writer.wait_closed()
        return now()

    assert clock.run(main()) == clock.START


def test_a_listening_socket_does_not_slow_the_clock() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0):
            for _ in range(2000):
                await asyncio.sleep(60)

    began = time.monotonic()
    clock.run(main())
    assert time.monotonic() - began < 2000 * clock.SOCKET_GRACE_S / 2


def test_a_timeout_is_virtual_too() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(300):
                await asyncio.Event().wait()
        return now() - clock.START

    assert clock.run(main()) == pytest.approx(300)


def test_waiting_for_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "STUCK_S", 0.01)
    with pytest.raises(clock.Stuck):
        clock.run(_forever())


async def _forever() -> None:
    await asyncio.Event().wait()


def test_a_leaked_task_fails_the_run() -> None:
    async def main() -> None:
        _keep.append(asyncio.create_task(asyncio.sleep(3600), name="the leak"))

    _keep: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match="the leak"):
        clock.run(main())


def test_a_task_that_was_just_cancelled_is_no_leak() -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()

    clock.run(main())


def test_an_error_nobody_looked_at_fails_the_run() -> None:
    async def fail() -> None:
        raise ValueError("lost")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        del task

    with pytest.raises(AssertionError, match="lost"):
        clock.run(main())


def test_the_error_of_the_test_itself_comes_through() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        clock.run(main())
