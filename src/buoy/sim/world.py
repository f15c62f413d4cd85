"""The state of the simulated platform: bots, people, rooms, tokens, anchors, and what was delivered.

No asyncio and no clock: ``now`` (wall seconds) is an argument everywhere. What has to happen later stands in
the agenda; the owner of the clock calls :meth:`World.run_due`.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from buoy.protocol.wire import Intent
from buoy.sim import settings
from buoy.sim.faults import Faults
from buoy.sim.keyboards import Rows
from buoy.sim.sessions import Session, Sessions
from buoy.sim.settings import Bucket, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Anchor(msgspec.Struct):
    """Something that may be replied to: a message, or an event."""

    id: str
    type: str
    scene: str
    target: str
    at: float
    repliable: bool = True
    is_message: bool = True
    used: int = 0
    seqs: set[int] = msgspec.field(default_factory=set)


class Upload(msgspec.Struct):
    """One file that was handed in (15.1); its ``file_info`` is the key in :attr:`Bot.uploads`."""

    kind: int
    """file_type: 1 image, 2 video, 3 voice, 4 file."""
    name: str
    data: bytes
    scene: str = ""
    until: float | None = None
    """None: for ever."""

    @property
    def text(self) -> str:
        """What a reader sees who opens a file; pictures and sounds have no text."""
        return self.data.decode(errors="replace") if self.kind == 4 else ""


class Delivered(msgspec.Struct):
    """One message that the platform accepted and showed."""

    id: str
    bot: str
    scene: str
    target: str
    text: str
    anchor: str | None
    msg_seq: int | None
    at: float
    proactive: bool
    msg_type: int = 0
    quote: str | None = None
    ref_idx: str = ""
    file_name: str = ""
    file_text: str = ""
    """What stands in the file that the message shows."""
    keyboard: Rows = msgspec.field(default_factory=list)
    """The buttons below it."""

    @property
    def shown(self) -> str:
        """All the text that reaches the reader: of the message, or of the file in it."""
        return self.file_text or self.text


class Relation(msgspec.Struct):
    """What a bot and one user, group or channel are to each other."""

    friend: bool = True
    """c2c: friends; group: the bot is a member."""
    proactive: bool = True
    """False: the user, or the group's admin, switched proactive messages off."""
    muted: bool = False
    receives_all: bool = False
    """group: full mode (9.4)."""
    guild: str = ""
    last_spoke: float | None = None
    woken: set[int] = msgspec.field(default_factory=set)
    """c2c: wake-up periods used since the user last spoke (11.4)."""
    per_min: Bucket = msgspec.field(
        default_factory=lambda: Bucket(settings.RELATION_PROACTIVE_PER_MIN / 60, settings.RELATION_PROACTIVE_PER_MIN)
    )
    writes: Bucket = msgspec.field(default_factory=lambda: Bucket(settings.CHANNEL_WRITES_PER_S))


class Bot:
    """One bot account."""

    def __init__(self, app_id: str, secret: str, number: int) -> None:
        self.app_id = app_id
        self.secret = secret
        self.user_id = str(7_000_000_000_000_000_001 + number)
        self.name = "simbot" if number == 0 else f"simbot{number}"
        self.allowed_intents = int(sum(Intent))
        self.certified = False
        self.proactive = {"c2c": True, "group": False, "channel": True, "dm": True}
        self.templates = False
        self.keyboards = True
        """False: it may send no buttons of its own (304057)."""
        self.url_hosts: set[str] = set()
        self.token: str | None = None
        self.relations: dict[tuple[str, str], Relation] = {}
        self.anchors: dict[str, Anchor] = {}
        self.uploads: dict[str, Upload] = {}
        """Files handed in, by ``file_info``."""
        self.interactions: dict[str, float] = {}
        """Interactions not acknowledged yet, and when they were sent."""
        self.anchorless: dict[tuple[str, str, str], int] = {}
        self.starts: list[float] = []
        """When IDENTIFYs of the current day came in."""
        self.day_starts_at: float | None = None
        self.buckets: dict[str, Bucket] = {}
        self.quota: Counter[tuple[object, ...]] = Counter()

    def bucket(self, name: str, rate: float, burst: float | None = None) -> Bucket:
        """Return the bot's bucket of that name, made on first use."""
        found = self.buckets.get(name)
        if found is None:
            found = self.buckets[name] = Bucket(rate, burst)
        return found


