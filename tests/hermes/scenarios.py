"""What is shown on real Hermes gateways, for our plugin and for Hermes' own adapter alike.

Each scenario is a function that gives a home to start and returns what it measured, in words; :class:`Wrong` says what
went wrong. Times of outages are multiplied by ``scale``: 1 for the table, less for the tests of every day.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.hermes.rig import HASTE, KILL_AT_LEDGER, PLATFORM, Gateway, Wrong

WARM: Final = 900  # the user of the first turn, which is slow
BREATH_S: Final = 5.0  # Hermes calls a message that comes sooner after an answer an interruption


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    run: Callable[[Gateway], Awaitable[str]]
    only_new: bool = False
    """It concerns what older versions of Hermes do not have."""
    only_ours: bool = False
    """Hermes' own adapter has nothing to compare."""


SCENARIOS: Final[list[Scenario]] = []


def scenario(name: str, **facts: bool) -> Callable[[Callable[[Gateway], Awaitable[str]]], Any]:
    """List a scenario."""

    def listed(run: Callable[[Gateway], Awaitable[str]]) -> Callable[[Gateway], Awaitable[str]]:
        SCENARIOS.append(Scenario(name, run, **facts))
        return run

    return listed


async def warmed(one: Gateway, user: int = WARM) -> None:
    """Start, and let the first, slow turn pass."""
    one.prepare()
    await one.start()
    one.say("warm up", user)
    await one.answered("warm up", 60)


# --- answers ------------------------------------------------------------------------------------------------------


@scenario("a message is answered")
async def answer(one: Gateway) -> str:
    await warmed(one)
    one.say("hello", 1)
    took = await one.answered("hello")
    await one.settled()
    one.once("hello", "warm up")
    return f"in {took:.2f} s"


@scenario("WebSocket down 120 s during a turn, REST up")
async def websocket_down(one: Gateway) -> str:
    await warmed(one)
    one.model.delay_s = 2.0
    one.say("while it is down", 1)
    await one.until(lambda: any("while it is down" in str(body) for body in one.model.asked), 20, "no turn began")
    one.sim.faults.add("upgrade_status")
    one.sim.faults.add("ws_reset")
    due = time.monotonic() + 2.0
    await one.answered("while it is down", max(10.0, 120 * one.scale))
    late = time.monotonic() - due
    await asyncio.sleep(120 * one.scale)
    one.sim.faults.remove()
    await one.until(lambda: one.sim.connections > 0, 90, "no new session")
    await one.settled()
    one.once("while it is down")
    if late > 2:
        raise Wrong(f"answered {late:.1f} s late")
    return f"the reply arrived {max(0.0, late):.2f} s after it was due"


@scenario("everything down 60 s when the reply is due")
async def all_down(one: Gateway) -> str:
    await warmed(one)
    one.model.delay_s = 1.0
    one.say("through the outage", 1)
    await one.until(lambda: any("through the outage" in str(body) for body in one.model.asked), 20, "no turn began")
    await one.sim.network("down")
    await asyncio.sleep(max(6.0, 60 * one.scale))
    await one.sim.network("up")
    took = await one.answered("through the outage", 90)
    await one.settled()
    one.once("through the outage")
    return f"once, {took:.1f} s after the outage"


@scenario("accepted by QQ, then the connection is cut before the answer")
async def accepted_then_cut(one: Gateway) -> str:
    await warmed(one)
    one.sim.faults.add("accept_then_reset", endpoint="send", count=1)
    one.say("perhaps twice", 1)
    await one.answered("perhaps twice")
    await asyncio.sleep(4)
    await one.settled()
    one.once("perhaps twice")
    return "one copy"


# --- kills --------------------------------------------------------------------------------------------------------


def killed(after_s: float) -> Callable[[Gateway], Awaitable[str]]:
    async def run(one: Gateway) -> str:
        await warmed(one)
        await asyncio.sleep(BREATH_S)
        one.say("in flight", WARM)
        await asyncio.sleep(after_s)
        one.kill()
        one.say("while dead", 2)
        await one.start()
        await one.until(
            lambda: bool(one.answers("in flight") and one.answers("while dead")), 40, "not both were answered",
        )  # fmt: skip
        await one.settled(3)
        one.once("in flight", "while dead")
        return "in flight and while dead: each once"

    return run


for _after in (0, 0.05, 0.2, 0.5, 1, 3):
    scenario(f"kill -9 {_after:g} s after a message arrived")(killed(_after))


