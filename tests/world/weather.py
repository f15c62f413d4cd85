"""What goes wrong, how long, and how often: every kind of fault of the world, drawn from the seed.

A fault begins, lasts and ends. While one is on nothing is promised about time; once the last one is over, the bounds of
the fault table hold. The platform's own faults are the simulator's, switched on by name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.world.world import World

Undo = Callable[[], None]

TRIVIAL, MINUTES, LONG = (0.0, 0.0), (5.0, 400.0), (2 * 3600.0, 5 * 3600.0)
DROPPING = (4003, 4005, 4006, 4007, 4900, 4902, 4905, 4913)
KEEPING = (1000, 1001, 4000, 4008, 4009)


def _nothing() -> None:
    """A fault that is over at once."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault. ``touches`` says what it may delay: ws, rest, disk, process, agent."""

    name: str
    weight: float
    lasts: tuple[float, float]
    touches: str
    begin: Callable[[World, random.Random, float], Undo]
    """Begins it for so many seconds, and returns what ends it."""


def _sim(
    kind: str, *, cuts: bool = False, forgets: bool = False, **parameters: Any
) -> Callable[[World, random.Random, float], Undo]:
    """A fault of the simulator, until it is taken away or used up; a parameter may be a list to choose from.

    ``cuts`` resets the connections as it begins, ``forgets`` also loses the sessions, so that it is met.
    """

    def begin(world: World, draw: random.Random, _: float) -> Undo:
        chosen = {name: draw.choice(value) if isinstance(value, list) else value for name, value in parameters.items()}
        fault = world.platform.faults.add(kind, **chosen)
        if forgets:
            world.lose_sessions()
        elif cuts:
            world.network.cut()

        def end() -> None:
            world.platform.faults.remove(fault.id)
            if kind == "deaf_session":
                for session in world.platform.sessions.of():
                    session.deaf = False

        return end

    return begin


def _switch(name: str) -> Callable[[World, random.Random, float], Undo]:
    """A switch of the network that is thrown and thrown back."""

    def begin(world: World, _: random.Random, __: float) -> Undo:
        setattr(world.network, name, True)
        if name == "is_refusing":
            world.network.cut()
        return lambda: setattr(world.network, name, False)

    return begin


def _cut(world: World, _: random.Random, __: float) -> Undo:
    world.network.cut()
    return _nothing


def _half_open(world: World, _: random.Random, __: float) -> Undo:
    world.network.go_deaf()
    return _nothing


def _partition(world: World, _: random.Random, __: float) -> Undo:
    world.network.is_partitioned = True
    return world.network.heal


def _bug(world: World, draw: random.Random, _: float) -> Undo:
    world.network.raises = draw.choice([ValueError("a bug"), KeyError("another"), RuntimeError("a third")])
    return lambda: setattr(world.network, "raises", None)


def _platform_restart(world: World, _: random.Random, __: float) -> Undo:
    world.lose_sessions()
    return _nothing


def _full_disk(world: World, _: random.Random, __: float) -> Undo:
    world.disk.is_full = True
    return lambda: setattr(world.disk, "is_full", False)


def _slow_disk(world: World, draw: random.Random, _: float) -> Undo:
    world.disk.commit_s = draw.choice([0.05, 0.5, 3.0, 30.0])
    return lambda: setattr(world.disk, "commit_s", 0.002)


def _hiccup(world: World, draw: random.Random, _: float) -> Undo:
    """One commit is refused while messages follow each other closely: what comes after it must not pass over it."""
    place = draw.choice(world.places)
    world.disk.refuse = 1
    for n in range(4):
        world.heap.later(n * 0.0015, world.talk_in, place)
    if draw.random() < 0.6:
        world.heap.later(draw.uniform(0.02, 0.15), world.kill)
    return _nothing


def _lost_disk(world: World, _: random.Random, __: float) -> Undo:
    world.disk.is_lost = True
    return lambda: setattr(world.disk, "is_lost", False)


def _freeze(world: World, _: random.Random, lasts: float) -> Undo:
    world.freeze(lasts, clock_stops=False)
    return _nothing


def _suspend(world: World, _: random.Random, lasts: float) -> Undo:
    world.freeze(lasts, clock_stops=True)
    return _nothing


def _clock_jump(world: World, draw: random.Random, _: float) -> Undo:
    world.jump_s += (jump := draw.choice([-3600.0, -90.0, 90.0, 3600.0]))

    def back() -> None:
        world.jump_s -= jump

    return back


