"""A session machine, a platform and a clock that jumps: what the session tests run."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable
from typing import TypeVar

from buoy.protocol import session as m

WANTED = 1 << 9 | 1 << 12 | 1 << 24 | 1 << 25 | 1 << 26 | 1 << 30
C = TypeVar("C")
Step = Callable[[m.State, m.Event, float], tuple[m.State, tuple[m.Command, ...]]]
Later = Iterable[tuple[float, m.Event]]
"""Events with the seconds until they happen."""


class Platform:
    """A platform without faults, with the driver's part of the work. Tests override single answers."""

    def __init__(self) -> None:
        self.left = 1000
        self.reset_s = 86400.0
        self.sessions = 0
        self.session = ""
        self.newest = 0
        self.interval_s = 45.0

    def locate(self, command: m.Locate) -> Later:
        return [(0.05, m.Located(command.generation, self.left, self.reset_s))]

    def open(self, command: m.Open) -> Later:
        return [(0.05, m.Opened(command.generation)), (0.08, m.Hello(command.generation, self.interval_s))]

    def reserve(self, command: m.Reserve) -> Later:
        return [(0.01, m.Reserved(command.generation, self.left, self.reset_s))]

    def identify(self, command: m.SendIdentify) -> Later:
        self.left -= 1
        self.sessions += 1
        self.session = f"session-{self.sessions}"
        self.newest = 1
        return [(0.05, m.Ready(command.generation, self.session, 1))]

    def resume(self, command: m.SendResume) -> Later:
        generation = command.generation
        if command.session_id != self.session:
            return [(0.05, m.Invalid(generation, False)), (0.06, m.Closed(generation, 4006))]
        self.newest += 1
        replay = [m.Dispatch(generation, seq) for seq in range(command.stored + 1, self.newest)]
        return [(0.05, event) for event in replay] + [(0.05, m.Resumed(generation, self.newest))]

    def beat(self, command: m.Beat) -> Later:
        return [(0.03, m.Ack(command.generation))]

    def store(self, session_id: str, seq: int, generation: int) -> Later:
        return [(0.005, m.Stored(session_id, seq))]


class World:
    """Runs one machine against one platform. ``draw`` picks from a window."""

    def __init__(
        self,
        platform: Platform | None = None,
        *,
        step: Step = m.step,
        draw: Callable[[float, float], float] | None = None,
        wanted: int = WANTED,
        now: float = 1000.0,
    ) -> None:
        self.platform = platform or Platform()
        self.step = step
        self.draw = draw or random.Random(7).uniform
        self.state = m.initial(wanted)
        self.now = now
        self.heap: list[tuple[float, int, m.Event]] = []
        self.count = 0
        self.sent: list[tuple[float, m.Command]] = []
        self.phases: list[tuple[float, m.Phase]] = []

    def later(self, delay: float, event: m.Event) -> None:
        self.count += 1
        heapq.heappush(self.heap, (self.now + delay, self.count, event))

    def start(self, session: m.Session | None = None, unready: tuple[float, ...] = (), age_s: float = 0.0) -> None:
        self.feed(m.Start(session, unready, age_s))

    def feed(self, event: m.Event) -> tuple[m.Command, ...]:
        before = self.state
        self.state, commands = self.step(before, event, self.now)
        if self.state.phase is not before.phase:
            self.phases.append((self.now, self.state.phase))
        for command in commands:
            self.sent.append((self.now, command))
            self.obey(command, event)
        return commands

    def obey(self, command: m.Command, event: m.Event) -> None:
        platform = self.platform
        later: Later = []
        match command:
            case m.Sleep(generation, low, high):
                later = [(self.draw(low, high), m.Woke(generation))]
            case m.Locate():
                later = platform.locate(command)
            case m.Open():
                later = platform.open(command)
            case m.Reserve():
                later = platform.reserve(command)
            case m.SendIdentify():
                later = platform.identify(command)
            case m.SendResume():
                later = platform.resume(command)
            case m.Beat():
                later = platform.beat(command)
            case m.Keep(True):
                seq, session = getattr(event, "seq", None), self.state.session
                assert session is not None
                if seq is not None:
                    later = platform.store(session.id, seq, self.state.generation)
        for delay, what in later:
            self.later(delay, what)

    def run(self, seconds: float = math.inf, until: Callable[[], bool] = lambda: False, limit: int = 500_000) -> None:
        """Let time pass until ``until`` holds or the seconds are over."""
        end = self.now + seconds
        for _ in range(limit):
            if until():
                return
            wake_at = self.state.wake_at
            due = min(self.heap[0][0] if self.heap else math.inf, math.inf if wake_at is None else wake_at)
            if due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            ready = self.heap and self.heap[0][0] <= self.now
            self.feed(heapq.heappop(self.heap)[2] if ready else m.Tick())
        raise AssertionError(f"hot loop in {self.state.phase} at {self.now}")

    def run_until(self, phase: m.Phase, seconds: float = math.inf) -> None:
        started = self.now
        self.run(seconds, lambda: self.state.phase is phase)
        assert self.state.phase is phase, f"{self.state.phase} after {self.now - started:.1f} s, not {phase}"

    def run_until_sent(self, kind: type[m.Command], count: int = 1) -> None:
        self.run(until=lambda: len(self.times(kind)) >= count)

    def live(self) -> World:
        """Start and reach LIVE."""
        self.start()
        self.run_until(m.Phase.LIVE, 5)
        self.run(0.1)
        return self

    def push(self, make: Callable[..., m.Event], *args: object) -> None:
        """Report an event of the current generation."""
        self.feed(make(self.state.generation, *args))

    def dispatch(self, count: int = 1) -> None:
        for _ in range(count):
            self.platform.newest += 1
            self.feed(m.Dispatch(self.state.generation, self.platform.newest))

    def times(self, kind: type[m.Command]) -> list[float]:
        return [at for at, command in self.sent if isinstance(command, kind)]

    @property
    def gaps(self) -> list[tuple[str, int, m.Trouble] | None]:
        return [told(gap) for gap in self.commands(m.RecordGap)]

    def commands(self, kind: type[C]) -> list[C]:
        return [command for _, command in self.sent if isinstance(command, kind)]


def told(gap: m.RecordGap | None) -> tuple[str, int, m.Trouble] | None:
    """A gap without the sentence about it."""
    return None if gap is None else (gap.session_id, gap.stored, gap.cause)


def most_in_an_hour(times: list[float]) -> int:
    """Return the greatest number of them inside any 3,600 s."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 3600:
            first += 1
        most = max(most, last - first + 1)
    return most
