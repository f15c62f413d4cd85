"""The turns that Hermes has in hand: which message an event, a reply or a silence of Hermes belongs to. Pure.

Hermes may run a message at once, put it in store behind what runs, merge it into another, feed it to what runs, answer
it as a command, or drop it. It says when the event object that it was given is complete, and nothing about one that it
swallowed. So we look where its event is; ``stored`` is all that Hermes has in store for one session::

    its own event is complete                          the turn is over
    it was answered as a command, beside what runs     the turn is over
    it was swallowed, and is not in store any more     what runs has taken it: the final reply there answers it as well
    it was swallowed, and its session fell idle        the turn is over: whatever came of it was said
    it was dropped, and its session fell idle          it is handed over again
    Hermes stops before it answered                    the turn stays open, and is run again after the restart

One table serves all adapter objects of a process: Hermes makes a new one for each reconnect, while turns run on.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buoy.chat import Line, Message

Stored = Callable[[str], Sequence[Any]]
"""The events that Hermes has in store for a session, by its key."""


@dataclass(slots=True, eq=False)
class Turn:
    """One message in Hermes' hands."""

    message: Message
    chat: str
    session: str = ""
    """Hermes' key of the session; empty until it is handed over."""
    event: Any = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    is_begun: bool = False
    """Hermes runs it as a turn of its own: it will say when that is complete."""
    is_command: bool = False
    """Hermes answers it at once, beside what runs."""
    is_taken: bool = False
    """Hermes has swallowed it: it is in store, or part of what runs."""
    is_followed: bool = False
    """What runs goes on with the next message: what is said next is the last of this one."""
    is_dropped: bool = False
    """Hermes let go of it without an answer."""
    is_answered: bool = False
    """Its final reply is on disk."""

    @property
    def line(self) -> Line | None:
        """The way to speak."""
        return self.message.line

    @property
    def is_open(self) -> bool:
        """It waits for its final reply."""
        return not self.is_answered and not self.over.is_set()

    def is_in(self, events: Sequence[Any]) -> bool:
        """Say whether one of these events is its own, or one that it was merged into."""
        own, text = self.event, self.event.text.strip()
        return any(
            one is own or (text and text in one.text) or not set(own.media_urls).isdisjoint(one.media_urls)
            for one in events
        )

    def runs(self, stored: Stored) -> bool:
        """Say whether what Hermes runs answers it."""
        return self.is_begun or (
            self.is_taken and not self.is_command and not self.is_dropped and not self.is_in(stored(self.session))
        )


