"""When a schedule is due: a cron line in a time zone as a sequence of instants. Pure.

A cron line names local times. Where the zone's clock is put forward or back, a local time may not exist, or exist
twice. What happens then depends on the hour field (decision 20)::

                          hours are named: 30 2 * * *       every hour: 30 * * * *
    does not exist        at the jump                       left out
    exists twice          the first time                    both times

So a daily job runs once a day on every day, and an hourly one follows the time that passes. croniter only sees local
times without a zone; the zone is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Final
from zoneinfo import ZoneInfo

FIELDS: Final = 5
RANDOM: Final = re.compile(r"(?:^|,)[hr](?:$|[(/,])", re.IGNORECASE)  # croniter's extra: another time at each look
_HOUR: Final = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """One cron line in one zone. Make it with :func:`parse`."""

    cron: str
    zone: ZoneInfo
    every_hour: bool
    """It runs in every hour of the day: the hour field is `*`."""

    def times(self, after: float) -> Iterator[float]:
        """Give the planned times after ``after`` (wall seconds), ascending, each once; ends where there are none."""
        last, waiting = after, list[float]()
        for local in _locals(self.cron, self._from(after)):
            first, second = _instants(local, self.zone)
            if second is not None or not self.every_hour:
                heappush(waiting, first)
            if second is not None and self.every_hour:
                heappush(waiting, second)
            while waiting and waiting[0] <= first:  # no later local time has an earlier first instant
                at = heappop(waiting)
                if at > last:
                    last = at
                    yield at

    def next(self, after: float) -> float | None:
        """Give the first planned time after ``after``; None: there is none any more."""
        return next(self.times(after), None)

    def _from(self, after: float) -> datetime:
        """The local time after which to look: earlier by the shift where what has passed comes a second time."""
        here = datetime.fromtimestamp(after, self.zone)
        again_s = here.replace(fold=1).timestamp() - after if here.fold == 0 else 0.0
        return here.replace(tzinfo=None, fold=0) - timedelta(seconds=max(0.0, again_s))


def parse(cron: str, zone: ZoneInfo) -> Plan:
    """Read a cron line: minute, hour, day of month, month, day of week; or `@daily` and its like.

    Raises:
        ValueError: what is wrong with it, in words that end a line.
    """
    from croniter import croniter  # noqa: PLC0415  10 ms that a Buoy without schedules need not pay

    fields = cron.split()
    if not cron.startswith("@") and len(fields) != FIELDS:
        raise ValueError(f"{cron[:80]!r} is no cron line: {FIELDS} fields are needed, there are {len(fields)}")
    if any(RANDOM.search(field) for field in fields):
        raise ValueError(f"{cron[:80]!r}: h and r stand for a random time")
    try:
        expanded = croniter(cron, datetime(2024, 1, 1)).expanded  # noqa: DTZ001  local times, here and below
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):  # it raises any of these for nonsense
        raise ValueError(f"{cron[:80]!r} is no cron line") from None
    if next(_locals(cron, datetime(2024, 1, 1)), None) is None:  # noqa: DTZ001
        raise ValueError(f"{cron[:80]!r} names a day that never comes")
    return Plan(cron, zone, every_hour=expanded[_HOUR] == ["*"])


def parse_zone(name: str) -> ZoneInfo:
    """Find a time zone by its IANA name.

    Raises:
        ValueError: there is none of this name, in words that end a line.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not there; not a name; a folder of zones
        raise ValueError(f"{name[:80]!r} is no time zone") from None


def _locals(cron: str, after: datetime) -> Iterator[datetime]:
    """Give the local times that the cron line names, without a thought of any zone."""
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415

    found = croniter(cron, after, ret_type=datetime)
    while True:
        try:
            yield found.get_next(datetime)
        except (CroniterBadDateError, OverflowError, ValueError):  # none within fifty years
            return


def _instants(local: datetime, zone: ZoneInfo) -> tuple[float, float | None]:
    """When a local time is: the first instant and the second, mostly the same. Not at all: the jump, and None."""
    early, late = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if early <= late:
        return early, late
    return _jump(late, early, zone), None


def _jump(before: float, after: float, zone: ZoneInfo) -> float:
    """Find the instant between two at which the zone's clock was put forward, to the second."""
    low, high = int(before), int(after)
    old = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return float(high)
