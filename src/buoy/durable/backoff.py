"""How long to wait before a failed turn or a refused letter is tried again."""

from __future__ import annotations

from typing import Final

Window = tuple[float, float]
"""Shortest and longest delay in seconds; the driver draws one between them."""

TURN_S: Final = (1.0, 5.0, 15.0, 60.0)  # ours: five runs in about a minute and a half, then a dead letter
AWAY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # ours: as reconnects; there is no last try
LETTER_S: Final = (
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
)  # ours: five tries inside the first 20 s of a 5 min window
JITTER: Final = (0.85, 1.15)  # design, session machine: the same spread as reconnects
LONGEST_WAIT_S: Final = 15 * 60.0  # ours: no answer of a server silences a conversation for longer


def turn(failures: int) -> Window:
    """Delay before the next run of a turn that has failed ``failures`` times (1 or more)."""
    return _spread(TURN_S, failures)


def away(tries: int) -> Window:
    """Delay before an agent that could not be reached ``tries`` times (1 or more) is tried again."""
    return _spread(AWAY_S, tries)


def letter(attempts: int, retry_after_s: float | None = None) -> Window:
    """Delay before the next try of a letter that was tried ``attempts`` times.

    ``retry_after_s`` is what the other side asked for: never earlier than that, but never later than
    ``LONGEST_WAIT_S`` either; nonsense (negative, not a number) is ignored.
    """
    low, high = _spread(LETTER_S, attempts)
    if retry_after_s is not None and retry_after_s > low:
        low = min(retry_after_s, LONGEST_WAIT_S)
        high = max(high, low * JITTER[1])
    return low, high


def _spread(steps: tuple[float, ...], tries: int) -> Window:
    """Return the jittered window of the ``tries``-th step; the last step repeats."""
    seconds = steps[min(max(tries, 1), len(steps)) - 1]
    return seconds * JITTER[0], seconds * JITTER[1]
