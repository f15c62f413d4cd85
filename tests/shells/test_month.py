"""A month in one piece: the real gateway with its files, through outages, restarts and all that the platform does.

Most of its time goes into 43,200 rounds of housekeeping, each of them a commit; the heartbeats are as rare as the
machine allows. The files lie in memory where the system has a place for that: how long a disk takes is not tested here.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buoy.protocol.wire import Op
from tests import clock
from tests.shells.month import DAY_S, HOUR_S, ROOMS, Month, most_within, weigh

if TYPE_CHECKING:
    from collections import Counter

DAYS = 30
STARTED = 1  # IDENTIFYs and connects of a first start


def files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def timers(month: Month) -> int:
    scheduled: list[asyncio.TimerHandle] = vars(month.loop)["_scheduled"]
    return sum(1 for timer in scheduled if not timer.cancelled())


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder) / "data"


@pytest.mark.timeout(240)
def test_a_month_loses_nothing_answers_once_keeps_its_budgets_and_leaves_nothing(place: Path) -> None:
    async def main() -> None:
        month = Month(place)
        await month.start()
        await month.live()
        fresh = size(month)
        until = month.loop.time() + DAYS * DAY_S
        async with asyncio.TaskGroup() as group:
            group.create_task(month.talk(until))
            group.create_task(month.change(until))
        await month.live()
        for room in ROOMS:  # what is held goes out with the next contact
            month.say(room)
        await asyncio.sleep(2 * HOUR_S)  # also so that nobody is still connecting
        assert all(count >= 10 for count in month.weather.values()), month.weather
        assert len(month.weather) >= 8
        check_answers(month)
        check_budgets(month)
        check_growth(fresh, size(month))
        check_health(month)
        await month.stop()
        month.network.stop()
        assert timers(month) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before, threads = files(), threading.active_count()
    clock.run(main())
    assert files() == before
    for thread in threading.enumerate():
        if thread.name.startswith("buoy"):
            thread.join(1)  # the one that commits ends on its own after its last job
    assert threading.active_count() == threads
    assert {path.name for path in place.iterdir()} == {"buoy.db", "lock"}, "the database is closed"


def size(month: Month) -> tuple[int, int]:
    """What its structures hold, and how many timers run."""
    return weigh(month.app, month.http), timers(month)


def check_answers(month: Month) -> None:
    """Once for whatever was stored; what was not stored was said into a gap that is on record."""
    shown: Counter[str] = month.shown()
    stored = {key for (key,) in month.ask("SELECT key FROM inbox WHERE lane IS NOT NULL")}
    gaps = month.ask("SELECT from_at, to_at FROM gap")
    lost = []
    for mark, (ident, is_promised, at) in month.said.items():
        if ident in stored:
            assert shown[mark] == 1, f"{mark} was shown {shown[mark]} times"
        else:
            assert not is_promised, f"{mark} was lost while everything was fine"
            assert shown[mark] == 0
            lost.append(at)
    silent = [at for at in lost if not any(begin <= at <= end for begin, end in gaps)]
    assert silent == [], "each loss lies in a gap"
    assert len(stored) >= 0.7 * len(month.said)
    assert month.ask("SELECT count(*) FROM inbox WHERE state NOT IN ('stored', 'done')") == [(0,)]
    assert month.ask("SELECT DISTINCT state FROM outbox WHERE state NOT IN ('sent', 'merged')") == []


def check_budgets(month: Month) -> None:
    """Each start may make ten attempts at once; nothing else goes beyond one a minute."""
    identifies = month.network.times(Op.IDENTIFY)
    assert most_within(month.network.opened, HOUR_S) <= 70
    assert most_within(identifies, HOUR_S) <= 70
    assert most_within(identifies, DAY_S) <= 1000
    assert len(month.network.frames(Op.RESUME)) >= DAYS * 24 / 4, "rotations resume"
    assert len(month.network.sockets) > len(identifies) + STARTED


def check_growth(fresh: tuple[int, int], aged: tuple[int, int]) -> None:
    assert aged[0] <= fresh[0] + 50, "structures grow with the time"
    assert aged[1] <= fresh[1] + 3, "timers grow with the time"


def check_health(month: Month) -> None:
    health = month.app.health()
    assert health["job_failures"] == 0
    assert all(child["restarts"] == 0 for child in health["tasks"].values()), health["tasks"]
    assert health["store"] is not None
    assert health["store"]["failed"] == 0
    assert month.network.world.counters["delivered"] == len(month.network.world.delivered)


# --- the judge is not blind ------------------------------------------------------------------------------------------


def test_what_a_structure_forgets_to_forget_is_weighed(tmp_path: Path) -> None:
    async def main() -> None:
        month = Month(tmp_path)
        await month.start()
        await month.live()
        fresh = size(month)
        lanes = month.app.sender._lanes._lanes
        for n in range(1000):
            lanes["bot", f"qq:c2c:{n}"] = lanes.get(("", ""), type(month.app.sender._lanes)(lambda *_: []))  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="structures"):
            check_growth(fresh, size(month))
        lanes.clear()
        ticking = [month.loop.call_later(1e6, print) for _ in range(10)]
        with pytest.raises(AssertionError, match="timers"):
            check_growth(fresh, size(month))
        for timer in ticking:
            timer.cancel()
        await month.stop()
        month.network.stop()

    clock.run(main())


def test_a_silent_loss_and_a_second_answer_are_seen(tmp_path: Path) -> None:
    async def main() -> None:
        month = Month(tmp_path)
        await month.start()
        await month.live()
        month.say(ROOMS[0])
        await asyncio.sleep(10)
        check_answers(month)
        mark, (ident, _, at) = next(iter(month.said.items()))
        month.said["m99;"] = "nobody stored this", False, at
        with pytest.raises(AssertionError, match="gap"):
            check_answers(month)
        month.said["m99;"] = "nobody stored this", True, at
        with pytest.raises(AssertionError, match="was lost"):
            check_answers(month)
        del month.said["m99;"]
        month.network.world.delivered += month.network.world.replies(ident)
        with pytest.raises(AssertionError, match=f"{mark} was shown 2"):
            check_answers(month)
        await month.stop()
        month.network.stop()

    clock.run(main())


def test_the_most_within_a_span() -> None:
    assert most_within([], 10) == 0
    assert most_within([0, 1, 9.9, 10, 10.5, 30], 10) == 4
