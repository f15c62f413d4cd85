"""`make adversity`: live through one long, bad history, record it, judge it, and draw it.

The recorder looks on from the heap: it changes nothing, so that the same seed without it is the same history. What it
wrote down is one JSON file; :mod:`tests.world.drawing` makes the pictures from it, with or without a new run.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from buoy.protocol.session import Phase
from tests.world import drawing
from tests.world.bugs import BUGS, planted
from tests.world.judge import _covers, read_delivered
from tests.world.people import MARK, Talk
from tests.world.weather import KINDS
from tests.world.world import World

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SEED, DAYS = 24, 14.0
MESSAGES, FAULTS, CRASHES = 220.0, 24.0, 5.0  # a day; denser than the worlds of every run, so that there is a picture
LOOK_S = 5.0  # how often the state of each bot is looked at: what is over sooner may be missed
COUNT_S = 60.0  # how often the rows that wait are counted
KEEP_S = 1200.0  # of the counts, the highest of so long is kept
HOUR_S = 3600.0

_FIRST = {"connections reset": "network", "close code that keeps the session": "gateway", "token endpoint down": "rest"}
_FIRST |= {"disk full": "machine"}
_OTHER = {
    "a bug below": "process",
    "process stands still": "process",
    "stopped and started": "process",
    "stopped in an outage": "process",
    "stopped for long": "process",
}

COUNTS = """
SELECT (SELECT count(*) FROM inbox WHERE state IN ('waiting', 'running')),
       (SELECT count(*) FROM outbox WHERE state IN ('queued', 'claimed')),
       (SELECT count(*) FROM outbox WHERE state = 'held')
