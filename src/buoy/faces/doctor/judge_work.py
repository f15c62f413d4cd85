"""Judges what became of the work: letters that QQ refuses or that wait, and the agent that writes them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final

from buoy.chat import span
from buoy.durable.checkup import Ended
from buoy.faces.doctor.facts import Facts
from buoy.faces.doctor.judge_machine import softened
from buoy.faces.doctor.judge_reach import of_code
from buoy.faces.doctor.verdicts import Check, Finding, Verdict, found, well
from buoy.protocol import codes

V = Verdict
QUOTAS: Final = frozenset({40034100, 40034122, 304022, 304035, 304045, 304047, 304049, 304050, codes.VOLUME_USED_UP})
"""Messages without a reply to one that are used up for a while (protocol.md 11)."""
ACTIONS: Final = {
    codes.Action.CONTENT: V.CONTENT,
    codes.Action.TARGET: V.RECIPIENT,
    codes.Action.PERM: V.PERMISSION,
    codes.Action.PROACTIVE: V.PROACTIVE,
}
WAIT_S: Final = 5 * 60.0
LOOK_S: Final = 5.0  # an endpoint that takes so long to list its models
SLOW_S: Final = 30.0  # a reader on QQ has put the phone away
STANDING_S: Final = 2 * 60.0
FEW: Final = 3
AGENTS: Final = {"setup": V.AGENT_SETUP, "away": V.AGENT_AWAY, "refused": V.AGENT_REFUSED, "model": V.AGENT_MODEL}


def letters(facts: Facts) -> Iterator[Finding]:
    """What is held, dead, unsure or waiting, by what QQ said."""
    records = facts.records
    box = (facts.process.snapshot or {}).get("outbox") or {}
    if records is None:
        return
    told = False
    for verdict, bot, words in _grouped([*records.letters, *records.trying]):
        told = True
        yield found(Check.LETTERS, verdict, words, bot)
    for verdict, bot, words in _grouped(records.reworded):
        told = True
        yield softened(found(Check.LETTERS, verdict, f"{words}; Buoy sent them in other words", bot))
    if records.rejected:
        told = True
        yield found(Check.LETTERS, V.AUDIT, f"QQ's reviewers rejected {records.rejected} messages in 24 h")
    oldest_s = (box.get("oldest") or {}).get("queued") or 0.0
    if oldest_s > WAIT_S:
        told = True
        yield found(Check.LETTERS, V.LETTERS_WAIT, f"the oldest waits for {span(oldest_s)}")
    if not told:
        yield well(Check.LETTERS, "none is held, dead or unsure in 24 h")


def _grouped(ended: Iterable[Ended]) -> Iterator[tuple[Verdict, str, str]]:
    """One line for each verdict and bot: how many, and the most frequent reason."""
    counts: dict[tuple[Verdict, str], Counter[str]] = {}
    for one in ended:
        counts.setdefault((of_letter(one), one.bot), Counter())[f"{one.state}: {one.reason}"] += one.times
    for (verdict, bot), reasons in counts.items():
        (reason, _), total = reasons.most_common(1)[0], reasons.total()
        yield verdict, bot, f"{total} letter{'s' * (total != 1)}, {reason}"


def of_letter(one: Ended) -> Verdict:
    """Say what is in a letter's way."""
    entry = codes.find(one.code) if one.code else None
    whole = of_code(one.code)
    if whole is not None:
        return whole
    if one.code in QUOTAS:
        return V.QUOTA
    if entry is not None and entry.fix is codes.Fix.URLS:
        return V.URLS
    if entry is not None and entry.action in ACTIONS:
        return ACTIONS[entry.action]
    states = {"held": V.PROACTIVE, "unsure": V.UNSURE, "queued": V.LETTERS_WAIT, "reworded": V.CONTENT}
    return states.get(one.state, V.DEAD_LETTERS)


def agent(facts: Facts) -> Iterator[Finding]:
    """Whether somebody answers, and how soon."""
    inbox = (facts.process.snapshot or {}).get("inbox") or {}
    away, oldest = inbox.get("away") or {}, inbox.get("oldest") or {}
    for one in facts.agents:
        findings = []
        if one.bot in away:
            words = f"it is away for {span(away[one.bot]['away_s'])}: {away[one.bot]['reason']}"
            findings.append(found(Check.AGENT, V.AGENT_AWAY, words, one.bot))
        if one.state in AGENTS:
            findings.append(found(Check.AGENT, AGENTS[one.state], one.text, one.bot))
        elif one.state == "late" or (one.kind == "openai" and one.took_s >= LOOK_S):
            words = one.text if one.state == "late" else f"a first look took {one.took_s:.1f} s"
            findings.append(found(Check.AGENT, V.AGENT_SLOW, words, one.bot))
        findings += list(_turns(facts, one.bot))
        yield from findings
        if not findings:
            yield well(Check.AGENT, f"{one.kind.partition(':')[0]} {one.text}".strip(), one.bot)
    for state, verb in (("running", "runs"), ("waiting", "waits")):
        if (age_s := oldest.get(state) or 0.0) > STANDING_S:
            yield found(Check.AGENT, V.AGENT_SLOW, f"the oldest turn {verb} for {span(age_s)}")


def _turns(facts: Facts, bot: str) -> Iterator[Finding]:
    """What the turns of the last day tell."""
    turns = [turn for turn in (facts.records.turns if facts.records else ()) if turn.bot == bot]
    dead = [turn for turn in turns if turn.state == "dead"]
    took = [turn.took_s for turn in turns if turn.state == "done"]
    if dead:
        (reason, _) = Counter(turn.reason for turn in dead).most_common(1)[0]
        finding = found(Check.AGENT, V.AGENT_FAILING, f"{len(dead)} of {len(turns)} turns failed: {reason}", bot)
        is_over = turns[0].state == "done" and len(dead) < FEW
        yield softened(finding) if is_over else finding
    if took and median(took) >= SLOW_S:
        yield found(Check.AGENT, V.AGENT_SLOW, f"half of the turns took {span(median(took))} or longer", bot)
