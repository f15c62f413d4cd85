"""Which anchor a letter leaves with: reply windows and budgets as resources to plan with. Pure.

In order: the anchor a letter was written for, while it lives; a fresher anchor of the same conversation; a proactive
message where that is allowed; otherwise it is held until the next contact. The last reply of an anchor is kept for
the anchor's own turn until that turn ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from buoy.letters import Anchor, End, Hold, Letter, LetterState, Plan, Proactive, Repeat, Use, Wait
from buoy.protocol.limits import BUDGETS, WINDOW_MARGIN_S, WINDOWS_S

SESSION_SCENES = frozenset({"channel"})  # protocol.md 6.9: these sends are refused without a live session
DEDUPED_SCENES = frozenset({"c2c", "group"})  # protocol.md 10.3: guild messages carry no msg_seq
SESSION_WAIT_S = 5.0  # ours: how often a letter looks again whether the session is back


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is allowed in one conversation now."""

    proactive: bool
    """Messages without an anchor are allowed here, as far as is known."""
    repeat_unsure: bool = False
    """The operator prefers a second copy of a proactive message to a lost one."""
    session: bool = True
    """A session is live; only guild channels ask."""


def plan(letter: Letter, anchors: Sequence[Anchor], now: float, *, scene: str, allowed: Allowed) -> Plan:
    """Decide what to do with one letter at ``now`` (wall seconds).

    ``anchors`` are the conversation's rows that may still be alive, newest first; for a frozen letter they include the
    one it was sent with, where that still exists. Total: any state of the letter has an answer.
    """
    window_s, budget = WINDOWS_S.get(scene, 0), BUDGETS.get(scene, 0)
    is_open = any(a.row == letter.anchor_row and not a.spent and now < a.event_at + window_s for a in anchors)
    if letter.seq is not None and is_open and (scene in DEDUPED_SCENES or not letter.frozen):
        return Repeat()
    if letter.frozen and letter.seq is not None:
        return End(
            LetterState.UNSURE,
            "the reply left, no answer came before its window ended; it is at QQ at most once and was not repeated",
        )
    if letter.frozen and not allowed.repeat_unsure:
        return End(
            LetterState.UNSURE,
            "a message without anchor left and no answer came; QQ cannot tell a second copy, so it was not repeated",
        )
    if scene in SESSION_SCENES and not allowed.session:
        return Wait(now + SESSION_WAIT_S, "QQ takes messages for guild channels only while a session is live")
    spent = late = False
    for anchor in sorted(anchors, key=lambda a: (a.row != letter.event, -a.row)):
        limit = budget - 1 if anchor.open and anchor.row != letter.event else budget
        if now >= anchor.event_at + window_s - WINDOW_MARGIN_S:
            late = True
        elif anchor.spent or anchor.uses >= limit:
            spent = True
        else:
            return Use(anchor, limit)
    if allowed.proactive:
        return Proactive()
    if spent:
        return Hold(
            f"all {budget} replies of the conversation's last message are used; held until the next one"
        )
    if late or letter.event is not None:
        return Hold(f"the reply window of {window_s // 60} min has passed; held until the next message")
    return Hold(
        "nobody has written here lately and proactive messages are not allowed; held until the next message"
    )
