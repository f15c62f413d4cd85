"""Drives the session machine: does what it says, reports what happened, decides nothing.

The machine (:mod:`buoy.protocol.session`) holds all policy. This file owns the sockets, the timers, the random draws
and the token, and it stores every frame before the machine learns that it is stored.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from buoy.errors import StoreError
from buoy.letters import Arrival, Intake
from buoy.platforms.qq import translate
from buoy.platforms.qq.locate import LocateError, Location, Locator
from buoy.protocol import session as m
from buoy.protocol import wire
from buoy.protocol.limits import DAY_S, IDENTIFIES_A_DAY, LOCATE_DEADLINE_S, OPEN_DEADLINE_S
from buoy.transport.websocket import Closed, OpenError, Socket

CLOSE_S = 1.5  # ours: how long the end of the connection may take; a socket gives up after one second
MAX_UNSTORED = 1000  # fault row 21: frames that may wait for a slow disk; then reading pauses

TOLD = frozenset({m.Phase.LIVE, m.Phase.WAITING, m.Phase.BLOCKED, m.Phase.STOPPED})  # what an operator reads

log = structlog.get_logger("buoy.qq")

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
        shard: tuple[int, int] = (0, 1),
        draw: Callable[[float, float], float] = random.uniform,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.bot = bot
        self._intake = intake
        self._locator = locator
        self._open_socket = open_socket
        self._wall = wall
        self._intents = intents
        self._shard, self._shards = shard
        self._draw = draw
        self._on_change = on_change
        self.state = m.initial(intents)
        self.attempts = 0
        self.last_change_at = wall()
        self._location: Location | None = None
        self._socket: Socket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._frame: wire.Frame | wire.Unreadable = wire.Unreadable("none yet")
        self._raw = b""
        self._unstored = 0
        self._after = 0
        self._opened = ""
        self._attempt: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._pending: deque[m.Event] = deque()
        self._is_draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at: float | None = None
        self._ended: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Stay connected until :meth:`stop`. Raises only for a bug here; the supervisor then starts it anew."""
        loop = self._loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._room.set()
        self.state = m.initial(self._intents)
        cursor = self._intake.cursor(self.bot, self._shard)
        now = self._wall()
        known, age_s = None, 0.0
        if cursor is not None and cursor.session:
            known = m.Session(cursor.session, cursor.stored, cursor.stored)
            self._opened = cursor.session
            age_s = max(0.0, now - cursor.ready_at)
        unready = self._intake.unready(self.bot, self._shard, now - DAY_S)
        try:
            self.feed(m.Start(known, tuple(now - at for at in unready), age_s))
            await self._ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
            socket, self._socket = self._socket, None
            if socket is not None:
                self._leave(socket)
            for task in self._tasks - self._closing:
                task.cancel()
            if self._tasks:
                await asyncio.wait(list(self._tasks), timeout=CLOSE_S)

    async def stop(self) -> None:
        """Close the connection in good order; bounded by the socket's own time-outs."""
        if self._ended is not None and not self._ended.done():
            self.feed(m.Stop())

    # --- the machine --------------------------------------------------------------------------------------------

    def feed(self, event: m.Event) -> None:
        """Give one event to the machine and carry out what it says. Events that this causes wait their turn."""
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
        except Exception as error:  # noqa: BLE001  a bug in here ends run(), and the supervisor starts it anew
            if self._ended is not None and not self._ended.done():
                self._ended.set_exception(error)
        finally:
            self._is_draining = False
        if self.state.wake_at != self._wake_at:
            self._set_timer()

    def _changed(self, before: m.State) -> None:
        self.last_change_at = self._wall()
        state = self.state
        level = log.info if state.phase in TOLD else log.debug
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
        )
        self._on_change()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wake_at = self.state.wake_at
        self._timer = (
            None if self._wake_at is None else self._loop.call_at(self._wake_at, self.feed, m.Tick())
        )

    def _do(self, command: m.Command) -> None:
        """Carry out one command. Nothing here waits."""
        match command:
            case m.Keep(counted):
                self._keep(is_counted=counted)
            case m.Beat(_, stored):
                self._send(wire.heartbeat(stored))
            case m.Sleep(generation, low, high):
                self._loop.call_later(self._draw(low, high), self.feed, m.Woke(generation))
            case m.Locate(generation, force_token, fresh_url):
                self._attempt = self._start(
                    self._locate(generation, force_token=force_token, fresh_url=fresh_url)
                )
            case m.Open(generation):
                self.attempts += 1
                self._attempt = self._start(self._open(generation))
            case m.Reserve(generation):
                self._reserve(generation)
            case m.SendIdentify(_, intents):
                self._send(wire.identify(self._token, intents, self._shard, self._shards))
            case m.SendResume(_, session_id, stored):
                self._after = stored
                self._send(wire.resume(self._token, session_id, stored))
            case m.MarkReady():
                pass  # READY's own row opens the session, in one transaction: see _keep
            case m.RecordGap(session_id, stored, cause):
                self._intake.record_gap(self.bot, self._shard, session=session_id, stored=stored, cause=cause)
            case m.Close(_, code):
                self._close(code)
            case m.Stopped():
                if self._ended is not None and not self._ended.done():
                    self._ended.set_result(None)

    @property
    def _token(self) -> str:
        return self._location.token if self._location is not None else ""

    # --- what the commands do -----------------------------------------------------------------------------------

    def _start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if self._ended is not None and not self._ended.done():
                self._ended.set_exception(error)

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
        """Identifies left: what QQ said less ours since, and never more than a day's worth less ours of the day."""
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
        try:
            socket = await self._open_socket(self._location.url, OPEN_DEADLINE_S)
        except OpenError as error:
            self.feed(m.OpenFailed(generation, error.reason))
            return
        if generation != self.state.generation or self._ended is None or self._ended.done():
            await socket.close()
            return
        self._socket = socket
        self.feed(m.Opened(generation))
        self._reader = self._start(self._read(socket, generation))

    async def _read(self, socket: Socket, generation: int) -> None:
        """Feed frames until the connection ends. Pauses while too many frames wait for the disk."""
        while True:
            got = await socket.receive()
            if isinstance(got, Closed):
                if self._socket is socket:
                    self._socket = None
                self.feed(m.Closed(generation, got.code, got.reason))
                await socket.close()
                return
            if self._socket is not socket:
                return
            self._raw = got if isinstance(got, bytes) else got.encode()
            self._frame = wire.decode(self._raw)
            event = m.event_of(self._frame, generation)
            if event is not None:
                self.feed(event)
            if self._unstored >= MAX_UNSTORED:
                self._room.clear()
                await self._room.wait()

    def _keep(self, *, is_counted: bool) -> None:
        """Store the frame in hand; its sequence counts as stored after the commit."""
        known = self.state.session
        session = known.id if known is not None and is_counted else ""
        row = translate.arrival(
            self._frame,
            self._raw,
            bot=self.bot,
            shard=self._shard,
            session=session,
            now=self._wall(),
            skew_s=self._locator.skew.seconds,
        )
        opens = is_counted and row.seq is not None and session != self._opened
        if not is_counted:
            row.seq = None
        elif row.seq is not None:
            row.after, self._after = self._after, row.seq if opens else max(self._after, row.seq)
            self._opened = session
        self._unstored += 1
        job = self._intake.put(row, opens_session=opens)
        job.add_done_callback(partial(self._stored, row, self.state.generation, opens))

    def _stored(self, row: Arrival, generation: int, opens: bool, job: asyncio.Future[Any]) -> None:  # noqa: FBT001
        self._unstored -= 1
        if self._unstored < MAX_UNSTORED // 2:
            self._room.set()
        error = StoreError("the store closed") if job.cancelled() else job.exception()
        if error is None:
            if row.seq is not None:
                self.feed(m.Stored(row.session, row.seq))
            return
        if opens:
            self._opened = ""
        if isinstance(error, StoreError) or row.type == translate.RAW:
            self.feed(m.StoreFailed(generation, str(error)))
        else:  # what we made of the frame cannot be stored, whatever comes: the raw frame alone can
            log.error("frame stored raw", bot=self.bot, type=row.type, error=str(error))
            self._unstored += 1
            plain = translate.stripped(row, str(error))
            self._intake.put(plain, opens_session=opens).add_done_callback(
                partial(self._stored, plain, generation, opens)
            )

    def _reserve(self, generation: int) -> None:
        """Commit the IDENTIFY before it leaves."""

        def reserved(job: asyncio.Future[Any]) -> None:
            if job.cancelled() or (error := job.exception()) is not None:
                self.feed(m.ReserveFailed(generation, "the store closed" if job.cancelled() else str(error)))
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
        if not await socket.send(data):
            self.feed(m.Closed(generation, None, "the frame could not be written"))

    def _close(self, code: int) -> None:
        socket, self._socket = self._socket, None
        for task in (self._reader, self._attempt):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._reader = self._attempt = None
        self._room.set()
        if socket is not None:
            self._leave(socket, code)

    def _leave(self, socket: Socket, code: int = wire.Close.NORMAL) -> None:
        """Close a socket on the side; the end of :meth:`run` waits for it, a new attempt does not."""
        task = self._start(socket.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
