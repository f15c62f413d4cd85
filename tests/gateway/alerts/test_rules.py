"""Every rule, on and off: a snapshot in, problems out."""

# ruff: noqa: E501  a row of a table stands on one line
from __future__ import annotations

from typing import Any

import pytest

from buoy.durable import schema
from buoy.gateway.alerts.ledger import HAPPENINGS
from buoy.gateway.alerts.rules import OUTAGES, Limits, Problem, Recent, outage_since, problems
from buoy.gateway.alerts.words import WORDS
from tests.gateway.alerts.rows import snapshot

NOW = 1_000_000.0
LIMITS = Limits(down_s=180, held_s=3600, queue_s=900, disk_bytes=200 << 20)


def found(changes: dict[str, Any], recent: Recent | None = None) -> list[Problem]:
    told = snapshot(**changes)
    recent = recent or Recent()
    recent.note(told, NOW)
    return problems(told, LIMITS, NOW, recent)


def bot(**changes: Any) -> dict[str, Any]:
    return {"bots": {"b": {"state": "up", "since": NOW - 500, **changes}}}


def box(name: str, state: str, age: float, **more: Any) -> dict[str, Any]:
    return {name: {"states": {state: 3}, "oldest": {state: age}, **more}}


PACE = {"pace": {"b": {"failures": 2, "reason": "no route"}}, "states": {"queued": 1}, "oldest": {}}

ON = [
    (bot(state="down", cause="unreachable", reason="refused"), Problem("down", "b", NOW - 500, "unreachable: refused", 180)),
    (bot(state="down", cause="closed", code=4009, reason="x"), Problem("down", "b", NOW - 500, "closed: x (4009)", 180)),
    (bot(state="down"), Problem("down", "b", NOW - 500, "starting", 180)),
    (bot(state="blocked", cause="banned"), Problem("blocked", "b", NOW - 500, "banned")),
    (bot(state="blocked", cause="secret", reason="r"), Problem("credentials", "b", NOW - 500, "secret: r")),
    (bot(state="blocked", cause="ip"), Problem("ip_allowlist", "b", NOW - 500, "ip")),
    (bot(identifies_left=99), Problem("identify_budget", "b", None, "99")),
    ({**bot(), "outbox": PACE}, Problem("cannot_send", "b", None, "no route", 180)),
    (box("inbox", "waiting", 901), Problem("queue_turns", "", NOW - 901, "3", 900)),
    (box("outbox", "queued", 901), Problem("queue_letters", "", NOW - 901, "3", 900)),
    (box("outbox", "held", 3601), Problem("held_too_long", "", NOW - 3601, "3", 3600)),
    ({"disk": {"free_bytes": 100 << 20}}, Problem("disk", "", None, "100")),
    ({"loop": {"lag_s": 1.5, "max_lag_s": 2.0}}, Problem("slow_loop", "", None, "1.5", 60)),
    (
        {"inbox": {"states": {}, "oldest": {}, "away": {"b": {"away_s": 30.0, "reason": "refused"}}}},
        Problem("agent_away", "b", NOW - 30, "refused", 180),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "problem"), ON, ids=[problem.rule for _, problem in ON])
def test_a_trouble_is_found(changes: dict[str, Any], problem: Problem) -> None:
    assert found(changes) == [problem]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        bot(identifies_left=100),
        bot(identifies_left=None),
        {**bot(), "outbox": {**PACE, "states": {"queued": 0}}},  # nobody asks whether the way is free again
        {**bot(), "outbox": {**PACE, "pace": {"b": {"failures": 0, "reason": "too fast"}}}},
        box("inbox", "waiting", 900),
        box("outbox", "queued", 900),
        box("outbox", "held", 3600),
        box("outbox", "dead", 10**6),  # a happening: the database has its alert
        {**box("outbox", "queued", 10**5), "uptime_s": 59.9},  # it waited while no process ran
        {"disk": {"free_bytes": 200 << 20, "total_bytes": 1 << 30}},
        {"disk": {}},
        {"disk": None},
        {"loop": {"lag_s": 1.0, "max_lag_s": 50.0}},
        {"inbox": {"states": {}, "oldest": {}, "away": {}}},
    ],
)
def test_none_is_found_where_none_is(changes: dict[str, Any]) -> None:
    assert found(changes) == []


