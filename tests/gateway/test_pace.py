"""One bot's pace: a table of what was heard and when the next letter may go."""

from __future__ import annotations

import pytest

from buoy.durable.backoff import LONGEST_WAIT_S
from buoy.gateway.pace import PROBE_BACKOFF_S, RATE_BACKOFF_S, Pace
from buoy.letters import Cause, Failed, Outcome, Sent

SENT = Sent("r")
DOWN = Failed(Cause.UNREACHABLE, "refused")
LOST = Failed(Cause.LOST, "no answer")
BAD_GATEWAY = Failed(Cause.LOST, "bad gateway", 0, 502)
TOO_FAST = Failed(Cause.RATE, "slower", 0, 429)


def told(cause: Cause, status: int, retry_after_s: float) -> Failed:
    return Failed(cause, "x", 0, status, retry_after_s)


@pytest.mark.parametrize(
    ("outcome", "pause_s"),
    [
        (SENT, None), (DOWN, 0.5), (LOST, 0.5), (Failed(Cause.TOKEN, "x", 0, 401), 0.5), (TOO_FAST, 1.0),
        (BAD_GATEWAY, None), (Failed(Cause.TRANSIENT, "x", 0, 500), None), (Failed(Cause.RATE, "x", 22009, 200), None),
        (Failed(Cause.CONTENT, "x", 0, 400), None), (Failed(Cause.BUG, "x", 0, 400), None),
        (told(Cause.RATE, 429, 7.0), 7.0), (told(Cause.UNREACHABLE, 0, 3.0), 3.0), (told(Cause.RATE, 429, 0.0), 1.0),
        (told(Cause.RATE, 429, 86400.0), LONGEST_WAIT_S), (told(Cause.UNREACHABLE, 0, 1e9), LONGEST_WAIT_S),
    ],
)  # fmt: skip
def test_what_one_outcome_does_to_the_next_letter(outcome: Outcome, pause_s: float | None) -> None:
    pace = Pace()
    assert pace.admit(100.0) is None
    assert not pace.learn(outcome, 100.0)
    assert pace.admit(100.0) == (None if pause_s is None else 100.0 + pause_s)


@pytest.mark.parametrize(("outcome", "steps"), [(DOWN, PROBE_BACKOFF_S), (TOO_FAST, RATE_BACKOFF_S)])
def test_pauses_grow_to_a_cap(outcome: Failed, steps: tuple[float, ...]) -> None:
    pace, now = Pace(), 100.0
    for step in [*steps, steps[-1], steps[-1]]:
        assert pace.admit(now) is None
        pace.learn(outcome, now)
        assert pace.until == now + step
        now = pace.until


def test_after_an_outage_one_probe_goes_and_its_success_frees_the_way() -> None:
    pace = Pace()
    pace.learn(DOWN, 100.0)
    assert pace.admit(100.2) == 100.5
    assert pace.admit(100.5) is None
    assert pace.admit(100.5) == 101.0
    assert pace.admit(101.5) == 102.0, "as long as the probe is out"
    assert pace.learn(SENT, 102.0)
    assert [pace.admit(102.0) for _ in range(3)] == [None] * 3
    assert not pace.learn(SENT, 103.0), "it had been free"


def test_any_answer_at_all_ends_an_outage() -> None:
    for answer in (SENT, BAD_GATEWAY, Failed(Cause.TARGET, "x", 0, 404)):
        pace = Pace()
        pace.learn(DOWN, 100.0)
        assert pace.learn(answer, 101.0)
        assert pace.admit(101.0) is None


def test_a_probe_that_ends_without_an_outcome_lets_the_next_one_go() -> None:
    pace = Pace()
    pace.learn(DOWN, 100.0)
    assert pace.admit(101.0) is None
    pace.abandoned()
    assert pace.admit(101.0) is None


def test_a_hundred_failures_of_one_moment_are_one() -> None:
    pace = Pace()
    for _ in range(100):
        pace.learn(DOWN, 100.0)
    assert (pace.failures, pace.until) == (1, 100.5)
    slow = Pace()
    for _ in range(100):
        slow.learn(TOO_FAST, 100.0)
    assert (slow.slowed, slow.until) == (1, 101.0)


def test_an_answer_to_what_left_earlier_does_not_end_a_pause_that_the_platform_asked_for() -> None:
    pace = Pace()
    pace.learn(told(Cause.RATE, 429, 20.0), 100.0)
    assert not pace.learn(SENT, 101.0)
    assert pace.admit(101.0) == 120.0
    assert pace.reason == "x"
    assert pace.admit(120.0) is None
    pace.learn(SENT, 121.0)
    assert (pace.slowed, pace.reason) == (0, "")


def test_a_longer_pause_than_the_running_one_counts() -> None:
    pace = Pace()
    pace.learn(told(Cause.RATE, 429, 5.0), 100.0)
    pace.learn(told(Cause.RATE, 429, 20.0), 100.1)
    pace.learn(told(Cause.RATE, 429, 2.0), 100.2)
    assert pace.until == 120.1
