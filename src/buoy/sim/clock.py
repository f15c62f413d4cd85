"""The simulator's own clock: wall seconds that can run faster, stand still, or jump."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Wall seconds. ``speed`` 60: a minute passes in a second; 0: it stands still until :meth:`advance`."""

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self._speed = _speed(speed)
        self._base = time.time() if start is None else start
        self._mark = time.monotonic()
        self.changed: Callable[[float, bool], None] = lambda _jump, _beats: None
        """Called after a jump (seconds, whether clients count as having beaten) or a change of speed."""

    def now(self) -> float:
        """Read the clock."""
        return self._base + (time.monotonic() - self._mark) * self._speed

    def advance(self, seconds: float, *, beats: bool = True) -> None:
        """Jump forward. With ``beats`` the clients count as having sent their heartbeats during the jump."""
        if seconds < 0:
            raise ValueError("advance takes 0 or more seconds; time does not run backwards here")
        self._base += seconds
        self.changed(seconds, beats)

    @property
    def speed(self) -> float:
        """Seconds of the simulation in a second of the machine."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._base, self._mark = self.now(), time.monotonic()
        self._speed = _speed(speed)
        self.changed(0.0, True)


def _speed(speed: float) -> float:
    if not 0 <= speed <= 1e6:
        raise ValueError(f"speed {speed} is not between 0 and 1000000")
    return float(speed)