@scenario("kill -9 between our commit and Hermes' ledger", only_new=True, only_ours=True)
async def killed_at_the_ledger(one: Gateway) -> str:
    flag = one.home / "kill-at-ledger"
    one.plugins["killer"] = KILL_AT_LEDGER.format(flag=str(flag))
    one.prepare()
    flag.touch()
    await one.start()
    process = one.process
    assert process is not None
    one.say("once only", 1)
    await one.until(lambda: process.poll() is not None, 40, "it was not killed")
    await one.start()
    await one.answered("once only")
    await one.settled(4)
    one.once("once only")
    return "once"


# --- stops --------------------------------------------------------------------------------------------------------


def bounded(took: float) -> str:
    if took > 5:
        raise Wrong(f"{took:.1f} s")
    return f"{took:.2f} s"


@scenario("SIGTERM, healthy")
async def stop_healthy(one: Gateway) -> str:
    await warmed(one)
    return bounded(await one.stop())


@scenario("SIGTERM, WebSocket down")
async def stop_websocket_down(one: Gateway) -> str:
    await warmed(one)
    one.sim.faults.add("upgrade_status")
    one.sim.faults.add("ws_reset")
    await one.until(lambda: one.sim.connections == 0, 10, "it is not down")
    return bounded(await one.stop())


@scenario("SIGTERM, everything down, a turn runs")
async def stop_during_a_turn(one: Gateway) -> str:
    await warmed(one)
    one.model.delay_s = 30
    one.say("long", 1)
    await one.until(lambda: any("long" in str(body) for body in one.model.asked), 20, "no turn began")
    await one.sim.network("down")
    took = await one.stop()
    one.model.delay_s = 0
    await one.sim.network("up")
    if one.kind == "plugin":  # what was cut off is answered by the next gateway
        await one.start()
        await one.until(lambda: len(one.answers("long")) == 1, 40, "the turn that was cut off was not run again")
    return bounded(took)


@scenario("SIGTERM, 20 active chats and QQ gone")
async def stop_with_many_chats(one: Gateway) -> str:
    await warmed(one)
    one.model.delay_s = 60
    for user in range(20):
        one.say(f"long {user}", 800 + user)
    await one.until(lambda: len([b for b in one.model.asked if "long" in str(b)]) >= 20, 150, "20 turns did not begin")
    await one.sim.network("down")
    return bounded(await one.stop(120))


# --- reconnecting -------------------------------------------------------------------------------------------------


@scenario("100 failed reconnects")
async def hundred_failures(one: Gateway) -> str:
    one.plugins["haste"] = HASTE.format(scale=0.002) if one.kind == "plugin" else ""
    one.scale = 0.002
    one.plugins = {name: source for name, source in one.plugins.items() if source}
    await warmed(one)
    await one.sim.network("drop")
    await one.until(lambda: one.platform_state.get("state") != "connected", 30, "Hermes still says connected")
    told = str(one.platform_state.get("state"))
    await asyncio.sleep(35)  # 100 attempts, at most 0.12 s apart
    await one.sim.network("up")
    took = await one.until(lambda: one.sim.connections > 0, 60, "no new session")
    one.say("after it all", 1)
    await one.answered("after it all")
    return f"told ({told}), back {took:.1f} s after the outage, answers"


@scenario("closed by QQ right after HELLO, again and again")
async def closed_after_hello(one: Gateway) -> str:
    await warmed(one)
    fault = one.sim.faults.add("drop_after_ready", seconds=0.05)
    one.sim.faults.add("ws_reset")
    before = one.sim.world.counters["identifies"] + one.sim.world.counters["resumes"]
    await asyncio.sleep(max(8.0, 12 * one.scale))
    tries = one.sim.world.counters["identifies"] + one.sim.world.counters["resumes"] - before
    one.sim.faults.remove(fault.id)
    await one.until(lambda: one.sim.connections > 0, 90, "no new session")
    one.say("after the storm", 1)
    await one.answered("after the storm")
    return f"{tries} sessions meanwhile, then healed"


@scenario("a token that is refused while a reply is due (401)")
async def token_refused(one: Gateway) -> str:
    await warmed(one)
    one.sim.faults.add("revoke_tokens")
    one.say("with a new token", 1)
    took = await one.answered("with a new token", 20)
    await one.settled()
    one.once("with a new token")
    return f"answered in {took:.2f} s"


