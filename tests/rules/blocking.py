"""An agent that blocks for good when it is told to."""

from __future__ import annotations

import time

from buoy.chat import Message


def answer(message: Message) -> str:
    if message.text == "block":
        time.sleep(600)
    return message.text
