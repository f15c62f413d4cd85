"""Cron lines in time zones: tables of the nights when clocks are put forward and back, and a second, slow opinion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.gateway.schedules.planned import Plan, parse, parse_zone

MINUTE_S = 60.0


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def plan(cron: str, zone: str) -> Plan:
    return parse(cron, parse_zone(zone))


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next planned times, in UTC, without the date's year."""
    found = islice(plan(cron, zone).times(utc(after)), count)
    return [f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}" for at in found]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Shanghai has no daylight saving time: 23:50 is 15:50 UTC on every day.
        ("50 23 * * *", "Asia/Shanghai", "2026-03-28 16:00", ["03-29 15:50", "03-30 15:50"]),
        ("0 9 * * 1-5", "Asia/Shanghai", "2026-10-23 01:00", ["10-26 01:00", "10-27 01:00"]),
        ("@daily", "Asia/Shanghai", "2026-10-24 12:00", ["10-24 16:00", "10-25 16:00"]),
        # Berlin, 29 March 2026: 02:00 is followed by 03:00, at 01:00 UTC.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-30 01:00"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-29 01:30", "03-30 00:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", ["03-29 00:30", "03-29 01:30", "03-29 02:30"]),
        # Berlin, 25 October 2026: 03:00 is followed by 02:00, at 01:00 UTC.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:00", ["10-26 01:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-10-25 00:00", ["10-25 00:30", "10-25 01:30", "10-25 02:30"]),
        ("*/20 * * * *", "Europe/Berlin", "2026-10-25 00:35", ["10-25 00:40", "10-25 01:00", "10-25 01:20"]),
        ("0 3 * * *", "Europe/Berlin", "2026-10-25 00:00", ["10-25 02:00", "10-26 02:00"]),
        # New York, 8 March and 1 November 2026, at 07:00 and 06:00 UTC.
        ("15 2 * * *", "America/New_York", "2026-03-07 12:00", ["03-08 07:00", "03-09 06:15"]),
        ("15 1 * * *", "America/New_York", "2026-10-31 12:00", ["11-01 05:15", "11-02 06:15"]),
        ("15 * * * *", "America/New_York", "2026-11-01 05:00", ["11-01 05:15", "11-01 06:15", "11-01 07:15"]),
        # Lord Howe moves by half an hour: 4 October 2026 at 15:30 UTC of the 3rd, 5 April at 15:00 UTC of the 4th.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02 12:00", ["10-02 15:45", "10-03 15:30", "10-04 15:15"]),
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", ["10-03 15:30", "10-04 15:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", ["04-04 14:45", "04-05 15:15"]),
        ("45 * * * *", "Australia/Lord_Howe", "2026-04-04 14:00", ["04-04 14:45", "04-04 15:15", "04-04 16:15"]),
        # Dublin's winter is the exception by law; Apia once left a day out.
        ("30 1 * * *", "Europe/Dublin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        ("0 9 * * *", "Pacific/Apia", "2011-12-29 12:00", ["12-29 19:00", "12-30 10:00", "12-30 19:00"]),
        # Days that are rare.
        ("0 0 29 2 *", "UTC", "2026-01-01 00:00", ["02-29 00:00", "02-29 00:00"]),
        ("0 12 13 * 5", "UTC", "2026-11-01 00:00", ["11-06 12:00", "11-13 12:00", "11-20 12:00"]),
    ],
)
def test_planned_times(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert times(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "cause"),
    [
        ("", "there are 0"),
        ("* * * *", "there are 4"),
        ("0 * * * * *", "there are 6"),
        ("61 * * * *", "no cron line"),
        ("a b c d e", "no cron line"),
        ("* * * * 1-", "no cron line"),
        ("@often", "no cron line"),
        ("0 0 30 2 *", "never comes"),
        ("h * * * *", "random"),
        ("0 R(1-3) * * *", "random"),
        ("1,r * * * *", "random"),
    ],
)
def test_what_is_no_cron_line_is_refused_in_one_line(cron: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as refused:
        parse(cron, parse_zone("UTC"))
    assert "\n" not in str(refused.value)


@given(st.text(alphabet="0123456789*/-,@#?lwLWhrMONjan \t()", max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = parse(text, parse_zone("UTC"))
    except ValueError:
        return
    after = utc("2026-01-01 00:00")
    assert (read.next(after) or after + 1) > after


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "America", "/etc/localtime", "a\0b"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_zone(name)


def slowly(cron: str, zone: str, after: float, until: float) -> list[float]:
    """The rules once more, minute by minute of UTC, from local times and nothing else.

    Hours named: an instant counts where its local time is named and has not been before, or where the clock jumped to
    it over one that is named. Every hour: an instant counts where its local time is named.
    """
    minute, hour = cron.split()[:2]
    where = parse_zone(zone)

    def named(local: datetime) -> bool:
        return _matches(minute, local.minute, 60) and _matches(hour, local.hour, 24)

    found, seen = [], set()
    before = datetime.fromtimestamp(after - 86400 - MINUTE_S, where).replace(tzinfo=None, fold=0)
    at = after - 86400
    while at <= until:
        local = datetime.fromtimestamp(at, where).replace(tzinfo=None, fold=0)
        jumped = [before + timedelta(minutes=n) for n in range(1, max(1, round((local - before).total_seconds() / 60)))]
        if hour == "*":
            is_due = named(local)
        else:
            is_due = (named(local) and local not in seen) or any(named(one) and one not in seen for one in jumped)
        seen |= {local, *jumped}
        if is_due and at > after:
            found.append(at)
        before, at = local, at + MINUTE_S
    return found


def _matches(field: str, value: int, size: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = ("0", "", str(size - 1)) if span == "*" else span.partition("-")
        last = int(high) if high else (size - 1 if step else int(low))
        if int(low) <= value <= last and (value - int(low)) % int(step or 1) == 0:
            return True
    return False


NIGHTS = {
    "Europe/Berlin": ("2026-03-29 01:00", "2026-10-25 01:00"),
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00"),
    "Australia/Lord_Howe": ("2026-04-04 15:00", "2026-10-03 15:30"),
    "Asia/Shanghai": ("2026-03-29 01:00", "1991-09-14 17:00"),
    "Africa/Casablanca": ("2026-02-15 02:00", "2026-03-22 02:00"),
}
MINUTES = st.sampled_from(["0", "30", "15,45", "*/20", "*", "5-40/7"])
HOURS = st.sampled_from(["*", "1", "2", "3", "1-3", "*/2", "0,2", "1,2,23"])


@given(
    st.sampled_from([(zone, night) for zone, nights in NIGHTS.items() for night in nights]),
    MINUTES,
    HOURS,
    st.integers(-180, 180),
    st.integers(0, 59),
)
@settings(max_examples=150, deadline=None)
def test_a_second_opinion_agrees_around_every_jump(
    night: tuple[str, str], minute: str, hour: str, offset_min: int, second: int
) -> None:
    zone, jump = night
    cron = f"{minute} {hour} * * *"
    after = utc(jump) + offset_min * MINUTE_S
    until = utc(jump) + 5 * 3600
    found = list(takewhile(lambda at: at <= until, plan(cron, zone).times(after + second)))
    assert found == [at for at in slowly(cron, zone, after, until) if at > after + second]


@given(st.sampled_from(sorted(NIGHTS)), MINUTES, HOURS, st.floats(1.7e9, 1.9e9))
@settings(max_examples=60, deadline=None)
def test_where_one_looks_from_does_not_matter(zone: str, minute: str, hour: str, after: float) -> None:
    """Each time is the next one after the time before it: a restart in between changes nothing."""
    it = plan(f"{minute} {hour} * * *", zone)
    found = list(islice(it.times(after), 8))
    assert found == sorted(set(found))
    assert all(it.next(before) == at for before, at in zip([after, *found], found, strict=False))
