"""Buoy inside another asyncio program: ``from buoy import Gateway, QQ``.

Nothing here is global: no signal is taken, no log is configured, no environment is read unless it is handed over, and
the process is never ended. Several gateways live side by side, in one loop or in several threads with a loop each.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from buoy.chat import Agent, Reply, Target
from buoy.config import Config
from buoy.durable import conversation as rows
from buoy.errors import BusyError, NotRunningError, StoreLostError
from buoy.faces import arguments, wiring
from buoy.faces.arguments import QQ, Answers
from buoy.faces.mooring import Mooring
from buoy.gateway.app import App
from buoy.gateway.health import Snapshot
from buoy.gateway.platform import Platform
from buoy.gateway.receipts import Receipt
from buoy.letters import EventState, LetterState
from buoy.logger import Logger
from buoy.settings import Outbox, Retention, Shutdown, Turns

__all__ = ["QQ", "Answers", "Gateway", "Letter", "Receipt", "Snapshot", "Turn"]

OnState = Callable[[str, str, str], object]

STOPPED: Final = "this gateway was stopped while it started"
START_SHARE: Final = 0.25  # of the deadline of a stop: what a start under way may put things back in

log = Logger("buoy.library")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to send, or sent. Times are seconds since 1970."""

    id: int
    key: str
    text: str
    """Empty once pruned."""
    state: LetterState
    at: float
    """When it was queued; durable since then."""
    settled_at: float | None
    turn: str
    """:attr:`Message.turn` of the message that it answers; empty where it answers none."""
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message that has no answer yet."""

    turn: str
    """As :attr:`Message.turn`."""
    state: EventState
    at: float
    """When it was received: seconds since 1970."""
    attempts: int


class Gateway:
    """Buoy for one or several bots and their agents, in the loop of the caller.

    Every method belongs to the loop in which :meth:`start` was awaited.
    """

    def __init__(
        self,
        bots: QQ | Sequence[QQ],
        agent: Answers,
        *,
        data_dir: str | os.PathLike[str],
        deadline_s: float = 5.0,
        turns: Turns | None = None,
        outbox: Outbox | None = None,
        retention: Retention | None = None,
        environ: Mapping[str, str] | None = None,
        on_state: OnState | None = None,
    ) -> None:
        """Check everything; nothing is opened.

        ``agent`` is an async function or async generator function that takes a :class:`Message`, an :class:`Agent`,
        or a mapping from each AppID to one of these. ``data_dir`` is where messages are kept; one gateway each.
        ``deadline_s`` bounds :meth:`stop`. ``turns``, ``outbox`` and ``retention`` are the tables of `buoy.toml`, from
        :mod:`buoy.settings`. ``environ`` is where proxies are looked for (``HTTPS_PROXY`` ...); None: there are none.
        ``on_state`` is called in the loop with AppID, ``up``, ``down`` or ``blocked``, and why, whenever that changes.

        Raises:
            ConfigError: one line that names the argument and the remedy.
        """
        lines = [bots] if isinstance(bots, QQ) else list(bots)
        self._config = arguments.settings(
            lines,
            data_dir,
            shutdown=Shutdown(deadline_s=deadline_s),
            turns=turns or Turns(),
            outbox=outbox or Outbox(),
            retention=retention or Retention(),
        )
        self._answers = arguments.agents(agent, self._config.bots)
        self._environ = dict(environ or {})
        self._on_state = on_state
        self._life: _Life | None = None
        self._before: Mooring | None = None
        self._inside: asyncio.Task[Any] | None = None
        self._is_cut = False
        self._error: StoreLostError | None = None

    @property
    def data_dir(self) -> Path:
        """Where its messages are kept."""
        return self._config.data_dir

    @property
    def is_running(self) -> bool:
        """It was started, and nothing has begun to end it."""
        life = self._life
        return life is not None and life.app is not None and life.ending is None and not life.is_adrift

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the data directory, and run. Returns when messages can be sent; bots connect from then on, for ever.

        Raises:
            BusyError: another Buoy has the directory or a bot, or this one runs already.
            StoreError: the database cannot be used.
            NotRunningError: it was stopped while it started.
        Cancellation:
            Nothing is left behind. After any failure it may be started again.
        """
        if self._life is not None and self._life.is_adrift:
            await self._life.stop()
        if self._life is not None:
            raise BusyError("this gateway runs already; stop it first, or make another one")
        self._error = None
        self._life = _Life(self._config, self._answers, self._end, before=self._before)
        await self._life.start(partial(wiring.platforms, self._config, self._environ), self._told)

    async def stop(self) -> None:
        """Stop within ``deadline_s``: what runs may finish, the rest is in the store for the next start.

        Does nothing where nothing runs. Several may call it; all return when it has stopped. A cancelled caller stops
        waiting; the gateway stops all the same.
        """
        if self._life is not None:
            await self._life.stop()

    async def wait_closed(self) -> None:
        """Wait until the gateway has ended: returns after :meth:`stop`.

        Raises:
            StoreLostError: the disk or the database failed, so that nothing can be received or sent any more. The
                gateway has stopped by itself. Start it again once the disk is well.
        """
        life = self._life
        if life is not None and not life.is_adrift:
            await asyncio.wait([life.closed])
        if self._error is not None:
            raise self._error

    async def __aenter__(self) -> Self:
        await self.start()
        task = self._inside = asyncio.current_task()
        self._is_cut, self._cancels = False, task.cancelling() if task is not None else 0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. Where the store was lost, the body was cancelled for it, and this raises StoreLostError."""
        inside, self._inside = self._inside, None
        try:
            await self.stop()
        finally:
            is_only_ours = self._is_cut and inside is not None and inside.uncancel() <= self._cancels
        if self._error is not None and (error is None or (is_only_ours and kind is asyncio.CancelledError)):
            raise self._error from None

    def _end(self, mooring: Mooring) -> None:
        """It has ended, for whatever reason."""
        self._life = None
        self._error = mooring.lost
        if mooring.is_open:
            self._before = mooring
        if self._error is not None and self._inside is not None:
            self._is_cut = True
            self._inside.cancel()

    def _told(self, bot: str, state: str, cause: str) -> None:
        if self._on_state is None:
            return
        try:
            self._on_state(bot, state, cause)
        except Exception:  # it is the caller's; what happens in there ends no connection
            log.exception("on_state failed", bot=bot, state=state)

    # --- work ---------------------------------------------------------------------------------------------------

    @property
    def _app(self) -> App:
        if self._life is None or self._life.app is None or self._life.is_adrift:
            raise NotRunningError("this gateway does not run; start it first (`await gateway.start()`)")
        return self._life.app

    async def send(self, target: Target | str, reply: Reply | str, *, key: str | None = None) -> Receipt:
        """Queue one message, and say within 100 ms what is known of it. ``target`` is ``qq:c2c:<openid>`` and the like.

        Returns:
            ``state`` is ``queued`` (on disk: it will be delivered, whatever happens), ``sent``, or what else it is.
        Raises:
            ConfigError: the target or the text is not usable.
            NotStoredError: not on disk in time; it will not be sent.
            NotRunningError: the gateway does not run.
        Repeatable:
            With the same ``key``: the same message, once.
        """
        return await self._app.send(target, reply, key=key)

    def status(self) -> Snapshot:
        """Everything that is known at this moment; see docs/status.md.

        Raises:
            NotRunningError: the gateway does not run.
        """
        return self._app.health()

    async def settled(self, letter: int, timeout_s: float) -> Letter | None:
        """Wait until a message has left or has ended otherwise, ``timeout_s`` at most, and give it as it is then.

        ``letter`` is :attr:`Receipt.id`, or what :meth:`buoy.chat.Line.say` returned. Where :meth:`is_way_free` says
        no, there is nothing to wait for.

        Raises:
            NotRunningError: the gateway does not run.
        """
        app = self._app
        await app.settled(letter, timeout_s)
        row = app.store.read(rows.letter, letter)
        return None if row is None else _letter(app, row)

    def is_way_free(self, bot: str | None = None) -> bool:
        """Say whether messages get through to QQ now: this bot's, or those of all of them.

        Raises:
            NotRunningError: the gateway does not run.
        """
        app = self._app
        return all(app.is_way_free(one) for one in app.platforms if bot in {None, one})

    def letters(self, conversation: Target | str, *, since: float = 0.0) -> list[Letter]:
        """The messages to one conversation that were queued since then (seconds since 1970), oldest first.

        Raises:
            ConfigError: it is no conversation of these bots.
            NotRunningError: the gateway does not run.
        """
        app, (bot, lane) = self._app, self._lane(conversation)
        return [_letter(app, row) for row in app.store.read(rows.letters, bot, lane, since)]

    def open_turns(self, conversation: Target | str) -> list[Turn]:
        """The messages of one conversation that are being answered or wait for it, oldest first.

        Raises:
            ConfigError: it is no conversation of these bots.
            NotRunningError: the gateway does not run.
        """
        app, (bot, lane) = self._app, self._lane(conversation)
        return [
            Turn(_turn(bot, one.key), one.state, one.received_at, one.attempts)
            for one in app.store.read(rows.turns, bot, lane)
        ]

    def _lane(self, conversation: Target | str) -> tuple[str, str]:
        target = Target.parse(conversation) if isinstance(conversation, str) else conversation
        where = self._app.resolve(target)
        return where.bot or "", where.lane


def _letter(app: App, row: rows.Row) -> Letter:
    platform = app.platforms.get(row.bot)
    return Letter(
        row.id, row.key, "" if row.body is None or platform is None else platform.text_of(row.body), row.state,
        row.created_at, row.settled_at, "" if row.turn is None else _turn(row.bot, row.turn), row.origin, row.reason,
    )  # fmt: skip


def _turn(bot: str, key: str) -> str:
    return f"{bot}/{key}"


class _Life:
    """One start of a gateway, to its end. Every way to the end leads through :meth:`stop`, once."""

    def __init__(
        self,
        settings: Config,
        answers: Mapping[str, Agent],
        on_end: Callable[[Mooring], None],
        *,
        before: Mooring | None,
    ) -> None:
        self._deadline_s = settings.shutdown.deadline_s
        self.mooring = Mooring(settings, answers, schedules=())
        self._on_end = on_end
        self._before = before
        self._starting: asyncio.Task[None] | None = None
        self.app: App | None = None
        self.ending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_adrift(self) -> bool:
        """Its loop was closed before it was stopped: nothing of it runs any more, and nothing was given back."""
        return self._loop.is_closed()

    async def start(self, lines: Callable[[], Sequence[Platform]], told: OnState) -> None:
        """See :meth:`Gateway.start`."""
        try:
            if self._before is not None:
                await self._before.let_go()
            if self.ending is None:
                self.mooring.open()
        except BaseException:
            if self.ending is None:
                self._close()
            raise
        if self.ending is not None:
            raise NotRunningError(STOPPED)
        self._starting = asyncio.get_running_loop().create_task(self._start(lines, told))
        try:
            await asyncio.wait([self._starting])
        except asyncio.CancelledError:
            await self.stop()
            raise
        if self.ending is None and not self._starting.cancelled() and self._starting.exception() is None:
            return
        await self.stop()
        error = self.mooring.lost or (None if self._starting.cancelled() else self._starting.exception())
        raise error or NotRunningError(STOPPED)

    async def _start(self, lines: Callable[[], Sequence[Platform]], told: OnState) -> None:
        app = await self.mooring.start(lines())
        app.lost.add_done_callback(lambda _: self._stop())
        app.door.on_changed = told
        self.app = app

    async def stop(self) -> None:
        """See :meth:`Gateway.stop`."""
        if self.is_adrift:
            self._on_end(self.mooring)
            await self.mooring.abandon(self._deadline_s)
            return
        await asyncio.shield(self._stop())

    def _stop(self) -> asyncio.Task[None]:
        if self.ending is None:
            self.ending = asyncio.get_running_loop().create_task(self._end())
        return self.ending

    async def _end(self) -> None:
        clock = asyncio.get_running_loop().time
        ends_at = clock() + self._deadline_s
        error = None
        try:
            if self._starting is not None:
                self._starting.cancel()
                await asyncio.wait([self._starting], timeout=self._deadline_s * START_SHARE)
                if self._starting.done() and not self._starting.cancelled():
                    error = self._starting.exception()
            await self.mooring.stop(deadline_s=ends_at - clock())
        finally:
            if self.mooring.is_open:
                self.mooring.ended(error)
            self._close()

    def _close(self) -> None:
        self._on_end(self.mooring)
        self.closed.set_result(None)
