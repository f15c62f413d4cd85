"""When a live session is replaced on purpose: it is old, deaf, or short of intents; always at a quiet moment.

A new session costs one IDENTIFY and a gap of seconds. Silence alone is no reason (behaviour P2): only where the
operator said that events are to be expected does their absence count, and only the time in which the session was
live and its heartbeats were acknowledged. Intents that QQ refused are asked for again once a day, so that what a
person has applied for takes effect without a restart (protocol.md 6.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol.session.attempts import Step, retry
from buoy.protocol.session.losing import drop
from buoy.protocol.session.state import Phase
from buoy.protocol.session.words import Trouble

if TYPE_CHECKING:
    from buoy.protocol.session.state import State

Reason = tuple[float, Trouble, str]
"""When it is due, what status calls it, and what it says of the session in the gap."""


def ripe(s: State, now: float) -> Step:
    """Settle the backoff after a stable minute; replace the session if it is time and nothing happens."""
    stable_at = s.since + limits.STABLE_S
    if now >= stable_at:
        s = replace(s, attempt=0, futile=0)
    due_at, cause, how = min(_reasons(s))
    due_at = max(due_at, stable_at, s.identify_after)
    quiet_at = (s.last_dispatch_at or s.since) + limits.QUIET_S
    wait_until = due_at if now < due_at else max(quiet_at, _acked_at(s, now))
    if now < wait_until:
        return replace(s, deadline=wait_until), ()
    deaf = cause is Trouble.DEAF
    s = drop(s, cause, f"was replaced on purpose: {how}", silent_s=silent_s(s, now) if deaf else 0.0)
    if deaf:
        s = replace(s, deaf_at=now)
    return retry(s, now, cause, reason=how, excused=True)


def _acked_at(s: State, now: float) -> float:
    """When an ACK may be fresh: right behind one nothing is missing, so the gap lasts no longer than the change."""
    if s.missed:  # whether it is dead is decided first
        return now + limits.FRESH_ACK_S / 2
    if s.last_ack_at is not None and now - s.last_ack_at <= limits.FRESH_ACK_S:
        return now
    return max(s.next_beat, now) + limits.FRESH_ACK_S / 2


def silent_s(s: State, now: float) -> float:
    """Seconds without an event, as far as a session was live in them."""
    live_s = now - s.last_dispatch_at if s.phase is Phase.LIVE and s.last_dispatch_at is not None else 0.0
    return s.silent_s + live_s


def _reasons(s: State) -> list[Reason]:
    """All that may make this session worth replacing; the oldest age always does."""
    reasons: list[Reason] = [
        (s.session_at + limits.SESSION_LIFE_S, Trouble.AGED, "it was two days old, and old sessions go deaf")
    ]
    if s.outdated:
        reasons.append((s.session_at, Trouble.SETTINGS, "the settings ask for other event groups than it has"))
    if s.left is not None and s.left < limits.LOW_BUDGET:
        return reasons
    if s.dropped and not s.outdated:
        again_at = s.asked_at + limits.INTENTS_AGAIN_S
        reasons.append((again_at, Trouble.ASKING, "the event groups that QQ had refused are asked for again"))
    silent_since = (s.last_dispatch_at or s.since) - s.silent_s
    deaf_at = max(silent_since + s.expect_s, s.deaf_at + limits.DEAF_PAUSE_S)
    hours = s.expect_s / limits.HOUR_S
    reasons.append((deaf_at, Trouble.DEAF, f"no event came for {hours:g} h although heartbeats were acknowledged"))
    return reasons
