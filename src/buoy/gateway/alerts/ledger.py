"""When a trouble is told, told again, and told to be over. Pure: open alerts, problems and a time in, acts out.

    problem lasts after_s ---> raised --(every repeat_s while it lasts)--> repeated
                                 |
                     gone for a stable time ---> recovered

One outage is one alert, whatever its cause is called meanwhile: `down` that turns out to be a refused secret becomes
`credentials`, in the name of the same outage, and nothing is "recovered" before the bot is up. Gone for a moment is
not gone: recovery is told after a stable minute, and what comes and goes must stay gone for longer each time, up to a
quarter of an hour, so that a flapping line costs some notices an hour and not one a minute. A happening is told at
once; where alerts of its kind came and went within the hour, it waits as long, and is told in sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from buoy.gateway.alerts.rules import OF_BOTS, OUTAGES, STABLE_S, UNSEEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buoy.durable.alerts import Alert
    from buoy.gateway.alerts.rules import Problem

HAPPENINGS: Final = frozenset({"dead_letter", "unsure_letter", "refused_letter", "dead_turn", "gap"})
QUIET_S: Final = 86_400.0  # no more of them for a day: the alert about them ends
FLAPS_S: Final = 3600.0  # how long a recovery counts as one that did not last
LONGEST_STABLE_S: Final = 900.0


class Raise(NamedTuple):
    """Open an alert and tell it."""

    problem: Problem
    since: float


class Tell(NamedTuple):
    """Tell an open alert, for the first time or again, by the newest name of its trouble and with its newest cause."""

    alert: Alert
    rule: str
    detail: str


class Recover(NamedTuple):
    """It has been over since ``at``. The notice speaks for the alerts that it ``covers`` too."""

    alert: Alert
    at: float
    covers: tuple[Alert, ...] = ()


class Close(NamedTuple):
    """It has ended, and there is nothing to say about that."""

    alert: Alert


Act = Raise | Tell | Recover | Close
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger remembers between two looks. Losing it, in a crash, only makes a recovery wait once more."""

    seen: Mapping[Key, tuple[float, float]] = field(default_factory=dict)
    """Problems by rule and subject: seen first, seen last."""
    gone: Mapping[int, float] = field(default_factory=dict)
    """Open alerts whose trouble is not there any more: since when."""


def review(
    alerts: Sequence[Alert],
    found: Sequence[Problem],
    memory: Memory,
    now: float,
    *,
    repeat_s: float,
    bots: Mapping[str, float | None],
    ended: Mapping[Key, int],
    left: Mapping[int, bool],
) -> tuple[list[Act], Memory]:
    """Decide what to do about ``alerts`` (all that are open) and the problems that are there now.

    ``bots``: since when each is up, None: it is not. ``ended``: how often an alert of this rule and subject ended
    within `FLAPS_S`. ``left``: by alert of a happening, whether a row of it is left.
    """
    seen = _seen(found, memory, now)
    gone: dict[int, float] = {}
    acts: list[Act] = []
    by_trouble = {_trouble(problem.rule, problem.subject): problem for problem in found}
    about = {_trouble(alert.rule, alert.subject): alert for alert in alerts}
    for trouble, problem in by_trouble.items():
        since = _known(problem.since, seen[problem.rule, problem.subject][0], now)
        alert = about.get(trouble)
        if alert is None:
            if now - since >= problem.after_s:
                acts.append(Raise(problem, since))
        elif _is_renamed(alert, problem.rule, now):
            acts.append(Tell(alert, problem.rule, problem.detail))
        elif _is_due(alert, now, repeat_s):
            acts.append(Tell(alert, alert.rule, problem.detail))
    for alert in alerts:
        if alert.rule in HAPPENINGS:
            acts += _happening(alert, about, now, repeat_s, times=_times(ended, alert), left=left[alert.id])
        elif alert.rule in OF_BOTS and alert.subject not in bots:
            acts.append(Close(alert))  # the bot was taken out of the settings
        elif alert.rule in UNSEEN and bots[alert.subject] is None:
            continue
        elif _trouble(alert.rule, alert.subject) not in by_trouble:
            up_since = bots.get(alert.subject) if alert.rule in OUTAGES else None
            at = gone[alert.id] = _known(up_since, min(memory.gone.get(alert.id, now), now), now)
            if now - at >= stable_s(_times(ended, alert)):
                told_too = tuple(other for other in alerts if _is_covered(other, alert))
                acts.append(Recover(alert, at, told_too))
    return acts, Memory(seen, gone)


def stable_s(times: int) -> float:
    """How long a trouble must be gone to be over, when it ended this often within the hour."""
    return min(STABLE_S * (1 << min(times, 10)), LONGEST_STABLE_S)


def _seen(found: Sequence[Problem], memory: Memory, now: float) -> dict[Key, tuple[float, float]]:
    kept = {key: times for key, times in memory.seen.items() if 0 <= now - times[1] < STABLE_S}
    for problem in found:
        key = (problem.rule, problem.subject)
        kept[key] = (kept[key][0] if key in kept else now, now)
    return kept


def _known(since: float | None, seen: float, now: float) -> float:
    """Say since when something is so; a time to come is one of a clock that was put back, and says nothing."""
    return seen if since is None or since > now else since


def _trouble(rule: str, subject: str) -> Key:
    return ("outage" if rule in OUTAGES else rule, subject)


def _times(ended: Mapping[Key, int], alert: Alert) -> int:
    rules = OUTAGES if alert.rule in OUTAGES else (alert.rule,)
    return sum(ended.get((rule, alert.subject), 0) for rule in rules)


def _is_due(alert: Alert, now: float, repeat_s: float) -> bool:
    """It is time to say it again, and the last word about it has been heard."""
    return not alert.queued and not 0 <= now - (alert.told_at or 0.0) < repeat_s


def _is_renamed(alert: Alert, rule: str, now: float) -> bool:
    """It has another name, which is news at once; later ones have to wait, lest two names take turns."""
    if rule in {alert.rule, "down"}:
        return False
    return alert.told < 2 or _is_due(alert, now, LONGEST_STABLE_S)


def _is_covered(happening: Alert, outage: Alert) -> bool:
    is_gap = happening.rule == "gap" and not happening.told
    return is_gap and outage.rule in OUTAGES and happening.subject == outage.subject


def _happening(
    alert: Alert, about: Mapping[Key, Alert], now: float, repeat_s: float, *, times: int, left: bool
) -> list[Act]:
    """At once for the first, later ones in sum; a gap of an outage is told with its end."""
    if not alert.told:
        waits = times > 0 and 0 <= now - alert.since < stable_s(times)
        waits |= alert.rule == "gap" and ("outage", alert.subject) in about
        return [] if waits else [Tell(alert, alert.rule, alert.detail)]
    if alert.times > alert.told_times:
        return [Tell(alert, alert.rule, alert.detail)] if _is_due(alert, now, repeat_s) else []
    return [Close(alert)] if not left or now - alert.last_at >= QUIET_S else []
