"""The console as a chat platform: stdin is the user, stdout the bot. Keeps the gateway from learning QQ's ways.

No reply windows, no anchors, no sessions: every line is a message, every letter is printed. A line is stored before
the next one is read, like any frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TextIO

from buoy.chat import Message, Reply, Sender, Target
from buoy.errors import ConfigError, StoreError
from buoy.letters import (
    Anchor,
    Arrival,
    Cause,
    End,
    Event,
    Failed,
    Intake,
    Letter,
    LetterState,
    Outcome,
    Permission,
    Plan,
    Proactive,
    Sent,
)
from buoy.logger import Logger

LANE = "console:local:me"
STORE_RETRY_S = 1.0

log = Logger("buoy.console")


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
        self._line: asyncio.Future[str] | None = None

    def services(self, intake: Intake) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Reads lines until there are no more."""

        async def read() -> None:
            self._is_open = True
            while line := await self._next_line():
                if line.strip():
                    await self._store(intake, line)
                self._line = None
            self._is_open = False
            self._on_end()
            await self._is_closed.wait()

        return {"stdin": read}

    async def _next_line(self) -> str:
        """The next line, "" at the end; the same one again until it was stored.

        It is read on a daemon thread of its own: a thread of the loop's executor would keep the process alive
        until the user presses a key.
        """
        if self._line is None:
            self._line = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._read_line, args=(self._line,), name="stdin", daemon=True).start()
        return await asyncio.shield(self._line)

    def _read_line(self, future: asyncio.Future[str]) -> None:
        try:
            line = self._source.readline()
        except (OSError, ValueError):  # a closed terminal, bytes that are no text
            line = ""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            future.get_loop().call_soon_threadsafe(_settle, future, line)

    async def _store(self, intake: Intake, line: str) -> None:
        """Store one line, again and again while the disk refuses; the next one is not read before."""
        frame = json.dumps({"text": line.rstrip("\n")}, ensure_ascii=False).encode(errors="replace")
        now, key = self._wall(), uuid.uuid4().hex
        row = Arrival(
            self.bot, 0, "", None, "line", key, frame, LANE, turn=True, anchor=None, event_at=now,
            received_at=now, bypass=line.strip() == "/stop",
        )  # fmt: skip
        while True:
            try:
                await intake.put(row)
            except StoreError as error:
                log.warning("line not stored yet", error=str(error))
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

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

    def click(self, event: Event) -> None:
        """A button is a line of text here, and what is typed is a message."""

    def types(self, event: Event) -> bool:
        """Nobody is shown it."""
        del event
        return False

    async def typing(self, event: Event, seq: int) -> None:
        """Nobody is shown it."""

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        """One letter a reply."""
        del event
        return [self.body(reply) for reply in replies]

    def body(self, reply: Reply) -> bytes:
        """The text, and its buttons as numbered lines below it."""
        labels = [one.label for row in reply.buttons for one in row]
        listed = [f"{n}. {label}" for n, label in enumerate(labels, 1)]
        if labels and not reply.text.endswith("\n".join(listed)):  # a question lists its options itself
            return "\n".join([reply.text, *listed]).encode()
        return reply.text.encode()

    def text_of(self, body: bytes) -> str:
        """The text."""
        return body.decode()

    def check(self, target: Target) -> None:
        """There is one target."""
        if target.lane != LANE:
            raise ConfigError(f"the console has one conversation; its target is {LANE}")

    def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
        """Nothing is ever held here; joined all the same."""
        del now
        return [b"\n\n".join(letter.body for letter in held)]

    def reword(self, letter: Letter, failed: Failed) -> list[bytes]:
        """Nothing is ever refused."""
        del letter, failed
        return []

    def plan(self, letter: Letter, anchors: Sequence[Anchor], now: float, known: Permission | None = None) -> Plan:
        """Print it, once: a letter that may have been printed before a crash is not printed again."""
        del anchors, now, known
        if letter.frozen:
            return End(LetterState.UNSURE, "it may have been printed before the process ended; it is not repeated")
        return Proactive()

    def alive_since(self, lane: str, now: float) -> float:
        """No anchors."""
        del lane
        return now

    async def reach(self) -> Failed | None:
        """Nothing is in the way of a line on the terminal."""

    async def deliver(self, letter: Letter) -> Outcome:
        """Print."""
        try:
            print(self.text_of(letter.body), file=self._sink, flush=True)
        except (OSError, ValueError) as error:  # whoever read it is gone; some of it may have come through
            return Failed(Cause.LOST, f"it could not be printed: {error}")
        return Sent(str(letter.id))

    def learn(self, letter: Letter, outcome: Outcome) -> None:
        """Nothing to learn: the user is there."""

    def health(self) -> dict[str, Any]:
        """Open until stdin ends."""
        return {
            "platform": "console",
            "state": "up" if self._is_open else "down",
            "phase": "live" if self._is_open else "ended",
            "connected": self._is_open,
        }

    async def close(self) -> None:
        """A thread may still wait for a line; it ends with the process."""
        self._is_closed.set()

    async def release(self) -> None:
        """Nothing is held."""


def _settle(future: asyncio.Future[str], line: str) -> None:
    if not future.done():
        future.set_result(line)
