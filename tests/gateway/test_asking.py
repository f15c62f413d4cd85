"""What an agent is asked when its turn comes late (behaviour I6), and what is not asked any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from buoy.chat import Agent, Message
from buoy.durable import inbox
from buoy.durable.store import Store
from buoy.durable.trace import trace
from buoy.gateway import asking
from buoy.gateway.app import App
from buoy.gateway.worker import Turns
from buoy.letters import Arrival
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
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

HOUR = 3600.0
SKIP = Turns(late_after_s=900, skips_late=True, attempts=1)


@pytest.mark.parametrize(("age_s", "late"), [(0.0, False), (899.0, False), (901.0, True), (5 * HOUR, True)])
def test_the_agent_is_told_the_age_of_a_late_message_and_of_no_other(age_s: float, late: bool) -> None:  # noqa: FBT001
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("k", event_at=wall() - age_s)
        await world.settle()
        (message,) = agent.seen
        assert message.late_s == (pytest.approx(age_s, abs=1) if late else 0.0)
        assert world.line.texts() == ["k"]
        assert world.app.worker.counts["late"] == late

    play(test, agent)


def test_a_message_becomes_late_while_it_waits_for_its_lane() -> None:
    agent = Scripted({"slow": sleeps(1000)})

    async def test(world: World) -> None:
        await world.put("slow")
        await world.put("behind")
        await world.put("elsewhere", lane=BEN)
        await world.settle()
        assert {m.text: m.late_s > 0 for m in agent.seen} == {"slow": False, "elsewhere": False, "behind": True}

    play(test, agent, turns=Turns(timeout_s=2000))


def test_with_skip_a_late_message_ends_without_a_turn_and_inbox_and_trace_say_why() -> None:
    agent = Scripted()

    async def test(world: World) -> None:
        await world.put("old", event_at=wall() - 3 * HOUR)
        await world.put("new")
        await world.settle()
        assert agent.texts() == ["new"]
        row = world.events()["old"]
        assert (row["state"], row["reason"]) == ("done", asking.skipped(3 * HOUR, 900))
        assert "written 3 h before" in row["reason"]
        assert any("skipped: written 3 h before" in text for _, text in world.store.read(trace, "old"))
        assert world.app.health()["inbox"]["skipped"] == 1

    play(test, agent, turns=SKIP)


def test_a_person_who_asks_for_a_run_gets_it_however_old_the_message_is() -> None:
    agent = Scripted({"k": raises(ValueError("no"))})

    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert world.events()["k"]["state"] == "dead"
        agent.doings.clear()
        await asyncio.sleep(5 * HOUR)
        assert await world.app.retry_event(world.events()["k"]["id"])
        await world.settle()
        assert world.line.texts() == ["k"]
        assert agent.seen[-1].late_s > 4.9 * HOUR

    play(test, agent, turns=SKIP)


def test_what_has_begun_to_leave_is_finished_however_late() -> None:
    async def parts(message: Message) -> AsyncIterator[str]:
        for n in range(len(message.delivered), 3):
            yield f"part {n}"
            if message.attempt == 1 and n == 1:
                await asyncio.sleep(2 * HOUR)

    async def main() -> None:
        line = Line()
        agents = {line.bot: Agent(parts, can_continue=True, timeout_s=9 * HOUR)}
        first = World(App(Store.open_memory(now=wall()), [line], agents, wall=wall, turns=SKIP), line)
        await first.app.start()
        await first.put("k")
        await asyncio.sleep(1)
        assert line.texts() == ["part 0"]
        following = crash(first.store)
        await first.app.stop(deadline_s=0.01)
        await asyncio.sleep(HOUR)
        then = World(App(following, [line], agents, wall=wall, turns=SKIP), line)
        await then.app.start()
        await then.settle()
        assert line.texts() == ["part 0", "part 1", "part 2"]
        await then.app.stop(deadline_s=5)

    clock.run(main())


def test_stop_is_never_late() -> None:
    agent = Scripted({"long": hang})

    async def test(world: World) -> None:
        await world.put("long")
        await asyncio.sleep(1)
        await world.put("/stop", bypass=True, event_at=wall() - 3 * HOUR)
        await world.settle()
        assert world.events()["long"]["reason"] == "stopped by the user"

    play(test, agent, turns=SKIP)


@pytest.mark.parametrize("skips", [False, True])
def test_a_queued_restart_that_ends_the_process_does_not_loop(skips: bool) -> None:  # noqa: FBT001
    """The agent obeys "restart" by ending the process, each time it is asked to, and each start takes ten minutes."""

    async def main() -> None:
        store = Store.open_memory(now=wall())
        seen = []
        for boot in range(12):
            agent = Scripted({"restart": hang})
            turns = Turns(late_after_s=900, skips_late=skips)
            async with gateway(Line(), agent, store=store, turns=turns) as world:
                if not boot:
                    await world.put("restart", lane=ANN)
                await asyncio.sleep(5)
                seen += [(message.attempt, message.late_s > 0) for message in agent.seen]
                after = crash(world.store)
                state = world.events()["restart"]["state"]
            store = after
            await asyncio.sleep(600)
        assert len(seen) == (2 if skips else 7)  # two beside others, then five alone
        assert seen[0] == (1, False)
        assert all(late for attempt, late in seen if attempt > 2)
        assert state == ("done" if skips else "dead")
        await store.close(1)

    clock.run(main())


def test_late_counts_from_when_it_was_written_not_from_when_it_was_replayed() -> None:
    event = inbox.event_of(arrival_at(100.0, received_at=9000.0), 1)
    assert asking.late_by(event, 9001.0, 900) == 8901.0
    assert asking.late_by(event, 50.0, 900) == 0.0  # a clock that was put back


def arrival_at(event_at: float, *, received_at: float) -> Arrival:
    row = None

    async def main() -> None:
        nonlocal row
        row = arrival("k", event_at=event_at, received_at=received_at)

    clock.run(main())
    assert row is not None
    return row
