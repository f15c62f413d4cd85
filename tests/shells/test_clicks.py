"""A click is acknowledged at once, whatever else goes on: the real connection, door and store on a clock that jumps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buoy.sim.events import Happening, happen
from tests import clock
from tests.shells.memory import BOT
from tests.shells.rig import Disk, Rig, rig

CLICK = "INTERACTION_CREATE"


def press(r: Rig, **switches: Any) -> str:
    return happen(r.network.world, Happening(type=CLICK, **switches), r.network.wall()).id


def acks(r: Rig) -> list[str]:
    return [path for method, path in r.network.requests if method == "PUT"]


def counts(r: Rig) -> tuple[int, int, int]:
    told = r.qq.health()["clicks"]
    return told["acknowledged"], told["failed"], told["late"]


def knows(r: Rig, name: str = "interactions_acked") -> int:
    return r.network.world.counters[name]


async def started(r: Rig) -> None:
    r.start()
    await r.live()


def test_a_click_is_acknowledged_once_right_after_it_was_stored() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            before = r.loop.time()
            click = press(r, scene="group", button_data="yes")
            await r.until(lambda: counts(r) == (1, 0, 0))
            assert r.loop.time() - before < 0.2
            assert r.rows(CLICK) == [click]
            assert acks(r) == [f"/interactions/{click.partition(':')[2]}"]
            assert knows(r) == 1

    clock.run(main())


def test_other_interactions_are_not_acknowledged() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            press(r, kind=13)
            press(r, d={"id": "of no conversation", "type": 11})
            menu = press(r, kind=12)
            await r.until(lambda: len(r.rows(CLICK)) == 3)
            await asyncio.sleep(5)
            assert acks(r) == [f"/interactions/{menu.partition(':')[2]}"]

    clock.run(main())


def test_a_second_copy_is_not_acknowledged_again() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            r.network.world.faults.add("duplicate_events", count=None)
            press(r)
            await asyncio.sleep(5)
            assert len(r.rows(CLICK)) == len(acks(r)) == 1
            assert r.app.door.counts["duplicates"] >= 1

    clock.run(main())


def test_a_websocket_that_closes_right_behind_the_click_changes_nothing() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            r.network.refuses_sockets = True
            press(r)
            await asyncio.sleep(0)  # the frame is on its way
            r.network.cut()
            await r.until(lambda: counts(r) == (1, 0, 0), 3)
            assert not r.connection.state.connected

    clock.run(main())


def test_a_refused_token_is_renewed_once() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            r.network.world.revoke_tokens(BOT, r.network.wall())
            press(r)
            await r.until(lambda: counts(r) == (1, 0, 0), 3)
            assert len(acks(r)) == 2

    clock.run(main())


def test_what_never_left_is_tried_once_more_and_then_given_up() -> None:
    async def main() -> None:
        for back_s, expected in ((0.3, (1, 0, 0)), (10.0, (0, 1, 0))):
            async with rig() as r:
                await started(r)
                r.network.is_down = True
                press(r)
                r.loop.call_later(back_s, setattr, r.network, "is_down", False)
                await asyncio.sleep(12)
                assert counts(r) == expected
                assert len(acks(r)) == 2

    clock.run(main())


def test_what_gets_no_answer_ends_after_three_seconds_and_is_not_repeated() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            r.network.hangs_requests = True
            press(r)
            began = r.loop.time()
            await r.until(lambda: counts(r) == (0, 1, 0), 5, 0.01)
            assert r.loop.time() - began <= 3.02
            await asyncio.sleep(1)
            assert len(acks(r)) == 1

    clock.run(main())


def test_a_click_that_a_slow_disk_keeps_for_too_long_is_not_acknowledged() -> None:
    async def main() -> None:
        disk = Disk()
        async with rig(commit=disk.commit) as r:
            await started(r)
            disk.is_full = True
            press(r)
            await asyncio.sleep(4)
            disk.is_full = False
            await r.until(lambda: len(r.rows(CLICK)) == 1, 75)
            await asyncio.sleep(4)
            assert acks(r) == []
            assert counts(r) == (0, 0, 1)

    clock.run(main())


@pytest.mark.parametrize(("away_s", "expected"), [(1.0, (1, 0, 0)), (30.0, (0, 0, 1))])
def test_a_replayed_click_is_acknowledged_only_while_somebody_waits(
    away_s: float, expected: tuple[int, int, int]
) -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            await asyncio.sleep(1)
            await r.end()
            press(r)
            await asyncio.sleep(away_s)
            r.start()
            await r.until(lambda: len(r.rows(CLICK)) == 1, 75)
            await asyncio.sleep(4)
            assert counts(r) == expected
            assert len(acks(r)) == expected[0]

    clock.run(main())


def test_the_end_of_the_bot_ends_what_is_under_way() -> None:
    async def main() -> None:
        async with rig() as r:
            await started(r)
            r.network.hangs_requests = True
            press(r)
            await r.until(lambda: bool(acks(r)))
            began = r.loop.time()
            await r.qq.release()
            assert r.loop.time() - began < 0.5
            assert not r.qq._clicks._tasks

    clock.run(main())
