"""Target: the session machine under any events in any order, with any values, at any time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from buoy.protocol import session as m
from buoy.protocol.session.state import SOCKET, TRYING
from tests.fuzz import seeds
from tests.fuzz.choices import Choices
from tests.fuzz.hunting import Target

if TYPE_CHECKING:
    from collections.abc import Callable

Step: TypeAlias = tuple[m.State, tuple[m.Command, ...]]

SEQUENCES = [None, 1, 2, 3, 5, 8, 13, 100, 101, (1 << 53) - 1]  # what the frames' translation lets through
STORED = [0, -1, 1 << 53, 1 << 63]
NUMBERS = [0.0, 45.0, 1.0, 0.999, 120.0, 120.1, 300.0, 86400.0, 1e9, 1e300, -1.0, 1e-9, math.nan, math.inf, -math.inf]
AGES = [0.0, 1.0, 59.0, 100.0, 86400.0, 3e5, 1e12]
LEFT = [None, 1000, 999, 100, 99, 1, 0, -1, 1 << 40]
IDS = ["s", "t", "", "\U0001f6df", "a" * 300]
CODES = [None, 1000, 1006, *range(4000, 4020), *range(4900, 4917), 0, -1, 1, 65535, 1 << 40]
PAUSES_S = [0.0, 0.0, 0.01, 0.5, 1.0, 5.0, 10.0, 44.0, 60.0, 700.0, 3600.0, 90000.0, 200000.0]
TROUBLES = list(m.Trouble)
WANTED = [seeds.INTENTS, 1 << 25, 1 << 30, 0, 1 << 12 | 1 << 25]


def _event(state: m.State, choices: Choices) -> m.Event:
    """Any event: in most cases one that belongs to the phase, of the right generation."""
    at = state.generation + choices.pick([0] * 12 + [-1, 1, -state.generation, 1 << 40])
    seq, number, ident = choices.pick(SEQUENCES), choices.pick(NUMBERS), choices.pick(IDS)
    stored = choices.pick([seq or 0] * 8 + STORED)
    known = state.session
    if known is not None and choices.below(2):
        ident, seq = known.id, max(1, known.seen + choices.pick([1, 0, -1, 2]))
    session = m.Session(ident, seq or 0, seq or 0) if choices.below(2) else None
    ages = tuple(choices.pick(AGES) for _ in range(choices.below(4)))
    events: list[m.Event] = [
        m.Tick(), m.Woke(at), m.Located(at, choices.pick(LEFT), number), m.Opened(at), m.Hello(at, number),
        m.Reserved(at, choices.pick(LEFT) or 0, number), m.Ready(at, ident, seq), m.Resumed(at, seq),
        m.Dispatch(at, seq), m.Dispatch(at, seq), m.Stored(ident, stored), m.Ack(at), m.BeatAsked(at),
        m.ReconnectAsked(at), m.Invalid(at, resumable=bool(choices.below(2))), m.Closed(at, choices.pick(CODES), "why"),
        m.LocateFailed(at, choices.pick(TROUBLES), "why"), m.OpenFailed(at, "why"), m.ReserveFailed(at),
        m.StoreFailed(at, "why"), m.Garbage(at), m.Start(session, ages, choices.pick(AGES)), m.Stop(),
    ]  # fmt: skip
    usual: dict[m.Phase, list[m.Event]] = {
        m.Phase.STOPPED: [m.Start(session, ages, choices.pick(AGES))],
        m.Phase.WAITING: [m.Woke(at), m.Tick()],
        m.Phase.BLOCKED: [m.Woke(at), m.Tick()],
        m.Phase.LOCATING: [m.Located(at, 500, 1000.0)],
        m.Phase.OPENING: [m.Opened(at)],
        m.Phase.GREETING: [m.Hello(at, 45.0)],
        m.Phase.RESERVING: [m.Reserved(at, 500, 1000.0)],
        m.Phase.IDENTIFYING: [m.Ready(at, ident or "s", 1)],
        m.Phase.RESUMING: [m.Resumed(at, seq), m.Dispatch(at, seq)],
    }
    return choices.pick(usual.get(state.phase, events)) if choices.below(2) else choices.pick(events)


@dataclass(frozen=True)
class Machine:
    """The machine, or one with a planted bug."""

    step: Callable[[m.State, m.Event, float], Step] = m.step

    def check(self, data: bytes) -> None:
        """Play what the bytes say."""
        choices = Choices(data)
        state, now = m.initial(choices.pick(WANTED)), 1000.0
        while not choices.is_spent:
            if choices.below(4) == 3 and state.wake_at is not None:
                now = max(now, state.wake_at)
            now += choices.pick(PAUSES_S)
            event = _event(state, choices)
            before, (state, commands) = state, self.step(state, event, now)
            _check_state(before, state, event, now)
            _check_commands(before, state, commands, event)


def _check_state(before: m.State, state: m.State, event: m.Event, now: float) -> None:
    stale = getattr(event, "generation", before.generation) != before.generation
    assert not (stale and state is not before), "what belongs to an older attempt is inert"
    assert state.generation >= before.generation
    is_over = before.phase in TRYING and state.phase not in TRYING
    assert not is_over or state.generation > before.generation or state.phase is m.Phase.STOPPED
    if state.phase is m.Phase.STOPPED:
        assert state.wake_at is None, "who stopped needs no timer"
    else:
        assert state.wake_at is not None, f"{state.phase} has no deadline"
        assert math.isfinite(state.wake_at)
        assert math.isfinite(state.deadline)
    if state.phase in TRYING - {m.Phase.LIVE}:
        assert state.deadline <= now + 45.0, "an attempt has a budget"
    assert 1.0 <= state.interval_s <= 120.0, "heartbeats are neither a flood nor a silence"
    assert state.connected <= (state.phase is m.Phase.LIVE)
    assert state.intents & ~state.wanted == 0 or state.intents == 1 << 25
    session, old = state.session, before.session
    if session is not None and old is not None and session is not old and session.id == old.id:
        is_new = isinstance(event, m.Ready | m.Start)
        assert is_new or (session.stored >= old.stored and session.seen >= old.seen), "sequences go forward"
    if session is not None:
        assert session.stored <= session.seen or isinstance(event, m.Start), "nothing is stored that did not come"


def _check_commands(before: m.State, state: m.State, commands: tuple[m.Command, ...], event: m.Event) -> None:
    for command in commands:
        match command:
            case m.Close(generation):
                assert generation == before.generation, "only what still runs can be closed"
            case m.Sleep(generation, low, high):
                assert generation == state.generation
                assert 0 <= low <= high < math.inf
                assert state.phase in {m.Phase.WAITING, m.Phase.BLOCKED}
            case m.Keep(is_counted):
                assert before.phase in SOCKET, "there is no frame in hand"
                assert not is_counted or state.session is not None
            case m.Beat(generation, stored) | m.SendResume(generation, _, stored):
                assert generation == state.generation
                assert state.session is not None or stored is None
                assert state.session is None or (state.session.stored or None) == (stored or None)
            case m.RecordGap() | m.MarkReady() | m.MarkWhole() | m.Stopped():
                pass
            case _:
                assert command.generation == state.generation
    if isinstance(event, m.Stop):
        assert state.phase is m.Phase.STOPPED


def grow(choices: Choices) -> bytes:
    """The choices themselves: they are the play."""
    return choices.rest()


# --- bugs that must be found -----------------------------------------------------------------------------------------


def _no_ready_deadline(s: m.State, e: m.Event, now: float) -> Step:
    state, commands = m.step(s, e, now)
    return (replace(state, deadline=math.inf) if state.phase is m.Phase.IDENTIFYING else state), commands


def _any_generation(s: m.State, e: m.Event, now: float) -> Step:
    return m.step(s, replace(e, generation=s.generation) if isinstance(e, m.Closed) else e, now)


def _seen_is_stored(s: m.State, e: m.Event, now: float) -> Step:
    state, commands = m.step(s, e, now)
    seen = state.session.seen if state.session else None
    return state, tuple(m.Beat(c.generation, seen) if isinstance(c, m.Beat) else c for c in commands)


def _one_interval_for_all(s: m.State, e: m.Event, now: float) -> Step:
    """Takes the interval as it comes: none at all makes a deadline that never comes, or always."""
    state, commands = m.step(s, e, now)
    if isinstance(e, m.Hello) and state is not s and state.phase is m.Phase.RESUMING:
        state = replace(state, interval_s=e.interval_s, next_beat=now + e.interval_s)
    return state, commands


def _stops_twice(s: m.State, e: m.Event, now: float) -> Step:
    """A second word for the end of what has ended."""
    if isinstance(e, m.Invalid) and s.phase is m.Phase.WAITING:
        raise KeyError(s.phase)
    return m.step(s, e, now)


PLANTED = {
    "no READY deadline": Machine(_no_ready_deadline),
    "a late close counts": Machine(_any_generation),
    "heartbeats carry what was seen": Machine(_seen_is_stored),
    "any interval": Machine(_one_interval_for_all),
    "a pair without an answer": Machine(_stops_twice),
}
TARGET = Target(
    "sessions",
    grow,
    Machine().check,
    {name: bug.check for name, bug in PLANTED.items()},
    examples=600,
    choices=(200, 1200),
)
