"""Buoy as one object: its stop, its disk, and bots that leave each other alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from buoy.chat import Agent
from buoy.chat import agent as as_agent
from buoy.durable import history, inbox, meta, outbox
from buoy.durable.store import Store, peek
from buoy.errors import ConfigError, NotStoredError, StoreError, StoreLostError
from buoy.gateway.app import App
from buoy.letters import Ended, LetterState
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
    CAT,
    DOWN,
    Disk,
    Line,
    Scripted,
    Slow,
    World,
    arrival,
    echo,
    gateway,
    hang,
    hang_for_good,
    play,
    sleeps,
    wall,
)


def now() -> float:
    return asyncio.get_running_loop().time()


# --- stop ---


@pytest.mark.parametrize("what", ["agent", "deaf agent", "deliver", "platform", "agent's close", "nothing", "all"])
def test_a_stop_keeps_its_deadline_whatever_hangs_and_loses_nothing(what: str, tmp_path: Path) -> None:
    doings = {"agent": hang, "deaf agent": hang_for_good, "all": hang_for_good}
    agent = Scripted({"k": doings[what]} if what in doings else {})

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        line = Line()
        store = Store.open(tmp_path, now=wall())
        who = Agent(agent, close=never) if what in {"agent's close", "all"} else Agent(agent)
        app = App(store, [line], {line.bot: who}, wall=wall)
        await app.start()
        world = World(app, line)
        if what in {"deliver", "all"}:
            line.say("j", Slow(1e6))
        if what in {"platform", "all"}:
            line.closing_s = 1e6
        await world.put("k")
        await world.put("behind")
        await world.put("j", lane=BEN)
        await asyncio.sleep(1)
        began = now()
        await app.stop(deadline_s=5.0)
        took = now() - began
        assert took <= 5.0
        if what == "nothing":
            assert took < 0.1
        assert line.calls == ["close", "release"]
        with pytest.raises(StoreError):
            await store.write(inbox.give_back, 1)
        await asyncio.sleep(60)  # the deaf one ends
        line.closing_s = 0.0
        line.script.clear()
        again = Store.open(tmp_path, now=wall())
        assert [event.attempts for event in again.read(inbox.page, line.bot, ANN, 0, 9)] == (
            [0, 0] if what in {"agent", "deaf agent", "all"} else []
        ), "the run was given back"
        async with gateway(line, store=again) as world:
            await world.settle()
            assert line.texts(ANN) == ["k", "behind"]
            assert line.texts(BEN) == ["j"]
            assert set(world.states().values()) == {"sent"}

    clock.run(main())


def test_a_stop_lets_what_runs_end_when_it_ends_soon(tmp_path: Path) -> None:
    agent = Scripted({"k": sleeps(1.5, "k")})

    async def main() -> None:
        line, store = Line(), Store.open(tmp_path, now=wall())
        line.say("j", Slow(1.5))
        app = App(store, [line], {line.bot: as_agent(agent)}, wall=wall)
        await app.start()
        world = World(app, line)
        await world.put("k")
        await world.put("j", lane=BEN)
        await asyncio.sleep(0.5)
        began = now()
        await app.stop(deadline_s=5.0)
        assert now() - began == pytest.approx(1.0, abs=0.05)
        assert line.texts() == ["j"]
        again = Store.open(tmp_path, now=wall())
        states = {row["key"]: row["state"] for row in again.read(outbox.listing)}
        assert states == {"j/1": "sent", "k/1": "queued"}, "nothing new starts: the next process sends it"
        async with gateway(line, agent, store=again) as world:
            await world.settle()
            assert line.texts() == ["j", "k"]
            assert agent.texts() == ["k", "j"]

    clock.run(main())


class Stuck:
    """A commit that a test can stop for good."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def __call__(self, db: sqlite3.Connection) -> None:
        self.go.wait(20)
        db.execute("COMMIT")


