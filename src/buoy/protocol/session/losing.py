"""How a session is given up, and what people read about the gap that it leaves.

A gap is owed from the moment a session is lost and recorded with the next READY, in READY's own transaction.
Its sentence says what ended the session and what was done; it is written here, where the reason is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from buoy.protocol.session.words import RecordGap, Trouble

if TYPE_CHECKING:
    from buoy.protocol.session.state import State

UNREADY = "the last run ended between IDENTIFY and READY"
UNREADABLE = "could not be resumed, since its READY could not be read"
UNASKED = "was replaced by one that QQ began unasked"
FUTILE = "was given up after three RESUMEs in a row that did not last"
ANEW = "identified anew; "
NO_REPLAY = "QQ does not replay what was sent in between"


def drop(s: State, cause: Trouble, how: str, *, silent_s: float = 0.0) -> State:
    """Give the session up; a gap is owed that starts where the first lost session ended.

    ``how`` goes on after "session 0c6f2f0e"; ``silent_s`` is how long it may have been deaf before.
    A first IDENTIFY asks again for what an uncertain refusal took away earlier.
    """
    if s.session is None:
        return s
    told = f"{_name(s.session.id)} {how}"
    gap = (
        RecordGap(s.session.id, s.session.stored, cause, told, silent_s)
        if s.gap is None
        else replace(s.gap, done=f"{s.gap.done}; then {told}")
    )
    intents = s.intents if s.refused else s.allowed
    return replace(s, session=None, gap=gap, intents=intents, futile=0, held=False)


def by_close(code: int | None, *, invalid: bool, resuming: bool) -> str:
    """Say how QQ ended a session: ``invalid`` after op 9, ``resuming`` as the answer to RESUME."""
    shown = "no close code" if code is None else f"close code {code}"
    if invalid:
        return f"was declared invalid (op 9, {shown})"
    return f"was refused with {shown}" if resuming else f"was ended with {shown}"


def after_ready(gap: RecordGap, *, asked: bool) -> RecordGap:
    """Complete a gap that ends with a new session, ``asked`` for with IDENTIFY or not."""
    return replace(gap, done=f"{gap.done}; {ANEW if asked else ''}{NO_REPLAY}")


def after_resumed(gap: RecordGap) -> RecordGap:
    """Complete a gap that was owed although the session lives: another IDENTIFY had left unanswered."""
    named = _name(gap.session_id)
    return replace(
        gap, done=f"{gap.done}; {named} was resumed and replayed; what QQ sent to that IDENTIFY's own session is lost"
    )


def _name(session_id: str) -> str:
    return f"session {session_id[:8]}" if session_id else "a session without a readable id"
