"""The world: real Buoys on an event heap, a fake QQ, people, weather, and a judge. One seed is one history.

Everything below the sockets is real: the App with its session machines, inbox, outbox, planner and supervisor, on real
SQLite. The platform is the simulator's pure core. Only the wires, the disk's commit and the clock are the world's.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from buoy.errors import NotStoredError
from buoy.gateway import app, intake
from buoy.gateway.app import App
from buoy.sim.events import Meeting, Speech, meet, say
from buoy.sim.peer import Peer
from buoy.sim.settings import Settings
from buoy.sim.world import World as Platform
from tests.world.disk import Disk
from tests.world.heap import Heap
from tests.world.network import Network
from tests.world.people import Agents, Place, Talk, draw_talk, places
from tests.world.process import Process
from tests.world.weather import Weather

EPOCH = 1_790_000_000.0  # wall seconds at world time 0
SETTLE_S = 45 * 60.0
FLUSH_S = 10 * 60.0
FLUSHES = 3


@dataclass
class Knobs:
    """What differs from world to world."""

    bots: int
    heartbeat_s: float
    lifetime_s: float | None
    identifies: int
    relaxed: bool = False

    @classmethod
    def draw(cls, draw: random.Random) -> Knobs:
        return cls(
            bots=draw.choice([*[1] * 8, 2]),
            heartbeat_s=draw.choice([45.0, 90.0, *[120.0] * 14]),
            lifetime_s=draw.choice([1800.0, 3900.0, None, None]),
            identifies=draw.choice([1000, 1000, 1000, 80]),
        )


@dataclass
class Cron:
    """A message that answers nothing, asked for by a script that repeats it with the same key until it is stored."""

    number: int
    target: str
    scene: str
    bot: str
    at: float
    is_stored: bool = False

    @property
    def mark(self) -> str:
        return f"s{self.number}"


@dataclass
class Violation:
    """One broken invariant."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


class Broken(Exception):  # noqa: N818  it names what happened
    """An invariant does not hold; the history up to here is in the report."""


