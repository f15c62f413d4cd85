"""Letters: order, outages, what each refusal does, holding, and what a restart finds."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from buoy.chat import Message, Reply
from buoy.durable import anchors, outbox, permission
from buoy.durable.store import Store
from buoy.errors import ConfigError, NotStoredError
from buoy.gateway.courier import Holding
from buoy.letters import Cause, Event, Failed, Letter, LetterState, Permission
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
    BOT,
    CAT,
    DOWN,
    REFUSED,
    TOO_FAST,
    Disk,
    Line,
    Lost,
    Scripted,
    Slow,
    World,
    answers,
    crash,
    gateway,
    play,
    sleeps,
    wall,
)


def now() -> float:
    return asyncio.get_running_loop().time()


async def silent(message: Message) -> None:
    del message


def lanes_of(count: int) -> list[str]:
    return [f"fake:c2c:p{n}" for n in range(count)]


# --- order ---


def test_a_lane_keeps_its_order_and_lanes_go_side_by_side() -> None:
    async def test(world: World) -> None:
        world.line.say("*", *[Slow(1.0)] * 60)
        began = now()
        for n in range(3):
            for lane in lanes_of(20):
                await world.put(f"{lane}-{n}", lane=lane)
        await world.settle()
        assert 3 <= now() - began < 4
        for lane in lanes_of(20):
            assert world.line.texts(lane) == [f"{lane}-{n}" for n in range(3)]
        assert world.line.most == 20

    play(test)


def test_no_more_requests_at_once_than_allowed() -> None:
    async def test(world: World) -> None:
        world.line.say("*", *[Slow(1.0)] * 150)
        for lane in lanes_of(150):
            world.put(lane, lane=lane)
        await world.settle()
        assert world.line.most == 100

    play(test)


def test_a_lane_that_hangs_or_is_told_to_wait_holds_nobody_else_up() -> None:
    async def test(world: World) -> None:
        world.line.say(ANN, Slow(500.0))
        world.line.say(BEN, Failed(Cause.RATE, "this conversation is too fast", 22009, 200, retry_after_s=60.0))
        for lane in (ANN, BEN, CAT):
            await world.put(f"1{lane}", "first", lane=lane)
            await world.put(f"2{lane}", "second", lane=lane)
        await asyncio.sleep(10)
        assert world.line.shown == [(CAT, "first"), (CAT, "second")]
        await world.settle()
        assert world.line.texts(ANN) == world.line.texts(BEN) == ["first", "second"]

    play(test)


def test_the_letters_of_a_turn_carry_its_anchor_and_rising_sequences() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert [(r.text, r.anchor, r.seq) for r in world.line.requests] == [
            ("one", "a-k", 1), ("two", "a-k", 2), ("three", "a-k", 3),
        ]  # fmt: skip

    play(test, Scripted({"k": answers(["one", "two", "three"])}))


def test_an_attempt_is_committed_before_its_request_leaves() -> None:
    found: list[tuple[str, int | None, int]] = []

    class Watching(Line):
        async def deliver(self, letter: Letter) -> Any:
            row = world_of[0].store.read(outbox.get, letter.id)
            assert row is not None
            found.append((row.state.value, row.seq, row.attempts))
            return await super().deliver(letter)

    world_of: list[World] = []

    async def test(world: World) -> None:
        world_of.append(world)
        world.line.say("k", DOWN)
        await world.put("k")
        await world.settle()
        await world.send("to nobody's message", lane="fake:c2c:new")
        await world.settle()
        assert found == [("claimed", 1, 1), ("claimed", 1, 2), ("claimed", None, 1)]

    play(test, line=Watching())


def test_reads_that_fail_for_a_while_only_cost_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(db: sqlite3.Connection, *args: Any) -> Any:
        raise sqlite3.OperationalError("cannot read")

    async def test(world: World) -> None:
        world.line.is_up = False
        for n in range(150):  # more than the lane keeps in memory
            world.put(f"k{n}")
        await asyncio.sleep(10)
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "page", broken)
            world.line.is_up = True
            await asyncio.sleep(20)
            assert 10 < len(world.line.shown) < 150
        await asyncio.sleep(2)
        assert world.line.texts() == [f"k{n}" for n in range(150)]
        assert world.app.supervisor.job_failures == 0

    play(test)


def test_a_letter_committed_after_the_stop_is_left_to_the_next_process() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())

        async def answer(message: Message) -> str:
            asyncio.get_running_loop().call_soon(world.app.sender.stop)  # before the commit that ends the turn
            return message.text

        async with gateway(line, answer, store=store) as world:
            await world.put("k")
            await asyncio.sleep(1)
            assert world.states() == {"k/1": "claimed"}
            assert (line.requests, world.app.sender.active) == ([], 0)
            following = crash(store)
        async with gateway(line, store=following) as world:
            await world.settle()
            assert [(r.text, r.seq) for r in line.requests] == [("k", 1)]

    clock.run(main())


# --- outages ---


def test_an_outage_pauses_the_bot_and_one_probe_goes_ahead() -> None:
    async def test(world: World) -> None:
        world.line.is_up = False
        for lane in lanes_of(50):
            await world.put(lane, lane=lane)
        await asyncio.sleep(30)
        world.line.requests.clear()
        reached, commits = world.line.reached, world.store.stats.commits
        await asyncio.sleep(60)
        assert 12 <= world.line.reached - reached <= 20, "one probe each 4 s"
        assert world.line.requests == [], "no letter is risked while nothing gets through"
        assert world.store.stats.commits - commits <= 2, "and the disk is left alone, but for the housekeeping"
        assert world.app.health()["outbox"]["pace"][BOT]["reason"] == "connection refused"
        world.line.is_up = True
        await asyncio.sleep(5)
        assert len(world.line.shown) == 50
        last = {request.lane: request.at for request in world.line.requests}
        assert max(last.values()) - min(last.values()) < 0.1, "all are free as soon as the probe is through"

    play(test)


@pytest.mark.parametrize("length_s", [3, 40, 400, 3000])
@pytest.mark.parametrize("fault", [DOWN, REFUSED[Cause.TOKEN], Lost(accepted=False)])
def test_a_single_letter_leaves_within_5_s_of_the_end_of_an_outage(length_s: int, fault: Any) -> None:
    async def test(world: World) -> None:
        world.line.say("*", *[fault] * 5000)
        await world.put("k")
        await asyncio.sleep(length_s)
        world.line.script.clear()
        await asyncio.sleep(5)
        assert world.line.texts() == ["k"]
        assert {(r.anchor, r.seq) for r in world.line.requests} == {("a-k", 1)}

    play(test)


def test_what_queues_up_during_an_outage_waits_for_the_probe_and_keeps_its_order() -> None:
    async def test(world: World) -> None:
        world.line.is_up = False
        for n in range(4):
            await world.put(f"a{n}", lane=ANN)
            await world.put(f"b{n}", lane=BEN)
        await asyncio.sleep(100)
        world.line.is_up = True
        await asyncio.sleep(5)
        assert world.line.texts(ANN) == [f"a{n}" for n in range(4)]
        assert world.line.texts(BEN) == [f"b{n}" for n in range(4)]

    play(test)


def test_the_pause_does_not_follow_a_wall_clock_that_is_set_back() -> None:
    async def test(world: World) -> None:
        world.line.is_up = False
        await world.put("k")
        await asyncio.sleep(20)
        world.app.sender._wall = lambda: wall() - 3600
        world.line.is_up = True
        await asyncio.sleep(5)
        assert world.line.texts() == ["k"]

    play(test)


def test_too_fast_pauses_the_bot_for_as_long_as_it_was_told_and_keeps_the_order() -> None:
    async def test(world: World) -> None:
        world.line.say("a1", Failed(Cause.RATE, "too many requests", 0, 429, retry_after_s=20.0))
        world.line.say("b1", Slow(0.5))  # under way when the refusal comes: its success must not end the pause
        for key, lane in (("a1", ANN), ("b1", BEN), ("a2", ANN), ("b2", BEN)):
            await world.put(key, lane=lane)
        await asyncio.sleep(19)
        assert world.line.texts() == ["b1"]
        await world.settle()
        assert world.line.texts(ANN) == ["a1", "a2"]
        assert [(r.seq, r.attempt) for r in world.line.requests if r.text == "a1"] == [(1, 1), (1, 2)]

    play(test)


def test_too_fast_without_a_time_backs_off_further_each_time() -> None:
    async def test(world: World) -> None:
        world.line.say("k", *[TOO_FAST] * 4)
        await world.put("k")
        await world.settle()
        times = [r.at for r in world.line.requests]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert pauses == sorted(pauses)
        assert 1 <= pauses[0] < 2
        assert 7 < pauses[3] < 10

    play(test)


# --- in doubt ---


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("status", [0, 502])
def test_a_lost_answer_is_repeated_with_the_same_anchor_and_sequence(accepted: bool, status: int) -> None:  # noqa: FBT001
    async def test(world: World) -> None:
        lost = Lost(accepted) if not status else Failed(Cause.LOST, "bad gateway", 0, status)
        world.line.say("k", lost, lost)
        await world.put("k")
        await asyncio.sleep(0.3)
        assert world.states() == {"k/1": "claimed"}
        await world.settle()
        assert [(r.anchor, r.seq, r.attempt) for r in world.line.requests] == [("a-k", 1, n) for n in (1, 2, 3)]
        assert world.line.texts() == ["k"]
        assert world.states() == {"k/1": "sent"}

    play(test)


@pytest.mark.parametrize("then", [DOWN, REFUSED[Cause.TOKEN], TOO_FAST, REFUSED[Cause.TRANSIENT]])
def test_what_is_in_doubt_stays_in_doubt_when_the_repeat_does_not_get_through(then: Failed) -> None:
    """That the second request was not accepted says nothing about the first."""

    async def test(world: World) -> None:
        world.line.say("k", Lost(accepted=True), *[then] * 1000)
        await world.put("k", lane=CAT)
        await asyncio.sleep(30)
        assert world.states() == {"k/1": "claimed"}
        await world.put("fresh", "", lane=CAT)  # a younger anchor, once the first has passed
        await asyncio.sleep(400)
        world.line.script.clear()
        await world.settle()
        assert world.line.texts() == ["k"], "never a second copy with another anchor"
        assert world.states() == {"k/1": "unsure"}

    play(test)


@pytest.mark.parametrize("cause", [Cause.ANCHOR, Cause.TARGET, Cause.OPERATOR])
def test_what_is_in_doubt_and_then_refused_is_unsure_and_not_sent_again(cause: Cause) -> None:
    async def test(world: World) -> None:
        await world.put("old", "")
        world.line.say("k", Lost(accepted=True), REFUSED[cause])
        await world.put("k")
        await world.settle()
        assert world.line.texts() == ["k"]
        assert world.states() == {"k/1": "unsure"}

    play(test)


def test_in_doubt_past_the_window_is_unsure_with_a_reason() -> None:
    async def test(world: World) -> None:
        world.line.say("k", *[Failed(Cause.LOST, "bad gateway", 0, 502)] * 100)
        await world.put("k", lane=CAT)
        await world.settle()
        row = world.letters()["k/1"]
        assert row["state"] == "unsure"
        assert "at most once" in row["reason"]
        assert world.line.shown == []
        assert world.app.sender.counts["unsure"] == 1

    play(test)


def test_a_proactive_message_in_doubt_is_not_repeated() -> None:
    async def test(world: World) -> None:
        world.line.say("hello", Lost(accepted=True))
        await world.send("hello")
        await world.settle()
        assert len(world.line.requests) == 1
        assert set(world.states().values()) == {"unsure"}

    play(test)


def test_a_proactive_message_that_never_left_is_repeated() -> None:
    async def test(world: World) -> None:
        world.line.say("hello", DOWN, TOO_FAST)
        await world.send("hello")
        await world.settle()
        assert world.line.texts() == ["hello"]

    play(test)


def test_nothing_ever_takes_a_second_sequence_while_the_first_may_be_used() -> None:
    async def test(world: World) -> None:
        world.line.say("k", Lost(accepted=True), DOWN, Lost(accepted=False), TOO_FAST)
        await world.put("k")
        await world.put("j")
        await world.settle()
        assert {(r.anchor, r.seq) for r in world.line.requests if r.text == "k"} == {("a-k", 1)}
        assert world.line.texts() == ["k", "j"]

    play(test)


# --- refusals ---


def test_a_dead_anchor_gives_way_to_a_fresher_one() -> None:
    async def test(world: World) -> None:
        await world.put("old", "", event_at=wall() - 60)
        world.line.say("k", REFUSED[Cause.ANCHOR])
        await world.put("k")
        await world.settle()
        assert [(r.anchor, r.seq) for r in world.line.requests] == [("a-k", 1), ("a-old", 1)]
        await world.put("next")
        await world.settle()
        assert world.line.requests[-1].anchor == "a-next"

    play(test)


def test_a_dead_anchor_without_another_holds_the_letter() -> None:
    async def test(world: World) -> None:
        world.line.say("k", REFUSED[Cause.ANCHOR])
        await world.put("k")
        await world.settle()
        assert len(world.line.requests) == 1
        assert world.states() == {"k/1": "held"}
        assert world.app.sender.counts["held"] == 1

    play(test, line=Line(proactive=False))


def test_refused_content_is_worded_anew_once_then_dead() -> None:
    async def test(world: World) -> None:
        world.line.say("k", REFUSED[Cause.CONTENT])
        world.line.say("j", REFUSED[Cause.CONTENT])
        world.line.say("plain j", REFUSED[Cause.CONTENT])
        await world.put("k")
        await world.put("j")
        await world.put("after")
        await world.settle()
        assert world.line.texts() == ["plain k", "after"]
        assert world.states() == {"k/1": "sent", "j/1": "dead", "after/1": "sent"}
        assert [r.text for r in world.line.requests] == ["k", "plain k", "j", "plain j", "after"]

    play(test)


def test_content_that_is_refused_as_too_long_goes_in_pieces() -> None:
    async def test(world: World) -> None:
        world.line.say("onetwo", Failed(Cause.CONTENT, "too long", 1, 400))
        await world.put("k", "onetwo")
        await world.settle()
        assert world.line.texts() == ["one", "two"]
        assert set(world.states().values()) == {"sent"}

    play(test)


def test_content_is_worded_anew_once_a_letter_whatever_else_could_be_tried() -> None:
    too_long = Failed(Cause.CONTENT, "too long", 1, 400)

    async def test(world: World) -> None:
        world.line.say("onetwo", too_long)
        world.line.say("one", too_long)
        await world.put("k", "onetwo")
        await world.settle()
        assert [r.text for r in world.line.requests] == ["onetwo", "one", "two"]
        assert world.line.texts() == ["two"]

    play(test)


EARLY = Failed(Cause.CONTENT, "the form is refused", 1, 400, early=True)


def test_a_refusal_of_the_form_does_not_use_up_the_one_try_of_the_words() -> None:
    async def test(world: World) -> None:
        world.line.say("onetwo", EARLY)
        world.line.say("one", REFUSED[Cause.CONTENT])
        await world.put("k", "onetwo")
        await world.settle()
        assert [r.text for r in world.line.requests] == ["onetwo", "one", "plain one", "two"]
        assert world.line.texts() == ["plain one", "two"]

    play(test)


def test_a_refusal_of_the_form_says_nothing_about_an_earlier_attempt_that_was_lost() -> None:
    async def test(world: World) -> None:
        world.line.say("onetwo", Lost(accepted=True), EARLY, EARLY)
        await world.put("k", "onetwo")
        await world.settle()
        assert [r.text for r in world.line.requests] == ["onetwo"] * 4, "never in another form: that could be a second"
        assert len({r.seq for r in world.line.requests}) == 1
        assert world.line.texts() == ["onetwo"]
        assert world.states() == {"k/1": "sent"}

    play(test)


def test_in_doubt_and_the_form_refused_until_the_window_closes_is_unsure() -> None:
    async def test(world: World) -> None:
        world.line.say("onetwo", Lost(accepted=False), *[EARLY] * 99)
        await world.put("k", "onetwo", lane=CAT)
        await asyncio.sleep(400)
        assert world.states() == {"k/1": "unsure"}
        assert world.line.texts() == []

    play(test)


@pytest.mark.parametrize("cause", [Cause.TARGET, Cause.BUG])
def test_a_permanent_refusal_costs_exactly_one_request(cause: Cause) -> None:
    async def test(world: World) -> None:
        world.line.say("k", REFUSED[cause])
        await world.put("k")
        await world.put("after")
        await world.settle()
        assert [r.text for r in world.line.requests] == ["k", "after"]
        row = world.letters()["k/1"]
        assert (row["state"], row["code"], row["reason"]) == ("dead", 40000, f"{cause.value} says the platform")

    play(test)


@pytest.mark.parametrize("cause", [Cause.OPERATOR, Cause.PROACTIVE])
def test_what_an_operator_or_a_contact_may_mend_is_held_after_one_request(cause: Cause) -> None:
    async def test(world: World) -> None:
        world.line.say("k", REFUSED[cause])
        await world.put("k")
        await world.put("after", lane=BEN)
        await world.settle()
        assert [r.text for r in world.line.requests] == ["k", "after"]
        assert world.states()["k/1"] == "held"
        assert world.letters()["k/1"]["code"] == REFUSED[cause].code, "the doctor tells by it what is in the way"
        await world.put("contact", "")
        await world.settle()
        assert world.line.texts(ANN) == ["k"]

    play(test)


@pytest.mark.parametrize("where", ["deliver", "plan", "learn"])
def test_a_platform_that_raises_costs_its_letter_time_and_nobody_else_anything(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(world: World) -> None:
        raised: list[int] = []

        def broken(*args: Any) -> Any:
            letter: Letter = args[0]
            if letter.body == b"k" and len(raised) < (3 if where == "plan" else 2):
                raised.append(letter.id)
                raise KeyError("a bug")
            return sound(*args)

        sound = getattr(world.line, where)
        monkeypatch.setattr(world.line, where, broken)
        if where == "plan":  # a turn's first letter is planned once more, before it is queued
            raised.append(0)
        await world.put("k")
        await world.put("behind")
        for lane in lanes_of(5):
            await world.put(lane, lane=lane)
        await asyncio.sleep(0.2)
        assert len(world.line.texts()) >= 5
        await world.settle()
        assert world.line.texts(ANN) == ["k", "behind"]
        assert world.app.sender.active == 0
        assert world.app.worker.counts["failed"] == 0, "no delivery runs an agent again"

    play(test)


# --- holding ---


def held_line() -> Line:
    return Line(proactive=False)


def test_held_letters_go_first_on_contact_merged_into_one_and_block_nothing() -> None:
    async def test(world: World) -> None:
        for text in ("one", "two", "three"):
            receipt = await world.send(text, lane=CAT)
            assert receipt.state is LetterState.HELD
            assert "until the next message" in receipt.reason
        await world.put("k", lane=CAT)
        await world.settle()
        assert world.line.texts(CAT) == ["one+two+three", "k"]
        assert sorted(world.states().values()) == ["merged", "merged", "merged", "sent", "sent"]
        into = {row["into_id"] for row in world.letters().values() if row["state"] == "merged"}
        assert into == {row["id"] for row in world.letters().values() if row["origin"] == "held"}

    play(test, line=held_line())


def test_a_reply_past_its_window_is_held_and_goes_with_the_next_message() -> None:
    async def test(world: World) -> None:
        await world.put("late", lane=CAT)
        await world.put("quick", lane=BEN)
        await world.settle()
        assert world.line.texts() == ["quick"]
        assert "window of 5 min has passed" in world.letters()["late/1"]["reason"]
        await world.put("next", lane=CAT)
        await world.settle()
        assert world.line.texts(CAT) == ["late", "next"]

    play(test, Scripted({"late": sleeps(400, "late")}), line=held_line())


def test_a_rate_limited_reply_whose_window_passes_is_held_too() -> None:
    async def test(world: World) -> None:
        world.line.say("k", *[TOO_FAST] * 40)
        await world.put("k", lane=CAT)
        await asyncio.sleep(400)
        assert world.states() == {"k/1": "held"}
        world.line.script.clear()
        await world.put("next", lane=CAT)
        await world.settle()
        assert world.line.texts() == ["k", "next"]

    play(test, line=held_line())


def test_replies_over_the_budget_are_held_and_go_with_the_next_message() -> None:
    many = [str(n) for n in range(1, 8)]

    async def test(world: World) -> None:
        await world.put("k", lane=CAT)
        await world.settle()
        assert world.line.texts() == many[:5]
        await world.put("next", lane=CAT)
        await world.settle()
        assert world.line.texts() == [*many[:5], "6+7", "next"]

    play(test, Scripted({"k": answers(many)}), line=held_line())


class Packing(Line):
    """Joins what exceeds the replies left of five."""

    def compose(self, event: Event, replies: Sequence[Reply]) -> list[bytes]:
        room = max(1, 5 - event.uses)
        texts = [reply.text for reply in replies]
        return [*map(str.encode, texts[: room - 1]), "+".join(texts[room - 1 :]).encode()]


def test_a_turn_counts_the_replies_that_held_letters_took_before_it() -> None:
    async def test(world: World) -> None:
        await world.send("kept", lane=CAT)
        await world.put("k", lane=CAT)
        await world.settle()
        assert world.line.texts() == ["kept", "1", "2", "3", "4+5+6"]
        assert set(world.states().values()) == {"merged", "sent"}

    many = sleeps(1.0, [str(n) for n in range(1, 7)])
    play(test, Scripted({"k": many}), line=Packing(proactive=False))


def test_held_letters_do_not_take_the_last_reply_from_the_turn_that_released_them() -> None:
    class Apart(Line):
        """Every held letter stays one of its own."""

        def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
            return [letter.body for letter in held]

    async def test(world: World) -> None:
        for n in range(7):
            await world.send(str(n), lane=CAT)
        await world.put("k", lane=CAT)
        await world.settle()
        assert world.line.texts() == ["0", "1", "2", "3", "k"]
        await world.put("j", lane=CAT)
        await world.settle()
        assert world.line.texts()[5:] == ["4", "5", "6", "j"]

    play(test, line=Apart(proactive=False))


def test_a_turn_counts_the_letters_that_wait_for_its_replies() -> None:
    async def test(world: World) -> None:
        await world.send("kept", lane=CAT)
        world.line.say("kept", TOO_FAST)
        await world.put("k", lane=CAT)  # its turn ends while what was held waits for the platform
        await world.settle()
        assert world.line.texts() == ["kept", "1", "2", "3", "4+5+6"]

    many = answers([str(n) for n in range(1, 7)])
    play(test, Scripted({"k": many}), line=Packing(proactive=False))


def test_the_last_reply_of_an_anchor_is_kept_for_its_own_turn() -> None:
    async def test(world: World) -> None:
        await world.put("k", lane=CAT)
        receipts = [await world.send(f"s{n}", lane=CAT) for n in range(6)]
        assert [r.state.value for r in receipts] == ["sent"] * 4 + ["held"] * 2
        await world.settle()
        assert world.line.texts() == ["s0", "s1", "s2", "s3", "k"]
        assert world.line.requests[-1].seq == 5

    play(test, Scripted({"k": sleeps(30, "k")}), line=held_line())


def test_a_contact_that_asks_for_no_turn_releases_what_is_held() -> None:
    async def test(world: World) -> None:
        await world.send("one", lane=CAT)
        await world.put("pressed", lane=CAT, turn=False, type="INTERACTION")
        await world.settle()
        assert world.line.texts() == ["one"]

    play(test, line=held_line())


def test_held_letters_that_cannot_be_merged_stay_held_and_the_lane_goes_on() -> None:
    class Broken(Line):
        def merge(self, held: Sequence[Letter], now: float) -> list[bytes]:
            if not self.script["mended"]:
                raise ValueError("a bug")
            return super().merge(held, now)

    line = Broken(proactive=False)

    async def test(world: World) -> None:
        await world.send("one", lane=CAT)
        await world.put("k", lane=CAT)
        await world.settle()
        assert line.texts() == ["k"]
        assert world.states()["k/1"] == "sent"
        line.say("mended", None)
        await world.put("j", lane=CAT)
        await world.settle()
        assert line.texts() == ["k", "one", "j"]

    play(test, line=line)


def test_what_is_held_survives_a_restart() -> None:
    async def main() -> None:
        line = held_line()
        async with gateway(line) as world:
            await world.send("one", lane=CAT)
            await world.settle()
            following = crash(world.store)
        async with gateway(line, store=following) as world:
            await world.put("k", lane=CAT)
            await world.settle()
            assert line.texts() == ["one", "k"]

    clock.run(main())


def test_what_is_held_too_long_or_too_much_ends_with_a_reason() -> None:
    async def test(world: World) -> None:
        for n in range(4):
            await world.send(f"s{n}", lane=CAT)
        await asyncio.sleep(70)  # the sweep runs each minute
        states = [row["state"] for row in world.letters().values()]
        assert states == ["dead", "dead", "held", "held"]
        assert "2 newer letters" in next(iter(world.letters().values()))["reason"]
        await asyncio.sleep(0.1 * 86400)
        assert {row["state"] for row in world.letters().values()} == {"dead"}
        assert world.app.sender.counts["dead"] == 4

    play(test, line=held_line(), holding=Holding(days=0.1, per_lane=2))


# --- what is learned about messages without an anchor ---


def known(world: World, lane: str = ANN) -> Permission | None:
    return world.store.read(permission.known, BOT, lane)


def test_a_refusal_is_kept_in_the_commit_that_holds_its_letter_and_the_next_one_is_not_tried() -> None:
    async def test(world: World) -> None:
        world.line.say("one", REFUSED[Cause.PROACTIVE])
        await world.send("one")
        told = known(world)
        assert told is not None
        assert told.allowed is False
        assert (await world.send("two")).state is LetterState.HELD
        assert (await world.send("to somebody else", lane=BEN)).state is LetterState.SENT
        assert [r.text for r in world.line.requests] == ["one", "to somebody else"]

    play(test)


def test_what_is_learned_and_what_becomes_of_the_letter_are_one_transaction() -> None:
    seen: set[tuple[str, int]] = set()

    def commit(db: sqlite3.Connection) -> None:
        found = db.execute("SELECT state, (SELECT count(*) FROM permission) FROM outbox WHERE key = 'send/k'")
        seen.add(found.fetchone() or ("", 0))
        db.execute("COMMIT")

    async def test(world: World) -> None:
        world.line.say("k", REFUSED[Cause.PROACTIVE])
        await world.send("k", key="k")
        await world.settle()

    play(test, commit=commit)
    assert seen == {("", 0), ("queued", 0), ("claimed", 0), ("held", 1)}


def test_an_accepted_message_teaches_that_they_are_allowed_and_a_restart_knows_it() -> None:
    async def main() -> None:
        line = Line()
        async with gateway(line) as world:
            await world.send("one")
            await world.settle()
            following = crash(world.store)
        line.proactive = False  # the settings do not say so any more
        async with gateway(line, store=following) as world:
            assert (await world.send("two")).state is LetterState.SENT
            assert (await world.send("to somebody else", lane=BEN)).state is LetterState.HELD

    clock.run(main())


def test_a_reply_teaches_nothing() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        assert known(world) is None

    play(test)


def test_an_event_that_switches_them_off_is_known_with_its_row() -> None:
    async def test(world: World) -> None:
        off = Permission(False, wall(), "SWITCHED_OFF")
        await world.put("off", turn=False, anchor=None, permission=off)
        assert known(world) == off
        assert (await world.send("one")).state is LetterState.HELD
        assert world.line.requests == []

    play(test)


# --- people ---


def test_a_queued_letter_that_a_person_drops_does_not_leave_and_blocks_nobody() -> None:
    async def test(world: World) -> None:
        world.line.say(ANN, Slow(5.0))
        receipts = [await world.send(text) for text in ("one", "two", "three")]
        assert [r.position for r in receipts] == [0, 1, 2]
        assert await world.app.drop_letter(receipts[1].id)
        await world.settle()
        assert world.line.texts() == ["one", "three"]
        assert list(world.states().values()) == ["sent", "dropped", "sent"]

    play(test)


def test_a_reply_that_a_person_drops_does_not_leave_and_blocks_nobody() -> None:
    async def test(world: World) -> None:
        world.line.say("one", Failed(Cause.RATE, "slower", 22009, 200, retry_after_s=20.0))
        await world.put("k")
        await asyncio.sleep(1)
        for row in list(world.letters().values())[:2]:  # the one that has a sequence, and one that has none
            assert await world.app.drop_letter(row["id"])
        await world.settle()
        assert world.line.texts() == ["three"]

    play(test, Scripted({"k": answers(["one", "two", "three"])}))


def test_a_person_may_send_a_dead_letter_again() -> None:
    async def test(world: World) -> None:
        world.line.say("k", REFUSED[Cause.TARGET])
        await world.put("k")
        await world.settle()
        assert await world.app.retry_letter(world.letters()["k/1"]["id"])
        await world.settle()
        assert world.line.texts() == ["k"]
        assert not await world.app.retry_letter(world.letters()["k/1"]["id"])

    play(test)


# --- restarts ---


@pytest.mark.parametrize("accepted", [True, False])
def test_a_letter_under_way_at_a_crash_is_repeated_with_the_same_sequence(accepted: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        line = Line()
        line.say("k", Slow(1.0, Lost(accepted)), Slow(100.0))
        async with gateway(line, deadline_s=0.5) as world:
            await world.put("k")
            await asyncio.sleep(1.2)
            following = crash(world.store)
        line.script.clear()
        async with gateway(line, store=following) as world:
            await asyncio.sleep(1.5)
            assert line.texts() == ["k"]
            assert {(r.anchor, r.seq) for r in line.requests} == {("a-k", 1)}
            assert world.states() == {"k/1": "sent"}

    clock.run(main())


def test_a_proactive_letter_under_way_at_a_crash_is_unsure_and_not_repeated() -> None:
    async def main() -> None:
        line = Line()
        line.say("hello", Slow(100.0))
        async with gateway(line, deadline_s=0.5) as world:
            assert (await world.send("hello")).state is LetterState.CLAIMED
            following = crash(world.store)
        async with gateway(line, store=following) as world:
            await world.settle()
            assert len(line.requests) == 1
            assert set(world.states().values()) == {"unsure"}

    clock.run(main())


def test_letters_that_waited_leave_in_order_after_a_restart() -> None:
    async def main() -> None:
        line = Line(is_up=False)
        async with gateway(line, deadline_s=0.5) as world:
            for n in range(100):
                await world.put(f"a{n}", lane=ANN)
                await world.put(f"b{n}", lane=BEN)
            await asyncio.sleep(60)
            following = crash(world.store)
        line.is_up = True
        async with gateway(line, store=following) as world:
            await asyncio.sleep(6)
            assert line.texts(ANN) == [f"a{n}" for n in range(100)]
            assert line.texts(BEN) == [f"b{n}" for n in range(100)]

    clock.run(main())


def test_a_letter_in_doubt_that_is_older_than_the_holding_time_is_unsure_not_dead() -> None:
    async def main() -> None:
        line, store = Line(), Store.open_memory(now=wall())
        put = await store.write(outbox.put, Letter(0, "old", BOT, ANN, b"x", LetterState.QUEUED, wall() - 8 * 86400))
        await store.write(outbox.attempt_proactive, put.letter.id, 0, wall())
        await store.write(outbox.put, Letter(0, "queued", BOT, ANN, b"x", LetterState.QUEUED, wall() - 8 * 86400))
        async with gateway(line, store=store) as world:
            await world.settle()
            assert world.states() == {"old": "unsure", "queued": "dead"}

    clock.run(main())


# --- a disk that refuses ---


def test_an_outcome_that_cannot_be_committed_is_committed_later() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        world.line.say("k", Slow(1.0))
        world.line.say("j", Slow(1.0, REFUSED[Cause.TARGET]))
        await world.put("k")
        await world.put("j", lane=BEN)
        await asyncio.sleep(0.5)
        with disk.full():
            await asyncio.sleep(30)
            assert world.line.texts() == ["k"]
            assert set(world.states().values()) == {"claimed"}
        await asyncio.sleep(1.5)
        assert world.states() == {"k/1": "sent", "j/1": "dead"}
        assert len(world.line.requests) == 2

    play(test, commit=disk)


@pytest.mark.parametrize(
    ("step", "texts"),
    [
        (TOO_FAST, ["k", "after"]), (REFUSED[Cause.ANCHOR], ["k", "after"]),
        (REFUSED[Cause.CONTENT], ["plain k", "after"]), (REFUSED[Cause.OPERATOR], ["after"]),
        (Lost(accepted=True), ["k", "after"]),
    ],
)  # fmt: skip
def test_a_disk_that_is_full_when_an_outcome_comes_changes_nothing_but_the_time(step: Any, texts: list[str]) -> None:
    disk = Disk()

    async def test(world: World) -> None:
        await world.put("old", "")
        world.line.say("k", Slow(1.0, step) if not isinstance(step, Slow) else step)
        await world.put("k")
        await world.put("after")
        await asyncio.sleep(0.5)
        with disk.full():
            await asyncio.sleep(20)
            assert len(world.line.requests) == 1
        await world.settle()
        assert world.line.texts() == texts

    play(test, commit=disk)


def test_an_attempt_that_cannot_be_committed_does_not_leave() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        world.line.say("one", Slow(1.0))
        receipts = [await world.send("one"), await world.send("two")]
        with disk.full():
            await asyncio.sleep(20)
            assert [r.text for r in world.line.requests] == ["one"]
        await world.settle()
        assert world.line.texts() == ["one", "two"]
        assert receipts[1].position == 1

    play(test, commit=disk)


# --- send() ---


def test_send_says_sent_when_it_was_quick_and_queued_when_not() -> None:
    async def test(world: World) -> None:
        began = now()
        world.line.say("quick", Slow(0.05))
        quick = await world.send("quick")
        assert quick.state is LetterState.SENT
        assert now() - began == pytest.approx(0.05, abs=0.01)
        world.line.say("slow", Slow(10))
        began = now()
        slow = await world.send("slow", lane=BEN)
        assert now() - began <= 0.1 + 1e-6
        assert (slow.state, slow.position) == (LetterState.CLAIMED, 0)
        behind = await world.send("behind", lane=BEN)
        assert (behind.state, behind.position) == (LetterState.QUEUED, 1)
        await world.settle()
        assert world.line.texts(BEN) == ["slow", "behind"]

    play(test)


def test_send_answers_at_once_while_everything_is_down() -> None:
    async def test(world: World) -> None:
        world.line.is_up = False
        await world.send("first")
        await asyncio.sleep(10)
        began = now()
        for n in range(10):
            receipt = await world.send(f"s{n}")
            assert receipt.state is LetterState.QUEUED
            assert receipt.position == n + 1
        assert now() - began <= 10 * 0.1 + 1e-6
        world.line.is_up = True
        await asyncio.sleep(6)
        assert world.line.texts() == ["first", *(f"s{n}" for n in range(10))]

    play(test)


def test_the_same_key_is_the_same_letter_and_one_delivery() -> None:
    async def test(world: World) -> None:
        world.line.say("once", Slow(5))
        first, second = await asyncio.gather(world.send("once", key="K"), world.send("once", key="K"))
        await world.settle()
        third = await world.send("again", key="K")
        assert first.id == second.id == third.id
        assert third.state is LetterState.SENT
        assert world.line.texts() == ["once"]
        assert len(world.letters()) == 1

    play(test)


def test_send_refuses_what_cannot_be_sent_before_it_is_stored() -> None:
    async def test(world: World) -> None:
        for target, text in ((ANN, " "), ("fake:nowhere:x", "hi"), ("other:c2c:x", "hi"), ("nonsense", "hi")):
            with pytest.raises(ConfigError):
                await world.send(text, lane=target)
        assert world.letters() == {}

    play(test)


def test_a_disk_that_refuses_makes_send_say_not_stored() -> None:
    disk = Disk()

    async def test(world: World) -> None:
        with disk.full(), pytest.raises(NotStoredError, match="nothing will be sent"):
            await world.send("hi", key="K")
        await asyncio.sleep(10)
        assert world.line.requests == []
        assert (await world.send("hi", key="K")).state is LetterState.SENT

    play(test, commit=disk)


class SlowDisk:
    """A commit on the store's thread that a test holds back. Real time: the clock stands still meanwhile."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def __call__(self, db: sqlite3.Connection) -> None:
        self.entered.set()
        self.go.wait(10)
        db.execute("COMMIT")


