"""From frames to rows and from rows to messages: QQ's words into the gateway's. Pure."""

from __future__ import annotations

import hashlib

from buoy.chat import Message
from buoy.letters import Arrival, Event
from buoy.protocol import events, wire

LANE = "qq"
RAW = "?"  # the type of a row that holds a frame nobody could read


def arrival(
    frame: wire.Frame | wire.Unreadable,
    raw: bytes,
    *,
    bot: str,
    shard: int,
    session: str,
    now: float,
    skew_s: float,
) -> Arrival:
    """Build the row of one frame. Total: what cannot be understood is stored raw, with the reason and no turn.

    A window runs from the platform's time, moved to this machine's clock by ``skew_s``, never later than the receipt.
    """
    if isinstance(frame, wire.Unreadable):
        digest = hashlib.blake2b(raw, digest_size=12).hexdigest()
        return Arrival(
            bot, shard, session, None, RAW, f"unreadable/{session}/{now:.6f}/{digest}", raw, None, turn=False,
            anchor=None, event_at=now, received_at=now, reason=frame.why,
        )  # fmt: skip
    known = events.classify(frame)
    key = known.key or f"{session}/{frame.s}"
    lane = f"{LANE}:{known.scene}:{known.conversation}" if known.scene and known.conversation else None
    told = known.timestamp
    return Arrival(
        bot, shard, session, frame.s, known.type, key, raw, lane, turn=known.wants_turn and lane is not None,
        anchor=known.anchor, event_at=now if told is None else min(now, told + skew_s), received_at=now,
        bypass=known.is_stop, reason=known.why_no_turn,
    )  # fmt: skip


def stripped(row: Arrival, why: str) -> Arrival:
    """The same frame without what we made of it, for when that cannot be stored; it gets no turn."""
    digest = hashlib.blake2b(row.frame, digest_size=12).hexdigest()
    return Arrival(
        row.bot, row.shard, row.session, row.seq, RAW, f"unreadable/{row.session}/{row.received_at:.6f}/{digest}",
        row.frame, None, turn=False, anchor=None, event_at=row.received_at, received_at=row.received_at,
        after=row.after, reason=f"not understood: {why}"[:300],
    )  # fmt: skip


def message(event: Event, *, conversation: str) -> Message | None:
    """Read a stored row for the agent; None when there is no message in it.

    Raises:
        ValueError: the row holds no readable frame (an operator may look at it with ``buoy inbox show``).
    """
    frame = wire.decode(event.frame)
    if isinstance(frame, wire.Unreadable):
        raise ValueError(f"the stored frame is unreadable: {frame.why}")  # noqa: TRY004  the data is wrong, not a type
    told = events.parse_message(event.type, frame.d)
    if told is None:
        return None
    return Message(
        text=told.text,
        conversation=conversation,
        sender=told.sender,
        id=told.id,
        attachments=told.attachments,
        at=event.event_at,
        quoted=told.quoted,
        turn=f"{event.bot}/{event.key}",
        attempt=event.attempts,
        raw=told.raw,
    )


def reference(event: Event) -> str | None:
    """What a reply quotes to refer to this message (protocol.md 10.1), if QQ gave it."""
    frame = wire.decode(event.frame)
    if isinstance(frame, wire.Unreadable):
        return None
    told = events.parse_message(event.type, frame.d)
    return (told.msg_idx or None) if told is not None else None