@dataclass
class World:
    """One history."""

    seed: int
    days: float = 4.0
    messages: float = 17.5  # a quarter of them bring another one, each fault brings more, and so do the last hours
    faults: float = 10.3
    crashes: float = 1.0
    build: Any = App
    heap: Heap = field(default_factory=Heap)
    jump_s: float = 0.0
    """How far the processes' wall clock is off."""
    process: Process | None = None
    actions: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    ends: list[tuple[float, str]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    opened: list[tuple[str, str, float]] = field(default_factory=list)
    """Sessions that the platform opened: bot, id, when."""
    needless: list[tuple[str, int | None]] = field(default_factory=list)
    """Sessions that QQ still had when the bot identified anew, and the code that its connection had ended with."""
    slowest: dict[str, float] = field(default_factory=dict)
    """The longest way back to READY after the last fault, in seconds, by what stood in it."""
    telling: Any = None
    """Who is told of troubles in this world, if anybody: `tests.world.telling`."""
    verbose: bool = False
    on_action: Any = None

    def __post_init__(self) -> None:
        self.draw = random.Random(f"world/{self.seed}")
        self.knobs = Knobs.draw(self.draw)
        knobs = self.knobs
        settings = Settings(
            heartbeat_s=knobs.heartbeat_s, lifetime_s=knobs.lifetime_s, identifies_per_day=knobs.identifies
        )
        self.platform = Platform(settings, self.seed, EPOCH)
        self.bots = {f"10200000{n}": f"SIMSECRETSIMSECRET{n:02}" for n in range(1, knobs.bots + 1)}
        for app_id, secret in self.bots.items():
            self.platform.add_bot(app_id, secret)
        self.platform.on_agenda = self._arm
        self._armed: Any = None
        self.network = Network(self.heap, self.platform, self.platform_wall, random.Random(f"network/{self.seed}"))
        self.disk = Disk(random.Random(f"disk/{self.seed}"))
        self.agents = Agents(self._poisoned)
        self.places = places(list(self.bots))
        self.talks: list[Talk] = []
        self.crons: list[Cron] = []
        self.graveyard: list[Process] = []
        """Dead processes are kept, so that nothing of them is cleaned up in the middle of the history."""
        self.weather = Weather(self, random.Random(f"weather/{self.seed}"))
        self.is_over = False
        self._away_s: float | None = None
        self._watch_sessions()

    # --- time ---

    def platform_wall(self) -> float:
        return EPOCH + self.heap.now

    def wall(self) -> float:
        return EPOCH + self.heap.now + self.jump_s

    def act(self, what: str) -> None:
        """Note one action of the world."""
        day, rest = divmod(self.heap.now, 86400)
        line = f"day {int(day)} {int(rest // 3600):02}:{int(rest % 3600 // 60):02}:{rest % 60:06.3f}  {what}"
        self.actions.append(line)
        if self.verbose:
            print(line)
        if self.on_action is not None:
            self.on_action(self.heap.now, what)

    def break_(self, invariant: str, text: str) -> None:
        """An invariant does not hold."""
        self.violations.append(Violation(invariant, text))
        self.act(f"BROKEN {invariant}: {text}")

    # --- the platform ---

    def _arm(self) -> None:
        due = self.platform.next_due()
        if self._armed is not None:
            self._armed.cancel()
        self._armed = None if due is None else self.heap.at(due - EPOCH, self._run_due)

    def _run_due(self) -> None:
        self._armed = None
        self.platform.run_due(self.platform_wall() + 1e-6)
        self._arm()

    def _watch_sessions(self) -> None:
        """Note each session that is opened, and whether the one before could still have been resumed."""
        sessions, opened = self.platform.sessions, self.platform.sessions.open

        def open_(bot: Any, intents: int, shard: tuple[int, int]) -> Any:
            now = self.platform_wall()
            newest = next((session for app_id, session, _ in reversed(self.opened) if app_id == bot.app_id), None)
            for old in sessions.of(bot):
                resumable = old.gone_at is None or now - old.gone_at < self.platform.settings.resume_s
                if old.id == newest and resumable and not old.deaf:
                    self.needless.append((old.id, self.network.last_end.get(bot.app_id)))
            session = opened(bot, intents, shard)
            self.opened.append((bot.app_id, session.id, self.heap.now))
            return session

        sessions.open = open_  # type: ignore[method-assign]

    def lose_sessions(self) -> None:
        """The platform forgets every session and closes its connections."""
        for peer in self.network.peers:
            peer.close(4006, "session invalid")
        for session in self.platform.sessions.of():
            self.platform.sessions.drop(session)

    def peers(self, bot: str) -> list[Peer]:
        return [peer for peer in self.network.peers if peer.session is not None and peer.session.bot.app_id == bot]

    # --- processes ---

    def start(self) -> None:
        if self.is_over or (self.process is not None and self.process.is_up):
            return
        self.counts["starts"] += 1
        self.starts.append(self.heap.now)
        self.act("process starts")
        self.process = Process(
            self.heap, self.network, self.disk, self.bots, self.agents.build,
            wall=self.wall, draw=self.draw, on_end=self._ended, build=self.build,
        )  # fmt: skip

    def _ended(self, process: Process, how: str) -> None:
        self.act(f"process ended: {how}")
        self.ends.append((self.heap.now, how))
        self.counts[f"end: {how}"] += 1
        self.graveyard.append(process)
        self.inspect(process)
        if process.stop_took_s is not None:
            self.stops.append(process.stop_took_s)
        after_s, self._away_s = self._away_s, None
        self.heap.later(self.draw.choice([0.2, 2.0, 10.0]) if after_s is None else after_s, self.start)

    def inspect(self, process: Process) -> None:
        """Look at what a process leaves in memory: errors that nobody looked at, jobs that failed."""
        for error in process.loop.unseen:
            self.break_("nothing fails unseen", error)
        process.loop.unseen.clear()
        if process.app is not None and process.app.supervisor.job_failures:
            self.break_("nothing fails unseen", f"{process.app.supervisor.job_failures} jobs failed")

    def kill(self) -> None:
        self.heap.on_step = None
        if self.process is not None and self.process.is_up:
            self.counts["kills"] += 1
            self.process.kill()

    def kill_soon(self, steps: int) -> None:
        """Kill the process before one of its next callbacks: at any step of whatever it is doing."""
        left = steps

        def count() -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                self.kill()

        self.heap.on_step = count

    def _poisoned(self) -> None:
        self.counts["poisoned"] += 1
        if self.process is not None and self.process.is_up:
            self.process.kill()

    def restart(self, after_s: float) -> None:
        """Stop it in good order, and start it again later."""
        if self.process is not None and self.process.is_up:
            self._away_s = after_s
            self.process.stop()

    def freeze(self, seconds: float, *, clock_stops: bool) -> None:
        process = self.process
        if process is not None and process.is_up and process.loop.stands_until is None:
            process.loop.stand(seconds, clock_stops=clock_stops)
            self.counts["freezes"] += 1

    # --- traffic ---

    def talk(self, *, is_flush: bool = False, place: Place | None = None) -> None:
        """Somebody writes."""
        number = len(self.talks)
        talk = draw_talk(number, place or self.draw.choice(self.places), self.heap.now, self.draw)
        if is_flush:
            talk.text, talk.kind, talk.parts, talk.fails = f"{number} echo 1 0 0", "echo", 1, 0
            talk.is_flush = True
        now = self.platform_wall()
        speech = Speech(
            text=talk.text, user=talk.room, room=talk.room, scene=talk.scene, bot=talk.bot,
            both=talk.scene == "group" and self.draw.random() < 0.15,
            full=talk.scene == "group" and self.draw.random() < 0.2,
        )  # fmt: skip
        said = say(self.platform, speech, now)
        talk.id, talk.target = said.id, said.target
        bot = self.platform.bots[talk.bot]
        talk.is_unasked = not said.heard and any(not s.deaf for s in self.platform.sessions.of(bot))
        for session in self.platform.sessions.of(bot):
            talk.is_deaf = talk.is_deaf or session.deaf
            if session.buffer and said.heard:
                needle = said.id.encode()
                found = [s for s, frame in list(session.buffer)[-4:] if needle in frame]
                if found:
                    talk.put.append((session.id, min(found)))
        self.talks.append(talk)
        self.counts["messages"] += 1
        if self.verbose:
            self.act(f"message {talk.text} in {talk.scene} {talk.room} of {talk.bot}: heard by {said.heard}")

    def talk_in(self, place: Place) -> None:
        self.talk(place=place)

    def write_during(self, lasts: float) -> None:
        """People write while something is wrong, often the same ones twice; sometimes a script sends."""
        draw, place = self.draw, self.draw.choice(self.places)
        for _ in range(draw.choice([1, 2, 3])):
            at = draw.uniform(0.0, min(lasts, 600.0) + 2.0)
            self.heap.later(at, self.talk_in, place if draw.random() < 0.6 else draw.choice(self.places))
        if draw.random() < 0.15:
            self.heap.later(draw.uniform(0.0, min(lasts, 600.0) + 2.0), self.cron)

    def talks_and_is_killed(self) -> None:
        """Somebody writes, and the process dies at one of the steps that follow."""
        self.talk()
        self.kill_soon(self.draw.randint(1, 90))

    def cron(self) -> None:
        """A script sends a message that answers nothing; it asks again until it is told that it is stored."""
        place = self.draw.choice([p for p in self.places if p.scene in {"c2c", "group"}])
        bot = self.platform.bots[place.bot]
        ident = self.platform.openid(bot, "user" if place.scene == "c2c" else "group", place.room)
        cron = Cron(len(self.crons), f"qq:{place.scene}:{ident}@{place.bot}", place.scene, place.bot, self.heap.now)
        self.crons.append(cron)
        self.counts["sends"] += 1
        self._ask(cron)

    def _ask(self, cron: Cron) -> None:
        process = self.process
        if cron.is_stored:
            return
        if process is not None and process.is_up and process.is_ready and not process.loop.is_dead:
            process.run(self._send(process, cron))
        self.heap.later(7.0, self._ask, cron)

    async def _send(self, process: Process, cron: Cron) -> None:
        app, loop = process.app, process.loop
        assert app is not None
        began = loop.time()
        try:
            receipt = await app.send(cron.target, f"«{cron.mark}»", key=cron.mark)
        except NotStoredError:
            pass
        else:
            cron.is_stored = True
            if self.verbose:
                self.act(f"send {cron.mark}: {receipt.state}")
        if (took := loop.time() - began) > 0.1001:
            self.break_("send() answers within 100 ms", f"{took:.3f} s")

    # --- one history ---

    def run(self) -> World:
        """Live through all days, let everything settle, and judge.

        Housekeeping comes once an hour: letters are held for days, and a look each minute was a quarter of the time.
        """
        rare: list[tuple[dict[str, Any], str]] = [(vars(app), "SWEEP_S"), (vars(intake), "WHOLE_S")]
        usual = [module[name] for module, name in rare]
        try:
            for module, name in rare:
                module[name] = 3600.0
            return self._run()
        finally:
            for (module, name), seconds in zip(rare, usual, strict=True):
                module[name] = seconds

    def _run(self) -> World:
        from tests.world import judge, telling  # noqa: PLC0415  they look at worlds
        from tests.world.watching import Watch  # noqa: PLC0415

        watch = Watch(self)
        self.weather.on_calm = watch.calm

        draw, heap = self.draw, self.heap
        for place in self.places:
            meet(self.platform, Meeting(scene=place.scene, which=place.room, bot=place.bot))
        ends_at = self.days * 86400
        heap.at(0.0, self.start)
        for rate, what in ((self.messages, self.talk), (2.0, self.cron)):
            at = 20.0
            while (at := at + draw.expovariate(rate / 86400)) < ends_at:
                heap.at(at, what)
                if what == self.talk and draw.random() < 0.25:  # people write in bursts
                    heap.at(at + draw.uniform(0.0, 3.0), what)
        at = 0.0
        while (at := at + draw.expovariate(self.crashes / 86400)) < ends_at:
            heap.at(at, draw.choice([self.kill, self.talks_and_is_killed, self.talks_and_is_killed]))
        self.counts["faults"] = self.weather.plan(self.days, self.faults)
        watch.begin()
        try:
            heap.run_until(ends_at)
            self.heap.on_step = None
            self.weather.clear()
            self.start()
            heap.run_until(heap.now + SETTLE_S)
            self.start()
            for _ in range(FLUSHES):
                for place in self.places:
                    self.talk(is_flush=True, place=place)
                heap.run_until(heap.now + FLUSH_S)
            heap.run_until(heap.now + SETTLE_S)
            self.is_over = True
            judge.judge(self)
            if self.telling is not None:
                telling.judge(self, self.telling)
            if self.process is not None and self.process.is_up:
                self.inspect(self.process)
                self.process.stop()
                heap.run_until(heap.now + 10.0)
        finally:
            self.disk.remove()
        return self
