"""The doctor during every fault of the simulated platform: the table says what it has to find, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buoy.durable.lock import lock_machine, machine_path
from buoy.faces.doctor import processes, tally, trial
from buoy.faces.doctor.verdicts import Verdict
from buoy.sim import Sim
from buoy.sim.faults import KINDS
from tests.faces.patients import PATIENT, QUICK, awake, findings, named, running, until
from tests.rules.running import Buoy, prepared
from tests.sim.client import Client

V = Verdict
AT_ONCE = 6  # rows side by side: more of them, and the machine itself is what is slow
WELL: frozenset[Verdict] = frozenset()


@pytest.fixture(autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a doctor leaves for the machine in a folder of the test."""
    folder = tmp_path_factory.mktemp("machine")
    monkeypatch.setattr(trial, "lock_machine", partial(lock_machine, directory=folder))
    for module in (tally, processes):
        monkeypatch.setattr(module, "machine_path", partial(machine_path, directory=folder))


@dataclass(frozen=True)
class Row:
    """One fault, and what the doctor has to say. ``kind`` "": a setting of the platform, or a second client."""

    kind: str
    says: frozenset[Verdict]
    fields: dict[str, Any] = field(default_factory=dict)
    connect: bool = False
    """No Buoy runs, and the doctor tries a session of its own."""
    meet: Callable[[Sim, Buoy], Awaitable[None]] | None = None
    """A Buoy runs and meets the fault so."""
    settings: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    is_slow: bool = False

    @property
    def name(self) -> str:
        mode = self.fields.get("mode", "")
        return f"{self.kind or next(iter(self.settings), 'second client')} {mode}".strip()


async def nothing(sim: Sim, buoy: Buoy) -> None:
    del sim, buoy


async def lives_on(sim: Sim, buoy: Buoy) -> None:
    """The connection was replaced."""
    await sim.until(lambda: buoy.is_live and buoy.bot["connects"] > 1)


async def anew(sim: Sim, buoy: Buoy) -> None:
    """The session was lost, and the next one is there."""
    await sim.until(lambda: buoy.is_live and sim.world.counters["ready"] > 1)
    await sim.until(lambda: bool(buoy.rows("SELECT 1 FROM gap")))


async def cut(sim: Sim, buoy: Buoy) -> None:
    del buoy
    sim.faults.add("ws_reset")


async def cut_and_anew(sim: Sim, buoy: Buoy) -> None:
    await cut(sim, buoy)
    await anew(sim, buoy)


async def again_and_again(sim: Sim, buoy: Buoy) -> None:
    await sim.until(lambda: buoy.bot["attempt"] > 2 and buoy.bot["phase"] == "waiting")


async def unreadable(sim: Sim, buoy: Buoy) -> None:
    del sim
    await until(lambda: buoy.bot["unreadable"])


async def unacknowledged(sim: Sim, buoy: Buoy) -> None:
    await sim.until(lambda: buoy.bot["phase"] == "live" and not buoy.is_live)


async def never_resumed(sim: Sim, buoy: Buoy) -> None:
    await cut(sim, buoy)
    await until(lambda: buoy.bot["phase"] == "resuming" and buoy.bot["phase_s"] >= 3)


async def unheard(sim: Sim, buoy: Buoy) -> None:
    await sim.say("nobody hears this")
    await until(lambda: buoy.bot["silent_s"] > 0.3)


async def blocked(sim: Sim, buoy: Buoy) -> None:
    await sim.until(lambda: buoy.bot["phase"] == "blocked")


async def answered(sim: Sim, buoy: Buoy) -> None:
    await buoy.answered(await sim.say("hello"))
    await buoy.settled()


async def resent(sim: Sim, buoy: Buoy) -> None:
    """A message without an anchor is not repeated once it may have arrived."""
    await buoy.send(f"qq:c2c:{sim.meet()}", "did it arrive?")
    assert await buoy.ends("did it arrive?") == "unsure"


async def refused(sim: Sim, buoy: Buoy) -> None:
    await buoy.send(f"qq:c2c:{sim.meet()}", "no")
    await until(lambda: buoy.letters("no") and (buoy.letter("no")["code"] or buoy.letter("no")["state"] != "claimed"))
    await buoy.settled()


