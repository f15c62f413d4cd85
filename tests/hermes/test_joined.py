"""Messages written while a turn runs, on real gateways: none lost, none run twice, whatever Hermes does with them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from buoy.sim.events import Speech
from tests.hermes.rig import VERSIONS, Gateway, gateway
from tests.hermes.scenarios import OPEN_TURNS, warmed

NOTICES = ("⏳", "⚡", "⏩")  # what Hermes tells whoever writes into a turn: it waits, interrupts, is fed to it

pytestmark = [pytest.mark.hermes, pytest.mark.timeout(180)]


def play(version: str, folder: Path, mode: str, scene: Callable[[Gateway], Awaitable[None]]) -> None:
    async def run() -> None:
        async with gateway("plugin", version, folder / "home", 0.05) as one:
            one.config["display"] = {"busy_input_mode": mode}
            try:
                await warmed(one)
                await scene(one)
            except BaseException:
                print(one.tail(80), file=sys.stderr)
                raise

    asyncio.run(run())


async def asked(one: Gateway, text: str, times: int = 1) -> None:
    """Wait until the model was asked about a text."""
    await one.until(lambda: _count(one, text) >= times, 30, f"the model was not asked about {text!r}")


def _count(one: Gateway, text: str) -> int:
    return sum(f"<<{text}>>" in json.dumps(body["messages"][-1]) for body in one.model.asked)


async def nothing_is_open(one: Gateway) -> None:
    """Wait until every message has ended, and for what may still come after that."""
    async with asyncio.timeout(60):
        while await one.look(OPEN_TURNS) != "0":
            await asyncio.sleep(0.5)
    await one.settled(2)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["interrupt", "queue", "steer"])
def test_a_kill_before_the_answer_loses_nothing_that_was_told_to_wait(version: str, mode: str, tmp_path: Path) -> None:
    async def scene(one: Gateway) -> None:
        one.model.delay_s = 4
        one.say("the first", 1)
        await asked(one, "the first")
        one.say("the second", 1)
        if (version, mode) == ("new", "queue"):
            await asyncio.sleep(1)  # it is told nothing there
        else:
            await one.until(lambda: any(sent.text.startswith(NOTICES) for sent in one.sim.delivered), 20, "no notice")
        one.kill()
        one.model.delay_s = 0
        await one.start()
        await one.answered("the second", 40)
        await nothing_is_open(one)
        one.once("the first", "the second")

    play(version, tmp_path, mode, scene)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["interrupt", "queue", "steer"])
def test_a_kill_right_after_the_last_answer_answers_nothing_again(version: str, mode: str, tmp_path: Path) -> None:
    async def scene(one: Gateway) -> None:
        one.model.delay_s = 2
        one.say("the first", 1)
        await asked(one, "the first")
        one.say("the second", 1)
        last = "the first" if mode == "steer" else "the second"
        await one.answered(last, 40)
        while mode != "steer" and not one.answers("the second"):
            await asyncio.sleep(0.01)
        one.kill()
        asked_before = len(one.model.asked)
        one.model.delay_s = 0
        await one.start()
        await nothing_is_open(one)
        assert len(one.answers("the second")) <= 1
        assert len(one.answers("the first")) <= 1
        if mode != "steer":  # what a run left over at its end is run behind it there
            assert len(one.model.asked) == asked_before, one.model.asked[asked_before:]

    play(version, tmp_path, mode, scene)


@pytest.mark.parametrize("version", VERSIONS)
def test_of_three_in_a_row_none_is_displaced(version: str, tmp_path: Path) -> None:
    async def scene(one: Gateway) -> None:
        one.model.delay_s = 3
        one.say("the first", 1)
        await asked(one, "the first")
        one.say("the second", 1)
        one.say("the third", 1)
        one.model.delay_s = 0.5
        await one.answered("the third", 40)
        await nothing_is_open(one)
        text = json.dumps([body["messages"][-1] for body in one.model.asked])
        assert "<<the second>>" in text
        assert "<<the third>>" in text

    play(version, tmp_path, "interrupt", scene)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_command_beside_a_turn_is_done_when_it_is_answered(version: str, tmp_path: Path) -> None:
    async def scene(one: Gateway) -> None:
        one.model.delay_s = 5
        one.say("the long one", 1)
        await asked(one, "the long one")
        before = len(one.sim.delivered)
        one.sim.speak(Speech(text="/status", user=1))
        await one.until(lambda: len(one.sim.delivered) > before, 20, "/status was not answered")
        one.kill()
        one.model.delay_s = 0
        await one.start()
        await one.answered("the long one", 40)
        await nothing_is_open(one)
        one.once("the long one")
        status = [sent for sent in one.sim.delivered[before:] if sent.text and "the long one" not in sent.text]
        assert len(status) == 1, [sent.text for sent in status]

    play(version, tmp_path, "interrupt", scene)
