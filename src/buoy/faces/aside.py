"""Work that blocks, on a daemon thread: a dead disk, name server or service holds up neither a loop nor an end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def aside(job: Callable[[], T], within_s: float | None = None, *, name: str) -> T:
    """Run ``job`` on a thread called ``buoy-<name>`` and return or raise what it does.

    Raises:
        TimeoutError: it takes longer than ``within_s``.
    Cancellation propagates. Nobody waits for the thread any more then, not even the end of the process.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            tell: partial[None] = partial(_settle, ended, ended.set_result, job())
        except BaseException as error:  # noqa: BLE001  whoever waits gets it
            tell = partial(_settle, ended, ended.set_exception, error)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, name=f"buoy-{name}", daemon=True).start()
    async with asyncio.timeout(within_s):
        return await ended


def _settle(ended: asyncio.Future[Any], end: Callable[[Any], None], what: object) -> None:
    if not ended.done():
        end(what)