def _stop(world: World, draw: random.Random, _: float) -> Undo:
    world.restart(draw.choice([0.5, 5.0, 60.0]))
    return _nothing


def _stop_in_outage(world: World, draw: random.Random, lasts: float) -> Undo:
    """The job at 23:50 and the power switch at 23:51: a machine goes down while QQ is out of reach."""
    world.network.is_refusing = True
    world.network.cut()
    world.heap.later(draw.uniform(0.0, lasts), world.restart, draw.choice([0.5, 30.0]))
    return lambda: setattr(world.network, "is_refusing", False)


def _long_stop(world: World, draw: random.Random, _: float) -> Undo:
    world.restart(draw.choice([400.0, 4000.0]))
    return _nothing


KINDS = (
    # the network
    Kind("connections reset", 6, TRIVIAL, "ws", _cut),
    Kind("half-open", 5, TRIVIAL, "ws", _half_open),
    Kind("refused", 5, MINUTES, "ws rest", _switch("is_refusing")),
    Kind("refused for hours", 0.6, LONG, "ws rest", _switch("is_refusing")),
    Kind("partition", 5, MINUTES, "ws rest", _partition),
    Kind("accepted, then cut", 3, MINUTES, "ws", _switch("drops_sockets")),
    Kind("upgrade refused", 3, MINUTES, "ws", _sim("upgrade_status", cuts=True, status=[403, 502, 503])),
    # the gateway
    Kind("close code that keeps the session", 5, TRIVIAL, "ws", _sim("ws_close", code=list(KEEPING))),
    Kind("close code that ends the session", 3, TRIVIAL, "ws", _sim("ws_close", code=list(DROPPING))),
    Kind("authentication failed", 2, TRIVIAL, "ws", _sim("ws_close", code=4004)),
    Kind("op 7", 5, TRIVIAL, "ws", _sim("op7", mode=["now", "late", "none", "only4009"])),
    Kind("op 7 storm", 1, (30.0, 900.0), "ws", _sim("op7", mode="now", count=None, seconds=[0.0, 3.0])),
    Kind("op 9", 3, TRIVIAL, "ws", _sim("op9", resumable=[True, False], code=[0, 4006, 4009])),
    Kind("malformed frame", 2, TRIVIAL, "", _sim("malformed_frame", text=["{", '{"op":0', "[]", '{"op":"x"}', "null"])),
    Kind("heartbeat asked", 2, TRIVIAL, "", _sim("op1")),
    Kind("no acks", 4, MINUTES, "ws", _sim("drop_acks")),
    Kind("no HELLO", 3, MINUTES, "ws", _sim("no_hello", cuts=True)),
    Kind("no READY", 2, MINUTES, "ws", _sim("no_ready", forgets=True)),
    Kind("no RESUMED", 3, MINUTES, "ws", _sim("no_resumed", cuts=True)),
    Kind(
        "IDENTIFY refused",
        2,
        MINUTES,
        "ws block",
        _sim("refuse_identify", forgets=True, mode=["op9_then_4014", "op9_then_4903", "op9_eof", "close4014", "op9"]),
    ),
    Kind("RESUME refused", 3, MINUTES, "ws", _sim("refuse_resume", cuts=True, mode=["4006", "4007", "4902", "op9"])),
    Kind(
        "dropped after READY",
        3,
        MINUTES,
        "ws",
        _sim("drop_after_ready", cuts=True, count=None, seconds=[0.0, 2.0, 61.0]),
    ),
    Kind("deaf session", 0.5, MINUTES, "ws deaf", _sim("deaf_session")),
    Kind("events twice", 3, MINUTES, "", _sim("duplicate_events")),
    Kind("sessions lost at QQ", 2, TRIVIAL, "ws", _platform_restart),
    Kind("banned", 1, MINUTES, "ws rest block", _sim("banned")),
    Kind("taken down", 1, MINUTES, "ws rest block", _sim("taken_down")),
    Kind("IP not allowed", 1, MINUTES, "ws rest block", _sim("ip_refused", cuts=True)),
    # REST
    Kind("token endpoint down", 3, MINUTES, "ws rest", _sim("token_down", cuts=True)),
    Kind("tokens revoked", 3, TRIVIAL, "rest", _sim("revoke_tokens")),
    Kind("secret refused", 1, MINUTES, "ws rest block", _sim("bad_secret", cuts=True)),
    Kind(
        "look-up fails",
        3,
        MINUTES,
        "ws",
        _sim("http_status", cuts=True, endpoint="gateway", status=[404, 500, 502, 504], body=["json", "html"]),
    ),
    Kind(
        "send fails before",
        5,
        MINUTES,
        "rest",
        _sim("http_status", endpoint="send", status=[500, 502, 503, 504, 408], body=["json", "html"]),
    ),
    Kind(
        "send fails after",
        5,
        MINUTES,
        "rest",
        _sim("http_status", endpoint="send", mode="after", status=[500, 502, 504], body=["json", "html"]),
    ),
    Kind(
        "too many requests",
        3,
        MINUTES,
        "rest",
        _sim("http_status", endpoint="send", status=429, retry_after=[None, 1.0, 20.0]),
    ),
    Kind("answers lost", 5, MINUTES, "rest", _sim("accept_then_reset")),
    Kind("send hangs", 3, MINUTES, "rest", _sim("hang", endpoint="send", mode=["before", "after"])),
    Kind(
        "send slow",
        3,
        MINUTES,
        "rest",
        _sim("slow", endpoint="send", mode=["before", "after"], seconds=[2.0, 12.0, 40.0]),
    ),
    Kind("errors with 200", 2, MINUTES, "", _sim("errors_with_200")),
    Kind("a bug below", 2, TRIVIAL, "ws rest", _bug),
    # the machine
    Kind("disk full", 4, MINUTES, "disk", _full_disk),
    Kind("one commit refused in a burst", 3, TRIVIAL, "disk process", _hiccup),
    Kind("disk slow", 4, MINUTES, "disk", _slow_disk),
    Kind("fsync fails", 1, (1.0, 60.0), "disk process", _lost_disk),
    Kind("process stands still", 4, (2.0, 150.0), "process", _freeze),
    Kind("machine suspended", 2, (30.0, 3600.0), "process", _suspend),
    Kind("clock jumps", 2, MINUTES, "clock", _clock_jump),
    Kind("QQ's clock is off", 2, MINUTES, "clock", _sim("clock_skew", seconds=[-40.0, 40.0, 200.0])),
    Kind("stopped and started", 4, TRIVIAL, "process", _stop),
    Kind("stopped in an outage", 2, (10.0, 120.0), "ws rest process", _stop_in_outage),
    Kind("stopped for long", 0.7, TRIVIAL, "process", _long_stop),
)
"""Kills are no kind: a crash a day comes on top of ten faults."""


