"""What the intents that are asked for by default cost a bot that has not been granted all of them."""

from __future__ import annotations

import asyncio

from buoy.protocol.wire import Op
from buoy.settings import DEFAULT_INTENTS
from tests import clock
from tests.shells.memory import BOT
from tests.shells.rig import rig

CLICKS, MESSAGES = 1 << 26, 1 << 25


def test_a_bot_that_gets_no_clicks_is_live_after_two_refusals_and_remembers_it() -> None:
    async def main() -> None:
        async with rig(intents=DEFAULT_INTENTS) as r:
            r.network.world.bot(BOT).allowed_intents &= ~CLICKS
            r.start()
            await r.live(15)
            less = DEFAULT_INTENTS & ~CLICKS
            assert [d["intents"] for d in r.network.frames(Op.IDENTIFY)] == [DEFAULT_INTENTS, DEFAULT_INTENTS, less]
            assert r.connection.health()["intents_refused"] == ["INTERACTION"]
            assert less & MESSAGES

            await r.end()
            for session in r.network.world.sessions.of():
                r.network.world.sessions.drop(session)
            r.start()
            await r.live(15)
            assert [d["intents"] for d in r.network.frames(Op.IDENTIFY)][3:] == [less]

            await asyncio.sleep(6 * 86_400)
            assert len(r.network.frames(Op.IDENTIFY)) <= 4 + 2 * 6, "two a day"
            assert len(r.gaps) <= 1 + 6, "one a day, where a session is replaced every second day anyway"
            assert r.connection.state.connected

    clock.run(main())
