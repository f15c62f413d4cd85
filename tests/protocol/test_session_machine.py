"""Invariants of the session machine under any sequence of events, honest or not."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Phase, Trouble
from buoy.protocol.session.state import TRYING
from tests.protocol.session_world import WANTED, World, most_in_an_hour

IDS = st.sampled_from(["a", "b", "session-1", ""])
SEQS = st.none() | st.integers(1, 30)
SECONDS = st.sampled_from([0.0, 1.0, 45.0, 3600.0, 86400.0, 1e12, -5.0, math.nan, math.inf])
CODES = st.none() | st.sampled_from([*map(int, m.CLOSE_ACTIONS), 1011, 4555])
LEFT = st.sampled_from([-1, 0, 1, 50, 999])

NUMBERED: dict[str, st.SearchStrategy[Callable[[int], m.Event]]] = {
    "woke": st.just(m.Woke),
    "located": st.builds(lambda left, s: lambda g: m.Located(g, left, s), st.none() | LEFT, SECONDS),
    "locate failed": st.builds(lambda t: lambda g: m.LocateFailed(g, t, "x"), st.sampled_from(Trouble)),
    "opened": st.just(m.Opened),
    "open failed": st.just(lambda g: m.OpenFailed(g, "x")),
    "hello": st.builds(lambda s: lambda g: m.Hello(g, s), SECONDS),
    "reserved": st.builds(lambda left, s: lambda g: m.Reserved(g, left, s), LEFT, SECONDS),
    "reserve failed": st.just(m.ReserveFailed),
    "ready": st.builds(lambda i, s: lambda g: m.Ready(g, i, s), IDS, SEQS),
    "resumed": st.builds(lambda s: lambda g: m.Resumed(g, s), SEQS),
    "dispatch": st.builds(lambda s: lambda g: m.Dispatch(g, s), SEQS),
    "garbage": st.just(m.Garbage),
    "store failed": st.just(lambda g: m.StoreFailed(g, "x")),
    "ack": st.just(m.Ack),
    "beat asked": st.just(m.BeatAsked),
    "reconnect": st.just(m.ReconnectAsked),
    "invalid": st.builds(lambda r: lambda g: m.Invalid(g, r), st.booleans()),
    "closed": st.builds(lambda c: lambda g: m.Closed(g, c), CODES),
}
ANY = st.one_of(*NUMBERED.values())
NEXT = {
    Phase.WAITING: ("woke",),
    Phase.BLOCKED: ("woke",),
    Phase.LOCATING: ("located", "located", "located", "locate failed"),
    Phase.OPENING: ("opened", "opened", "opened", "closed"),
    Phase.GREETING: ("hello",),
    Phase.RESERVING: ("reserved",),
    Phase.IDENTIFYING: ("ready", "ready", "invalid", "closed"),
    Phase.RESUMING: ("resumed", "resumed", "dispatch", "invalid", "closed"),
    Phase.LIVE: ("dispatch", "dispatch", "ready", "ack", "closed", "reconnect", "store failed", "invalid"),
    Phase.LINGERING: ("closed",),
}


class SessionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state = m.initial(WANTED, 7200.0)
        self.attempts: list[float] = []
        self.identifies: list[float] = []
        self.feed(m.Start())

    def feed(self, event: m.Event) -> tuple[m.Command, ...]:
        before = self.state
        self.state, commands = m.step(before, event, self.now)
        check(before, event, self.state, commands, self.now)
        self.attempts += [self.now for command in commands if isinstance(command, m.Locate)]
        assert most_in_an_hour(self.attempts) <= 70
        for command in commands:
            if isinstance(command, m.SendIdentify):
                assert not self.identifies or self.now - self.identifies[-1] >= limits.IDENTIFY_SPACING_S - 0.5
                self.identifies.append(self.now)
        return commands

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 20.0, 61.0, 400.0, 7200.0, 200_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wake_up(self) -> None:
        """Time passes to the next deadline; then the machine asks for no second Tick at once, nor for ever."""
        self.now = max(self.now, self.state.wake_at or self.now)
        for _ in range(4):
            self.feed(m.Tick())
        assert self.state.wake_at is None or self.state.wake_at > self.now

    @rule(steps=st.integers(1, 12), data=st.data())
    def what_is_due(self, steps: int, data: st.DataObject) -> None:
        """The attempt goes on, mostly well, from wherever it stands."""
        for _ in range(steps):
            phase = self.state.phase
            if self.state.next_try_at is not None:
                self.now = max(self.now, self.state.next_try_at[0])
            if phase in NEXT:
                kind = data.draw(st.sampled_from(NEXT[phase]))
                self.feed(data.draw(NUMBERED[kind])(self.state.generation))

    @rule(seconds=st.sampled_from([0.1, 6.0, 70.0]))
    def it_goes_well(self, seconds: float) -> None:
        """A benign platform brings it to LIVE, and some time passes there."""
        world = World(now=self.now)
        world.state = self.state
        world.step = self.world_step
        if self.state.session is not None:
            world.platform.session, world.platform.newest = self.state.session.id, self.state.session.seen
        world.run(2000, until=lambda: world.state.phase in {Phase.LIVE, Phase.STOPPED})
        world.run(seconds)
        self.now = world.now

    def world_step(self, state: m.State, event: m.Event, now: float) -> tuple[m.State, tuple[m.Command, ...]]:
        assert state == self.state
        self.now = now
        commands = self.feed(event)
        return self.state, commands

    @rule(make=ANY)
    def anything(self, make: Callable[[int], m.Event]) -> None:
        self.feed(make(self.state.generation))

    @rule(make=ANY, age=st.integers(1, 3))
    def something_old(self, make: Callable[[int], m.Event], age: int) -> None:
        before = self.state
        self.feed(make(before.generation - age))
        assert self.state == before

    @rule(session_id=IDS, seq=st.integers(-1, 40))
    def stored(self, session_id: str, seq: int) -> None:
        self.feed(m.Stored(session_id, seq))

    @rule()
    @precondition(lambda self: self.state.session is not None)
    def all_stored(self) -> None:
        session = self.state.session
        assert session is not None
        self.feed(m.Stored(session.id, session.seen))

    @precondition(lambda self: len(self.attempts) % 5 == 4)
    @rule(
        ages=st.lists(st.sampled_from([-3.0, 0.0, 0.2, 100.0, 90_000.0]), max_size=6),
        session=st.booleans(),
        granted=st.none()
        | st.builds(
            m.Granted,
            st.sampled_from([WANTED, 1 << 25]),
            st.sampled_from([WANTED, 1 << 25 | 1 << 30, 1 << 25]),
            st.just("x"),
            st.sampled_from([0.0, 86_000.0, 1e9]),
        ),
    )
    def restart(self, *, ages: list[float], session: bool, granted: m.Granted | None) -> None:
        self.feed(m.Stop())
        self.feed(m.Woke(self.state.generation))
        self.feed(m.Start(m.Session("session-1", 9, 7) if session else None, tuple(ages), 0.0, granted))

    def teardown(self) -> None:
        """With a benign platform it reaches LIVE: inside a cap interval, a probe or the budget's wait."""
        world = World(now=self.now)
        world.state = self.state
        if self.state.phase is Phase.STOPPED:
            world.start()
        holds = [self.state.deadline, self.state.identify_after]
        longest = max([hold for hold in holds if hold < math.inf] + [self.now]) - self.now
        bound = longest + 60 * limits.JITTER[1] * 3 + limits.BUDGET_WAIT_S[1] + 300
        world.run(bound, until=lambda: world.state.phase is Phase.LIVE)
        assert world.state.phase is Phase.LIVE, f"{world.state} after {bound} s"


