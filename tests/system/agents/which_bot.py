"""Answers with the conversation that it was asked in."""

from __future__ import annotations

from buoy.chat import Message


async def answer(message: Message) -> str:
    return message.conversation
