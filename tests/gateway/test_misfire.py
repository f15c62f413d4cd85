"""What is fired of the planned times that have come, by policy; crashes, restarts and clocks that jump."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.durable import schedules, schema
from buoy.durable.schedules import Schedule, key_of
from buoy.gateway.schedules.misfire import ALL_AT_MOST, BACK_S, GRACE_S, POLICIES, Step, step
from buoy.gateway.schedules.planned import parse, parse_zone
from buoy.letters import Letter, LetterState

T0 = 1_800_000_000.0  # a full ten minutes
MIN, HOUR = 60.0, 3600.0

Times = Callable[[float], Iterator[float]]


def each(period_s: float) -> Times:
    """Planned times at every multiple of a period."""

    def times(after: float) -> Iterator[float]:
        n = after // period_s + 1
        while True:
            yield n * period_s
            n += 1

    return times


def steps(period_s: float, settled_to: float, now: float, policy: str) -> list[Step]:
    found = []
    while (todo := step(each(period_s), settled_to, now, policy)) is not None:
        found.append(todo)
        settled_to = todo.settled_to
    return found


def fired(todo: list[Step]) -> list[float]:
    return [one.fire for one in todo if one.fire is not None]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_on_time_is_fired_whatever_the_policy(policy: str) -> None:
    for late_s in (0.0, 1.0, GRACE_S):
        assert steps(HOUR, T0 - MIN, T0 + late_s, policy) == [Step(T0, T0)]
    assert steps(HOUR, T0, T0 + 30 * MIN, policy) == []


@pytest.mark.parametrize(
    ("policy", "expected", "missed"),
    [("skip", [], 3), ("once", [T0 + 2 * HOUR], 2), ("all", [T0, T0 + HOUR, T0 + 2 * HOUR], 0)],
)
def test_three_missed_times(policy: str, expected: list[float], missed: int) -> None:
    todo = steps(HOUR, T0 - MIN, T0 + 2.5 * HOUR, policy)
    assert fired(todo) == expected
    assert sum(one.missed for one in todo) == missed
    assert todo[-1].settled_to == T0 + 2 * HOUR
    assert not any(one.is_more for one in todo)


@pytest.mark.parametrize(
    ("policy", "expected", "missed"),
    [("skip", [T0 + HOUR], 1), ("once", [T0 + HOUR], 1), ("all", [T0, T0 + HOUR], 0)],
)
def test_one_missed_and_one_on_time(policy: str, expected: list[float], missed: int) -> None:
    todo = steps(HOUR, T0 - MIN, T0 + HOUR + 1, policy)
    assert (fired(todo), sum(one.missed for one in todo)) == (expected, missed)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_year_of_minutes_is_not_gone_through_and_is_told(policy: str) -> None:
    looked = 0

    def times(after: float) -> Iterator[float]:
        nonlocal looked
        for at in each(MIN)(after):
            looked += 1
            yield at

    now = T0 + 30.0
    todo = step(times, T0 - 365 * 24 * HOUR, now, policy)
    assert todo is not None
    assert todo.is_more
    assert todo.missed >= ALL_AT_MOST if policy == "skip" else todo.missed > 0
    assert looked < 20 * ALL_AT_MOST
    wanted = {"skip": T0, "once": T0, "all": T0 - (ALL_AT_MOST - 1) * MIN}
    assert todo.fire == wanted[policy]


def test_all_fires_the_newest_hundred() -> None:
    todo = steps(MIN, T0 - 150 * MIN, T0 + 90, "all")
    assert fired(todo) == [T0 + (n - ALL_AT_MOST + 2) * MIN for n in range(ALL_AT_MOST)]
    assert (todo[0].missed, sum(one.missed for one in todo)) == (51, 51)


def test_a_clock_that_is_put_back_plans_anew_and_a_little_is_waited_for() -> None:
    assert step(each(HOUR), T0, T0 - BACK_S, "all") is None
    assert step(each(HOUR), T0, T0 - BACK_S - 1, "all") == Step(T0 - BACK_S - 1)


class Table:
    """A real database with one schedule, and the process that settles it."""

    def __init__(self, policy: str) -> None:
        self.db = schema.open_memory()
        new = Schedule("s", "file", "", "", "qq:c2c:ann", "text", "x", policy, settled_to=T0, created_at=T0)
        assert schedules.add(self.db, new)

    @property
    def row(self) -> Schedule:
        row = schedules.get(self.db, "s")
        assert row is not None
        return row

    def commit(self, todo: Step, now: float) -> None:
        letter = None
        if todo.fire is not None:
            letter = Letter(0, key_of("s", todo.fire), "bot", "qq:c2c:ann", b"x", LetterState.QUEUED, now)
        done = schedules.settle(self.db, self.row, todo.settled_to, todo.missed, todo.fire, letter, now)
        assert done is not None

    @property
    def keys(self) -> list[str]:
        """Of all letters, in the order in which they were queued."""
        return [key for (key,) in self.db.execute("SELECT key FROM outbox ORDER BY id")]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(0, 4 * HOUR)),  # the service lives for so long
        st.tuples(st.just("off"), st.floats(0, 30 * HOUR)),  # dead, or suspended
        st.tuples(st.just("crash"), st.integers(0, 5)),  # ends after so many commits of one look
    ),
    max_size=25,
)
JUMPS = st.one_of(EVENTS, st.lists(st.tuples(st.just("jump"), st.floats(-30 * HOUR, 30 * HOUR)), max_size=4))


def live(table: Table, times: Times, now: float, policy: str, commits: int | None = None) -> None:
    """The service looks once, and ends after so many commits."""
    while commits is None or commits > 0:
        todo = step(times, table.row.settled_to, now, policy)
        if todo is None:
            return
        table.commit(todo, now)
        commits = None if commits is None else commits - 1


@given(EVENTS, JUMPS, st.sampled_from(POLICIES), st.sampled_from(["0 * * * *", "30 2 * * *", "*/20 * * * *"]))
@settings(max_examples=80, deadline=None)
def test_each_planned_time_is_fired_once_at_most_whatever_happens(
    events: list[tuple[str, float]], jumps: list[tuple[str, float]], policy: str, cron: str
) -> None:
    times = parse(cron, parse_zone("Europe/Berlin")).times
    now, table, jumped = T0, Table(policy), False
    for kind, amount in [event for pair in zip(events, [*jumps, *events], strict=False) for event in pair]:
        if kind == "run":
            until = now + amount
            while now < until:
                live(table, times, now, policy)
                now = min(until, now + 600.0)
        elif kind == "crash":
            live(table, times, now, policy, int(amount))
        else:
            jumped = jumped or kind == "jump"
            now += amount
    live(table, times, now, policy)
    assert len(table.keys) == len(set(table.keys))
    planned = [key_of("s", at) for at in _until(times, T0, now)]
    if not jumped and len(planned) <= ALL_AT_MOST:
        assert set(table.keys) <= set(planned)
        assert len(table.keys) + table.row.missed == len(planned), "each is fired, or told"
        assert policy != "all" or table.keys == planned
    table.db.close()


def _until(times: Times, after: float, until: float) -> list[float]:
    found: list[float] = []
    for at in times(after):
        if at > until:
            return found
        found.append(at)
    return found