async def linked(sim: Sim, buoy: Buoy) -> None:
    """The second wording of it is a link, too."""
    await buoy.send(f"qq:c2c:{sim.meet()}", "see https://example.com/")
    await until(lambda: buoy.letters() and buoy.letters()[0]["state"] not in {"queued", "claimed"})
    await buoy.settled()


async def reviewed(sim: Sim, buoy: Buoy) -> None:
    await sim.say("hello", scene="channel")
    await until(lambda: buoy.rows("SELECT 1 FROM inbox WHERE type = 'MESSAGE_AUDIT_REJECT'"))


async def shared(sim: Sim, buoy: Buoy) -> None:
    """Another program connects with the same AppID."""
    import aiohttp  # noqa: PLC0415

    async with aiohttp.ClientSession() as http:
        other = Client(sim, http)
        await other.identify()
        await other.ws.close()
    assert buoy.is_live


def says(*verdicts: Verdict) -> frozenset[Verdict]:
    return frozenset(verdicts)


ROWS = (
    # what strikes a connection once heals by itself
    Row("ws_reset", WELL, meet=lives_on),
    Row("ws_close", WELL, {"code": 4000}, meet=lives_on),
    Row("ws_close", says(V.CLOSING), {"code": 4000, "count": None}, meet=again_and_again),
    Row("op7", WELL, {"mode": "now"}, meet=lives_on),
    Row("op7", WELL, {"mode": "only4009"}, meet=lives_on),
    Row("op9", says(V.GAP), meet=anew),
    Row("malformed_frame", says(V.UNREADABLE), {"text": "{nope"}, meet=unreadable),
    Row("op1", WELL, meet=nothing),
    # the WebSocket
    Row("drop_acks", says(V.NO_ACKS), meet=unacknowledged, settings={"heartbeat_s": 1.0}),
    Row("drop_acks", says(V.NO_ACKS), connect=True),
    Row("no_hello", says(V.NO_HELLO), connect=True),
    Row("no_ready", says(V.NO_READY), connect=True),
    Row("no_resumed", says(V.NO_READY), meet=never_resumed),
    Row("upgrade_status", says(V.WEBSOCKET), connect=True),
    Row("refuse_identify", says(V.INTENTS), {"mode": "op9_then_4014"}, connect=True),
    Row("refuse_identify", says(V.INTENTS), {"mode": "close4014"}, connect=True),
    Row("refuse_identify", says(V.IDENTIFY_REFUSED), {"mode": "op9_then_4903"}, connect=True),
    Row("refuse_identify", says(V.IDENTIFY_REFUSED), {"mode": "op9_eof"}, connect=True),
    Row("refuse_resume", says(V.GAP), meet=cut_and_anew),
    Row("drop_after_ready", says(V.CLOSING), connect=True),
    Row("deaf_session", says(V.DEAF), meet=unheard, account={"expect_event_s": 0.2}),
    Row("duplicate_events", WELL, meet=answered),
    Row("banned", says(V.BANNED), meet=blocked),
    Row("banned", says(V.BANNED), connect=True),
    Row("taken_down", says(V.TAKEN_DOWN), meet=blocked),
    Row("taken_down", says(V.TAKEN_DOWN), connect=True),
    Row("sandbox", says(V.UNPUBLISHED), meet=refused),
    # REST
    Row("http_status", says(V.QQ_DOWN), {"endpoint": "gateway", "status": 502, "body": "html"}),
    Row("http_status", says(V.RATE), {"endpoint": "gateway", "status": 429}),
    Row("slow", says(V.QQ_SLOW), {"seconds": 2.2, "endpoint": "gateway"}, is_slow=True),
    Row("hang", says(V.QQ_SILENT), {"endpoint": "gateway"}),
    Row("hang", says(V.QQ_SILENT), {"endpoint": "token"}),
    Row("accept_then_reset", says(V.UNSURE), {"count": 1}, meet=resent),
    Row("error_code", says(V.QQ_REFUSES), {"endpoint": "gateway", "code": 11253}),
    Row("error_code", says(V.CONTENT), {"endpoint": "send", "code": 40034006}, meet=refused),
    Row("error_code", says(V.PERMISSION), {"endpoint": "send", "code": 11253}, meet=refused),
    Row("errors_with_200", WELL, meet=answered),
    Row("token_down", says(V.TOKEN_DOWN)),
    Row("revoke_tokens", WELL, meet=answered),
    Row("bad_secret", says(V.SECRET)),
    Row("ip_refused", says(V.IP)),
    Row("ip_refused", says(V.IP), meet=nothing),
    Row("no_proactive", says(V.PROACTIVE), meet=refused),
    Row("audit", says(V.AUDIT), {"mode": "reject"}, meet=reviewed),
    Row("clock_skew", says(V.CLOCK), {"seconds": 300.0}),
    Row("clock_skew", says(V.CLOCK), {"seconds": -20.0}),
    # what is a setting there, or somebody else
    Row("", says(V.INTENTS), connect=True),
    Row("", says(V.URLS), meet=linked),
    Row("", says(V.FOREIGN_IDENTIFIES), meet=shared),
    Row("", says(V.BUDGET), settings={"identifies_per_day": 0}, connect=True),
    Row("", says(V.BUDGET_LOW), settings={"identifies_per_day": 60}, connect=True),
)


