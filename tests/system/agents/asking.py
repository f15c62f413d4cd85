"""Asks before it answers; holds "wait" messages back for ever, and writes down clicks on buttons of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from buoy.chat import Agent, Button, Click, Message, Reply

CLICKS = Path(os.environ["DIARY"])


def write(line: str) -> None:
    with CLICKS.open("a", encoding="utf-8") as diary:
        diary.write(line)


async def answer(message: Message) -> Reply | str:
    if message.text == "wait":
        await asyncio.Event().wait()
    if message.text == "menu":
        return Reply("pick", buttons=((Button("One", "one"), Button("Two", "two")),))
    assert message.line is not None
    return "chosen " + await message.line.ask(
        "Run *it*?", [Button("Allow", "allow", is_main=True), Button("Deny", "deny")]
    )


async def clicked(click: Click) -> None:
    write(f"{click.data} by {click.sender.id} in {click.conversation}\n")


agent = Agent(answer, "asking", clicked=clicked)
