"""Waiting for a letter's outcome, and whether the way to the platform is free."""

from __future__ import annotations

import asyncio
from typing import Any

from buoy.letters import Cause, LetterState
from tests.gateway.fakes import BOT, DOWN, REFUSED, TOO_FAST, Disk, Slow, World, play


def now() -> float:
    return asyncio.get_running_loop().time()


def test_whoever_waits_is_told_as_soon_as_the_letter_has_left() -> None:
    async def test(world: World) -> None:
        world.line.say("hi", Slow(1.0))
        receipt = await world.send("hi")
        assert receipt.state is LetterState.CLAIMED
        began = now()
        first, second = await asyncio.gather(*(world.app.settled(receipt.id, 5) for _ in range(2)))
        assert first == second
        assert first is not None
        assert (first.state, first.remote_id) == (LetterState.SENT, "r1")
        assert now() - began < 1.1
        assert await world.app.settled(receipt.id, 5) is not None
        assert now() - began < 1.1

    play(test)


def test_nobody_waits_longer_than_asked_and_is_told_what_is_known() -> None:
    async def test(world: World) -> None:
        world.line.is_up = False
        receipt = await world.send("hi")
        began = now()
        letter = await world.app.settled(receipt.id, 2)
        assert letter is not None
        assert letter.state in {LetterState.QUEUED, LetterState.CLAIMED}
        assert 2 <= now() - began < 2.1
        assert await world.app.settled(4711, 2) is None
        world.line.is_up = True
        await world.settle()
        letter = await world.app.settled(receipt.id, 2)
        assert letter is not None
        assert letter.state is LetterState.SENT

    play(test)


def test_an_outcome_that_is_not_on_disk_yet_is_known_all_the_same() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        world.line.say("hi", Slow(1.0))
        receipt = await world.send("hi")
        with disk.full():
            await asyncio.sleep(5)
            began = now()
            letter = await world.app.settled(receipt.id, 3)
            assert letter is not None
            assert letter.state is LetterState.SENT
            assert now() == began

    play(test, commit=disk)


def test_a_letter_that_is_tried_again_is_waited_for_again() -> None:
    async def test(world: World) -> None:
        world.line.say("hi", REFUSED[Cause.TARGET])
        receipt = await world.send("hi")
        assert receipt.state is LetterState.DEAD
        world.line.say("hi", Slow(1.0))
        await world.settle()
        assert await world.app.retry_letter(receipt.id)
        letter = await world.app.settled(receipt.id, 3)
        assert letter is not None
        assert letter.state is LetterState.SENT

    play(test)


def test_the_way_is_free_until_something_fails_is_slow_or_stops() -> None:
    async def free(world: World, step: Any, after_s: float) -> bool:
        world.line.say("*", step)
        await world.send("x")
        await asyncio.sleep(after_s)
        return world.app.is_way_free(BOT)

    async def test(world: World) -> None:
        assert world.app.is_way_free(BOT)
        assert await free(world, None, 0.1)
        assert not await free(world, TOO_FAST, 0.1)
        await world.settle()
        assert world.app.is_way_free(BOT)
        assert await free(world, Slow(10.0), 1.0)
        await asyncio.sleep(1.5)
        assert not world.app.is_way_free(BOT)
        await world.settle()
        assert world.app.is_way_free(BOT)
        assert not await free(world, DOWN, 0.1)
        await world.settle()
        assert world.app.is_way_free(BOT)
        world.app.sender.stop()
        assert not world.app.is_way_free(BOT)

    play(test)
