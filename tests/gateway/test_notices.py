"""What a user is told of a turn that ends without an answer, and that one is being written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from buoy.chat import Agent, Message, Reply, Target
from buoy.durable.store import Store
from buoy.errors import AgentAwayError
from buoy.gateway.schedules import prompt
from buoy.gateway.turns import Words
from buoy.gateway.worker import Turns
from buoy.letters import Event
from buoy.protocol.limits import BUDGETS
from tests import clock
from tests.gateway.fakes import (
    BEN,
    BOT,
    CAT,
    Disk,
    Line,
    Scripted,
    World,
    answers,
    crash,
    echo,
    gateway,
    hang,
    play,
    raises,
    sleeps,
    wall,
)
from tests.gateway.film import kill_everywhere

WORDS = Words("it failed", "it took too long", "stopped", "nothing runs")
TURNS = Turns(timeout_s=30, attempts=2, words=WORDS)


@pytest.mark.parametrize(
    ("doing", "told"),
    [
        (raises(ValueError("no")), "it failed"), (answers(42), "it failed"), (hang, "it took too long"),
        (raises(asyncio.CancelledError()), "it failed"),
    ],
)  # fmt: skip
def test_who_wrote_is_told_once_why_there_is_no_answer(doing: Any, told: str) -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.texts() == [told]
        assert world.events()["k"]["state"] == "dead"
        assert list(world.letters()) == ["k/failed"]
        assert world.letters()["k/failed"]["origin"] == "notice"
        assert world.line.requests[0].anchor == "a-k"

    play(test, Scripted({"k": doing}), turns=TURNS)


def test_an_empty_text_is_silence() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        await world.put("s", "/stop", bypass=True)
        await world.settle()
        assert world.letters() == {}

    play(test, Scripted({"k": answers(42)}))


def test_while_the_agent_is_away_nobody_is_told_that_it_failed() -> None:
    agent = Scripted({"k": raises(AgentAwayError("no connection"))})

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(300)
        assert world.letters() == {}
        agent.doings.clear()
        await world.settle()
        assert world.line.texts() == ["k"]

    play(test, agent, turns=TURNS)


def test_nobody_is_told_that_what_a_schedule_asked_failed() -> None:
    async def test(world: World) -> None:
        where = Target.parse(f"{BEN}@{BOT}")
        await world.app.door.put(prompt.arrival("daily", "report", where, where.lane, "daily/1", wall(), wall()))
        await world.settle()
        assert world.events()["daily/1"]["state"] == "dead"
        assert world.letters() == {}

    play(test, Scripted({"report": answers(42)}), turns=TURNS)


def test_a_person_s_retry_answers_behind_the_notice_and_tells_no_second_one() -> None:
    seen: list[Message] = []
    failing = True

    async def answer(message: Message) -> str:
        seen.append(message)
        if failing:
            raise ValueError("no")
        return "at last"

    async def test(world: World) -> None:
        nonlocal failing
        await world.put("k")
        await world.settle()
        row = world.events()["k"]["id"]
        assert await world.app.retry_event(row)
        await world.settle()
        assert world.line.texts() == ["it failed"]
        failing = False
        assert await world.app.retry_event(row)
        await world.settle()
        assert world.line.texts() == ["it failed", "at last"]
        assert list(world.letters()) == ["k/failed", "k/1"]
        assert {message.delivered for message in seen} == {()}, "what Buoy said is no part of an answer"
        await world.put("next")
        await world.settle()
        assert [(past.text, past.answer) for past in seen[-1].history] == [("k", "at last")]

    play(test, Agent(answer, history_turns=5), turns=TURNS)


def test_the_notice_is_queued_with_the_end_of_the_turn_or_not_at_all() -> None:
    disk, agent = Disk(), Scripted({"k": hang})

    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(29)
        with disk.full():
            await asyncio.sleep(20)
            assert world.events()["k"]["state"] == "running"
            assert world.letters() == {}
        await world.settle()
        assert world.events()["k"]["state"] == "dead"
        assert world.line.texts() == ["it took too long"]

    play(test, agent, commit=disk, turns=TURNS)


def test_a_kill_at_any_moment_tells_it_once() -> None:
    async def talk(world: World) -> None:
        await world.put("k")

    def judge(world: World) -> None:
        if "k" in world.events():
            assert world.line.texts() == ["it failed"]

    kill_everywhere(lambda: Agent(Scripted({"k": answers(42)})), talk, judge, turns=TURNS)


def test_who_wrote_what_ends_the_process_is_told_at_the_start_that_buries_it() -> None:
    async def main() -> None:
        store, line = Store.open_memory(now=wall()), Line()
        for boot in range(9):
            async with gateway(line, hang, store=store, deadline_s=0.5, turns=TURNS) as world:
                if not boot:
                    await world.put("k")
                await asyncio.sleep(1)
                store = crash(store)
        assert line.texts() == ["it failed"]
        async with gateway(line, echo, store=store, turns=TURNS) as world:
            await world.settle()
            assert world.events()["k"]["state"] == "dead"
            assert world.states() == {"k/failed": "sent"}

    clock.run(main())


# --- /stop ---


def test_who_stops_a_turn_is_told_so_once_and_who_stops_nothing_too() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(1)
        await world.put("s1", "/stop", bypass=True)
        await world.settle()
        assert world.line.texts() == ["stopped"]
        assert world.events()["k"]["reason"] == "stopped by the user"
        await world.put("s2", "/stop", bypass=True)
        await world.settle()
        assert world.line.texts() == ["stopped", "nothing runs"]
        assert list(world.letters()) == ["s1/stopped", "s2/stopped"]

    play(test, Scripted({"k": hang}), turns=TURNS)


def test_a_stop_is_confirmed_once_wherever_it_is_killed() -> None:
    async def talk(world: World) -> None:
        await world.put("k")
        await asyncio.sleep(0.5)
        await world.put("s", "/stop", bypass=True)

    def judge(world: World) -> None:
        told = [text for text in world.line.texts() if text in {"stopped", "nothing runs"}]
        assert len(told) == ("s" in world.events())

    kill_everywhere(lambda: Agent(Scripted({"k": hang})), talk, judge, turns=TURNS)


# --- typing ---

SLOW = Scripted({"slow": sleeps(10, "slow"), "slower": sleeps(20, ["one", "two"])})


def test_a_turn_that_takes_long_shows_that_it_is_being_answered_and_a_quick_one_does_not() -> None:
    async def test(world: World) -> None:
        await world.put("slow")
        await world.put("quick", lane=BEN)
        await asyncio.sleep(2.9)
        assert world.line.typed == []
        await asyncio.sleep(0.2)
        assert world.line.typed == [("slow", 1)]
        await world.settle()
        assert world.line.typed == [("slow", 1)]
        assert [(request.text, request.seq) for request in world.line.requests] == [("quick", 1), ("slow", 2)]

    play(test, SLOW, line=Line(shows_typing=True))


@pytest.mark.parametrize("why", ["never", "no such thing here", "the way is not free", "stopping"])
def test_nothing_is_shown_where_it_is_not_wanted_or_not_possible(why: str) -> None:
    async def test(world: World) -> None:
        if why == "the way is not free":
            world.line.is_up = False
            await world.send("x", lane=BEN)
        await world.put("slow")
        await asyncio.sleep(1)
        if why == "stopping":
            world.app.worker.stop()
        await asyncio.sleep(5)
        assert world.line.typed == []

    after_s = 0.0 if why == "never" else 3.0
    play(test, SLOW, line=Line(shows_typing=why != "no such thing here"), turns=Turns(typing_after_s=after_s))


@pytest.mark.parametrize(("said", "typed"), [(0, True), (2, True), (3, False)])
def test_the_last_reply_of_a_message_is_kept_for_the_answer(said: int, typed: bool) -> None:  # noqa: FBT001
    async def answer(message: Message) -> str:
        assert message.line is not None
        for n in range(said):
            await message.line.say(f"part {n}")
        await asyncio.sleep(10)
        return "end"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert bool(world.line.typed) == typed
        assert world.line.texts()[-1] == "end"
        assert set(world.states().values()) == {"sent"}

    play(test, answer, line=Line(shows_typing=True, proactive=False))


class Merging(Line):
    """Composes no more letters than the message's anchor has replies left, as QQ does."""

    asked: asyncio.Event

    def types(self, event: Event) -> bool:
        self.asked.set()  # its commit follows
        return super().types(event)

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        room = max(1, BUDGETS["c2c"] - event.uses)
        texts = [reply.text for reply in replies]
        return [text.encode() for text in [*texts[: room - 1], "+".join(texts[room - 1 :])] if text]


