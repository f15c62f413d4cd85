"""An echo that takes a moment, so that a kill can fall into a running turn."""

from __future__ import annotations

import asyncio

from buoy.chat import Message


async def answer(message: Message) -> str:
    await asyncio.sleep(0.01)
    return message.text
