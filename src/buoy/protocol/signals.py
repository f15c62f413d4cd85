"""What is told to QQ beside messages: that a click arrived, and that an answer is being written. Nothing here sends.

Source: protocol.md 16.3 (acknowledging clicks), 4.5 (its codes), 14 (typing), read 2026-11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from buoy.letters import Failed, Sent
from buoy.protocol import rest
from buoy.protocol.limits import TYPING_S

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTIFY: Final = 6  # msg_type (10.1)
TYPING: Final = 1  # input_type: the only one that is documented
SCENES: Final = frozenset({"c2c"})  # 14: nobody else is shown it


def build_ack(interaction_id: str, code: int = 0) -> rest.Request:
    """Build the acknowledgement of a click (16.3): 0 success ... 5 administrators only."""
    return rest.Request("PUT", f"/interactions/{quote(interaction_id, safe='')}", b'{"code":%d}' % code)


def parse_ack(status: int, headers: Mapping[str, str], body: bytes) -> Failed | None:
    """Decide what became of an acknowledgement; None: QQ has it, with an answer of any form (200 or 204). Total."""
    outcome = rest.parse_answer(status, headers, body, passive=False, repeat=False)
    if isinstance(outcome, Sent) or (200 <= status < 300 and not outcome.code):
        return None
    return outcome


def build_typing(id: str, *, anchor: str, seq: int) -> rest.Request:  # noqa: A002  the platform's word
    """Build the notice that an answer is being written (14); it uses one reply of its anchor.

    Raises:
        ValueError: an anchor written otherwise than :func:`rest.build_text` says.
    """
    blank = rest.build_text("c2c", id, " ", anchor=anchor, seq=seq)
    fields = msgspec.json.decode(blank.body) | {
        "msg_type": NOTIFY,
        "input_notify": {"input_type": TYPING, "input_second": TYPING_S},
    }
    del fields["content"]
    return blank._replace(body=msgspec.json.encode(fields))
