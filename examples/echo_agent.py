"""The smallest agent: an async function that gets a message and returns a text.

BUOY_AGENT=python:echo_agent:answer buoy run
"""

from buoy.chat import Message


async def answer(message: Message) -> str:
    """Answer with the same text."""
    return f"You said: {message.text}"
