"""QQ's events: what a dispatch means for us at once, and its typed body for who wants more.

:func:`classify` is the hot path: cheap, and total, because the row must be stored whatever the body is.
:func:`parse_message` and :func:`parse` run later, from the stored row. None of them raises on any body;
missing fields are empty, and only what cannot be understood at all costs a message its turn.

Source: protocol.md 8 and 9 (platform documents of 2026-09 and quoted live traffic, read 2026-11); which
messages get a turn: design, "Turns".
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from buoy.chat import Attachment, Sender
from buoy.protocol import markup, wire

STOP: Final = "/stop"  # bypasses its lane
INTERACTION: Final = "INTERACTION_CREATE"
CLICKS: Final = frozenset({11, 12})  # 9.7: a button, and an entry of a quick menu; the rest asks for nothing (16.3)


class Classified(msgspec.Struct, frozen=True, gc=False):
    """What the inbox needs to know of a dispatch."""

    type: str
    key: str | None
    """Dedupe key (8): the message's id, the payload's id for the rest; None when neither can be read."""
    scene: str | None
    conversation: str | None
    """user_openid, group_openid, channel_id, or the guild_id of a DM."""
    wants_turn: bool
    why_no_turn: str
    is_bot: bool = False
    """The author is a bot."""
    anchor: str | None = None
    """What a reply may refer to: ``msg_id:<id>`` or ``event_id:<payload id>``."""
    timestamp: float | None = None
    """The platform's time, seconds since 1970."""
    is_stop: bool = False
    is_click: bool = False


class InboundMessage(msgspec.Struct, frozen=True):
    """A message as an agent wants it."""

    id: str
    type: str
    scene: str
    conversation: str
    text: str
    """Mention of the bot removed, other mentions and faces readable, entities decoded, trimmed."""
    sender: Sender
    attachments: tuple[Attachment, ...]
    quoted: str
    """Text of the message that this one answers to."""
    msg_idx: str
    """Handle to quote this message by (``REFIDX_...``)."""
    quoted_idx: str
    """Handle of the message that it answers to; may be a ``TMP_...`` that cannot be resolved."""
    timestamp: float | None
    raw: dict[str, Any]


class Relation(msgspec.Struct, frozen=True):
    """A user or group added, removed, muted or unmuted the bot (9.5), or a group's members changed (9.6)."""

    type: str
    scene: str
    conversation: str
    operator: str
    """Who did it, in groups: the member's openid."""
    member: str
    """Who came or went (9.6)."""
    timestamp: float | None
    raw: dict[str, Any]


class Interaction(msgspec.Struct, frozen=True):
    """Something pressed (9.7): a click where ``kind`` is one of `CLICKS`. Acknowledge that by ``id`` within 3 s."""

    id: str
    kind: int
    scene: str
    conversation: str
    user: str
    button_id: str
    button_data: str
    """What the button carries; of a menu's entry, its name."""
    message_id: str
    timestamp: float | None
    raw: dict[str, Any]


class Audit(msgspec.Struct, frozen=True):
    """The end of a review that a send of ours went into (3.4, 9.10). ``message_id`` only where it passed."""

    passed: bool
    audit_id: str
    message_id: str
    scene: str | None
    conversation: str | None
    timestamp: float | None
    raw: dict[str, Any]


class Kept(msgspec.Struct, frozen=True):
    """An event that nobody here knows, or whose body is not what it should be: kept as it came."""

    type: str
    raw: Any
    why: str


class _Kind(NamedTuple):
    scene: str | None  # None: the body says
    turn: str = ""  # why it never gets a turn; empty for messages
    message: bool = False
    full: bool = False  # messages that need not be for us
    repliable: bool = False  # by the payload's id


NOWHERE: Final = "it does not say which conversation it belongs to"
_RELATION: Final = "a relation changed"
_MEMBERS: Final = "the group's members changed"
_KINDS: Final[dict[str, _Kind]] = {
    "C2C_MESSAGE_CREATE": _Kind("c2c", message=True),
    "GROUP_AT_MESSAGE_CREATE": _Kind("group", message=True),
    "GROUP_MESSAGE_CREATE": _Kind("group", message=True, full=True),
    "AT_MESSAGE_CREATE": _Kind("channel", message=True),
    "MESSAGE_CREATE": _Kind("channel", message=True, full=True),
    "DIRECT_MESSAGE_CREATE": _Kind("dm", message=True),
    "FRIEND_ADD": _Kind("c2c", _RELATION, repliable=True),
    "FRIEND_DEL": _Kind("c2c", _RELATION),
    "C2C_MSG_REJECT": _Kind("c2c", _RELATION),
    "C2C_MSG_RECEIVE": _Kind("c2c", _RELATION, repliable=True),
    "GROUP_ADD_ROBOT": _Kind("group", _RELATION, repliable=True),
    "GROUP_DEL_ROBOT": _Kind("group", _RELATION),
    "GROUP_MSG_REJECT": _Kind("group", _RELATION),
    "GROUP_MSG_RECEIVE": _Kind("group", _RELATION, repliable=True),
    "GROUP_MEMBER_ADD": _Kind("group", _MEMBERS),
    "GROUP_MEMBER_REMOVE": _Kind("group", _MEMBERS),
    "GROUP_JOIN_REQUEST": _Kind("group", _MEMBERS),
    "SUBSCRIBE_MESSAGE_STATUS": _Kind(None, "a subscription changed"),
    INTERACTION: _Kind(None, "an interaction that asks for no answer", repliable=True),
    "MESSAGE_AUDIT_PASS": _Kind(None, "the end of a review"),
    "MESSAGE_AUDIT_REJECT": _Kind(None, "the end of a review"),
    "READY": _Kind(None, "the session's own event"),
    "RESUMED": _Kind(None, "the session's own event"),
}
_OTHER: Final = _Kind(None, "no event that is answered")


