"""A full house sleeps: what is due while there is no room waits for room and not on a timer that is always due."""

from __future__ import annotations

import asyncio

from buoy.chat import Agent, Message
from buoy.durable.store import Store
from buoy.gateway.app import App
from buoy.gateway.worker import Turns
from tests import clock
from tests.gateway.fakes import ANN, BEN, Line, World, wall


def test_a_turn_that_is_due_while_every_place_is_taken_costs_no_timer() -> None:
    async def answer(message: Message) -> str:
        if message.text == "fails" and message.attempt == 1:
            raise RuntimeError("once")
        if message.text == "slow":
            await asyncio.sleep(1000)
        return message.text

    async def main() -> int:
        line = Line()
        app = App(Store.open_memory(now=wall()), [line], {line.bot: Agent(answer)}, wall=wall, turns=Turns(5000, 1))
        await app.start()
        world = World(app, line)
        await world.put("a", "fails", lane=ANN)
        await asyncio.sleep(0.1)
        await world.put("b", "slow", lane=BEN)
        pumps = 0
        pump = app.worker.pump

        def count() -> None:
            nonlocal pumps
            pumps += 1
            if pumps < 1000:
                pump()

        vars(app.worker)["pump"] = count
        await asyncio.sleep(500)
        vars(app.worker)["pump"] = pump
        await asyncio.sleep(2000)
        states = {event["state"] for event in world.events().values()}
        await app.stop(deadline_s=5)
        assert states == {"done"}, states
        return pumps

    assert clock.run(main()) < 10