def in_real_time(path: Path, test: Any, line: Line | None = None) -> None:
    """A commit that takes its time can only be seen on a clock that does not wait for it."""

    async def main() -> None:
        disk = SlowDisk()
        store = Store.open(path, now=time.time(), commit=disk)
        async with gateway(line or Line(), store=store) as world:
            try:
                for _ in range(20):  # what the start and the housekeeping write
                    await asyncio.sleep(0.002)
                await test(world, disk)
            finally:
                disk.go.set()

    asyncio.run(main())


async def not_stored(world: World, text: str, key: str) -> None:
    began = time.monotonic()
    with pytest.raises(NotStoredError):
        await world.send(text, key=key)
    assert time.monotonic() - began < 0.2


def test_a_commit_that_is_late_means_not_stored_and_never_delivered(tmp_path: Path) -> None:
    async def test(world: World, disk: SlowDisk) -> None:
        disk.go.clear()
        await not_stored(world, "under way", "A")  # its commit has begun, and will end
        await not_stored(world, "waiting", "B")  # behind it; taken back before it began
        disk.go.set()
        while world.app.sender.receipts._unwanted:
            await asyncio.sleep(0.001)
        await world.settle()
        assert world.line.requests == []
        assert world.states() == {"send/A": "dropped"}
        assert world.app.sender.is_idle

    in_real_time(tmp_path, test)


