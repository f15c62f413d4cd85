"""Speaking before a turn ends: a part is on disk when `say` returns, and the last one ends the turn with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from buoy.chat import Agent, Exchange, Message, NonsenseError
from buoy.durable.store import Store
from buoy.errors import TurnOverError
from buoy.gateway.worker import Turns
from tests import clock
from tests.gateway.fakes import ANN, BEN, Disk, Line, World, crash, gateway, hang, play, wall
from tests.gateway.film import kill_everywhere


def spoken(message: Message) -> Any:
    assert message.line is not None
    return message.line


async def speaks(message: Message) -> str:
    """Says what an earlier run has not said, ends with the last part, and returns what nobody may see."""
    line = spoken(message)
    for n, part in enumerate(("one", "two", "three")):
        if n >= len(message.delivered):
            await line.say(part, last=n == 2)
            await asyncio.sleep(1)
    return "never seen"


def test_a_part_is_on_disk_when_say_returns_and_leaves_at_once() -> None:
    told: list[Any] = []

    async def answer(message: Message) -> str:
        row = await spoken(message).say("one")
        told.append((row, world.letters()["k/1"]["id"], world.events()["k"]["state"]))
        await asyncio.sleep(5)
        return "two"

    world: World

    async def test(it: World) -> None:
        nonlocal world
        world = it
        await it.put("k")
        await asyncio.sleep(1)
        assert it.line.texts() == ["one"]
        await it.settle()
        assert it.line.texts() == ["one", "two"]
        assert list(it.letters()) == ["k/1", "k/2"]
        assert told == [(told[0][1], told[0][1], "running")]

    play(test, answer)


def test_the_last_part_ends_the_turn_in_its_transaction_and_what_is_returned_is_not_sent() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.put("behind")
        await asyncio.sleep(2.5)
        assert world.events()["k"]["state"] == "done"
        assert world.events()["behind"]["state"] == "waiting", "the lane is free when `answer` returns"
        await world.settle()
        assert world.line.texts() == ["one", "two", "three"] * 2
        assert world.app.worker._places == 0

    play(test, speaks)


@pytest.mark.parametrize("how", ["raises", "nonsense", "cancels itself", "late", "stopped"])
def test_nothing_that_comes_after_the_last_part_changes_anything(how: str) -> None:
    runs = []

    async def answer(message: Message) -> Any:
        runs.append(message.id)
        await spoken(message).say("all", last=True)
        match how:
            case "raises":
                raise ValueError("too late")
            case "nonsense":
                return 42
            case "cancels itself":
                raise asyncio.CancelledError
            case _:
                await hang(message)
        return None

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(1)
        if how == "stopped":
            await world.put("s", "/stop", bypass=True)
        await world.settle()
        row = world.events()["k"]
        assert (row["state"], row["reason"]) == ("done", "")
        assert world.line.texts() == ["all"]
        await world.put("next")
        await world.settle()
        assert runs == ["k", "next"]
        assert world.app.worker.counts["failed"] == world.app.worker.counts["dead"] == 0
        assert (world.app.worker._places, world.app.worker.active) == (0, 0)

    play(test, answer, turns=Turns(timeout_s=30))


def test_what_cannot_be_said_is_refused_and_leaves_no_trace() -> None:
    found = []

    async def answer(message: Message) -> str:
        for what in (42, "", "  \n"):
            with pytest.raises(NonsenseError) as caught:
                await spoken(message).say(what)
            found.append(str(caught.value))
        return "fine"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["fine"]
        assert len(found) == 3

    play(test, answer)


@pytest.mark.parametrize("ended", ["by its last part", "by returning"])
def test_who_speaks_after_the_end_is_told_and_queues_nothing(ended: str) -> None:
    lines = []

    async def answer(message: Message) -> None:
        lines.append(spoken(message))
        if ended == "by its last part":
            await spoken(message).say("all", last=True)
            with pytest.raises(TurnOverError):
                await spoken(message).say("more")
            with pytest.raises(TurnOverError):
                await spoken(message).say("more", last=True)

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        with pytest.raises(TurnOverError):
            await lines[0].say("more")
        assert len(world.letters()) == (ended == "by its last part")

    play(test, answer)


def test_another_task_may_speak_and_end_the_turn_while_the_agent_waits_for_it() -> None:
    async def answer(message: Message) -> None:
        line = spoken(message)

        async def elsewhere() -> None:
            await line.say("one")
            await line.say("two", last=True)

        await asyncio.gather(asyncio.ensure_future(elsewhere()))

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["one", "two"]
        assert world.events()["k"]["state"] == "done"

    play(test, answer)


def test_a_full_disk_is_waited_for_and_is_not_the_agents_time() -> None:
    disk, done = Disk(), []

    async def answer(message: Message) -> None:
        await asyncio.sleep(1)

        async def elsewhere() -> None:
            await spoken(message).say("one", last=True)
            done.append(asyncio.get_running_loop().time())

        await asyncio.gather(asyncio.ensure_future(elsewhere()))

    async def test(world: World) -> None:
        await world.put("k")
        with disk.full():
            await asyncio.sleep(60)
            assert not done
            assert world.letters() == {}
        await world.settle()
        assert world.line.texts() == ["one"]
        assert world.events()["k"]["state"] == "done"

    play(test, answer, commit=disk, turns=Turns(timeout_s=10))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("ticks", range(6))
def test_a_say_that_is_cancelled_is_queued_or_is_not(ticks: int, last: bool) -> None:  # noqa: FBT001
    """Whatever it is, the turn goes on from there and each part is seen once."""

    async def answer(message: Message) -> str | None:
        line = spoken(message)
        task = asyncio.ensure_future(line.say("one", last=last))
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return "two"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        parts = world.line.texts()
        assert parts in (["two"], ["one"] if last else ["one", "two"])
        assert world.events()["k"]["state"] == "done"
        assert set(world.states().values()) == {"sent"}
        assert world.app.sender.active == 0

    play(test, answer)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_later_run_is_told_what_was_said(how: str) -> None:
    seen: list[tuple[int, tuple[str, ...]]] = []

    async def answer(message: Message) -> str:
        seen.append((message.attempt, message.delivered))
        if not message.delivered:
            await spoken(message).say("one")
            await hang(message)
        return "two"

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, answer, store=store) as world:
            await world.put("k")
            await asyncio.sleep(1)
            following = crash(store)
            if how == "stopped":
                world.app.worker.stop()
                await world.app.supervisor.stop(timeout_s=1)
                world.app.worker.give_back()
                await asyncio.sleep(0.1)
                following = crash(store)
        async with gateway(line, answer, store=following) as world:
            await world.settle()
            assert line.texts() == ["one", "two"]
        assert seen == [(1, ()), (2 if how == "killed" else 1, ("one",))]

    clock.run(main())


def test_a_first_run_looks_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: World) -> None:
        reads: list[Any] = []
        real = world.store.read

        def read(job: Any, *args: Any, **named: Any) -> Any:
            reads.append(job.__name__)
            return real(job, *args, **named)

        monkeypatch.setattr(world.store, "read", read)
        await world.put("k")
        await world.settle()
        assert "of_event" not in reads

    play(test)


def test_what_was_said_is_told_as_the_answer_in_histories() -> None:
    seen: list[Message] = []

    async def answer(message: Message) -> None:
        seen.append(message)
        await spoken(message).say("part")
        await spoken(message).say(f"end of {message.text}", last=True)

    async def test(world: World) -> None:
        for key in ("a", "b"):
            await world.put(key)
            await world.settle()
        assert seen[1].history == (Exchange("a", "part\n\nend of a"),)

    play(test, Agent(answer, history_turns=3))


def test_a_kill_at_any_moment_shows_each_part_once() -> None:
    async def talk(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(0.1)
        await world.put("other", lane=BEN)

    def judge(world: World) -> None:
        for lane, key in ((ANN, "k"), (BEN, "other")):
            if key in world.events():
                assert world.line.texts(lane) == ["one", "two", "three"]
                assert world.events()[key]["state"] == "done"
        assert set(world.states().values()) <= {"sent"}

    assert kill_everywhere(lambda: Agent(speaks), talk, judge) > 20


def test_a_run_after_the_last_part_never_happens_wherever_it_is_killed() -> None:
    runs: list[tuple[str, int]] = []

    async def answer(message: Message) -> str:
        runs.append((message.turn, message.attempt))
        await spoken(message).say("all", last=True)
        await asyncio.sleep(5)
        return "never seen"

    async def talk(world: World) -> None:
        await world.put("k")

    def judge(world: World) -> None:
        if "k" in world.events():
            assert world.line.texts() == ["all"]
            assert world.events()["k"]["attempts"] <= 2

    kill_everywhere(lambda: Agent(answer), talk, judge)
    assert {attempt for _, attempt in runs} == {1, 2}, "before the end is on disk it runs again"


def test_what_was_yielded_goes_before_what_is_said_after_it() -> None:
    async def answer(message: Message) -> AsyncIterator[str]:
        for n in range(len(message.delivered) // 2, 2):
            yield f"yielded {n}"
            await spoken(message).say(f"said {n}")

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["yielded 0", "said 0", "yielded 1", "said 1"]
        assert world.events()["k"]["state"] == "done"

    play(test, Agent(answer, can_continue=True))


def test_the_agent_s_own_generator_may_use_the_line_too() -> None:
    async def answer(message: Message) -> AsyncIterator[str]:
        await spoken(message).say("said")
        yield "yielded"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["said", "yielded"]

    play(test, answer)
