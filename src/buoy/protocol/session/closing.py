"""What the end of a connection means: close codes, and troubles that need a person.

Source: protocol.md 2.2, 6.4 and 6.7 (read 2026-11). The documents say: 4009 resume, 4914 and 4915 do not
connect, everything else identify. Ours is richer, and tries RESUME where nobody says that the session is
gone: that loses nothing, and its refusal leads to IDENTIFY anyway.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol.session import intents
from buoy.protocol.session.attempts import Step, at_least, block, retry
from buoy.protocol.session.losing import by_close, drop
from buoy.protocol.session.state import Phase, State
from buoy.protocol.session.words import Trouble
from buoy.protocol.wire import Close


class Action(StrEnum):
    """What to do after a close code."""

    RESUME = "resume"
    ROTATE = "resume, expected"  # the platform's own reconnect: never held against the session
    IDENTIFY = "drop the session, identify"
    TOKEN = "new token, resume; identify the second time"  # noqa: S105
    PAUSE = "pause, resume"
    REFUSED = "drop the session, identify; on IDENTIFY a refusal"
    INTENTS = "drop the session, identify with fewer intents"
    BLOCK = "blocked"


DROPPING: Final = frozenset({Action.IDENTIFY, Action.REFUSED, Action.INTENTS})

_INTERNAL = dict.fromkeys(range(Close.INTERNAL_FIRST, Close.INTERNAL_LAST + 1), Action.IDENTIFY)

CLOSE_ACTIONS: Final[dict[int, Action]] = {
    Close.NORMAL: Action.RESUME,
    Close.GOING_AWAY: Action.RESUME,
    Close.NO_STATUS: Action.RESUME,
    Close.ABNORMAL: Action.RESUME,
    Close.UNKNOWN_ERROR: Action.RESUME,
    Close.INVALID_OPCODE: Action.BLOCK,
    Close.INVALID_PAYLOAD: Action.BLOCK,
    Close.NOT_AUTHENTICATED: Action.IDENTIFY,
    Close.AUTHENTICATION_FAILED: Action.TOKEN,
    Close.ALREADY_AUTHENTICATED: Action.IDENTIFY,
    Close.SESSION_INVALID: Action.IDENTIFY,
    Close.SEQUENCE_WRONG: Action.IDENTIFY,
    Close.TOO_FAST: Action.PAUSE,
    Close.EXPIRED: Action.ROTATE,
    Close.SHARD_INVALID: Action.BLOCK,
    Close.SHARDS_NEEDED: Action.BLOCK,
    Close.VERSION_INVALID: Action.BLOCK,
    Close.INTENTS_INVALID: Action.INTENTS,
    Close.INTENTS_NOT_PERMITTED: Action.INTENTS,
    **_INTERNAL,
    Close.CREATE_SESSION_ERROR: Action.REFUSED,  # 6.7: "create session error", seen after op 9 on IDENTIFY
    Close.TAKEN_DOWN: Action.BLOCK,
    Close.BANNED: Action.BLOCK,
}


def close_action(code: int | None) -> Action:
    """Say what to do. None is a socket that ended without a close frame; an unknown code tries RESUME."""
    return Action.RESUME if code is None else CLOSE_ACTIONS.get(code, Action.RESUME)


CLOSE_TROUBLES: Final[dict[int, Trouble]] = {
    Close.INVALID_OPCODE: Trouble.NONSENSE,
    Close.INVALID_PAYLOAD: Trouble.NONSENSE,
    Close.SHARD_INVALID: Trouble.SHARD,
    Close.SHARDS_NEEDED: Trouble.SHARDS,
    Close.VERSION_INVALID: Trouble.VERSION,
    Close.TAKEN_DOWN: Trouble.TAKEN_DOWN,
    Close.BANNED: Trouble.BANNED,
}
"""Names of the codes whose action is BLOCK."""

REMEDIES: Final[dict[Trouble, tuple[str, str]]] = {
    Trouble.SECRET: (
        "QQ refuses the AppID and client secret",
        "copy both again from the developer console (q.qq.com), set QQ_CLIENT_SECRET and restart Buoy",
    ),
    Trouble.APP: (
        "QQ does not know this AppID: wrong, deleted or banned",
        "compare QQ_APP_ID with the developer console and check that the bot still exists",
    ),
    Trouble.IP: (
        "QQ's allowlist does not hold this machine's address",
        "add the public address to the bot's IP allowlist in the developer console, or turn the list off",
    ),
    Trouble.TAKEN_DOWN: (
        "the bot was taken down; only its sandbox may connect",
        "publish the bot in the developer console, or point QQ_API_BASE to the sandbox",
    ),
    Trouble.BANNED: (
        "the bot is banned",
        "read the notice in the developer console and appeal there",
    ),
    Trouble.INTENTS: (
        "QQ grants none of the event groups that a bot needs",
        "apply for group and c2c messages in the developer console",
    ),
    Trouble.SHARD: (
        "QQ refuses the shard number",
        "set the shard and the shard count of this bot so that the number is below the count",
    ),
    Trouble.SHARDS: (
        "the bot is in too many guilds for its shard count",
        "raise the shard count to what the gateway look-up recommends",
    ),
    Trouble.VERSION: (
        "QQ does not serve this version of its protocol any more",
        "update Buoy",
    ),
    Trouble.NONSENSE: (
        "QQ did not understand what Buoy sent",
        "update Buoy; if that does not help, report it with the output of `buoy doctor`",
    ),
}
"""Troubles that no retry heals: cause and remedy, one line each."""


def ended(s: State, now: float, code: int | None, reason: str, *, gone: bool) -> Step:
    """Decide by the close code, an op 9 before it, and what was being tried."""
    action = close_action(code)
    invalid = s.phase is Phase.LINGERING
    shown = s.phase is not Phase.OPENING and s.phase is not Phase.GREETING  # else no code can mean our session
    lost = (shown and action in DROPPING) or (invalid and not s.resumable)
    cause = Trouble.INVALID if lost or invalid else Trouble.CLOSED
    floor = limits.INVALID_SESSION_PAUSE_S if lost else (0.0, 0.0)
    how = by_close(code, invalid=invalid, resuming=s.phase is Phase.RESUMING)
    if action is Action.BLOCK:
        return block(drop(s, cause, how), now, CLOSE_TROUBLES[code or 0], code, reason, gone=gone)
    if s.identified:
        proven = action is Action.INTENTS
        if proven and s.intents == intents.MINIMUM and s.refused:
            return block(s, now, Trouble.INTENTS, code, reason, gone=gone)
        if invalid or action in {Action.INTENTS, Action.REFUSED} or s.refused >= limits.SILENT_REFUSALS:
            told = f"{'op 9, ' if invalid else ''}{'no close code' if code is None else f'close code {code}'}"
            cause, s = Trouble.REFUSED, intents.refused(s, told, proven=proven)
    if action is Action.TOKEN:
        lost = lost or s.cause is Trouble.TOKEN
        cause, s = Trouble.TOKEN, replace(s, force_token=True)
    elif action is Action.PAUSE:
        floor = at_least(limits.TOO_FAST_PAUSE_S)
    if lost:
        s = drop(s, cause, how)
    excused = action is Action.ROTATE
    return retry(s, now, cause, code=code, reason=reason, floor=floor, gone=gone, excused=excused)
