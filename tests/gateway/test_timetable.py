"""The service behind the schedules, on a clock that jumps: what is fired, as what, and what cannot hold it up."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from buoy.chat import Agent, Message, Reply
from buoy.durable import schedules, schema
from buoy.durable.schedules import Schedule
from buoy.durable.store import Store, _start_boot
from buoy.durable.trace import trace
from buoy.errors import ConfigError
from buoy.gateway.worker import Turns
from buoy.letters import Cause
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BOT,
    CAT,
    EPOCH,
    REFUSED,
    Disk,
    Line,
    Scripted,
    World,
    answers,
    crash,
    gateway,
    hang,
    play,
    raises,
    sleeps,
    wall,
)

MIN, HOUR = 60.0, 3600.0
START = EPOCH + clock.START  # 2023-11-14 22:30:00 UTC


def at(text: str) -> str:
    return f"2023-11-14T{text}:00Z"


def schedule(name: str = "s", **changes: Any) -> Schedule:
    """A text to Ann at every full hour, as the settings file would have it."""
    fields: dict[str, Any] = {
        "name": name, "source": "file", "cron": "0 * * * *", "zone": "UTC", "target": ANN, "kind": "text",
        "text": name, "misfire": "once", "settled_to": START, "created_at": START,
    }  # fmt: skip
    return Schedule(**{**fields, **changes})


def prompt(name: str = "p", **changes: Any) -> Schedule:
    return schedule(name, kind="prompt", **changes)


def test_the_start_of_these_tests_is_a_time_that_they_count_on() -> None:
    assert schedules.key_of("s", START) == "s/2023-11-14T22:30:00Z"


def test_a_text_leaves_at_its_time_and_once() -> None:
    async def test(w: World) -> None:
        await asyncio.sleep(3 * HOUR)
        assert w.line.texts(ANN) == ["s", "s", "s"]
        assert [request.at - clock.START for request in w.line.requests] == pytest.approx([1800, 5400, 9000], abs=1)
        assert w.states() == {
            f"s/{key}": "sent" for key in (at("23:00"), "2023-11-15T00:00:00Z", "2023-11-15T01:00:00Z")
        }
        assert {row["origin"] for row in w.letters().values()} == {"schedule"}
        told = w.app.timetable.health()["s"]
        assert (told["next_at"], told["last_state"], told["missed"]) == (START + 3.5 * HOUR, "sent", 0)

    play(test, schedules=[schedule()])


def test_an_idle_timetable_commits_nothing_and_without_schedules_it_never_wakes() -> None:
    async def test(w: World) -> None:
        before = w.store.stats.jobs
        await asyncio.sleep(20 * MIN)
        assert w.store.stats.jobs - before <= 2 * 21  # housekeeping alone

    play(test, schedules=[schedule()])
    play(test, schedules=[])


def test_a_prompt_is_a_turn_that_says_where_it_comes_from() -> None:
    agent = Scripted({"p": answers(["one", "two"])})

    async def test(w: World) -> None:
        await asyncio.sleep(HOUR)
        (message,) = agent.seen
        assert (message.text, message.schedule, message.conversation) == ("p", "p", ANN)
        assert (message.sender.role, message.sender.name, message.sender.is_bot) == ("schedule", "p", False)
        assert (message.at, message.late_s, message.attempt) == (START + 30 * MIN, 0.0, 1)
        assert message.turn == f"{BOT}/p/{at('23:00')}"
        assert w.line.texts(ANN) == ["one", "two"]
        assert w.states() == {f"p/{at('23:00')}/{n}": "sent" for n in (1, 2)}
        assert {row["origin"] for row in w.letters().values()} == {"schedule"}
        assert w.app.timetable.health()["p"]["last_state"] == "sent"

    play(test, agent, schedules=[prompt()])


def test_a_persons_message_has_no_schedule() -> None:
    agent = Scripted()

    async def test(w: World) -> None:
        await w.put("m1", "hello")
        await w.settle()
        assert agent.seen[0].schedule == ""

    play(test, agent, schedules=[])


def test_a_prompt_waits_for_its_lane_and_its_answer_uses_a_live_anchor() -> None:
    agent = Scripted({"long": sleeps(10 * MIN, "answered")})

    async def test(w: World) -> None:
        await asyncio.sleep(29 * MIN)
        await w.put("m1", "long")
        await w.put("m2", "after", event_at=wall())
        await asyncio.sleep(5 * MIN)
        await w.put("m3", "last")
        await asyncio.sleep(10 * MIN)
        assert agent.texts() == ["long", "after", "p", "last"]
        shown = {request.text: request.anchor for request in w.line.requests}
        assert shown["p"] is not None, "Ann wrote a few minutes ago: a reply costs no proactive message"

    play(test, agent, schedules=[prompt()])


def test_several_bots_are_named_in_the_conversation() -> None:
    agent = Scripted()

    async def main() -> None:
        async with gateway(Line(), agent) as w:
            w.app.platforms["other"] = Line("other")
            with pytest.raises(ConfigError, match="names no bot"):
                w.app.timetable.check(prompt())
            one = prompt(target=f"{ANN}@{BOT}")
            draft = w.app.timetable._draft(one, schedules_step(), "k", wall())
            assert f"{ANN}@{BOT}".encode() in draft.frame
            del w.app.platforms["other"]

    clock.run(main())


def schedules_step() -> Any:
    from buoy.gateway.schedules.misfire import Step  # noqa: PLC0415

    return Step(START, START)


def test_where_nothing_may_be_sent_first_it_is_held_until_somebody_writes() -> None:
    async def test(w: World) -> None:
        await asyncio.sleep(HOUR)
        assert set(w.states().values()) == {"held"}
        assert all("nobody has written here" in row["reason"] for row in w.letters().values())
        await w.put("m1", "hello", CAT)
        await w.settle()
        assert w.line.texts(CAT) == ["p+t", "hello"]

    both = [schedule("t", target=CAT), prompt("p", target=CAT)]
    play(test, line=Line(proactive=False), schedules=both)


def test_the_planner_says_the_same_of_texts_and_prompts() -> None:
    async def test(w: World) -> None:
        await w.put("m0", "long ago", CAT)
        await w.settle()
        w.line.proactive = False
        w.line.say(CAT, REFUSED[Cause.PROACTIVE])
        await asyncio.sleep(HOUR)
        assert {row["state"] for key, row in w.letters().items() if key.startswith(("t/", "p/"))} == {"held"}

    play(test, schedules=[schedule("t", target=CAT), prompt("p", target=CAT)])


@pytest.mark.parametrize("jobs", [[schedule("t")], [prompt("p")], [schedule("t"), prompt("p")]])
def test_a_disk_that_refuses_fires_nothing_and_is_tried_again(jobs: list[Schedule]) -> None:
    disk = Disk()

    async def test(w: World) -> None:
        await asyncio.sleep(29.5 * MIN)
        with disk.full():
            await asyncio.sleep(5 * MIN)
            assert w.letters() == {}
            assert w.events() == {}
        await asyncio.sleep(MIN)
        await w.settle()
        assert sorted(w.line.texts()) == [job.name for job in reversed(jobs)]
        assert {row["missed"] for row in w.app.timetable.health().values()} == {0}
        await w.put("m1", "the lane goes on")
        await w.settle()
        assert "the lane goes on" in w.line.texts()

    play(test, commit=disk, schedules=jobs)


@pytest.mark.parametrize("kind", ["text", "prompt"])
def test_the_case_that_began_it_all_qq_is_unreachable_and_the_machine_goes_off_a_minute_later(kind: str) -> None:
    """A job at 23:50; at 23:51 the power goes. Next morning the message is there, once."""
    job = schedule("nightly", cron="50 23 * * *", kind=kind, settled_to=START, text="good night")

    async def main() -> None:
        line = Line(is_up=False)
        async with gateway(line, schedules=[job]) as w:
            await asyncio.sleep(81 * MIN)
            assert len(w.letters()) == 1
            store = crash(w.store)
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 5.0
        assert line.shown == []
        await asyncio.sleep(8 * HOUR)
        async with gateway(Line(), schedules=[job], store=store) as w:
            await asyncio.sleep(MIN)
            assert w.line.texts() == ["good night"]
            assert len(w.letters()) == 1

    clock.run(main())


def test_a_commit_that_hangs_does_not_hold_up_the_stop() -> None:
    async def main() -> None:
        async with gateway(Line(), schedules=[schedule("t"), prompt("p")]) as w:
            await asyncio.sleep(29.5 * MIN)
            vars(w.store)["_committing"] = True  # as if the disk had stopped answering
            await asyncio.sleep(HOUR)
            began = asyncio.get_running_loop().time()
            await w.app.stop(deadline_s=5.0)
            assert asyncio.get_running_loop().time() - began <= 5.0
            vars(w.store)["_committing"] = False

    clock.run(main())


@pytest.mark.parametrize(("policy", "expected"), [("skip", 0), ("once", 1), ("all", 3)])
@pytest.mark.parametrize("kind", ["text", "prompt"])
def test_a_process_that_was_dead_at_three_planned_times(policy: str, expected: int, kind: str) -> None:
    job = schedule("s", misfire=policy, kind=kind)

    async def main() -> None:
        async with gateway(Line(), schedules=[job]) as w:
            await asyncio.sleep(MIN)
            store = crash(w.store)
        await asyncio.sleep(3 * HOUR)
        late = Turns(late_after_s=900.0, skips_late=True)
        agent = Scripted()
        async with gateway(Line(), agent, schedules=[job], store=store, turns=late) as w:
            await asyncio.sleep(MIN)
            assert len(w.line.texts()) == expected, "what a policy makes up for is not too late for turns.late"
            assert w.app.timetable.health()["s"]["missed"] == 3 - expected
            assert [round(message.late_s / HOUR, 1) for message in agent.seen] == {
                "skip": [], "once": [0.5], "all": [2.5, 1.5, 0.5],
            }[policy if kind == "prompt" else "skip"]  # fmt: skip
            await asyncio.sleep(HOUR)
            assert len(w.line.texts()) == expected + 1

    clock.run(main())


def test_a_prompt_that_waited_too_long_after_it_was_fired_is_late_like_any_turn() -> None:
    agent = Scripted({"long": sleeps(30 * MIN)})

    async def test(w: World) -> None:
        await asyncio.sleep(29 * MIN)
        await w.put("m1", "long")
        await asyncio.sleep(35 * MIN)
        assert agent.texts() == ["long"]
        assert "skipped" in w.events()[f"p/{at('23:00')}"]["reason"]

    play(test, agent, schedules=[prompt()], turns=Turns(timeout_s=HOUR, late_after_s=900.0, skips_late=True))


def test_a_prompt_fails_and_dies_like_any_turn_and_stop_ends_it() -> None:
    agent = Scripted({"bad": raises(RuntimeError("no")), "p": hang})

    async def test(w: World) -> None:
        await asyncio.sleep(31 * MIN)
        assert w.app.worker.active == 1
        await w.put("stop", "/stop", bypass=True)
        await w.app.drained()
        assert w.events()[f"p/{at('23:00')}"]["reason"] == "stopped by the user"
        await asyncio.sleep(20 * MIN)
        dead = w.events()[f"bad/{at('23:00')}"]
        assert (dead["state"], dead["attempts"]) == ("dead", 2)
        assert w.app.timetable.health()["bad"]["last_state"] == "dead"

    play(test, agent, schedules=[prompt("bad", target=CAT), prompt()], turns=Turns(attempts=2))


def test_history_shows_earlier_prompts() -> None:
    seen: list[Message] = []

    async def answer(message: Message) -> str:
        seen.append(message)
        return f"to {message.text}"

    async def test(w: World) -> None:
        await asyncio.sleep(HOUR)
        await w.put("m1", "and now?")
        await w.settle()
        assert [(past.text, past.answer) for past in seen[-1].history] == [("p", "to p")]

    play(test, Agent(answer, history_turns=5), schedules=[prompt()])


def test_commands_change_what_runs_at_once() -> None:
    async def test(w: World) -> None:
        table = w.app.timetable
        told = await table.add(schedule("new", source="command", cron="40 * * * *", settled_to=wall()))
        assert told["next"][0] == START + 10 * MIN
        with pytest.raises(ConfigError, match="there already"):
            await table.add(schedule("new", source="command"))
        with pytest.raises(ConfigError, match="settings file"):
            await table.remove("s")
        with pytest.raises(ConfigError, match="no schedule"):
            await table.remove("nothing")
        await asyncio.sleep(11 * MIN)
        assert w.line.texts() == ["new"]
        await table.remove("new")
        await asyncio.sleep(2 * HOUR)
        assert w.line.texts() == ["new", "s", "s"]

    play(test, schedules=[schedule()])


def test_the_first_schedule_of_all_wakes_the_service() -> None:
    async def test(w: World) -> None:
        await asyncio.sleep(50)
        await w.app.timetable.add(schedule("new", source="command", cron="* * * * *", settled_to=wall()))
        await asyncio.sleep(11)
        assert w.line.texts() == ["new"]
        assert [request.at - clock.START for request in w.line.requests] == pytest.approx([60], abs=0.1)

    play(test, schedules=[])


def test_fired_by_hand_besides_its_plan() -> None:
    async def test(w: World) -> None:
        letter, row = await w.app.timetable.fire_now("t"), await w.app.timetable.fire_now("p")
        await w.settle()
        assert (letter[:4], row[:3]) == ("out/", "in/")
        assert sorted(w.line.texts()) == ["p", "t"]
        assert w.app.timetable.health()["t"]["last_state"] == "sent"
        assert any("planned" in text for _, text in w.store.read(trace, row)), "nobody wrote it at the platform"
        await asyncio.sleep(HOUR)
        assert sorted(w.line.texts()) == ["p", "p", "t", "t"]

    play(test, schedules=[schedule("t"), prompt("p")])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"target": "nowhere"}, "platform:scene:id"),
        ({"target": "fake:moon:x"}, "no scene moon"),
        ({"target": f"{ANN}@nobody"}, "names no bot"),
        ({"target": "qq:c2c:x"}, "no bot on platform"),
        ({"text": "  "}, "blank"),
        ({"cron": "* * *"}, "there are 3"),
        ({"zone": "Mars/Olympus"}, "no time zone"),
    ],
)
def test_a_file_with_a_schedule_that_can_never_be_fired_starts_nothing(changes: dict[str, Any], cause: str) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match=cause) as refused:
            async with gateway(Line(), schedules=[schedule("good"), schedule("bad", **changes)]):
                pass
        assert str(refused.value).startswith("schedule bad: ")

    clock.run(main())


def test_a_schedule_whose_bot_is_gone_waits_and_the_others_run() -> None:
    async def main() -> None:
        async with gateway(Line(), schedules=[schedule()]) as w:
            await w.app.timetable.add(schedule("lost", source="command", target=f"{ANN}@{BOT}"))
            store = crash(w.store)
        line = Line("new")
        async with gateway(line, schedules=[schedule(target=CAT)], store=store) as w:
            await asyncio.sleep(HOUR)
            told = w.app.timetable.health()
            assert line.texts() == ["s"]
            assert "names no bot" in told["lost"]["trouble"]
            store = crash(w.store)
        async with gateway(Line(), schedules=[], store=store) as w:
            await asyncio.sleep(MIN)
            assert w.line.texts() == ["lost"], "its bot is back: what was missed is made up for"
            assert list(w.app.timetable.health()) == ["lost"], "the file names none any more"

    clock.run(main())


def test_a_schedule_that_breaks_is_told_and_the_others_run() -> None:
    class Breaks(Line):
        broken = True

        def body(self, reply: Reply) -> bytes:
            if reply.text == "a" and self.broken and wall() > START + 29 * MIN:
                raise RuntimeError("a bug")
            return super().body(reply)

    line = Breaks()

    async def test(w: World) -> None:
        await asyncio.sleep(31 * MIN)
        assert w.line.texts() == ["b"]
        assert w.app.timetable.health()["a"]["trouble"] == "RuntimeError: a bug"
        line.broken = False
        await asyncio.sleep(MIN)
        assert w.line.texts() == ["b", "a"]
        assert w.app.timetable.health()["a"]["trouble"] == ""
        assert w.app.supervisor.children["schedules"].restarts == 0

    play(test, line=line, schedules=[schedule("a"), schedule("b")])


def test_a_clock_that_is_put_back_and_forward_fires_nothing_twice() -> None:
    async def main() -> None:
        shift = 0.0

        async with gateway(Line(), schedules=[schedule()]) as w:
            w.app.timetable._wall = lambda: wall() + shift
            await asyncio.sleep(31 * MIN)
            assert w.line.texts() == ["s"]
            shift = -HOUR  # 22:01 again
            await asyncio.sleep(65 * MIN)
            assert w.line.texts() == ["s"], "23:00 came a second time"
            shift = 0.0
            await asyncio.sleep(MIN)
            assert w.line.texts() == ["s", "s"], "00:00 is six minutes ago"
            shift = 30 * 24 * HOUR
            await asyncio.sleep(2 * MIN)
            assert w.line.texts() == ["s"] * 3
            shift = 0.0  # a month ahead was a mistake
            await asyncio.sleep(HOUR)
            assert w.line.texts() == ["s"] * 4

    clock.run(main())


def test_an_edit_of_the_file_does_not_fire_the_past() -> None:
    async def main() -> None:
        async with gateway(Line(), schedules=[schedule(), schedule("gone")]) as w:
            await asyncio.sleep(MIN)
            store = crash(w.store)
        await asyncio.sleep(3 * HOUR)
        edited = schedule(cron="*/10 * * * *", settled_to=wall(), text="new words")
        async with gateway(Line(), schedules=[edited], store=store) as w:
            await asyncio.sleep(11 * MIN)
            assert w.line.texts() == ["new words"]
            assert list(w.app.timetable.health()) == ["s"]
            store = crash(w.store)
        async with gateway(Line(), schedules=[replace(edited, text="others", settled_to=wall())], store=store) as w:
            await asyncio.sleep(10 * MIN)
            assert w.line.texts() == ["others"]

    clock.run(main())


def test_killed_after_any_commit_each_planned_time_is_fired_once() -> None:
    """What is on disk changes with commits only, so this is a kill at every point of time."""
    jobs = [schedule("t", misfire="all"), prompt("p", misfire="all", target=CAT)]
    copies: list[tuple[Any, sqlite3.Connection]] = []

    def commit(db: sqlite3.Connection) -> None:
        db.execute("COMMIT")
        tables = ("SELECT * FROM schedule", "SELECT id, state FROM inbox", "SELECT id, state FROM outbox")
        seen = [db.execute(sql).fetchall() for sql in tables]
        if not copies or copies[-1][0] != seen:
            copy = schema.open_memory()
            db.backup(copy)
            copies.append((seen, copy))

    async def main() -> None:
        async with gateway(Line(), schedules=jobs, commit=commit) as w:
            await asyncio.sleep(2.6 * HOUR)
            expected = sorted(w.letters())
            assert len(expected) == 3 + 3
        for _, copy in copies:
            store = Store(copy, copy, _start_boot(copy, wall()), threaded=False)
            async with gateway(Line(), schedules=jobs, store=store) as w:
                await asyncio.sleep(2.0)
                assert sorted(w.letters()) == expected
                assert sum(row["type"] == "schedule" for row in w.events().values()) == 3
                assert {row["missed"] for row in w.app.health()["schedules"].values()} == {0}

    clock.run(main())
    assert len(copies) > 12
