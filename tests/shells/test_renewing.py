"""What a bot remembers of its intents across restarts, and how a session that seems deaf is replaced."""

from __future__ import annotations

import asyncio

from buoy.durable import inbox
from buoy.protocol import limits
from buoy.protocol import session as m
from buoy.protocol.session import Trouble
from buoy.protocol.wire import Intent, Op
from tests import clock
from tests.shells.memory import BOT
from tests.shells.rig import INTENTS, Rig, rig

REDUCED = INTENTS & ~(Intent.DIRECT_MESSAGE | Intent.INTERACTION)


def grant(r: Rig, intents: int) -> None:
    r.network.world.bots[BOT].allowed_intents = intents


def asked(r: Rig) -> list[int]:
    return [identify["intents"] for identify in r.network.frames(Op.IDENTIFY)]


def test_intents_that_worked_are_remembered_across_restarts_and_the_refused_ones_named() -> None:
    async def main() -> None:
        async with rig() as r:
            grant(r, REDUCED)
            r.start()
            await r.live(200)
            assert asked(r) == [INTENTS, INTENTS, REDUCED]
            await asyncio.sleep(1)
            for session_survives in (True, False):
                await r.end()
                if not session_survives:
                    r.network.world.faults.add("refuse_resume", mode="4006", count=1)
                r.start()
                await r.live(20)
                await asyncio.sleep(1)
                health = r.connection.health()
                assert health["intents_refused"] == ["DIRECT_MESSAGE", "INTERACTION"]
                assert health["intents_reason"] == "op 9, close code 4014"
            assert asked(r)[3:] == [REDUCED]

    clock.run(main())


def test_intents_that_are_granted_meanwhile_come_without_a_restart() -> None:
    async def main() -> None:
        async with rig() as r:
            grant(r, REDUCED)
            r.start()
            await r.live(200)
            await asyncio.sleep(3600)
            grant(r, INTENTS)
            await asyncio.sleep(limits.INTENTS_AGAIN_S)
            assert asked(r)[3:] == [INTENTS]
            assert r.connection.health()["intents_refused"] == []
            (gap,) = r.store.read(inbox.gaps)
            assert gap.to_at - gap.from_at < 15
            assert "asked for again" in gap.done

    clock.run(main())


def test_other_intents_in_the_settings_reach_a_session_that_is_resumed() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            await asyncio.sleep(1)
            await r.end()
            said = r.network.say("while Buoy is set up anew")
            r.connection.state = m.initial(REDUCED)
            r.start()
            await r.live()
            await asyncio.sleep(300)
            assert asked(r) == [INTENTS, REDUCED]
            assert r.rows() == [said]
            await r.end()
            r.start()
            await r.live()
            await asyncio.sleep(300)
            assert asked(r) == [INTENTS, REDUCED]

    clock.run(main())


def test_a_deaf_session_is_replaced_and_the_gap_begins_with_the_silence() -> None:
    async def main() -> None:
        async with rig() as r:
            r.connection.state = m.initial(INTENTS, 6 * 3600)
            r.start()
            await r.live()
            await asyncio.sleep(1000)
            r.network.say("the last that is heard")
            heard_at = r.network.wall()
            await asyncio.sleep(5 * 3600)
            assert r.connection.health()["silent_s"] > 4.9 * 3600
            assert r.connection.health()["expect_event_s"] == 6 * 3600
            await asyncio.sleep(1.1 * 3600)
            assert r.was(Trouble.DEAF)
            assert r.connection.state.connected
            (gap,) = r.store.read(inbox.gaps)
            assert gap.cause == "no events"
            assert heard_at - 60 <= gap.from_at <= heard_at
            assert "no event came for 6 h" in gap.done

    clock.run(main())
