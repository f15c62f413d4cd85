"""One turn's way to its conversation: what it says is committed part by part, and its end with the last one.

Satisfies :class:`buoy.chat.Line`. While the disk takes nothing a commit is tried again until it does: an answer that
exists is not given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

from buoy.chat import Button, Line, NonsenseError, Part, Reply, as_reply
from buoy.durable import outbox
from buoy.durable.store import Store
from buoy.errors import StoreError, TurnOverError
from buoy.gateway import posting, questions
from buoy.gateway.commits import STORE_RETRY_S
from buoy.gateway.patience import Patience
from buoy.gateway.platform import Platform
from buoy.gateway.posting import Batch, End
from buoy.gateway.questions import Question, Questions
from buoy.gateway.sender import Sender
from buoy.gateway.turns import Running
from buoy.letters import NOTICE, QUESTION, Letter
from buoy.logger import Logger

log = Logger("buoy.worker")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all lines of a gateway work with."""

    store: Store
    sender: Sender
    patience: Patience
    questions: Questions
    wall: Callable[[], float]


class TurnLine:
    """The line of one run of one turn."""

    def __init__(self, running: Running, platform: Platform, desk: Desk) -> None:
        self.asked: str | None = None
        """Who may answer a question: the id of whoever wrote the message. None: anybody, where a schedule asks."""
        self.pending: Reply | None = None
        """What an agent that can continue has yielded last: it ends the turn, or goes before whatever follows it."""
        self.row = running.event.id
        self.ending: asyncio.Future[Any] | None = None
        """The commit that ends the turn, under way or done; it may be that of another line."""
        self._running = running
        self._event = running.event
        self._platform = platform
        self._desk = desk
        self._is_closed = False
        self._questions = 0
        self._open: set[Question] = set()

    # --- for the agent ------------------------------------------------------------------------------------------

    async def say(self, part: Part, *, last: bool = False, also: Sequence[Line] = ()) -> int:
        """Queue one part; see :meth:`buoy.chat.Line.say`."""
        reply = as_reply(part)
        if not reply.text.strip():
            raise NonsenseError("an agent said nothing: the text is blank; to end a turn without a reply return None")
        self._check()
        await self.flush()
        bodies = self._desk.sender.compose(self._event, [reply])
        if not bodies:
            raise NonsenseError("an agent said what the platform makes no message of")
        others = [one for one in also if isinstance(one, TurnLine) and one is not self and one.is_open] if last else []
        end = End(self._event.id, also=tuple(one.row for one in others)) if last else None
        letters = await self._insist(bodies, end, is_said=True, others=others)
        return letters[-1].id

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        """Ask who wrote the message; see :meth:`buoy.chat.Line.ask`."""
        reply, choices = as_reply(question), tuple(options)
        if not (reply.text.strip() and choices and all(one.label.strip() for one in choices)):
            raise NonsenseError("an agent asks without a text, without options or with a blank one")
        self._check()
        await self.flush()
        self._questions += 1
        name = questions.name_of(self._event, self._questions, reply.text, choices)
        waiting = Question(name, (self._event.bot, self._event.lane), self.asked, choices)
        self._open.add(waiting)
        self._desk.questions.open(waiting)
        try:
            chosen = await self._put(reply, waiting)
            return choices[await waiting.answer if chosen is None else chosen].data
        finally:
            self._desk.questions.close(waiting)
            self._open.discard(waiting)

    async def _put(self, reply: Reply, waiting: Question) -> int | None:
        """Queue a question; where an earlier run did, give what was chosen meanwhile, if anything was."""
        event, desk = self._event, self._desk
        if desk.store.read(outbox.queued_at, event.bot, f"{event.key}/{waiting.name}") is not None:
            with self._pause():
                job = (questions.earlier, waiting, event, self._platform, desk.wall())
                return cast("int | None", await desk.sender.commits.insist(*job))
        text = questions.numbered(reply.text, waiting.options)
        shown = replace(reply, text=text, buttons=questions.keyboard(waiting.name, waiting.options))
        await self._insist(desk.sender.compose(event, [shown]), None, waiting.name, QUESTION, is_said=True)
        return None

    # --- for whoever runs the turn --------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Queue what waits as the last part so far: something follows it."""
        reply, self.pending = self.pending, None
        if reply is not None:
            await self._insist(self._desk.sender.compose(self._event, [reply]), None, is_said=True)

    async def finish(self, replies: Sequence[Reply], *, reason: str = "") -> None:
        """End the turn and queue its letters, in one transaction.

        Raises:
            EndedError: it had ended already.
        """
        bodies = self._desk.sender.compose(self._event, replies) if replies else []
        await self._insist(bodies, End(self._event.id, reason))

    async def tell(self, text: str, end: End, name: str) -> None:
        """End the turn in another way and tell the user, in one transaction; an empty ``text``: say nothing.

        ``name`` is that of the letter: there is one of them, however often this is tried. Where the turn had ended
        already nothing happens.
        """
        bodies: list[bytes] = []
        try:
            bodies = self._desk.sender.compose(self._event, [Reply(text)]) if text else []
        except Exception:
            log.exception("user not told", turn=self._event.id)  # that must not keep the turn from ending
        try:
            await self._insist(bodies, end, name, NOTICE)
        except posting.EndedError:
            log.info("turn had ended already", turn=self._event.id)

    def close(self) -> None:
        """The agent is done: nobody speaks here any more, and nobody waits for an answer."""
        self._is_closed = True
        for question in self._open:
            if not question.answer.done():
                question.answer.set_exception(TurnOverError("this turn has ended before its question was answered"))
                question.answer.exception()  # whoever asked may be gone

    async def has_ended(self) -> bool:
        """Say whether the last part was said, and with it the turn ended; waits for a commit that is under way."""
        job = self.ending
        if job is None:
            return False
        await asyncio.wait([job])
        return not job.cancelled() and job.exception() is None

    # --- inside -------------------------------------------------------------------------------------------------

    def _pause(self) -> AbstractContextManager[None]:
        """The disk's time is not the agent's."""
        task = self._running.task
        return self._desk.patience.pause(task) if task is not None else nullcontext()

    @property
    def is_open(self) -> bool:
        """Something may be said."""
        return not self._is_closed and self.ending is None

    def _check(self) -> None:
        if not self.is_open:
            raise TurnOverError("this turn has ended; to write in its conversation use send()")

    async def _insist(
        self,
        bodies: Sequence[bytes],
        end: End | None,
        name: str = "",
        origin: str = "",
        *,
        is_said: bool = False,
        others: Sequence[TurnLine] = (),
    ) -> list[Letter]:
        """Commit letters, and the end of their turn where it has come. A full disk is waited for: nothing is lost."""
        with self._pause() if is_said else nullcontext():
            while True:
                batch = self._desk.sender.batch(self._event, bodies, name, origin)
                try:
                    lines = (
                        [self, *(one for one in others if one.ending is None)] if is_said and end is not None else []
                    )
                    return await self._queue(batch, end, lines)
                except StoreError as error:
                    log.warning("turn not committed", turn=self._event.id, error=str(error))
                    await asyncio.sleep(STORE_RETRY_S)
                if is_said:
                    self._check()

    async def _queue(self, batch: Batch, end: End | None, ending: Sequence[TurnLine]) -> list[Letter]:
        """Commit letters, with the end of their turn where it has come. ``ending``: the lines that end with them."""
        job = self._desk.store.write(posting.end_turn, batch, end, self._desk.wall())
        for line in ending:
            line.ending = job
        try:
            letters = await asyncio.shield(job)
        except asyncio.CancelledError:
            if self._desk.store.withdraw(job):
                self._not_ended(ending, job)
                batch.failed()
            else:
                job.add_done_callback(lambda done: posting.late(batch, done))
            raise
        except BaseException:
            self._not_ended(ending, job)
            batch.failed()
            raise
        batch.committed(letters)
        return letters

    @staticmethod
    def _not_ended(ending: Sequence[TurnLine], job: asyncio.Future[Any]) -> None:
        for line in ending:
            line.ending = None if line.ending is job else line.ending
