"""Worlds in which an operator is told: the alert service runs in every process, and a judge reads it.

`python -m tests.world.telling FIRST COUNT [DAYS]` lives through worlds. They are apart from the others, whose days have
no time for a look every few minutes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from buoy.gateway.alerts.channel import ChannelError
from buoy.gateway.alerts.rules import OUTAGES, Limits
from buoy.gateway.alerts.service import Alerts, Manner
from buoy.gateway.app import App
from tests.world import world as worlds
from tests.world.world import EPOCH

if TYPE_CHECKING:
    from tests.world.world import World

CHECK_S = 120.0  # 15 s in real life: a look is what these worlds pay for
DOWN_S = 180.0
SLACK_S = 60.0  # three seconds after a start, a commit, a delivery
MARGINS_S = {"clock": 3600.0 + CHECK_S, "disk": 2 * CHECK_S, "process": 2 * CHECK_S}  # a clock is set wrong by an hour
MANNER = Manner("en", Limits(down_s=DOWN_S), check_s=CHECK_S)


@dataclass
class Telling:
    """The operator's phone, and the service that rings it. Every fifth call does not get through."""

    world: World
    heard: list[tuple[str, str, str]] = field(default_factory=list)
    """Kind, rule and subject of what was heard, in order."""
    calls: int = 0
    name: str = "phone"

    async def tell(self, title: str, text: str, data: Mapping[str, Any]) -> None:
        """Hear it; takes a second, in which the process may die."""
        del title, text
        self.calls += 1
        await asyncio.sleep(1.0)
        if self.calls % 5 == 0:
            raise ChannelError("busy")
        self.heard.append((data["kind"], data["rule"], data["subject"]))

    def build(self, *args: Any, **settings: Any) -> App:
        """An App that tells its operator."""
        app = Watched(*args, **settings)
        app.alerts = Alerts(app.store, app.health, [self], MANNER, wall=app.wall, draw=settings["draw"])
        return app


class Watched(App):
    """An App whose alerts start with it."""

    alerts: Alerts

    async def start(self) -> None:
        await super().start()
        self.alerts.start(self.supervisor)


# --- the judge ---------------------------------------------------------------------------------------------------


def judge(world: World, telling: Telling) -> None:
    """Hold what was told against what happened."""
    for bot in world.bots:
        every_outage_is_told_once(world, bot)
    every_happening_is_told(world)
    everything_is_heard(world, telling)


def every_outage_is_told_once(world: World, bot: str) -> None:
    """Long enough away: one alert, and one word when it is over. Never raised twice, never over before it is."""
    marks = ", ".join(f"'{rule}'" for rule in OUTAGES)
    alerts = world.disk.ask(
        f"SELECT id, since, ended_at FROM alert WHERE subject = ? AND rule IN ({marks}) ORDER BY id", bot
    )
    notices = world.disk.ask(
        "SELECT n.kind, n.created_at FROM notice AS n JOIN alert AS a ON a.id = n.alert "
        f"WHERE a.subject = ? AND a.rule IN ({marks}) AND n.kind <> 'repeated' ORDER BY n.id",
        bot,
    )
    kinds = [kind for kind, _ in notices]
    if kinds != (["raised", "recovered"] * len(alerts)):
        world.break_("an outage is told once", f"bot {bot}: {len(alerts)} outages, told {kinds}")
    for a in alerts:
        if a[2] is None:
            world.break_("an outage is told once", f"bot {bot}: alert {a[0]} is open, and all has been well for long")
    history = list(spells(world, bot))
    world.counts["outages told"] += len(alerts)
    for state, begins, ends in history:
        is_long = ends - begins > DOWN_S + CHECK_S + SLACK_S
        told = [a for a in alerts if a[1] <= ends and (a[2] is None or a[2] >= begins)]
        if state != "up" and is_long and not told and not disturbed(world, begins, ends):
            world.break_("an outage is told", f"bot {bot} was {state} for {ends - begins:.0f} s, from {begins:.0f}")
        early = [at for kind, at in notices if kind == "recovered" and begins <= at < ends]
        if state != "up" and early and not disturbed(world, begins, ends):
            world.break_("over means over", f"bot {bot} was {state} when it was told to be back")


