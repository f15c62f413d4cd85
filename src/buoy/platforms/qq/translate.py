"""From frames to rows and from rows to messages: QQ's words into the gateway's. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final, NamedTuple

from buoy.chat import Click, Message, Sender
from buoy.letters import Arrival, Event
from buoy.platforms.qq import permission
from buoy.protocol import events, wire

LANE: Final = "qq"
RAW: Final = "?"  # the type of a row that holds a frame nobody could read
GUILD_SCENES: Final = frozenset({"channel", "dm"})


class Place(NamedTuple):
    """One conversation, taken apart. ``id`` is opaque and may hold any character."""

    scene: str
    id: str


def place(lane: str) -> Place:
    """Take the name of a conversation apart.

    Raises:
        ValueError: it is none.
    """
    _, scene, ident = lane.split(":", 2)
    return Place(scene, ident)


def arrival(
    frame: wire.Frame | wire.Unreadable,
    raw: bytes,
    *,
    bot: str,
    shard: int,
    session: str,
    seq: int | None,
    now: float,
    skew_s: float,
) -> Arrival:
    """Build the row of one frame. Total: what cannot be understood is stored raw, with the reason and no turn.

    ``seq`` is the sequence that counts for ``session``; None where the frame moves no cursor. A window runs
    from the platform's time, moved to this machine's clock by ``skew_s``, never later than the receipt.
    """
    if isinstance(frame, wire.Unreadable):
        return Arrival(
            bot, shard, session, None, RAW, _nameless(raw, now), raw, None, turn=False, anchor=None, event_at=now,
            received_at=now, reason=frame.why,
        )  # fmt: skip
    known = events.classify(frame)
    key = known.key or (f"{session}/{seq}" if session and seq is not None else _nameless(raw, now))
    lane = f"{LANE}:{known.scene}:{known.conversation}" if known.scene and known.conversation else None
    told = known.timestamp
    return Arrival(
        bot, shard, session, seq, known.type, key, raw, lane, turn=known.wants_turn and lane is not None,
        anchor=known.anchor, event_at=now if told is None else min(now, told + skew_s), received_at=now,
        bypass=known.is_stop or known.is_click, reason=known.why_no_turn,
        permission=permission.of_event(known, now, skew_s), click=known.is_click,
    )  # fmt: skip


def stripped(row: Arrival, why: str) -> Arrival:
    """The same frame without what we made of it, for when that cannot be stored; it gets no turn.

    Where its sequence is known, a second copy of it, from a replay, has the same key.
    """
    name = f"{row.session}/{row.seq}" if row.seq is not None else f"{row.received_at:.6f}/{_digest(row.frame)}"
    return replace(
        row, type=RAW, key=f"raw/{name}", lane=None, turn=False, anchor=None, event_at=row.received_at, bypass=False,
        permission=None, click=False, reason=f"not understood: {why}"[:300],
    )  # fmt: skip


def message(event: Event, *, conversation: str) -> Message | None:
    """Read a stored row for the agent; None when there is no message in it.

    Raises:
        ValueError: the row holds no readable frame (an operator may look at it with ``buoy inbox show``).
    """
    frame = wire.decode(event.frame)
    if isinstance(frame, wire.Unreadable):
        raise ValueError(f"the stored frame is unreadable: {frame.why}")  # noqa: TRY004  the data is wrong
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


def pressed(type: str, frame: bytes) -> events.Interaction | None:  # noqa: A002  the store's word
    """Read a stored row that is a click; None: it is none, or cannot be read."""
    if type != events.INTERACTION:
        return None
    read = wire.decode(frame)
    told = None if isinstance(read, wire.Unreadable) else events.parse(type, read.d)
    return told if isinstance(told, events.Interaction) and told.kind in events.CLICKS else None


def click(event: Event, *, conversation: str) -> Click | None:
    """A stored row as the click that it is; None: it is none. Buttons of guilds come without a name, too."""
    told = pressed(event.type, event.frame)
    if told is None:
        return None
    return Click(event.key, conversation, Sender(told.user), told.button_data, event.event_at)


def reference(event: Event) -> str | None:
    """What a reply quotes to refer to this message, if QQ gave it: a handle, in guilds the message's id (10.1)."""
    frame = wire.decode(event.frame)
    told = None if isinstance(frame, wire.Unreadable) else events.parse_message(event.type, frame.d)
    if told is None:
        return None
    return (told.id if told.scene in GUILD_SCENES else told.msg_idx) or None


def _nameless(raw: bytes, now: float) -> str:
    """The key of a frame that has no id and no sequence."""
    return f"raw/{now:.6f}/{_digest(raw)}"


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=12).hexdigest()
