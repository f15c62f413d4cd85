"""QQ's markup in inbound text, made readable: mentions, system faces, entities (protocol.md 9.1)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from buoy.protocol import wire

_MENTION: Final = re.compile(r"<@!?([^<>\s]{1,128})>")
_LEADING: Final = re.compile(r"\s*<@!?([^<>\s]{1,128})>")
_FACE: Final = re.compile(r'<faceType=(\d{1,9}),faceId="([^"]{0,64})",ext="([^"]{0,4096})">')


def read(content: str, event: str, mentions: Any) -> str:
    """Make a message's content what its author meant to say.

    The mention of the bot is removed: whom ``is_you`` marks, in guilds also bots among ``mentions``, and
    there the first mention of an @-event when the list does not tell. Other mentions become ``@name`` where
    the name is known, faces become their text in brackets, guild entities are decoded, both ends trimmed.
    """
    guild = event in {"AT_MESSAGE_CREATE", "MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE"}
    if "<" in content:
        if "<@" in content:
            content = _mentions(content, event, mentions, guild=guild)
        if "<faceType=" in content:
            content = _FACE.sub(_face, content)
    if guild and "&" in content:
        content = content.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return content.strip()


def _mentions(content: str, event: str, mentions: Any, *, guild: bool) -> str:
    ours: set[str] = set()
    names: dict[str, str] = {}
    for one in mentions if isinstance(mentions, list) else ():
        if not isinstance(one, dict):
            continue
        is_us = one.get("is_you") is True or (guild and one.get("bot") is True)
        for ident in (wire.text_of(one.get("id")), wire.text_of(one.get("member_openid"))):
            if ident and is_us:
                ours.add(ident)
            elif ident:
                names[ident] = wire.text_of(one.get("username"))
    if event == "AT_MESSAGE_CREATE" and not ours:
        first = _LEADING.match(content)
        if first and first[1] not in names:
            content = content[first.end() :]

    def readable(match: re.Match[str]) -> str:
        ident = match[1]
        if ident in ours:
            return ""
        return f"@{names[ident]}" if names.get(ident) else match[0]

    return _MENTION.sub(readable, content)


def _face(match: re.Match[str]) -> str:
    """Text of a system face: ``ext`` is base64 of ``{"text": ...}``; its number where that cannot be read."""
    try:
        ext = wire.read(base64.b64decode(match[3], validate=True))
    except (binascii.Error, ValueError):
        ext = None
    text = wire.text_of(ext.get("text")).strip() if isinstance(ext, dict) else ""
    if not text:
        text = f"face {match[2]}".strip()
    return text if text.startswith("[") else f"[{text}]"
