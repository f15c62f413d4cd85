"""Stores what one shard receives, in its order, and tells the session machine what became of each frame."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from buoy.errors import StoreError
from buoy.letters import Loss
from buoy.logger import Logger
from buoy.platforms.qq import translate
from buoy.protocol import session as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.letters import Arrival, Intake
    from buoy.platforms.qq.locate import Skew
    from buoy.protocol import wire

MAX_UNSTORED: Final = 1000  # fault row 21: frames that may wait for a slow disk; then reading pauses

log = Logger("buoy.qq")


class Keeper:
    """Hands frames to the store. ``report`` takes :class:`Stored` and :class:`StoreFailed`.

    ``on_click`` takes each click, right after it was stored for the first time.

    Each frame names the sequence before it, so that the store refuses what follows a hole: the cursor never
    passes over a frame that is not stored.
    """

    def __init__(
        self,
        bot: str,
        shard: int,
        intake: Intake,
        skew: Skew,
        *,
        wall: Callable[[], float],
        report: Callable[[m.Event], None],
        on_click: Callable[[Arrival], None] = lambda _: None,
    ) -> None:
        self.unstored = 0
        """Frames handed over and not committed yet."""
        self._bot = bot
        self._shard = shard
        self._intake = intake
        self._skew = skew
        self._wall = wall
        self._report = report
        self._on_click = on_click
        self._opened: str | None = None
        self._after = 0
        self._mending = 0
        self._losses: tuple[Loss, ...] = ()
        self._note = ""
        self._room = asyncio.Event()

    def knows(self, session: str | None) -> None:
        """Say which session the stored cursor belongs to; what was owed before is told by the store again."""
        self._opened = session
        self._losses, self._note = (), ""

    def owe(self, gap: m.RecordGap) -> None:
        """Record a gap in the transaction of the next frame of a session; where the disk refuses, of a later one."""
        self._losses += (Loss(gap.session_id, gap.stored, gap.cause.value, gap.done, gap.silent_s),)

    def leave(self, note: str) -> None:
        """Store a note for the next start, likewise."""
        self._note = note

    def resumes(self, stored: int) -> None:
        """Say after which sequence the frames of the next connection begin."""
        self._after = stored

    @property
    def is_full(self) -> bool:
        """Too many frames wait for the disk."""
        return self.unstored >= MAX_UNSTORED

    async def room(self) -> None:
        """Wait while too many frames wait for the disk."""
        if self.is_full:
            self._room.clear()
            await self._room.wait()

    def keep(
        self,
        frame: wire.Frame | wire.Unreadable,
        raw: bytes,
        *,
        session: str | None,
        seq: int | None,
        generation: int,
        whole: bool = True,
    ) -> None:
        """Store one frame. ``session`` is the one whose cursor ``seq`` moves; None: it moves no cursor."""
        row = translate.arrival(
            frame,
            raw,
            bot=self._bot,
            shard=self._shard,
            session=session or "",
            seq=None if session is None else seq,
            now=self._wall(),
            skew_s=self._skew.seconds,
        )
        opens = row.seq is not None and session != self._opened
        if row.seq is not None:
            row.after = 0 if opens else self._after
            self._after = row.seq if opens else max(self._after, row.seq)
            self._opened = session
        if session is not None:
            row.whole, row.losses, row.note = whole, self._losses, self._note
            self._losses, self._note = (), ""
        self._put(row, generation, opens=opens)

    def _put(self, row: Arrival, generation: int, *, opens: bool, is_mended: bool = False) -> None:
        self.unstored += 1
        job = self._intake.put(row, opens_session=opens)
        job.add_done_callback(partial(self._ended, row, generation, opens, is_mended))

    def _ended(
        self,
        row: Arrival,
        generation: int,
        opens: bool,  # noqa: FBT001
        is_mended: bool,  # noqa: FBT001
        job: asyncio.Future[Any],
    ) -> None:
        """Report what became of a frame; what we made of it may be at fault, then the raw frame is stored."""
        self.unstored -= 1
        self._mending -= is_mended
        if self.unstored < MAX_UNSTORED // 2:
            self._room.set()
        error = StoreError("the store closed") if job.cancelled() else job.exception()
        if error is None:
            if row.click and job.result().fresh:
                self._on_click(row)
            if row.seq is not None:
                self._report(m.Stored(row.session, row.seq))
        elif not isinstance(error, StoreError) and row.type != translate.RAW:
            log.error("frame stored raw", bot=self._bot, type=row.type, error=str(error))
            self._mending += 1
            self._put(translate.stripped(row, str(error)), generation, opens=opens, is_mended=True)
        elif self._mending and row.seq is not None and not is_mended:
            self._put(row, generation, opens=opens)  # refused for want of the one that is put again before it
        else:
            if opens:
                self._opened = None
            self._losses, self._note = row.losses + self._losses, self._note or row.note
            self._report(m.StoreFailed(generation, str(error)))
