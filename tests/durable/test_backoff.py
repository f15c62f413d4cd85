"""The delays before another run and another try."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buoy.durable import backoff


@pytest.mark.parametrize(("failures", "base"), [(0, 1), (1, 1), (2, 5), (3, 15), (4, 60), (5, 60), (1000, 60)])
def test_a_turn_waits_longer_after_each_failure_up_to_a_minute(failures: int, base: float) -> None:
    assert backoff.turn(failures) == (base * 0.85, base * 1.15)


@pytest.mark.parametrize(
    ("attempts", "base"), [(1, 0.5), (2, 1), (3, 2), (4, 5), (5, 10), (6, 30), (7, 60), (8, 60), (10_000, 60)]
)
def test_a_letter_waits_longer_after_each_attempt_up_to_a_minute(attempts: int, base: float) -> None:
    assert backoff.letter(attempts) == (base * 0.85, base * 1.15)


def test_five_tries_fit_into_a_reply_window() -> None:
    assert sum(backoff.letter(n)[1] for n in range(1, 6)) < 25


def test_a_letter_is_not_tried_before_the_platform_said() -> None:
    low, high = backoff.letter(1, retry_after_s=7.0)
    assert low == 7.0
    assert high > low


@given(st.integers(0, 10**6), st.none() | st.floats(allow_nan=True, allow_infinity=True))
def test_no_answer_makes_a_delay_endless_or_negative(attempts: int, retry_after_s: float | None) -> None:
    low, high = backoff.letter(attempts, retry_after_s)
    assert 0 < low <= high <= backoff.LONGEST_WAIT_S * backoff.JITTER[1]
    assert math.isfinite(high)
