"""How fast one bot may send: as fast as it can, until the platform or the network says otherwise. Pure.

There is no limiter in front of a send. When requests stop getting through, one letter at a time goes ahead as a probe
and the others wait for it; when the platform answers that we are too fast, everybody waits as long as it said.
"""

from __future__ import annotations

from dataclasses import dataclass

from buoy.durable.backoff import LONGEST_WAIT_S
from buoy.letters import Cause, Failed, Outcome

PROBE_BACKOFF_S = (0.5, 1.0, 2.0, 4.0)  # fault row 11: the first send leaves within 5 s of the end of an outage
RATE_BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # protocol.md 18: back off exponentially from 1 s
PROVED_S = 60.0  # ours: so long an answer says that the way is open
DOWN = frozenset({Cause.UNREACHABLE, Cause.TOKEN})
HTTP_TOO_MANY = 429


@dataclass(slots=True)
class Pace:
    """One bot's pace, on a monotonic clock. ``reason`` is for the status page."""

    down_until: float = 0.0
    rate_until: float = 0.0
    failures: int = 0
    slowed: int = 0
    is_probing: bool = False
    reason: str = ""
    answered_at: float = -PROVED_S
    """When a request got through last."""

    @property
    def until(self) -> float:
        """Nothing leaves before this."""
        return max(self.down_until, self.rate_until)

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

    @staticmethod
    def stops(failed: Failed) -> bool:
        """Say whether the failure is about the way, not about the letter: nothing else would get through either."""
        return failed.cause in DOWN or (failed.unsure and not failed.status)

    def is_proved(self, now: float) -> bool:
        """Say whether a request got through lately, and none has failed to since."""
        return not self.failures and now - self.answered_at <= PROVED_S

    def learn(self, outcome: Outcome, now: float) -> bool:
        """Take notice of an outcome; True when the way has just become free again."""
        self.is_probing = False
        if isinstance(outcome, Failed) and self.stops(outcome):
            if not self.failures or now >= self.down_until:  # what left before the pause tells nothing new
                self.down_until = now + _pause(PROBE_BACKOFF_S, self.failures, outcome)
                self.failures += 1
            self.reason = outcome.reason
            return False
        self.answered_at = now
        was_down = self.failures > 0
        self.failures, self.down_until = 0, 0.0
        if isinstance(outcome, Failed) and outcome.status == HTTP_TOO_MANY:
            if now >= self.rate_until or outcome.retry_after_s:
                self.rate_until = max(self.rate_until, now + _pause(RATE_BACKOFF_S, self.slowed, outcome))
                self.slowed += 1
            self.reason = outcome.reason
        elif now >= self.rate_until:  # an answer to what left before the pause does not end it
            self.slowed = 0
            self.reason = ""
        return was_down

    def abandoned(self) -> None:
        """The probe ended without an outcome."""
        self.is_probing = False


def _pause(steps: tuple[float, ...], times: int, failed: Failed) -> float:
    return min(failed.retry_after_s or steps[min(times, len(steps) - 1)], LONGEST_WAIT_S)
