"""Messages that are handed over beside the turn that runs, for agents that let them join."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buoy.chat import Agent, Message
from buoy.durable import inbox
from buoy.durable.store import Store
from buoy.errors import AgentAwayError, StoreError
from buoy.gateway.worker import Turns
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
    Disk,
    Line,
    Scripted,
    World,
    arrival,
    crash,
    gateway,
    hang,
    play,
    raises,
    sleeps,
    wall,
)
from tests.gateway.film import kill_everywhere


def joining(agent: Any) -> Agent:
    """An agent that lets everything join but what begins with ``wait``."""
    return Agent(agent, joins=lambda message: not message.text.startswith("wait"))


def test_a_fresh_message_joins_the_turn_that_runs() -> None:
    agent = Scripted({"long": sleeps(10, "long")})

    async def test(world: World) -> None:
        await world.put("long")
        await asyncio.sleep(1)
        await world.put("now")
        await asyncio.sleep(1)
        assert agent.texts() == ["long", "now"]
        assert world.line.texts() == ["now"]
        await world.put("too")
        await world.settle()
        assert world.line.texts() == ["now", "too", "long"]
        assert {row["attempts"] for row in world.events().values()} == {1}
        assert (world.app.worker._places, world.app.worker._beside) == (0, 0)

    play(test, joining(agent))


def test_messages_of_one_batch_join_as_well() -> None:
    agent = Scripted({"a": sleeps(5, "a"), "b": sleeps(5, "b")})

    async def test(world: World) -> None:
        for key in "abc":
            world.put(key)
        await asyncio.sleep(1)
        assert agent.texts() == ["a", "b", "c"]
        await world.settle()

    play(test, joining(agent))


def test_who_may_not_join_waits_and_nobody_passes_it() -> None:
    agent = Scripted({"long": sleeps(10, "long")})

    async def test(world: World) -> None:
        await world.put("long")
        await world.put("wait")
        await world.put("late")
        await world.put("elsewhere", lane=BEN)
        await asyncio.sleep(1)
        assert agent.texts() == ["long", "elsewhere"]
        await world.settle()
        assert world.line.texts(ANN) == ["long", "wait", "late"]

    play(test, joining(agent))


def test_the_lane_goes_on_only_when_all_have_ended() -> None:
    agent = Scripted({"long": sleeps(2, "long"), "beside": sleeps(20, "beside")})

    async def test(world: World) -> None:
        for key in ("long", "beside", "wait"):
            await world.put(key)
        await asyncio.sleep(5)
        assert world.line.texts() == ["long"]
        assert agent.texts() == ["long", "beside"]
        await world.settle()
        assert world.line.texts() == ["long", "beside", "wait"]

    play(test, joining(agent))


def test_a_message_joins_what_joined() -> None:
    agent = Scripted({"long": sleeps(2, "long"), "beside": sleeps(20, "beside")})

    async def test(world: World) -> None:
        await world.put("long")
        await world.put("beside")
        await asyncio.sleep(5)
        await world.put("now")
        await asyncio.sleep(1)
        assert world.line.texts() == ["long", "now"]
        await world.settle()

    play(test, joining(agent))


def test_who_joins_needs_no_place_because_the_one_that_has_it_may_wait_for_it() -> None:
    go_on = asyncio.Event()

    async def answer(message: Message) -> str:
        if message.text == "yes":
            go_on.set()
        else:
            await go_on.wait()
        return message.text

    async def test(world: World) -> None:
        await world.put("may I?")
        await asyncio.sleep(1)
        await world.put("yes")
        await world.settle()
        assert world.line.texts() == ["yes", "may I?"]

    play(test, joining(answer), turns=Turns(parallel=1))


def test_a_flood_does_not_join_without_end() -> None:
    agent = Scripted({"x": hang})

    async def test(world: World) -> None:
        for n in range(200):
            await world.put(f"k{n}", "x")
        assert 60 < world.app.worker.active < 70

    play(test, joining(agent))


def test_what_a_replay_brings_waits_unless_it_was_written_while_the_turn_ran() -> None:
    agent = Scripted({"long": sleeps(100, "long")})

    async def test(world: World) -> None:
        await asyncio.sleep(50)
        await world.put("long", whole=False)
        await asyncio.sleep(10)
        await world.put("in between", whole=False, event_at=wall() - 5)
        await asyncio.sleep(1)
        assert agent.texts() == ["long", "in between"]
        await world.put("backlog", whole=False, event_at=wall() - 30)
        await asyncio.sleep(1)
        assert agent.texts() == ["long", "in between"]
        await world.settle()
        assert world.line.texts() == ["in between", "long", "backlog"]

    play(test, joining(agent))


def test_after_a_start_what_waited_is_handed_over_one_by_one() -> None:
    agent = Scripted({key: sleeps(5, key) for key in "abc"})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        for key in "abc":
            await store.write(inbox.put, arrival(key), None)
        async with gateway(line, joining(agent), store=store) as world:
            await asyncio.sleep(1)
            assert agent.texts() == ["a"]
            await world.put("d")
            await asyncio.sleep(1)
            assert agent.texts() == ["a"], "a newcomer passes nothing that waits"
            await world.settle()
            assert line.texts() == ["a", "b", "c", "d"]
            assert agent.most == 1

    clock.run(main())


def test_after_a_crash_those_that_joined_wait_again_in_their_order() -> None:
    agent = Scripted({"a": hang, "b": hang})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, joining(agent), store=store, deadline_s=1) as world:
            for key in "abc":
                await world.put(key)
            await asyncio.sleep(1)
            assert line.texts() == ["c"]
            following = crash(store)
        agent.doings = {"a": sleeps(5, "a")}
        agent.seen.clear()
        agent.most = 0
        async with gateway(line, joining(agent), store=following) as world:
            await world.settle()
            assert [(message.text, message.attempt) for message in agent.seen] == [("a", 2), ("b", 2)]
            assert (line.texts(), agent.most) == (["c", "a", "b"], 1)

    clock.run(main())


@pytest.mark.parametrize("error", [ValueError("no"), AgentAwayError("no connection")])
def test_one_that_joined_and_failed_waits_in_its_lane_for_another_run(error: Exception) -> None:
    agent = Scripted({"long": sleeps(60, "long"), "k": raises(error)})

    async def test(world: World) -> None:
        await world.put("long")
        await world.put("k")
        await asyncio.sleep(1)
        agent.doings.pop("k")
        await world.put("behind")
        await asyncio.sleep(30)
        assert agent.texts() == ["long", "k"]
        await world.settle()
        assert world.line.texts() == ["long", "k", "behind"]
        assert (world.app.worker._places, world.app.worker._beside) == (0, 0)

    play(test, joining(agent))


def test_a_joined_row_that_cannot_be_stored_or_is_known_leaves_the_lane_alive() -> None:
    agent, disk = Scripted({"long": sleeps(30, "long")}), Disk()

    async def test(world: World) -> None:
        await world.put("long")
        with disk.full(), pytest.raises(StoreError):
            await world.put("now")
        await world.put("now")
        await world.put("now")
        await world.settle()
        assert world.line.texts() == ["now", "long"]
        assert (world.app.worker._places, world.app.worker._beside) == (0, 0)

    play(test, joining(agent), commit=disk)


def test_an_agent_that_cannot_say_whether_it_joins_gets_it_in_its_turn() -> None:
    def joins(message: Message) -> bool:
        raise KeyError(message.text)

    async def test(world: World) -> None:
        await world.put("a")
        await world.put("b")
        await world.put("unreadable", frame=b"{")
        await world.settle()
        assert world.line.texts() == ["a", "b"]

    play(test, Agent(Scripted({"a": sleeps(1, "a")}), joins=joins))


def test_nothing_joins_a_turn_that_must_run_alone() -> None:
    agent = Scripted({"k": sleeps(5, "k")})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        row = (await store.write(inbox.put, arrival("k"), None)).id
        assert row is not None
        for _ in range(inbox.ALONE_AFTER):
            await store.write(inbox.claim, row, 0, alone=False, now=wall())
            await store.write(inbox.void_claims, 1)
        async with gateway(line, joining(agent), store=store) as world:
            await asyncio.sleep(1)
            await world.put("now")
            await world.settle()
            assert (line.texts(), agent.most) == (["k", "now"], 1)

    clock.run(main())


def test_a_turn_that_must_run_alone_waits_for_those_that_have_no_place_too() -> None:
    agent = Scripted({"/stop": sleeps(5, "stopped")})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        row = (await store.write(inbox.put, arrival("k", lane=BEN), None)).id
        assert row is not None
        for _ in range(inbox.ALONE_AFTER):
            await store.write(inbox.claim, row, 0, alone=False, now=wall())
            await store.write(inbox.void_claims, 1)
        await store.write(inbox.put, arrival("/stop", bypass=True), None)
        async with gateway(line, joining(agent), store=store) as world:
            await asyncio.sleep(1)
            assert agent.texts() == ["/stop"]
            await world.settle()
            assert (line.texts(), agent.most) == (["stopped", "k"], 1)

    clock.run(main())


# --- /stop is the agent's own then ---


def test_stop_is_handed_to_the_agent_beside_what_runs_whatever_waits() -> None:
    agent = Scripted({"long": sleeps(10, "long")})

    async def test(world: World) -> None:
        await world.put("long")
        await world.put("wait")
        await asyncio.sleep(1)
        await world.put("/stop", bypass=True)
        await asyncio.sleep(1)
        assert agent.texts() == ["long", "/stop"]
        await world.settle()
        assert world.line.texts() == ["/stop", "long", "wait"]
        assert world.app.worker.counts["stopped"] == 0
        assert world.app.worker._beside == 0

    play(test, joining(agent))


def test_stop_is_an_ordinary_turn_where_nothing_runs() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("/stop", bypass=True)
        await world.settle()
        assert world.line.texts() == ["/stop"]
        assert (world.events()["/stop"]["state"], world.events()["/stop"]["attempts"]) == ("done", 1)

    play(test, joining(agent))


def test_a_stop_that_fails_is_tried_again_and_is_dead_in_the_end() -> None:
    agent = Scripted({"/stop": raises(ValueError("no"))})

    async def test(world: World) -> None:
        await world.put("/stop", bypass=True)
        await asyncio.sleep(0.5)
        assert agent.texts() == ["/stop"]
        await world.settle()
        assert len(agent.seen) == 3
        assert world.events()["/stop"]["state"] == "dead"
        agent.doings.clear()
        assert await world.app.retry_event(world.events()["/stop"]["id"])
        await world.settle()
        assert world.line.texts() == ["/stop"]

    play(test, joining(agent), turns=Turns(attempts=3))


def test_a_stop_waits_while_the_agent_is_away_and_outlives_the_process() -> None:
    agent = Scripted({"/stop": raises(AgentAwayError("no connection"))})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, joining(agent), store=store) as world:
            await world.put("/stop", bypass=True)
            await asyncio.sleep(1)
            assert world.events()["/stop"]["attempts"] >= 1
            following = crash(store)
        agent.doings.clear()
        async with gateway(line, joining(agent), store=following) as world:
            await world.settle()
            assert line.texts() == ["/stop"]

    clock.run(main())


def test_the_pause_of_a_stop_that_failed_outlives_the_process() -> None:
    agent = Scripted({"/stop": raises(ValueError())})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, joining(agent), store=store) as world:
            await world.put("/stop", bypass=True)
            await asyncio.sleep(12)
            assert len(agent.seen) == 3  # at 0, 1 and 6 s; the next one at 18.75 s or later
            following = crash(store)
        agent.doings.clear()
        async with gateway(line, joining(agent), store=following) as world:
            await asyncio.sleep(5)
            assert len(agent.seen) == 3
            await world.settle()
            assert line.texts() == ["/stop"]

    clock.run(main())


def test_a_stop_that_ends_the_process_is_dead_in_the_end() -> None:
    agent = Scripted({"/stop": hang})

    async def main() -> None:
        store = Store.open_memory(now=wall())
        for boot in range(12):
            async with gateway(Line(), joining(agent), store=store, deadline_s=0.5) as world:
                if not boot:
                    await world.put("/stop", bypass=True)
                await asyncio.sleep(1)
                state = world.events()["/stop"]["state"]
                store = crash(store)
        assert state == "dead"
        assert len(agent.seen) == 7  # two beside others, then five alone

    clock.run(main())


def test_an_orderly_stop_gives_back_those_that_joined() -> None:
    agent = Scripted(dict.fromkeys(("a", "b", "/stop"), hang))

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, joining(agent), store=store) as world:
            await world.put("a")
            await world.put("b")
            await world.put("/stop", bypass=True)
            await asyncio.sleep(1)
            world.app.worker.stop()
            await world.app.supervisor.stop(timeout_s=1)
            world.app.worker.give_back()
            await asyncio.sleep(0.1)
            assert [(row["state"], row["attempts"]) for row in world.events().values()] == [("waiting", 0)] * 3

    clock.run(main())


def test_a_kill_at_any_moment_answers_each_message_once() -> None:
    async def answer(message: Message) -> str:
        await asyncio.sleep({"long": 3, "mid": 1}.get(message.text, 0))
        return message.text

    async def talk(world: World) -> None:
        await world.put("long")
        await asyncio.sleep(0.5)
        await world.put("mid")
        await world.put("short")
        await world.put("wait")
        await world.put("/stop", bypass=True)

    def judge(world: World) -> None:
        assert sorted(world.line.texts()) == sorted(world.events())
        assert {row["state"] for row in world.events().values()} <= {"done"}
        assert (world.app.worker._places, world.app.worker._beside) == (0, 0)

    assert kill_everywhere(lambda: joining(answer), talk, judge) > 20


def test_a_last_part_that_answers_several_messages_ends_all_of_them_in_one_commit() -> None:
    waiting: list[Message] = []

    async def answer(message: Message) -> None:
        if message.text != "last":
            waiting.append(message)
            await asyncio.sleep(60)  # whoever reads does not say when it has read this one
        line, others = message.line, [one.line for one in waiting]
        assert line is not None
        if message.text == "last":
            await line.say("all of it", last=True, also=[one for one in (*others, line) if one is not None])
            states.append([world.events()[key]["state"] for key in ("one", "two", "last")])

    states: list[list[str]] = []
    world: World

    async def test(it: World) -> None:
        nonlocal world
        world = it
        for key in ("one", "two", "last"):
            await world.put(key)
            await asyncio.sleep(1)
        await world.settle()
        assert world.line.texts() == ["all of it"]
        assert states == [["done"] * 3]
        assert world.events()["one"]["reason"] == f"answered with event {world.events()['last']['id']}"
        assert len([message for message in waiting if message.text == "one"]) == 1

    play(test, Agent(answer, "reader", joins=lambda _: True))


def test_what_ended_otherwise_is_not_ended_again_by_a_last_part_elsewhere() -> None:
    early: list[Message] = []

    async def answer(message: Message) -> str | None:
        if message.text == "early":
            early.append(message)
            await asyncio.sleep(2)
            return "of its own"
        await asyncio.sleep(5)
        assert message.line is not None
        assert early[0].line is not None
        await message.line.say("late", last=True, also=[early[0].line])
        return None

    async def test(world: World) -> None:
        await world.put("early")
        await world.put("late")
        await world.settle()
        assert world.line.texts() == ["of its own", "late"]
        assert world.events()["early"]["reason"] == ""

    play(test, Agent(answer, "reader", joins=lambda _: True))


@pytest.mark.parametrize("heals_at", [5.8, 6.2])
@pytest.mark.parametrize("how", ["returns", "raises", "says its last word"])
def test_what_ends_on_its_own_while_the_disk_is_full_is_answered_by_the_last_word_it_was_named_in(
    how: str, heals_at: float
) -> None:
    disk, lines = Disk(), dict[str, Any]()

    async def answer(message: Message) -> str | None:
        lines[message.text] = line = message.line
        assert line is not None
        if message.text == "first":
            await asyncio.sleep(2)
            await line.say("all", last=True, also=[lines["two"]])
            return None
        await asyncio.sleep(4)
        match how:
            case "raises":
                raise ValueError("no")
            case "says its last word":
                await line.say("own", last=True)
        return "own"

    async def test(world: World) -> None:
        await world.put("first")
        await asyncio.sleep(0.5)
        await world.put("two")
        await asyncio.sleep(0.5)
        with disk.full():
            await asyncio.sleep(heals_at - 1)
        await world.settle()
        is_own = how != "raises" and heals_at > 6  # then its own end is on disk first
        assert world.line.texts() == (["own", "all"] if is_own else ["all"])
        row = world.events()["two"]
        assert (row["state"], row["reason"]) == ("done", "" if is_own else "answered with event 1")
        assert world.app.worker.counts["failed"] == (how == "raises")
        assert (world.app.worker._places, world.app.worker._beside) == (0, 0)

    play(test, joining(answer), commit=disk)
