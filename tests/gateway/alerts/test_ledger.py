"""When a trouble is told: a table of looks, and properties that hold for any story."""

# ruff: noqa: E501  a row of a table stands on one line
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buoy.durable.alerts import Alert
from buoy.gateway.alerts import ledger
from buoy.gateway.alerts.ledger import Act, Close, Memory, Raise, Recover, Tell, review, stable_s
from buoy.gateway.alerts.rules import Problem
from tests.gateway.alerts.rows import alert

NOW = 100_000.0
REPEAT_S = 4 * 3600.0
UP: dict[str, float | None] = {"b": NOW - 60}
DOWN: dict[str, float | None] = {"b": None}


def down(since: float = NOW - 180, rule: str = "down", after_s: float = 180.0) -> Problem:
    return Problem(rule, "b", since, "why", after_s)


def look(
    alerts: list[Alert], found: list[Problem], bots: dict[str, float | None], memory: Memory | None = None, **more: Any
) -> list[Act]:
    given_: dict[str, Any] = {"repeat_s": REPEAT_S, "ended": {}, "left": {a.id: True for a in alerts}, **more}
    return review(alerts, found, memory or Memory(), NOW, bots=bots, **given_)[0]


def look_at(alerts: list[Alert], now: float, **more: Any) -> list[Act]:
    """A look at happenings only."""
    return review(alerts, [], Memory(), now, repeat_s=REPEAT_S, bots=UP, **more)[0]


DISK = Problem("disk", "", None, "100")
TOLD = NOW - REPEAT_S


@pytest.mark.parametrize(
    ("alerts", "found", "bots", "acts"),
    [
        # conditions begin
        ([], [], UP, []),
        ([], [down()], DOWN, [Raise(down(), NOW - 180)]),
        ([], [down(NOW - 179)], DOWN, []),
        ([], [DISK], UP, [Raise(DISK, NOW)]),
        ([], [Problem("slow_loop", "", None, "2", 60.0)], UP, []),
        ([], [down(rule="blocked", after_s=0.0, since=NOW)], DOWN, [Raise(down(NOW, "blocked", 0.0), NOW)]),
        # they last
        ([alert("down", told_at=TOLD + 1)], [down()], DOWN, []),
        ([alert("down", told_at=TOLD)], [down()], DOWN, [Tell(alert("down", told_at=TOLD), "down", "why")]),
        ([alert("down", told_at=TOLD, queued=True)], [down()], DOWN, []),
        # one outage, whatever it is called
        ([alert("down", told_at=NOW)], [down(rule="ip_allowlist")], DOWN, [Tell(alert("down", told_at=NOW), "ip_allowlist", "why")]),
        ([alert("blocked", told_at=NOW)], [down()], DOWN, []),
        ([alert("blocked", told_at=TOLD)], [down()], DOWN, [Tell(alert("blocked", told_at=TOLD), "blocked", "why")]),
        # they end
        ([alert("down")], [], UP, [Recover(alert("down"), NOW - 60)]),
        ([alert("down")], [], {"b": NOW - 59}, []),
        ([alert("down")], [], {}, [Close(alert("down"))]),
        ([alert("disk", "")], [], UP, []),
        # happenings
        ([alert("dead_letter", told=0)], [], UP, [Tell(alert("dead_letter", told=0), "dead_letter", "d")]),
        ([alert("dead_letter", last_at=NOW)], [], UP, []),
        ([alert("dead_letter", times=3, told_at=TOLD + 1)], [], UP, []),
        ([alert("dead_letter", times=3, told_at=TOLD)], [], UP, [Tell(alert("dead_letter", times=3, told_at=TOLD), "dead_letter", "d")]),
        ([alert("dead_letter", last_at=NOW - 86_400)], [], UP, [Close(alert("dead_letter", last_at=NOW - 86_400))]),
        ([alert("gap", told=0)], [], UP, [Tell(alert("gap", told=0), "gap", "d")]),
        ([alert("gap", told=0), alert("down", id=2, told_at=NOW)], [down()], DOWN, []),
        (
            [alert("gap", told=0), alert("down", id=2), alert("gap", "other", id=3)],
            [], {**UP, "other": NOW},
            [Recover(alert("down", id=2), NOW - 60, (alert("gap", told=0),)), Close(alert("gap", "other", id=3))],
        ),
    ],
)  # fmt: skip
def test_one_look(alerts: list[Alert], found: list[Problem], bots: dict[str, float | None], acts: list[Act]) -> None:
    assert sorted(map(repr, look(alerts, found, bots))) == sorted(map(repr, acts))


