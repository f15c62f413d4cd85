"""Which event of the session machine a frame is."""

from __future__ import annotations

from typing import Final

from buoy.protocol import wire
from buoy.protocol.session.words import (
    Ack,
    BeatAsked,
    Dispatch,
    Event,
    Garbage,
    Hello,
    Invalid,
    Ready,
    ReconnectAsked,
    Resumed,
)
from buoy.protocol.wire import Op

_LARGEST_SEQ: Final = 1 << 53  # ours: beyond it JSON numbers are not exact; the store takes 64 bits
_LONGEST_ID: Final = 256  # ours: session ids are UUIDs so far


def event_of(frame: wire.Frame | wire.Unreadable, generation: int) -> Event | None:
    """Translate a frame. None for opcodes that mean nothing here; never raises, whatever ``d`` holds."""
    if isinstance(frame, wire.Unreadable):
        return Garbage(generation)
    op = frame.op
    if op == Op.DISPATCH:
        seq = frame.s
        if seq is not None and not 0 < seq < _LARGEST_SEQ:
            seq = None
        if frame.t == "READY":
            return Ready(generation, _session_id(frame), seq)
        return Resumed(generation, seq) if frame.t == "RESUMED" else Dispatch(generation, seq)
    if op == Op.HEARTBEAT_ACK:
        return Ack(generation)
    if op == Op.HEARTBEAT:
        return BeatAsked(generation)
    if op == Op.HELLO:
        d = wire.read(frame.d)
        interval = wire.number_of(d.get("heartbeat_interval")) if isinstance(d, dict) else None
        return Hello(generation, (interval or 0.0) / 1000)
    if op == Op.RECONNECT:
        return ReconnectAsked(generation)
    if op == Op.INVALID_SESSION:
        return Invalid(generation, wire.read(frame.d) is True)
    return None


def _session_id(frame: wire.Frame) -> str:
    d = wire.read(frame.d)
    session_id = wire.text_of(d.get("session_id")) if isinstance(d, dict) else ""
    return session_id if len(session_id) <= _LONGEST_ID else ""
