"""Questions that running turns have asked, and what counts as their answer: a button, a number, a label.

An answer needs no turn: the commit that stores it ends it, with a reason that names the question and the option. By
that reason a later run of the turn finds what was chosen while nobody waited, so nobody is asked twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from buoy.chat import Button, Click, Message, Sender
from buoy.durable import inbox, outbox
from buoy.durable.lanes import Key
from buoy.gateway.turns import Seat
from buoy.letters import SCHEDULED, Event
from buoy.logger import Logger

if TYPE_CHECKING:
    import sqlite3

    from buoy.gateway.platform import Platform

ROWS: Final = 5  # of buttons: ours, and what fits below a message on a phone
DATA: Final = re.compile(r"(ask:[0-9a-f]{12}):(\d{1,4})")
ANSWERS: Final = "answers"
STRANGER: Final = "clicked by somebody else than who was asked"

log = Logger("buoy.worker")


def name_of(event: Event, number: int, text: str, options: Sequence[Button]) -> str:
    """Name the n-th question of a turn: the same in every run, as long as it asks the same."""
    told = "\0".join([event.bot, event.key, str(number), text, *(f"{one.label}\0{one.data}" for one in options)])
    return f"ask:{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def numbered(text: str, options: Sequence[Button]) -> str:
    """Write a question so that a number answers it, where there are no buttons."""
    return "\n".join([text.rstrip(), "", *(f"{n}. {one.label}" for n, one in enumerate(options, 1))])


def keyboard(name: str, options: Sequence[Button]) -> tuple[tuple[Button, ...], ...]:
    """The options as buttons, in as few columns as possible."""
    buttons = [Button(one.label, f"{name}:{n}", one.is_main) for n, one in enumerate(options)]
    width = -(-len(buttons) // ROWS)
    return tuple(tuple(buttons[at : at + width]) for at in range(0, len(buttons), width))


def choice_of(text: str, options: Sequence[Button]) -> int | None:
    """The option that a typed text chooses: by its label, its data or its number; None: it says something else."""
    said = text.strip()
    for n, one in enumerate(options):
        if said == one.data or said.casefold() == one.label.strip().casefold():
            return n
    number = said.rstrip(".。、 ")
    if number.isdecimal() and len(number) < 5 and 1 <= int(number) <= len(options):
        return int(number) - 1
    return None


@dataclass(eq=False, slots=True)
class Question:
    """One that waits for its answer. ``asked`` is the id of the only one who may give it; None: anybody may."""

    name: str
    lane: Key
    asked: str | None
    options: tuple[Button, ...]
    answer: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    is_taken: bool = False
    """Its answer is being stored."""

    def is_for(self, sender: Sender) -> bool:
        """Say whether this one may answer."""
        return self.asked is None or sender.id == self.asked


class Questions:
    """Those that are open, by conversation, the newest last."""

    def __init__(self) -> None:
        self._open: dict[Key, list[Question]] = {}

    def open(self, question: Question) -> None:
        """It waits from now on."""
        self._open.setdefault(question.lane, []).append(question)

    def close(self, question: Question) -> None:
        """It waits no more."""
        waiting = self._open.get(question.lane, [])
        if question in waiting:
            waiting.remove(question)
        if not waiting:
            self._open.pop(question.lane, None)

    def waits_in(self, lane: Key) -> bool:
        """Say whether any waits in this conversation."""
        return lane in self._open

    def clicked(self, lane: Key, click: Click) -> Seat | None:
        """As what a click is stored that belongs to a question, whether that waits or not; None: it belongs to none."""
        found = DATA.fullmatch(click.data)
        if found is None:
            return None
        name, number = found[1], int(found[2])
        for question in self._open.get(lane, []):
            if question.name == name and number < len(question.options):
                if not question.is_for(click.sender):
                    return Seat(ends=STRANGER)
                return self._taken(question, number) or Seat(ends=f"{name} has its answer already")
        return Seat(ends=_reason(name, number))  # a later run may ask it again

    def said(self, lane: Key, message: Message) -> Seat | None:
        """As what a message is stored that answers a question which waits; None: it answers none."""
        for question in reversed(self._open.get(lane, [])):
            if question.is_for(message.sender) and not question.is_taken:
                number = choice_of(message.text, question.options)
                if number is not None:
                    return self._taken(question, number)
        return None

    @staticmethod
    def _taken(question: Question, number: int) -> Seat | None:
        if question.is_taken:
            return None
        question.is_taken = True
        return Seat(ends=_reason(question.name, number), question=question, choice=number)

    def stored(self, seat: Seat, *, is_stored: bool) -> None:
        """The commit of an answer ended."""
        question = seat.question
        if question is None:
            return
        if not is_stored:
            question.is_taken = False
        elif not question.answer.done():
            question.answer.set_result(seat.choice)


def _reason(name: str, number: int) -> str:
    return f"{ANSWERS} {name}:{number}"


def earlier(db: sqlite3.Connection, question: Question, event: Event, platform: Platform, now: float) -> int | None:
    """What was chosen while nobody waited: stored as an answer, or as a message that waits for its turn still.

    A job behind whatever came in before the question was open: what is being committed still is seen as well.
    """
    told = inbox.ended_with(db, event.bot, event.lane, event.id, f"{ANSWERS} {question.name}:")
    for reason, row in told:
        click = platform.click(row)
        if click is None or question.is_for(click.sender):
            number = int(reason.rpartition(":")[2])
            if number < len(question.options):
                return number
    asked_at = outbox.queued_at(db, event.bot, f"{event.key}/{question.name}") or 0.0
    for row in inbox.page(db, event.bot, event.lane, event.id, inbox.LOOK_BACK):
        if row.type == SCHEDULED or row.received_at < asked_at:  # what was written before is no answer
            continue
        try:
            message = platform.read(row)
        except Exception:
            log.exception("not looked at as an answer", turn=row.id)  # its turn says why
            continue
        if message is None or not question.is_for(message.sender):
            continue
        number_ = choice_of(message.text, question.options)
        if number_ is not None and inbox.end_waiting(db, row.id, _reason(question.name, number_), now):
            return number_
    return None
