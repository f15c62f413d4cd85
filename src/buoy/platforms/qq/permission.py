"""What events and answers say about messages without an anchor, and how long it is believed. Pure.

The newest knowledge wins. A switch that a user or an administrator turned stays as it is until the opposite event
comes; a refusal that only an answer told is believed for a day, because nobody tells when its reason has gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from buoy.letters import Cause, Failed, Letter, Outcome, Permission, Sent
from buoy.protocol.switches import SWITCHES, TICK_S

if TYPE_CHECKING:
    from collections.abc import Collection

    from buoy.protocol.events import Classified

REFUSAL_LIFE_S: Final = 24 * 60 * 60.0  # ours: how long a refusal is believed that no event told


def of_event(event: Classified, now: float, skew_s: float) -> Permission | None:
    """Say what an event teaches. Its time is the platform's, moved to this machine's clock, never after ``now``."""
    switch = SWITCHES.get(event.type)
    if switch is None or not event.conversation:
        return None
    at = now if event.timestamp is None else min(now, event.timestamp + TICK_S + skew_s)
    return Permission(switch.allowed, at, event.type)


def of_outcome(letter: Letter, outcome: Outcome, now: float) -> Permission | None:
    """Say what the answer to a message without an anchor teaches: that such messages are allowed, or not.

    It is as old as its request: an event that came while the request was under way knows better.
    """
    if letter.anchor is not None:
        return None
    at = now if letter.attempted_at is None else letter.attempted_at
    if isinstance(outcome, Sent):
        return Permission(True, at, "one was accepted")
    if isinstance(outcome, Failed) and outcome.cause is Cause.PROACTIVE:
        return Permission(False, at, outcome.reason)
    return None


def allows(known: Permission | None, now: float, scene: str, usual: Collection[str]) -> tuple[bool, str]:
    """Say whether a message without an anchor may be tried now, and who said that it may not.

    ``usual`` are the scenes in which it is tried where nothing is known. None at all: the operator wants no such
    messages, whatever a conversation allows.
    """
    if not usual:
        return False, ""
    if known is not None and not known.allowed and known.why not in SWITCHES and now - known.at > REFUSAL_LIFE_S:
        known = None
    if known is None or known.allowed is None:
        return scene in usual, ""
    switch = SWITCHES.get(known.why)
    return known.allowed, "" if known.allowed else switch.meaning if switch else known.why
