"""What to do about planned times that have come, and about those that passed while nothing could fire them. Pure.

A time that is up to a minute late is on time. What is later was missed, and the schedule's policy decides::

    skip    missed times are left out
    once    the newest of them is fired, for all of them, unless one that is on time stands for them
    all     each is fired, the newest hundred at most

Whatever is left out is counted and told. A clock that is put back does not fire anything twice: the times that it comes
to again are planned anew, and those that were fired keep their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Literal

GRACE_S: Final = 60.0  # precedent: Quartz counts a firing as a misfire after a minute
BACK_S: Final = 60.0  # a clock put back by less is waited for
ALL_AT_MOST: Final = 100
_FIRST_LOOK_S: Final = 3600.0

Policy = Literal["skip", "once", "all"]
POLICIES: Final = ("skip", "once", "all")


@dataclass(frozen=True, slots=True)
class Step:
    """One commit: fire at most one planned time, and settle all up to ``settled_to``."""

    settled_to: float
    fire: float | None = None
    missed: int = 0
    """Planned times left out by this step."""
    is_more: bool = False
    """More were left out than ``missed`` says: so many that they were not counted."""


def step(times: Callable[[float], Iterator[float]], settled_to: float, now: float, policy: str) -> Step | None:
    """Decide what to do next; None: nothing is due. Ask again after the step is committed.

    ``times`` gives the planned times after an instant.
    """
    if settled_to - now > BACK_S:
        return Step(now)
    found, is_whole = _due(times, settled_to, now)
    if not found:
        return None
    on_time = [at for at in found if now - at <= GRACE_S]
    late = found[: len(found) - len(on_time)]
    chosen = {"skip": on_time, "once": on_time or late[-1:], "all": found[-ALL_AT_MOST:]}[policy]
    if not chosen:
        return Step(found[-1], None, len(found), not is_whole)
    missed = found.index(chosen[0])
    return Step(chosen[0], chosen[0], missed, not is_whole)


def _due(times: Callable[[float], Iterator[float]], settled_to: float, now: float) -> tuple[list[float], bool]:
    """List the planned times up to now, the newest hundred at least, and say whether these are all.

    It looks back further and further: a year's worth of minutes is never gone through.
    """
    back_s = _FIRST_LOOK_S
    while True:
        since = max(settled_to, now - back_s)
        found = list(takewhile(lambda at: at <= now, times(since)))
        if since == settled_to or len(found) > ALL_AT_MOST:
            return found, since == settled_to
        back_s *= 8
