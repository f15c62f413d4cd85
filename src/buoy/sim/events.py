"""Event bodies of protocol.md 9, as the platform sends them, with switches for what varies. Pure."""

from __future__ import annotations

import base64
import html
from typing import Any, Final

import msgspec

from buoy.sim import settings
from buoy.sim.world import Anchor, Bot, World


class Speech(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody says something. ``user`` and ``room`` are the n-th one, or an id of their own."""

    text: str
    user: int | str = 0
    scene: str = "c2c"
    room: int | str = 0
    """The n-th group or channel; c2c has none."""
    bot: str | None = None
    at: bool = True
    """group, channel: the bot is mentioned."""
    everyone: bool = False
    """group: @everyone instead of the bot."""
    full: bool | None = None
    """group: full mode (GROUP_MESSAGE_CREATE); channel: MESSAGE_CREATE. None: as the group is set."""
    both: bool = False
    """group, channel: both events, same `d.id` (9.4)."""
    bare: bool = False
    """Optional fields are missing."""
    int_time: bool = False
    """`timestamp` is integer unix seconds (8)."""
    no_time: bool = False
    from_bot: bool = False
    """The author is another bot."""
    quote: str | None = None
    """Text of an earlier message that this one quotes (message_type 103)."""
    quote_ref: str = "REFIDX_BOT0001=="
    attachments: list[dict[str, Any]] = []
    message_id: str | None = None
    extra: dict[str, Any] = {}
    """Laid over the body at the end."""

    def __post_init__(self) -> None:
        """Refuse scenes that do not exist."""
        if self.scene not in settings.WINDOW_S:
            raise ValueError(f"scene {self.scene!r} is unknown; use one of {', '.join(settings.WINDOW_S)}")


class Said(msgspec.Struct):
    """What came of it: the message's id, who said it where, and how many sessions took the event."""

    id: str
    user: str
    target: str
    heard: int


def say(world: World, speech: Speech, now: float) -> Said:
    """Build the event or events of a message and dispatch them."""
    bot = world.bot(speech.bot)
    ident = speech.message_id or world.message_id(speech.scene)
    build = {"c2c": _c2c, "group": _group, "channel": _channel, "dm": _dm}[speech.scene]
    user, target, guild, events = build(world, bot, speech, ident, now)
    relation = world.relation(bot, speech.scene, target, guild)
    relation.last_spoke = now
    relation.woken.clear()
    heard = 0
    for kind, body in events:
        d = body
        if speech.bare:
            for name in _OPTIONAL:
                d.pop(name, None)
            author = d["author"]
            d["author"] = {k: author[k] for k in ("user_openid", "member_openid") if k in author} or author
        if speech.int_time:
            d["timestamp"] = int(world.wall(now))
        if speech.no_time:
            del d["timestamp"]
        d |= speech.extra
        anchor = Anchor(ident, kind, speech.scene, target, now)
        shard_of = guild if speech.scene == "channel" else None
        heard += world.emit(bot, kind, d, now, anchor=anchor, shard_of=shard_of)
    return Said(ident, user, target, heard)


_OPTIONAL: Final = ("message_type", "message_scene", "attachments", "mentions", "group_id", "member", "seq")
_Built = tuple[str, str, str, list[tuple[str, dict[str, Any]]]]


def _common(world: World, speech: Speech, ident: str, now: float) -> dict[str, Any]:
    ref = base64.b64encode(ident[-12:].encode()).decode()
    ext = [f"msg_idx=REFIDX_{ref}"]
    d: dict[str, Any] = {
        "id": ident,
        "timestamp": world.stamp(now),
        "content": speech.text,
        "message_type": 0,
    }
    if speech.quote is not None:
        ext.insert(0, f"ref_msg_idx={speech.quote_ref}")
        d["message_type"] = 103
        d["msg_elements"] = [
            {
                "msg_idx": speech.quote_ref,
                "message_type": 0,
                "content": speech.quote,
                "author": {"username": "simbot", "bot": True},
            }
        ]
    d["message_scene"] = {"source": "default", "ext": ext}
    d["attachments"] = speech.attachments
    return d


def _c2c(world: World, bot: Bot, speech: Speech, ident: str, now: float) -> _Built:
    user = world.openid(bot, "user", speech.user)
    d = _common(world, speech, ident, now)
    d["message_scene"]["ext"].insert(0, "")
    d["author"] = {"id": user, "user_openid": user, "union_openid": user}
    if speech.from_bot:
        d["author"]["bot"] = True
    return user, user, "", [("C2C_MESSAGE_CREATE", d)]


def _group(world: World, bot: Bot, speech: Speech, ident: str, now: float) -> _Built:
    group = world.openid(bot, "group", speech.room)
    member = world.openid(bot, f"group/{group}/member", speech.user)
    d = _common(world, speech, ident, now)
    d |= {
        "group_openid": group,
        "group_id": group,
        "author": {
            "id": member,
            "member_openid": member,
            "member_role": "member",
            "bot": speech.from_bot,
            "username": f"user {speech.user}"[:40],
        },
    }
    called: dict[str, Any] = d | {"content": f" {speech.text} ", "mentions": []}
    me = world.openid(bot, f"group/{group}/member", -1)
    mention: list[dict[str, Any]] = []
    text = speech.text
    if speech.everyone:
        mention = [{"scope": "all", "is_you": True, "username": "everyone"}]
    elif speech.at:
        text = f"<@{me}> {speech.text}"
        mention = [
            {
                "scope": "single",
                "id": me,
                "member_openid": me,
                "is_you": True,
                "bot": True,
                "username": bot.name,
            }
        ]
    whole = d | {"content": text, "mentions": mention}
    full = world.relation(bot, "group", group).receives_all if speech.full is None else speech.full
    events = []
    if full or speech.both:
        events.append(("GROUP_MESSAGE_CREATE", whole))
    if (speech.at and not full) or speech.both:
        events.append(("GROUP_AT_MESSAGE_CREATE", called))
    return member, group, "", events


def _guild_body(world: World, bot: Bot, speech: Speech, ident: str, now: float) -> tuple[str, dict[str, Any]]:
    user = world.number(bot, "guild-user", speech.user)
    d: dict[str, Any] = {
        "id": ident,
        "content": html.escape(speech.text, quote=False),
        "timestamp": world.stamp(now),
        "edited_timestamp": None,
        "mention_everyone": False,
        "author": {
            "id": user,
            "username": f"user {speech.user}"[:40],
            "avatar": "https://sim.invalid/a.png",
            "bot": speech.from_bot,
        },
        "member": {"nick": "", "roles": ["1"], "joined_at": "2024-01-01T00:00:00+08:00"},
        "mentions": [],
        "attachments": speech.attachments,
        "embeds": [],
        "seq": 27,
        "seq_in_channel": "27",
    }
    return user, d


def _channel(world: World, bot: Bot, speech: Speech, ident: str, now: float) -> _Built:
    channel = world.number(bot, "channel", speech.room, 8)
    guild = world.number(bot, "guild", 0)
    user, d = _guild_body(world, bot, speech, ident, now)
    d |= {"channel_id": channel, "guild_id": guild}
    if speech.at:
        d["content"] = f"<@!{bot.user_id}> {d['content']}"
        d["mentions"] = [{"id": bot.user_id, "username": bot.name, "bot": True}]
    if speech.everyone:
        d["mention_everyone"] = True
    events = []
    if speech.full or speech.both:
        events.append(("MESSAGE_CREATE", dict(d)))
    if (speech.at and not speech.full) or speech.both:
        events.append(("AT_MESSAGE_CREATE", dict(d)))
    return user, channel, guild, events


def _dm(world: World, bot: Bot, speech: Speech, ident: str, now: float) -> _Built:
    user, d = _guild_body(world, bot, speech, ident, now)
    guild = world.number(bot, f"dm/{user}", 0)
    channel = world.number(bot, f"dmc/{user}", 0, 7)
    d |= {
        "guild_id": guild,
        "channel_id": channel,
        "direct_message": True,
        "src_guild_id": world.number(bot, "guild", 0),
    }
    return user, guild, channel, [("DIRECT_MESSAGE_CREATE", d)]


class Meeting(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a bot and a target are to each other; None leaves it as it is."""

    scene: str = "c2c"
    which: int | str = 0
    bot: str | None = None
    friend: bool | None = None
    proactive: bool | None = None
    muted: bool | None = None
    receives_all: bool | None = None


def meet(world: World, meeting: Meeting) -> str:
    """Make a target known to a bot, as it would be after a message; returns its id."""
    bot = world.bot(meeting.bot)
    which, guild = meeting.which, ""
    if meeting.scene == "channel":
        target, guild = world.number(bot, "channel", which, 8), world.number(bot, "guild", 0)
    elif meeting.scene == "dm":
        user = world.number(bot, "guild-user", which)
        target, guild = world.number(bot, f"dm/{user}", 0), world.number(bot, f"dmc/{user}", 0, 7)
    elif meeting.scene in {"c2c", "group"}:
        target = world.openid(bot, "user" if meeting.scene == "c2c" else "group", which)
    else:
        raise ValueError(f"scene {meeting.scene!r} is unknown; use one of {', '.join(settings.WINDOW_S)}")
    relation = world.relation(bot, meeting.scene, target, guild)
    for fact in ("friend", "proactive", "muted", "receives_all"):
        value = getattr(meeting, fact)
        if value is not None:
            setattr(relation, fact, value)
    return target


class Happening(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something other than a message: a relation changes, a button is clicked, or any event at all."""

    type: str
    user: int | str = 0
    room: int | str = 0
    scene: str = "c2c"
    """INTERACTION_CREATE: where the button was."""
    bot: str | None = None
    button_id: str = "b1"
    button_data: str = ""
    kind: int = 11
    """INTERACTION_CREATE: 11 a button, 12 a quick menu; others ask for no acknowledgement (9.7)."""
    message: str = ""
    """INTERACTION_CREATE in guilds: the message that the button belongs to."""
    rfc_time: bool = False
    """Relation events: RFC 3339 with Z instead of unix seconds (8)."""
    d: Any = None
    """The whole body, instead of the one that would be built."""
    extra: dict[str, Any] = {}


_FRIEND: Final = {"FRIEND_ADD": True, "FRIEND_DEL": False}
_SWITCH: Final = {"C2C_MSG_RECEIVE": True, "C2C_MSG_REJECT": False}
_GROUP_MEMBER: Final = {"GROUP_ADD_ROBOT": True, "GROUP_DEL_ROBOT": False}
_GROUP_SWITCH: Final = {"GROUP_MSG_RECEIVE": True, "GROUP_MSG_REJECT": False}


def happen(world: World, what: Happening, now: float) -> Said:
    """Build the event, change the relation it tells about, and dispatch it (9.5-9.7)."""
    bot = world.bot(what.bot)
    kind = what.type
    user = world.openid(bot, "user", what.user)
    group = world.openid(bot, "group", what.room)
    member = world.openid(bot, f"group/{group}/member", what.user)
    stamp: int | str = int(world.wall(now))
    if what.rfc_time:
        stamp = world.stamp(now - settings.BEIJING_S)[:19] + "Z"
    scene, target, event_id = "c2c", user, world.event_id(kind)
    d: dict[str, Any] = {"timestamp": stamp}
    if kind in _FRIEND or kind in _SWITCH:
        d |= {"openid": user}
        relation = world.relation(bot, "c2c", user)
        if kind in _FRIEND:
            d |= {"author": {"union_openid": user}}
            relation.friend = _FRIEND[kind]
        else:
            relation.proactive = _SWITCH[kind]
        if kind == "FRIEND_ADD":
            d |= {"scene": 1001, "scene_param": ""}
    elif kind in _GROUP_MEMBER or kind in _GROUP_SWITCH:
        scene, target = "group", group
        d |= {"group_openid": group, "op_member_openid": member}
        relation = world.relation(bot, "group", group)
        if kind in _GROUP_MEMBER:
            relation.friend = _GROUP_MEMBER[kind]
        else:
            relation.proactive = _GROUP_SWITCH[kind]
    elif kind in {"GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE"}:
        scene, target = "group", group
        d |= {"group_openid": group, "member_openid": member, "user_openid": user}
    elif kind == "INTERACTION_CREATE":
        ident = event_id.partition(":")[2]
        bot.interactions[ident] = now
        scene = what.scene
        target = place(world, bot, scene, what.user, what.room)
        user = person(world, bot, scene, target, what.user)
        relation = world.relation(bot, scene, target)
        d = _interaction(world, bot, what, ident, now)
        if scene == "c2c":
            d |= {"user_openid": user}
        elif scene == "group":
            d |= {"group_openid": target, "group_member_openid": user}
        else:
            guild, channel = (relation.guild, target) if scene == "channel" else (target, relation.guild)
            d |= {"guild_id": guild, "channel_id": channel}
            d["data"]["resolved"] |= {"user_id": user, "message_id": what.message}
    elif what.d is None:
        raise ValueError(f"event {kind!r} has no built-in body; give it in `d`")
    body = d | what.extra if what.d is None else what.d
    anchor = Anchor(event_id, kind, scene, target, now, is_message=False)
    heard = world.emit(bot, kind, body, now, anchor=anchor, event_id=event_id)
    return Said(event_id, user, target, heard)


def place(world: World, bot: Bot, scene: str, user: int | str, room: int | str) -> str:
    """Return the id of a conversation: of the n-th room, or with the n-th user; ``room`` may name a DM, too."""
    if scene == "channel":
        return world.number(bot, "channel", room, 8)
    if scene == "dm":
        return room if isinstance(room, str) else world.number(bot, f"dm/{person(world, bot, scene, '', user)}", 0)
    return world.openid(bot, "group", room) if scene == "group" else world.openid(bot, "user", user)


def person(world: World, bot: Bot, scene: str, target: str, which: int | str) -> str:
    """Return the id that the n-th user has in a conversation."""
    if scene == "c2c":
        return world.openid(bot, "user", which)
    if scene == "group":
        return world.openid(bot, f"group/{target}/member", which)
    return world.number(bot, "guild-user", which)


def _interaction(world: World, bot: Bot, what: Happening, ident: str, now: float) -> dict[str, Any]:
    return {
        "id": ident,
        "type": what.kind,
        "scene": what.scene if what.scene in {"c2c", "group"} else "guild",
        "chat_type": {"c2c": 2, "group": 1}.get(what.scene, 0),
        "timestamp": world.stamp(now),
        "application_id": bot.app_id,
        "version": 1,
        "data": {"type": what.kind, "resolved": {"button_id": what.button_id, "button_data": what.button_data}},
    }
