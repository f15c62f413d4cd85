"""An echo that writes down each of its runs, and holds "wait" messages back until the test opens the gate."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

from buoy.chat import Message

DIARY, GATE = Path(os.environ["DIARY"]), Path(os.environ["GATE"])


def write(line: str) -> None:
    with DIARY.open("a", encoding="utf-8") as diary:
        diary.write(line + "\n")


def is_open() -> bool:
    return GATE.exists()


async def answer(message: Message) -> str:
    write(json.dumps({"text": message.text, "at": time.time()}))
    while message.text.startswith("wait") and not is_open():
        await asyncio.sleep(0.01)
    return message.text
