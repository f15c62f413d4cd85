"""The console as a chat platform: stdin is the user, stdout the bot. Keeps the gateway from learning QQ's ways.

No reply windows, no anchors, no sessions: every line is a message, every letter is printed. A line is stored before
the next one is read, like any frame.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TextIO

from buoy.chat import Message, Reply, Sender, Target
from buoy.errors import ConfigError
from buoy.letters import (
    Anchor,
    Arrival,
    End,
    Event,
    Failed,
    Intake,
    Letter,
    LetterState,
    Outcome,
    Plan,
    Proactive,
    Sent,
)

LANE = "console:local:me"


class Console:
    """Satisfies :class:`buoy.gateway.platform.Platform`."""

    name = "console"
    bot = "console"

    def __init__(
        self,
        *,
        source: TextIO | None = None,
        sink: TextIO | None = None,
        wall: Callable[[], float] = time.time,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source or sys.stdin
        self._sink = sink or sys.stdout
        self._wall = wall
        self._on_end = on_end
        self._is_open = False
        self._is_closed = asyncio.Event()

    def services(self, intake: Intake) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Reads lines until there are no more."""

        async def read() -> None:
            loop = asyncio.get_running_loop()
            self._is_open = True
            while line := await loop.run_in_executor(None, self._source.readline):
                if not line.strip():
                    continue
                now, key = self._wall(), uuid.uuid4().hex
                frame = json.dumps({"text": line.rstrip("\n")}, ensure_ascii=False).encode()
                await intake.put(
                    Arrival(
                        self.bot,
                        0,
                        "",
                        None,
                        "line",
                        key,
                        frame,
                        LANE,
                        turn=True,
                        anchor=None,
                        event_at=now,
                        received_at=now,
                        bypass=line.strip() == "/stop",
                    )  # fmt: skip
                )
            self._is_open = False
            self._on_end()
            await self._is_closed.wait()

        return {"stdin": read}

    def read(self, event: Event) -> Message | None:
        """A line as a message."""
        text = json.loads(event.frame)["text"]
        return Message(
            text.strip(),
            event.lane,
            Sender("me"),
            event.key,
            at=event.event_at,
            turn=event.key,
            attempt=event.attempts,
        )

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        """One letter a reply."""
        del event
        return [self.body(reply) for reply in replies]

    def body(self, reply: Reply) -> bytes:
        """The text."""
        return reply.text.encode()

    def text_of(self, body: bytes) -> str:
        """The text."""
        return body.decode()

    def check(self, target: Target) -> None:
        """There is one target."""
        if target.lane != LANE:
            raise ConfigError(f"the console has one conversation; its target is {LANE}")

    def merge(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Nothing is ever held here; joined all the same."""
        return [b"\n\n".join(bodies)]

    def reword(self, letter: Letter, failed: Failed) -> list[bytes]:
        """Nothing is ever refused."""
        del letter, failed
        return []

    def plan(self, letter: Letter, anchors: Sequence[Anchor], now: float) -> Plan:
        """Print it, once: a letter that may have been printed before a crash is not printed again."""
        del anchors, now
        if letter.frozen:
            return End(
                LetterState.UNSURE, "it may have been printed before the process ended; it is not repeated"
            )
        return Proactive()

    def alive_since(self, lane: str, now: float) -> float:
        """No anchors."""
        del lane
        return now

    async def deliver(self, letter: Letter) -> Outcome:
        """Print."""
        print(self.text_of(letter.body), file=self._sink, flush=True)
        return Sent(str(letter.id))

    def learn(self, letter: Letter, outcome: Outcome) -> None:
        """Nothing to learn."""

    def health(self) -> dict[str, Any]:
        """Open until stdin ends."""
        return {
            "platform": "console",
            "phase": "live" if self._is_open else "ended",
            "connected": self._is_open,
        }

    async def close(self) -> None:
        """A thread may still wait for a line; it ends with the process."""
        self._is_closed.set()

    async def release(self) -> None:
        """Nothing is held."""
