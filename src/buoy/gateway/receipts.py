"""`send()`: queue one message, and say within 100 ms what is known of it. Never looks at a connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from buoy.chat import Reply, Target
from buoy.durable import outbox
from buoy.durable.lanes import Key, Lanes
from buoy.durable.store import Store
from buoy.errors import NotStoredError, StoreError
from buoy.gateway.platform import Platform
from buoy.gateway.posting import NOT_STORED, put_wanted
from buoy.gateway.supervisor import Supervisor
from buoy.letters import Letter, LetterState

SEND_PATIENCE_S = 0.1  # `send()` answers within this, whatever happens
OPEN = frozenset({LetterState.QUEUED, LetterState.CLAIMED})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `send()` knows when it returns."""

    id: int
    key: str
    state: LetterState
    position: int
    """Letters of the same conversation ahead of it; 0 when it is its turn or it has left."""
    reason: str = ""


@dataclass(slots=True)
class _Wanted:
    """A `send()` under way: its caller waits for ``settled``, or has given up."""

    settled: asyncio.Future[Letter]
    is_given_up: bool = False


class Receipts:
    """The sends under way, and their callers. Works on the sender's lanes."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        platforms: Mapping[str, Platform],
        lanes: Lanes[Letter],
        *,
        wall: Callable[[], float],
        commit: Callable[..., Awaitable[Any]],
        pump: Callable[[], None],
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._platforms = platforms
        self._lanes = lanes
        self._wall = wall
        self._commit = commit
        self._pump = pump
        self._unwanted: set[tuple[str, str]] = set()  # sends given up while their commit was under way
        self._settled: dict[int, asyncio.Future[Letter]] = {}
        self._ended: dict[int, Letter] = {}  # their rows say so a moment later

    async def send(self, target: Target, reply: Reply, *, key: str | None = None, origin: str = "send") -> Receipt:
        """Queue one message and say what is known after 100 ms at most.

        Returns:
            ``sent`` or, from then on, whatever state the letter is in; ``queued`` means committed.
        Raises:
            NotStoredError: it could not be committed in time; it will not be delivered.
        Repeatable:
            With the same ``key``: the same letter, whatever its state.
        """
        bot = target.bot or ""
        lane = (bot, target.lane)
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SEND_PATIENCE_S
        name = f"send/{key or uuid.uuid4().hex}"
        body = self._platforms[bot].body(reply)
        draft = Letter(0, name, bot, target.lane, body, LetterState.QUEUED, self._wall(), origin=origin)
        if (bot, name) in self._unwanted:
            raise NotStoredError(
                "not stored: the disk is still busy with the last try; nothing will be sent, try again"
            )
        wanted = _Wanted(loop.create_future())
        self._lanes.announce(lane)
        job = self._store.write(put_wanted, draft)
        job.add_done_callback(partial(self._put_ended, lane, name, wanted))
        try:
            async with asyncio.timeout_at(ends_at):
                await asyncio.shield(job)
        except TimeoutError:
            if not job.done():
                wanted.is_given_up = True
                if self._store.withdraw(job):
                    self._lanes.failed(lane, claimed=False)
                else:
                    self._unwanted.add((bot, name))
                raise NotStoredError(
                    "not stored: the disk did not take it in time; nothing will be sent, try again"
                ) from None
        except StoreError as error:
            raise NotStoredError(f"not stored: {error}; nothing will be sent") from error
        letter, is_fresh = job.result()
        if not is_fresh:
            return self._receipt(letter)
        try:
            async with asyncio.timeout_at(ends_at):
                letter = await asyncio.shield(wanted.settled)  # others may wait for it longer
        except TimeoutError:
            letter = self._store.read(outbox.get, letter.id) or letter
        return self._receipt(letter)

    def _put_ended(self, lane: Key, name: str, wanted: _Wanted, job: asyncio.Future[outbox.Put]) -> None:
        """The commit of a `send()` ended, perhaps after its caller was told "not stored": make that true then."""
        if job.cancelled():
            return
        put = None if job.exception() is not None else job.result()
        if put is not None and put.fresh and wanted.is_given_up:
            self._lanes.failed(lane, claimed=False)
            self._supervisor.start(self._unsend(lane[0], name, put.letter.id))
        elif put is None or not put.fresh:
            self._lanes.failed(lane, claimed=False)
            self._unwanted.discard((lane[0], name))
        else:
            self._settled[put.letter.id] = wanted.settled
            self._lanes.stored(lane, put.letter.id, put.letter, claimed=False)
        self._pump()

    async def _unsend(self, bot: str, name: str, letter: int) -> None:
        await self._commit(outbox.drop, letter, NOT_STORED, self._wall())
        self._unwanted.discard((bot, name))

    def _receipt(self, letter: Letter) -> Receipt:
        place = self._store.read(outbox.position, letter.id) if letter.state in OPEN else 0
        return Receipt(letter.id, letter.key, letter.state, max(0, place - 1), letter.reason)

    async def settled(self, number: int, timeout_s: float) -> Letter | None:
        """Wait until a letter has left or has ended otherwise, ``timeout_s`` at most; gives it as it is known then.

        None: there is no such letter. A letter that is held counts as settled: it waits for its reader.
        """
        letter = self._store.read(outbox.get, number)
        if letter is None or letter.state not in OPEN:
            return letter
        known = self._ended.get(number)
        if known is not None:
            return known
        waiter = self._settled.setdefault(number, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(waiter)
        except TimeoutError:
            return self._store.read(outbox.get, number) or letter

    def remember(self, letter: Letter) -> None:
        """It has ended, and its row does not say so yet; :meth:`forget` follows when it does."""
        self._ended[letter.id] = letter

    def forget(self, letter: int) -> None:
        """Its row says what became of it."""
        self._ended.pop(letter, None)

    def tell(self, letter: Letter) -> None:
        """Tell whoever waits for this letter what became of it."""
        waiter = self._settled.pop(letter.id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(letter)
