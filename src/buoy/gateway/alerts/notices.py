"""The texts of notices, made from the catalog. Pure but for the time zone, which is the machine's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from buoy.durable.alerts import Words
from buoy.gateway.alerts.rules import OUTAGES
from buoy.gateway.alerts.words import CAUSES, LABELS, UNITS, WORDS, Language

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buoy.durable.alerts import Caught

PREFIX: Final = "[Buoy] "


def title(rule: str, subject: str, language: Language) -> str:
    """Name a trouble in one line. A rule that this version does not know is named as it is."""
    text = WORDS.get(rule, {}).get(language)
    return f"{rule} {subject}".strip() if text is None else text.title.format(subject=subject)


def cause(rule: str, detail: str, language: Language) -> str:
    """Say what was found, in the operator's language as far as it is known there."""
    if rule in OUTAGES:
        word, _, rest = detail.partition(": ")
        known = CAUSES.get(word)
        return detail if known is None else known[language].says + (f": {rest}" if rest else "")
    text = WORDS.get(rule, {}).get(language)
    return detail if text is None else text.cause.format(detail=detail)


def remedy(rule: str, detail: str, language: Language) -> str:
    """Say what to do; the cause may know better than the rule."""
    known = CAUSES.get(detail.partition(": ")[0]) if rule in OUTAGES else None
    if known is not None and known[language].do:
        return known[language].do
    text = WORDS.get(rule, {}).get(language)
    return "" if text is None else text.do


def everywhere(rule: str, subject: str, detail: str) -> dict[str, dict[str, str]]:
    """Title, cause and remedy by language, for a reader whose language is not known here."""
    return {
        language: {
            "title": title(rule, subject, language),
            "detail": cause(rule, detail, language),
            "remedy": remedy(rule, detail, language),
        }
        for language in LABELS
    }


def trouble(
    kind: str,
    rule: str,
    subject: str,
    since: float,
    detail: str,
    *,
    times: int,
    now: float,
    queues: Mapping[str, Any],
    language: Language,
) -> Words:
    """A notice of a trouble that is there: what, why, since when, what it means, what to do."""
    labels, name = LABELS[language], title(rule, subject, language)
    text = WORDS.get(rule, {}).get(language)
    lines = [f"{labels['cause']}: {cause(rule, detail, language)}"]
    if text is not None:
        lines.append(f"{labels['means']}: {text.means}")
        lines.append(f"{labels['do']}: {remedy(rule, detail, language)}")
    lines.append(labels["since"].format(since=clock(since), lasted=lasting(now - since, language)))
    if times > 1:
        lines.append(labels["times"].format(times=times))
    if any(queues.values()):
        lines.append(labels["queues"].format(**queues))
    return Words(kind, PREFIX + (labels["again"].format(title=name) if kind == "repeated" else name), "\n".join(lines))


def recovered(
    rule: str, subject: str, since: float, until: float, detail: str, caught: Caught | None, language: Language
) -> Words:
    """A notice that it is over: how long it took and, for an outage, what was caught up and what may be missing."""
    labels, name = LABELS[language], title(rule, subject, language)
    lasted = lasting(until - since, language)
    lines = [labels["lasted"].format(lasted=lasted, since=clock(since), until=clock(until))]
    if caught is not None:
        lines.append(labels["caught"].format(messages=caught.messages, answered=caught.answered, sent=caught.sent))
        lines.append(labels["gaps"].format(gaps=caught.gaps) if caught.gaps else labels["whole"])
    lines.append(f"{labels['cause']}: {cause(rule, detail, language)}")
    return Words("recovered", PREFIX + labels["recovered"].format(title=name), "\n".join(lines))


def tested(language: Language) -> Words:
    """A notice that only shows that the way is open."""
    labels = LABELS[language]
    return Words("test", PREFIX + labels["test"], labels["tested"])


def clock(at: float) -> str:
    """Local date and time."""
    return time.strftime("%m-%d %H:%M:%S", time.localtime(at))


def lasting(seconds: float, language: Language) -> str:
    """Write a duration for people, in its two largest units at most from two minutes on."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in UNITS[language]:
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size}{unit}")
        elif parts:
            break
        rest %= size
    return " ".join(parts) or f"0{UNITS[language][-1][1]}"
