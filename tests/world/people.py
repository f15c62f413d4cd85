"""Who writes to the bots, what the agents do with it, and what each message must lead to.

A message's text says what its turn has to do, so that a run after a crash does the same:
``<number> <kind> <parts> <fails> <slow>``. Each part of an answer carries a mark that occurs nowhere else.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from buoy.chat import Agent, Message

LONG = 2600  # characters: two of them do not fit into one QQ message
HUGE = 14_000  # characters: two of them do not fit into the replies to one message
MARK = re.compile(r"«(\d+\.\d+[az]?|s\d+)»")
DEAD_RUNS = 5


@dataclass
class Talk:
    """One message, and what became of it at the platform."""

    number: int
    bot: str
    scene: str
    room: int
    text: str
    kind: str
    parts: int
    fails: int
    at: float
    """World time."""
    id: str = ""
    target: str = ""
    put: list[tuple[str, int]] = field(default_factory=list)
    """Sessions that it was dispatched to, and its sequence there."""
    is_deaf: bool = False
    """The platform lost it on purpose (a deaf session)."""
    is_unasked: bool = False
    """There was a session, and it had not asked for events like this (fewer intents, after a refusal)."""
    is_flush: bool = False

    @property
    def marks(self) -> list[str]:
        """What must be read in its conversation, each of it once."""
        if self.kind in {"long", "huge"}:
            return [f"{self.number}.{n}{end}" for n in range(self.parts) for end in "az"]
        return [f"{self.number}.{n}" for n in range(self.parts)] if self.kind in {"echo", "slow", "stream"} else []

    @property
    def must_die(self) -> bool:
        """Its turn ends as a dead letter."""
        return self.kind in {"hang", "poison", "nonsense"} or self.fails >= DEAD_RUNS


def part(number: int, n: int, kind: str) -> str:
    if kind in {"long", "huge"}:
        return f"«{number}.{n}a» " + "long " * ((LONG if kind == "long" else HUGE) // 5) + f"«{number}.{n}z»"
    return f"«{number}.{n}»"


class Agents:
    """The agents of all bots. ``kill`` ends the process that runs them."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.kill = kill
        self.runs: Counter[int] = Counter()
        self.concurrent: Counter[str] = Counter()
        """Turns under way in each conversation; more than one at once breaks the order."""
        self.overlaps: list[str] = []

    def build(self, bot: str) -> Agent:
        if int(bot[-1]) % 2:
            return Agent(self._stream, name="stream", can_continue=True)
        return Agent(self._answer, name="answer")

    async def _work(self, message: Message) -> tuple[int, str, int]:
        """Do what the text says, up to the point where the answer is known."""
        number, kind, parts, fails, slow = message.text.split()
        self.runs[int(number)] += 1
        if kind == "poison":
            self.kill()
            await asyncio.get_running_loop().create_future()
        if kind == "hang":
            await asyncio.get_running_loop().create_future()
        if message.attempt and self.runs[int(number)] <= int(fails):
            raise RuntimeError(f"fails as asked, {fails} times")
        if float(slow):
            await asyncio.sleep(float(slow))
        return int(number), kind, int(parts)

    async def _answer(self, message: Message) -> Any:
        number, kind, parts = await self._work(message)
        return 7 if kind == "nonsense" else [part(number, n, kind) for n in range(parts)]

    async def _stream(self, message: Message) -> AsyncIterator[Any]:
        """Parts that leave early; a run after a crash is told what was delivered and goes on behind it."""
        number, kind, parts = await self._work(message)
        if kind == "nonsense":
            yield 7
            return
        told = {mark for text in message.delivered for mark in MARK.findall(text)}
        for n in range(parts):
            if f"{number}.{n}" in told or f"{number}.{n}a" in told:
                continue
            await asyncio.sleep(0.05)
            yield part(number, n, kind)


@dataclass(frozen=True)
class Place:
    """A conversation."""

    bot: str
    scene: str
    room: int


def places(bots: list[str]) -> list[Place]:
    """The conversations of a world: private ones, groups, a guild channel and a guild DM for each bot."""
    rooms = (("c2c", 0), ("c2c", 1), ("c2c", 2), ("group", 0), ("group", 1), ("channel", 0), ("dm", 0))
    return [Place(bot, scene, room) for bot in bots for scene, room in rooms]


def draw_talk(number: int, place: Place, at: float, draw: random.Random) -> Talk:
    """Draw what the next message asks for."""
    kind = draw.choices(
        ["echo", "slow", "long", "huge", "hang", "poison", "nonsense", "silent"], [700, 140, 50, 20, 8, 1, 20, 60], k=1
    )[0]
    parts = draw.choices([1, 2, 3, 6], [70, 15, 10, 5], k=1)[0]
    if kind == "silent":
        parts = 0
    fails = draw.choices([0, 1, 2, 9], [92, 4, 3, 1], k=1)[0] if kind in {"echo", "slow"} else 0
    slow = draw.choice([0.5, 3.0, 20.0, 60.0]) if kind == "slow" else draw.choice([0.0, 0.0, 0.3])
    text = f"{number} {kind} {parts} {fails} {slow}"
    return Talk(number, place.bot, place.scene, place.room, text, kind, parts, fails, at)
