"""The snapshot: plain data, and true."""

from __future__ import annotations

import asyncio
import json

import pytest

from buoy import __version__
from buoy.chat import Message
from buoy.gateway.health import lasts_since
from tests.gateway.fakes import BEN, BOT, CAT, DOWN, Line, Scripted, Slow, World, answers, hang, play


def test_the_snapshot_is_plain_data_about_everything() -> None:
    agent = Scripted({"hangs": hang, "nonsense": answers(42), "many": answers([str(n) for n in range(7)])})

    async def test(world: World) -> None:
        assert json.loads(json.dumps(world.app.health()))["inbox"]["active"] == 0
        await world.put("hangs")
        await world.put("waits")
        await world.put("nonsense", lane=BEN)
        await world.put("many", lane=CAT)
        world.line.say("slow", Slow(100.0))
        await world.send("slow", lane=BEN)
        await asyncio.sleep(9)
        told = world.app.health()
        assert json.loads(json.dumps(told)) == told
        assert (told["version"], told["running"]) == (__version__, True)
        assert told["uptime_s"] == pytest.approx(9, abs=0.5)
        assert told["bots"] == {BOT: {"state": "up", "phase": "live", "connected": True}}
        assert told["inbox"]["states"] == {"waiting": 1, "running": 1, "dead": 1}
        assert told["inbox"]["oldest_running_s"] == told["inbox"]["oldest_s"] == pytest.approx(9, abs=0.5)
        assert told["inbox"]["frames"] == 4
        assert told["outbox"]["states"] == {"queued": 0, "claimed": 1, "held": 2, "unsure": 0, "dead": 0}
        assert sum(told["outbox"]["held_reasons"].values()) == 2
        assert told["outbox"]["oldest_s"] == pytest.approx(9, abs=0.5)
        assert told["store"] is not None
        assert told["store"]["failed"] == 0
        assert told["tasks"]["housekeeping"] == {"restarts": 0, "last_end": ""}
        assert told["job_failures"] == 0

    play(test, agent, line=Line(proactive=False))


@pytest.mark.parametrize(
    ("word", "sinces", "since"), [("up", [10.0, 30.0], 30.0), ("down", [10.0, 30.0], 10.0), ("blocked", [], 99.0)]
)
def test_a_word_holds_since_every_bot_is_up_or_since_the_first_is_not(
    word: str, sinces: list[float], since: float
) -> None:
    assert lasts_since(word, sinces, 99.0) == since


def test_a_pause_and_its_cause_show_at_the_first_failure() -> None:
    async def test(world: World) -> None:
        world.line.say("k", DOWN)
        await world.put("k")
        await asyncio.sleep(0.1)
        pace = world.app.health()["outbox"]["pace"][BOT]
        assert pace["failures"] == 1
        assert pace["reason"] == "connection refused"

    play(test)


def test_a_service_that_keeps_ending_shows_with_its_last_end() -> None:
    async def fails() -> None:
        raise OSError("no network")

    async def test(world: World) -> None:
        await asyncio.sleep(20)
        task = world.app.health()["tasks"]["fake:bot:service"]
        assert task["restarts"] >= 4
        assert task["last_end"] == "OSError: no network"

    play(test, line=Line(service=fails))


def test_a_job_that_broke_is_counted() -> None:
    async def answer(message: Message) -> str:
        return message.text

    async def test(world: World) -> None:
        async def breaks() -> None:
            raise KeyError("a bug")

        world.app.supervisor.start(breaks())
        await asyncio.sleep(0.1)
        assert world.app.health()["job_failures"] == 1

    play(test, answer)
