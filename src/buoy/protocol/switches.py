"""The events that tell whether messages without an anchor are allowed in a conversation.

Source: protocol.md 9.5 (relation events), 11.2 (a user or an administrator can switch them off), read 2026-11.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Switch(NamedTuple):
    """What one event tells. ``allowed`` None: whatever was known before does not hold for the new relation."""

    allowed: bool | None
    meaning: str


SWITCHES: Final[dict[str, Switch]] = {
    "C2C_MSG_REJECT": Switch(False, "the user has switched them off"),
    "C2C_MSG_RECEIVE": Switch(True, "the user has switched them on"),
    "GROUP_MSG_REJECT": Switch(False, "an administrator of the group has switched them off"),
    "GROUP_MSG_RECEIVE": Switch(True, "an administrator of the group has switched them on"),
    "FRIEND_DEL": Switch(False, "the user has removed the bot"),
    "GROUP_DEL_ROBOT": Switch(False, "the bot was removed from the group"),
    "FRIEND_ADD": Switch(None, "the user has added the bot"),
    "GROUP_ADD_ROBOT": Switch(None, "the bot was added to the group"),
}
TICK_S: Final = 1.0  # 9.5: these events carry whole seconds; they happened up to one later
