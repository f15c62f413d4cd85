"""Which troubles a health snapshot shows. Pure: a snapshot, limits and a time in, a list of problems out.

A problem is what is wrong *now*; whether it is told, again or not at all is the ledger's to decide. Happenings, such as
a dead letter, are no problems here: the database turns each into an alert in the transaction in which it happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HOUR_S: Final = 3600.0
STABLE_S: Final = 60.0  # shorter than this, up is not up: the session machine resets its backoff after the same minute
AFRESH_S: Final = 180.0  # so long without a process is a stop, not a crash loop: what follows is an outage of its own
RESTARTS: Final = 5  # of one task in an hour: S2 brings a task back from an accident, and this is none
FAILED_TURNS: Final = 5  # in `FAILED_WITHIN_S`, and more than went well
FAILED_WITHIN_S: Final = 900.0
IDENTIFIES_LOW: Final = 100  # a tenth of the day's 1,000 (behaviour H6)
LAG_S: Final = 1.0
SETTLE_S: Final = 60.0  # what often passes by itself is no trouble before this
BLOCKED: Final = {"secret": "credentials", "ip": "ip_allowlist"}  # causes that have a rule of their own
OUTAGES: Final = frozenset({"down", "blocked", *BLOCKED.values()})  # names of one trouble: a bot is not reachable

UNSEEN: Final = frozenset({"cannot_send", "identify_budget"})  # what nobody can see of a bot that is not up
OF_BOTS: Final = OUTAGES | UNSEEN | {"agent_away"}


class Problem(NamedTuple):
    """One trouble. ``subject`` is a bot or a task, or empty; ``since`` None: nobody knows, it is seen now.

    ``after_s``: it is told once it has lasted so long.
    """

    rule: str
    subject: str
    since: float | None
    detail: str
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is a trouble."""

    down_s: float = 180.0
    held_s: float = 6 * HOUR_S
    queue_s: float = 900.0
    disk_bytes: int = 200 << 20


@dataclass(slots=True)
class Recent:
    """Counters as they were: what happened in the last hour."""

    _samples: deque[tuple[float, dict[str, int]]] = field(default_factory=deque)

    def note(self, snapshot: Mapping[str, Any], now: float) -> None:
        """Keep the snapshot's counters, and forget those older than an hour."""
        counts = {f"restarts of {name}": task["restarts"] for name, task in snapshot["tasks"].items()}
        counts |= {f"turns {name}": snapshot["inbox"].get(name, 0) for name in ("failed", "done")}
        self._samples.append((now, counts))
        while not now - HOUR_S <= self._samples[0][0] <= now:
            self._samples.popleft()

    def grown(self, name: str, within_s: float) -> int:
        """How much a counter has grown in this time; what came before the first look is not counted."""
        if not self._samples:
            return 0
        newest, counts = self._samples[-1]
        first = next(old for at, old in self._samples if at >= newest - within_s)
        return counts.get(name, 0) - first.get(name, 0)


def problems(snapshot: Mapping[str, Any], limits: Limits, now: float, recent: Recent) -> list[Problem]:
    """List what is wrong in a snapshot of :mod:`buoy.gateway.health`; ``now`` is the wall's time of it."""
    found: list[Problem] = []
    for bot, told in snapshot["bots"].items():
        found += _bot(bot, told, limits)
        pace = snapshot["outbox"].get("pace", {}).get(bot)
        states = snapshot["outbox"]["states"]
        waits = states.get("queued", 0) + states.get("claimed", 0)
        if pace and pace["failures"] and waits and told["state"] == "up":
            found.append(Problem("cannot_send", bot, None, pace["reason"], limits.down_s))
    for bot, away in snapshot["inbox"].get("away", {}).items():
        found.append(Problem("agent_away", bot, now - away["away_s"], away["reason"], limits.down_s))
    return [*found, *_queues(snapshot, limits, now), *_process(snapshot, limits, recent)]


def outage_since(states: Sequence[tuple[float, str]], now: float) -> float | None:
    """When the outage began that lasts now, from a bot's states (since when, which), newest first; None: none does.

    A moment up does not end an outage, nor does a moment without a process; a longer one is a stop, and what follows
    it begins anew. Without this a bot that comes and goes, or a process that dies again and again, is never down long.
    """
    since, end = None, now
    for at, state in states:
        if state == "up" and (end - at >= STABLE_S or since is None):
            break
        if state == "off" and end - at >= AFRESH_S:
            break
        since, end = at if state != "up" else since, at
    return since


def _bot(bot: str, told: Mapping[str, Any], limits: Limits) -> Iterable[Problem]:
    why = ": ".join(str(told[key]) for key in ("cause", "reason") if told.get(key)) or "starting"
    why += f" ({told['code']})" if told.get("code") else ""
    if told["state"] == "blocked":
        rule = BLOCKED.get(str(told.get("cause")), "blocked")
        yield Problem(rule, bot, told.get("since"), why)
    elif told["state"] != "up":
        yield Problem("down", bot, told.get("since"), why, limits.down_s)
    left = told.get("identifies_left")
    if left is not None and left < IDENTIFIES_LOW:
        yield Problem("identify_budget", bot, None, str(left))


def _queues(snapshot: Mapping[str, Any], limits: Limits, now: float) -> Iterable[Problem]:
    """What waited while no process ran is given a minute: it is under way then."""
    if snapshot["uptime_s"] < SETTLE_S:
        return
    inbox, outbox = snapshot["inbox"], snapshot["outbox"]
    for rule, box, state, longest in (
        ("queue_turns", inbox, "waiting", limits.queue_s),
        ("queue_letters", outbox, "queued", limits.queue_s),
        ("held_too_long", outbox, "held", limits.held_s),
    ):
        age = box["oldest"].get(state)
        if age is not None and age > longest:
            yield Problem(rule, "", now - age, str(box["states"].get(state, 0)), longest)


def _process(snapshot: Mapping[str, Any], limits: Limits, recent: Recent) -> Iterable[Problem]:
    disk, loop = snapshot["disk"] or {}, snapshot["loop"] or {}
    if disk.get("free_bytes", limits.disk_bytes) < limits.disk_bytes:
        yield Problem("disk", "", None, str(disk["free_bytes"] >> 20))
    if loop.get("lag_s", 0.0) > LAG_S:
        yield Problem("slow_loop", "", None, f"{loop['lag_s']:.1f}", SETTLE_S)
    for name, task in snapshot["tasks"].items():
        count = recent.grown(f"restarts of {name}", HOUR_S)
        if count >= RESTARTS:
            yield Problem("restarts", name, None, f"{count}: {task['last_end']}")
    failed, done = (recent.grown(f"turns {name}", FAILED_WITHIN_S) for name in ("failed", "done"))
    if failed >= FAILED_TURNS and failed > done:
        yield Problem("agent_failing", "", None, f"{failed}/{done}")
