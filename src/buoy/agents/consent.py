"""Whether an agent may do what it asks to be allowed: a person says so, or the setting `permission` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from buoy.chat import Button

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buoy.chat import Line

ASK: Final = "ask"
ALLOW: Final = "allow"
DENY: Final = "deny"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers. ``data`` is what the agent gets; the ones that allow least come first."""

    data: str
    label: str
    allows: bool


async def decide(line: Line | None, permission: str, text: str, choices: Sequence[Choice]) -> str | None:
    """Give the ``data`` of the choice; None: nobody can be asked, and none of them denies.

    ``permission``: ``allow`` takes the first that allows, ``deny`` the first that does not. ``ask`` asks whoever wrote
    the message; where that cannot be it is ``deny``.
    """
    if permission == ASK and line is not None:
        return await line.ask(text, [Button(one.label, one.data, one.allows) for one in choices])
    return unasked(permission, choices)


def unasked(permission: str, choices: Sequence[Choice]) -> str | None:
    """What is chosen without a question."""
    allows = permission == ALLOW
    return next((one.data for one in choices if one.allows is allows), None)
