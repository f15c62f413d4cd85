"""What the session machine knows: its phase and its state."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from buoy.protocol.limits import DEFAULT_HEARTBEAT_S, MISSED_ACKS

if TYPE_CHECKING:
    from buoy.protocol.session.words import RecordGap, Session, Trouble


class Phase(StrEnum):
    """Where the machine is. Every phase but STOPPED has a deadline."""

    STOPPED = "stopped"
    WAITING = "waiting"  # a drawn pause before the next attempt
    LOCATING = "locating"  # token and gateway look-up
    OPENING = "opening"  # DNS, TCP, TLS, upgrade
    GREETING = "greeting"  # HELLO is due
    RESERVING = "reserving"  # the identify row is being committed
    IDENTIFYING = "identifying"  # READY is due
    RESUMING = "resuming"  # the replay runs, RESUMED is due
    LIVE = "live"
    LINGERING = "lingering"  # op 9 came; the close code may follow
    BLOCKED = "blocked"  # a person must act; a slow probe looks whether somebody did


SOCKET: Final = frozenset(
    {Phase.GREETING, Phase.RESERVING, Phase.IDENTIFYING, Phase.RESUMING, Phase.LIVE, Phase.LINGERING}
)
TRYING: Final = SOCKET | {Phase.LOCATING, Phase.OPENING}


class State(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """All that the machine knows. ``cause``, ``code`` and ``reason`` last until it is live again."""

    wanted: int
    """Intents from the configuration."""
    intents: int
    """Those of the next IDENTIFY."""
    allowed: int
    """Those that no 4013 or 4014 has ruled out."""
    granted: int | None = None
    """Those that the last READY came with, of this run or an earlier one."""
    asked_at: float = -math.inf
    """When an IDENTIFY last asked for all that is wanted."""
    refusal: str = ""
    """How QQ refused the others, for people."""
    outdated: bool = False
    """The session was identified for other settings."""
    expect_s: float = math.inf
    """Longest time without an event that the operator takes for health; inf: any."""
    phase: Phase = Phase.STOPPED
    since: float = 0.0
    """When the phase was entered."""
    generation: int = 0
    deadline: float = math.inf
    attempt: int = 0
    """Attempts that failed in a row; 0 after a stable minute."""
    attempt_at: float = 0.0
    next_try_at: tuple[float, float] | None = None
    full_at: float = -math.inf
    """Pacing: when the allowance of attempts is full again."""

    cause: Trouble | None = None
    code: int | None = None
    reason: str = ""

    session: Session | None = None
    session_at: float = 0.0
    """When it was READY."""
    held: bool = False
    """A frame was not stored: ``stored`` stays until the next RESUME brings that frame again."""
    futile: int = 0
    """RESUMEs in a row that did not last."""
    gap: RecordGap | None = None
    """Owed at the next READY or RESUMED."""

    identified: bool = False
    """This connection sent IDENTIFY and got no READY yet."""
    resumable: bool = False
    """What op 9 said."""
    refused: int = 0
    """IDENTIFYs in a row without READY."""
    identify_after: float = -math.inf
    left: int | None = None
    """Identifies left today, as far as known."""

    force_token: bool = False
    fresh_url: bool = False

    interval_s: float = DEFAULT_HEARTBEAT_S
    next_beat: float = math.inf
    beat_at: float = 0.0
    missed: int = 0
    """Heartbeats sent since the last ACK."""

    last_frame_at: float | None = None
    last_dispatch_at: float | None = None
    last_ack_at: float | None = None
    silent_s: float = 0.0
    """Seconds without an event in earlier connections, as far as they were live."""
    deaf_at: float = -math.inf
    """When a session was last replaced for want of events."""
    garbage: int = 0

    @property
    def wake_at(self) -> float | None:
        """When the driver has to report :class:`Tick`; None while stopped."""
        at = min(self.deadline, self.next_beat)
        return at if at < math.inf else None

    @property
    def connected(self) -> bool:
        """READY or RESUMED came, and at most the newest heartbeat waits for its ACK."""
        return self.phase is Phase.LIVE and self.missed < MISSED_ACKS

    @property
    def dropped(self) -> int:
        """Intents that are wanted and that the session, or else the next IDENTIFY, goes without."""
        has = self.intents if self.session is None or self.granted is None else self.granted
        return self.wanted & ~has


def initial(wanted: int, expect_s: float = math.inf) -> State:
    """Build the state of a bot that has not been started."""
    return State(wanted=wanted, intents=wanted, allowed=wanted, expect_s=expect_s)