@scenario("op 9: the session is invalid")
async def invalid_session(one: Gateway) -> str:
    await warmed(one)
    before, ready = one.sim.world.counters["identifies"], one.sim.world.counters["ready"]
    one.sim.faults.add("op9")
    await one.until(lambda: one.sim.world.counters["identifies"] > before, 60, "no new identify")
    await one.until(lambda: one.sim.world.counters["ready"] > ready, 60, "no new session")
    one.say("after op 9", 1)
    await one.answered("after op 9")
    return f"healed with {one.sim.world.counters['identifies'] - before} identify"


@scenario("4915: the bot is banned")
async def banned(one: Gateway) -> str:
    await warmed(one)
    one.sim.faults.add("banned")
    took = await one.until(
        lambda: "4915" in json.dumps(one.platform_state) or one.platform_state.get("state") == "fatal", 30,
        f"Hermes still says {one.platform_state.get('state')!r}",
    )  # fmt: skip
    return f"told after {took:.1f} s: {str(one.platform_state.get('error_message'))[:80]}"


# --- cron, sends, buttons -----------------------------------------------------------------------------------------


@scenario("hermes send, no gateway runs")
async def send_alone(one: Gateway) -> str:
    one.prepare()
    began = time.monotonic()
    await one.hermes("send", "--to", PLATFORM[one.kind], "from the shell")
    await one.until(lambda: bool(one.answers("from the shell")), 5, "it did not arrive")
    return f"arrived, {time.monotonic() - began:.1f} s with the start of the command"


@scenario("hermes send beside a gateway")
async def send_beside(one: Gateway) -> str:
    await warmed(one)
    await one.hermes("send", "--to", PLATFORM[one.kind], "from the shell")
    await one.until(lambda: bool(one.answers("from the shell")), 5, "it did not arrive")
    await one.settled()
    one.once("from the shell")
    return "arrived"


@scenario("an approval button pressed after a reconnect", only_ours=True)
async def approval_after_reconnect(one: Gateway) -> str:
    one.config["approvals"] = {"mode": "manual"}  # else the model is asked first
    await warmed(one)
    await one.settled(3)  # a title is asked for behind the first answer
    call = {"id": "c1", "type": "function"}
    command = {"name": "terminal", "arguments": json.dumps({"command": "rm -rf /tmp/buoy-test-of-approvals"})}
    one.model.script = [{"content": None, "tool_calls": [{**call, "function": command}]}, "allowed, and done"]
    one.say("clean up", 1)
    await one.until(lambda: bool(one.answers("/approve")), 30, "no question came")
    one.sim.faults.add("ws_reset")
    await one.until(lambda: one.sim.connections == 0, 10, "it was not cut")
    await one.until(lambda: one.sim.connections > 0, 30, "no new session")
    await one.sim.press("允许一次", user=1)
    await one.answered("allowed, and done", 30)
    return "the command ran"


@scenario("two messages written into a running turn", only_ours=True)
async def joined(one: Gateway) -> str:
    await warmed(one)
    one.model.delay_s = 3
    one.say("first of three", 1)
    await one.until(lambda: any("first of three" in str(body) for body in one.model.asked), 20, "no turn began")
    one.say("second of three", 1)
    await asyncio.sleep(0.3)
    one.say("third of three", 1)
    one.model.delay_s = 0.2
    await one.until(lambda: any("third of three" in str(body) for body in one.model.asked), 30, "the third was lost")
    await one.settled(4)
    asked = json.dumps(one.model.asked)
    missing = [text for text in ("first", "second", "third") if f"{text} of three" not in asked]
    twice = [one_.text for one_ in one.sim.delivered if len(one.answers(one_.text)) > 1 and "of three" in one_.text]
    if missing or twice:
        raise Wrong(f"lost: {missing}; twice: {twice}")
    ends_at = time.monotonic() + 20
    while (still := await one.look(OPEN_TURNS)) != "0":
        if time.monotonic() > ends_at:
            raise Wrong(f"{still} messages are still open")
        await asyncio.sleep(0.5)
    return "all three reached the agent, none twice, none left open"


OPEN_TURNS: Final = """
import sqlite3, glob, os
(file,) = glob.glob(os.environ["HERMES_HOME"] + "/buoy/*/buoy.db")
print(sqlite3.connect(file).execute("SELECT count(*) FROM inbox WHERE state IN ('waiting', 'running')").fetchone()[0])
"""
