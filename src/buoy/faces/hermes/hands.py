"""The turns that Hermes has in hand: which message an event, a reply or a silence of Hermes belongs to.

Hermes may run a message at once, hold it back, merge it into another, feed it to a turn that runs, or answer it as a
command; it says when the event object that it was given is complete, and nothing about one that it swallowed. So::

    its own event is complete                     the turn is over
    it was swallowed, and its session fell idle   the turn is over: whatever came of it was said
    Hermes stops before it answered               the turn stays open, and is run again after the restart

One table serves all adapter objects of a process: Hermes makes a new one for each reconnect, while turns run on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buoy.chat import Line, Message


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
    is_answered: bool = False
    """Its final reply is on disk."""

    @property
    def line(self) -> Line | None:
        """The way to speak."""
        return self.message.line


class Hands:
    """All turns in hand, by the id of their message."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}

    def take(self, message: Message, chat: str) -> tuple[Turn, bool]:
        """Give the turn of a message, and whether it is new here: else Hermes has it already, from an adapter before.

        A run that begins anew brings a new line.
        """
        turn = self._turns.get(message.id)
        if turn is not None and not turn.over.is_set():
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

    def answering(self, chat: str, reply_to: str | None) -> Turn | None:
        """Find the turn that something said in a chat belongs to: the one that it answers, else the newest that runs.

        None: nobody asked for it.
        """
        if reply_to is not None and (turn := self._turns.get(reply_to)) is not None:
            return turn
        running = [turn for turn in self._turns.values() if turn.chat == chat and turn.is_begun]
        return next((turn for turn in reversed(running) if not turn.over.is_set() and not turn.is_answered), None)

    def begun(self, event: Any) -> None:
        """Hermes begins to run an event."""
        if (turn := self.of_event(event)) is not None:
            turn.is_begun = True

    def complete(self, event: Any, *, is_stopping: bool) -> None:
        """Hermes is done with an event. What it leaves without an answer because it stops is not over."""
        turn = self.of_event(event)
        if turn is not None and (turn.is_answered or not is_stopping):
            turn.over.set()

    def __len__(self) -> int:
        """Count the turns that are not over."""
        return sum(not turn.over.is_set() for turn in self._turns.values())
