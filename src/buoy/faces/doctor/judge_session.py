"""Judges a bot's session: the running Buoy's own word, or a trial; and whether events arrive. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from buoy.chat import span
from buoy.faces.doctor.facts import Bot, Facts, Trial
from buoy.faces.doctor.judge_machine import softened
from buoy.faces.doctor.verdicts import Check, Finding, Verdict, found, well
from buoy.protocol.limits import DAY_S, HOUR_S, LOW_BUDGET
from buoy.protocol.session import Action, Phase, close_action
from buoy.protocol.session.words import Trouble
from buoy.protocol.wire import Intent

V, T, P = Verdict, Trouble, Phase
CAUSES: Final[dict[str, Verdict]] = {
    T.TRANSIENT: V.WEBSOCKET, T.RATE: V.RATE, T.TOKEN: V.TOKEN_REFUSED, T.NO_HELLO: V.NO_HELLO,
    T.NO_READY: V.NO_READY, T.STORE: V.STORE_FAILING, T.ZOMBIE: V.NO_ACKS, T.CLOSED: V.CLOSING,
    T.RECONNECT: V.CLOSING, T.INVALID: V.CLOSING, T.FUTILE: V.CLOSING, T.UNREADY: V.NO_READY,
    T.REFUSED: V.IDENTIFY_REFUSED, T.BUDGET: V.BUDGET, T.SECRET: V.SECRET, T.APP: V.APP, T.IP: V.IP,
    T.TAKEN_DOWN: V.TAKEN_DOWN, T.BANNED: V.BANNED, T.INTENTS: V.INTENTS, T.SHARD: V.SHARD, T.SHARDS: V.SHARDS,
    T.VERSION: V.VERSION, T.NONSENSE: V.NONSENSE,
}  # fmt: skip
"""What the session machine's trouble means here; what is missing passes by itself."""
ENDS: Final = frozenset({V.CLOSING})
STANDING: Final = {
    P.OPENING: V.WEBSOCKET,
    P.GREETING: V.NO_HELLO,
    P.IDENTIFYING: V.NO_READY,
    P.RESUMING: V.NO_READY,
    P.LINGERING: V.IDENTIFY_REFUSED,
}
"""What a phase that does not end means."""
LONG_S: Final = 3.0  # a phase of an attempt takes milliseconds
ACK_S: Final = 120.0  # ours: nearly three of QQ's heartbeats
TRIES: Final = 2  # one lost connection is everyday
BREAKS: Final = 3  # in an hour
PLANNED: Final = frozenset({T.AGED.value, T.ASKING.value, T.SETTINGS.value})
SANDBOX: Final = "sandbox."  # protocol.md 3.1


def session(facts: Facts) -> Iterator[Finding]:
    """Whether each bot is connected, and if not, why."""
    told = (facts.process.snapshot or {}).get("bots") or {}
    trials = {trial.bot: trial for trial in facts.trials}
    for bot in facts.bots:
        findings = []
        explained = any(call.told != "ok" and call.bot == bot.app_id for call in facts.calls) or any(
            way.trouble for way in facts.ways
        )
        if bot.app_id in told:
            findings += list(_running(facts, bot, told[bot.app_id], explained=explained))
        elif facts.process.snapshot is not None:
            others = ", ".join(told) or "none"
            findings.append(found(Check.SESSION, V.OTHER_SETTINGS, f"its bots are: {others}", bot.app_id))
        elif bot.app_id in trials:
            findings += list(_trial(trials[bot.app_id], bot))
        findings += list(_budget(facts, bot, told.get(bot.app_id) or {}))
        if any(SANDBOX in host for host in bot.hosts):
            findings.append(found(Check.SESSION, V.SANDBOX, f"it is connected to {bot.hosts[0]}", bot.app_id))
        yield from findings


def _running(facts: Facts, bot: Bot, told: dict[str, Any], *, explained: bool) -> Iterator[Finding]:
    """The word of the Buoy that runs."""
    phase, cause, code = told.get("phase"), told.get("cause") or "", told.get("code")
    standing_s = told.get("phase_s") or 0.0
    words = _words(cause, code, told.get("reason") or "", told.get("next_try_s"))
    verdict = _verdict(cause, code)
    if phase == P.LIVE:
        late_s = told.get("last_ack_s")
        if not told.get("connected") or (late_s is not None and late_s > ACK_S):
            words = "heartbeats are not acknowledged" if late_s is None else f"the last ACK is {span(late_s)} old"
            yield found(Check.SESSION, V.NO_ACKS, words, bot.app_id)
            return
        breaks = facts.records.breaks if facts.records else ()
        recent = [why for who, at, why in breaks if who == bot.app_id and facts.now - at < HOUR_S]
        if len(recent) >= BREAKS:
            why, times = Counter(recent).most_common(1)[0]
            words = f"it went down {len(recent)} times in the last hour, {times} times so: {why}"
            yield softened(found(Check.SESSION, V.CLOSING, words, bot.app_id))
        if told.get("intents_refused"):
            words = f"QQ refuses {', '.join(told['intents_refused'])}: {told.get('intents_reason')}"
            yield found(Check.SESSION, V.INTENTS_FEWER, words, bot.app_id)
        elif len(recent) < BREAKS:
            yield well(Check.SESSION, f"connected, last ACK {span(late_s)} ago" if late_s else "connected", bot.app_id)
    elif verdict is V.WEBSOCKET and explained:
        return  # it cannot reach QQ, and the checks before say why
    elif phase == P.BLOCKED or (verdict is not None and verdict not in ENDS):
        yield found(Check.SESSION, verdict or V.NONSENSE, words, bot.app_id)
    elif phase in STANDING and standing_s >= LONG_S:
        words = f"{phase} for {span(standing_s)}"
        yield found(Check.SESSION, STANDING[P(phase)], words, bot.app_id)
    elif verdict in ENDS and told.get("attempt", 0) >= TRIES:
        yield found(Check.SESSION, V.CLOSING, words, bot.app_id)
    else:
        yield well(Check.SESSION, f"connecting again: {words or phase}", bot.app_id)


