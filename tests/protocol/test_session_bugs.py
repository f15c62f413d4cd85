"""The session tests are not blind: each planted bug is found by the test that is meant to find it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from buoy.protocol import session as m
from buoy.protocol.session import Phase
from tests.protocol import test_session_faults as faults
from tests.protocol import test_session_pauses as pauses
from tests.protocol.session_world import Step

Result = tuple[m.State, tuple[m.Command, ...]]


def backoff_reset_on_connect(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    return (replace(after, attempt=0, full_at=-math.inf) if isinstance(e, m.Opened) else after), commands


def no_hello_deadline(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    return (replace(after, deadline=math.inf) if after.phase is Phase.GREETING else after), commands


def no_ready_deadline(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    waits = after.phase in {Phase.IDENTIFYING, Phase.RESUMING}
    return (replace(after, deadline=math.inf) if waits else after), commands


def resume_carries_seen(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    seen = after.session.seen if after.session else 0
    return after, tuple(replace(c, stored=seen) if isinstance(c, m.SendResume) else c for c in commands)


def silent_gap(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    return after, tuple(c for c in commands if not isinstance(c, m.RecordGap))


def acks_are_not_counted(s: m.State, e: m.Event, now: float) -> Result:
    after, commands = m.step(s, e, now)
    return replace(after, missed=0), commands


@pytest.mark.parametrize(
    ("bug", "check"),
    [
        (backoff_reset_on_connect, pauses.drops_back_off),
        (no_hello_deadline, faults.survives_without_hello),
        (no_hello_deadline, lambda step: pauses.black_hole("hello", step)),
        (no_ready_deadline, lambda step: pauses.black_hole("ready", step)),
        (no_ready_deadline, lambda step: pauses.black_hole("resumed", step)),
        (resume_carries_seen, faults.resumes_from_stored),
        (silent_gap, faults.reports_a_gap),
        (acks_are_not_counted, faults.sees_a_half_open_socket),
    ],
)
def test_a_planted_bug_is_found(bug: Step, check: Callable[[Step], None]) -> None:
    check(m.step)
    with pytest.raises(AssertionError):
        check(bug)
