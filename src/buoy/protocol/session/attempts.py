"""How an attempt to connect ends, and when the next one may begin.

Three brakes act on every plan. The backoff grows with each failure; only a stable minute resets it, never a
mere connect. The pace allows ten attempts at once and one a minute, so that no sequence of events makes more
than 70 an hour. IDENTIFY also waits for the budget of the day. A pause is a window that the driver draws
from.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from buoy.protocol import limits, wire
from buoy.protocol.session import losing
from buoy.protocol.session.state import TRYING, Phase, State
from buoy.protocol.session.words import Close, Command, Locate, Sleep, Trouble

Step = tuple[State, tuple[Command, ...]]
Window = tuple[float, float]

CLOSE_CODE: Final = int(wire.Close.UNKNOWN_ERROR)  # ours: 1000 and 1001 from a client end sessions elsewhere
_EARLY_S: Final = 0.5  # ours: a timer may fire a little early


def begin(s: State, now: float) -> Step:
    """Start an attempt, unless pace or budget still forbid it."""
    if hold(s, now) > _EARLY_S:
        cause = Trouble.BUDGET if _identify_hold(s, now) > 0 else s.cause
        return pause(s, now, (0.0, 0.0), cause, s.code, s.reason)
    fresh_url = s.fresh_url or s.refused > 0 or s.phase is Phase.BLOCKED  # 6.4: the look-up names a refused address
    s = replace(
        s,
        phase=Phase.LOCATING,
        since=now,
        deadline=now + limits.LOCATE_DEADLINE_S,
        attempt_at=now,
        next_try_at=None,
        full_at=max(s.full_at, now) + limits.CONNECT_PACE_S,
    )
    return s, (Locate(s.generation, s.force_token, fresh_url),)


def enter(s: State, phase: Phase, now: float, within_s: float) -> State:
    """Go on to the next phase of the attempt; its deadline never exceeds the attempt's."""
    return replace(s, phase=phase, since=now, deadline=min(now + within_s, s.attempt_at + limits.ATTEMPT_S))


def can_resume(s: State) -> bool:
    """Tell whether RESUME comes next; otherwise it is IDENTIFY."""
    return s.session is not None and s.session.id != ""


def retry(
    s: State,
    now: float,
    cause: Trouble,
    *,
    code: int | None = None,
    reason: str = "",
    floor: Window = (0.0, 0.0),
    gone: bool = False,
    excused: bool = False,
) -> Step:
    """End the attempt, settle its account and plan the next one.

    ``floor`` is a window that the pause does not undercut. ``gone``: nothing is left to close.
    ``excused``: the end says nothing against the session.
    """
    live_s = now - s.since if s.phase is Phase.LIVE else 0.0
    replayed = s.phase is Phase.RESUMING and s.last_dispatch_at is not None and s.last_dispatch_at >= s.since
    futile = 0 if excused or replayed or live_s >= limits.SHORT_LIVED_S else s.futile
    if s.identified:
        refused = s.refused + 1
        s = replace(s, refused=refused, identify_after=max(s.identify_after, now + refusal_pause(refused)))
    s = replace(
        s,
        futile=futile,
        attempt=1 if live_s >= limits.STABLE_S else s.attempt + 1,
        fresh_url=s.fresh_url or s.phase in {Phase.OPENING, Phase.GREETING},
    )
    if futile >= limits.SHORT_LIVED_LIMIT:
        s = losing.drop(s, Trouble.FUTILE, losing.FUTILE)
    low, high = backoff(s.attempt)
    return pause(s, now, (max(low, floor[0]), max(high, floor[1])), cause, code, reason, gone=gone)


def block(
    s: State, now: float, cause: Trouble, code: int | None = None, reason: str = "", *, gone: bool = False
) -> Step:
    """Stop trying in earnest. A slow probe, with all that was wanted, sees when a person has fixed it."""
    s = replace(s, attempt=s.attempt + 1, refused=0, intents=s.wanted, allowed=s.wanted)
    return pause(s, now, around(limits.PROBE_S), cause, code, reason, gone=gone, phase=Phase.BLOCKED)


def await_budget(s: State, now: float, reset_s: float) -> Step:
    """No identify is left: wait for the reset, in bounded steps."""
    low, high = limits.BUDGET_WAIT_S
    wait_s = min(max(reset_s, low), high) if reset_s > 0 else high
    s = replace(s, identify_after=now + wait_s, left=0)
    return pause(s, now, (0.0, 0.0), Trouble.BUDGET, reason="no identify is left until QQ's budget resets")


def pause(
    s: State,
    now: float,
    window: Window,
    cause: Trouble | None,
    code: int | None = None,
    reason: str = "",
    *,
    gone: bool = False,
    phase: Phase = Phase.WAITING,
) -> Step:
    """Leave the attempt for a pause inside the window, or a longer one where pace or budget ask for it."""
    low, high = window
    held = hold(s, now)
    if held > low:
        low, high = held, max(high, held * limits.JITTER[1])
    close = (Close(s.generation, CLOSE_CODE),) if s.phase in TRYING and not gone else ()
    live_s = now - s.last_dispatch_at if s.phase is Phase.LIVE and s.last_dispatch_at is not None else 0.0
    s = replace(
        s,
        silent_s=s.silent_s + live_s,
        phase=phase,
        since=now,
        generation=s.generation + 1,
        deadline=now + high,
        next_try_at=(now + low, now + high),
        next_beat=math.inf,
        missed=0,
        identified=False,
        cause=cause,
        code=code,
        reason=reason,
    )
    return s, (*close, Sleep(s.generation, low, high))


def hold(s: State, now: float) -> float:
    """Seconds for which the pace, or the budget if IDENTIFY comes next, forbid another attempt."""
    allowance_s = (limits.CONNECTS_AT_ONCE - 1) * limits.CONNECT_PACE_S
    return min(max(s.full_at - allowance_s - now, _identify_hold(s, now), 0.0), limits.BUDGET_WAIT_S[1])


def _identify_hold(s: State, now: float) -> float:
    return 0.0 if can_resume(s) else s.identify_after - now


def backoff(attempt: int) -> Window:
    """Window before the try that follows ``attempt`` failures in a row."""
    if attempt <= 1:
        return limits.FIRST_RETRY_S
    return around(limits.BACKOFF_S[min(attempt - 2, len(limits.BACKOFF_S) - 1)])


def refusal_pause(refused: int) -> float:
    """Seconds to the next IDENTIFY: from the third refusal on a minute and more (6.4)."""
    return limits.REFUSED_IDENTIFY_PAUSE_S * min(refused - 2, limits.REFUSED_PAUSES) if refused > 2 else 0.0


def around(seconds: float) -> Window:
    """Window around a base."""
    return seconds * limits.JITTER[0], seconds * limits.JITTER[1]


def at_least(seconds: float) -> Window:
    """Window of a pause that must not be shorter."""
    return seconds, seconds * limits.JITTER[1]