def test_the_next_try_with_the_same_key_is_delivered_once(tmp_path: Path) -> None:
    async def test(world: World, disk: SlowDisk) -> None:
        disk.go.clear()
        await not_stored(world, "hi", "A")
        await not_stored(world, "hi", "A")
        disk.go.set()
        while True:  # as a caller does who was told to try again
            try:
                receipt = await world.send("hi", key="A")
                break
            except NotStoredError:
                await asyncio.sleep(0)
        await world.settle()
        assert world.line.texts() == ["hi"]
        row = world.letters()["send/A"]
        assert (row["id"], row["state"]) == (receipt.id, "sent")

    in_real_time(tmp_path, test)


class Late(Store):
    """A store whose commits are heard of at a chosen moment after the write."""

    after_s = 0.0

    def write(self, job: Any, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        committed = super().write(job, *args, **kwargs)
        if not self.after_s:
            return committed
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[Any] = loop.create_future()
        loop.call_at(loop.time() + self.after_s, lambda: heard.set_result(committed.result()))
        return heard


@pytest.mark.parametrize("off_s", [-1e-6, -1e-10, 0.0, 1e-10, 1e-6])
def test_a_commit_that_ends_in_the_moment_of_giving_up_is_stored_or_not_but_not_both(off_s: float) -> None:
    """Within one turn of the loop both may happen, in either order: caller and outbox must agree."""

    async def main() -> None:
        line = Line()
        store = Late.open_memory(now=wall())
        async with gateway(line, store=store) as world:
            assert isinstance(store, Late)
            store.after_s = 0.1 + off_s
            try:
                await world.send("hi")
                told = ["hi"]
            except NotStoredError:
                told = []
            store.after_s = 0.0
            await world.settle()
            assert line.texts() == told

    clock.run(main())


def test_a_caller_that_is_cancelled_leaves_its_letter_to_the_outbox() -> None:
    async def test(world: World) -> None:
        world.line.say("hi", Slow(1))
        sending = asyncio.ensure_future(world.send("hi"))
        await asyncio.sleep(0.05)
        sending.cancel()
        await world.settle()
        assert world.line.texts() == ["hi"]
        assert world.app.sender.receipts._settled == {}

    play(test)


def test_health_counts_and_names_the_pause() -> None:
    async def test(world: World) -> None:
        world.line.say("k", DOWN, DOWN)
        await world.put("k")
        await asyncio.sleep(0.6)
        told = world.app.sender.health()["pace"][BOT]
        assert told["failures"] == 2
        assert 0 < told["paused_s"] <= 1
        await world.settle()
        assert world.app.sender.health()["pace"][BOT] == {"paused_s": 0.0, "failures": 0, "reason": ""}
        assert world.app.sender.counts == {"sent": 1, "held": 0, "unsure": 0, "dead": 0, "attempts": 3}

    play(test)


def test_an_inbox_row_knows_how_many_replies_its_anchor_has_had() -> None:
    async def test(world: World) -> None:
        await world.put("k")
        await world.settle()
        anchor = world.store.read(anchors.of_row, world.events()["k"]["id"])
        assert anchor is not None
        assert (anchor.uses, anchor.open) == (2, False)

    play(test, Scripted({"k": answers(["one", "two"])}))