async def verdicts(row: Row, directory: Path) -> set[Verdict]:
    """Let a patient meet the fault, and ask the doctor."""
    deadlines = PATIENT if row.is_slow else QUICK
    if row.meet is None:
        async with Sim(limits=False, lifetime_s=None, control_port=None, **row.settings) as sim:
            if not row.kind and not row.settings:
                sim.world.bot().allowed_intents = 0
            if row.kind:
                sim.faults.add(row.kind, **row.fields)
            return named(await findings(sim, directory, connect=row.connect, deadlines=deadlines))
    async with running(directory, row.account, **row.settings) as (sim, buoy):
        if row.kind:
            sim.faults.add(row.kind, **row.fields)
        await row.meet(sim, buoy)
        return named(await findings(sim, directory, deadlines=deadlines))


def test_each_fault_is_named_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        turn = asyncio.Semaphore(AT_ONCE)
        wrong: dict[str, Any] = {}

        async def one(number: int, row: Row) -> None:
            directory = tmp_path / str(number)
            directory.mkdir(mode=0o700)
            async with turn:
                try:
                    told = await verdicts(row, directory)
                except TimeoutError as error:
                    wrong[f"{row.name} ({number})"] = error, row.says
                    return
            if told != row.says:
                wrong[f"{row.name} ({number})"] = told, row.says

        await asyncio.gather(*(one(number, row) for number, row in enumerate(ROWS)))
        return wrong

    assert asyncio.run(main()) == {}


def test_a_session_is_tried_only_where_nobody_has_one_to_lose(tmp_path: Path) -> None:
    async def main() -> None:
        async with prepared(tmp_path) as (sim, buoy):
            async with awake(buoy):
                await findings(sim, tmp_path, connect=True)
                assert sim.world.counters["identifies"] == 1, "it asks the Buoy that runs"
            await findings(sim, tmp_path, connect=None)
            assert sim.world.counters["identifies"] == 1, "its session may still be resumed"
            await findings(sim, tmp_path, connect=True)
            assert sim.world.counters["identifies"] == 2
            await findings(sim, tmp_path / "new", connect=None)
            assert sim.world.counters["identifies"] == 3
            async with awake(buoy):
                told = named(await findings(sim, tmp_path))
            assert told == set(), "no stranger: these logins were the doctor's own"

    tmp_path.chmod(0o700)
    asyncio.run(main())


def test_every_kind_of_fault_has_a_row() -> None:
    assert KINDS.keys() - {row.kind for row in ROWS} == set()


@pytest.mark.parametrize(
    ("mode", "verdict"), [("down", V.UNREACHABLE), ("blackhole", V.QQ_SILENT), ("drop", V.QQ_SILENT)]
)
def test_the_network(mode: str, verdict: Verdict, tmp_path: Path) -> None:
    async def main() -> set[Verdict]:
        async with Sim(control_port=None) as sim:
            await sim.network(mode)
            try:
                return named(await findings(sim, tmp_path, connect=True))
            finally:
                await sim.network("up")

    tmp_path.chmod(0o700)
    assert asyncio.run(main()) == {verdict}
