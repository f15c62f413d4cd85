"""Somebody presses a button of a message that the bot sent: found, allowed or not, and what comes of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from buoy.sim import keyboards
from buoy.sim.events import Happening, Said, Speech, happen, person, place, say

if TYPE_CHECKING:
    from buoy.sim.keyboards import Key
    from buoy.sim.world import Bot, Delivered, World


class Press(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody presses a button. ``user`` and ``room`` are the n-th one, or an id of their own."""

    button: str
    """Its label, its data or its id."""
    message: str | None = None
    """Id of the message; None: the last one with buttons in the conversation that scene, user and room name."""
    user: int | str = 0
    scene: str = "c2c"
    room: int | str = 0
    bot: str | None = None
    admin: bool = False
    """The user is an administrator of the group or guild, and has every role."""
    extra: dict[str, object] = {}
    """Laid over the event's body at the end."""


def press(world: World, wanted: Press, now: float) -> Said:
    """Press it, as far as the client lets the user: a click is dispatched, a command is said.

    Raises:
        ValueError: there is no such message or button, or the user is not allowed to press it.
    """
    bot = world.bot(wanted.bot)
    message = _message(world, bot, wanted)
    scene, target = message.scene, message.target
    user = target if scene == "c2c" else person(world, bot, scene, target, wanted.user)
    key = _key(message, wanted.button)
    if not _may(key, user, scene, is_admin=wanted.admin):
        raise ValueError(f"user {user} may not press {key.label!r}: {_WHO[key.permission]}; pick another `user`")
    if key.action == keyboards.COMMAND:
        return say(world, Speech(text=key.data, user=user, scene=scene, room=target, bot=bot.app_id), now)
    if key.action != keyboards.CALLBACK:
        raise ValueError(f"{key.label!r} opens {key.data!r}; nothing of that reaches the bot")
    click = Happening(
        type="INTERACTION_CREATE",
        user=user,
        room=target,
        scene=scene,
        bot=bot.app_id,
        button_id=key.id,
        button_data=key.data,
        message=message.id,
        extra=wanted.extra,
    )
    return happen(world, click, now)


def _message(world: World, bot: Bot, wanted: Press) -> Delivered:
    shown = [one for one in world.delivered if one.bot == bot.app_id and one.keyboard]
    if wanted.message is not None:
        found = next((one for one in shown if one.id == wanted.message), None)
        if found is None:
            raise ValueError(f"no message {wanted.message!r} with buttons was sent; GET /log lists what was")
        return found
    target = place(world, bot, wanted.scene, wanted.user, wanted.room)
    here = [one for one in shown if (one.scene, one.target) == (wanted.scene, target)]
    if not here:
        raise ValueError(f"no message with buttons was sent to {wanted.scene} {target}; GET /log lists what was")
    return here[-1]


def _key(message: Delivered, name: str) -> Key:
    keys = [key for row in message.keyboard for key in row]
    for field in ("label", "data", "id"):
        for key in keys:
            if getattr(key, field) == name:
                return key
    labels = ", ".join(repr(key.label) for key in keys)
    raise ValueError(f"there is no button {name!r} under message {message.id}; there are {labels}")


_WHO = {
    keyboards.LISTED: "it is for the listed users",
    keyboards.ADMINS: "it is for administrators",
    keyboards.ROLES: "it is for some roles",
}


def _may(key: Key, user: str, scene: str, *, is_admin: bool) -> bool:
    """Say whether the client lets this user press it (12.3). In private chats nobody stands above the user."""
    if key.permission == keyboards.LISTED:
        return user in key.users
    return key.permission == keyboards.EVERYONE or is_admin or scene in {"c2c", "dm"}
