"""Which anchor a letter leaves with: reply windows and budgets as resources to plan with. Pure.

In order: the anchor a letter was written for, while it lives; a fresher anchor of the same conversation; a
proactive message where that is allowed; otherwise it is held until the next contact. The last reply of an
anchor is kept for the anchor's own turn until that turn ends. A letter that may be at QQ already is only ever
repeated as it is, and only where QQ refuses a second copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from buoy.letters import Anchor, End, Hold, Letter, LetterState, Plan, Proactive, Repeat, Use, Wait
from buoy.protocol.limits import BUDGETS, WINDOW_MARGIN_S, WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Sequence

SESSION_SCENES: Final = frozenset({"channel"})  # protocol.md 6.9: refused without a live session
DEDUPED_SCENES: Final = frozenset({"c2c", "group"})  # protocol.md 10.3: guild messages carry no msg_seq
SESSION_WAIT_S: Final = 5.0  # ours: how often a letter looks again whether the session is back

NO_SESSION: Final = "QQ takes messages for guild channels only while a session is live"
UNSURE_REPLY: Final = (
    "the reply left and no answer came while QQ could still have told a second copy; it is there at most once"
)
UNSURE_GUILD: Final = (
    "the reply left and no answer came; guild messages have no number that tells a second copy, so it was not repeated"
)
UNSURE_PROACTIVE: Final = (
    "a message without anchor left and no answer came; QQ cannot tell a second copy, so it was not repeated"
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is allowed in one conversation now."""

    proactive: bool
    """Messages without an anchor are allowed here, as far as is known."""
    why: str = ""
    """Who said that they are not, where somebody did."""
    repeat_unsure: bool = False
    """The operator prefers a second copy of a proactive message to a lost one."""
    session: bool = True
    """A session is live; only guild channels ask."""


def plan(letter: Letter, anchors: Sequence[Anchor], now: float, *, scene: str, allowed: Allowed) -> Plan:
    """Decide what to do with one letter at ``now`` (wall seconds).

    ``anchors`` are the conversation's rows that may still be alive; they include the letter's own and the one
    it was sent with, where those still exist. Total: any state of the letter has an answer.
    """
    latest = now - WINDOWS_S.get(scene, 0) + WINDOW_MARGIN_S  # what was written until then is too old
    bound = any(a.row == letter.anchor_row and not a.spent and a.event_at > latest for a in anchors)
    if letter.frozen and letter.seq is not None:
        if bound and scene in DEDUPED_SCENES:
            return Repeat()
        return End(LetterState.UNSURE, UNSURE_REPLY if scene in DEDUPED_SCENES else UNSURE_GUILD)
    if letter.frozen and not (allowed.repeat_unsure and allowed.proactive):
        return End(LetterState.UNSURE, UNSURE_PROACTIVE)
    if scene in SESSION_SCENES and not allowed.session:
        return Wait(now + SESSION_WAIT_S, NO_SESSION)
    if letter.frozen:
        return Proactive()
    if letter.seq is not None and bound:
        return Repeat()  # it was definitely not accepted with this number: the same one serves again
    return _choose(letter, anchors, latest, scene, allowed)


def _choose(letter: Letter, anchors: Sequence[Anchor], latest: float, scene: str, allowed: Allowed) -> Plan:
    """Find the best anchor for a letter that is free to take any."""
    budget = BUDGETS.get(scene, 0)
    reserved = used = False
    for anchor in sorted(anchors, key=lambda a: (a.row != letter.event, -a.event_at, -a.row)):
        limit = budget - 1 if anchor.open and anchor.row != letter.event else budget
        if anchor.event_at <= latest:
            continue
        if anchor.uses < limit and not anchor.spent:
            return Use(anchor, limit)
        used = True
        reserved = reserved or (anchor.uses < budget and not anchor.spent)
    if allowed.proactive:
        return Proactive()
    if reserved:
        return Hold("the last reply is kept for the turn that still runs; held until the next message")
    if used:
        return Hold("no reply is left on the conversation's messages; held until the next one")
    if anchors or (letter.event is not None and letter.origin == "turn"):
        minutes = WINDOWS_S.get(scene, 0) // 60
        return Hold(f"the reply window of {minutes} min has passed; held until the next message")
    why = f" ({allowed.why})" if allowed.why else ""
    return Hold(
        f"nobody has written here lately and proactive messages are not allowed{why}; held until the next message"
    )
