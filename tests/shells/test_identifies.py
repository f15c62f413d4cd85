"""An IDENTIFY is a committed row before it leaves, never one too many, and a gap where no READY came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from buoy.protocol.limits import DAY_S, IDENTIFIES_A_DAY
from buoy.protocol.session import Phase, Trouble
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.between import Between
from tests.shells.memory import EPOCH
from tests.shells.rig import Disk, rig

if TYPE_CHECKING:
    from pathlib import Path

    from buoy.protocol import wire


def test_an_identify_is_on_disk_before_it_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig(path=tmp_path) as r:
            seen: list[tuple[int, int]] = []

            def look(frame: wire.Frame) -> None:
                if frame.op == Op.IDENTIFY:
                    seen.append((r.identifies, len(r.network.frames(Op.IDENTIFY))))

            r.network.on_send = look
            r.network.world.faults.add("refuse_identify", count=2)
            r.start()
            await r.live(120)
            assert seen == [(1, 1), (2, 2), (3, 3)]

    clock.run(main())


def test_without_a_committed_row_no_identify_leaves() -> None:
    async def main() -> None:
        disk = Disk()
        async with rig(commit=disk.commit) as r:
            disk.is_full = True
            r.start()
            await asyncio.sleep(600)
            assert r.network.frames(Op.IDENTIFY) == []
            assert r.connection.state.cause is Trouble.STORE
            disk.is_full = False
            await r.live(120)
            assert r.identifies == 1

    clock.run(main())


class Spent(Between):
    """Identifies that were already used, before the process started."""

    used = 0

    def identifies(self, bot: str, since: float) -> int:
        return super().identifies(bot, since) + (self.used if since < EPOCH else 0)


def test_our_own_count_of_a_day_ends_the_budget_whatever_the_platform_says() -> None:
    async def main() -> None:
        async with rig(wrap=Spent) as r:
            door = r.connection._intake
            assert isinstance(door, Spent)
            door.used = IDENTIFIES_A_DAY
            r.start()
            await asyncio.sleep(3600)
            assert r.network.frames(Op.IDENTIFY) == []
            assert r.connection.state.cause is Trouble.BUDGET
            assert r.phase is Phase.WAITING
            door.used = IDENTIFIES_A_DAY - 1
            await r.until(lambda: len(r.network.frames(Op.IDENTIFY)) == 1, 3600)

    clock.run(main())


def test_what_the_platform_has_left_ends_the_budget_less_ours_since_it_said_so() -> None:
    async def main() -> None:
        async with rig(identifies_per_day=3) as r:
            r.start()
            await r.live()
            assert r.connection.state.left == 2
            for _ in range(60):
                r.network.world.faults.add("refuse_resume", count=1)
                r.network.cut()
                await asyncio.sleep(1800)
            times = r.network.times(Op.IDENTIFY)
            assert max(sum(1 for at in times if start <= at < start + DAY_S) for start in times) == 3
            assert len(times) > 3
            assert r.identifies == len(times) == r.network.world.counters["ready"]
            assert r.was(Trouble.BUDGET)

    clock.run(main())


def test_an_identify_without_ready_is_a_gap_at_the_next_start() -> None:
    async def main() -> None:
        async with rig() as r:
            r.network.world.faults.add("no_ready", count=1)
            r.start()
            await r.until(lambda: r.phase is Phase.IDENTIFYING, 10)
            await r.end()
            assert (r.identifies, r.gaps) == (1, [])
            r.start()
            await r.live()
            assert r.was(Trouble.UNREADY)
            await asyncio.sleep(0.1)
            assert r.gaps == [("", 0, "unready identify")]
            await r.connection.stop()

    clock.run(main())


def test_a_gap_that_the_disk_refused_is_recorded_with_the_next_frame() -> None:
    async def main() -> None:
        disk = Disk()
        async with rig(commit=disk.commit) as r:
            r.start()
            await r.live()
            session, stored = r.cursor
            r.network.world.faults.add("refuse_resume", count=1)
            r.network.on_send = lambda frame: setattr(disk, "is_full", frame.op == Op.IDENTIFY or disk.is_full)
            r.network.cut()
            await r.until(lambda: disk.refused > 0, 60)
            r.network.on_send = lambda _: None
            disk.is_full = False
            await r.live(60)
            await asyncio.sleep(1)
            assert r.gaps == [(session, stored, "invalid session")]

    clock.run(main())