def test_a_stop_keeps_its_deadline_while_the_disk_does_not_answer(tmp_path: Path) -> None:
    """In real time: the jumping clock would wait for the disk."""

    async def main() -> None:
        disk, line = Stuck(), Line()
        store = Store.open(tmp_path, now=time.time(), commit=disk)
        app = App(store, [line], {line.bot: as_agent(echo)})
        await app.start()
        for _ in range(50):
            await asyncio.sleep(0.001)
        await app.door.put(arrival("k", event_at=time.time(), received_at=time.time()))
        await asyncio.sleep(0.05)
        disk.go.clear()
        lost = app.door.put(arrival("j", event_at=time.time(), received_at=time.time()))
        began = time.monotonic()
        await app.stop(deadline_s=0.6)
        assert time.monotonic() - began < 0.75
        assert not lost.done(), "what the disk did not confirm is not acknowledged"
        disk.go.set()
        while not lost.done():
            await asyncio.sleep(0.001)
        await store.close(5)

    asyncio.run(main())


def test_nothing_is_taken_after_a_stop() -> None:
    async def test(world: World) -> None:
        await world.app.stop(deadline_s=1)
        with pytest.raises(StoreError):
            await world.put("k")
        with pytest.raises(NotStoredError):
            await world.send("hi")

    play(test)


# --- the disk ---


def test_with_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost() -> None:
    disk, agent = Disk(), Scripted({"k": sleeps(5, "k")})

    async def test(world: World) -> None:
        await world.put("k")
        with disk.full():
            await asyncio.sleep(60)
            with pytest.raises(StoreError):
                await world.put("j", lane=BEN)
            with pytest.raises(NotStoredError):
                await world.send("hi")
            assert world.line.requests == []
            assert not world.app.lost.done()
        await world.put("j", lane=BEN)
        await world.settle()
        assert sorted(world.line.shown) == [(ANN, "k"), (BEN, "j")]
        assert agent.texts() == ["k", "j"]
        assert world.app.supervisor.children["housekeeping"].restarts > 5

    play(test, agent, commit=disk)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT])
def test_a_store_that_cannot_be_trusted_is_said_to_be_lost(code: int) -> None:
    disk = Disk()

    async def test(world: World) -> None:
        await world.put("k")
        disk.error = code
        with pytest.raises(StoreError):
            await world.put("j")
        error = await world.app.lost
        assert isinstance(error, StoreLostError)
        assert error.exit_code == 74
        await world.app.stop(deadline_s=5)

    play(test, commit=disk)


# --- several bots ---


def test_two_bots_and_one_of_them_broken() -> None:
    async def fails() -> None:
        raise OSError("no network")

    async def main() -> None:
        good, bad = Line("good"), Line("bad", is_up=False, service=fails)
        agents = {"good": as_agent(Scripted()), "bad": as_agent(Scripted({"x": hang}))}
        app = App(Store.open_memory(now=wall()), [good, bad], agents, wall=wall)
        await app.start()
        for n in range(10):
            await app.door.put(arrival(f"k{n}", bot="bad", lane=f"fake:c2c:p{n}"))
            await app.door.put(arrival(f"x{n}", "x", bot="bad", lane=f"fake:c2c:p{n}"))
        await asyncio.sleep(60)
        began = now()
        for n in range(10):
            await app.door.put(arrival(f"k{n}", bot="good", lane=f"fake:c2c:p{n}"))
        await asyncio.sleep(0.1)
        assert len(good.shown) == 10
        assert now() - began < 1
        receipt = await app.send(f"{ANN}@good", "hi")
        assert receipt.state is LetterState.SENT
        assert bad.shown == []
        assert app.supervisor.children["fake:bad:service"].restarts > 10
        assert app.health()["outbox"]["pace"]["good"]["failures"] == 0
        bad.is_up = True
        await asyncio.sleep(5)
        assert len(bad.shown) == 10
        await app.stop(deadline_s=5)

    clock.run(main())


def test_a_bot_that_recovers_wakes_only_its_own() -> None:
    async def main() -> None:
        one, two = Line("one", is_up=False), Line("two", is_up=False)
        store = Store.open_memory(now=wall())
        app = App(store, [one, two], {"one": as_agent(echo), "two": as_agent(echo)}, wall=wall)
        await app.start()
        for bot in ("one", "two"):
            for n in range(20):
                await app.door.put(arrival(f"k{n}", bot=bot, lane=f"fake:c2c:p{n}"))
        await asyncio.sleep(60)
        one.is_up = True
        requests = len(two.requests)
        await asyncio.sleep(4.5)
        assert len(one.shown) == 20
        assert len(two.requests) - requests <= 2
        await app.stop(deadline_s=5)

    clock.run(main())


