"""Agents that take a while over an answer of several parts, so that a kill or `/stop` falls into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from buoy.chat import Message, agent

PARTS = tuple(f"part {n} of 4" for n in range(1, 5))


async def _tell(message: Message) -> AsyncIterator[str]:
    for part in PARTS[len(message.delivered) :]:
        yield part
        await asyncio.sleep(0.3)


story = agent(_tell, can_continue=True)


def blocking(message: Message) -> list[str]:
    """The same, in a process of its own, where nothing leaves early."""
    del message
    time.sleep(1.0)
    return list(PARTS)
