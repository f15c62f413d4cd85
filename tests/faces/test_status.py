"""What `buoy status` says in words."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from buoy.faces import reading
from buoy.platforms.qq import health
from buoy.protocol import session as m


@pytest.mark.parametrize(
    ("to_at", "done", "words"),
    [
        (1034.0, "identified anew", r"of bot 1: 34 s from .* to .*: invalid session; identified anew"),
        (1000.5, "replaced on purpose", r"of bot 1: no time between, at .*; replaced on purpose"),
        (8200.0, "", r"of bot 1: 2 h from .*; messages of that time may be lost at QQ"),
    ],
)
def test_a_gap_is_told_with_its_times_its_cause_and_what_was_done(to_at: float, done: str, words: str) -> None:
    gap = {"bot": "1", "from_at": 1000.0, "to_at": to_at, "cause": "invalid session", "done": done}
    assert re.fullmatch(words, reading.gap_line(gap))


def test_refused_event_groups_are_named_with_the_reason() -> None:
    line = reading.intents_line("1", {"intents_refused": ["A", "B"], "intents_reason": "close code 4014"})
    assert "no events of A, B: QQ refused them (close code 4014)" in line


def test_what_changed_settings_ask_for_was_not_refused() -> None:
    asked = replace(m.initial(3), session=m.Session("s", 1, 1), granted=1, intents=1)
    assert health.told(asked, 0.0, None)["intents_refused"] != []
    assert health.told(replace(asked, outdated=True), 0.0, None)["intents_refused"] == []
