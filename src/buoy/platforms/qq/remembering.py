"""What a bot wants to know again at its next start: which intents QQ granted, as the note beside its cursor. Pure."""

from __future__ import annotations

import msgspec

from buoy.protocol import session as m


class Note(msgspec.Struct, frozen=True):
    """The note's content. ``asked_at``: wall seconds at which all that is wanted was asked for last."""

    wanted: int
    granted: int
    why: str = ""
    asked_at: float = 0.0


def note_of(state: m.State, now: float, wall: float) -> str:
    """Write down what the READY just received proves. ``now`` is the machine's time, ``wall`` the wall's."""
    asked_at = max(0.0, wall - (now - state.asked_at))
    granted = state.intents if state.granted is None else state.granted
    return msgspec.json.encode(Note(state.wanted, granted, state.refusal, asked_at)).decode()


def granted_by(note: str, wall: float) -> m.Granted | None:
    """Read a note; None where there is none that can be read. A clock that was put back makes nothing younger."""
    try:
        told = msgspec.json.decode(note, type=Note)
    except msgspec.DecodeError:
        return None
    return m.Granted(told.wanted, told.granted, told.why, max(0.0, wall - told.asked_at))