def test_a_happening_ends_when_none_is_left() -> None:
    row = alert("dead_letter", last_at=NOW)
    assert look([row], [], UP, left={1: False}) == [Close(row)]
    fresh = alert("dead_letter", last_at=NOW, told=0)
    assert look([fresh], [], UP, left={1: False}) == [Tell(fresh, "dead_letter", "d")], "it happened all the same"


def test_what_is_refused_and_goes_out_again_and_again_costs_few_notices() -> None:
    """A busy group without a quota: each letter is held, and goes out with the next message, a minute later."""
    ended: list[float] = []
    row, told = None, 0
    for at in range(0, 6 * 3600, 15):
        now, is_held = NOW + at, at % 60 < 30
        if is_held and row is None:
            row = alert("refused_letter", since=now, last_at=now, told=0, told_times=0, told_at=None)
        if row is None:
            continue
        past = sum(one > now - ledger.FLAPS_S for one in ended)
        for act in look_at([row], now, ended={("refused_letter", "b"): past}, left={1: is_held}):
            if isinstance(act, Tell):
                told += 1
                row = act.alert._replace(told=1, told_times=1, told_at=now)
            else:
                ended.append(now)
                row = None
    assert 6 <= told <= 30


@pytest.mark.parametrize("rule", ["cannot_send", "identify_budget"])
def test_what_nobody_can_see_is_not_over(rule: str) -> None:
    row, memory = alert(rule, told_at=NOW), Memory(gone={1: NOW - 900})
    assert look([row], [], DOWN, memory) == []
    assert look([row], [], UP, memory) == [Recover(row, NOW - 900)]


@pytest.mark.parametrize("rule", ["down", "cannot_send", "identify_budget", "agent_away"])
def test_the_alerts_of_a_bot_that_was_taken_out_end_without_a_word(rule: str) -> None:
    assert look([alert(rule)], [], {}) == [Close(alert(rule))]


def test_a_condition_must_be_gone_for_a_stable_minute() -> None:
    row, memory = alert("disk", "", told_at=NOW), Memory()
    acts: list[Act] = []
    for at, found in ((0, []), (45, [DISK]), (60, []), (105, []), (119, []), (120, [])):
        given_: dict[str, Any] = {"repeat_s": REPEAT_S, "bots": {}, "ended": {}, "left": {}}
        acts, memory = review([row], found, memory, NOW + at, **given_)
        if at < 120:
            assert acts == [], at
    assert acts == [Recover(row, NOW + 60)]


def test_a_clock_that_was_put_back_delays_no_word() -> None:
    """By eight hours, as on a machine whose hardware clock runs on local time: what is noted lies in the future."""
    ahead = NOW + 8 * 3600
    given_: dict[str, Any] = {"repeat_s": REPEAT_S, "ended": {}, "left": {}}
    acts, memory = review([], [down(ahead)], Memory({("down", "b"): (ahead, ahead)}), NOW, bots=DOWN, **given_)
    assert acts == []
    for at in range(15, 180, 15):
        acts, memory = review([], [down(ahead)], memory, NOW + at, bots=DOWN, **given_)
        assert acts == []
    assert review([], [down(ahead)], memory, NOW + 180, bots=DOWN, **given_)[0] == [Raise(down(ahead), NOW)]
    row = alert("down", since=ahead, told_at=ahead)
    assert look([row], [down(ahead)], DOWN) == [Tell(row, "down", "why")]
    acts, memory = review([row], [], Memory(gone={1: ahead}), NOW, bots={"b": ahead}, **given_)
    assert acts == []
    for at in range(15, 60, 15):
        acts, memory = review([row], [], memory, NOW + at, bots={"b": ahead}, **given_)
    assert review([row], [], memory, NOW + 60, bots={"b": ahead}, **given_)[0] == [Recover(row, NOW)]


def test_what_comes_and_goes_must_stay_gone_for_longer() -> None:
    assert [stable_s(times) for times in range(6)] == [60, 120, 240, 480, 900, 900]
    row = alert("down")
    assert look([row], [], {"b": NOW - 119}, ended={("down", "b"): 1}) == []
    assert look([row], [], {"b": NOW - 239}, ended={("ip_allowlist", "b"): 1, ("down", "b"): 1}) == []
    assert look([row], [], {"b": NOW - 240}, ended={("ip_allowlist", "b"): 1, ("down", "b"): 1}) != []


