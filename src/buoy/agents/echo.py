"""The agent that answers with what it was told. It proves that everything around it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buoy.chat import Agent, Message, agent
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the echo agent. It has no settings of its own."""
    if rest:
        raise ConfigError(f"bots.agent.kind (BUOY_AGENT): echo takes nothing after a colon, not {rest[:80]!r}")
    return agent(answer, name="echo", history_turns=settings.get("history_turns") or 0)


async def answer(message: Message) -> str:
    """Give the same text back, or say what was attached where there is none."""
    return message.text if message.text.strip() else "\n".join(file.label for file in message.attachments)
