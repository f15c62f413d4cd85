"""Judges the way to QQ and what its REST interface says: names, TCP, TLS, proxy, clock, token, allowlist. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from buoy.faces.doctor.facts import Call, Facts, Way
from buoy.faces.doctor.judge_machine import softened
from buoy.faces.doctor.verdicts import Check, Finding, Verdict, found, well
from buoy.protocol import codes

V = Verdict
WAYS: Final = {
    "dns": V.DNS,
    "refused": V.UNREACHABLE,
    "silent": V.UNREACHABLE,
    "tls": V.TLS,
    "tls_time": V.TLS_TIME,
    "proxy": V.PROXY,
    "proxy_kind": V.PROXY_KIND,
}
TOKENS: Final = {"secret": V.SECRET, "bot": V.APP, "rate": V.RATE, "down": V.TOKEN_DOWN, "lost": V.QQ_SILENT}
APIS: Final = {"token": V.TOKEN_REFUSED, "rate": V.RATE, "down": V.QQ_DOWN, "lost": V.QQ_SILENT}
BANNED: Final = 11265
UNPUBLISHED: Final = 40054016
SKEW_S: Final = 5.0  # below it a Date header and a slow answer say nothing
WRONG_S: Final = 60.0  # from here on reply windows are misjudged, and certificates may be
SLOW_S: Final = 2.0


def network(facts: Facts) -> Iterator[Finding]:
    """Names, TCP, TLS, proxy: one line for all hosts that cannot be reached so."""
    bad = [way for way in facts.ways if way.trouble]
    works = any(call.name == "gateway" and call.told == "ok" for call in facts.calls)
    by_verdict: dict[Verdict, list[Way]] = {}
    for way in bad:
        verdict = V.HOST_DOWN if works and way.trouble != "proxy_kind" else WAYS[way.trouble]
        by_verdict.setdefault(verdict, []).append(way)
    for verdict, ways in by_verdict.items():
        words = "; ".join(dict.fromkeys(way.text for way in ways))
        yield found(Check.NETWORK, verdict, words, ", ".join(way.host for way in ways))
    hosts, proxies = {way.host for way in bad}, {way.host: way.proxy for way in facts.ways if way.proxy}
    for call in facts.calls:
        if call.told == "unsent" and call.host not in hosts and not (works and call.name == "token"):
            by = proxies.get(call.host)
            words = f"{call.host}: {call.text}" + (f", through {by}" if by else "")
            yield found(Check.NETWORK, V.PROXY if by else V.UNREACHABLE, words, call.host)
    good = [way for way in facts.ways if not way.trouble]
    if good and not bad:
        by = f" through {good[0].proxy}" if good[0].proxy else ""
        slowest = max(way.took_s for way in good) * 1000
        yield well(Check.NETWORK, f"{', '.join(way.host for way in good)}{by}: {slowest:.0f} ms")


def clock(facts: Facts) -> Iterator[Finding]:
    """This machine's clock against QQ's."""
    seen = [(call.ahead_s, SKEW_S + call.took_s / 2) for call in facts.calls if call.ahead_s is not None]
    bots = ((facts.process.snapshot or {}).get("bots") or {}).values()
    if not seen:
        seen = [(float(bot.get("clock_skew_s") or 0.0), SKEW_S) for bot in bots if "clock_skew_s" in bot]
    if not seen:
        return
    ahead_s, tolerance_s = max(seen, key=lambda one: abs(one[0]) - one[1])
    if abs(ahead_s) <= tolerance_s:
        yield well(Check.CLOCK, "agrees with QQ's")
        return
    words = f"this machine is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} QQ"
    finding = found(Check.CLOCK, V.CLOCK, words)
    yield finding if abs(ahead_s) >= WRONG_S else softened(finding)


def token(facts: Facts) -> Iterator[Finding]:
    """What the token endpoints say to each bot."""
    yield from _calls(facts, Check.TOKEN, ("token",))


def api(facts: Facts) -> Iterator[Finding]:
    """What the gateway look-up and the bot's own name bring."""
    yield from _calls(facts, Check.API, ("gateway", "me"))
    took = [call.took_s for call in facts.calls if call.told == "ok"]
    sends = facts.records.latencies_s if facts.records else ()
    if took and max(took) >= SLOW_S:
        yield found(Check.API, V.QQ_SLOW, f"an answer took {max(took):.1f} s")
    elif sends and median(sends) >= SLOW_S:
        yield found(Check.API, V.QQ_SLOW, f"half of the messages took {median(sends):.1f} s or longer")


def _calls(facts: Facts, check: Check, names: tuple[str, ...]) -> Iterator[Finding]:
    for bot in facts.bots:
        mine = [call for call in facts.calls if call.bot == bot.app_id and call.name in names]
        if not mine:
            continue
        works = {call.name for call in mine if call.told == "ok"}
        bad = [call for call in mine if call.told not in {"ok", "unsent"}]
        for call in bad:
            if call.name in works and call.told in {"down", "lost"}:
                yield found(check, V.HOST_DOWN, f"{call.host}: {call.text}", call.host)
            else:
                yield found(check, verdict_of(call), f"{call.host}: {call.text}", bot.app_id)
        if works and not bad:
            yield well(check, _told(mine), bot.app_id)


def verdict_of(call: Call) -> Verdict:
    """Say what a call that failed means."""
    if call.name == "token":
        return TOKENS[call.told]
    if call.told == "blocked":
        return of_code(call.code) or V.QQ_REFUSES
    return APIS[call.told]


def of_code(code: int) -> Verdict | None:
    """The verdict of an error code that concerns the whole bot."""
    if codes.find(code) is not None and codes.find(code) == codes.find(codes.IP_NOT_ALLOWED):
        return V.IP
    return {BANNED: V.BANNED, UNPUBLISHED: V.UNPUBLISHED}.get(code)


def _told(calls: list[Call]) -> str:
    name = next((call.title for call in calls if call.title), "")
    left = next((call.remaining for call in calls if call.remaining is not None), None)
    parts = [f"{name!r} answers" if name else "answers"]
    if left is not None:
        parts.append(f"{left} identifies left today")
    return ", ".join(parts)
