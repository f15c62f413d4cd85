"""The door: what is stored, in which transaction, and who hears of it."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import Any

import pytest

from buoy.durable import history, inbox
from buoy.errors import StoreError
from buoy.letters import Loss
from tests.gateway.fakes import ANN, BOT, Disk, Line, Scripted, World, arrival, play, sleeps, wall


async def ready(world: World, session: str = "S1", seq: int = 1) -> Any:
    """READY opens a session."""
    return await world.app.door.put(
        arrival(f"ready-{session}", lane=None, turn=False, anchor=None, session=session, seq=seq, type="READY"),
        opens_session=True,
    )  # fmt: skip


def test_a_frame_and_its_cursor_are_one_transaction() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        await ready(world)
        await world.put("k", session="S1", seq=2, after=1)
        cursor = world.app.door.cursor(BOT, 0)
        assert cursor is not None
        assert (cursor.session, cursor.stored) == ("S1", 2)
        with disk.full(), pytest.raises(StoreError):
            await world.put("j", session="S1", seq=3, after=2)
        cursor = world.app.door.cursor(BOT, 0)
        assert cursor is not None
        assert cursor.stored == 2
        assert "j" not in world.events()

    play(test, commit=disk)


def test_what_follows_a_hole_is_refused_and_does_not_run() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await ready(world)
        with pytest.raises(StoreError, match="sequence 2"):
            await world.put("k", session="S1", seq=3, after=2)
        await world.put("j", session="S1", seq=2, after=1)
        await world.put("k", session="S1", seq=3, after=2)
        await world.settle()
        assert agent.texts() == ["j", "k"]
        assert world.app.door.counts == {"frames": 3, "duplicates": 0, "refused": 1}

    play(test, agent)


def test_the_same_message_twice_is_one_turn_also_while_the_first_is_being_stored() -> None:
    agent = Scripted({"k": sleeps(5, "k")})

    async def test(world: World) -> None:
        first, second = world.put("k"), world.put("k")
        assert (await first).fresh
        assert not (await second).fresh
        await asyncio.sleep(1)
        assert not (await world.put("k", session="S2")).fresh
        await world.settle()
        assert not (await world.put("k")).fresh
        await world.put("after")
        await world.settle()
        assert agent.texts() == ["k", "after"]
        assert world.line.texts() == ["k", "after"]
        assert world.app.door.counts["duplicates"] == 3

    play(test, agent)


def test_what_asks_for_no_turn_is_stored_and_runs_nothing() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("k", turn=False, reason="a bot wrote it")
        await world.put("no lane", lane="", turn=False)
        await world.settle()
        assert agent.seen == []
        assert (world.events()["k"]["state"], world.events()["k"]["reason"]) == ("stored", "a bot wrote it")

    play(test, agent)


def test_the_event_that_asks_for_a_turn_after_all_gets_one() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("k", "plain", turn=False, type="GROUP_MESSAGE_CREATE")
        await world.put("j")
        await world.put("k", "@bot", type="GROUP_AT_MESSAGE_CREATE")
        await world.put("k", "@bot", type="GROUP_AT_MESSAGE_CREATE")
        await world.settle()
        assert agent.texts() == ["j", "@bot"]

    play(test, agent)


def test_a_refused_frame_leaves_lane_and_place_as_they_were() -> None:
    disk, agent = Disk(), Scripted()

    async def test(world: World) -> None:
        with disk.full():
            for key in ("a", "b"):
                for lane in (ANN, "fake:c2c:other"):
                    with pytest.raises(StoreError):
                        await world.put(f"{key}{lane}", lane=lane)
        assert world.app.worker.is_idle
        await world.put("a", lane=ANN)
        await world.settle()
        assert agent.texts() == ["a"]
        assert world.app.worker._places == 0

    play(test, agent, commit=disk)


def test_a_frame_that_comes_after_the_stop_is_stored_and_waits() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        world.app.worker.stop()
        assert (await world.put("k")).fresh
        assert world.events()["k"]["state"] == "waiting"
        assert agent.seen == []

    play(test, agent)


def test_identifies_are_committed_and_counted() -> None:
    async def test(world: World) -> None:
        door, began = world.app.door, wall()
        await asyncio.sleep(1)
        await door.record_identify(BOT, 0)
        await asyncio.sleep(1)
        await door.record_identify(BOT, 1)
        assert door.identifies(BOT, began) == 2
        assert door.identifies(BOT, wall() + 0.5) == 0
        assert door.identifies("other", began) == 0
        assert len(door.unready(BOT, 0, began)) == 1
        await ready(world)
        assert door.unready(BOT, 0, began) == ()

    play(test)


def lost(session: str = "S1", silent_s: float = 0.0) -> Loss:
    return Loss(session, 1, "invalid session", "identified anew", silent_s)


async def ready_after(world: World, *losses: Loss, session: str = "S2") -> Any:
    row = arrival(f"ready-{session}", lane=None, turn=False, anchor=None, session=session, seq=1, type="READY")
    row.losses = losses
    return await world.app.door.put(row, opens_session=True)


def test_a_gap_runs_from_the_moment_until_which_nothing_was_missing() -> None:
    async def test(world: World) -> None:
        await ready(world)
        await asyncio.sleep(100)
        mark = partial(world.app.door.mark_whole, BOT, 0)
        mark(session="S1", stored=1, at=wall() - 90)  # on disk
        whole_at = wall() - 20
        mark(session="S1", stored=1, at=whole_at)  # in memory alone
        await asyncio.sleep(600)
        await ready_after(world, lost(), lost("never stored"), lost("deaf", 3600.0))
        deaf, unknown, gap = world.store.read(inbox.gaps)
        assert gap.from_at == unknown.from_at == pytest.approx(whole_at, abs=0.1)
        assert gap.to_at == pytest.approx(whole_at + 620, abs=0.1)
        assert deaf.from_at == pytest.approx(whole_at - 3600, abs=0.1)
        assert [told["done"] for told in world.app.health()["gaps"]] == ["identified anew"] * 3

    play(test)


def test_before_the_first_session_a_gap_begins_with_the_first_identify() -> None:
    async def test(world: World) -> None:
        await world.app.door.record_identify(BOT, 0)
        began = wall()
        await asyncio.sleep(30)
        await world.app.door.record_identify(BOT, 0)
        await ready_after(world, lost(""))
        (gap,) = world.store.read(inbox.gaps)
        assert (gap.from_at, gap.to_at) == pytest.approx((began, began + 30), abs=0.1)

    play(test)


def test_a_clock_that_was_put_back_does_not_turn_a_gap_around() -> None:
    async def test(world: World) -> None:
        await ready(world)
        row = arrival("ready-S2", lane=None, turn=False, anchor=None, session="S2", seq=1, type="READY")
        row.losses, row.received_at = (lost(),), wall() - 3600
        await world.app.door.put(row, opens_session=True)
        (gap,) = world.store.read(inbox.gaps)
        assert gap.from_at == gap.to_at

    play(test)


def test_a_gap_and_the_session_after_it_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise KeyError("a bug")

    async def test(world: World) -> None:
        await ready(world)
        monkeypatch.setattr(inbox, "open_session", broken)
        with pytest.raises(KeyError):
            await ready_after(world, lost())
        monkeypatch.undo()
        cursor = world.app.door.cursor(BOT, 0)
        assert cursor is not None
        assert cursor.session == "S1"
        assert world.store.read(inbox.gaps) == []

    play(test)


def test_what_a_platform_leaves_is_told_at_the_next_start() -> None:
    async def test(world: World) -> None:
        row = arrival("ready-S1", lane=None, turn=False, anchor=None, session="S1", seq=1, type="READY")
        row.note = '{"granted":1}'
        await world.app.door.put(row, opens_session=True)
        await world.put("k", session="S1", seq=2, after=1)
        cursor = world.app.door.cursor(BOT, 0)
        assert cursor is not None
        assert cursor.note == '{"granted":1}'

    play(test)


def test_a_job_that_breaks_fails_its_own_frame_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = inbox.put

    def broken(db: sqlite3.Connection, it: Any, boot: int | None) -> inbox.Put:
        if it.key == "bad":
            raise KeyError("a bug")
        return sound(db, it, boot)

    async def test(world: World) -> None:
        monkeypatch.setattr(inbox, "put", broken)
        bad, good = world.put("bad"), world.put("good")
        with pytest.raises(KeyError):
            await bad
        await good
        await world.settle()
        assert world.line.texts() == ["good"]

    play(test, line=Line())


def test_what_the_timeline_owes_waits_for_the_disk_as_one_job() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        began = wall()
        with disk.full():
            for n in range(200):
                world.app.door.changed(BOT, 0, "down", f"attempt {n}")
                await asyncio.sleep(5)
            before = world.store.stats.failed
            await asyncio.sleep(60)
            assert world.store.stats.failed - before < 3 * 60, "not two hundred jobs a second"
        world.app.door.changed(BOT, 0, "up", "")
        await asyncio.sleep(2)
        told = [one for one in world.store.read(history.spans, 0.0, wall() + 1) if one.cause.startswith("attempt")]
        assert [one.cause for one in told] == [f"attempt {n}" for n in range(200)]
        assert [round(one.from_at - began) for one in told] == [5 * n for n in range(200)], "each when it was"

    play(test, commit=disk)
