"""Agents that misbehave: one hangs in await, one blocks the loop, one kills the process."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

from buoy.chat import Message


async def answer(message: Message) -> str:
    await asyncio.Event().wait()
    return message.text


async def deaf(message: Message) -> str:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def block(message: Message) -> str:
    print("now it blocks", file=sys.stderr, flush=True)
    time.sleep(600)  # noqa: ASYNC251  that is the point
    return message.text


async def poison(message: Message) -> str:
    if message.text == "poison":
        os._exit(9)
    return message.text
