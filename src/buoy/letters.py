"""What crosses the seams between platform, gateway and store: arrivals, anchors, letters, plans, outcomes.

Standard library only. The store keeps these as opaque rows; the platform decides what an anchor is worth and what an
answer means; the gateway carries them between the two. Times ``*_at`` are wall seconds since 1970.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

SCHEDULED: Final = "schedule"
"""Type of an inbox row that holds a schedule's prompt, and origin of the letters that come of schedules."""

NOTICE: Final = "notice"
"""Origin of the letters by which Buoy itself tells a user what became of a turn."""
QUESTION: Final = "question"
"""Origin of the letters in which a running turn asks something."""
OWN_WORDS: Final = frozenset({NOTICE, QUESTION})
"""Origins of letters that are no part of an answer: a re-run is not told of them."""


class EventState(StrEnum):
    """State of an inbox row."""

    STORED = "stored"  # kept, no turn wanted
    WAITING = "waiting"  # waits for its turn in its lane
    RUNNING = "running"  # claimed by a boot; the agent has it
    DONE = "done"
    DEAD = "dead"


class LetterState(StrEnum):
    """State of an outbox row."""

    QUEUED = "queued"  # waits for its place in the lane, or for its next try
    CLAIMED = "claimed"  # an attempt is recorded and nothing definite came back: in doubt, hence frozen
    SENT = "sent"
    HELD = "held"  # cannot be delivered now; goes out with the next contact
    UNSURE = "unsure"  # at the platform at most once; nobody knows
    DEAD = "dead"
    MERGED = "merged"  # its text left inside another letter, named by `into`
    DROPPED = "dropped"  # a person or its caller withdrew it


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether messages without an anchor are allowed in one conversation, as somebody told at ``at``.

    ``allowed`` None: what was known before does not hold any more, and nothing else is known. ``why`` names the event
    or the answer that told; how long that holds is for the platform to say.
    """

    allowed: bool | None
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class Loss:
    """A session that was given up: its events after ``stored`` may be lost for good, until now.

    Since when is the store's to say; ``silent_s`` moves that back: the session may have been deaf for so long.
    ``done`` says for people what ended it and what was done about it. An empty ``session`` with 0: none was known.
    """

    session: str
    stored: int
    cause: str
    done: str = ""
    silent_s: float = 0.0


@dataclass(slots=True)
class Arrival:
    """One received frame on its way into the inbox.

    ``key`` is the dedupe key within the bot (a message id, or the delivery's id). ``lane`` is the conversation, e.g.
    ``qq:c2c:<openid>``, or None for events without one. ``anchor`` is what a reply may refer to, opaque to the
    store. ``event_at`` is the platform's time, already corrected for clock skew; the receipt where it is missing.
    """

    bot: str
    shard: int
    session: str
    seq: int | None
    type: str
    key: str
    frame: bytes
    lane: str | None
    turn: bool
    anchor: str | None
    event_at: float
    received_at: float
    after: int = 0
    """The sequence handed over before this one on the same connection: it must be stored first."""
    bypass: bool = False
    """True: does not wait for its lane (`/stop`)."""
    reason: str = ""
    """Why it gets no turn, where that is not plain from its type."""
    permission: Permission | None = None
    """What it tells about messages without an anchor in its lane; stored with the row."""
    whole: bool = True
    """With this frame everything that the platform sent until ``received_at`` is here; False inside a replay."""
    losses: tuple[Loss, ...] = ()
    """Recorded as gaps in the same transaction, before the session of this frame is opened."""
    note: str = ""
    """What the platform wants to know again at its next start, as :attr:`Cursor.note`; empty: no change."""
    click: bool = False
    """Somebody pressed a button; such a row has ``turn`` and ``bypass``."""


@dataclass(slots=True)
class Event:
    """One inbox row, as the worker claims it."""

    id: int
    bot: str
    lane: str
    type: str
    key: str
    frame: bytes
    anchor: str | None
    event_at: float
    received_at: float
    attempts: int
    """Runs charged so far, this one included."""
    alone: int = 0
    """Runs charged while nothing else ran (see the inbox)."""
    uses: int = 0
    """Replies whose attempt was recorded against this row's anchor."""
    failures: int = 0
    """Ends that count towards a dead letter: failed runs, and unclean ends while alone."""
    unclean: int = 0
    """Unclean ends so far, alone or not: from two on it runs alone."""
    not_before: float = 0.0
    """Not to be run again earlier than this."""


@dataclass(slots=True)
class Anchor:
    """An inbox row that replies may still refer to. ``spent`` says that the platform refused it for good."""

    row: int
    id: str
    event_at: float
    uses: int
    open: bool
    """Its own turn has not ended, or has letters that have not left: the last reply is reserved for it."""
    spent: bool = False


@dataclass(slots=True)
class Letter:
    """One outbox row. ``body`` is JSON of :class:`buoy.chat.Reply`'s fields, opaque to the store."""

    id: int
    key: str
    """Idempotency key: ``<event key>/<n>`` for replies, ``send/<k>`` for `send()`."""
    bot: str
    lane: str
    body: bytes
    state: LetterState
    created_at: float
    event: int | None = None
    """Inbox row it answers, if any."""
    anchor_row: int | None = None
    anchor: str | None = None
    seq: int | None = None
    attempts: int = 0
    attempted_at: float | None = None
    not_before: float = 0.0
    settled_at: float | None = None
    reason: str = ""
    origin: str = "turn"
    """Who asked: ``turn``, ``send``, ``cli``, ``schedule`` ..."""
    remote_id: str | None = None
    into: int | None = None

    @property
    def frozen(self) -> bool:
        """It may be at the platform already: body, anchor and seq must not change, and only a repeat is safe.

        A queued letter that has a seq was definitely not accepted with it; it may use the same seq or another anchor.
        """
        return self.state is LetterState.CLAIMED


# --- plans: what to do with a letter now -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Use:
    """Reply to this anchor; ``limit`` is how many replies it may have after this one at most."""

    anchor: Anchor
    limit: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the frozen letter again as it is."""


@dataclass(frozen=True, slots=True)
class Proactive:
    """Send without an anchor."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again at ``until`` (wall seconds), or when the platform says that something changed."""

    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep it until the next contact of its conversation."""

    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more can be done; ``state`` is UNSURE or DEAD."""

    state: LetterState
    reason: str


Plan = Use | Repeat | Proactive | Wait | Hold | End


# --- outcomes: what became of one attempt ----------------------------------------------------------------------


class Cause(StrEnum):
    """Why an attempt did not end as sent; the gateway acts on this, never on a code."""

    UNREACHABLE = "unreachable"  # it never left: DNS, connect, TLS, token endpoint
    RATE = "rate"  # definitely not accepted, try later
    TOKEN = "token"  # definitely not accepted, the token was refused  # noqa: S105
    TRANSIENT = "transient"  # the platform said "try later" and did not accept it
    LOST = "lost"  # it left and no readable answer came (time-out, reset, 5xx)
    ANCHOR = "anchor"  # definite: this anchor is dead, another may do
    PROACTIVE = "proactive"  # definite: no anchor, and none allowed here
    CONTENT = "content"  # definite: this content is refused as it is
    TARGET = "target"  # definite: the recipient is gone or refuses
    OPERATOR = "operator"  # definite: a person must act (permission, ban, allowlist)
    BUG = "bug"  # definite: we sent nonsense


@dataclass(frozen=True, slots=True)
class Sent:
    """Accepted. ``remote_id`` is None when only a duplicate refusal proved it."""

    remote_id: str | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Not sent, or not known to be. ``unsure`` is True when it may have been accepted."""

    cause: Cause
    reason: str
    """One line for people; codes included, no secret."""
    code: int = 0
    status: int = 0
    retry_after_s: float | None = None
    trace_id: str = ""
    early: bool = False
    """What failed comes before the letter itself is looked at: it says nothing about earlier attempts."""

    @property
    def unsure(self) -> bool:
        """True when the platform may have accepted it."""
        return self.cause is Cause.LOST


Outcome = Sent | Failed


# --- what the gateway offers to a platform ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cursor:
    """The session that a later connection may resume, and the last sequence of it that is stored."""

    session: str
    stored: int
    updated_at: float
    """Everything that the platform sent until then is stored."""
    ready_at: float
    note: str = ""
    """What the platform left with an arrival; opaque here."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, as far as anybody could write it down. ``code`` None: nobody could."""

    at: float
    code: int | None
    why: str
    """For people."""


class Intake(Protocol):
    """Where a platform puts what it received. Every future resolves after the COMMIT, or fails with StoreError."""

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> asyncio.Future[Any]:
        """Store one frame and move the session's cursor, in one transaction; READY opens a session.

        The result's ``fresh`` is False for a copy of what is stored already.
        """

    def cursor(self, bot: str, shard: int) -> Cursor | None:
        """The session to resume, if any."""

    def record_identify(self, bot: str, shard: int) -> asyncio.Future[Any]:
        """Commit that an IDENTIFY is about to leave."""

    def identifies(self, bot: str, since: float) -> int:
        """How many identifies of all shards were committed since then."""

    def unready(self, bot: str, shard: int, since: float) -> tuple[float, ...]:
        """When the identifies left that no READY and no gap came after, newest last."""

    def mark_whole(self, bot: str, shard: int, *, session: str, stored: int, at: float) -> None:
        """Everything that the platform had sent at ``at`` is stored, if ``stored`` is where the cursor stands."""

    def changed(self, bot: str, shard: int, state: str, cause: str) -> None:
        """What an operator sees has changed: ``state`` is up, down or blocked; ``cause`` is for people."""
