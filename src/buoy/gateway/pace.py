"""How fast one bot may send: as fast as it can, until the platform or the network says otherwise. Pure.

There is no limiter in front of a send. When requests stop getting through, one letter at a time goes ahead as a probe
and the others wait for it; when the platform answers that we are too fast, everybody waits as long as it said.
"""

from __future__ import annotations

from dataclasses import dataclass

from buoy.letters import Cause, Failed, Outcome

PROBE_BACKOFF_S = (
    0.5,
    1.0,
    2.0,
    4.0,
)  # fault row 11: the first send leaves within 5 s of the end of an outage
RATE_BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # protocol.md 18: back off exponentially from 1 s
DOWN = frozenset({Cause.UNREACHABLE, Cause.TOKEN})
HTTP_TOO_MANY = 429


@dataclass(slots=True)
class Pace:
    """One bot's pace. ``until`` is wall seconds; ``reason`` is for the status page."""

    until: float = 0.0
    failures: int = 0
    slowed: int = 0
    is_probing: bool = False
    reason: str = ""

    def admit(self, now: float) -> float | None:
        """None: go ahead. A time: wait until then and ask again."""
        if now < self.until:
            return self.until
        if not self.failures:
            return None
        if self.is_probing:
            return now + PROBE_BACKOFF_S[0]
        self.is_probing = True
        return None

    def learn(self, outcome: Outcome, now: float) -> bool:
        """Take notice of an outcome; True when the way has just become free again."""
        if isinstance(outcome, Failed) and (outcome.cause in DOWN or (outcome.unsure and not outcome.status)):
            self.is_probing = False
            pause = outcome.retry_after_s or PROBE_BACKOFF_S[min(self.failures, len(PROBE_BACKOFF_S) - 1)]
            self.failures += 1
            self.until = max(self.until, now + pause)
            self.reason = outcome.reason
            return False
        was_down = self.failures > 0 or self.slowed > 0
        self.failures = 0
        self.is_probing = False
        if isinstance(outcome, Failed) and outcome.status == HTTP_TOO_MANY:
            pause = outcome.retry_after_s or RATE_BACKOFF_S[min(self.slowed, len(RATE_BACKOFF_S) - 1)]
            self.slowed += 1
            self.until = max(self.until, now + pause)
            self.reason = outcome.reason
            return False
        self.slowed = 0
        self.reason = ""
        self.until = min(self.until, now)
        return was_down

    def abandoned(self) -> None:
        """The probe ended without an outcome."""
        self.is_probing = False
