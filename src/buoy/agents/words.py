"""The words that agents are asked in, and those that an agent of ours says itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from buoy.chat import span

if TYPE_CHECKING:
    from buoy.chat import Message

SAID: Final = {
    "en": {
        "asks": "The agent asks for permission:",
        "once": "Allow once",
        "session": "Allow for this session",
        "always": "Always allow",
        "deny": "Deny",
        "denied": "(Something needed permission, and there was nobody who could be asked: it was denied.)",
        "lost": "(A permission was asked for that could not be shown, or had run out: it was denied.)",
    },
    "zh": {
        "asks": "智能体请求许可:",
        "once": "允许这一次",
        "session": "本次会话内允许",
        "always": "总是允许",
        "deny": "拒绝",
        "denied": "(有一步操作需要许可,但没有人可以询问,因此已拒绝。)",
        "lost": "(有一个许可请求未能显示或已过期,因此已拒绝。)",
    },
}


def of(language: str) -> dict[str, str]:
    """What is said in a language; English where there is none of it."""
    return SAID.get(language, SAID["en"])


def asked(message: Message, *, links: bool = True) -> str:
    """Write a message as one text: its age where it is late, what it quotes, what it says, its files.

    ``links``: with the addresses of the files, for an agent that can open them.
    """
    parts = [f"[written {span(message.late_s)} ago, answered only now]"] if message.late_s else []
    parts += [f"> {line}" for line in message.quoted.splitlines()]
    parts += [message.text] if message.text.strip() else []
    parts += [f"{file.label} {file.url if links else ''}".rstrip() for file in message.attachments]
    return "\n".join(parts) or "(empty message)"
