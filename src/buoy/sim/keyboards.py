"""Keyboards as the platform checks and keeps them: rows of buttons under a markdown message. Pure.

Source: protocol.md 12.3, 20 (which code for which check).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from buoy.sim import settings

TOO_MANY, WRONG = 40034029, 305007
LINK, CALLBACK, COMMAND = 0, 1, 2  # action.type; 3 and 4 are seen in clients only
LISTED, ADMINS, EVERYONE, ROLES = 0, 1, 2, 3  # action.permission.type
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class _Look(msgspec.Struct):
    label: str
    visited_label: str | None = None
    style: int | None = None


class _Permission(msgspec.Struct):
    type: int
    specify_user_ids: list[str] | None = None
    specify_role_ids: list[str] | None = None


class _Modal(msgspec.Struct):
    content: str | None = None
    confirm_text: str | None = None
    cancel_text: str | None = None


class _Action(msgspec.Struct):
    type: int
    permission: _Permission | None = None
    data: str | None = None
    unsupport_tips: str | None = None
    modal: _Modal | None = None


class _Button(msgspec.Struct):
    render_data: _Look
    action: _Action
    id: str | None = None


class Key(msgspec.Struct):
    """One button as it is shown."""

    id: str
    label: str
    data: str
    action: int
    """0 opens a link, 1 comes back as INTERACTION_CREATE, 2 writes its data as the user."""
    style: int
    permission: int
    """0 the listed users, 1 administrators, 2 everyone, 3 roles."""
    users: list[str]


Rows = list[list[Key]]


def check(keyboard: Any) -> Rows | int:
    """Check a keyboard; returns what is shown (nothing for a template), or the error code."""
    if not isinstance(keyboard, dict):
        return WRONG
    template, content = keyboard.get("id"), keyboard.get("content")
    if template is not None:
        return [] if isinstance(template, str) and template and content is None else WRONG
    try:
        rows = [row["buttons"] for row in content["rows"]] if isinstance(content, dict) else []
        if not all(isinstance(row, list) and row for row in rows) or not rows:
            return WRONG
        if len(rows) > settings.KEYBOARD_ROWS or any(len(row) > settings.KEYBOARD_COLUMNS for row in rows):
            return TOO_MANY
        buttons = [[msgspec.convert(one, _Button) for one in row] for row in rows]
    except (KeyError, TypeError, msgspec.ValidationError):
        return WRONG
    every = [one for row in buttons for one in row]
    ids = [one.id for one in every if one.id is not None]
    if len(set(ids)) != len(ids) or not all(_is_fine(one) for one in every):
        return WRONG
    return [[_key(one) for one in row] for row in buttons]


def _is_fine(one: _Button) -> bool:
    action, permission = one.action, one.action.permission
    return (
        bool(one.render_data.label.strip())
        and one.render_data.style in {None, 0, 1, 2, 3, 4}
        and one.id != ""
        and 0 <= action.type <= 4
        and (action.type not in {LINK, CALLBACK, COMMAND} or bool(action.data))
        and (permission is None or _is_whole(permission))
        and (action.modal is None or _is_short(action.modal))
    )


def _is_whole(permission: _Permission) -> bool:
    """Whom it names must be named (12.3)."""
    if permission.type == LISTED:
        return bool(permission.specify_user_ids)
    return permission.type in {ADMINS, EVERYONE} or (permission.type == ROLES and bool(permission.specify_role_ids))


def _is_short(modal: _Modal) -> bool:
    content = modal.content or ""
    return (
        len(content) <= settings.MODAL_TEXT
        and not _URL.search(content)
        and all(len(word or "") <= settings.MODAL_WORD for word in (modal.confirm_text, modal.cancel_text))
    )


def _key(one: _Button) -> Key:
    permission = one.action.permission or _Permission(EVERYONE)
    return Key(
        one.id or "",
        one.render_data.label,
        one.action.data or "",
        one.action.type,
        one.render_data.style or 0,
        permission.type,
        permission.specify_user_ids or [],
    )