# --- any story ---------------------------------------------------------------------------------------------------

RULES = ("down", "blocked", "ip_allowlist")
CHECK_S = 15.0


@dataclass
class Story:
    """A store of alerts that does what the ledger decides, and notes what was said."""

    rows: dict[int, Alert] = field(default_factory=dict)
    past: list[tuple[float, Alert]] = field(default_factory=list)
    said: list[tuple[float, str, str]] = field(default_factory=list)  # when, kind, subject
    memory: Memory = field(default_factory=Memory)

    def look(self, found: list[Problem], bots: dict[str, float | None], now: float, repeat_s: float) -> None:
        ended: dict[tuple[str, str], int] = {}
        for at, row in self.past:
            if at > now - ledger.FLAPS_S:
                ended[row.rule, row.subject] = ended.get((row.rule, row.subject), 0) + 1
        left = {row.id: True for row in self.rows.values()}
        acts, self.memory = review(
            list(self.rows.values()), found, self.memory, now, repeat_s=repeat_s, bots=bots, ended=ended, left=left
        )
        for act in acts:
            match act:
                case Raise(problem, since):
                    row = alert(
                        problem.rule, problem.subject, id=len(self.rows) + len(self.past) + 1, since=since, told_at=now
                    )
                    self.rows[row.id] = row
                    self.said.append((now, "raised", problem.subject))
                case Tell(row, rule, _):
                    self.rows[row.id] = row._replace(rule=rule, told=row.told + 1, told_times=row.times, told_at=now)
                    self.said.append((now, "repeated", row.subject))
                case Recover(row, at, _):
                    self.past.append((now, self.rows.pop(row.id)))
                    self.said.append((now, "recovered", row.subject))
                    assert row.since <= at <= now
                case Close(row):
                    self.past.append((now, self.rows.pop(row.id)))


@settings(max_examples=60, deadline=None)
@given(
    spells=st.lists(
        st.tuples(st.sampled_from((*RULES, "up")), st.integers(1, 120), st.booleans()), min_size=1, max_size=25
    ),
    repeat_s=st.sampled_from((600.0, REPEAT_S)),
)
def test_no_story_is_told_twice_or_left_untold(spells: list[tuple[str, int, bool]], repeat_s: float) -> None:
    """Spells of a bot's states, each some looks long; before some of them Buoy is killed and starts again."""
    story, now, began, up_since = Story(), NOW, NOW, NOW
    is_down = False
    for state, looks, is_killed in spells:
        if is_killed:
            story.memory = Memory()
        if (state != "up") is not is_down:
            is_down, began = state != "up", now
            up_since = now
        for _ in range(looks):
            problem = Problem(state, "b", began, "why", 180.0 if state == "down" else 0.0)
            story.look([problem] if is_down else [], {"b": None if is_down else up_since}, now, repeat_s)
            is_told = bool(story.rows)
            if is_down and now - began >= 180:
                assert is_told, "an outage that lasts is an open alert"
            if not is_down and now - up_since >= ledger.LONGEST_STABLE_S:
                assert not is_told, "and one that is over is none"
            if is_told and is_down:
                assert now - max(at for at, _, _ in story.said) <= repeat_s, "nor is it silent for long"
            now += CHECK_S
    kinds = [kind for _, kind, _ in story.said if kind != "repeated"]
    assert kinds == (["raised", "recovered"] * len(kinds))[: len(kinds)], "never raised twice, nor over twice"
    assert len(story.rows) <= 1


def test_two_names_that_take_turns_cost_few_notices() -> None:
    story = Story()
    for at in range(0, 6 * 3600, 15):
        rule = ("ip_allowlist", "credentials")[at // 60 % 2]
        story.look([down(NOW, rule, 0.0)], DOWN, NOW + at, REPEAT_S)
    assert [at - NOW for at, _, _ in story.said[:2]] == [0, 60], "another name is news at once"
    assert len(story.said) <= 6 * 4 + 2


def test_a_flapping_bot_costs_few_notices() -> None:
    """Up for two minutes, down for four, for a day: 240 outages, and about two notices an hour."""
    story, now = Story(), NOW
    for _ in range(240):
        for second in range(0, 240, 15):
            story.look([down(now - second)], DOWN, now, REPEAT_S)
            now += 15
        up_since = now
        for _ in range(8):
            story.look([], {"b": up_since}, now, REPEAT_S)
            now += 15
    assert 10 <= len(story.said) <= 50
