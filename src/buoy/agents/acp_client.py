"""What an ACP agent may ask of us: to hear what it says, and for permission. No files, no terminals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from buoy.agents import consent
from buoy.agents.consent import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import acp
    from acp.schema import PermissionOption, ToolCallUpdate

    from buoy.chat import Message

TEXT_LIMIT: Final = 1024 * 1024  # characters of one answer
LINES: Final = 8  # of what a tool call shows
TOLD: Final = 2000  # characters of it


@dataclass(eq=False, slots=True)
class Turn:
    """One prompt under way: who asked, and what the agent has said."""

    message: Message
    text: list[str] = field(default_factory=list)
    size: int = 0
    remarks: list[str] = field(default_factory=list)
    asking: set[asyncio.Future[str | None]] = field(default_factory=set)
    """Questions that wait for a person."""


class Client:
    """What the agent may ask of us: to hear what it says, and for permission. No files, no terminals."""

    def __init__(self, turns: Mapping[str, Turn], permission: str, said: dict[str, str]) -> None:
        self._turns = turns
        self._permission = permission
        self._said = said

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        """Keep the text of an answer; thoughts, plans and tool calls are not shown."""
        turn = self._turns.get(session_id)
        if turn is None:
            return  # a session that is being loaded tells its past
        kind = getattr(update, "session_update", "")
        if kind == "tool_call" and turn.text and turn.text[-1] != "\n\n":
            turn.text.append("\n\n")  # what was said before a tool call is a paragraph of its own
        if kind != "agent_message_chunk":
            return
        text = getattr(update.content, "text", None) or ""
        turn.size += len(text)
        if turn.size <= TEXT_LIMIT:
            turn.text.append(text)

    async def request_permission(
        self, session_id: str, tool_call: ToolCallUpdate, options: list[PermissionOption], **_: Any
    ) -> acp.RequestPermissionResponse:
        """Have somebody decide."""
        from acp import RequestPermissionResponse  # noqa: PLC0415  see build
        from acp.schema import AllowedOutcome, DeniedOutcome  # noqa: PLC0415

        turn = self._turns.get(session_id)
        chosen = None if turn is None else await self._decided(turn, tool_call, options)
        outcome: AllowedOutcome | DeniedOutcome = DeniedOutcome(outcome="cancelled")
        if chosen is not None:
            outcome = AllowedOutcome(outcome="selected", option_id=chosen)
        return RequestPermissionResponse(outcome=outcome)

    async def _decided(self, turn: Turn, call: ToolCallUpdate, options: Sequence[PermissionOption]) -> str | None:
        """Give the id of the option; None: none of them, or the turn is being cancelled."""
        choices = [
            Choice(one.option_id, one.name or one.kind, one.kind.startswith("allow"), one.kind.endswith("always"))
            for one in options
        ]
        line = turn.message.line
        if self._permission == consent.ASK and line is None:
            turn.remarks.append(self._said["denied"])
        asking = asyncio.ensure_future(consent.decide(line, self._permission, _question(call, self._said), choices))
        turn.asking.add(asking)
        try:
            return await asking
        except asyncio.CancelledError:
            if not asking.cancelled():
                asking.cancel()
                raise
            return None
        except Exception:  # noqa: BLE001  the question cannot be asked: that is no permission
            turn.remarks.append(self._said["lost"])
            return consent.unasked(consent.DENY, choices)
        finally:
            turn.asking.discard(asking)


def _question(call: ToolCallUpdate, said: Mapping[str, str]) -> str:
    """Write what a tool call wants to do, so that it fits on a phone; what is left out is said."""
    raw = call.raw_input
    command = raw.get("command") if isinstance(raw, dict) else None
    lines = [" ".join((call.title or "").split())]
    if command and str(command) not in lines[0]:
        lines.append(str(command))
    lines += [one.path for one in call.locations or () if one.path not in "\n".join(lines)]
    for part in call.content or ():
        text = getattr(getattr(part, "content", None), "text", None)
        lines.append(str(text or getattr(part, "path", None) or ""))
    told = "\n".join(filter(None, lines)).strip()
    fitting = "\n".join(told.splitlines()[: LINES - 1])
    return f"{said['asks']}\n{consent.shown(told, min(len(fitting), TOLD), said['more'])}".strip()
