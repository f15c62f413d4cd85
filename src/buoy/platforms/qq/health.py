"""What an operator reads about a session: its state in words. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from buoy.protocol import limits, wire
from buoy.protocol import session as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from buoy.letters import Intake


def remedy(state: m.State) -> str | None:
    """What a person has to do about it; None where it passes by itself."""
    found = m.REMEDIES.get(state.cause) if state.cause is not None else None
    return None if found is None else f"{found[0]}: {found[1]}"


def word(state: m.State) -> str:
    """The state in one word: up, down, or blocked where a person has to act."""
    if state.connected:
        return "up"
    return "blocked" if state.phase is m.Phase.BLOCKED else "down"


def cause(state: m.State) -> str:
    """Why it is not up, in one line for people; empty where it is."""
    if state.phase is m.Phase.LIVE:
        return "" if state.connected else "heartbeats are not acknowledged"
    code = f" {state.code}" if state.code is not None else ""
    reason = f": {state.reason}" if state.reason else ""
    return f"{state.cause}{code}{reason}" if state.cause is not None else "starting"


class Bulletin:
    """Tells the intake when what an operator sees of a shard has changed; ``since`` is when its word last did."""

    def __init__(self, bot: str, shard: int, intake: Intake, wall: Callable[[], float]) -> None:
        self.since = wall()
        self._bot, self._shard = bot, shard
        self._intake = intake
        self._wall = wall
        self._told = ("", "")

    def tell(self, state: m.State) -> None:
        """Tell it, if it is news. The end of a connection is told by whoever ends it."""
        news = (word(state), cause(state))
        if state.phase is m.Phase.STOPPED or news == self._told:
            return
        if news[0] != self._told[0]:
            self.since = self._wall()
        self._told = news
        self._intake.changed(self._bot, self._shard, *news)


def told(state: m.State, now: float, next_try_at: float | None) -> dict[str, Any]:
    """Plain data for status. ``now`` and ``next_try_at`` are the machine's seconds; ages end in ``_s``."""
    session = state.session
    refused = 0 if state.outdated else state.dropped  # what changed settings ask for, QQ has not been asked for yet
    waits = next_try_at is not None and state.phase in {m.Phase.WAITING, m.Phase.BLOCKED}
    return {
        "state": word(state),
        "phase": state.phase.value,
        "phase_s": round(max(0.0, now - state.since), 1),
        "connected": state.connected,
        "attempt": state.attempt,
        "cause": state.cause,
        "code": state.code,
        "reason": state.reason,
        "remedy": remedy(state),
        "next_try_s": _until(now, next_try_at) if waits else None,
        "unreadable": state.garbage,
        "intents_refused": [flag.name for flag in wire.Intent if flag & refused],
        "intents_reason": state.refusal if refused else "",
        "identifies_left": state.left if now - state.since < limits.DAY_S else None,  # there are new ones each day
        "session": None if session is None else session.id[:8],
        "seen": None if session is None else session.seen,
        "stored": None if session is None else session.stored,
        "last_frame_s": _since(now, state.last_frame_at),
        "last_ack_s": _since(now, state.last_ack_at),
        "silent_s": round(m.silent_s(state, now), 1),
        "expect_event_s": None if state.expect_s == math.inf else state.expect_s,
    }


def _since(now: float, at: float | None) -> float | None:
    return None if at is None else round(now - at, 1)


def _until(now: float, at: float | None) -> float | None:
    return None if at is None else max(0.0, round(at - now, 1))