def _trial(trial: Trial, bot: Bot) -> Iterator[Finding]:
    """What a session of a few seconds showed."""
    words = _words(trial.cause, trial.code, trial.reason, None)
    if trial.skipped:
        yield well(Check.SESSION, f"not tried: {trial.skipped}", trial.bot)
    elif trial.phase in {P.WAITING, P.BLOCKED}:
        verdict = V.CLOSING if trial.was_live else _verdict(trial.cause, trial.code) or V.CLOSING
        if verdict is V.INTENTS:
            words += f"; asked for {', '.join(flag.name or '' for flag in Intent if flag & bot.intents)}"
        yield found(Check.SESSION, verdict, words, trial.bot)
    elif trial.was_live and not trial.is_acked:
        yield found(Check.SESSION, V.NO_ACKS, "a heartbeat was not acknowledged", trial.bot)
    elif trial.was_live:
        kept = f"; {trial.events} events came meanwhile and are not kept" if trial.events else ""
        yield well(Check.SESSION, f"READY and a heartbeat's ACK, then closed{kept}", trial.bot)
    else:
        verdict = STANDING.get(P(trial.phase), V.WEBSOCKET)
        yield found(Check.SESSION, verdict, f"{trial.phase} did not end", trial.bot)


def _verdict(cause: str, code: int | None) -> Verdict | None:
    if cause == T.REFUSED and code is not None and close_action(code) is Action.INTENTS:
        return V.INTENTS
    return CAUSES.get(cause)


def _words(cause: str, code: int | None, reason: str, next_try_s: float | None) -> str:
    parts = [cause, "" if code is None else f"close code {code}", reason]
    if next_try_s:
        parts.append(f"next try in {span(next_try_s)}")
    return ", ".join(part for part in parts if part)


def _budget(facts: Facts, bot: Bot, told: dict[str, Any]) -> Iterator[Finding]:
    """Identifies: how many are left, and whether somebody else spends them."""
    call = next((c for c in facts.calls if c.bot == bot.app_id and c.remaining is not None), None)
    left = call.remaining if call else told.get("identifies_left")
    if left is not None and left <= 0:
        yield found(Check.SESSION, V.BUDGET, "no identify is left today", bot.app_id)
    elif left is not None and left < LOW_BUDGET:
        yield found(Check.SESSION, V.BUDGET_LOW, f"{left} identifies are left today", bot.app_id)
    if call is None or call.remaining is None or call.total is None or facts.records is None:
        return
    ours, used = facts.records.identifies.get(bot.app_id, 0), call.total - call.remaining
    if used > ours + bot.doctors and (ours or told):
        words = f"QQ counts {used} identifies today; the Buoy of this data directory made {ours} in 24 h"
        yield found(Check.SESSION, V.FOREIGN_IDENTIFIES, words, bot.app_id)


def events(facts: Facts) -> Iterator[Finding]:
    """Whether anything arrives, and what may have been lost."""
    told = (facts.process.snapshot or {}).get("bots") or {}
    gaps = facts.records.gaps if facts.records else ()
    for bot in facts.bots:
        mine = [gap for gap in gaps if gap["bot"] == bot.app_id]
        deaf = [gap for gap in mine if gap["cause"] == T.DEAF]
        lost = [gap for gap in mine if gap["cause"] not in PLANNED | {T.DEAF.value}]
        known = told.get(bot.app_id) or {}
        silent_s = known.get("silent_s") or 0.0
        expect_s = known.get("expect_event_s") or bot.expect_event_h * HOUR_S
        if deaf or (expect_s and silent_s > expect_s):
            words = f"no event for {span(silent_s)}" if not deaf else f"replaced {len(deaf)} times for want of events"
            yield found(Check.EVENTS, V.DEAF, words, bot.app_id)
        elif silent_s > DAY_S and known.get("connected"):
            yield found(Check.EVENTS, V.SILENT, f"connected, and no event for {span(silent_s)}", bot.app_id)
        if lost:
            length_s = sum(gap["to_at"] - gap["from_at"] for gap in lost)
            words = f"{len(lost)} gaps in 24 h, {span(length_s)} in all; the newest: {lost[0]['cause']}"
            yield found(Check.EVENTS, V.GAP, words, bot.app_id)
        if known.get("unreadable"):
            words = f"{known['unreadable']} frames could not be read; they are stored as they came"
            yield found(Check.EVENTS, V.UNREADABLE, words, bot.app_id)
        elif known.get("connected") and not lost and not deaf and silent_s <= DAY_S:
            yield well(Check.EVENTS, f"the last {span(silent_s)} ago", bot.app_id)
