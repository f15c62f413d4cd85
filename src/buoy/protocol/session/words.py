"""The words of the session machine: troubles, events, commands.

All of them are frozen values without secrets or addresses, so that a recorded run can be shared. Times are
the driver's monotonic seconds. ``generation`` numbers the attempts to connect: what belongs to an older one
is inert.
"""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec


class Trouble(StrEnum):
    """Why the bot is not live. What ``REMEDIES`` lists needs a person."""

    TRANSIENT = "unreachable"  # look-up or opening failed; the next try may work
    RATE = "rate"  # the look-up was refused for asking too often
    TOKEN = "token"  # the token was refused  # noqa: S105
    NO_HELLO = "no hello"
    NO_READY = "no ready"
    STORE = "store"  # the identify row or a frame could not be committed
    ZOMBIE = "zombie"  # heartbeats are not acknowledged
    CLOSED = "closed"
    RECONNECT = "reconnect"  # op 7
    INVALID = "invalid session"  # op 9, 4006, 4007, 49xx
    REFUSED = "identify refused"
    FUTILE = "futile resumes"  # resumed again and again without lasting
    AGED = "session aged"  # replaced on purpose: old sessions go deaf (protocol.md 6.5)
    DEAF = "no events"  # replaced on purpose: the operator expects some (behaviour P8)
    ASKING = "asking for intents"  # replaced on purpose: refused ones may have been granted meanwhile
    SETTINGS = "settings changed"  # replaced on purpose: it was identified with other intents
    UNREADY = "unready identify"  # the process ended between IDENTIFY and READY
    BUDGET = "identify budget"

    SECRET = "secret"  # noqa: S105
    APP = "app"
    IP = "ip"
    TAKEN_DOWN = "taken down"
    BANNED = "banned"
    INTENTS = "intents"
    SHARD = "shard"
    SHARDS = "too few shards"
    VERSION = "version"
    NONSENSE = "nonsense"  # 4001, 4002: we sent what the platform does not take


class Session(msgspec.Struct, frozen=True, gc=False):
    """What READY names and RESUME continues. An empty ``id`` (READY could not be read) cannot be resumed."""

    id: str
    seen: int
    """Newest sequence received."""
    stored: int
    """Newest sequence committed; RESUME and heartbeats carry it. 0 before the first."""


# --- events: what happened ---------------------------------------------------------------------------------


class Granted(msgspec.Struct, frozen=True, gc=False):
    """What the last READY proved: these ``intents`` are accepted, when ``wanted`` were configured."""

    wanted: int
    intents: int
    why: str
    """How the others were refused, for people."""
    asked_s: float
    """Seconds since all that was wanted was asked for."""


class Start(msgspec.Struct, frozen=True, gc=False):
    """Begin. ``session`` is the persisted one, ``age_s`` the seconds since its READY.

    ``unready_ages_s``: ages of the IDENTIFY rows newer than the last committed READY or recorded gap.
    ``granted``: what an earlier run learned about intents, if any did.
    """

    session: Session | None = None
    unready_ages_s: tuple[float, ...] = ()
    age_s: float = 0.0
    granted: Granted | None = None


class Stop(msgspec.Struct, frozen=True, gc=False):
    """End for good; nothing after it has an effect, except :class:`Start`."""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """``state.wake_at`` has come. Too early or too late does no harm."""


class Woke(msgspec.Struct, frozen=True, gc=False):
    """The drawn pause of :class:`Sleep` is over."""

    generation: int


class Located(msgspec.Struct, frozen=True, gc=False):
    """Token and gateway URL are at hand; ``left`` identifies if known, ``reset_s`` until that resets."""

    generation: int
    left: int | None = None
    reset_s: float = math.nan


class LocateFailed(msgspec.Struct, frozen=True, gc=False):
    """No token or no URL: TRANSIENT, RATE, TOKEN (the look-up refused it), or one of ``REMEDIES``."""

    generation: int
    cause: Trouble
    reason: str


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The WebSocket is open."""

    generation: int


class OpenFailed(msgspec.Struct, frozen=True, gc=False):
    """It could not be opened."""

    generation: int
    reason: str


class Hello(msgspec.Struct, frozen=True, gc=False):
    """Op 10."""

    generation: int
    interval_s: float


class Ready(msgspec.Struct, frozen=True, gc=False):
    """READY. ``session_id`` is empty if it could not be read."""

    generation: int
    session_id: str
    seq: int | None


class Resumed(msgspec.Struct, frozen=True, gc=False):
    """RESUMED: the replay is complete."""

    generation: int
    seq: int | None


class Dispatch(msgspec.Struct, frozen=True, gc=False):
    """Any other op 0 frame. ``seq`` is None if it could not be read."""

    generation: int
    seq: int | None


class Ack(msgspec.Struct, frozen=True, gc=False):
    """Op 11."""

    generation: int


class BeatAsked(msgspec.Struct, frozen=True, gc=False):
    """Op 1 from the platform."""

    generation: int


class ReconnectAsked(msgspec.Struct, frozen=True, gc=False):
    """Op 7."""

    generation: int


class Invalid(msgspec.Struct, frozen=True, gc=False):
    """Op 9."""

    generation: int
    resumable: bool


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The socket ended; ``code`` is None without a close frame."""

    generation: int
    code: int | None = None
    reason: str = ""


