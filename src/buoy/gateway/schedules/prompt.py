"""A schedule's prompt as a row of the inbox, and back as the message that an agent gets."""

from __future__ import annotations

import json

from buoy.chat import Message, Sender, Target
from buoy.letters import SCHEDULED, Arrival, Event


def arrival(name: str, text: str, where: Target, conversation: str, key: str, planned: float, now: float) -> Arrival:
    """Build the row of one firing. ``where`` names its bot; ``conversation`` is what the agent is told."""
    frame = json.dumps({"schedule": name, "text": text, "conversation": conversation}, ensure_ascii=False)
    return Arrival(
        where.bot or "", 0, "", None, SCHEDULED, key, frame.encode(), where.lane, turn=True, anchor=None,
        event_at=planned, received_at=now,
    )  # fmt: skip


def message(event: Event) -> Message:
    """Read such a row for the agent."""
    told = json.loads(event.frame)
    name = told["schedule"]
    return Message(
        text=told["text"],
        conversation=told["conversation"],
        sender=Sender(id=f"schedule:{name}", name=name, role="schedule"),
        id=event.key,
        at=event.event_at,
        turn=f"{event.bot}/{event.key}",
        attempt=event.attempts,
        schedule=name,
    )
