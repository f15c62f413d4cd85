"""A running turn asks: answered by a button, a number or a label, by whoever is asked, once, over any crash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buoy.chat import Agent, Button, Message, NonsenseError, Reply, Target
from buoy.durable import inbox
from buoy.durable.store import Store
from buoy.errors import StoreError, TurnOverError
from buoy.gateway import questions
from buoy.gateway.questions import choice_of, keyboard, numbered
from buoy.gateway.schedules import prompt
from buoy.gateway.worker import Turns
from tests import clock
from tests.gateway.fakes import ANN, BEN, BOT, CAT, Disk, Line, World, crash, gateway, hang, play, wall
from tests.gateway.film import kill_everywhere

OPTIONS = (Button("Allow", "yes", is_main=True), Button("Deny", "no"))
SHOWN = "May I?\n\n1. Allow\n2. Deny"


async def asks(message: Message) -> str:
    if message.text != "go":
        return f"said {message.text}"
    assert message.line is not None
    return f"chosen {await message.line.ask('May I?', OPTIONS)}"


def data(world: World, n: int = 0, text: str = SHOWN) -> str:
    """What the n-th button below the question carries."""
    return [one for row in world.line.buttons[text] for one in row][n].data


# --- pure ---


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ("1", 0), (" 2 ", 1), ("2.", 1), ("2。", 1), ("２", 1), ("allow", 0), ("DENY", 1), ("no", 1), ("yes", 0),  # noqa: RUF001
        ("3", None), ("0", None), ("-1", None), ("", None), ("allow it", None), ("12345678", None), ("½", None),
    ],
)  # fmt: skip
def test_what_is_typed_chooses_by_number_label_or_data(said: str, choice: int | None) -> None:
    assert choice_of(said, OPTIONS) == choice


def test_a_label_that_is_a_number_is_meant_as_the_label() -> None:
    assert choice_of("2", (Button("2", "two"), Button("1", "one"))) == 0


@pytest.mark.parametrize(
    ("count", "shape"), [(1, [1]), (5, [1] * 5), (6, [2, 2, 2]), (11, [3, 3, 3, 2]), (25, [5] * 5)]
)
def test_options_are_rows_of_buttons(count: int, shape: list[int]) -> None:
    rows = keyboard("ask:0", [Button(str(n), str(n)) for n in range(count)])
    assert [len(row) for row in rows] == shape
    assert [one.data for row in rows for one in row] == [f"ask:0:{n}" for n in range(count)]


def test_a_question_lists_its_options() -> None:
    assert numbered("May I?\n", OPTIONS) == SHOWN


# --- answered ---


def test_a_click_answers_and_needs_no_turn() -> None:
    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        assert world.line.texts() == [SHOWN]
        assert [one.is_main for row in world.line.buttons[SHOWN] for one in row] == [True, False]
        await world.click("c", data(world))
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen yes"]
        row = world.events()["c"]
        assert (row["state"], row["reason"]) == ("done", f"answers {data(world)}")

    play(test, asks)


@pytest.mark.parametrize("said", ["2", "deny", "no"])
def test_a_typed_answer_passes_the_lane_and_gets_no_turn(said: str) -> None:
    async def test(world: World) -> None:
        await world.put("go")
        await world.put("waits")
        await asyncio.sleep(1)
        await world.put("a", said)
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen no", "said waits"]
        assert world.events()["a"]["state"] == "done"
        await world.put("b", said)
        await world.settle()
        assert world.line.texts()[-1] == f"said {said}", "nobody asks any more"

    play(test, asks)


def test_only_who_is_asked_may_answer() -> None:
    async def test(world: World) -> None:
        await world.put("go", '"go"', lane=CAT, frame=b'{"text": "go", "sender": "boss"}')
        await asyncio.sleep(1)
        await world.click("c1", data(world), lane=CAT, sender="other")
        await world.put("t1", lane=CAT, frame=b'{"text": "1", "sender": "other"}')
        await asyncio.sleep(1)
        assert world.line.texts() == [SHOWN]
        assert world.events()["c1"]["reason"] == questions.STRANGER
        await world.click("c2", data(world, 1), lane=CAT, sender="boss")
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen no", "said 1"]

    play(test, asks)


def test_what_a_schedule_asks_anybody_in_that_conversation_may_answer() -> None:
    async def test(world: World) -> None:
        where = Target.parse(f"{CAT}@{BOT}")
        await world.app.door.put(prompt.arrival("daily", "go", where, where.lane, "daily/1", wall(), wall()))
        await asyncio.sleep(1)
        await world.click("c", data(world), lane=CAT, sender="somebody")
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen yes"]

    play(test, asks)


def test_an_answer_elsewhere_is_an_ordinary_message() -> None:
    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        await world.put("elsewhere", "1", lane=BEN)
        await asyncio.sleep(1)
        assert world.line.texts() == [SHOWN, "said 1"]

    play(test, asks)


def test_the_first_of_two_answers_counts_and_the_second_is_what_it_would_be_otherwise() -> None:
    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        world.put("a", "1")
        world.put("b", "2")
        world.click("c", data(world, 1))
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen yes", "said 2"]
        assert "has its answer already" in world.events()["c"]["reason"]

    play(test, asks)


def test_an_answer_that_could_not_be_stored_may_be_given_again() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        with disk.full(), pytest.raises(StoreError):
            await world.put("a", "1")
        await world.put("a", "1")
        await world.settle()
        assert world.line.texts() == [SHOWN, "chosen yes"]

    play(test, asks, commit=disk)


def test_several_questions_of_a_turn_are_told_apart() -> None:
    async def answer(message: Message) -> str:
        assert message.line is not None
        return " ".join([await message.line.ask(what, OPTIONS) for what in ("May I?", "May I?", "Sure?")])

    async def test(world: World) -> None:
        await world.put("go")
        for n in (0, 1, 0):
            await asyncio.sleep(1)
            await world.put(f"a{n}{len(world.letters())}", str(n + 1))
        await world.settle()
        assert world.line.texts()[-1] == "yes no yes"
        assert len(world.letters()) == 4

    play(test, answer)


def test_a_question_may_be_asked_beside_what_is_said_and_is_no_part_of_it() -> None:
    seen = []

    async def answer(message: Message) -> str:
        seen.append(message.delivered)
        assert message.line is not None
        if message.attempt == 1:
            await message.line.say("part")
        chosen = await message.line.ask(Reply("May I?", markdown=True), OPTIONS)
        if message.attempt == 1:
            raise ValueError(chosen)
        return chosen

    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        await world.put("a", "1")
        await world.settle()
        assert world.line.texts() == ["part", SHOWN, "yes"]
        assert seen == [(), ("part",)], "and the answer of then counts for the second run"

    play(test, answer)


@pytest.mark.parametrize("bad", [("", OPTIONS), ("May I?", ()), ("May I?", (Button(" ", "x"),)), (7, OPTIONS)])
def test_what_cannot_be_asked_is_refused(bad: Any) -> None:
    async def answer(message: Message) -> str:
        assert message.line is not None
        with pytest.raises(NonsenseError):
            await message.line.ask(*bad)
        return "fine"

    async def test(world: World) -> None:
        await world.put("go")
        await world.settle()
        assert world.line.texts() == ["fine"]

    play(test, answer)


# --- the end of waiting ---


def test_a_question_ends_with_the_time_of_its_turn_or_with_a_stop() -> None:
    async def test(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        await world.put("s", "/stop", bypass=True)
        await asyncio.sleep(1)
        assert world.events()["go"]["reason"] == "stopped by the user"
        await world.click("c", data(world))
        await world.put("again", "go")
        await world.settle()
        assert world.events()["again"]["state"] == "dead"
        assert not world.app.worker._questions._open

    play(test, asks, turns=Turns(timeout_s=30))


def test_whoever_asks_from_another_task_is_told_that_the_turn_is_over() -> None:
    tasks: list[asyncio.Task[str]] = []

    async def answer(message: Message) -> str:
        assert message.line is not None
        tasks.append(asyncio.ensure_future(message.line.ask("May I?", OPTIONS)))
        await asyncio.sleep(1)
        return "never mind"

    async def test(world: World) -> None:
        await world.put("go")
        await world.settle()
        with pytest.raises(TurnOverError):
            await tasks[0]

    play(test, answer)


# --- over the end of a process ---


@pytest.mark.parametrize("how", ["click while dead", "click before", "typed while dead", "click after", "typed after"])
def test_after_a_crash_nobody_is_asked_twice_and_an_answer_of_then_counts(how: str) -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, asks, store=store, deadline_s=0.5) as world:
            await world.put("go")
            await asyncio.sleep(1)
            answer = data(world)
            if how == "click before":
                frozen = crash(store)  # the commit that stores the click is the last thing that happens
                store = frozen
            else:
                store = crash(store)
        if how == "click before":
            async with gateway(line, hang, store=store, deadline_s=0.5) as world:
                await world.click("c", answer)
                store = crash(store)
        async with gateway(line, asks, store=store) as world:
            if how == "click while dead":
                world.click("c", answer, whole=False)
            elif how == "typed while dead":
                world.put("t", "1", whole=False)
            elif how.endswith("after"):
                await asyncio.sleep(5)
                await (world.click("c", answer) if how == "click after" else world.put("t", "1"))
            await world.settle()
            assert line.texts() == [SHOWN, "chosen yes"]
            assert len(world.letters()) == 2

    clock.run(main())


def test_what_a_stranger_clicked_while_nobody_waited_is_no_answer() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, asks, store=store, deadline_s=0.5) as world:
            await world.put("go", lane=CAT)
            await asyncio.sleep(1)
            answer = data(world)
            store = crash(store)
        await store.write(inbox.give_back, 1)
        async with gateway(line, hang, store=store, deadline_s=0.5) as world:
            await world.click("c", answer, lane=CAT, sender="other")
            store = crash(store)
        async with gateway(line, asks, store=store) as world:
            await asyncio.sleep(5)
            assert line.texts() == [SHOWN]
            await world.click("d", data(world, 1) if world.line.buttons else "", lane=CAT)
            await world.settle()
            assert line.texts() == [SHOWN, "chosen no"]

    clock.run(main())


def test_another_question_in_the_later_run_is_asked_and_an_old_answer_does_not_count() -> None:
    async def answer(message: Message) -> str:
        assert message.line is not None
        return await message.line.ask(f"Question of run {message.attempt}?", OPTIONS)

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, answer, store=store, deadline_s=0.5) as world:
            await world.put("go")
            await asyncio.sleep(1)
            old = data(world, text=numbered("Question of run 1?", OPTIONS))
            store = crash(store)
        async with gateway(line, answer, store=store) as world:
            await asyncio.sleep(1)
            await world.click("c", old)
            await asyncio.sleep(1)
            assert len(line.texts()) == 2
            await world.put("a", "2")
            await world.settle()
            assert line.texts()[-1] == "no"

    clock.run(main())


def test_a_kill_at_any_moment_asks_once_and_answers_once() -> None:
    async def talk(world: World) -> None:
        await world.put("go")
        await asyncio.sleep(1)
        await world.click("c", data(world))

    def judge(world: World) -> None:
        if "go" not in world.events():
            return
        assert world.line.texts().count(SHOWN) == 1
        if "c" in world.events():
            assert world.line.texts() == [SHOWN, "chosen yes"]
            assert world.events()["c"]["state"] == "done"

    async def bounded(message: Message) -> str:
        return await asks(message)

    kill_everywhere(lambda: Agent(bounded), talk, judge, turns=Turns(timeout_s=20))


# --- clicks that answer nothing ---


def test_a_click_that_nobody_waits_for_goes_to_the_agent_beside_whatever_runs() -> None:
    seen: list[Any] = []

    async def clicked(click: Any) -> None:
        seen.append(click)

    async def test(world: World) -> None:
        await world.put("long", "hang")
        await asyncio.sleep(1)
        await world.click("c", "menu:7", sender="ann")
        await asyncio.sleep(1)
        (click,) = seen
        assert (click.id, click.data, click.sender.id, click.conversation) == ("c", "menu:7", "ann", ANN)
        assert (world.events()["c"]["state"], world.events()["c"]["attempts"]) == ("done", 1)
        assert world.letters() == {}

    play(test, Agent(hang, clicked=clicked))


def test_a_click_is_stored_and_nothing_else_where_no_agent_takes_any() -> None:
    async def test(world: World) -> None:
        await world.click("c", "menu:7")
        await world.settle()
        row = world.events()["c"]
        assert (row["state"], row["reason"]) == ("done", "no agent takes clicks here")
        assert world.app.worker.counts["stopped"] == 0

    play(test)


@pytest.mark.parametrize("frame", [b"{", b'{"data": 1}'])
def test_a_click_that_cannot_be_read_stops_nothing(frame: bytes) -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(1)
        await world.click("c", "", frame=frame)
        await asyncio.sleep(100)
        assert world.events()["c"]["state"] == "dead"
        assert world.events()["k"]["state"] == "running"

    play(test, hang)


def test_a_click_that_fails_is_tried_again_and_is_dead_in_the_end() -> None:
    seen: list[str] = []

    async def clicked(click: Any) -> None:
        seen.append(click.id)
        raise ValueError("no")

    async def test(world: World) -> None:
        await world.click("c", "menu:7")
        await world.settle()
        assert seen == ["c"] * 3
        assert world.events()["c"]["reason"] == "failed 3 times, last: ValueError: no"

    play(test, Agent(hang, clicked=clicked), turns=Turns(attempts=3))


@pytest.mark.parametrize("joins", [False, True])
def test_a_click_reaches_the_agent_at_least_once_wherever_it_is_killed(joins: bool) -> None:  # noqa: FBT001
    seen: list[str] = []

    async def clicked(click: Any) -> None:
        await asyncio.sleep(1)
        seen.append(click.id)

    async def talk(world: World) -> None:
        await world.click("c", "menu:7")

    def judge(world: World) -> None:
        if "c" in world.events():
            row = world.events()["c"]
            assert row["state"] == "done"
            assert seen or row["attempts"] == 1, "it was done, and not by the process before"
        seen.clear()

    agent = Agent(hang, clicked=clicked, joins=(lambda _: True) if joins else None)
    assert kill_everywhere(lambda: agent, talk, judge) > 2


@pytest.mark.parametrize(
    "how", ["typed", "clicked", "typed before it was asked", "behind what cannot be read", "full disk"]
)
def test_an_answer_that_is_being_committed_while_its_question_is_asked_again_counts(how: str) -> None:
    """What the question reads from the disk does not have it yet."""
    disk, worlds = Disk(), list[World]()

    async def answer(message: Message) -> str:
        if message.text == "go" and message.attempt == 2:
            (world,) = worlds
            if how == "clicked":
                world.click("a", data(world))
            elif how == "behind what cannot be read":
                world.put("bad", frame=b"{")
                world.put("a", "1")
            elif how != "typed before it was asked":
                world.put("a", "1")
            if how == "full disk":
                await asyncio.sleep(0.5)
                with disk.full():
                    asking = asyncio.ensure_future(asks(message))
                    await asyncio.sleep(60)
                return await asking
        elif how == "typed before it was asked":
            await asyncio.sleep(2)
        return await asks(message)

    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        async with gateway(line, answer, store=store, deadline_s=0.5) as world:
            await world.put("go")
            await asyncio.sleep(1)
            if how == "typed before it was asked":
                await world.put("a", "1")
                await asyncio.sleep(2)
            store = crash(store, disk)
        async with gateway(line, answer, store=store, turns=Turns(timeout_s=20)) as world:
            worlds.append(world)
            await asyncio.sleep(90)
            if how == "typed before it was asked":
                assert line.texts()[:1] == [SHOWN]
                assert "chosen yes" not in line.texts()
                assert world.events()["a"]["reason"] == ""
            else:
                assert line.texts() == [SHOWN, "chosen yes"]
                assert world.events()["a"]["state"] == "done"
                assert world.app.worker.counts["failed"] == 0 or how == "behind what cannot be read"

    clock.run(main())
