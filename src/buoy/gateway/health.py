"""The health snapshot: plain data, the one source of every status that a person or a program sees.

Times ``*_at``, ``at`` and ``since`` are wall seconds since 1970; ages and durations end in ``_s``. While :data:`SCHEMA`
stays, keys are added, and none is renamed or given another meaning: scripts read `buoy status --json`. docs/status.md
lists them.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, TypedDict

from buoy import __version__
from buoy.chat import span
from buoy.durable import status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from buoy.durable.store import Store, StoreStats
    from buoy.gateway.app import App

SCHEMA: Final = 1
GAPS: Final = 10  # the newest are told
CHEAP_S: Final = 0.005
SHARE: Final = 0.02
SILENT_DISK_S: Final = 5.0  # ours: a commit that takes longer is not slow, it is stuck
STATES: Final = ("up", "down", "blocked", "off")  # the worst last
SECTIONS: Final = ("loop", "disk", "alerts", "schedules", "web")
"""What the parts around the gateway tell of themselves, each None where that part does not run."""


class Snapshot(TypedDict):
    """Everything that is known at one moment. Bots, boxes and sections are plain data of their own makers."""

    schema: int
    version: str
    at: float
    pid: int | None
    running: bool
    started_at: float | None
    uptime_s: float
    state: str
    """In one word: up, down, blocked; off where no process runs. The worst of the bots."""
    since: float
    ready: bool
    """Every bot receives and can deliver, and the store stores."""
    not_ready: list[str]
    """Why not, one line each."""
    ended: dict[str, Any] | None
    """How the last process ended, where none runs: ``at``, ``code`` (None: not recorded), ``why``."""
    bots: dict[str, dict[str, Any]]
    inbox: dict[str, Any]
    outbox: dict[str, Any]
    gaps: list[dict[str, Any]]
    store: dict[str, Any] | None
    tasks: dict[str, dict[str, Any]]
    job_failures: int
    loop: dict[str, Any] | None
    disk: dict[str, Any] | None
    alerts: dict[str, Any] | None
    schedules: dict[str, Any] | None
    web: dict[str, Any] | None


def snapshot(app: App) -> Snapshot:
    """Say how a running Buoy is."""
    now = app.wall()
    bots = {bot: platform.health() for bot, platform in app.platforms.items()}
    inbox_depth, outbox_depth = app.depths.read(now)
    outbox = {**outbox_depth, **app.sender.health()}
    stats = app.store.stats
    silent_s = 0.0 if stats.committing_since is None else time.monotonic() - stats.committing_since
    why = why_not_ready(bots, outbox["pace"], stats, silent_s)
    word = worst([bot["state"] for bot in bots.values()])
    children = app.supervisor.children.values()
    told: dict[str, Any] = {name: app.sections[name]() if name in app.sections else None for name in SECTIONS}
    return Snapshot(
        schema=SCHEMA,
        version=__version__,
        at=now,
        pid=os.getpid(),
        running=True,
        started_at=app.started_at,
        uptime_s=round(now - app.started_at, 1),
        state=word,
        since=lasts_since(
            word, [bot.get("since") or app.started_at for bot in bots.values() if bot["state"] == word], now
        ),
        ready=not why,
        not_ready=why,
        ended=None,
        bots=bots,
        inbox={**inbox_depth, **app.worker.health(), **app.door.counts},
        outbox=outbox,
        gaps=app.store.read(status.gaps, GAPS),
        store={key: value for key, value in asdict(stats).items() if key != "committing_since"}
        | {"committing_s": round(silent_s, 3)},
        tasks={child.name: {"restarts": child.restarts, "last_end": child.last_end} for child in children},
        job_failures=app.supervisor.job_failures,
        loop=told["loop"],
        disk=told["disk"],
        alerts=told["alerts"],
        schedules=told["schedules"],
        web=told["web"],
    )


class Depths:
    """What the boxes hold, read anew where that is cheap.

    With a million rows waiting one reading takes a fifth of a second of the loop's time. Then it is used again until
    at most `SHARE` of the time goes into reading, however often somebody asks.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._read_at = self._cost_s = 0.0

    def read(self, now: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inbox and outbox by state; ``now`` is wall time, for the ages."""
        started = time.perf_counter()
        if self._known is None or self._cost_s < CHEAP_S or started - self._read_at > self._cost_s / SHARE:
            self._known = self._store.read(status.inbox_depth, now), self._store.read(status.outbox_depth, now)
            self._read_at = time.perf_counter()
            self._cost_s = self._read_at - started
        return self._known


def disk(directory: Path) -> dict[str, Any] | None:
    """Say what is left of the disk that holds the data; None where nobody can tell."""
    with suppress(OSError):
        usage = shutil.disk_usage(directory)
        return {"free_bytes": usage.free, "total_bytes": usage.total}
    return None


def worst(states: Iterable[str]) -> str:
    """The state that an operator has to know first."""
    return max(states, key=STATES.index, default="down")


def lasts_since(word: str, sinces: Sequence[float], now: float) -> float:
    """Since when the word holds: all are up since the last one came up; one is down since the first one went down."""
    return (max if word == "up" else min)(sinces, default=now)


def why_not_ready(bots: Mapping[str, Any], paces: Mapping[str, Any], store: StoreStats, silent_s: float) -> list[str]:
    """Say what keeps Buoy from receiving, storing or delivering, one line each; empty: nothing."""
    lines = [f"bot {name} is {bot['state']}{_because(bot)}" for name, bot in bots.items() if bot["state"] != "up"]
    lines += [
        f"bot {name} cannot deliver: {pace['reason']}"
        for name, pace in paces.items()
        if pace["failures"] and name in bots
    ]
    if store.refusal:
        lines.append(f"the store refuses: {store.refusal}")
    elif silent_s > SILENT_DISK_S:
        lines.append(f"the disk has not answered for {span(silent_s)}")
    return lines


def _because(bot: Mapping[str, Any]) -> str:
    why = " ".join(str(bot[key]) for key in ("cause", "code", "reason") if bot.get(key))
    return f": {why}" if why else ""
