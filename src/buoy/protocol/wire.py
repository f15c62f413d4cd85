"""The frames of QQ's gateway: opcodes, intents, close codes, and their JSON. Shared with the simulator.

Source: protocol.md 6 (platform documents of 2026-09, read 2026-11), unless a line says otherwise.
"""

from __future__ import annotations

import json
import math
import re
from enum import IntEnum, IntFlag
from typing import Any, Final

import msgspec


class Op(IntEnum):
    """Opcodes (6.1)."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RESUME = 6
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    HTTP_CALLBACK_ACK = 12
    CALLBACK_VALIDATION = 13


class Intent(IntFlag):
    """Event groups to ask for in IDENTIFY (6.4)."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MESSAGES = 1 << 9  # private-domain bots only
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGE = 1 << 12  # needs approval
    OPEN_FORUM_EVENT = 1 << 18
    AUDIO_OR_LIVE_CHANNEL_MEMBER = 1 << 19
    ENTER_AIO = 1 << 23  # seen in one official SDK only
    GROUP_MEMBER_EVENT = 1 << 24  # needs approval; contested with bit 25
    GROUP_AND_C2C_EVENT = 1 << 25
    INTERACTION = 1 << 26  # needs approval
    MESSAGE_AUDIT = 1 << 27
    FORUMS_EVENT = 1 << 28
    AUDIO_ACTION = 1 << 29
    PUBLIC_GUILD_MESSAGES = 1 << 30


class Close(IntEnum):
    """Close codes of the gateway (6.7); what each means for us stands in the session machine."""

    NORMAL = 1000
    GOING_AWAY = 1001
    NO_STATUS = 1005
    ABNORMAL = 1006
    UNKNOWN_ERROR = 4000
    INVALID_OPCODE = 4001
    INVALID_PAYLOAD = 4002
    NOT_AUTHENTICATED = 4003
    AUTHENTICATION_FAILED = 4004
    ALREADY_AUTHENTICATED = 4005
    SESSION_INVALID = 4006
    SEQUENCE_WRONG = 4007
    TOO_FAST = 4008
    EXPIRED = 4009
    SHARD_INVALID = 4010
    SHARDS_NEEDED = 4011
    VERSION_INVALID = 4012
    INTENTS_INVALID = 4013
    INTENTS_NOT_PERMITTED = 4014
    INTERNAL_FIRST = 4900
    RESET_BY_RESUME = 4902
    CREATE_SESSION_ERROR = 4903
    INTERNAL_LAST = 4913
    TAKEN_DOWN = 4914
    BANNED = 4915


API_HOSTS: Final = ("https://api.bot.qq.com", "https://api.sgroup.qq.com")  # 3.1: current, legacy
TOKEN_HOSTS: Final = ("https://api.bot.qq.com", "https://bots.qq.com")  # 2.1: current, legacy
PLATFORM_DOMAIN: Final = ".qq.com"  # 3.1: every host of the platform, the sandbox's too, uses TOKEN_HOSTS

AUTH_SCHEME: Final = "QQBot"  # 2.3: header and IDENTIFY carry "QQBot <access_token>"
FIRST_SEQUENCE: Final = 1  # 6.3: `s` of READY