@pytest.mark.parametrize("ticks", range(6))
def test_what_is_shown_while_the_answer_is_being_cut_takes_none_of_its_replies(ticks: int) -> None:
    """The commit that takes a reply for it may be under way when the answer's letters are counted."""
    line = Merging(shows_typing=True, proactive=False)

    async def answer(message: Message) -> list[str]:
        del message
        await line.asked.wait()
        for _ in range(ticks):
            await asyncio.sleep(0)
        return ["1", "2", "3", "4"]

    async def test(world: World) -> None:
        line.asked = asyncio.Event()
        await world.put("k")
        await world.settle()
        assert world.line.typed == [("k", 1)]
        assert "+".join(world.line.texts()) == "1+2+3+4"
        assert set(world.states().values()) == {"sent"}

    play(test, answer, line=line)


def test_it_is_shown_once_a_turn_however_often_that_runs() -> None:
    async def answer(message: Message) -> str:
        await asyncio.sleep(5)
        if message.attempt == 1:
            raise ValueError("no")
        return "end"

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.line.typed == [("k", 1)]
        assert world.line.texts() == ["end"]

    play(test, answer, line=Line(shows_typing=True))


def test_a_full_disk_shows_nothing_and_harms_nothing() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        await world.put("slow", lane=CAT)
        with disk.full():
            await asyncio.sleep(5)
        await world.settle()
        assert world.line.typed == []
        assert world.line.texts() == ["slow"]
        assert world.app.supervisor.job_failures == 0

    play(test, SLOW, line=Line(shows_typing=True), commit=disk)


def test_one_timer_serves_all_turns() -> None:
    async def test(world: World) -> None:
        for n in range(5):
            await world.put(f"k{n}", "slow", lane=f"fake:c2c:p{n}")
            await asyncio.sleep(0.5)
        await asyncio.sleep(1.1)
        assert [key for key, _ in world.line.typed] == ["k0", "k1"]
        await asyncio.sleep(3)
        assert [key for key, _ in world.line.typed] == [f"k{n}" for n in range(5)]
        await world.settle()

    play(test, SLOW, line=Line(shows_typing=True))
