"""How rows are shown to somebody who looks over a shoulder: conversations shortened, texts cut. Pure."""

from __future__ import annotations

import re
from typing import Final

KEPT: Final = 6  # characters of an openid: enough to tell conversations apart
PREVIEW: Final = 200  # characters of a text

_LANE: Final = re.compile(rf"\b([a-z]+:[a-z0-9]+:[\w-]{{{KEPT}}})[\w-]+")


def shortened(text: str) -> str:
    """Shorten the openid of every conversation (`qq:c2c:<openid>`) in a text."""
    return _LANE.sub(r"\1…", text)


def preview(text: str) -> str:
    """Give the beginning of a text."""
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"
