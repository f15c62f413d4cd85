"""The checks that the platform makes on a send, in its order: request in, status and body out. Pure.

Sources: protocol.md 10 (bodies), 11 (anchors, quotas), 18 (rates), 20 (which code for which check).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from buoy.sim import settings
from buoy.sim.content import Content, Refusal, check_guild, check_v2, is_whole, no
from buoy.sim.world import Anchor, Bot, Delivered, Relation, World

if TYPE_CHECKING:
    from buoy.sim.settings import Bucket

_OPENID: Final = re.compile(r"[0-9A-F]{32}")


class Accepted(NamedTuple):
    """A good answer."""

    body: bytes
    status: int = 200


def send(world: World, bot: Bot, scene: str, target: str, body: bytes, now: float) -> Accepted | Refusal:
    """Check one send, deliver it if it passes, and answer."""
    refusal = _rate(world, bot, scene, target, now)
    if refusal is not None:
        return refusal
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        fields = None
    if not isinstance(fields, dict):
        return no(12002, "request body is not a JSON object")
    relation = find_target(world, bot, scene, target)
    if isinstance(relation, Refusal):
        return relation
    content = check_v2(world, bot, scene, fields, now) if scene in {"c2c", "group"} else check_guild(world, bot, fields)
    if isinstance(content, Refusal):
        return content
    if scene == "channel" and not any(True for _ in world.live(bot)):
        return no(304018, "bot has no gateway session")
    grant = _permission(world, bot, scene, target, relation, fields, now)
    if isinstance(grant, Refusal):
        return grant
    return _deliver(world, bot, scene, target, content, grant, fields, now)


# --- who, and how often -------------------------------------------------------------------------------


def _rate(world: World, bot: Bot, scene: str, target: str, now: float) -> Refusal | None:
    """Interface limits (18)."""
    if not world.settings.limits:
        return None
    if not bot.bucket(f"send/{scene}", settings.SENDS_PER_S[scene]).take(now):
        return no(100017, "frequency limit", status=429, err_code=40023001)
    if scene == "channel":
        relation = bot.relations.get((scene, target))
        if relation is not None and not relation.writes.take(now):
            return no(20028, "channel write frequency limit", status=429)
    return None


def find_target(world: World, bot: Bot, scene: str, target: str) -> Relation | Refusal:
    """Openid, friendship, membership (1, 20)."""
    absent = no(11255, "target does not exist", err_code=40011028)
    relation = bot.relations.get((scene, target))
    if world.settings.check_ids:
        shape_is_right = _OPENID.fullmatch(target) if scene in {"c2c", "group"} else target.isdigit()
        if relation is None or not shape_is_right:
            return absent
    if relation is None:
        relation = world.relation(bot, scene, target)
    if not relation.friend:
        if scene == "c2c":
            return no(40054004, "no friend relation")
        return no(40034101, "bot is not in the group") if scene == "group" else absent
    if relation.muted:
        return no(40054002, "bot is muted in the group")
    return relation


# --- with what right ----------------------------------------------------------------------------------


class Grant(NamedTuple):
    """Why the message may be sent: as a reply to an anchor, or without one."""

    anchor: Anchor | None
    seq: int | None


def _permission(
    world: World, bot: Bot, scene: str, target: str, relation: Relation, fields: dict[str, Any], now: float
) -> Grant | Refusal:
    msg_id, event_id = fields.get("msg_id") or None, fields.get("event_id") or None
    if fields.get("is_wakeup") is True:
        if scene != "c2c" or msg_id or event_id:
            return no(40034123, "wake-up not supported")
        return _wake_up(world, relation, now)
    if msg_id is None and event_id is None:
        refusal = _proactive(world, bot, scene, target, relation, now)
        return refusal or Grant(None, None)
    if msg_id is not None and event_id is not None:
        world.counters["both_anchors"] += 1
    return _passive(world, bot, scene, target, msg_id, event_id, fields.get("msg_seq"), now)


def _passive(
    world: World,
    bot: Bot,
    scene: str,
    target: str,
    msg_id: object,
    event_id: object,
    seq: object,
    now: float,
) -> Grant | Refusal:
    """Anchor, window, duplicate, budget (11.1). A duplicate is told before a spent budget (10.4)."""
    by_message = msg_id is not None
    ident = msg_id if by_message else event_id
    anchor = bot.anchors.get(ident) if isinstance(ident, str) else None
    guild = scene in {"channel", "dm"}
    if anchor is not None and not by_message and not anchor.repliable:
        return no(40034027, "this event cannot be replied to")
    if anchor is None or anchor.is_message is not by_message or (anchor.scene, anchor.target) != (scene, target):
        return no((304026 if guild else 40034024) if by_message else 40034025, "anchor invalid")
    if now - anchor.at > settings.WINDOW_S[scene]:
        return no((304027 if guild else 40034005) if by_message else 40034026, "anchor expired")
    if guild:
        return Grant(anchor, None)
    number = 1 if seq is None else seq
    if not is_whole(number) or not 0 <= number < 2**32:
        return no(12002, "msg_seq is not a uint32")
    if number in anchor.seqs:
        world.counters["duplicates_refused"] += 1
        return no(40054005, "same msg_id and msg_seq sent before")
    budget = settings.BUDGET[scene]
    if budget is not None and anchor.used >= budget and not world.settings.relaxed:
        return no(40034128, "reply count exceeded")
    return Grant(anchor, number)


def _wake_up(world: World, relation: Relation, now: float) -> Grant | Refusal:
    """One message per period since the user last spoke (11.4)."""
    if relation.last_spoke is None:
        return no(40034123, "wake-up not supported")
    days = _day(world, now) - _day(world, relation.last_spoke)
    period = next((n for n, end in enumerate(settings.WAKE_UP_DAYS) if days < end), None)
    if period is None or period in relation.woken:
        return no(40034122, "wake-up message already used in this period")
    relation.woken.add(period)
    return Grant(None, None)


def _proactive(world: World, bot: Bot, scene: str, target: str, relation: Relation, now: float) -> Refusal | None:
    """Permission, then quotas (11.2, 11.3). Group proactive is refused by default, as seen live."""
    denied = {"c2c": 40034102, "group": 40034105, "channel": 304046, "dm": 304049}[scene]
    if not bot.proactive[scene] or world.faults.take("no_proactive", bot.app_id, "send", scene) is not None:
        return no(denied, "proactive message refused")
    if not relation.proactive:
        return no(40054013 if scene == "c2c" else denied, "recipient refuses proactive messages")
    if not world.settings.limits:
        return None
    if scene in {"channel", "dm"}:
        return _guild_quota(world, bot, scene, target, relation, now)
    buckets: list[Bucket] = [relation.per_min]
    if scene == "c2c":
        buckets.append(bot.bucket("proactive/s", settings.C2C_PROACTIVE_PER_S[bot.certified]))
        per_min = settings.C2C_PROACTIVE_PER_MIN[bot.certified]
    else:
        per_min = settings.GROUP_PROACTIVE_PER_MIN[bot.certified]
    buckets.append(bot.bucket(f"proactive/{scene}", per_min / 60, per_min))
    day = (_day(world, now), scene, target)
    if bot.quota[day] >= settings.RELATION_PROACTIVE_PER_DAY or not all(b.take(now) for b in buckets):
        return no(40034100, "proactive frequency limit", status=429)
    bot.quota[day] += 1
    return None


def _guild_quota(world: World, bot: Bot, scene: str, target: str, relation: Relation, now: float) -> Refusal | None:
    today = _day(world, now)
    used = bot.quota
    if scene == "dm":
        if used[today, scene, target] >= settings.DM_PROACTIVE_PER_USER_PER_DAY:
            return no(304049, "direct message quota of this user used up")
        if used[today, scene] >= settings.DM_PROACTIVE_PER_DAY:
            return no(304050, "direct message quota used up")
        used[today, scene] += 1
    else:
        if used[today, scene, target] >= settings.CHANNEL_PROACTIVE_PER_DAY:
            return no(304045, "channel quota used up")
        if used[today, scene, target] == 0:
            if used[today, "guild", relation.guild] >= settings.CHANNELS_PER_GUILD_PER_DAY:
                return no(304047, "too many channels today")
            used[today, "guild", relation.guild] += 1
    used[today, scene, target] += 1
    return None


# --- done ---------------------------------------------------------------------------------------------


def _deliver(
    world: World,
    bot: Bot,
    scene: str,
    target: str,
    content: Content,
    grant: Grant,
    fields: dict[str, Any],
    now: float,
) -> Accepted | Refusal:
    anchor = grant.anchor
    if anchor is not None:
        anchor.used += 1
        if grant.seq is not None:
            anchor.seqs.add(grant.seq)
    quote = fields.get("message_reference")
    message = Delivered(
        id=world.message_id(scene),
        bot=bot.app_id,
        scene=scene,
        target=target,
        text=content.text,
        anchor=anchor.id if anchor else None,
        msg_seq=grant.seq,
        at=now,
        proactive=anchor is None,
        msg_type=content.msg_type,
        quote=quote.get("message_id") if isinstance(quote, dict) else None,
    )
    message.keyboard = content.keyboard
    if content.file is not None:
        message.file_name, message.file_text = content.file.name, content.file.text
    message.ref_idx = f"REFIDX_{message.id[-16:].rstrip('!')}=="
    if scene in {"channel", "dm"}:
        fault = world.faults.take("audit", bot.app_id, "send", scene)
        if fault is not None:
            return _audit(world, bot, message, fault.mode, fault.seconds, now)
        world.deliver(message)
        return Accepted(msgspec.json.encode(_guild_message(world, bot, message, now)))
    world.deliver(message)
    stamp = b"%d" % int(world.wall(now)) if world.settings.int_timestamps else b'"%s"' % world.stamp(now).encode()
    ident = message.id.encode()
    if not world.settings.ref_idx:
        return Accepted(b'{"id":"%s","timestamp":%s}' % (ident, stamp))
    ref = message.ref_idx.encode()
    return Accepted(b'{"id":"%s","timestamp":%s,"ext_info":{"ref_idx":"%s"}}' % (ident, stamp, ref))


def _guild_message(world: World, bot: Bot, message: Delivered, now: float) -> dict[str, Any]:
    relation = world.relation(bot, message.scene, message.target)
    return {
        "id": message.id,
        "channel_id": message.target if message.scene == "channel" else relation.guild,
        "guild_id": relation.guild if message.scene == "channel" else message.target,
        "content": message.text,
        "timestamp": world.stamp(now),
        "tts": False,
        "mention_everyone": False,
        "author": {"id": bot.user_id, "username": bot.name, "avatar": "", "bot": True},
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        "flags": 0,
        "seq_in_channel": str(len(world.delivered)),
    }


def _audit(world: World, bot: Bot, message: Delivered, verdict: str, seconds: float, now: float) -> Accepted:
    """Answer 202 and let the verdict come as an event (3.4, 9.10)."""
    audit_id = f"a{world.trace()[:12]}"

    def decide(later: float) -> None:
        passed = verdict == "pass"
        d: dict[str, Any] = {
            "audit_id": audit_id,
            "guild_id": world.relation(bot, message.scene, message.target).guild,
            "channel_id": message.target,
            "audit_time": world.stamp(later),
            "create_time": world.stamp(now),
        }
        if passed:
            world.deliver(message)
            d |= {"message_id": message.id, "seq_in_channel": str(len(world.delivered))}
        world.emit(bot, "MESSAGE_AUDIT_PASS" if passed else "MESSAGE_AUDIT_REJECT", d, later)

    if verdict != "never":
        world.at(now + seconds, decide)
    body = {
        "code": 304023 if message.proactive else 304024,
        "message": "message is waiting for audit now",
        "data": {"message_audit": {"audit_id": audit_id}},
    }
    return Accepted(msgspec.json.encode(body), 202)


def _day(world: World, now: float) -> int:
    return int((world.wall(now) + settings.BEIJING_S) // settings.DAY_S)
