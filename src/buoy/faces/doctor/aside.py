"""Work that blocks, on a daemon thread with a deadline: a dead disk or name server must not hold a doctor up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def aside(job: Callable[[], T], within_s: float) -> T:
    """Run ``job`` and return or raise what it does.

    Raises:
        TimeoutError: it takes longer. The thread is left to itself; the end of the process does not wait for it.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001  whoever waits gets it
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    async with asyncio.timeout(within_s):
        return await ended
