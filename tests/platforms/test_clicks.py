"""How long the acknowledgement of a click is worth something; numbers typed by hand. The rest: tests/shells."""

from __future__ import annotations

import pytest

from buoy.letters import Arrival
from buoy.platforms.qq.clicks import left_s

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("received", "written", "left"),
    [
        (0.0, 0.0, 3.0),
        (1.0, 1.0, 2.0),
        (2.9, 2.9, 0.1),
        (3.0, 3.0, 0.0),
        (4.0, 0.0, -1.0),  # it waited for the disk
        (0.0, 3.0, 3.0),  # whole seconds, and a clock that is 2 s ahead
        (0.0, 5.0, 1.0),  # a replay, soon enough
        (0.0, 6.0, 0.0),
        (0.0, 30.0, -24.0),
        (-60.0, -60.0, 3.0),  # the clock was put back
    ],
)
def test_how_long_it_is_worth_something(received: float, written: float, left: float) -> None:
    row = Arrival(
        "1", 0, "s", 2, "INTERACTION_CREATE", "k", b"", "qq:c2c:U", turn=True, anchor=None, event_at=NOW - written,
        received_at=NOW - received, click=True,
    )  # fmt: skip
    assert left_s(row, NOW) == pytest.approx(left)
