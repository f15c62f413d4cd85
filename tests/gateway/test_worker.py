"""Turns: order, claims, what each end of a run does, and the one transaction that ends it with its letters."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import pytest

from buoy.chat import Agent, Message, Reply
from buoy.durable import inbox, outbox
from buoy.durable.store import Store
from buoy.errors import AgentAwayError, AgentError, StoreError
from buoy.gateway.worker import Turns
from buoy.letters import Letter, LetterState
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
    CAT,
    Disk,
    Line,
    Scripted,
    World,
    answers,
    arrival,
    crash,
    gateway,
    hang,
    play,
    raises,
    sleeps,
    wall,
)


def now() -> float:
    return asyncio.get_running_loop().time()


# --- order ---


def test_a_lane_keeps_its_order_and_others_run_beside_it() -> None:
    agent = Scripted({"a1": sleeps(10, "a1"), "b1": sleeps(5, "b1")})

    async def test(world: World) -> None:
        for key, lane in (("a1", ANN), ("a2", ANN), ("b1", BEN), ("b2", BEN), ("c1", CAT)):
            await world.put(key, lane=lane)
        await asyncio.sleep(1)
        assert agent.texts() == ["a1", "b1", "c1"]
        await world.settle()
        assert world.line.shown == [(CAT, "c1"), (BEN, "b1"), (BEN, "b2"), (ANN, "a1"), (ANN, "a2")]

    play(test, agent)


def test_no_more_run_at_once_than_allowed() -> None:
    agent = Scripted({"x": sleeps(1, "x")})

    async def test(world: World) -> None:
        for n in range(7):
            world.put(f"k{n}", "x", lane=f"fake:c2c:p{n}")
        began = now()
        await world.settle()
        assert agent.most == 3
        assert 3 <= now() - began < 4
        assert len(world.line.shown) == 7

    play(test, agent, turns=Turns(parallel=3))


def test_rows_of_one_batch_keep_the_order_in_which_they_came() -> None:
    async def test(world: World) -> None:
        for n in range(200):
            world.put(f"k{n}", lane=(ANN, BEN)[n % 2])
        await world.settle()
        assert world.line.texts(ANN) == [f"k{n}" for n in range(0, 200, 2)]
        assert world.line.texts(BEN) == [f"k{n}" for n in range(1, 200, 2)]

    play(test)


# --- a run is charged first ---


def test_the_claim_is_committed_and_charged_before_the_agent_runs() -> None:
    found: list[tuple[str, int]] = []

    async def test(world: World) -> None:
        async def look(message: Message) -> None:
            row = world.events()[message.id]
            found.append((row["state"], row["attempts"]))

        agent.doings |= {"a": look, "b": look}
        world.put("a")  # claimed by the row that stores it
        world.put("b")  # claimed when its turn comes
        await world.settle()
        assert found == [("running", 1), ("running", 1)]

    agent = Scripted()
    play(test, agent)


def test_a_claim_that_cannot_be_committed_runs_nothing_until_it_can() -> None:
    disk, agent = Disk(), Scripted({"a": sleeps(1)})

    async def test(world: World) -> None:
        world.put("a")
        world.put("b")
        await asyncio.sleep(0.5)
        disk.when = lambda: bool(world.line.shown)  # from the moment in which `b` would be claimed
        with disk.full():
            await asyncio.sleep(10)
            assert agent.texts() == ["a"]
            assert world.events()["b"]["attempts"] == 0
        await world.settle()
        assert world.line.texts() == ["slept", "b"]

    play(test, agent, commit=disk)


def test_what_a_person_drops_does_not_run() -> None:
    agent = Scripted({"a": sleeps(1)})

    async def test(world: World) -> None:
        for key in "abc":
            await world.put(key)
        assert await world.app.drop_event(world.events()["b"]["id"])
        await world.settle()
        assert agent.texts() == ["a", "c"]
        assert world.events()["b"]["state"] == "done"

    play(test, agent)


# --- how a turn ends ---


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (None, []), ("", []), ("  \n", []), ("hi", ["hi"]), (Reply("hi", markdown=True), ["hi"]),
        (["one", Reply("two"), None, ""], ["one", "two"]), (("one", "two"), ["one", "two"]), ([], []),
    ],
)  # fmt: skip
def test_what_an_agent_may_answer(answer: Any, texts: list[str]) -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == texts
        assert world.events()["k"]["state"] == "done"
        assert list(world.letters()) == [f"k/{n}" for n in range(1, len(texts) + 1)]

    play(test, Scripted({"k": answers(answer)}))


def test_a_generator_is_collected_and_queued_whole() -> None:
    async def parts(message: Message) -> AsyncIterator[str]:
        yield "one"
        await asyncio.sleep(5)
        yield "two"

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(4)
        assert world.letters() == {}
        await world.settle()
        assert world.line.texts() == ["one", "two"]
        assert world.store.stats.failed == 0

    play(test, parts)


@pytest.mark.parametrize("nonsense", [42, {"text": "hi"}, ["fine", 3.5], b"bytes", object()])
def test_nonsense_is_dead_at_once_with_its_reason(nonsense: Any) -> None:
    agent = Scripted({"k": answers(nonsense)})

    async def test(world: World) -> None:
        await world.put("k")
        await world.put("next")
        await world.settle()
        row = world.events()["k"]
        assert (row["state"], row["attempts"]) == ("dead", 1)
        assert "return a text" in row["reason"]
        assert world.line.texts() == ["next"]

    play(test, agent)


def test_an_agent_that_raises_is_tried_five_times_then_dead_and_the_lane_goes_on() -> None:
    agent = Scripted({"k": raises(ValueError("no model"))})

    async def test(world: World) -> None:
        began = now()
        await world.put("k")
        await world.put("next")
        await world.put("other", lane=BEN)
        await world.settle()
        assert agent.texts().count("k") == 5
        assert [message.attempt for message in agent.seen if message.text == "k"] == [1, 2, 3, 4, 5]
        assert 60 < now() - began < 100
        row = world.events()["k"]
        assert (row["state"], row["reason"]) == ("dead", "failed 5 times, last: ValueError: no model")
        assert world.line.shown == [(BEN, "other"), (ANN, "next")]
        assert world.app.worker.counts["failed"] == 5

    play(test, agent)


def test_a_run_that_fails_and_then_succeeds_answers_once() -> None:
    async def answer(message: Message) -> str:
        if message.attempt < 3:
            raise AgentError("the model is busy")
        return f"at last, {message.turn}"

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(0.5)
        assert world.events()["k"]["reason"] == "the model is busy"
        await world.settle()
        assert world.line.texts() == ["at last, k"]

    play(test, answer)


def test_the_pause_after_a_failure_does_not_follow_a_wall_clock_that_is_set_back() -> None:
    agent = Scripted({"k": raises(ValueError())})
    back = 0.0

    async def main() -> None:
        nonlocal back
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store) as world:
            world.app.worker._wall = lambda: wall() - back
            await world.put("k")
            await asyncio.sleep(0.5)
            back = 3600.0
            await asyncio.sleep(5)
            assert len(agent.seen) == 2

    clock.run(main())


def test_an_agent_that_hangs_times_out_and_others_are_not_held_up() -> None:
    agent = Scripted({"k": hang})

    async def test(world: World) -> None:
        await world.put("k")
        await world.put("behind")
        await world.put("beside", lane=BEN)
        await asyncio.sleep(1)
        assert world.line.texts() == ["beside"]
        await world.settle()
        assert world.line.texts() == ["beside", "behind"]
        row = world.events()["k"]
        assert (row["state"], row["reason"]) == ("dead", "the agent did not answer within 30 s")

    play(test, agent, turns=Turns(timeout_s=30))


def test_an_agent_may_ask_for_a_shorter_time_out_than_the_gateway_s() -> None:
    async def test(world: World) -> None:
        began = now()
        await world.put("k")
        await world.settle()
        assert now() - began < 4
        assert world.events()["k"]["reason"] == "the agent did not answer within 3 s"

    play(test, Agent(hang, timeout_s=3))


def test_an_agent_whose_own_call_times_out_is_tried_again() -> None:
    async def answer(message: Message) -> str:
        if message.attempt == 1:
            raise TimeoutError("the model took too long")
        return "now"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["now"]

    play(test, answer)


@pytest.mark.parametrize("how", ["raises", "cancels"])
def test_an_agent_that_cancels_itself_has_failed_and_blocks_nobody(how: str) -> None:
    async def cancel(_: Message) -> None:
        if how == "raises":
            raise asyncio.CancelledError
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def test(world: World) -> None:
        await world.put("k")
        await world.put("next")
        await world.settle()
        row = world.events()["k"]
        assert (row["state"], row["attempts"]) == ("dead", 5)
        assert "cancelled its own turn" in row["reason"]
        assert world.line.texts() == ["next"]

    play(test, Scripted({"k": cancel}), turns=Turns(parallel=1))


def test_an_event_with_nothing_to_answer_ends_without_the_agent() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("k", "")
        await world.settle()
        assert agent.seen == []
        assert world.events()["k"]["reason"] == "nothing in it to answer"

    play(test, agent)


def test_a_row_that_cannot_be_read_is_dead_in_the_end_and_the_lane_goes_on() -> None:
    async def test(world: World) -> None:
        await world.put("k", frame=b"{")
        await world.put("next")
        await world.settle()
        assert world.events()["k"]["state"] == "dead"
        assert world.line.texts() == ["next"]

    play(test)


# --- one transaction ---


def test_a_turn_and_its_letters_end_together_or_not_at_all() -> None:
    disk, agent = Disk(), Scripted({"k": sleeps(1, ["one", "two"])})

    async def test(world: World) -> None:
        await world.put("k")
        with disk.full():
            await asyncio.sleep(20)
            assert world.events()["k"]["state"] == "running"
            assert world.letters() == {}
            assert world.line.requests == []
        await world.settle()
        assert world.events()["k"]["state"] == "done"
        assert world.line.texts() == ["one", "two"]
        assert len(agent.seen) == 1, "the answer was kept in memory; the agent did not run twice"

    play(test, agent, commit=disk)


def test_a_turn_that_has_ended_queues_nothing_a_second_time() -> None:
    agent = Scripted({"k": sleeps(5)})

    async def test(world: World) -> None:
        row = (await world.put("k")).id
        assert row is not None
        await world.store.write(inbox.finish, row, wall())  # as if another hand had ended it
        await world.settle()
        assert world.letters() == {}

    play(test, agent)


def test_reads_that_fail_for_a_while_end_no_turn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Scripted({"a": sleeps(1, "a")})

    async def test(world: World) -> None:
        def broken(db: sqlite3.Connection, *args: Any) -> Any:
            raise sqlite3.OperationalError("cannot read")

        for n in range(70):  # more than the lane keeps in memory
            world.put(f"k{n}", lane=BEN)
        for n in range(70):
            world.put("a" if n == 0 else f"a{n}")
        with monkeypatch.context() as patch:
            patch.setattr(inbox, "page", broken)
            patch.setattr(outbox, "page", broken)
            await asyncio.sleep(20)
        await world.settle()
        assert world.line.texts(ANN) == ["a", *(f"a{n}" for n in range(1, 70))]
        assert world.line.texts(BEN) == [f"k{n}" for n in range(70)]

    play(test, agent)


# --- agents that can continue ---


def parts_agent(parts: list[str], seen: list[Message], *, pause_s: float = 10.0) -> Agent:
    async def answer(message: Message) -> AsyncIterator[str]:
        seen.append(message)
        for part in parts[len(message.delivered) :]:
            yield part
            await asyncio.sleep(pause_s)

    return Agent(answer, can_continue=True)


def test_each_part_is_committed_before_it_leaves_and_the_last_one_ends_the_turn() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(15)
        assert world.line.texts() == ["one"]
        assert world.states() == {"k/1": "sent"}
        await asyncio.sleep(10)
        assert world.line.texts() == ["one", "two"]
        assert world.events()["k"]["state"] == "running"
        await world.settle()
        assert world.line.texts() == ["one", "two", "three"]
        assert list(world.letters()) == ["k/1", "k/2", "k/3"]

    play(test, parts_agent(["one", "two", "three"], []))


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_re_run_is_told_what_was_delivered_and_goes_on_behind_it(how: str) -> None:
    seen: list[Message] = []

    async def main() -> None:
        line, agent = Line(), parts_agent(["one", "two", "three"], seen)
        store = Store.open_memory(now=wall())
        async with gateway(line, agent, store=store) as world:
            await world.put("k")
            await asyncio.sleep(15)
            assert line.texts() == ["one"]
            if how == "killed":
                following = crash(store)
            else:
                world.app.worker.stop()
                world.app.sender.stop()
                await world.app.supervisor.stop(timeout_s=1)
                world.app.worker.give_back()
                await asyncio.sleep(0.1)
                following = crash(store)
        async with gateway(line, agent, store=following) as world:
            await world.settle()
            assert [message.delivered for message in seen] == [(), ("one",)]
            assert line.texts() == ["one", "two", "three"]
            assert list(world.letters()) == ["k/1", "k/2", "k/3"]
            assert set(world.states().values()) == {"sent"}

    clock.run(main())


def test_a_part_that_cannot_be_committed_fails_the_run_and_leaves_no_trace() -> None:
    disk, seen = Disk(), list[Message]()

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(5)
        with disk.full():
            await asyncio.sleep(10)
            assert world.line.requests == []
        await world.settle()
        assert world.line.texts() == ["one", "two"]

    play(test, parts_agent(["one", "two"], seen), commit=disk)


def test_an_agent_that_says_it_can_continue_and_cannot_is_dead_with_a_reason() -> None:
    async def answer(message: Message) -> str:
        return "hi"

    async def main() -> None:
        async with gateway(Line(), Agent(lambda message: Never(), can_continue=True)) as world:
            await world.put("k")
            await world.settle()
            assert "no async generator" in world.events()["k"]["reason"]

    class Never:
        def __await__(self) -> Any:
            yield

        def __aiter__(self) -> Any:
            return self

    clock.run(main())


# --- /stop ---


def test_stop_passes_the_lane_and_ends_the_running_turn() -> None:
    agent = Scripted({"k": hang, "other": sleeps(3, "other")})

    async def test(world: World) -> None:
        await world.put("k")
        await world.put("next")
        await world.put("other", lane=BEN)
        await asyncio.sleep(1)
        await world.put("s", "/stop", bypass=True)
        await asyncio.sleep(1)
        assert world.events()["k"]["reason"] == "stopped by the user"
        assert world.events()["s"]["state"] == "done"
        assert agent.texts() == ["k", "other", "next"]
        await world.settle()
        assert world.line.texts() == ["next", "other"]
        assert world.app.worker.counts["stopped"] == 1

    play(test, agent)


@pytest.mark.parametrize("error", [ValueError("no"), AgentAwayError("no connection")])
def test_stop_while_a_failed_run_is_being_recorded_leaves_the_lane_alive(error: Exception) -> None:
    disk = Disk()

    async def fails(message: Message) -> str:
        if message.id == "k" and message.attempt == 1 and not disk.error:
            disk.error = sqlite3.SQLITE_FULL  # what records the failure has to try again, a second later
            asyncio.get_running_loop().call_later(0.2, vars(disk).update, {"error": 0})
            raise error
        return message.text

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(0.5)
        await world.put("s", "/stop", bypass=True)
        await world.put("next")
        await world.settle()
        assert world.line.texts() == ["k", "next"]
        assert world.app.worker.active == 0

    play(test, fails, commit=disk)


def test_stop_in_the_same_batch_as_the_turn_ends_it_too() -> None:
    agent = Scripted({"k": hang})

    async def test(world: World) -> None:
        world.put("k")
        world.put("s", "/stop", bypass=True)
        await world.settle()
        assert world.events()["k"]["reason"] == "stopped by the user"

    play(test, agent, turns=Turns(timeout_s=100))


def test_a_stop_that_a_crash_interrupted_ends_at_the_next_start_and_once() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        inbox_row = await store.write(inbox.put, arrival("s", "/stop", bypass=True), None)
        async with gateway(line, store=store) as world:
            await asyncio.sleep(1)
            assert world.events()["s"]["state"] == "done"
            assert world.store.read(inbox.urgent) == []
        assert inbox_row.fresh

    clock.run(main())


# --- memory of the conversation ---


def test_an_agent_gets_as_many_earlier_turns_as_it_asked_for() -> None:
    seen: list[Message] = []

    async def answer(message: Message) -> str:
        seen.append(message)
        return message.text.upper()

    async def test(world: World) -> None:
        for key in ("a", "b", "c", "d"):
            await world.put(key)
            await world.settle()
        await world.put("x", lane=BEN)
        await world.settle()
        told = [[(past.text, past.answer) for past in message.history] for message in seen]
        assert told == [[], [("a", "A")], [("a", "A"), ("b", "B")], [("b", "B"), ("c", "C")], []]

    play(test, Agent(answer, history_turns=2))


def test_letters_that_say_nothing_of_the_agents_are_not_told_as_its_words() -> None:
    class Announcing(Line):
        def text_of(self, body: bytes) -> str:
            return "" if body == b"note" else super().text_of(body)

    seen: list[Message] = []

    async def answer(message: Message) -> list[str]:
        seen.append(message)
        return ["note", "all of it"]

    async def test(world: World) -> None:
        for key in ("a", "b"):
            await world.put(key)
            await world.settle()
        assert [(past.text, past.answer) for past in seen[1].history] == [("a", "all of it")]

    play(test, Agent(answer, history_turns=2), line=Announcing())


# --- the ends of a process ---


def test_an_orderly_stop_gives_the_run_back() -> None:
    agent = Scripted({"k": hang})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store) as world:
            await world.put("k")
            await asyncio.sleep(1)
            world.app.worker.stop()
            await world.app.supervisor.stop(timeout_s=1)
            world.app.worker.give_back()
            await asyncio.sleep(0.1)
            following = crash(store)
        agent.doings.clear()
        async with gateway(line, agent, store=following) as world:
            await world.settle()
            assert [message.attempt for message in agent.seen] == [1, 1]
            assert line.texts() == ["k"]

    clock.run(main())


@pytest.mark.parametrize("moment", ["put", "claim", "run"])
def test_a_stop_at_any_moment_charges_nothing(moment: str) -> None:
    """Also where the claim is on its way into the store when the stop comes."""
    agent = Scripted({"k": hang})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store, turns=Turns(timeout_s=1000)) as world:
            if moment == "put":
                world.put("k")
            elif moment == "run":
                await world.put("k")
                await asyncio.sleep(1)
            else:
                await store.write(inbox.put, arrival("k"), None)
                world.app.worker.revive(inbox.event_of(arrival("k"), 1))
                await asyncio.sleep(0)
            world.app.worker.stop()
            await world.app.supervisor.stop(timeout_s=1)
            world.app.worker.give_back()
            await asyncio.sleep(0.1)
            row = world.events()["k"]
            assert (row["state"], row["attempts"]) == ("waiting", 0)
            assert len(agent.seen) == (moment == "run")

    clock.run(main())


def test_after_an_unclean_end_the_turn_runs_again_at_once() -> None:
    agent = Scripted({"k": hang})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store, deadline_s=1) as world:
            await world.put("k")
            await world.put("next")
            await asyncio.sleep(1)
            following = crash(store)
        agent.doings.clear()
        agent.seen.clear()
        began = now()
        async with gateway(line, agent, store=following) as world:
            await world.settle()
            assert now() - began < 1
            assert [(message.text, message.attempt) for message in agent.seen] == [("k", 2), ("next", 1)]
            assert line.texts() == ["k", "next"]

    clock.run(main())


def test_the_pause_after_a_failure_outlives_the_process() -> None:
    agent = Scripted({"k": raises(ValueError())})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store) as world:
            await world.put("k")
            await asyncio.sleep(12)
            assert len(agent.seen) == 3  # at 0, 1 and 6 s; the next one at 18.75 s or later
            following = crash(store)
        agent.doings.clear()
        async with gateway(line, agent, store=following) as world:
            await asyncio.sleep(5)
            assert len(agent.seen) == 3
            await world.settle()
            assert line.texts() == ["k"]

    clock.run(main())


async def die(store: Store, agent: Scripted, line: Line, *, runs_s: float = 1.0, **options: Any) -> Store:
    """Let a process run a moment on ``store`` and kill it; gives what the next one finds."""
    async with gateway(line, agent, store=store, deadline_s=0.5, **options):
        await asyncio.sleep(runs_s)
        return crash(store)


def test_twice_unclean_runs_alone_and_only_ends_while_alone_count() -> None:
    """The poison kills the process while it runs; an innocent hangs beside it each time."""
    agent = Scripted({"poison": hang, "innocent": sleeps(3, "innocent")})
    beside: list[int] = []

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store, deadline_s=0.5) as world:
            await world.put("innocent", lane=BEN)
            await world.put("poison")
            await asyncio.sleep(1)
            store = crash(store)
        for _ in range(6):  # from the second unclean end on both run alone, one after the other
            agent.seen.clear()
            agent.most = 0
            # the innocent, which is older, ends when it gets the time; the poison never does
            store = await die(store, agent, line, runs_s=5.0)
            beside.append(agent.most)
        async with gateway(line, agent, store=store) as world:
            await world.settle()
            rows = world.events()
        assert line.texts() == ["innocent"]
        assert rows["innocent"]["state"] == "done"
        assert rows["poison"]["state"] == "dead"
        assert "while running alone" in rows["poison"]["reason"]
        assert rows["poison"]["attempts"] == 7  # two beside others, five alone
        assert beside[1:] == [1] * 5

    clock.run(main())


def test_an_innocent_lane_does_not_die_for_another_s_poison() -> None:
    """Every process dies within a second of its start; the innocent needs three to answer."""
    agent = Scripted({"poison": hang, "innocent": sleeps(3, "innocent")})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, agent, store=store, deadline_s=0.5) as world:
            await world.put("poison")
            await world.put("innocent", lane=BEN)
            await asyncio.sleep(1)
            store = crash(store)
        for _ in range(6):
            store = await die(store, agent, line)
        async with gateway(line, agent, store=store) as world:
            await world.settle()
            rows = world.events()
        assert rows["poison"]["state"] == "dead"
        assert rows["innocent"]["state"] == "done"
        assert line.texts() == ["innocent"]

    clock.run(main())


def test_a_turn_that_must_run_alone_waits_until_it_can_and_keeps_others_waiting_while_it_runs() -> None:
    beside: list[int] = []

    async def watched(_: Message) -> str:
        for _tick in range(50):
            beside.append(agent.running)
            await asyncio.sleep(0.1)
        return "k"

    agent = Scripted({"k": watched, "long": sleeps(3, "long")})

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        await store.write(inbox.put, arrival("long", lane="fake:c2c:aaa"), None)
        row = (await store.write(inbox.put, arrival("k"), None)).id
        assert row is not None
        for _ in range(inbox.ALONE_AFTER):
            await store.write(inbox.claim, row, 0, alone=False, now=wall())
            await store.write(inbox.void_claims, 1)
        async with gateway(line, agent, store=store) as world:
            await asyncio.sleep(1)
            await world.put("c", lane=CAT)
            await asyncio.sleep(1)
            assert agent.texts() == ["long"]
            await world.settle()
            assert agent.texts() == ["long", "k", "c"]
            assert set(beside) == {1}

    clock.run(main())


def test_a_dead_turn_that_a_person_revives_runs_again_in_its_place() -> None:
    agent = Scripted({"k": answers(42)})

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        agent.doings.clear()
        assert await world.app.retry_event(world.events()["k"]["id"])
        await world.settle()
        assert world.line.texts() == ["k"]
        assert not await world.app.retry_event(world.events()["k"]["id"])

    play(test, agent)


def test_rows_of_a_bot_that_is_gone_from_the_settings_stop_nothing() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        for n in range(100):
            await store.write(inbox.put, arrival(f"k{n}", lane=f"fake:c2c:p{n}", bot="gone"), None)
            letter = Letter(0, f"l{n}", "gone", f"fake:c2c:p{n}", b"x", LetterState.QUEUED, wall())
            await store.write(outbox.put, letter)
        async with gateway(line, store=store) as world:
            await world.put("mine")
            await world.settle()
            assert line.texts() == ["mine"]
            assert world.app.supervisor.job_failures == 0
            assert world.events()["k0"]["state"] == "waiting"
            assert world.states()["l0"] == "queued"

    clock.run(main())


def test_health_says_what_runs_and_for_how_long() -> None:
    agent = Scripted({"k": hang})

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(7)
        told = world.app.worker.health()
        assert (told["active"], told["lanes"], told["oldest_running_s"]) == (1, 1, pytest.approx(7.0, abs=0.2))

    play(test, agent)


def test_a_store_error_of_the_intake_reaches_its_caller_and_leaves_the_lane_free() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        with disk.full(), pytest.raises(StoreError):
            await world.put("k")
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["k"]

    play(test, commit=disk)
