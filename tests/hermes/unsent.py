"""A final reply that cannot be stored, as the store was lost: a program for the Python of a Hermes environment.

Prints a JSON list: whether Hermes was told that it was sent, and whether its message counts as handled.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from buoy.chat import Message, Sender
from buoy.errors import NotRunningError, TurnOverError
from buoy.faces.hermes import registration
from tests.hermes.clicks import Context


class Ended:
    """A gateway, and a line of it, that have ended."""

    async def say(self, *_: Any, **__: Any) -> int:
        raise TurnOverError("this turn has ended")

    async def send(self, *_: Any, **__: Any) -> Any:
        raise NotRunningError("this gateway does not run")


async def main() -> None:
    """Hand a message to the table, and give Hermes' answer to an adapter whose gateway has ended."""
    from gateway.config import PlatformConfig  # noqa: PLC0415  Hermes' own

    registration.offer(Context(), "buoy")
    from buoy.faces.hermes.adapter import Adapter  # noqa: PLC0415  its platform has to be known

    adapter = Adapter(PlatformConfig(enabled=True, extra={"app_id": "1", "client_secret": "s"}), "buoy")
    adapter.set_session_store(None)
    ended: Any = Ended()
    adapter._gateway = ended
    sender = Sender("A", "")
    message = Message(id="m1", text="hello", conversation="qq:c2c:A", sender=sender, line=ended)
    turn, _ = adapter._hands.take(message, "A")
    turn.event = await adapter._event_of(message, "c2c", "A")
    turn.session = adapter._session_of(turn.event.source)
    adapter._hands.begun(turn.event)
    result = await adapter._send_with_retry("A", "the answer", "m1", {"notify": True})
    await adapter.on_processing_complete(turn.event, None)
    print(json.dumps([result.success, turn.is_answered or turn.over.is_set()]))


if __name__ == "__main__":
    asyncio.run(main())
