"""An agent can tell why its turn is cancelled: with a reason nobody wants its answer, without one it runs again."""

from __future__ import annotations

import asyncio

from buoy.chat import Message
from buoy.gateway.turns import Turns
from tests.gateway.fakes import World, play


def test_stop_and_lateness_give_a_reason_and_an_orderly_end_gives_none() -> None:
    told: dict[str, tuple[str, ...]] = {}

    async def agent(message: Message) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            told[message.text] = error.args
            raise

    async def test(world: World) -> None:
        await world.put("stopped", lane="t:c2c:A")
        await asyncio.sleep(1)
        await world.put("s", "/stop", lane="t:c2c:A", bypass=True)
        await world.put("late", lane="t:c2c:B")
        await asyncio.sleep(20)
        await world.put("ended", lane="t:c2c:C")
        await asyncio.sleep(1)

    play(test, agent, turns=Turns(timeout_s=10))
    assert told == {"stopped": ("stopped by the user",), "late": ("too late",), "ended": ()}
