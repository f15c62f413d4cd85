"""Commits that do not give up: again and again while the disk refuses, because what they record has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from buoy.durable.store import Store
from buoy.errors import StoreError, StoreLostError
from buoy.logger import Logger

STORE_RETRY_S = 1.0

log = Logger("buoy.store")


class Commits:
    """One store's stubborn callers. ``is_stopping`` ends the retries of those that nobody awaits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_stopping = False

    async def insist(self, job: Callable[..., Any], *args: Any) -> Any:
        """Commit what the next step builds on; returns the job's result once it is on disk."""
        while True:
            try:
                return await self._store.write(job, *args)
            except StoreError as error:
                log.warning("not committed yet", job=getattr(job, "__name__", ""), error=str(error))
                await asyncio.sleep(STORE_RETRY_S)

    def later(self, job: Callable[..., Any], *args: Any, then: Callable[[], None]) -> None:
        """Commit without waiting, and call ``then`` when that is done; a crash before that repeats what led here."""
        self._store.write(job, *args).add_done_callback(partial(self._ended, job, args, then))

    def _ended(
        self, job: Callable[..., Any], args: tuple[Any, ...], then: Callable[[], None], done: asyncio.Future[Any]
    ) -> None:
        if done.cancelled():
            return
        if (error := done.exception()) is None:
            then()
            return
        log.warning("not committed yet", job=getattr(job, "__name__", ""), error=str(error))
        if isinstance(error, StoreError) and not isinstance(error, StoreLostError) and not self.is_stopping:
            asyncio.get_running_loop().call_later(STORE_RETRY_S, partial(self.later, job, *args, then=then))