@pytest.mark.parametrize(
    ("target", "bot"),
    [("fake:c2c:x@one", "one"), ("fake:c2c:x@two", "two"), ("other:c2c:x", "three"), ("other:c2c:x@three", "three")],
)
def test_a_target_finds_its_bot(target: str, bot: str) -> None:
    async def main() -> None:
        lines = [Line("one"), Line("two"), Line("three", name="other")]
        app = App(Store.open_memory(now=wall()), lines, {line.bot: as_agent(echo) for line in lines}, wall=wall)
        await app.start()
        receipt = await app.send(target, "hi")
        assert receipt.state is LetterState.SENT
        assert [line.bot for line in lines if line.shown] == [bot]
        await app.stop(deadline_s=5)

    clock.run(main())


@pytest.mark.parametrize(
    ("target", "says"),
    [("fake:c2c:x", "@one, @two"), ("fake:c2c:x@four", "@one, @two"), ("none:c2c:x", "no bot on platform")],
)
def test_a_target_without_a_bot_says_what_to_do(target: str, says: str) -> None:
    async def main() -> None:
        lines = [Line("one"), Line("two")]
        app = App(Store.open_memory(now=wall()), lines, {line.bot: as_agent(echo) for line in lines}, wall=wall)
        with pytest.raises(ConfigError, match=says):
            await app.send(target, "hi")
        await app.stop(deadline_s=5)

    clock.run(main())


# --- the rest ---


def test_what_an_outage_held_up_does_not_stop_a_drained_console_from_ending() -> None:
    async def test(world: World) -> None:
        world.line.say("k", DOWN, DOWN)
        await world.put("k", lane=CAT)
        began = now()
        await world.app.drained()
        assert world.line.texts() == ["k"]
        assert now() - began < 5

    play(test)


def test_an_idle_hour_is_one_commit_a_minute() -> None:
    async def test(world: World) -> None:
        before = world.store.stats.commits
        await asyncio.sleep(3600)
        assert world.store.stats.commits - before in {60, 61}

    play(test)


def test_old_rows_are_pruned_slice_by_slice() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        for n in range(1200):
            await store.write(inbox.put, arrival(f"k{n}", turn=False), None)
        app = App(store, [line], {line.bot: as_agent(echo)}, wall=wall, bodies_days=0.001, keys_days=0.01)
        await app.start()
        await asyncio.sleep(86400 * 0.01 + 3600)  # the first hour after the end of their time
        assert World(app, line).events() == {}
        await app.stop(deadline_s=5)

    clock.run(main())


# --- the timeline ---


def killed(store: Store) -> asyncio.Future[None]:
    """What a process left that was killed at 1000: two bots up, one of which the settings no longer name."""
    for bot in ("bot", "gone"):
        store.write(history.note, bot, 0, "up", "", 500.0)
    return store.write(meta.set, "alive_at", 990.0)


@pytest.mark.parametrize(
    ("before", "off_at"),
    [
        (Ended(990.0, None, "killed"), 990.0),
        (Ended(995.0, 70, "stuck"), 995.0),
        (Ended(5000.0, 2, "a later start was refused"), 1050.0),
    ],
)
def test_a_start_closes_the_timeline_of_every_bot_where_the_last_process_ended(before: Ended, off_at: float) -> None:
    async def main() -> None:
        store = Store.open_memory(now=wall())
        await killed(store)
        line = Line()
        app = App(store, [line], {line.bot: Agent(echo)}, wall=wall, before=before)
        await app.start()
        spans = store.read(history.spans, 0.0, wall())
        off = [(one.bot, one.from_at, one.cause) for one in spans if one.state == "off"]
        assert off == [("bot", off_at, before.why), ("gone", off_at, before.why)]
        await app.stop(deadline_s=1.0)

    clock.run(main())


def test_a_command_that_takes_the_place_of_a_dead_buoy_leaves_the_timeline_alone(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store.open(tmp_path, now=wall())
        await killed(store)
        line = Line()
        app = App(store, [line], {line.bot: Agent(echo)}, wall=wall, before=Ended(990.0, None, "killed"))
        await app.stop(deadline_s=1.0)

    clock.run(main())
    db = peek(tmp_path)
    assert {one.state for one in history.spans(db, 0.0, 1e10)} == {"up"}, "the next start says since when it was off"
    db.close()
