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
    """One of the answers. ``data`` is what the agent gets; ``lasts``: it holds for more than this once."""

    data: str
    label: str
    allows: bool
    lasts: bool = False


async def decide(line: Line | None, permission: str, text: str, choices: Sequence[Choice]) -> str | None:
    """Give the ``data`` of the choice; None: nobody can be asked, and none of them denies.

    ``permission``: ``allow`` takes one that allows, ``deny`` one that does not; one for this once, where there is any.
    ``ask`` asks whoever wrote the message; where that cannot be it is ``deny``.
    """
    if permission == ASK and line is not None:
        return await line.ask(text, [Button(one.label, one.data, one.allows and not one.lasts) for one in choices])
    return unasked(permission, choices)


def unasked(permission: str, choices: Sequence[Choice]) -> str | None:
    """What is chosen without a question."""
    allows = permission == ALLOW
    fitting = sorted((one for one in choices if one.allows is allows), key=lambda one: one.lasts)
    return fitting[0].data if fitting else None


def shown(text: str, most: int, more: str) -> str:
    """Cut what a question shows, and say so by ``more``: nobody is to allow what a cut hides."""
    return text if len(text) <= most else f"{text[:most]}\n{more.format(len(text) - most)}"
