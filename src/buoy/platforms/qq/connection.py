"""Drives the session machine: does what it says, reports what happened, decides nothing.

The machine (:mod:`buoy.protocol.session`) holds all policy. This file owns the sockets, the timers, the
random draws and the token; :mod:`buoy.platforms.qq.keeping` stores the frames.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from buoy.logger import Logger
from buoy.platforms.qq import health, remembering
from buoy.platforms.qq.keeping import Keeper
from buoy.platforms.qq.locate import LocateError, Location, Locator
from buoy.protocol import session as m
from buoy.protocol import wire
from buoy.protocol.limits import DAY_S, IDENTIFIES_A_DAY, LOCATE_DEADLINE_S, OPEN_DEADLINE_S
from buoy.transport.websocket import Closed, OpenError, Socket

if TYPE_CHECKING:
    from buoy.letters import Arrival, Intake

CLOSE_S: Final = 1.5  # ours: how long the end of the connection may take; a socket gives up after one second

TOLD: Final = frozenset({m.Phase.LIVE, m.Phase.WAITING, m.Phase.STOPPED})  # what an operator reads

log = Logger("buoy.qq")

OpenSocket = Callable[[str, float], Awaitable[Socket]]


class Connection:
    """One shard of one bot, kept connected for ever by :meth:`run`."""

    def __init__(
        self,
        bot: str,
        intake: Intake,
        locator: Locator,
        open_socket: OpenSocket,
        *,
        wall: Callable[[], float],
        intents: int,
        expect_s: float = math.inf,
        shard: tuple[int, int] = (0, 1),
        draw: Callable[[float, float], float] = random.uniform,
        on_change: Callable[[], None] = lambda: None,
        on_click: Callable[[Arrival], None] = lambda _: None,
    ) -> None:
        self.bot = bot
        self.state = m.initial(intents, expect_s)
        self.attempts = 0
        """WebSockets that were tried to open."""
        self._bulletin = health.Bulletin(bot, shard[0], intake, wall)
        self._asked_at = wall()
        """When the oldest heartbeat without an ACK left: what its ACK proves, it proves of then."""
        self._intake = intake
        self._locator = locator
        self._open_socket = open_socket
        self._wall = wall
        self._shard, self._shards = shard
        self._draw = draw
        self._on_change = on_change
        self._keeper = Keeper(bot, shard[0], intake, locator.skew, wall=wall, report=self.feed, on_click=on_click)
        self._location: Location | None = None
        self._socket: Socket | None = None
        self._frame: wire.Frame | wire.Unreadable = wire.Unreadable("none yet")
        self._raw = b""
        self._seq: int | None = None
        self._pending: deque[m.Event] = deque()
        self._is_draining = False
        self._is_stopping = False
        self._reader: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at: float | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self) -> None:
        """Stay connected until :meth:`stop`; after it, return at once.

        Raises only for a bug here, or a store that cannot be read; it may be run again then, and goes on from
        what is stored. Whatever it ends with, nothing of it is left.
        """
        if self._is_stopping:
            return
        loop = self._loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        self._idle.clear()
        try:
            self.feed(self._start_event())
            await ended
        finally:
            if not ended.cancel() and not ended.cancelled():
                ended.exception()  # somebody looked at it, even where run() was cancelled first
            await self._tidy()

    def _start_event(self) -> m.Start:
        """What the store remembers of earlier runs."""
        now = self._wall()
        cursor = self._intake.cursor(self.bot, self._shard)
        unready = self._intake.unready(self.bot, self._shard, now - DAY_S)
        ages_s = tuple(max(0.0, now - at) for at in unready)
        self._keeper.knows(cursor.session if cursor is not None else None)
        if cursor is None:
            return m.Start(None, ages_s)
        known = m.Session(cursor.session, cursor.stored, cursor.stored)
        granted = remembering.granted_by(cursor.note, now)
        return m.Start(known, ages_s, max(0.0, now - cursor.ready_at), granted)

    async def _tidy(self) -> None:
        """End every timer, task and socket, in `CLOSE_S` at most; then nothing is claimed to be connected."""
        self.state, _ = m.step(self.state, m.Stop(), self._loop.time())
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        self._timer = self._wake_at = self._pause = None
        socket, self._socket = self._socket, None
        if socket is not None:
            self._leave(socket)
        self._reader = self._attempt = None
        for task in self._tasks - self._closing:
            task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_S)
        finally:
            for task in self._tasks:
                task.cancel()
            self._idle.set()

    def health(self) -> dict[str, Any]:
        """Plain data for status."""
        if self._ended is None:
            return {"state": "down", "phase": "not started", "connected": False}
        next_try_at = None if self._pause is None else self._pause.when()
        told = health.told(self.state, self._loop.time(), next_try_at)
        return told | {"since": self._bulletin.since, "connects": self.attempts, "unstored": self._keeper.unstored}

    async def stop(self) -> None:
        """Close the connection in good order; returns when nothing of it is left, within `CLOSE_S`."""
        self._is_stopping = True
        self.feed(m.Stop())
        await self._idle.wait()

    # --- the machine -------------------------------------------------------------------------------------

    def feed(self, event: m.Event) -> None:
        """Give one event to the machine and carry out what it says; events that this causes wait their turn."""
        if self._ended is None:
            return
        self._pending.append(event)
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while self._pending:
                before = self.state
                self.state, commands = m.step(before, self._pending.popleft(), self._loop.time())
                for command in commands:
                    self._do(command)
                if self.state.phase is not before.phase:
                    self._changed(before)
            if self.state.wake_at != self._wake_at:
                self._set_timer()
        except Exception as error:  # noqa: BLE001  a bug in here ends run(), and the supervisor starts it anew
            if not self._ended.done():
                self._ended.set_exception(error)
        finally:
            self._is_draining = False

    def _changed(self, before: m.State) -> None:
        state = self.state
        level = log.error if state.phase is m.Phase.BLOCKED else log.info if state.phase in TOLD else log.debug
        level(
            "phase",
            bot=self.bot,
            shard=self._shard,
            was=before.phase.value,
            now=state.phase.value,
            cause=state.cause,
            code=state.code,
            attempt=state.attempt,
            reason=state.reason,
            remedy=health.remedy(state),
        )
        self._bulletin.tell(state)
        self._on_change()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = self.state.wake_at
        self._timer = None if self._wake_at is None else self._loop.call_at(self._wake_at, self._due)

    def _due(self) -> None:
        """Let what the socket already holds be read first: after a standstill both are due at once."""
        self._loop.call_soon(self._loop.call_soon, self._tick)

    def _tick(self) -> None:
        self._wake_at = None  # so that the timer is set again even if it fired too early to change anything
        self.feed(m.Tick())

    def _do(self, command: m.Command) -> None:
        """Carry out one command. Nothing here waits."""
        match command:
            case m.Keep(is_counted, is_whole):
                known = self.state.session if is_counted else None
                self._keeper.keep(
                    self._frame,
                    self._raw,
                    session=None if known is None else known.id,
                    seq=self._seq,
                    generation=self.state.generation,
                    whole=is_whole,
                )
            case m.Beat(_, stored):
                if self.state.missed <= 1:
                    self._asked_at = self._wall()
                self._send(wire.heartbeat(stored))
            case m.Sleep(generation, low, high):
                self._pause = self._loop.call_later(self._draw(low, high), self.feed, m.Woke(generation))
            case m.Locate(generation, force_token, fresh_url):
                job = self._locate(generation, force_token=force_token, fresh_url=fresh_url)
                self._attempt = self._start(job)
            case m.Open(generation):
                self._attempt = self._start(self._open(generation))
            case m.Reserve(generation):
                self._reserve(generation)
            case m.SendIdentify(_, intents):
                self._send(wire.identify(self._token, intents, self._shard, self._shards))
            case m.SendResume(_, session_id, stored):
                self._keeper.resumes(stored)
                self._send(wire.resume(self._token, session_id, stored))
            case m.MarkReady():  # READY's own row opens the session, in one transaction
                self._keeper.leave(remembering.note_of(self.state, self._loop.time(), self._wall()))
            case m.RecordGap():
                self._keeper.owe(command)
            case m.MarkWhole(session_id, stored):
                self._intake.mark_whole(self.bot, self._shard, session=session_id, stored=stored, at=self._asked_at)
            case m.Close(_, code):
                self._close(code)
            case m.Stopped():
                if self._ended is not None and not self._ended.done():
                    self._ended.set_result(None)

    @property
    def _token(self) -> str:
        return self._location.token if self._location is not None else ""

    # --- what the commands do ----------------------------------------------------------------------------

    def _start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A task that fails ends run(); so does a reader that something else cancelled, or nobody would listen."""
        self._tasks.discard(task)
        error: BaseException | None
        if task.cancelled():
            error = RuntimeError("the reading task was cancelled") if task is self._reader else None
        else:
            error = task.exception()
        if error is None:
            return
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)
        else:
            log.error("connection task failed", bot=self.bot, exc_info=error)

    async def _locate(self, generation: int, *, force_token: bool, fresh_url: bool) -> None:
        try:
            async with asyncio.timeout(LOCATE_DEADLINE_S):
                self._location = await self._locator.locate(force_token=force_token, fresh_url=fresh_url)
        except LocateError as error:
            self.feed(m.LocateFailed(generation, error.trouble, error.reason))
        except TimeoutError:
            reason = f"token and gateway look-up took longer than {LOCATE_DEADLINE_S:g} s"
            self.feed(m.LocateFailed(generation, m.Trouble.TRANSIENT, reason))
        else:
            self.feed(m.Located(generation, self._left(), self._reset_s()))

    def _left(self) -> int:
        """Identifies left: what QQ said less ours since, and never more than a day's worth less ours of it."""
        now = self._wall()
        ours = IDENTIFIES_A_DAY - self._intake.identifies(self.bot, now - DAY_S)
        where = self._location
        if where is None or where.remaining is None:
            return ours
        return min(ours, where.remaining - self._intake.identifies(self.bot, where.asked_at))

    def _reset_s(self) -> float:
        """Seconds until QQ's own count of identifies starts anew; a day where it did not say."""
        where = self._location
        if where is None or where.reset_s is None:
            return float(DAY_S)
        return max(0.0, where.asked_at + where.reset_s - self._wall())

    async def _open(self, generation: int) -> None:
        assert self._location is not None
        if self._keeper.is_full:  # what the platform would say now could not be read
            reason = f"{self._keeper.unstored} frames still wait for the disk"
            self.feed(m.OpenFailed(generation, reason))
            return
        self.attempts += 1
        try:
            socket = await self._open_socket(self._location.url, OPEN_DEADLINE_S)
        except OpenError as error:
            self.feed(m.OpenFailed(generation, error.reason))
            return
        if generation != self.state.generation:
            self._leave(socket)
            return
        self._socket = socket
        self.feed(m.Opened(generation))
        self._reader = self._start(self._read(socket, generation))

    async def _read(self, socket: Socket, generation: int) -> None:
        """Feed frames until the connection ends. Pauses while too many frames wait for the disk."""
        while self._socket is socket:
            await self._keeper.room()
            got = await socket.receive()
            if self._socket is not socket:
                return
            if isinstance(got, Closed):
                self._socket = None
                self._leave(socket)
                self.feed(m.Closed(generation, got.code, got.reason))
                return
            self._raw = got if isinstance(got, bytes) else got.encode()
            self._frame = wire.decode(self._raw)
            event = m.event_of(self._frame, generation)
            if event is not None:
                self._seq = getattr(event, "seq", None)
                self.feed(event)

    def _reserve(self, generation: int) -> None:
        """Commit the IDENTIFY before it leaves."""

        def reserved(job: asyncio.Future[Any]) -> None:
            error = "the store closed" if job.cancelled() else job.exception()
            if error is not None:
                self.feed(m.ReserveFailed(generation, str(error)))
            else:
                self.feed(m.Reserved(generation, self._left() + 1, self._reset_s()))

        if (left := self._left()) <= 0:
            self.feed(m.Reserved(generation, left, self._reset_s()))
            return
        self._intake.record_identify(self.bot, self._shard).add_done_callback(reserved)

    def _send(self, data: bytes) -> None:
        """Send a frame without waiting; when it does not get out the connection counts as closed."""
        socket, generation = self._socket, self.state.generation
        if socket is not None:
            self._start(self._send_on(socket, data, generation))

    async def _send_on(self, socket: Socket, data: bytes, generation: int) -> None:
        if await socket.send(data):
            return
        if self._socket is socket:
            self._socket = None
            self._leave(socket)
        self.feed(m.Closed(generation, None, "the frame could not be written"))

    def _close(self, code: int) -> None:
        socket, self._socket = self._socket, None
        for task in (self._reader, self._attempt):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._reader = self._attempt = None
        if socket is not None:
            self._leave(socket, code)

    def _leave(self, socket: Socket, code: int = wire.Close.NORMAL) -> None:
        """Close a socket on the side; the end of :meth:`run` waits for it, a new attempt does not."""
        task = self._start(socket.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