def test_a_bot_that_is_down_is_one_trouble_and_not_two() -> None:
    told = found({**bot(state="down", cause="unreachable", reason="r"), "outbox": PACE})
    assert [problem.rule for problem in told] == ["down"]


@pytest.mark.parametrize(("restarts", "age", "expected"), [(5, 3599, 1), (4, 3599, 0), (5, 3700, 0)])
def test_a_task_that_restarts_too_often_in_an_hour(restarts: int, age: float, expected: int) -> None:
    recent = Recent()
    recent.note(snapshot(tasks={"t": {"restarts": 2, "last_end": ""}}), NOW - age)
    recent.note(snapshot(tasks={"t": {"restarts": 2 + restarts, "last_end": ""}}), NOW - age + 10)
    told = found({"tasks": {"t": {"restarts": 2 + restarts, "last_end": "ValueError: x"}}}, recent)
    assert told == [Problem("restarts", "t", None, f"{restarts}: ValueError: x")] * expected


@pytest.mark.parametrize(
    ("failed", "done", "expected"), [(5, 4, [Problem("agent_failing", "", None, "5/4")]), (5, 5, []), (4, 0, [])]
)
def test_an_agent_that_fails_more_than_it_answers(failed: int, done: int, expected: list[Problem]) -> None:
    recent = Recent()
    inbox: dict[str, Any] = {"states": {}, "oldest": {}}
    recent.note(snapshot(inbox={**inbox, "failed": 100, "done": 7}), NOW - 899)
    assert found({"inbox": {**inbox, "failed": 100 + failed, "done": 7 + done}}, recent) == expected


def test_a_clock_that_was_put_back_keeps_nothing_for_ever() -> None:
    recent = Recent()
    for at in (NOW, NOW - 7200, NOW - 7185):
        recent.note(snapshot(), at)
    assert [at for at, _ in recent._samples] == [NOW - 7200, NOW - 7185]


def test_what_happened_longer_ago_is_forgotten() -> None:
    recent = Recent()
    for n in range(3000):
        recent.note(snapshot(tasks={"t": {"restarts": n, "last_end": ""}}), NOW + 15 * n)
    assert len(recent._samples) == 241
    assert recent.grown("restarts of t", 60) == 4
    assert recent.grown("restarts of u", 60) == 0
    assert Recent().grown("restarts of t", 60) == 0


@pytest.mark.parametrize(
    ("states", "since"),
    [
        ([], None),
        ([("up", 500)], None),
        ([("up", 10)], None),
        ([("down", 40)], 40),
        ([("down", 40), ("up", 100)], 40),
        ([("down", 40), ("up", 99)], 40),  # up for 59 s: that was nothing
        ([("down", 40), ("up", 99), ("down", 300), ("up", 900)], 300),
        ([("down", 40), ("blocked", 100), ("up", 900)], 100),
        ([("down", 10), ("off", 100), ("down", 130), ("off", 200), ("down", 230), ("up", 900)], 230),  # dies at once
        ([("down", 10), ("off", 190), ("down", 300)], 10),  # it was stopped: what was before does not matter
    ],
)
def test_when_an_outage_began(states: list[tuple[str, float]], since: float | None) -> None:
    """Given as (state, how many seconds ago it began), newest first."""
    told = [(NOW - ago, state) for state, ago in states]
    expected = None if since is None else NOW - since
    assert outage_since(told, NOW) == expected


def test_every_rule_has_words_and_every_word_a_rule() -> None:
    by_database = set()
    base = schema.open_memory()
    for (sql,) in base.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'"):
        by_database |= {rule for rule in HAPPENINGS if f"'{rule}'" in sql}
        if "new.state || '_letter'" in sql:
            by_database |= {"dead_letter", "unsure_letter"}
    assert by_database == HAPPENINGS
    by_rules = {problem.rule for _, problem in ON} | {"restarts", "agent_failing"}
    assert by_rules >= OUTAGES
    assert WORDS.keys() == by_rules | by_database | {"store"}  # `store`: said by the service, when no row can be
