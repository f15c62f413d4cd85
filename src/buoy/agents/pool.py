"""A few processes of our own that run a Python agent which may block, one message at a time each.

A process that dies, or whose turn is cancelled because it hangs, is killed with all it started; the next
message gets a new one. What is on the pipe stands in :mod:`buoy.agents.isolated`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final

from buoy.agents import message_json
from buoy.agents.child import Child
from buoy.chat import Message, NonsenseError, Reply
from buoy.errors import AgentAwayError, AgentError

ANSWER_LIMIT: Final = 16 * 1024 * 1024  # bytes of one answer on the pipe, as JSON
# The child looks for modules where this process does; `-m` alone would not.
BOOT: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); from buoy.agents.isolated import main; main()"
)


class Pool:
    """Runs ``MODULE:FUNCTION`` in at most ``size`` processes, started when they are needed."""

    def __init__(self, target: str, size: int) -> None:
        self._target = target
        self._places = asyncio.Semaphore(size)
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    async def answer(self, message: Message) -> list[Reply]:
        """Run one message in a process that is free, and give its replies.

        Raises:
            AgentError: the function raised, or its process ended. Cancellation kills the process.
        """
        async with self._places:
            child = await self._take()
            try:
                child.write(message_json.encode(message).encode() + b"\n")
                line = await child.line()
                answer = json.loads(line) if line is not None else None
            except BaseException:
                await self._end(child)
                raise
            if answer is None:
                await self._end(child)
                how = f"answered with more than {ANSWER_LIMIT} bytes" if child.is_over_limit else child.ended
                raise AgentError(f"python:{self._target}: its process {how} before it had answered")
            self._idle.append(child)
        if "away" in answer:
            raise AgentAwayError(answer["away"])
        if "error" in answer:
            raise AgentError(answer["error"])
        if "nonsense" in answer:
            raise NonsenseError(answer["nonsense"])
        return [message_json.reply_of(reply) for reply in answer["replies"]]

    async def close(self) -> None:
        """End all processes; turns that still run fail."""
        while self._all:
            await self._end(next(iter(self._all)))

    async def _take(self) -> Child:
        """Give a free process that lives, or a new one."""
        while self._idle:
            child = self._idle.pop()
            if child.exit_code is None:
                return child
            await self._end(child)
        argv = [sys.executable, "-c", BOOT, json.dumps(sys.path), self._target]
        try:
            child = await Child.start(argv, limit=ANSWER_LIMIT, stderr=None)
        except OSError as error:
            raise AgentError(f"python:{self._target}: no process: {error.strerror or error}") from error
        self._all.add(child)
        return child

    async def _end(self, child: Child) -> None:
        self._all.discard(child)
        if child in self._idle:
            self._idle.remove(child)
        await child.end()
