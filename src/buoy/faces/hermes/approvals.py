"""Approvals by button: what a prompt shows, whose click counts, and which prompt it answers. Pure.

Hermes resolves the oldest approval of a session, whichever button was pressed. So a click counts only for the prompt
that is the oldest one here, and a prompt that was answered otherwise, by `/approve` in words, goes out of use with it.
"""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

import itertools
import secrets
from typing import Final

from buoy.chat import Button

_MARK: Final = "hermes"
OUT_OF_USE: Final = "这个确认已经失效。如果还有命令在等待，请用 /approve 或 /deny 回答。"
_WORDS: Final = {"once": "允许一次", "session": "本次会话", "always": "始终允许", "deny": "拒绝"}


class Prompts:
    """The prompts that wait for a click, by session. They live as long as the process, as the approvals do."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[str]] = {}
        self._boot = secrets.token_hex(3)
        self._count = itertools.count(1)

    def ask(self, session: str, waiting: int, *, with_always: bool) -> tuple[tuple[Button, ...], ...]:
        """Open a prompt and give its buttons. ``waiting`` approvals of the session wait now, this one included."""
        name = f"{self._boot}{next(self._count)}"
        before = self._waiting.get(session, [])
        self._waiting[session] = [*before[len(before) - max(0, waiting - 1) :], name] if waiting > 1 else [name]
        choices = ("once", "session", *(["always"] if with_always else []), "deny")
        buttons = [Button(_WORDS[one], f"{_MARK}:{name}:{one}:{session}", one == "once") for one in choices]
        return tuple(tuple(buttons[at : at + 2]) for at in range(0, len(buttons), 2))

    def answered(self, data: str) -> tuple[str, str] | None:
        """Take a click: session and choice where it answers the oldest prompt; None: that prompt is out of use."""
        name, choice, session = read(data) or ("", "", "")
        waiting = self._waiting.get(session, [])
        if not waiting or waiting[0] != name:
            return None
        del waiting[0]
        return session, choice


def read(data: str) -> tuple[str, str, str] | None:
    """Take a button's data apart: prompt, choice, session; None: it is none of ours."""
    mark, _, rest = data.partition(":")
    name, _, rest = rest.partition(":")
    choice, _, session = rest.partition(":")
    return (name, choice, session) if mark == _MARK and choice in _WORDS and session else None


def may_answer(session: str, chat: str, user: str) -> bool:
    """Say whether a click counts: from the chat of the session, by the user whose session it is.

    A session key is ``agent:main:PLATFORM:KIND:CHAT``, and ``:USER`` behind it where members have their own.
    """
    parts = session.split(":")
    if len(parts) < 5 or parts[4] != chat or not user:
        return False
    if parts[3] == "dm":
        return user == chat or chat.startswith("dm-")
    return len(parts) < 6 or parts[-1] == user