class Hands:
    """All turns in hand, by the id of their message."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._slots: list[weakref.ref[Slots]] = []  # an adapter that was replaced goes on with what it has in store

    def take(self, message: Message, chat: str) -> tuple[Turn, bool]:
        """Give the turn of a message, and whether it is new here: else Hermes has it already, from an adapter before.

        A run that begins anew brings a new line.
        """
        turn = self._turns.get(message.id)
        if turn is not None:
            turn.message = message
            return turn, False
        turn = self._turns[message.id] = Turn(message, chat)
        return turn, True

    def drop(self, turn: Turn) -> None:
        """It is over, or its run was taken away before Hermes got it."""
        if self._turns.get(turn.message.id) is turn:
            del self._turns[turn.message.id]

    def of_event(self, event: Any) -> Turn | None:
        """Find the turn whose event object this is."""
        return next((turn for turn in self._turns.values() if turn.event is event), None)

    def answering(self, message: str | None) -> Turn | None:
        """Find the turn of a message."""
        return None if message is None else self._turns.get(message)

    # --- replies ----------------------------------------------------------------------------------------------

    def speaking(self, chat: str, reply_to: str | None, stored: Stored) -> list[Turn]:
        """Find the turn that something said on the way belongs to: the one that it answers, else the one that runs.

        Several, the newest first: it is the last of all these. None: nobody asked for it.
        """
        if reply_to is None and (ended := self._open(lambda one: one.chat == chat and one.is_followed)):
            return ended
        named = self._named(chat, reply_to, stored)
        return [] if named is None else [named]

    def ending(self, chat: str, reply_to: str | None, stored: Stored) -> list[Turn]:
        """Find the turns that a final reply ends: first the one that it belongs to, then those that it answers as well.

        None: nobody asked for it, or those who did have their answer.
        """
        named = self._named(chat, reply_to, stored)
        if named is None:
            return []
        if named.is_command:
            return [named] if named.is_open else []
        found = self._open(lambda one: one.session == named.session and one.runs(stored))
        if named.is_open:
            return [named, *(one for one in found if one is not named)]
        return found

    def _named(self, chat: str, reply_to: str | None, stored: Stored) -> Turn | None:
        if (turn := self.answering(reply_to)) is not None:
            return turn
        running = self._open(lambda one: one.chat == chat and one.runs(stored))
        return next((turn for turn in running if turn.is_begun), running[0] if running else None)

    def _open(self, wanted: Callable[[Turn], bool]) -> list[Turn]:
        """Those that wait for a final reply, the newest first."""
        known = [turn for turn in self._turns.values() if turn.is_open and turn.event is not None]
        return [turn for turn in reversed(known) if wanted(turn)]

    # --- what Hermes does -------------------------------------------------------------------------------------

    def begun(self, event: Any) -> None:
        """Hermes begins to run an event."""
        if (turn := self.of_event(event)) is not None:
            turn.is_begun = True

    def stored(self, event: Any) -> None:
        """Hermes puts an event in store."""
        if (turn := self.of_event(event)) is not None:
            turn.is_taken = True

    def opened(self, slots: Slots) -> None:
        """Another adapter object has a store."""
        self._slots = [*(one for one in self._slots if one() is not None), weakref.ref(slots)]

    def waiting(self, session: str) -> list[Any]:
        """The events that wait for a session's next turn, whichever adapter object was given them."""
        stores = [slots for one in self._slots if (slots := one()) is not None]
        return [slots[session] for slots in stores if session in slots]

    def followed(self, session: str, event: Any, stored: Stored) -> None:
        """What runs in a session goes on with this event, which was in store until now.

        None: with what was fed to it and came too late, if anything did.
        """
        running = self._open(lambda one: one.session == session and one.runs(stored))
        if event is None:
            next_ones = [turn for turn in running if not turn.is_begun]
        else:
            next_ones = [turn for turn in running if turn.is_in([event])]
        for turn in running:
            turn.is_followed = bool(next_ones or event) and turn not in next_ones

    def complete(self, event: Any, *, is_stopping: bool) -> None:
        """Hermes is done with an event. What it leaves without an answer because it stops is not over.

        A command is over all the same: it did what it does.
        """
        turn = self.of_event(event)
        if turn is None:
            return
        if turn.is_dropped or (is_stopping and not turn.is_answered and not event.text.startswith("/")):
            turn.is_dropped, turn.is_begun = True, False
        else:
            turn.over.set()

    def displaced(self, session: str, old: Any, new: Any) -> None:
        """Hermes is about to put an event in store in place of another: of texts, both are kept in the new one."""
        lost = self._open(lambda one: one.session == session and not one.is_begun and one.is_in([old]))
        if not lost:
            return
        if _is_text(old) and _is_text(new):
            new.text = f"{old.text}\n{new.text}"
        else:
            for turn in lost:
                turn.is_dropped = True

    def __len__(self) -> int:
        """Count the turns that are not over."""
        return sum(not turn.over.is_set() for turn in self._turns.values())


class Slots(dict[str, Any]):
    """Hermes' store of one event for each session: a second one takes the place of the first, which we are told."""

    def __init__(self, hands: Hands) -> None:
        super().__init__()
        self._hands = hands
        hands.opened(self)

    def __setitem__(self, session: str, event: Any) -> None:
        old = self.get(session)
        if old is not None and old is not event:
            self._hands.displaced(session, old, event)
        self._hands.stored(event)
        super().__setitem__(session, event)


def _is_text(event: Any) -> bool:
    return event.message_type.value == "text" and not event.text.startswith("/") and not event.media_urls