def spells(world: World, bot: str) -> Iterator[tuple[str, float, float]]:
    """A bot's states as (up, down or off, from, to); blocked is down."""
    rows = world.disk.ask("SELECT at, state FROM history WHERE bot = ? ORDER BY id", bot)
    last: tuple[str, float] | None = None
    for at, state in rows:
        word = "down" if state == "blocked" else state
        if last is None or last[0] != word:
            if last is not None:
                yield last[0], last[1], at
            last = (word, at)


def disturbed(world: World, begins: float, ends: float) -> bool:
    """Was a clock wrong then, did the process stand still, or did the disk take nothing? Then nobody could tell."""
    for start, stop, kind in world.weather.spans:
        margin_s = max((MARGINS_S.get(word, 0.0) for word in kind.touches.split()), default=0.0)
        if margin_s and start + EPOCH - margin_s < ends and begins < stop + EPOCH + margin_s:
            return True
    return False


def every_happening_is_told(world: World) -> None:
    """Each dead, unsure or refused letter, each dead turn and each gap is counted by an alert, and that was told."""
    counted = Counter[str]()
    for rule, times, told, told_times in world.disk.ask("SELECT rule, times, told, told_times FROM alert"):
        counted[rule] += times
        if not told or (told_times > times):
            world.break_("what happens is told", f"an alert of {rule} was never told")
    for rule, sql in (
        ("dead_letter", "SELECT count(*) FROM outbox WHERE state = 'dead'"),
        ("unsure_letter", "SELECT count(*) FROM outbox WHERE state = 'unsure'"),
        ("refused_letter", "SELECT count(*) FROM outbox WHERE state = 'held' AND attempts > 0"),
        ("dead_turn", "SELECT count(*) FROM inbox WHERE state = 'dead'"),
        ("gap", "SELECT count(*) FROM gap"),
    ):
        ((rows,),) = world.disk.ask(sql)
        world.counts[f"told: {rule}"] += counted[rule]
        if counted[rule] < rows:
            world.break_("what happens is told", f"{rows} rows of {rule}, {counted[rule]} in alerts")


def everything_is_heard(world: World, telling: Telling) -> None:
    """Every notice was heard; twice only where a process died between the word and its commit."""
    notices = Counter(
        world.disk.ask(
            "SELECT n.kind, a.rule, a.subject FROM notice AS n JOIN alert AS a ON a.id = n.alert "
            "WHERE n.state <> 'dead' OR n.kind <> 'repeated'"
        )
    )
    heard = Counter((kind, "outage" if rule in OUTAGES else rule, subject) for kind, rule, subject in telling.heard)
    wanted: Counter[tuple[str, str, str]] = Counter()
    for (kind, rule, subject), count in notices.items():
        wanted[kind, "outage" if rule in OUTAGES else rule, subject] += count
    if missing := wanted - heard:
        world.break_("every notice is heard", f"never heard: {dict(missing)}")
    again = sum((heard - wanted).values())
    if again > len(world.ends) + world.disk.refused + 2 * world.counts["told directly"]:
        world.break_("no notice is heard twice", f"{again} too many: {dict(heard - wanted)}")


def live(seed: int, days: float = 4.0) -> dict[str, Any]:
    """Live through one world; returns plain data."""
    world = worlds.World(seed, days)
    world.telling = telling = Telling(world)
    world.build = telling.build
    world.run()
    return {
        "seed": seed,
        "broken": [str(violation) for violation in world.violations],
        "counts": {name: count for name, count in world.counts.items() if "told" in name},
        "heard": len(telling.heard),
    }


def main(first: int, count: int, days: float = 4.0) -> None:
    """Print one JSON line a world."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.unraisablehook = lambda _: None  # coroutines of killed processes
    for seed in range(first, first + count):
        print(json.dumps(live(seed, days)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
