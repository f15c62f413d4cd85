"""The golden table and the drawn documentation are what the code does, and the table leaves nothing out."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase
from buoy.protocol.session.closing import Action
from buoy.protocol.session.intents import fewer
from buoy.protocol.session.machine import _DUE, _HANDLERS
from tests.protocol import draw_session as golden

HOW = "run: python tests/protocol/draw_session.py --write, and read the difference"


def test_the_golden_table_is_current() -> None:
    assert golden.TABLE.read_text() == golden.table(), HOW


def test_the_document_is_current() -> None:
    text = golden.DOC.read_text()
    assert text == golden.document(text), HOW


def test_the_table_has_every_phase_and_every_event() -> None:
    assert {state.phase for state in golden.STATES.values()} == set(Phase)
    assert {type(event) for event, _ in golden.EVENTS.values()} == set(get_args(m.Event))
    assert set(_HANDLERS) == set(get_args(m.Event))
    assert set(_DUE) == set(Phase)


@pytest.mark.parametrize("name", golden.STATES)
def test_every_phase_but_stopped_has_a_deadline(name: str) -> None:
    for event, at in golden.EVENTS.values():
        after, commands = m.step(golden.STATES[name], event, golden.NOW + at)
        assert (after.deadline == math.inf) == (after.phase is Phase.STOPPED)
        assert (after.wake_at is None) == (after.phase is Phase.STOPPED)
        assert all(isinstance(command, get_args(m.Command)) for command in commands)


def test_every_trouble_that_blocks_has_a_remedy_in_one_line() -> None:
    for what, how in m.REMEDIES.values():
        assert what
        assert how
        assert "\n" not in what + how


CLOSE_CODES_BY_HAND = {
    "resume": {1000, 1001, 1005, 1006, 4000},
    "rotate": {4009},
    "identify": {4003, 4005, 4006, 4007, *range(4900, 4914)} - {4903},
    "token": {4004},
    "pause": {4008},
    "refused": {4903},
    "intents": {4013, 4014},
    "block": {4001, 4002, 4010, 4011, 4012, 4914, 4915},
}


def test_the_close_codes_typed_a_second_time() -> None:
    found: dict[str, set[int]] = {action.name.lower(): set() for action in Action}
    for code, action in m.CLOSE_ACTIONS.items():
        found[action.name.lower()].add(int(code))
    assert found == CLOSE_CODES_BY_HAND


@pytest.mark.parametrize("code", [None, 0, -1, 1011, 3000, 4555, 4916, 9000, 1 << 70])
def test_an_unknown_close_code_tries_resume(code: int | None) -> None:
    assert m.close_action(code) is Action.RESUME


def test_fewer_intents_ends_at_the_minimum() -> None:
    full = 1 << 9 | 1 << 12 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 30
    assert fewer(full) == 1 << 25 | 1 << 30
    assert fewer(1 << 25 | 1 << 30) == 1 << 25
    assert fewer(1 << 9) == 1 << 25
    assert fewer(1 << 25) == 1 << 25


def test_the_numbers_of_the_document() -> None:
    assert (limits.LOCATE_DEADLINE_S, limits.OPEN_DEADLINE_S, limits.HELLO_DEADLINE_S) == (15, 15, 10)
    assert (limits.RESERVE_DEADLINE_S, limits.READY_DEADLINE_S, limits.LINGER_S) == (10, 20, 5)
    assert (limits.ATTEMPT_S, limits.PROBE_S, limits.SESSION_LIFE_S) == (45, 900, 172_800)
    assert limits.BACKOFF_S == (1, 2, 5, 10, 30, 60)
    assert limits.BACKOFF_S[-1] * limits.JITTER[1] == pytest.approx(69)
    assert limits.CONNECTS_AT_ONCE + 3600 / limits.CONNECT_PACE_S == 70
