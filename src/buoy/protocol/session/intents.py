"""Which intents the next IDENTIFY asks for: less after refusals, what is known to work, and all again in time.

Source: protocol.md 6.4 (read 2026-11). Only 4013 and 4014 prove that it was the intents; an address that is not
allowed looks the same otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol.wire import Intent

if TYPE_CHECKING:
    from buoy.protocol.session.state import State
    from buoy.protocol.session.words import Granted

MINIMUM: Final = int(Intent.GROUP_AND_C2C_EVENT)
_OPTIONAL = int(Intent.GUILD_MESSAGES | Intent.INTERACTION | Intent.DIRECT_MESSAGE | Intent.GROUP_MEMBER_EVENT)


def fewer(intents: int) -> int:
    """Take away the groups that need an approval, then all but the minimum."""
    less = intents & ~_OPTIONAL
    return less if less not in {0, intents} else MINIMUM


def refused(s: State, told: str, *, proven: bool) -> State:
    """Ask for what is known to work, or from the second refusal in a row on for less.

    Where even the minimum is refused without proof it was something else: start over with all.
    """
    if not s.refused:
        less = s.intents & (s.granted or 0)
        if less in {0, s.intents}:
            return s
    elif s.intents == MINIMUM:
        return replace(s, intents=s.allowed)
    else:
        less = fewer(s.intents)
    return replace(s, intents=less, allowed=less if proven else s.allowed, refusal=told)


def remembered(s: State, known: Granted | None, now: float) -> State:
    """Go on with what an earlier run found to work, unless other intents are wanted now."""
    if known is None:
        return s
    s = replace(s, granted=known.intents)
    if known.wanted != s.wanted:
        return replace(s, outdated=s.session is not None)
    asked_at = now - known.asked_s
    return replace(s, intents=known.intents, allowed=known.intents, refusal=known.why, asked_at=asked_at)


def all_again(s: State, now: float) -> State:
    """Before a first IDENTIFY: ask for all that is wanted where that was not done for a day."""
    if s.refused or now - s.asked_at < limits.INTENTS_AGAIN_S:
        return s
    return replace(s, intents=s.wanted, allowed=s.wanted)