class Weather:
    """The faults of one world."""

    def __init__(self, world: World, draw: random.Random, kinds: tuple[Kind, ...] = KINDS) -> None:
        self._world = world
        self._draw = draw
        self._kinds = kinds
        self.active: dict[int, tuple[Kind, Undo]] = {}
        self.spans: list[tuple[float, float, Kind]] = []
        """What was on, from when to when."""
        self.begun: dict[str, int] = {}
        self.ended_at = 0.0
        self.on_calm: Callable[[], None] = _nothing
        """Called whenever the last fault is over."""
        self._next = 0

    def plan(self, days: float, per_day: float) -> int:
        """Put the faults of all days on the heap."""
        count = 0
        at = 0.0
        while (at := at + self._draw.expovariate(per_day / 86400)) < days * 86400:
            self._world.heap.at(at, self.strike)
            count += 1
        return count

    def strike(self, kind: Kind | None = None) -> None:
        kind = kind or self._draw.choices(self._kinds, [k.weight for k in self._kinds], k=1)[0]
        if any(kind.name == on.name for on, _ in self.active.values()):
            return
        self._next += 1
        number = self._next
        self.begun[kind.name] = self.begun.get(kind.name, 0) + 1
        lasts = self._draw.uniform(*kind.lasts)
        self._world.act(f"fault: {kind.name}" + (f" for {lasts:.0f} s" if lasts else ""))
        undo = kind.begin(self._world, self._draw, lasts)
        now = self._world.heap.now
        self.active[number] = (kind, undo)
        self.spans.append((now, now + lasts, kind))
        self._world.write_during(lasts)
        if lasts:
            self._world.heap.later(lasts, self.end, number)
        else:
            self.end(number)

    def end(self, number: int) -> None:
        found = self.active.pop(number, None)
        if found is not None:
            found[1]()
            self.ended_at = self._world.heap.now
            if found[0].lasts[1]:
                self._world.act(f"over: {found[0].name}")
            if not self.active:
                self.on_calm()

    def clear(self) -> None:
        """End everything."""
        for number in list(self.active):
            self.end(number)
        self._world.platform.faults.remove()
