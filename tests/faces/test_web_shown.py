"""Openids are shortened wherever a conversation stands, and nothing else is."""

from __future__ import annotations

import pytest

from buoy.faces.web.shown import PREVIEW, preview, shortened

OPENID = "59F816E0C3F44C0AA3F1D83D4C8E1F44"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"qq:c2c:{OPENID}", "qq:c2c:59F816…"),
        (f"qq:group:{OPENID}@102000001", "qq:group:59F816…@102000001"),
        (f"in/2: received in qq:c2c:{OPENID}: odd", "in/2: received in qq:c2c:59F816…: odd"),
        (f"two: qq:c2c:{OPENID}, qq:dm:{OPENID}", "two: qq:c2c:59F816…, qq:dm:59F816…"),
        ("qq:channel:123456", "qq:channel:123456"),
        ("console:terminal:you", "console:terminal:you"),
        ("letter send/backup queued at 12:30:45", "letter send/backup queued at 12:30:45"),
        ("sent as ROBOT1.0_abc.def! in 2 ms", "sent as ROBOT1.0_abc.def! in 2 ms"),
    ],
)
def test_conversations_are_shortened(text: str, shown: str) -> None:
    assert shortened(text) == shown


def test_a_preview_is_never_longer_than_told() -> None:
    assert preview("x" * PREVIEW) == "x" * PREVIEW
    assert preview("x" * (PREVIEW + 1)) == "x" * (PREVIEW - 1) + "…"
