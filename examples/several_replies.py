"""Everything that an agent may answer with: a text, a Reply, several of them, or nothing.

BUOY_AGENT=python:several_replies:answer buoy run
"""

from collections.abc import AsyncIterator

from buoy.chat import Message, Reply


async def answer(message: Message) -> AsyncIterator[str | Reply]:
    """Greet, quote the question, describe what was attached; say nothing to whoever is silent."""
    if not message.text and not message.attachments:
        return
    yield f"Hello {message.sender.name or 'there'}."
    yield Reply(f"You wrote **{len(message.text)}** characters.", markdown=True, quote=True)
    for attachment in message.attachments:
        yield f"I received {attachment.label}."
