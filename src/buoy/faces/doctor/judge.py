"""From everything that was seen to the findings, worst first. Pure; the parts stand in the modules named judge_*."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from buoy.faces.doctor.facts import Facts
from buoy.faces.doctor.judge_machine import alerts, data, database, page, process, settings
from buoy.faces.doctor.judge_reach import api, clock, network, token
from buoy.faces.doctor.judge_session import events, session
from buoy.faces.doctor.judge_work import agent, letters
from buoy.faces.doctor.verdicts import Check, Finding, Level

WORST: Final = (Level.FAULT, Level.WARNING, Level.OK)
ORDER: Final = tuple(Check)


def judge(facts: Facts) -> list[Finding]:
    """Say what is the matter. What follows from something else is not told a second time."""
    looks = (
        settings, data, database, process, page, network, clock, token, api, session, events, letters, agent, alerts,
    )  # fmt: skip
    findings = _once(finding for look in looks for finding in look(facts))
    return sorted(findings, key=lambda finding: (WORST.index(finding.level), ORDER.index(finding.check)))


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the whole."""
    levels = {finding.level for finding in findings}
    return next((level for level in WORST if level in levels), Level.OK)


def _once(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Each verdict about a subject once: the first to say it stands nearest to the cause."""
    told = set()
    for finding in findings:
        key = (finding.verdict, finding.subject)
        if finding.verdict is None or key not in told:
            told.add(key)
            yield finding
