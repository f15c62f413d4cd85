"""A lost session is one gap, in the transaction that opens the next one: from when, until when, and what was done."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from buoy.durable import inbox
from buoy.durable.sessions import Gap
from buoy.protocol.session import Phase
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.between import Stalled
from tests.shells.memory import EPOCH
from tests.shells.rig import Disk, Rig, full_disk, rig


def gaps(r: Rig) -> list[Gap]:
    """Oldest first."""
    return r.store.read(inbox.gaps)[::-1]


async def lose(r: Rig, how: str = "4006") -> None:
    """End the session; the next RESUME is refused."""
    r.network.world.faults.add("refuse_resume", mode=how, count=1)
    r.network.cut()
    await r.until(lambda: not r.connection.state.connected, 10)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("4006", "was refused with close code 4006"),
        ("4902", "was refused with close code 4902"),
        ("op9", "was declared invalid (op 9, no close code)"),
    ],
)
def test_a_gap_says_what_ended_the_session_and_what_was_done(how: str, words: str) -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            session = r.cursor[0]
            await lose(r, how)
            await r.live()
            await asyncio.sleep(1)
            (gap,) = gaps(r)
            assert gap.done.startswith(f"session {session[:8]} ")
            assert words in gap.done
            assert gap.done.endswith("; identified anew; QQ does not replay what was sent in between")
            assert r.app.health()["gaps"][0]["done"] == gap.done

    clock.run(main())


def test_a_gap_begins_with_the_last_acknowledged_heartbeat_not_hours_before() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            await asyncio.sleep(20 * 3600)
            cut_at = r.network.wall()
            await lose(r)
            await r.live()
            await asyncio.sleep(1)
            (gap,) = gaps(r)
            assert cut_at - 45 <= gap.from_at <= cut_at
            assert cut_at <= gap.to_at <= cut_at + 20

    clock.run(main())


def test_an_ack_proves_nothing_while_a_frame_waits_for_the_disk() -> None:
    async def main() -> None:
        async with rig(wrap=Stalled) as r:
            r.start()
            await r.live()
            await asyncio.sleep(100)
            r.network.say("stored")
            await asyncio.sleep(1)
            stored_at = r.network.wall()
            door = r.connection._intake
            assert isinstance(door, Stalled)
            door.is_stalled = True
            r.network.say("on its way to a silent disk")
            await asyncio.sleep(200)
            await r.end()
            door.waiting.clear()
            door.is_stalled = False
            r.network.world.faults.add("refuse_resume", mode="4006", count=1)
            r.start()
            await r.live()
            await asyncio.sleep(1)
            (gap,) = gaps(r)
            assert stored_at - 2 <= gap.from_at <= stored_at

    clock.run(main())


def test_a_replay_that_breaks_off_does_not_shorten_the_gap() -> None:
    """The first frame of a replay arrives now; what should follow, and never comes, is from the time of the outage."""

    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            await asyncio.sleep(60)
            left_at = r.network.wall()
            await r.end()
            for n in range(3):
                r.network.say(f"m{n}")
            await asyncio.sleep(200)
            session = r.network.world.sessions.of()[0]
            r.network.world.faults.add("no_resumed", count=1)
            r.start()
            await r.until(lambda: r.phase is Phase.RESUMING, 10)
            r.network.push(session.buffer[0][1])
            await r.until(lambda: r.cursor[1] == 2, 10)
            r.network.world.faults.add("refuse_resume", mode="4006", count=1)
            r.network.cut()
            await r.until(lambda: r.cursor[0] != session.id, 60)
            await asyncio.sleep(1)
            (gap,) = gaps(r)
            assert gap.stored == 2
            assert left_at - 45 <= gap.from_at <= left_at

    clock.run(main())


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_session_that_expires_while_nothing_runs_is_one_gap(restarts: int) -> None:
    async def main() -> None:
        async with rig(resume_s=300.0) as r:
            r.start()
            await r.live()
            await asyncio.sleep(100)
            session = r.cursor[0]
            left_at = r.network.wall()
            await r.end()
            await asyncio.sleep(3600)
            for _ in range(restarts):
                r.start()
                await r.live()
                await asyncio.sleep(20)
                await r.end()
            (gap,) = gaps(r)
            assert (gap.session, gap.cause) == (session, "invalid session")
            assert left_at - 45 <= gap.from_at <= left_at
            assert left_at + 3600 <= gap.to_at <= left_at + 3620

    clock.run(main())


def test_a_short_stop_inside_the_replay_window_is_no_gap() -> None:
    async def main() -> None:
        async with rig(resume_s=300.0) as r:
            r.start()
            await r.live()
            await r.end()
            said = r.network.say("meanwhile")
            await asyncio.sleep(200)
            r.start()
            await r.live()
            await asyncio.sleep(1)
            assert (r.rows(), gaps(r)) == ([said], [])

    clock.run(main())


def test_a_session_whose_ready_could_not_be_read_is_a_gap_at_the_next_start() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            ready = b'{"op":0,"s":1,"t":"READY","d":{"session_id":[]}}'
            r.network.push(ready)  # the platform begins a session that cannot be named
            await asyncio.sleep(100)
            assert r.cursor[0] == ""
            assert [gap.cause for gap in gaps(r)] == ["invalid session"]
            left_at = r.network.wall()
            await r.end()
            await asyncio.sleep(1000)
            r.start()
            await r.live()
            await asyncio.sleep(1)
            assert len(gaps(r)) == 2
            assert "its READY could not be read" in gaps(r)[1].done
            assert gaps(r)[1].to_at >= left_at + 1000

    clock.run(main())


# --- a process that dies in the worst moment -----------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, 40))
def test_wherever_the_process_dies_the_gap_is_recorded_once_and_with_the_new_session(step: int) -> None:
    """After the ``step``-th commit nothing more reaches the disk, until the next start."""

    async def main() -> None:
        count, dead_from = 0, 10**9
        states: set[tuple[str, int]] = set()

        def commit(db: sqlite3.Connection) -> None:
            nonlocal count
            count += 1
            if count > dead_from:
                raise full_disk()
            db.execute("COMMIT")
            (cursor,) = db.execute("SELECT max(session) FROM cursor").fetchone()
            (found,) = db.execute("SELECT count(*) FROM gap").fetchone()
            states.add((cursor, found))

        async with rig(commit=commit) as r:
            r.start()
            await r.live()
            r.network.say("before")
            await asyncio.sleep(50)
            old = r.cursor[0]
            dead_from = count + step - 1
            await lose(r)
            for n in range(3):
                r.network.say(f"m{n}")
                await asyncio.sleep(3)
            await r.end()
            dead_from = 10**9
            r.network.world.faults.add("refuse_resume", mode="4006", count=1)
            r.start()
            await r.live(200)
            await asyncio.sleep(2)
            if r.cursor[0] == old:
                await lose(r)
                await r.live(200)
                await asyncio.sleep(1)
            of_old = [gap for gap in gaps(r) if gap.session == old]
            assert len(of_old) == 1, gaps(r)
            assert (old, 0) in states
            assert all(bool(found) == (session != old) for session, found in states if session), states

    clock.run(main())


def test_two_sessions_lost_while_the_disk_is_full_are_two_gaps() -> None:
    async def main() -> None:
        disk = Disk()
        async with rig(commit=disk.commit) as r:
            r.start()
            await r.live()
            await asyncio.sleep(50)
            old, whole_at = r.cursor[0], r.network.wall()
            r.network.on_send = lambda frame: setattr(disk, "is_full", frame.op == Op.IDENTIFY or disk.is_full)
            await lose(r)
            await r.until(lambda: disk.refused > 0, 60)
            r.network.on_send = lambda _: None
            refused = disk.refused
            r.network.world.faults.add("refuse_resume", mode="4006", count=1)  # the new one is lost before it is stored
            await r.until(lambda: disk.refused > refused + 1, 60)
            disk.is_full = False
            await r.live(120)
            await asyncio.sleep(1)
            assert [gap.session == old for gap in gaps(r)] == [True, False]
            assert all(whole_at - 50 <= gap.from_at <= whole_at for gap in gaps(r))
            assert gaps(r)[0].from_at < EPOCH + r.loop.time()

    clock.run(main())
