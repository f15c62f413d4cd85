"""One turn's way to its conversation: what it says is committed part by part, and its end with the last one.

Satisfies :class:`buoy.chat.Line`. While the disk takes nothing a commit is tried again until it does: an answer that
exists is not given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from buoy.chat import Button, NonsenseError, Part, Reply, as_reply
from buoy.durable.store import Store
from buoy.errors import StoreError, TurnOverError
from buoy.gateway import posting
from buoy.gateway.commits import STORE_RETRY_S
from buoy.gateway.patience import Patience
from buoy.gateway.posting import Batch
from buoy.gateway.sender import Sender
from buoy.gateway.turns import Running
from buoy.letters import Letter
from buoy.logger import Logger

log = Logger("buoy.worker")


class TurnLine:
    """The line of one run of one turn."""

    def __init__(
        self, running: Running, store: Store, sender: Sender, patience: Patience, *, wall: Callable[[], float]
    ) -> None:
        self._running = running
        self._event = running.event
        self._store = store
        self._sender = sender
        self._patience = patience
        self._wall = wall
        self._is_closed = False
        self._ending: asyncio.Future[Any] | None = None  # the commit that ends the turn, under way or done

    # --- for the agent ------------------------------------------------------------------------------------------

    async def say(self, part: Part, *, last: bool = False) -> int:
        """Queue one part; see :meth:`buoy.chat.Line.say`."""
        reply = as_reply(part)
        if not reply.text.strip():
            raise NonsenseError("an agent said nothing: the text is blank; to end a turn without a reply return None")
        self._check()
        bodies = self._sender.compose(self._event, [reply])
        if not bodies:
            raise NonsenseError("an agent said what the platform makes no message of")
        letters = await self._insist(bodies, (self._event.id, "") if last else None, is_said=True)
        return letters[-1].id

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        """Ask who wrote the message; see :meth:`buoy.chat.Line.ask`."""
        raise NotImplementedError

    # --- for the worker -----------------------------------------------------------------------------------------

    async def part(self, reply: Reply) -> None:
        """Queue what an agent that can continue has yielded."""
        await self._insist(self._sender.compose(self._event, [reply]), None, is_said=True)

    async def finish(self, replies: Sequence[Reply], *, reason: str = "") -> None:
        """End the turn and queue its letters, in one transaction."""
        bodies = self._sender.compose(self._event, replies) if replies else []
        await self._insist(bodies, (self._event.id, reason))

    def close(self) -> None:
        """The agent is done: nobody speaks here any more."""
        self._is_closed = True

    async def has_ended(self) -> bool:
        """Say whether the last part was said, and with it the turn ended; waits for a commit that is under way."""
        job = self._ending
        if job is None:
            return False
        await asyncio.wait([job])
        return not job.cancelled() and job.exception() is None

    # --- inside -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._is_closed or self._ending is not None:
            raise TurnOverError("this turn has ended; to write in its conversation use send()")

    async def _insist(
        self, bodies: Sequence[bytes], end: tuple[int, str] | None, *, is_said: bool = False
    ) -> list[Letter]:
        """Commit letters, and the end of their turn where it has come. A full disk is waited for: nothing is lost."""
        event = self._event
        task = self._running.task
        with self._patience.pause(task) if is_said and task is not None else nullcontext():
            while True:
                batch = self._sender.batch(event, bodies)
                try:
                    return await self._queue(batch, end, is_said=is_said)
                except StoreError as error:
                    log.warning("turn not committed", turn=event.id, error=str(error))
                    await asyncio.sleep(STORE_RETRY_S)
                if is_said:
                    self._check()

    async def _queue(self, batch: Batch, end: tuple[int, str] | None, *, is_said: bool) -> list[Letter]:
        """Commit letters, with the end of their turn where it has come."""
        job = self._store.write(posting.end_turn, batch, end, self._wall())
        if end is not None and is_said:
            self._ending = job
        try:
            letters = await asyncio.shield(job)
        except asyncio.CancelledError:
            if self._store.withdraw(job):
                self._ending = None if self._ending is job else self._ending
                batch.failed()
            else:
                job.add_done_callback(lambda done: posting.late(batch, done))
            raise
        except BaseException:
            self._ending = None if self._ending is job else self._ending
            batch.failed()
            raise
        batch.committed(letters)
        return letters