def check(s: m.State, event: m.Event, after: m.State, commands: tuple[m.Command, ...], now: float) -> None:
    """What holds for every single step."""
    kinds = [type(command) for command in commands]
    generation = getattr(event, "generation", s.generation)
    if generation != s.generation:
        assert (after, commands) == (s, ())
        return
    if s.phase is Phase.STOPPED and not isinstance(event, m.Start):
        assert (after, commands) == (s, ())
        return
    assert after.generation >= s.generation
    assert (after.deadline == math.inf) == (after.phase is Phase.STOPPED)
    assert after.deadline <= now + 86400 or after.phase in {Phase.LIVE, Phase.STOPPED}
    assert after.next_beat < math.inf or after.phase is not Phase.LIVE
    assert after.phase is Phase.LIVE or not after.connected
    assert (kinds.count(m.Sleep) == 1) == (
        after.phase in {Phase.WAITING, Phase.BLOCKED} and after.generation > s.generation
    )
    if s.phase in TRYING and after.phase not in TRYING:
        gone = isinstance(event, m.Closed | m.OpenFailed | m.LocateFailed)
        assert (m.Close in kinds) is not gone
    cursor(s, event, after)
    for command in commands:
        session = after.session
        match command:
            case m.Sleep(number, low, high):
                assert number == after.generation
                assert 0 <= low <= high < math.inf
                assert after.next_try_at == (now + low, now + high)
                assert after.deadline == now + high
            case m.SendResume(number, session_id, stored):
                assert s.session is not None
                assert (number, session_id, stored) == (s.generation, s.session.id, s.session.stored)
            case m.Beat(_, stored):
                assert stored == ((session.stored or None) if session else None)
            case m.SendIdentify():
                assert isinstance(event, m.Reserved)
                assert event.left > 0
                assert s.phase is Phase.RESERVING
                assert session is None
                assert command.intents & (1 << 25)
            case m.Keep(True):
                assert session is not None
                assert s.phase in {Phase.LIVE, Phase.RESUMING, Phase.IDENTIFYING}
            case m.MarkReady(session_id):
                assert kinds[0] is m.MarkReady
                assert kinds[-1] is m.Keep
                assert session is not None
                assert session.id == session_id
            case m.MarkWhole(session_id, stored):
                assert session is not None
                assert (session_id, stored) == (session.id, session.seen)
                assert s.phase is Phase.LIVE
            case m.RecordGap():
                assert command.done
                assert isinstance(event, m.Ready | m.Resumed)
                assert after.gap is None
            case _:
                pass


def cursor(s: m.State, event: m.Event, after: m.State) -> None:
    """The cursor of a session only moves forward; a session that is lost is owed as a gap until it is recorded."""
    old, new = s.session, after.session
    if new is not None:
        assert new.stored <= new.seen
    if isinstance(event, m.Start):
        return
    if old is not None and new is not None and old.id == new.id and not isinstance(event, m.Ready):
        assert new.stored >= old.stored
        assert new.seen >= old.seen
        assert new.stored == old.stored or isinstance(event, m.Stored)
    if old is not None and new is None:
        assert after.gap is not None
    if s.gap is not None:
        assert after.gap is not None or isinstance(event, m.Ready | m.Resumed)


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(
    max_examples=80, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
