"""Connects as this bot for some seconds, with the real session machine: HELLO, IDENTIFY, READY, one ACK, and closed.

It costs one identify of the day, and QQ may end an older session for it: nobody tries it where a Buoy could resume
one, unless told to. What arrives meanwhile is counted and not kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from buoy.durable.lock import lock_machine
from buoy.errors import BuoyError
from buoy.faces.doctor import tally
from buoy.faces.doctor.facts import Trial
from buoy.letters import Arrival, Cursor
from buoy.platforms.qq.connection import Connection
from buoy.platforms.qq.platform import QQ, Account
from buoy.protocol.limits import IDENTIFY_SPACING_S
from buoy.protocol.session import BeatAsked, Phase

TRIAL_S: Final = 8.0
SPACING_S: Final = IDENTIFY_SPACING_S + 0.2
STAY_S: Final = 1.0  # after the ACK: a connection that QQ ends at once is no connection
LOOK_S: Final = 0.05
OVER: Final = frozenset({Phase.WAITING, Phase.BLOCKED, Phase.STOPPED})


class Ears:
    """Satisfies :class:`buoy.letters.Intake`, remembers nothing, and counts."""

    def __init__(self, name: str) -> None:
        self.events = 0
        self.identified_at: float | None = None
        self._name = name

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> asyncio.Future[Any]:
        """Let it go."""
        self.events += arrival.seq is not None and not opens_session
        return _done()

    def cursor(self, bot: str, shard: int) -> Cursor | None:
        """There is no session to resume: the Buoy's own is left alone."""
        del bot, shard
        return None

    def record_identify(self, bot: str, shard: int) -> asyncio.Future[Any]:
        """QQ counts it, and so does the tally."""
        del bot, shard
        tally.add(self._name, time.time())
        self.identified_at = asyncio.get_running_loop().time()
        return _done()

    def identifies(self, bot: str, since: float) -> int:
        """Leave the budget to what QQ says."""
        del bot, since
        return 0

    def unready(self, bot: str, shard: int, since: float) -> tuple[float, ...]:
        """Nothing came before."""
        del bot, shard, since
        return ()

    def mark_whole(self, bot: str, shard: int, *, session: str, stored: int, at: float) -> None:
        """Nothing is stored."""

    def changed(self, bot: str, shard: int, state: str, cause: str) -> None:
        """It belongs to no timeline."""


def _done() -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


async def attempt(
    account: Account,
    name: str,
    environ: Mapping[str, str],
    *,
    within_s: float = TRIAL_S,
    spacing_s: float = SPACING_S,
) -> Trial:
    """Try one connection. ``name``: the machine's lock, held until ``spacing_s`` after an IDENTIFY.

    QQ takes one IDENTIFY in five seconds: a Buoy that is started right after a doctor must not be refused for it.
    """
    busy = "another process of this machine ({holder}) is connected with this AppID"
    try:
        lock = lock_machine(name, busy)
    except BuoyError as error:
        return Trial(account.app_id, str(error))
    loop = asyncio.get_running_loop()
    ears = Ears(name)
    line = QQ(account, environ=environ)
    (service, _) = line.services(ears).values()
    connection = line.connection
    assert connection is not None
    running = asyncio.ensure_future(service())
    try:
        seen = await _watch(connection, ears, loop.time() + within_s)
        if ears.identified_at is not None:
            await line.close()
            await asyncio.sleep(max(0.0, ears.identified_at + spacing_s - loop.time()))
        return seen
    finally:
        await line.close()
        await running
        await line.release()
        lock.release()


async def _watch(connection: Connection, ears: Ears, until: float) -> Trial:
    """Look on until it is known how the attempt ends; ask for one ACK, which would come much later by itself."""
    loop = asyncio.get_running_loop()
    was_live, acked_at = False, None
    while True:
        state = connection.state
        if state.phase is Phase.LIVE and not was_live:
            was_live = True
            connection.feed(BeatAsked(state.generation))
        if was_live and acked_at is None and state.last_ack_at is not None:
            acked_at = loop.time()
        is_over = state.phase in OVER and connection.attempts + state.attempt > 0
        if is_over or loop.time() > until or (acked_at is not None and loop.time() - acked_at > STAY_S):
            return Trial(
                connection.bot,
                phase=state.phase.value,
                was_live=was_live,
                is_acked=acked_at is not None,
                cause=state.cause.value if state.cause else "",
                code=state.code,
                reason=state.reason,
                events=ears.events,
            )
        await asyncio.sleep(LOOK_S)
