"""The note beside the cursor: what is written is read, and nothing else is believed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from buoy.platforms.qq.remembering import granted_by, note_of
from buoy.protocol import session as m

STATE = replace(m.initial(7), intents=3, granted=3, refusal="close code 4014", asked_at=40.0)


def test_what_ready_proved_is_told_again() -> None:
    note = note_of(STATE, 100.0, 1000.0)
    assert granted_by(note, 1500.0) == m.Granted(7, 3, "close code 4014", 560.0)


def test_a_clock_that_was_put_back_gives_no_age_below_zero() -> None:
    told = granted_by(note_of(STATE, 100.0, 1000.0), 10.0)
    assert told is not None
    assert told.asked_s == 0.0


def test_what_was_never_asked_for_in_full_is_due() -> None:
    told = granted_by(note_of(m.initial(7), 100.0, 1_790_000_000.0), 1_790_000_000.0)
    assert told is not None
    assert told.asked_s == 1_790_000_000.0


@pytest.mark.parametrize("note", ["", "{}", "[]", "null", '{"wanted":"x","granted":1}', "{", "7"])
def test_a_note_that_cannot_be_read_is_none(note: str) -> None:
    assert granted_by(note, 0.0) is None