GATEWAY_PATH: Final = "/gateway"
GATEWAY_BOT_PATH: Final = "/gateway/bot"
TOKEN_PATH: Final = "/app/getAppAccessToken"  # noqa: S105  2.1


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One decoded frame. ``d`` stays raw JSON until somebody needs it."""

    op: int
    d: msgspec.Raw = msgspec.Raw(b"null")
    s: int | None = None
    t: str | None = None
    id: str | None = None


class Unreadable(msgspec.Struct, frozen=True):
    """A frame that is not what the protocol says. ``why`` is for people."""

    why: str


_FRAME = msgspec.json.Decoder(Frame)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REFUSED = (msgspec.DecodeError, RecursionError, UnicodeError)


def decode(text: str | bytes) -> Frame | Unreadable:
    """Decode one frame. Total: anything that is not a frame comes back as :class:`Unreadable`.

    A dispatch with a surprising ``t``, ``id`` or ``d`` is still a dispatch as long as ``op`` and ``s`` can be
    read, so that its sequence counts.
    """
    try:
        return _FRAME.decode(text)
    except _REFUSED as error:
        why = f"{type(error).__name__}: {error}"[:200]
    mended = mend(text)
    if mended is None:
        return Unreadable(why)
    try:
        fields = _FIELDS.decode(mended)
    except _REFUSED:
        return Unreadable(why)
    op, s, t, ident = (msgspec.json.decode(fields.get(k, b"null")) for k in ("op", "s", "t", "id"))
    op = integer(op)
    if op is None:
        return Unreadable(why)
    return Frame(
        op,
        fields.get("d", msgspec.Raw(b"null")),
        integer(s),
        t if isinstance(t, str) else None,
        ident if isinstance(ident, str) else None,
    )


DEEPEST: Final = 32  # ours: no event of the platform nests deeper; our parser gives up near 1,000
_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def mend(text: str | bytes) -> bytes | None:
    """Make JSON that the strict parser refuses readable, at the price of its worst parts.

    What nests deeper than ``DEEPEST`` and numbers out of range become null; half surrogate pairs and bytes
    that are no UTF-8 become a replacement mark. None when it is no JSON even then. Slow: meant for the rest.
    """
    if not isinstance(text, str):
        text = bytes(text).decode("utf-8", "replace")
    try:
        value = json.loads(
            _prune(text),
            parse_int=lambda digits: int(digits) if len(digits) < 19 else None,
            parse_float=lambda digits: number if math.isfinite(number := float(digits)) else None,
            parse_constant=lambda _: None,
        )
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _prune(text: str) -> str:
    """Put null in the place of each array or object that nests too deep. Brackets in strings do not count."""
    kept: list[str] = []
    depth = start = 0
    for token in _NESTING.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth == DEEPEST + 1:
                kept += (text[start : token.start()], "null")
        elif mark in "]}":
            if depth == DEEPEST + 1:
                start = token.end()
            depth -= 1
    return "".join((*kept, text[start:])) if kept else text


def read(raw: bytes | msgspec.Raw) -> Any:
    """Parse JSON, mended if need be; None when it is none."""
    try:
        return msgspec.json.decode(raw)
    except _REFUSED:
        mended = mend(bytes(raw))
    try:
        return None if mended is None else msgspec.json.decode(mended)
    except _REFUSED:
        return None


def integer(value: Any) -> int | None:
    """Read an integer that may have come as digits in a string; booleans and the rest are none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return None


def number_of(value: Any) -> float | None:
    """Read a finite number that may have come as a string."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def text_of(value: Any) -> str:
    """Read a string that may have come as an integer; the rest is empty."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def encode(op: int, d: Any = None, *, s: int | None = None, t: str | None = None, ident: str | None = None) -> bytes:
    """Encode one frame; ``s``, ``t`` and ``id`` appear only where given."""
    frame: dict[str, Any] = {"op": int(op), "d": d}
    if s is not None:
        frame["s"] = s
    if t is not None:
        frame["t"] = t
    if ident is not None:
        frame["id"] = ident
    return msgspec.json.encode(frame)


def heartbeat(stored: int | None) -> bytes:
    """Op 1 (6.2). Carries the highest *stored* sequence, or null before the first."""
    return encode(Op.HEARTBEAT, stored)


def identify(token: str, intents: int, shard: int, shards: int) -> bytes:
    """Op 2 (6.3)."""
    properties = {"$os": "linux", "$browser": "buoy", "$device": "buoy"}
    d = {"token": f"{AUTH_SCHEME} {token}", "intents": int(intents), "shard": [shard, shards]}
    return encode(Op.IDENTIFY, d | {"properties": properties})


def resume(token: str, session_id: str, stored: int) -> bytes:
    """Op 6 (6.5). The platform replays every dispatch with ``s`` above ``stored``."""
    return encode(Op.RESUME, {"token": f"{AUTH_SCHEME} {token}", "session_id": session_id, "seq": stored})