class Reserved(msgspec.Struct, frozen=True, gc=False):
    """Answer to :class:`Reserve`: ``left`` identifies, this one included; at 0 nothing was committed."""

    generation: int
    left: int
    reset_s: float


class ReserveFailed(msgspec.Struct, frozen=True, gc=False):
    """The identify row could not be committed."""

    generation: int
    reason: str = ""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Every frame of ``session_id`` up to ``seq`` is committed."""

    session_id: str
    seq: int


class StoreFailed(msgspec.Struct, frozen=True, gc=False):
    """A kept frame could not be committed."""

    generation: int
    reason: str


class Garbage(msgspec.Struct, frozen=True, gc=False):
    """A frame that cannot be decoded."""

    generation: int


Event = (
    Start
    | Stop
    | Tick
    | Woke
    | Located
    | LocateFailed
    | Opened
    | OpenFailed
    | Hello
    | Ready
    | Resumed
    | Dispatch
    | Ack
    | BeatAsked
    | ReconnectAsked
    | Invalid
    | Closed
    | Reserved
    | ReserveFailed
    | Stored
    | StoreFailed
    | Garbage
)


# --- commands: what the driver has to do, in the order given -----------------------------------------------


class Sleep(msgspec.Struct, frozen=True, gc=False):
    """Draw a pause inside the window, then report :class:`Woke`."""

    generation: int
    low_s: float
    high_s: float


class Locate(msgspec.Struct, frozen=True, gc=False):
    """Get a token (a new one if ``force_token``) and the gateway URL (no cached one if ``fresh_url``)."""

    generation: int
    force_token: bool
    fresh_url: bool


class Open(msgspec.Struct, frozen=True, gc=False):
    """Open a new socket."""

    generation: int


class Reserve(msgspec.Struct, frozen=True, gc=False):
    """Commit one identify row if the budget allows it."""

    generation: int


class SendIdentify(msgspec.Struct, frozen=True, gc=False):
    """Send op 2; its row is committed."""

    generation: int
    intents: int


class SendResume(msgspec.Struct, frozen=True, gc=False):
    """Send op 6."""

    generation: int
    session_id: str
    stored: int


class Beat(msgspec.Struct, frozen=True, gc=False):
    """Send op 1."""

    generation: int
    stored: int | None


class Keep(msgspec.Struct, frozen=True, gc=False):
    """Store the frame in hand. If ``counted``, under the current session, whose cursor its sequence moves.

    Not ``whole``: a replay is under way, so what came before this frame's receipt is not all here yet.
    """

    counted: bool = True
    whole: bool = True


class Close(msgspec.Struct, frozen=True, gc=False):
    """End whatever this generation still runs: look-up, opening or socket. Do not wait for it."""

    generation: int
    code: int


class RecordGap(msgspec.Struct, frozen=True, gc=False):
    """Commit, with the frame of the next :class:`Keep`, that events after ``stored`` may be lost.

    An empty ``session_id`` with 0: there was no session before. It also settles the IDENTIFY rows so far:
    they are no gap a second time.
    """

    session_id: str
    stored: int
    cause: Trouble
    done: str = ""
    """For people: what ended the session, and what was done about it."""
    silent_s: float = 0.0
    """The session may have been deaf for so long before it was given up: the gap begins earlier by that."""


class MarkReady(msgspec.Struct, frozen=True, gc=False):
    """Commit the new session and the success of its identify row, before anything else of that session."""

    session_id: str


class MarkWhole(msgspec.Struct, frozen=True, gc=False):
    """Note that all which the platform had sent when the acknowledged heartbeat left is stored: a gap begins there."""

    session_id: str
    stored: int


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """Nothing follows."""


Command = (
    Sleep
    | Locate
    | Open
    | Reserve
    | SendIdentify
    | SendResume
    | Beat
    | Keep
    | Close
    | RecordGap
    | MarkReady
    | MarkWhole
    | Stopped
)