def classify(frame: wire.Frame) -> Classified:
    """Say what a dispatch means for the inbox. Total: never raises, whatever the body is."""
    name = frame.t or ""
    kind = _KINDS.get(name, _OTHER)
    d = wire.read(frame.d)
    if not isinstance(d, dict):
        return Classified(name, frame.id or None, kind.scene, None, False, kind.turn or "its body cannot be read")
    if not kind.message:
        return _classify_event(frame, name, kind, d)
    scene = kind.scene
    author = d.get("author")
    author = author if isinstance(author, dict) else {}
    conversation = _conversation(scene, d, author)
    ident = wire.text_of(d.get("id"))
    is_bot = _yes(author.get("bot"))
    why = ""
    if conversation is None:
        why = NOWHERE
    elif is_bot:
        why = "its author is a bot"
    elif kind.full and not _addresses(d.get("mentions")):
        why = "it is not addressed to the bot"
    content = d.get("content")
    is_stop = (
        not why
        and isinstance(content, str)
        and STOP in content
        and markup.read(content, name, d.get("mentions")) == STOP
    )
    return Classified(
        name,
        ident or frame.id or None,
        scene,
        conversation,
        not why,
        why,
        is_bot,
        f"msg_id:{ident}" if ident and conversation and not is_bot else None,
        timestamp(d.get("timestamp")),
        is_stop,
    )


def _classify_event(frame: wire.Frame, name: str, kind: _Kind, d: dict[str, Any]) -> Classified:
    scene = kind.scene or _scene(d)
    conversation = _conversation(scene, d, {})
    key = frame.id or None
    why, is_click = kind.turn, False
    if name == INTERACTION:
        ident = wire.text_of(d.get("id"))
        if key is None and ident:
            key = f"{name}:{ident}"  # 8: clients that kept only d.id prefix it themselves
        if _pressed(d) in CLICKS:
            why = NOWHERE if conversation is None else "" if ident else "a click without an id"
            is_click = not why
    anchor = f"event_id:{key}" if kind.repliable and key and conversation else None
    return Classified(name, key, scene, conversation, is_click, why, False, anchor, _time_of(d), False, is_click)


def _pressed(d: dict[str, Any]) -> int:
    """What kind of interaction it is (9.7)."""
    return wire.integer(d.get("type")) or wire.integer(_dict(d.get("data")).get("type")) or 0


def _scene(d: dict[str, Any]) -> str | None:
    """Read the scene of an event whose name does not tell it from the ids that it carries."""
    if d.get("group_openid"):
        return "group"
    if d.get("user_openid") or d.get("openid"):
        return "c2c"
    return "channel" if d.get("channel_id") else None


def _conversation(scene: str | None, d: dict[str, Any], author: dict[str, Any]) -> str | None:
    text = wire.text_of
    if scene == "c2c":
        found = (
            text(author.get("user_openid"))
            or text(d.get("user_openid"))
            or text(d.get("openid"))
            or text(author.get("id"))
        )
    elif scene == "group":
        found = text(d.get("group_openid")) or text(d.get("group_id"))
    elif scene == "channel":
        found = text(d.get("channel_id"))
    else:
        found = text(d.get("guild_id")) if scene == "dm" else ""
    return found or None


def _yes(value: Any) -> bool:
    return value in (1, "1", "true", "True")  # True equals 1


def _addresses(mentions: Any) -> bool:
    """Say whether somebody addressed the bot (9.4): mentioned by itself, not as one of all."""
    if not isinstance(mentions, list):
        return False
    return any(
        isinstance(m, dict) and _yes(m.get("is_you")) and m.get("scope") in (None, "", "single") for m in mentions
    )


def _time_of(d: dict[str, Any]) -> float | None:
    return timestamp(d.get("timestamp") or d.get("audit_time") or d.get("apply_at"))


LATEST_S: Final = 1e11  # the year 5138: a larger number is no time in seconds


