"""The doctor's judgement: facts and what they mean. Every verdict is reached by a row here or by a simulated fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buoy.durable.checkup import Ended, Turn
from buoy.faces.doctor import judge as doctor
from buoy.faces.doctor.facts import (
    Agent,
    Bot,
    Call,
    Database,
    Facts,
    Folder,
    Port,
    Records,
    Running,
    Settings,
    Trial,
    Way,
)
from buoy.faces.doctor.judge_session import CAUSES
from buoy.faces.doctor.mend import CURES
from buoy.faces.doctor.verdicts import Check, Level, Verdict
from buoy.faces.doctor.words import LANGUAGES, WORDS, language
from buoy.protocol.session import REMEDIES
from buoy.protocol.session.words import Trouble
from tests.faces import test_doctor_faults

V = Verdict
NOW, DAY, HOUR = 1_000_000.0, 86400.0, 3600.0
LIVE: dict[str, Any] = {"phase": "live", "connected": True, "attempt": 0, "last_ack_s": 3.0, "silent_s": 5.0}
SNAPSHOT: dict[str, Any] = {"pid": 7, "uptime_s": 100.0, "bots": {"1": LIVE}, "store": {}, "tasks": {}}
GATEWAY = Call("1", "gateway", "a:443", url="wss://g", remaining=900, total=1000, ahead_s=0.0)
HEALTHY = Facts(
    now=NOW,
    settings=Settings(alerts=1),
    bots=(Bot("1", ("https://a",)),),
    folder=Folder(Path("/data"), free_bytes=9 << 30, total_bytes=10 << 30),
    database=Database(present=True, version=3, known=3),
    process=Running(SNAPSHOT),
    port=Port("127.0.0.1:8765"),
    ways=(Way("a:443"),),
    calls=(Call("1", "token", "a:443"), GATEWAY),
    agents=(Agent("1", "echo"),),
    records=Records(identifies={"1": 100}),
)


def verdicts(facts: Facts) -> dict[Verdict, Level]:
    return {one.verdict: one.level for one in doctor.judge(facts) if one.verdict is not None}


def of_bot(**told: Any) -> dict[str, Any]:
    """A running Buoy whose bot says something else."""
    return {"process": Running(SNAPSHOT | {"bots": {"1": LIVE | told}})}


def of_buoy(**told: Any) -> dict[str, Any]:
    return {"process": Running(SNAPSHOT | told)}


def of_records(**known: Any) -> dict[str, Any]:
    return {"records": replace(HEALTHY.records or Records(), **known)}


def of_folder(**seen: Any) -> dict[str, Any]:
    return {"folder": replace(HEALTHY.folder or Folder(Path("/")), **seen)}


def of_way(trouble: Any) -> dict[str, Any]:
    return {"ways": (Way("a:443", trouble, "so"),), "calls": (Call("1", "token", "a:443", "unsent", "so"),)}


def of_call(call: Call) -> dict[str, Any]:
    return {"calls": (HEALTHY.calls[0], call)}


def of_token(told: Any) -> dict[str, Any]:
    return {"calls": (Call("1", "token", "a:443", told, "so"),)}


def of_trial(**seen: Any) -> dict[str, Any]:
    return {"process": Running(), "trials": (Trial("1", **seen),)}


def down(cause: str, code: int | None = None, **told: Any) -> dict[str, Any]:
    return of_bot(phase="waiting", connected=False, cause=cause, code=code, attempt=3, **told)


def gap(cause: str, bot: str = "1") -> dict[str, Any]:
    return {"bot": bot, "cause": cause, "from_at": NOW - 100, "to_at": NOW - 60}


OFF = {V.NOT_RUNNING: Level.WARNING}
F, W = Level.FAULT, Level.WARNING
ROWS: list[tuple[dict[str, Any], dict[Verdict, Level]]] = [
    ({}, {}),
    # this machine
    ({"settings": Settings(warnings=("QQ_APP_ID is not used",), alerts=1)}, {V.ADVICE: W}),
    ({"settings": Settings(exposed=(Path("/s"),), warnings=("/s holds a secret",), alerts=1)}, {V.SECRET_FILE: W}),
    ({"settings": Settings()}, {V.NO_ALERTS: W}),
    (of_folder(exists=False), {V.DATA_MISSING: W}),
    (of_folder(exists=False, error="no"), {V.DATA_UNUSABLE: F}),
    (of_folder(error="Permission denied"), {V.DATA_UNUSABLE: F}),
    (of_folder(mode=0o750), {V.DATA_OPEN: W}),
    (of_folder(wal_error="no"), {V.NO_WAL: F}),
    (of_folder(free_bytes=10 << 20), {V.DISK_FULL: F}),
    (of_folder(free_bytes=500 << 20), {V.DISK_LOW: W}),
    (of_folder(free_bytes=500 << 20, total_bytes=2 << 30), {}),
    ({"database": Database(present=True, version=9, known=3)}, {V.STORE_NEWER: F}),
    ({"database": Database(present=True, version=2, known=3)}, {V.STORE_OLDER: W}),
    ({"database": Database(present=True, known=3, damage="row 7")}, {V.STORE_DAMAGED: F}),
    ({"database": Database(present=True, known=3, error="file is not a database")}, {V.STORE_DAMAGED: F}),
    ({"database": Database(present=True, version=3, known=3, damage=None)}, {}),
    ({"database": Database(present=True, ours=False, known=3)}, {V.STORE_FOREIGN: F}),
    ({"database": Database(present=False, known=3)}, {}),
    (of_buoy(store={"refusal": "the disk is full"}), {V.STORE_FAILING: F}),
    (of_buoy(store={"committing_s": 9.0}), {V.STORE_FAILING: F}),
    ({"process": Running()}, OFF),
    ({"process": Running(error="it does not answer")}, {V.STUCK: F}),
    ({"process": Running(holder="pid 9")}, {V.STUCK: F}),
    ({"process": Running(is_hidden=True, sockets={"1": "pid 9"})}, {}),
    ({"process": Running(is_address_stale=True)}, OFF | {V.STALE_ADDRESS: W}),
    ({"process": Running(sockets={"1": "pid 9"})}, OFF | {V.TWO_SOCKETS: F}),
    (of_buoy(tasks={"qq:1:shard0": {"restarts": 4, "last_end": "ValueError"}}), {V.RESTARTING: W}),
    ({"process": Running(SNAPSHOT, proxies={}, own_proxies={"https_proxy": "http://p:1"})}, {V.PROXY_DIFFERS: W}),
    ({"port": Port("127.0.0.1:8765", "Address already in use", "pid 9 (nginx)")}, {V.PORT: F}),
    ({"port": Port("127.0.0.1:8765", is_ours=True)}, {}),
    (of_buoy(web={"listening": "127.0.0.1:8765"}) | {"port": Port("127.0.0.1:8765", "Address already in use")}, {}),
    (of_buoy(web={"listening": None, "error": "not permitted"}), {V.PORT: F}),
    # the way to QQ
    (of_way("dns"), {V.DNS: F}),
    (of_way("refused"), {V.UNREACHABLE: F}),
    (of_way("silent"), {V.UNREACHABLE: F}),
    (of_way("tls"), {V.TLS: F}),
    (of_way("tls_time"), {V.TLS_TIME: F}),
    (of_way("proxy"), {V.PROXY: F}),
    (
        {
            "ways": (Way("a:443", proxy="p:1 (HTTPS_PROXY)"),),
            "calls": (Call("1", "token", "a:443", "unsent", "the proxy refused: 407 Proxy Authentication Required"),),
        },
        {V.PROXY: F},
    ),
    (of_way("proxy_kind"), {V.PROXY_KIND: F}),
    ({"ways": (Way("a:443"), Way("b:443", "dns", "so"))}, {V.HOST_DOWN: W}),
    (of_token("unsent"), {V.UNREACHABLE: F}),
    (of_call(replace(GATEWAY, ahead_s=4.0)), {}),
    (of_call(replace(GATEWAY, ahead_s=6.0, took_s=3.0)), {V.QQ_SLOW: W}),
    (of_call(replace(GATEWAY, ahead_s=-30.0)), {V.CLOCK: W}),
    (of_call(replace(GATEWAY, ahead_s=90.0)), {V.CLOCK: F}),
    (of_bot(clock_skew_s=90.0) | {"calls": ()}, {V.CLOCK: F}),
    # what REST says
    (of_token("secret"), {V.SECRET: F}),
    (of_token("bot"), {V.APP: F}),
    (of_token("rate"), {V.RATE: W}),
    (of_token("down"), {V.TOKEN_DOWN: F}),
    (of_token("lost"), {V.QQ_SILENT: F}),
    ({"calls": (*HEALTHY.calls, Call("1", "token", "b:443", "down", "so"))}, {V.HOST_DOWN: W}),
    ({"calls": (*HEALTHY.calls, Call("1", "gateway", "b:443", "lost", "so"))}, {V.HOST_DOWN: W}),
    (of_call(Call("1", "gateway", "a:443", "token", "so")), {V.TOKEN_REFUSED: F}),
    (of_call(Call("1", "gateway", "a:443", "rate", "so")), {V.RATE: W}),
    (of_call(Call("1", "gateway", "a:443", "down", "so")), {V.QQ_DOWN: F}),
    (of_call(Call("1", "gateway", "a:443", "blocked", "so", 11298)), {V.IP: F}),
    (of_call(Call("1", "gateway", "a:443", "blocked", "so", 40023002)), {V.IP: F}),
    (of_call(Call("1", "gateway", "a:443", "blocked", "so", 11265)), {V.BANNED: F}),
    (of_call(Call("1", "gateway", "a:443", "blocked", "so", 40054016)), {V.UNPUBLISHED: F}),
    (of_call(Call("1", "gateway", "a:443", "blocked", "so", 11253)), {V.QQ_REFUSES: F}),
    (of_records(latencies_s=(3.0, 3.0, 0.1)), {V.QQ_SLOW: W}),
    # the session, as a running Buoy tells it
    (of_bot(connected=False), {V.NO_ACKS: F}),
    (of_bot(last_ack_s=200.0), {V.NO_ACKS: F}),
    (of_bot(intents_refused=["DIRECT_MESSAGE"], intents_reason="close code 4014"), {V.INTENTS_FEWER: W}),
    (down("secret"), {V.SECRET: F}),
    (down("identify refused", 4014), {V.INTENTS: F}),
    (down("identify refused", 4013), {V.INTENTS: F}),
    (down("identify refused", 4903), {V.IDENTIFY_REFUSED: F}),
    (down("unreachable"), {V.WEBSOCKET: F}),
    (down("unreachable") | of_way("dns"), {V.DNS: F}),
    (down("closed", 4000), {V.CLOSING: F}),
    (down("closed", 4000) | of_bot(phase="waiting", connected=False, cause="closed", attempt=1), {}),
    (of_bot(phase="blocked", connected=False, cause="secret") | of_token("secret"), {V.SECRET: F}),
    (of_bot(phase="greeting", connected=False, cause=None, phase_s=5.0), {V.NO_HELLO: F}),
    (of_bot(phase="identifying", connected=False, cause=None, phase_s=5.0), {V.NO_READY: F}),
    (of_bot(phase="identifying", connected=False, cause=None, phase_s=1.0), {}),
    (of_records(breaks=tuple(("1", NOW - 60 * n, "closed 4000") for n in (3, 2, 1))), {V.CLOSING: W}),
    (of_records(breaks=tuple(("1", NOW - 2 * HOUR, "closed 4000") for _ in range(9))), {}),
    (of_call(replace(GATEWAY, remaining=0)) | of_records(identifies={"1": 1000}), {V.BUDGET: F}),
    (of_call(replace(GATEWAY, remaining=80)) | of_records(identifies={"1": 990}), {V.BUDGET_LOW: W}),
    (of_bot(identifies_left=0) | {"calls": ()}, {V.BUDGET: F}),
    (of_records(identifies={"1": 99}), {V.FOREIGN_IDENTIFIES: W}),
    (of_records(identifies={"1": 99}) | {"bots": (Bot("1", doctors=1),)}, {}),
    (of_records(identifies={}) | {"process": Running()}, OFF),
    ({"bots": (Bot("1", ("https://sandbox.api.sgroup.qq.com",)),)}, {V.SANDBOX: W}),
    # the session, as a trial showed it
    (of_trial(phase="live", was_live=True, is_acked=True), OFF),
    (of_trial(skipped="not asked for"), OFF),
    (of_trial(phase="live", was_live=True), OFF | {V.NO_ACKS: F}),
    (of_trial(phase="waiting", was_live=True, cause="closed"), OFF | {V.CLOSING: F}),
    (of_trial(phase="waiting", cause="identify refused", code=4014), OFF | {V.INTENTS: F}),
    (of_trial(phase="blocked", cause="shard", code=4010), OFF | {V.SHARD: F}),
    (of_trial(phase="opening"), OFF | {V.WEBSOCKET: F}),
    (of_trial(phase="lingering"), OFF | {V.IDENTIFY_REFUSED: F}),
    (of_buoy(bots={}), {V.OTHER_SETTINGS: F}),
    # events
    (of_records(gaps=(gap("no events"),)), {V.DEAF: F}),
    (of_bot(silent_s=2 * HOUR) | {"bots": (Bot("1", (), 1.0),)}, {V.DEAF: F}),
    (of_bot(silent_s=2 * DAY), {V.SILENT: W}),
    (of_records(gaps=(gap("invalid session"), gap("unready identify"))), {V.GAP: W}),
    (of_records(gaps=(gap("session aged"), gap("settings changed"), gap("invalid session", "2"))), {}),
    (of_bot(unreadable=2), {V.UNREADABLE: W}),
    # letters
    (of_records(letters=(Ended("1", "dead", 40054010, "a URL", 2),)), {V.URLS: F}),
    (of_records(reworded=(Ended("1", "reworded", 304003, "a URL", 2),)), {V.URLS: W}),
    (of_records(letters=(Ended("1", "held", 11253, "no", 1),)), {V.PERMISSION: F}),
    (of_records(letters=(Ended("1", "held", 0, "the reply window is over", 1),)), {V.PROACTIVE: W}),
    (of_records(letters=(Ended("1", "held", 304049, "used up", 1),)), {V.QUOTA: W}),
    (of_records(letters=(Ended("1", "dead", 40034006, "policy", 1),)), {V.CONTENT: W}),
    (of_records(letters=(Ended("1", "dead", 40054004, "gone", 1),)), {V.RECIPIENT: W}),
    (of_records(letters=(Ended("1", "dead", 40054016, "offline", 1),)), {V.UNPUBLISHED: F}),
    (of_records(letters=(Ended("1", "dead", 11298, "address", 1),)), {V.IP: F}),
    (of_records(letters=(Ended("1", "unsure", 0, "no answer", 1),)), {V.UNSURE: W}),
    (of_records(letters=(Ended("1", "dead", 12002, "malformed", 1),)), {V.DEAD_LETTERS: W}),
    (of_records(trying=(Ended("1", "queued", 0, "no answer", 1),)), {V.LETTERS_WAIT: W}),
    (of_buoy(outbox={"oldest": {"queued": 900.0}}), {V.LETTERS_WAIT: W}),
    (of_records(rejected=1), {V.AUDIT: W}),
    # the agent
    ({"agents": (Agent("1", "openai", "setup", "no key"),)}, {V.AGENT_SETUP: F}),
    ({"agents": (Agent("1", "openai", "away", "refused"),)}, {V.AGENT_AWAY: F}),
    ({"agents": (Agent("1", "openai", "refused", "401"),)}, {V.AGENT_REFUSED: F}),
    ({"agents": (Agent("1", "openai", "model", "none"),)}, {V.AGENT_MODEL: W}),
    ({"agents": (Agent("1", "openai", "late", "too long"),)}, {V.AGENT_SLOW: W}),
    ({"agents": (Agent("1", "openai", took_s=5.5),)}, {V.AGENT_SLOW: W}),
    ({"agents": (Agent("1", "python:a:b", took_s=5.5),)}, {}),
    (of_buoy(inbox={"away": {"1": {"away_s": 60.0, "reason": "down"}}}), {V.AGENT_AWAY: F}),
    (of_buoy(inbox={"oldest": {"running": 300.0}}), {V.AGENT_SLOW: W}),
    (of_records(turns=tuple(Turn("1", "done", 40.0, "") for _ in range(3))), {V.AGENT_SLOW: W}),
    (of_records(turns=(Turn("1", "dead", 1.0, "ValueError"),)), {V.AGENT_FAILING: F}),
    (of_records(turns=(Turn("1", "done", 1.0, ""), Turn("1", "dead", 1.0, "x"))), {V.AGENT_FAILING: W}),
]


@pytest.mark.parametrize(("changes", "told"), ROWS)
def test_what_was_seen_and_what_it_means(changes: dict[str, Any], told: dict[Verdict, Level]) -> None:
    assert verdicts(replace(HEALTHY, **changes)) == told
    named = [(one.verdict, one.subject) for one in doctor.judge(replace(HEALTHY, **changes)) if one.verdict]
    assert len(named) == len(set(named)), "nothing is told twice"


def test_what_is_wrong_with_one_bot_explains_nothing_of_another() -> None:
    broken = LIVE | {"phase": "waiting", "connected": False, "cause": "unreachable", "attempt": 3}
    calls = (Call("1", "token", "a:443", "secret", "no"), Call("2", "token", "a:443"), replace(GATEWAY, bot="2"))
    found = doctor.judge(
        replace(
            HEALTHY,
            bots=(Bot("1", ("https://a",)), Bot("2", ("https://a",))),
            process=Running(SNAPSHOT | {"bots": {"1": broken, "2": broken}}),
            calls=calls,
        )
    )
    bad = {(one.verdict, one.subject) for one in found if one.level is Level.FAULT}
    assert bad == {(V.SECRET, "1"), (V.WEBSOCKET, "2")}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_trouble_of_a_session_is_told_as_what_it_is(cause: str) -> None:
    assert verdicts(replace(HEALTHY, **of_bot(phase="blocked", connected=False, cause=cause, attempt=3))) == {
        CAUSES[cause]: Level.WARNING if cause == Trouble.RATE else Level.FAULT
    }


def test_no_trouble_that_needs_a_person_is_without_a_verdict() -> None:
    assert {str(trouble) for trouble in REMEDIES} <= {str(cause) for cause in CAUSES}


def test_every_verdict_is_reached_somewhere() -> None:
    reached = {verdict for _, told in ROWS for verdict in told} | set(CAUSES.values())
    reached |= {verdict for row in test_doctor_faults.ROWS for verdict in row.says}
    assert set(Verdict) - reached == {V.SETTINGS}, "which has a test of its own below"


def test_settings_that_cannot_be_used_leave_the_rest_to_be_looked_at() -> None:
    facts = Facts(
        now=NOW,
        settings=Settings("bots.app_id: missing"),
        folder=replace(HEALTHY.folder or Folder(Path("/")), mode=0o755),
    )
    assert verdicts(facts) == {V.SETTINGS: Level.FAULT, V.DATA_OPEN: Level.WARNING}


def test_hosts_with_the_same_trouble_are_one_line() -> None:
    ways = (Way("a:443", "dns", "a: no"), Way("b:443", "dns", "b: no"), Way("c:443", "refused", "c: no"))
    dns, other = (f for f in doctor.judge(replace(HEALTHY, ways=ways, calls=())) if f.check is Check.NETWORK)
    assert (dns.verdict, dns.subject, dns.cause) == (V.DNS, "a:443, b:443", "a: no; b: no")
    assert other.verdict is V.UNREACHABLE


def test_the_worst_comes_first_and_what_is_well_is_said_too() -> None:
    found = doctor.judge(replace(HEALTHY, settings=Settings(), **of_way("dns")))
    levels = [one.level for one in found]
    assert levels == sorted(levels, key=doctor.WORST.index)
    assert found[0].verdict is V.DNS
    assert doctor.worst(found) is Level.FAULT
    told = {one.check for one in doctor.judge(HEALTHY)}
    assert told == set(Check), "each check says something where all is well"


def test_a_bot_that_is_down_says_why_with_code_and_next_try() -> None:
    (one,) = (f for f in doctor.judge(replace(HEALTHY, **down("identify refused", 4903, next_try_s=60.0))) if f.verdict)
    assert one.cause == "identify refused, close code 4903, next try in 60 s"
    assert one.subject == "1"


def test_the_intents_that_were_asked_for_are_named() -> None:
    facts = replace(
        HEALTHY,
        bots=(Bot("1", intents=1 << 25 | 1 << 12),),
        **of_trial(phase="waiting", cause="identify refused", code=4014),
    )
    (one,) = (f for f in doctor.judge(facts) if f.verdict is V.INTENTS)
    assert "DIRECT_MESSAGE, GROUP_AND_C2C_EVENT" in one.cause


def test_every_verdict_has_words_in_each_language() -> None:
    assert set(WORDS) == set(Verdict)
    for verdict, texts in WORDS.items():
        assert set(texts) == set(LANGUAGES), verdict
        for tongue, text in texts.items():
            assert all(part.strip() == part and part for part in text), (verdict, tongue)
            assert not text.title.endswith((".", "。")), verdict
            assert text.means.endswith((".", "。")), (verdict, tongue)
            assert text.do.endswith((".", "。")), (verdict, tongue)
        assert texts["zh"].title != texts["en"].title
        assert any("一" <= letter <= "鿿" for letter in texts["zh"].do)


def test_what_can_be_mended_is_never_the_database_or_qq() -> None:
    assert set(CURES) == {V.SECRET_FILE, V.DATA_MISSING, V.DATA_OPEN, V.STALE_ADDRESS}


@pytest.mark.parametrize(
    ("environ", "tongue"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN", "LC_ALL": "C"}, "en"),
        ({"LC_MESSAGES": "ZH_TW"}, "zh"),
    ],
)
def test_the_language_is_the_terminals(environ: dict[str, str], tongue: str) -> None:
    assert language(environ) == tongue
