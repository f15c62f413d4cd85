"""The transitions: what each event means in each phase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from buoy.protocol import limits
from buoy.protocol.session import intents, losing
from buoy.protocol.session.attempts import (
    CLOSE_CODE,
    Step,
    at_least,
    await_budget,
    backoff,
    begin,
    block,
    can_resume,
    enter,
    pause,
    refusal_pause,
    retry,
)
from buoy.protocol.session.closing import REMEDIES, ended
from buoy.protocol.session.losing import drop
from buoy.protocol.session.renewing import ripe
from buoy.protocol.session.state import SOCKET, TRYING, Phase, State
from buoy.protocol.session.words import (
    Ack,
    Beat,
    BeatAsked,
    Close,
    Closed,
    Dispatch,
    Event,
    Garbage,
    Hello,
    Invalid,
    Keep,
    Located,
    LocateFailed,
    MarkReady,
    MarkWhole,
    Open,
    Opened,
    OpenFailed,
    Ready,
    ReconnectAsked,
    RecordGap,
    Reserve,
    Reserved,
    ReserveFailed,
    Resumed,
    SendIdentify,
    SendResume,
    Session,
    Start,
    Stop,
    Stopped,
    Stored,
    StoreFailed,
    Tick,
    Trouble,
    Woke,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_KEEP: Final = (Keep(),)
_KEEP_REPLAYED: Final = (Keep(whole=False),)
_KEEP_LOOSE: Final = (Keep(counted=False),)


def step(state: State, event: Event, now: float) -> Step:
    """Advance by one event. Total: every (phase, event) pair has an answer; never raises.

    An event of another generation than the state's is inert.
    """
    numbered: Any = event
    if getattr(numbered, "generation", state.generation) != state.generation:
        return state, ()
    return _HANDLERS[type(event)](state, event, now)


# --- one attempt, from the pause to HELLO ------------------------------------------------------------------


def _start(s: State, e: Start, now: float) -> Step:
    if s.phase is not Phase.STOPPED:
        return s, ()
    session = Session(e.session.id, e.session.stored, e.session.stored) if e.session else None
    unready = len(e.unready_ages_s)
    s = State(
        wanted=s.wanted,
        intents=s.wanted,
        allowed=s.wanted,
        expect_s=s.expect_s,
        deaf_at=s.deaf_at,
        generation=s.generation,
        full_at=s.full_at,
        identify_after=s.identify_after,
        session=session,
        session_at=now - e.age_s,
        attempt=unready,
        refused=unready,
    )
    s = intents.remembered(s, e.granted, now)
    if not unready:
        return begin(s, now)
    newest_at = now - max(0.0, min(e.unready_ages_s))
    not_before = newest_at + max(limits.IDENTIFY_SPACING_S, refusal_pause(unready))
    lost_id, stored = (session.id, session.stored) if session else ("", 0)
    s = replace(
        s,
        identify_after=max(s.identify_after, not_before),
        gap=RecordGap(lost_id, stored, Trouble.UNREADY, losing.UNREADY),
    )
    low, high = (max(0.0, newest_at + bound - now) for bound in backoff(unready))
    return pause(s, now, (low, high), Trouble.UNREADY, reason=losing.UNREADY)


def _woke(s: State, _: Woke, now: float) -> Step:
    return begin(s, now) if s.phase in {Phase.WAITING, Phase.BLOCKED} else (s, ())


def _located(s: State, e: Located, now: float) -> Step:
    if s.phase is not Phase.LOCATING:
        return s, ()
    s = replace(s, force_token=False, left=s.left if e.left is None else e.left)
    if e.left is not None and e.left <= 0 and not can_resume(s):
        return await_budget(s, now, e.reset_s)
    return enter(s, Phase.OPENING, now, limits.OPEN_DEADLINE_S), (Open(s.generation),)


def _locate_failed(s: State, e: LocateFailed, now: float) -> Step:
    if s.phase is not Phase.LOCATING:
        return s, ()
    if e.cause in REMEDIES:
        return block(s, now, e.cause, reason=e.reason, gone=True)
    s = replace(s, force_token=e.cause is Trouble.TOKEN)
    floor = at_least(limits.TOKEN_RATE_PAUSE_S) if e.cause is Trouble.RATE else (0.0, 0.0)
    return retry(s, now, e.cause, reason=e.reason, floor=floor, gone=True)


def _opened(s: State, _: Opened, now: float) -> Step:
    return (enter(s, Phase.GREETING, now, limits.HELLO_DEADLINE_S) if s.phase is Phase.OPENING else s), ()


def _open_failed(s: State, e: OpenFailed, now: float) -> Step:
    if s.phase is not Phase.OPENING:
        return s, ()
    return retry(s, now, Trouble.TRANSIENT, reason=e.reason, gone=True)


def _hello(s: State, e: Hello, now: float) -> Step:
    if s.phase is not Phase.GREETING:
        return s, ()
    low, high = limits.HEARTBEAT_RANGE_S
    interval_s = e.interval_s if low <= e.interval_s <= high else limits.DEFAULT_HEARTBEAT_S
    s = replace(s, interval_s=interval_s, fresh_url=False, last_frame_at=now)
    if s.session is None or not can_resume(s):
        s = drop(s, Trouble.INVALID, losing.UNREADABLE)
        s = enter(intents.all_again(s, now), Phase.RESERVING, now, limits.RESERVE_DEADLINE_S)
        return s, (Reserve(s.generation),)
    resume = SendResume(s.generation, s.session.id, s.session.stored)
    s = enter(s, Phase.RESUMING, now, limits.READY_DEADLINE_S)
    return replace(s, held=False, futile=s.futile + 1, next_beat=now + interval_s), (resume,)


# --- IDENTIFY, RESUME and what they bring ------------------------------------------------------------------


def _reserved(s: State, e: Reserved, now: float) -> Step:
    if s.phase is not Phase.RESERVING:
        return s, ()
    if e.left <= 0:
        return await_budget(s, now, e.reset_s)
    spacing_s = limits.IDENTIFY_SPACING_S
    if e.left < limits.LOW_BUDGET and e.reset_s > 0:
        spacing_s = max(spacing_s, min(e.reset_s, limits.DAY_S) / e.left)
    s = replace(
        enter(s, Phase.IDENTIFYING, now, limits.READY_DEADLINE_S),
        identified=True,
        left=e.left - 1,
        asked_at=now if s.intents == s.wanted else s.asked_at,
        identify_after=now + spacing_s,
        next_beat=now + s.interval_s,
    )
    return s, (SendIdentify(s.generation, s.intents),)


def _reserve_failed(s: State, e: ReserveFailed, now: float) -> Step:
    return retry(s, now, Trouble.STORE, reason=e.reason) if s.phase is Phase.RESERVING else (s, ())


def _ready(s: State, e: Ready, now: float) -> Step:
    known = s.phase is not Phase.IDENTIFYING and s.session is not None and s.session.id == e.session_id != ""
    if known or s.phase not in {Phase.IDENTIFYING, Phase.RESUMING, Phase.LIVE}:
        return _dispatch(s, Dispatch(e.generation, e.seq), now)
    gap = drop(s, Trouble.INVALID, losing.UNASKED).gap  # a READY that nobody asked for ends the session, too
    asked = s.identified
    if asked:
        s = replace(s, granted=s.intents, refusal="" if s.intents == s.wanted else s.refusal, outdated=False)
    s = _go_live(s, now, Session(e.session_id, e.seq or 0, 0))
    s = replace(s, identified=False, refused=0, futile=0, held=False, session_at=now, silent_s=0.0)
    return s, (MarkReady(e.session_id), *((losing.after_ready(gap, asked=asked),) if gap else ()), *_KEEP)


def _resumed(s: State, e: Resumed, now: float) -> Step:
    if s.phase is not Phase.RESUMING or s.session is None:
        return _dispatch(s, Dispatch(e.generation, e.seq), now)
    gap = s.gap
    return _go_live(s, now, _saw(s.session, e.seq)), (losing.after_resumed(gap), *_KEEP) if gap else _KEEP


def _go_live(s: State, now: float, session: Session) -> State:
    return replace(
        s,
        phase=Phase.LIVE,
        since=now,
        deadline=now + limits.STABLE_S,
        session=session,
        gap=None,
        cause=None,
        code=None,
        reason="",
        last_frame_at=now,
        last_dispatch_at=now,
    )


def _dispatch(s: State, e: Dispatch, now: float) -> Step:
    """Store the frame; it moves the cursor where the session is known to be ours. A replay is progress."""
    session = s.session
    if session is not None:
        if s.phase is Phase.LIVE:
            return replace(
                s, session=_saw(session, e.seq), last_frame_at=now, last_dispatch_at=now, silent_s=0.0
            ), _KEEP
        if s.phase is Phase.RESUMING:
            s = replace(s, session=_saw(session, e.seq), last_frame_at=now, last_dispatch_at=now)
            return replace(s, silent_s=0.0, deadline=now + limits.READY_DEADLINE_S), _KEEP_REPLAYED
    return (replace(s, last_frame_at=now), _KEEP_LOOSE) if s.phase in SOCKET else (s, ())


def _saw(session: Session, seq: int | None) -> Session:
    return session if seq is None or seq <= session.seen else Session(session.id, seq, session.stored)


def _stored(s: State, e: Stored, _: float) -> Step:
    """Move the cursor: forward, for its own session, never past what came or over a frame that failed."""
    session, gap = s.session, s.gap
    if session is not None and session.id == e.session_id:
        if session.stored < e.seq <= session.seen and not s.held and s.phase is not Phase.STOPPED:
            return replace(s, session=Session(session.id, session.seen, e.seq)), ()
    elif gap is not None and gap.session_id == e.session_id and e.seq > gap.stored and s.phase is not Phase.STOPPED:
        return replace(s, gap=replace(gap, stored=e.seq)), ()
    return s, ()


def _store_failed(s: State, e: StoreFailed, now: float) -> Step:
    if s.phase not in SOCKET:
        return s, ()
    return retry(replace(s, held=True), now, Trouble.STORE, reason=e.reason, excused=True)


def _garbage(s: State, _: Garbage, now: float) -> Step:
    if s.phase not in SOCKET:
        return s, ()
    return replace(s, garbage=s.garbage + 1, last_frame_at=now), _KEEP_LOOSE


# --- heartbeats --------------------------------------------------------------------------------------------


def _beat(s: State, now: float) -> Step:
    """Send the next heartbeat, or give the socket up: by count, since standing still proves nothing."""
    missed = s.missed if now - s.next_beat <= limits.LATE_S else 0
    if missed >= limits.MISSED_ACKS:
        return retry(s, now, Trouble.ZOMBIE, reason=f"{missed} heartbeats without an answer")
    next_beat = now + min(s.interval_s, limits.ACK_WAIT_S)
    return replace(s, missed=missed + 1, beat_at=now, next_beat=next_beat), (_heartbeat(s),)


def _heartbeat(s: State) -> Beat:
    return Beat(s.generation, (s.session.stored or None) if s.session else None)


def _ack(s: State, _: Ack, now: float) -> Step:
    if s.phase not in SOCKET:
        return s, ()
    next_beat = s.beat_at + s.interval_s if s.missed and s.next_beat < math.inf else s.next_beat
    s = replace(s, missed=0, next_beat=next_beat, last_ack_at=now, last_frame_at=now)
    session = s.session
    whole = s.phase is Phase.LIVE and session is not None and session.id and session.stored == session.seen
    return s, (MarkWhole(session.id, session.stored),) if whole and session and not s.held else ()


def _beat_asked(s: State, _: BeatAsked, now: float) -> Step:
    if s.phase not in {Phase.IDENTIFYING, Phase.RESUMING, Phase.LIVE}:  # 4003: IDENTIFY or RESUME goes first
        return s, ()
    return replace(s, last_frame_at=now), (_heartbeat(s),)


# --- ends --------------------------------------------------------------------------------------------------


def _stop(s: State, _: Stop, now: float) -> Step:
    if s.phase is Phase.STOPPED:
        return s, ()
    close = (Close(s.generation, CLOSE_CODE),) if s.phase in TRYING else ()
    s = replace(s, phase=Phase.STOPPED, since=now, generation=s.generation + 1, deadline=math.inf)
    return replace(s, next_beat=math.inf, next_try_at=None, missed=0, identified=False), (*close, Stopped())


def _reconnect_asked(s: State, _: ReconnectAsked, now: float) -> Step:
    if s.phase not in SOCKET or s.phase is Phase.LINGERING:
        return s, ()
    return retry(s, now, Trouble.RECONNECT, reason="QQ asked for a new connection", excused=True)


def _invalid(s: State, e: Invalid, now: float) -> Step:
    """Wait for the close code before deciding: it may name intents, an address or a ban (6.4)."""
    if s.phase not in SOCKET or s.phase is Phase.LINGERING:
        return s, ()
    s = replace(s, phase=Phase.LINGERING, since=now, deadline=now + limits.LINGER_S, next_beat=math.inf)
    return replace(s, resumable=e.resumable, missed=0, last_frame_at=now), ()


def _closed(s: State, e: Closed, now: float) -> Step:
    if s.phase not in SOCKET and s.phase is not Phase.OPENING:
        return s, ()
    return ended(s, now, e.code, e.reason, gone=True)


# --- time --------------------------------------------------------------------------------------------------


def _tick(s: State, _: Tick, now: float) -> Step:
    if now >= s.deadline:
        return _DUE[s.phase](s, now)
    return _beat(s, now) if now >= s.next_beat else (s, ())


def _late(cause: Trouble, reason: str) -> Callable[[State, float], Step]:
    return lambda s, now: retry(s, now, cause, reason=reason)


_DUE: Final[dict[Phase, Callable[[State, float], Step]]] = {
    Phase.STOPPED: lambda s, _: (s, ()),
    Phase.WAITING: begin,
    Phase.BLOCKED: begin,
    Phase.LOCATING: _late(Trouble.TRANSIENT, "token or gateway look-up took too long"),
    Phase.OPENING: _late(Trouble.TRANSIENT, "opening the WebSocket took too long"),
    Phase.GREETING: _late(Trouble.NO_HELLO, "no HELLO came"),
    Phase.RESERVING: _late(Trouble.STORE, "committing the identify row took too long"),
    Phase.IDENTIFYING: _late(Trouble.NO_READY, "no READY came"),
    Phase.RESUMING: _late(Trouble.NO_READY, "no RESUMED came"),
    Phase.LIVE: ripe,
    Phase.LINGERING: lambda s, now: ended(s, now, None, "op 9, and no close code came", gone=False),
}

_HANDLERS: Final[dict[type, Callable[[State, Any, float], Step]]] = {
    Dispatch: _dispatch,
    Stored: _stored,
    Ack: _ack,
    Tick: _tick,
    Start: _start,
    Stop: _stop,
    Woke: _woke,
    Located: _located,
    LocateFailed: _locate_failed,
    Opened: _opened,
    OpenFailed: _open_failed,
    Hello: _hello,
    Ready: _ready,
    Resumed: _resumed,
    BeatAsked: _beat_asked,
    ReconnectAsked: _reconnect_asked,
    Invalid: _invalid,
    Closed: _closed,
    Reserved: _reserved,
    ReserveFailed: _reserve_failed,
    StoreFailed: _store_failed,
    Garbage: _garbage,
}