def timestamp(value: Any) -> float | None:
    """Read a time in any of the platform's forms (8): integer, digits, RFC 3339 with an offset or Z.

    None for anything else, a time without an offset included: guessing its zone would move reply windows.
    """
    if isinstance(value, str) and not value.isdigit():
        try:
            at = datetime.fromisoformat(value)
            seconds = None if at.tzinfo is None else at.timestamp()
        except (ValueError, OverflowError):
            return None
    else:
        seconds = wire.number_of(value)
    return seconds if seconds is not None and 0 < seconds < LATEST_S else None


# --- typed bodies -------------------------------------------------------------------------------------------


def parse_message(name: str, d: bytes | msgspec.Raw) -> InboundMessage | None:
    """Read a message event. None when it is none, or when its body cannot be read. Never raises."""
    kind = _KINDS.get(name, _OTHER)
    body = wire.read(d) if kind.message else None
    if not isinstance(body, dict) or kind.scene is None:
        return None
    text = wire.text_of
    author = _dict(body.get("author"))
    member = _dict(body.get("member"))
    ext = _ext(body.get("message_scene"))
    return InboundMessage(
        text(body.get("id")),
        name,
        kind.scene,
        _conversation(kind.scene, body, author) or "",
        markup.read(text(body.get("content")), name, body.get("mentions")),
        Sender(
            text(author.get("user_openid")) or text(author.get("member_openid")) or text(author.get("id")),
            text(member.get("nick")) or text(author.get("username")),
            text(author.get("member_role")),
            _yes(author.get("bot")),
        ),
        tuple(_attachment(one) for one in _list(body.get("attachments")) if isinstance(one, dict)),
        _quoted(body, name),
        ext.get("msg_idx", ""),
        ext.get("ref_msg_idx", ""),
        timestamp(body.get("timestamp")),
        body,
    )


QUOTE: Final = 103  # message_type (9.1)


def _quoted(body: dict[str, Any], name: str) -> str:
    elements = _list(body.get("msg_elements"))
    if wire.integer(body.get("message_type")) != QUOTE or not elements:
        return ""
    return markup.read(wire.text_of(_dict(elements[0]).get("content")), name, None)


def _ext(scene: Any) -> dict[str, str]:
    """Read the ``key=value`` strings of ``message_scene`` (9.1); values may hold ``=`` themselves."""
    pairs = (one.partition("=") for one in _list(_dict(scene).get("ext")) if isinstance(one, str))
    return {key: value for key, _, value in pairs if key}


def _attachment(one: dict[str, Any]) -> Attachment:
    text = wire.text_of
    return Attachment(
        content_type=text(one.get("content_type")),
        url=_url(text(one.get("voice_wav_url")) or text(one.get("url"))),  # 15.3: rather WAV than SILK
        filename=text(one.get("filename")),
        size=wire.integer(one.get("size")) or 0,
        width=wire.integer(one.get("width")) or 0,
        height=wire.integer(one.get("height")) or 0,
        text=text(one.get("asr_refer_text")),
    )


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def _url(url: str) -> str:
    """Give an address without a scheme one (9.1)."""
    return url if not url or _SCHEME.match(url) else f"https://{url.lstrip('/')}"


def parse(name: str, d: bytes | msgspec.Raw) -> InboundMessage | Relation | Interaction | Audit | Kept:
    """Read any event; what is unknown or surprising is kept raw. Never raises."""
    kind = _KINDS.get(name, _OTHER)
    if kind.message:
        return parse_message(name, d) or Kept(name, wire.read(d), "its body cannot be read")
    body = wire.read(d)
    if not isinstance(body, dict):
        return Kept(name, body, "its body is no object")
    text = wire.text_of
    scene = kind.scene or _scene(body)
    conversation = _conversation(scene, body, {})
    at = _time_of(body)
    if kind.turn in {_RELATION, _MEMBERS} and scene and conversation:
        return Relation(
            name,
            scene,
            conversation,
            text(body.get("op_member_openid")),
            text(body.get("member_openid")),
            at,
            body,
        )
    if name == INTERACTION and text(body.get("id")):
        clicked = _dict(_dict(body.get("data")).get("resolved"))
        return Interaction(
            text(body.get("id")),
            _pressed(body),
            scene or "",
            conversation or "",
            text(body.get("group_member_openid")) or text(body.get("user_openid")) or text(clicked.get("user_id")),
            text(clicked.get("button_id")),
            text(clicked.get("button_data")) or text(clicked.get("feature_id")),
            text(clicked.get("message_id")),
            at,
            body,
        )
    if name in {"MESSAGE_AUDIT_PASS", "MESSAGE_AUDIT_REJECT"}:
        return Audit(
            name == "MESSAGE_AUDIT_PASS",
            text(body.get("audit_id")),
            text(body.get("message_id")),
            scene,
            conversation,
            at,
            body,
        )
    return Kept(name, body, "an id is missing" if name in _KINDS else "nobody here knows this event")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
