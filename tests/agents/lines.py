"""A line for tests of agents: it notes what is said and asked, and answers questions as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from buoy.chat import Button, Line, Part, as_reply


@dataclass
class FakeLine:
    """``answers`` are the data chosen, in order; where there is none any more a question waits for ever."""

    answers: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    has_asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers_at: asyncio.Event | None = None
    """Where there is one, answers come only after it is set."""

    async def say(self, part: Part, *, last: bool = False, also: Sequence[Line] = ()) -> int:
        self.said.append(as_reply(part).text)
        return len(self.said)

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        self.asked.append((as_reply(question).text, [one.label for one in options]))
        self.has_asked.set()
        if not self.answers:
            await asyncio.Event().wait()
        if self.answers_at is not None:
            await self.answers_at.wait()
        chosen = self.answers.pop(0)
        assert chosen in {one.data for one in options}
        return chosen
