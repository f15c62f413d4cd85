"""Behaviour I3: an agent that is down or slow makes messages wait on disk, in their order; none is dropped for it."""

from __future__ import annotations

import asyncio

import pytest

from buoy.chat import Message
from buoy.durable import backoff
from buoy.durable.store import Store
from buoy.errors import AgentAwayError
from buoy.gateway.absence import Absence
from buoy.gateway.worker import Turns
from buoy.protocol.limits import JITTER
from tests import clock
from tests.gateway.fakes import ANN, BEN, CAT, Line, World, crash, gateway, play, sleeps, wall


class Flaky:
    """An agent that can be away, and then raises at once."""

    def __init__(self) -> None:
        self.is_away = True
        self.is_broken = False
        self.asked: list[tuple[float, str]] = []
        self.answered: list[str] = []

    async def __call__(self, message: Message) -> str:
        self.asked.append((wall(), message.text))
        if self.is_away:
            raise AgentAwayError("connection refused")
        if self.is_broken:
            raise ValueError("the message's own fault")
        self.answered.append(message.text)
        return message.text


def test_a_day_without_the_agent_costs_no_message_and_no_run() -> None:
    agent = Flaky()

    async def test(world: World) -> None:
        for n in range(5):
            for name, lane in (("a", ANN), ("b", BEN), ("c", CAT)):
                await world.put(f"{name}{n}", lane=lane)
        await asyncio.sleep(4 * 3600)
        assert {row["state"] for row in world.events().values()} == {"waiting"}
        assert world.events()["a0"]["reason"] == "the agent is away: connection refused"
        assert len(agent.asked) <= 3 * (4 * 60 * 1.2 + 6)
        away = world.app.health()["inbox"]["away"]["bot"]
        assert (away["reason"], away["away_s"] > 3.9 * 3600) == ("connection refused", True)
        agent.is_away = False
        began = wall()
        await world.settle()
        assert wall() - began <= backoff.AWAY_S[-1] * JITTER[1] + 1
        assert sorted(agent.answered) == sorted(world.events())
        for name, lane in (("a", ANN), ("b", BEN), ("c", CAT)):
            assert world.line.texts(lane) == [f"{name}{n}" for n in range(5)]
        assert world.app.health()["inbox"]["away"] == {}
        assert world.app.worker.counts["failed"] == 0

    play(test, agent, turns=Turns(attempts=2))


def test_messages_that_waited_for_the_agent_survive_a_crash_and_wait_on() -> None:
    agent = Flaky()

    async def main() -> None:
        store = Store.open_memory(now=wall())
        async with gateway(Line(), agent, store=store) as world:
            for n in range(3):
                await world.put(f"k{n}")
            await asyncio.sleep(100)
            after = crash(world.store)
        async with gateway(Line(), agent, store=after) as world:
            await asyncio.sleep(100)
            agent.is_away = False
            await world.settle()
            assert world.line.texts() == ["k0", "k1", "k2"]

    clock.run(main())


def test_a_message_that_fails_for_a_reason_of_its_own_is_charged_although_the_agent_was_away() -> None:
    agent = Flaky()

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(1000)
        agent.is_away, agent.is_broken = False, True
        await world.settle()
        assert world.events()["k"]["state"] == "dead"

    play(test, agent)


def test_ten_thousand_messages_for_a_slow_agent_are_all_on_disk_and_all_answered() -> None:
    count = 10_000

    async def test(world: World) -> None:
        jobs = [world.put(f"k{n}", "slow", lane=f"fake:c2c:{n % 500}") for n in range(count)]
        await asyncio.gather(*jobs)
        assert len(world.events()) == count
        await world.settle()
        assert {row["state"] for row in world.events().values()} == {"done"}
        assert len(world.line.texts()) == count

    async def slow(message: Message) -> str:
        return str(await sleeps(20, "slow")(message))

    play(test, slow, turns=Turns(parallel=64))


# --- the pauses -----------------------------------------------------------------------------------------------------


def test_an_absence_is_probed_ever_more_slowly_and_side_by_side_turns_count_once() -> None:
    absence = Absence(lambda low, high: (low + high) / 2)
    now = 0.0
    pauses: list[float] = []
    for _ in range(8):
        until, is_news = absence.noticed("b", "x", now)
        assert is_news == (not pauses)
        assert absence.noticed("b", "x", now + 0.1)[0] == until
        pauses.append(until - now)
        now = until
    assert pauses == pytest.approx([1, 2, 5, 10, 30, 60, 60, 60])
    assert (absence.until("b"), absence.until("other")) == (now, 0.0)
    assert absence.told(now)["b"]["tries"] == 8
    assert absence.over("b", now) == now
    assert absence.over("b", now) is None