class World:
    """Everything the platform knows."""

    def __init__(self, knobs: Settings | None = None, seed: int = 0, now: float = 0.0) -> None:
        self.settings = knobs or Settings()
        self.seed = seed
        self.random = random.Random(f"{seed}/{now}")  # noqa: S311  ids, not secrets
        self.bots: dict[str, Bot] = {}
        self.tokens: dict[str, tuple[Bot, float]] = {}
        self.sessions = Sessions(self)
        self.faults = Faults()
        self.counters: Counter[str] = Counter()
        self.delivered: list[Delivered] = []
        self.unheard: set[str] = set()
        """Messages that no session could take: lost at the platform."""
        self.on_delivered: list[Callable[[Delivered], None]] = []
        self.on_change: Callable[[], None] = lambda: None
        self.on_agenda: Callable[[], None] = lambda: None
        self._replies: dict[str, list[Delivered]] = {}
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._serial = 0
        self._tag = f"{self.random.getrandbits(40):010x}"
        self._stamp = (-1, "")
        self._date = (-1, "")

    # --- bots, people, rooms ---------------------------------------------------------------------------

    def add_bot(self, app_id: str, secret: str) -> Bot:
        """Register a bot, or give an existing one a new secret."""
        bot = self.bots.get(app_id)
        if bot is None:
            bot = self.bots[app_id] = Bot(app_id, secret, len(self.bots))
        bot.secret = secret
        return bot

    def bot(self, app_id: str | None = None) -> Bot:
        """Return the bot of that AppID, or the first one.

        Raises:
            ValueError: there is none.
        """
        if app_id is None and self.bots:
            return next(iter(self.bots.values()))
        if app_id is None or app_id not in self.bots:
            raise ValueError(f"bot {app_id!r} is unknown; known are {', '.join(self.bots) or 'none'}")
        return self.bots[app_id]

    def openid(self, bot: Bot, kind: str, which: int | str) -> str:
        """Return the openid of the n-th user or group of a bot; text is taken as it is (1)."""
        if isinstance(which, str):
            return which
        return (
            hashlib.md5(f"{self.seed}/{bot.app_id}/{kind}/{which}".encode(), usedforsecurity=False).hexdigest().upper()
        )

    def number(self, bot: Bot, kind: str, which: int | str, digits: int = 18) -> str:
        """Return the decimal id of the n-th guild, channel or guild member of a bot."""
        if isinstance(which, str):
            return which
        return str(10 ** (digits - 1) + int(self.openid(bot, kind, which), 16) % (10**digits // 2))

    def relation(self, bot: Bot, scene: str, target: str, guild: str = "") -> Relation:
        """Return what the bot and this target are to each other; new ones are friends."""
        found = bot.relations.get((scene, target))
        if found is None:
            found = bot.relations[scene, target] = Relation(guild=guild)
        return found

    # --- ids and times ---------------------------------------------------------------------------------

    def serial(self) -> int:
        """Return the next number of this world."""
        self._serial += 1
        return self._serial

    def message_id(self, scene: str) -> str:
        """Make a message id of the scene's shape (1)."""
        if scene in {"c2c", "group"}:
            return f"ROBOT1.0_{scene[:3]}-{self._tag}.{self.serial():06d}!"
        return f"08{self._tag}{self.serial():08x}"

    def trace(self) -> str:
        """Make a trace id: 32 hex digits (3.3)."""
        return f"{self._tag}{self.serial():022x}"

    def event_id(self, kind: str) -> str:
        """Make the `id` of a delivery (1)."""
        return f"{kind}:{self._tag}{self.serial():x}"

    def wall(self, now: float) -> float:
        """Return the time that the platform believes it is."""
        fault = self.faults.on("clock_skew") if self.faults.active else None
        return now + fault.seconds if fault else now

    def stamp(self, now: float) -> str:
        """Write a time as messages carry it: RFC 3339 with +08:00 (8)."""
        second = int(self.wall(now))
        if second != self._stamp[0]:
            there = time.gmtime(second + settings.BEIJING_S)
            self._stamp = (second, time.strftime("%Y-%m-%dT%H:%M:%S+08:00", there))
        return self._stamp[1]

    def date(self, now: float) -> str:
        """Write a time as an HTTP Date header."""
        second = int(self.wall(now))
        if second != self._date[0]:
            t = time.gmtime(second)
            day = _DAYS[t.tm_wday]
            month = _MONTHS[t.tm_mon - 1]
            self._date = (second, time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", t))
        return self._date[1]

    # --- tokens ----------------------------------------------------------------------------------------

    def issue_token(self, bot: Bot, now: float) -> tuple[str, int]:
        """Return the bot's token and its remaining life; in its last minute, a new one (2.1)."""
        if bot.token is not None:
            left = self.tokens[bot.token][1] - now
            if left > settings.TOKEN_OVERLAP_S:
                return bot.token, int(left)
        for token, (_, until) in list(self.tokens.items()):
            if until < now - settings.DAY_S:
                del self.tokens[token]
        bot.token = f"{self.random.getrandbits(160):040x}"
        self.tokens[bot.token] = (bot, now + self.settings.token_life_s)
        self.counters["tokens"] += 1
        return bot.token, int(self.settings.token_life_s)

    def revoke_tokens(self, bot: str | None, now: float) -> None:
        """Expire every token of a bot, or of all."""
        for token, (owner, until) in self.tokens.items():
            if bot is None or owner.app_id == bot:
                self.tokens[token] = (owner, min(until, now - 1.0))
                owner.token = None

    # --- events ----------------------------------------------------------------------------------------

    def emit(
        self,
        bot: Bot,
        kind: str,
        d: Any,
        now: float,
        *,
        anchor: Anchor | None = None,
        event_id: str | None = None,
        shard_of: str | None = None,
    ) -> int:
        """Dispatch one event, remember what may be replied to, and return how many sessions took it."""
        ident = event_id or self.event_id(kind)
        if anchor is not None:
            bot.anchors.setdefault(anchor.id, anchor)
        bot.anchors[ident] = Anchor(
            ident,
            kind,
            anchor.scene if anchor else "",
            anchor.target if anchor else "",
            now,
            repliable=kind in REPLIABLE,
            is_message=False,
        )
        heard = self.sessions.dispatch(bot, kind, d, ident, now, shard_of)
        if anchor is not None and anchor.is_message and not heard:
            self.unheard.add(anchor.id)
        self.on_change()
        return heard

    # --- what was delivered ----------------------------------------------------------------------------

    def deliver(self, message: Delivered) -> None:
        """Log one accepted message and tell who listens."""
        self.delivered.append(message)
        self.counters["delivered"] += 1
        if message.anchor is not None:
            self._replies.setdefault(message.anchor, []).append(message)
        for listener in self.on_delivered:
            listener(message)
        self.on_change()

    def replies(self, anchor: str, *, typing: bool = False) -> list[Delivered]:
        """Return the messages accepted as replies to this id; typing notices only on request."""
        return [m for m in self._replies.get(anchor, ()) if typing or m.msg_type != TYPING]

    # --- agenda ----------------------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[float], None]) -> None:
        """Put something on the agenda."""
        heapq.heappush(self._agenda, (when, self.serial(), action))
        if self._agenda[0][0] == when:
            self.on_agenda()

    def next_due(self) -> float | None:
        """Return when the next thing on the agenda is due."""
        return self._agenda[0][0] if self._agenda else None

    def run_due(self, now: float) -> None:
        """Do what is due."""
        while self._agenda and self._agenda[0][0] <= now:
            heapq.heappop(self._agenda)[2](now)

    def live(self, bot: Bot) -> Iterable[Session]:
        """Return the bot's sessions that have a connection now."""
        return [s for s in self.sessions.of(bot) if s.peers]


TYPING = 6  # msg_type of a typing notice (14)

# 9.5, 10.3: events whose id may be given as `event_id`.
_REPLIABLE_NAMES = """
FRIEND_ADD C2C_MSG_RECEIVE GROUP_ADD_ROBOT GROUP_MSG_RECEIVE INTERACTION_CREATE
GUILD_MEMBER_ADD GUILD_MEMBER_UPDATE GUILD_MEMBER_REMOVE MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE
FORUM_THREAD_CREATE FORUM_THREAD_UPDATE FORUM_THREAD_DELETE FORUM_POST_CREATE FORUM_POST_DELETE
FORUM_REPLY_CREATE FORUM_REPLY_DELETE
"""
REPLIABLE = frozenset(_REPLIABLE_NAMES.split())
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
