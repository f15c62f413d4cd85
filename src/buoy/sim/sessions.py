"""Sessions of the simulated gateway: sequence numbers, who hears what, and the buffer for RESUME."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from buoy.protocol.wire import Intent

if TYPE_CHECKING:
    from buoy.sim.peer import Peer
    from buoy.sim.world import Bot, World

# 6.4: which intent an event needs.
_EVENTS = {
    Intent.GUILDS: "GUILD_CREATE GUILD_UPDATE GUILD_DELETE CHANNEL_CREATE CHANNEL_UPDATE CHANNEL_DELETE",
    Intent.GUILD_MEMBERS: "GUILD_MEMBER_ADD GUILD_MEMBER_UPDATE GUILD_MEMBER_REMOVE",
    Intent.GUILD_MESSAGES: "MESSAGE_CREATE MESSAGE_DELETE",
    Intent.GUILD_MESSAGE_REACTIONS: "MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE",
    Intent.DIRECT_MESSAGE: "DIRECT_MESSAGE_CREATE DIRECT_MESSAGE_DELETE",
    Intent.OPEN_FORUM_EVENT: """OPEN_FORUM_THREAD_CREATE OPEN_FORUM_THREAD_UPDATE OPEN_FORUM_THREAD_DELETE
        OPEN_FORUM_POST_CREATE OPEN_FORUM_POST_DELETE OPEN_FORUM_REPLY_CREATE OPEN_FORUM_REPLY_DELETE""",
    Intent.AUDIO_OR_LIVE_CHANNEL_MEMBER: """AUDIO_OR_LIVE_CHANNEL_MEMBER_ENTER
        AUDIO_OR_LIVE_CHANNEL_MEMBER_EXIT""",
    Intent.ENTER_AIO: "ENTER_AIO",
    Intent.GROUP_MEMBER_EVENT: "GROUP_MEMBER_ADD GROUP_MEMBER_REMOVE GROUP_JOIN_REQUEST",
    Intent.GROUP_AND_C2C_EVENT: """C2C_MESSAGE_CREATE GROUP_AT_MESSAGE_CREATE GROUP_MESSAGE_CREATE
        FRIEND_ADD FRIEND_DEL C2C_MSG_REJECT C2C_MSG_RECEIVE GROUP_ADD_ROBOT GROUP_DEL_ROBOT
        GROUP_MSG_REJECT GROUP_MSG_RECEIVE SUBSCRIBE_MESSAGE_STATUS""",
    Intent.INTERACTION: "INTERACTION_CREATE",
    Intent.MESSAGE_AUDIT: "MESSAGE_AUDIT_PASS MESSAGE_AUDIT_REJECT",
    Intent.FORUMS_EVENT: """FORUM_THREAD_CREATE FORUM_THREAD_UPDATE FORUM_THREAD_DELETE
        FORUM_POST_CREATE FORUM_POST_DELETE FORUM_REPLY_CREATE FORUM_REPLY_DELETE
        FORUM_PUBLISH_AUDIT_RESULT""",
    Intent.AUDIO_ACTION: "AUDIO_START AUDIO_FINISH AUDIO_ON_MIC AUDIO_OFF_MIC",
    Intent.PUBLIC_GUILD_MESSAGES: "AT_MESSAGE_CREATE PUBLIC_MESSAGE_DELETE",
}
INTENT_OF: dict[str, int] = {name: int(bit) for bit, names in _EVENTS.items() for name in names.split()}
_MEMBER_EVENTS = frozenset(_EVENTS[Intent.GROUP_MEMBER_EVENT].split())


class Session:
    """What READY names: id, sequence, and the newest dispatches."""

    __slots__ = (
        "bot",
        "buffer",
        "deaf",
        "gone_at",
        "id",
        "intents",
        "peers",
        "replayable_from",
        "s",
        "shard",
    )

    def __init__(self, ident: str, bot: Bot, intents: int, shard: tuple[int, int], buffer: int) -> None:
        self.id = ident
        self.bot = bot
        self.intents = intents
        self.shard = shard
        self.s = 0
        self.buffer: deque[tuple[int, bytes]] = deque(maxlen=buffer)
        self.replayable_from = 0
        """Everything after this sequence is still in the buffer."""
        self.peers: list[Peer] = []
        self.gone_at: float | None = None
        self.deaf = False

    def frame(self, kind: str, d: bytes, ident: str | None = None, *, keep: bool = True) -> bytes:
        """Number a dispatch and keep it. ``kind`` and ``ident`` need no escape."""
        self.s += 1
        head = b'{"op":0,"s":%d,"t":"%s"' % (self.s, kind.encode())
        frame = b'%s,"id":"%s","d":%s}' % (head, ident.encode(), d) if ident else b'%s,"d":%s}' % (head, d)
        if keep:
            if len(self.buffer) == self.buffer.maxlen:
                self.replayable_from = self.buffer[0][0]
            self.buffer.append((self.s, frame))
        return frame

    def after(self, seq: int) -> list[bytes] | None:
        """Return the frames with a sequence above ``seq``, or None where the buffer does not reach back."""
        if seq < self.replayable_from:
            return None
        return [frame for s, frame in self.buffer if s > seq]


class Sessions:
    """Every session that is live or may still be resumed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: dict[str, Session] = {}

    def open(self, bot: Bot, intents: int, shard: tuple[int, int]) -> Session:
        """Make a session for an accepted IDENTIFY."""
        ident = str(uuid.UUID(int=self._world.random.getrandbits(128), version=4))
        session = Session(ident, bot, intents, shard, self._world.settings.resume_buffer)
        self._all[ident] = session
        return session

    def find(self, ident: str, now: float) -> Session | None:
        """Return a session that is live or resumable."""
        self._forget_expired(now)
        return self._all.get(ident)

    def of(self, bot: Bot | None = None) -> list[Session]:
        """Return the sessions of a bot, or all."""
        return [s for s in self._all.values() if bot is None or s.bot is bot]

    def listening(self, bot: Bot, kind: str, now: float) -> bool:
        """Tell whether some session would take an event of this kind."""
        self._forget_expired(now)
        return any(self._wants(s, kind) and not s.deaf for s in self._all.values() if s.bot is bot)

    def drop(self, session: Session) -> None:
        """Forget a session; its connections stay up and hear nothing more."""
        self._all.pop(session.id, None)
        for peer in session.peers:
            peer.session = None
        session.peers.clear()

    def dispatch(self, bot: Bot, kind: str, d: Any, ident: str, now: float, shard_of: str | None) -> int:
        """Number the event in each session that wants it, keep it, and send it where there is a socket."""
        self._forget_expired(now)
        world = self._world
        copies = 1
        deaf = False
        if world.faults.active:
            fault = world.faults.on("deaf_session", bot.app_id)
            deaf = (fault is not None and fault.mode == "all") or world.faults.on("sandbox", bot.app_id) is not None
            if world.faults.take("duplicate_events", bot.app_id) is not None:
                copies = 2
        body = msgspec.json.encode(d)
        heard = 0
        for session in self._all.values():
            if session.bot is not bot or not self._wants(session, kind):
                continue
            if _shard(shard_of, session.shard[1]) != session.shard[0]:
                continue
            if deaf or session.deaf:
                world.counters["events_lost_deaf"] += 1
                continue
            heard += 1
            for _ in range(copies):
                frame = session.frame(kind, body, ident)
                for peer in session.peers:
                    peer.push(frame)
        world.counters["events"] += 1
        return heard

    def _wants(self, session: Session, kind: str) -> bool:
        mask = INTENT_OF.get(kind)
        if mask is None:
            return True  # unknown events go to everybody, so that clients meet them
        if kind in _MEMBER_EVENTS and not self._world.settings.strict_member_intent:
            mask |= Intent.GROUP_AND_C2C_EVENT
        return bool(session.intents & mask)

    def _forget_expired(self, now: float) -> None:
        keep = self._world.settings.resume_s
        gone = [s for s in self._all.values() if s.gone_at is not None and now - s.gone_at > keep]
        for session in gone:
            del self._all[session.id]


def _shard(guild_id: str | None, shards: int) -> int:
    """Return the shard of an event (6.8); what belongs to no guild goes to shard 0."""
    if guild_id is None or not guild_id.isdigit():
        return 0
    return (int(guild_id) >> 22) % shards
