"""What an agent of ours says itself, where it stands between a person and another agent."""

from __future__ import annotations

from typing import Final

SAID: Final = {
    "en": {
        "asks": "The agent asks for permission:",
        "more": "[{} more characters are not shown]",
        "once": "Allow once",
        "session": "Allow for this session",
        "always": "Always allow",
        "deny": "Deny",
        "denied": "(Something needed permission, and there was nobody who could be asked: it was denied.)",
        "lost": "(A permission was asked for that could not be shown, or had run out: it was denied.)",
    },
    "zh": {
        "asks": "智能体请求许可:",
        "more": "[另有 {} 个字符未显示]",
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