"""


def families() -> dict[str, str]:
    """Which family each kind of fault belongs to: the table of the weather is ordered by them, but for a few."""
    found, family = {}, ""
    for kind in KINDS:
        family = _FIRST.get(kind.name, family)
        found[kind.name] = _OTHER.get(kind.name, family)
    return found


@dataclass
class Recorder:
    """Looks on while a world lives."""

    world: World
    states: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """For each bot, from when on it was in which state."""
    queues: list[tuple[int, int, int]] = field(default_factory=list)
    recording: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = {bot: [] for bot in self.world.bots}
        self.world.heap.at(0.0, self._look)
        self.world.heap.at(COUNT_S, self._count)
        remove = self.world.disk.remove

        def read_and_remove() -> None:
            if self.world.is_over:
                self.recording = self._sum_up()
            remove()

        self.world.disk.remove = read_and_remove  # type: ignore[method-assign]

    # --- on the heap ---

    def _look(self) -> None:
        if self.world.is_over:
            return
        for bot, states in self.states.items():
            state = state_of(self.world, bot)
            if not states or states[-1][1] != state:
                states.append((round(self.world.heap.now), state))
        self.world.heap.later(LOOK_S, self._look)

    def _count(self) -> None:
        if self.world.is_over:
            return
        place = int(self.world.heap.now // KEEP_S)
        counted = self.world.disk.ask(COUNTS)[0]
        self.queues += [(0, 0, 0)] * (place + 1 - len(self.queues))
        now_in, now_out, held = map(max, counted, self.queues[place])
        self.queues[place] = (now_in, now_out, held)
        self.world.heap.later(COUNT_S, self._count)

    # --- afterwards ---

    def _sum_up(self) -> dict[str, Any]:
        """All that the pictures need, as plain data."""
        world = self.world
        lived = round(world.heap.now)
        hours = int(lived // HOUR_S) + 1
        times, fates = self._fates()
        family = families()
        ends_at = world.days * 86400
        faults = [
            [family[kind.name], kind.name, round(start), round(min(end, ends_at))]
            for start, end, kind in world.weather.spans
        ]
        base = world.platform_wall() - world.heap.now
        gaps = world.disk.ask("SELECT bot, from_at, to_at, cause FROM gap ORDER BY id")
        kills = [round(at) for at, how in world.ends if how == "killed"]
        twice = sum(
            1 for places in read_delivered(world).values() for mark, times in places.items() if mark and times > 1
        )
        return {
            "seed": world.seed,
            "days": world.days,
            "messages": world.messages,
            "faults_a_day": world.faults,
            "crashes": world.crashes,
            "seconds": lived,
            "steps": world.heap.steps,
            "look_s": LOOK_S,
            "count_s": COUNT_S,
            "keep_s": KEEP_S,
            "bots": self.states,
            "asked": by_hour(times["asked"], hours),
            "missed": by_hour(times["missed"], hours),
            "answered": by_hour(times["answered"], hours),
            "inbox": [row[0] for row in self.queues],
            "outbox": [row[1] for row in self.queues],
            "held": [row[2] for row in self.queues],
            "faults": faults,
            "kills": kills,
            "starts": [round(at) for at in world.starts],
            "gaps": [[bot, round(begin - base), round(end - base), cause] for bot, begin, end, cause in gaps],
            "totals": {
                "messages": len(world.talks),
                **{fate: fates[fate] for fate in drawing.FATES},
                "twice": twice,
                "faults": len(faults),
                "kills": len(kills),
                "restarts": len(world.starts) - 1,
                "outage_s": drawing.longest_outage(self.states, lived)[2],
                "gaps": len(gaps),
            },
            "replay": replay(world),
        }

    def _fates(self) -> tuple[dict[str, list[float]], Counter[str]]:
        """When messages were asked, missed and answered in full, and what became of how many."""
        world = self.world
        base = world.platform_wall() - world.heap.now
        last: dict[tuple[str, str, str], float] = {}
        for message in world.platform.delivered:
            for mark in MARK.findall(message.shown):
                last.setdefault((message.bot, message.target, mark), message.at - base)
        states = dict(world.disk.ask("SELECT key, state FROM inbox WHERE lane IS NOT NULL"))
        gaps = world.disk.ask("SELECT bot, session, stored, from_at, to_at FROM gap")
        fates: Counter[str] = Counter()
        times: dict[str, list[float]] = {"asked": [talk.at for talk in world.talks], "missed": [], "answered": []}
        for talk in world.talks:
            read = [last.get((talk.bot, talk.target, mark)) for mark in talk.marks]
            known = [at for at in read if at is not None]
            if talk.id not in states:
                fates[self._missing(talk, gaps)] += 1
                times["missed"].append(talk.at)
            elif states[talk.id] == "dead":
                fates["ended"] += 1
            elif len(known) < len(read):
                fates["unsure"] += 1
            elif known:
                fates["answered"] += 1
                times["answered"].append(max(known))
            else:
                fates["quiet"] += 1
        return times, fates

    def _missing(self, talk: Talk, gaps: list[Any]) -> str:
        """Why a message is not in the inbox: QQ did not hand it over, or a gap says so; anything else is a loss."""
        if talk.is_unasked:
            return "withheld"
        for bot, session, stored, begin, end in gaps:
            is_taken = any(session == where and stored < seq for where, seq in talk.put)
            if bot == talk.bot and (is_taken or (not talk.put and _covers(self.world, talk.at, begin, end))):
                return "in_gap"
        return "withheld" if talk.is_deaf else "lost"


def by_hour(times: list[float], hours: int) -> list[int]:
    counts = Counter(int(at // HOUR_S) for at in times)
    return [counts[hour] for hour in range(hours)]


def state_of(world: World, bot: str) -> str:
    """Tell how one bot is, as somebody sees who knows both ends."""
    process = world.process
    if process is None or not process.is_up:
        return "dead"
    if process.loop.stands_until is not None:
        return "frozen"
    for line in process.lines:
        if line.bot == bot and line.connection is not None:
            state = line.connection.state
            if state.connected and _carries(world, bot):
                return "partial" if state.dropped else "live"
            if state.connected:
                return "unnoticed"
            return "blocked" if state.phase is Phase.BLOCKED else "trying"
    return "trying"


def _carries(world: World, bot: str) -> bool:
    """Whether a message said now would reach the process: not so on a half-open wire, or in a deaf session."""
    sessions = [w.peer.session for w in world.network.wires if not w.is_dumb and w.peer.session is not None]
    return not world.network.is_partitioned and any(s.bot.app_id == bot and not s.deaf for s in sessions)


def replay(world: World) -> str:
    """Return the command that lives through this history again."""
    told = [("seed", world.seed, SEED), ("days", world.days, DAYS), ("messages", world.messages, MESSAGES)]
    told += [("faults", world.faults, FAULTS), ("crashes", world.crashes, CRASHES)]
    changed = "".join(
        f" --{name} {value:g}" for name, value, usual in told if value != usual or name in {"seed", "days"}
    )
    return f"python -m tests.world.adversity{changed}"


def record(world: World, run: Callable[[], Any]) -> dict[str, Any]:
    """Live through a world and return the recording; empty when it did not come to its end."""
    recorder = Recorder(world)
    run()
    return recorder.recording


def write(recording: dict[str, Any], into: Path) -> None:
    """Write the recording, one line for each part of it."""
    lines = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(part, separators=(',', ':'))}" for key, part in recording.items()
    )
    into.mkdir(parents=True, exist_ok=True)
    (into / "adversity.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def draw(into: Path) -> None:
    """Draw the recording that lies there, in both languages."""
    recording = json.loads((into / "adversity.json").read_text(encoding="utf-8"))
    (into / "adversity.svg").write_text(drawing.draw(recording, "en"), encoding="utf-8")
    (into / "adversity.zh.svg").write_text(drawing.draw(recording, "zh"), encoding="utf-8")


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-W", "ignore", "-m", "tests.world.adversity", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    parser = argparse.ArgumentParser(prog="python -m tests.world.adversity", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--days", type=float, default=DAYS)
    parser.add_argument("--messages", type=float, default=MESSAGES, help="a day, about")
    parser.add_argument("--faults", type=float, default=FAULTS, help="a day")
    parser.add_argument("--crashes", type=float, default=CRASHES, help="a day")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant a mistake, which has to be found")
    parser.add_argument("--into", type=Path, default=IMAGES, help="where the recording and the pictures go")
    parser.add_argument("--only-draw", action="store_true", help="draw the recording that is there")
    told = parser.parse_args()
    if told.only_draw:
        draw(told.into)
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.unraisablehook = lambda _: None  # coroutines of killed processes
    with planted(told.bug):
        world = World(told.seed, told.days, messages=told.messages, faults=told.faults, crashes=told.crashes)
        recording = record(world, world.run)
    broken = [str(violation) for violation in world.violations]
    if recording and recording["totals"]["lost"] + recording["totals"]["twice"]:
        broken.append(f"the recording disagrees with the judge: {recording['totals']}")
    if broken or not recording:
        print(f"{len(broken)} broken; nothing is written", *broken[:10], sep="\n    ")
        print(f"replay: {replay(world)}" + (f" --bug '{told.bug}'" if told.bug else ""))
        return 1
    write(recording, told.into)
    draw(told.into)
    print(f"{told.into}: {recording['totals']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
