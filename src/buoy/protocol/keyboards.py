"""Buttons under a message as QQ wants them: which it takes, and the request that shows them. Nothing here sends.

Source: protocol.md 12.3 (keyboards), 10.1 (only under markdown), read 2026-11. Everybody who sees a button may
press it: who may answer is for whoever asked to say, since a click tells who pressed (12.3 asks for that check anyway).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import msgspec

from buoy.chat import Button
from buoy.protocol.limits import KEYBOARD_COLUMNS, KEYBOARD_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buoy.protocol.rest import Request

SCENES: Final = frozenset({"c2c", "group"})  # 12.2: markdown in guilds is by invitation, and a keyboard needs it
CALLBACK: Final = 1  # action.type: a click comes back as an event
EVERYONE: Final = 2  # action.permission.type
GREY, BLUE = 0, 1  # render_data.style; 21.25: sources disagree on the others

Rows = tuple[tuple[Button, ...], ...]


class _Look(msgspec.Struct, gc=False):
    label: str
    visited_label: str
    style: int


class _Permission(msgspec.Struct, gc=False):
    type: int = EVERYONE


class _Action(msgspec.Struct, gc=False):
    data: str
    unsupport_tips: str
    type: int = CALLBACK
    permission: _Permission = msgspec.field(default_factory=_Permission)


class _Key(msgspec.Struct, gc=False):
    id: str
    render_data: _Look
    action: _Action


def arrange(buttons: object) -> Rows:
    """Give rows of buttons as QQ takes them: five by five at most, laid out anew where they are wider or taller.

    Raises:
        ValueError: they cannot be shown; the text says why in one line.
    """
    if not isinstance(buttons, list | tuple) or not all(isinstance(row, list | tuple) for row in buttons):
        raise ValueError("buttons are rows of buoy.chat.Button, such as ((Button('Yes', 'yes'), Button('No', 'no')),)")
    rows = tuple(tuple(_clean(one) for one in row) for row in buttons if row)
    every = [one for row in rows for one in row]
    if len(every) > KEYBOARD_ROWS * KEYBOARD_COLUMNS:
        most = f"QQ takes {KEYBOARD_ROWS * KEYBOARD_COLUMNS} under one message"
        raise ValueError(f"there are {len(every)} buttons; {most}, use several messages or a list to choose from")
    if len(rows) <= KEYBOARD_ROWS and all(len(row) <= KEYBOARD_COLUMNS for row in rows):
        return rows
    width = -(-len(every) // KEYBOARD_ROWS)
    return tuple(tuple(every[at : at + width]) for at in range(0, len(every), width))


def _clean(one: object) -> Button:
    """Check one button; half surrogate pairs become "?"."""
    if not isinstance(one, Button) or not isinstance(one.label, str) or not isinstance(one.data, str):
        raise ValueError("a button is none: use buoy.chat.Button(label, data), both of them texts")  # noqa: TRY004
    if not one.label.strip() or not one.data:
        raise ValueError(f"a button has no {'data' if one.label.strip() else 'label'}; QQ takes none without")
    label, data = (text.encode(errors="replace").decode() for text in (one.label, one.data))
    return Button(label, data, bool(one.is_main))


def under(request: Request, rows: Rows, tips: str) -> Request:
    """Put buttons under the markdown message of a request. ``tips`` is told by apps that are too old for them."""
    ids = itertools.count(1)
    keys = [{"buttons": [_key(f"b{next(ids)}", one, tips) for one in row]} for row in rows]
    fields = msgspec.json.decode(request.body) | {"keyboard": {"content": {"rows": keys}}}
    return request._replace(body=msgspec.json.encode(fields))


def _key(ident: str, one: Button, tips: str) -> _Key:
    return _Key(ident, _Look(one.label, one.label, BLUE if one.is_main else GREY), _Action(one.data, tips))


def merged(groups: Sequence[Rows]) -> Rows:
    """The buttons of messages that become one: those of the last that has any."""
    return next((rows for rows in reversed(groups) if rows), ())
