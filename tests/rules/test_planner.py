"""The planner end to end: what a conversation allows is learned, and what is late or long still reaches its reader."""

# ruff: noqa: RUF001  Chinese has punctuation of its own
from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from buoy.chat import Message
from buoy.platforms.qq.words import Manner
from buoy.sim.simulator import Sim
from tests.rules.running import Buoy, Requests, prepared

# --- what a conversation allows ----------------------------------------------------------------------------


async def happens(sim: Sim, buoy: Buoy, kind: str, **fields: Any) -> str:
    """Let it happen, and wait until its row is committed."""
    event = await sim.happen(kind, **fields)
    await sim.until(lambda: bool(buoy.event(event)))
    return event


@pytest.mark.parametrize(("scene", "prefix"), [("c2c", "C2C"), ("group", "GROUP")])
def test_a_switch_that_a_person_turned_holds_across_restarts_until_the_opposite_event(
    tmp_path: Path, scene: str, prefix: str
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            sim.world.bot().proactive["group"] = True
            buoy.account["proactive"] = frozenset({scene})
            requests = Requests(sim)
            await buoy.start()
            lane = f"qq:{scene}:{sim.meet(scene)}"
            await happens(sim, buoy, f"{prefix}_MSG_REJECT")
            await buoy.crash()
            sim.clock.advance(3 * 86_400)
            await buoy.start()
            assert await buoy.send(lane, "kept back") == "held"
            assert "switched them off" in buoy.letter("kept back")["reason"]
            assert requests == [], "nobody is asked who has said no"
            event = await happens(sim, buoy, f"{prefix}_MSG_RECEIVE")
            await buoy.answered(event)
            await sim.until(lambda: buoy.letters("kept back")[0]["state"] == "merged")
            await buoy.send(lane, "then")
            await buoy.ends("then")
            assert [(one.text, one.anchor) for one in sim.delivered][1:] == [("then", event)], "a reply while one lives"
            sim.clock.advance(4000)
            await buoy.send(lane, "later")
            assert await buoy.ends("later") == "sent"
            assert sim.delivered[-1].proactive

    asyncio.run(run())


def test_a_refusal_that_an_answer_told_survives_a_restart_and_expires_after_a_day(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            lane = f"qq:c2c:{sim.meet(proactive=False)}"
            await buoy.send(lane, "one")
            assert await buoy.ends("one") == "held"
            await buoy.crash()
            await buoy.start()
            await buoy.send(lane, "two")
            assert await buoy.ends("two") == "held"
            assert "40054013" in buoy.letter("two")["reason"]
            assert [request["content"] for request in requests] == ["one"]
            sim.clock.advance(86_401)
            sim.meet(proactive=True)
            await buoy.send(lane, "three")
            assert await buoy.ends("three") == "sent"

    asyncio.run(run())


def test_a_group_in_which_one_was_accepted_is_written_to_although_the_settings_do_not_name_groups(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            sim.world.bot().proactive["group"] = True
            buoy.account["proactive"] = frozenset({"group"})
            await buoy.start()
            lane = f"qq:group:{sim.meet('group')}"
            await buoy.send(lane, "first")
            assert await buoy.ends("first") == "sent"
            await buoy.stop()
            del buoy.account["proactive"]
            await buoy.start()
            await buoy.send(lane, "second")
            assert await buoy.ends("second") == "sent"
            await buoy.send(f"qq:group:{sim.meet('group', 1)}", "elsewhere")
            assert await buoy.ends("elsewhere") == "held"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "scene"), [("FRIEND_ADD", "c2c"), ("GROUP_ADD_ROBOT", "group"), ("INTERACTION_CREATE", "c2c")]
)
def test_an_event_that_can_be_replied_to_is_a_contact_for_held_letters(tmp_path: Path, kind: str, scene: str) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.account["proactive"] = frozenset()
            await buoy.start()
            await buoy.send(f"qq:{scene}:{sim.meet(scene)}", "kept")
            assert await buoy.ends("kept") == "held"
            event = await happens(sim, buoy, kind)
            await buoy.answered(event)
            (shown,) = sim.delivered
            assert ("kept" in shown.text, shown.anchor, shown.proactive) == (True, event, False)

    asyncio.run(run())


def test_a_user_who_comes_back_is_written_to_as_the_settings_say(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            lane = f"qq:c2c:{sim.meet()}"
            await happens(sim, buoy, "FRIEND_DEL")
            await buoy.send(lane, "gone")
            assert await buoy.ends("gone") == "held"
            assert "removed the bot" in buoy.letter("gone")["reason"]
            await buoy.answered(await happens(sim, buoy, "FRIEND_ADD"))
            sim.clock.advance(4000)
            await buoy.send(lane, "back")
            assert await buoy.ends("back") == "sent"
            assert sim.delivered[-1].proactive

    asyncio.run(run())


# --- what is late ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits_s", "manner", "text"),
    [
        (60, Manner(), "kept"),
        (4000, Manner(), "（迟到的消息，写于 {at}）\nkept"),
        (4000, Manner("en"), "(late message, written {at})\nkept"),
        (4000, Manner(late_after_s=5000.0), "kept"),
    ],
)
def test_what_is_late_says_when_it_was_written_and_what_is_hardly_late_does_not(
    tmp_path: Path, waits_s: float, manner: Manner, text: str
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.account["manner"] = manner
            await buoy.start()
            await buoy.send(f"qq:group:{sim.meet('group')}", "kept")
            assert await buoy.ends("kept") == "held"
            there = time.gmtime(buoy.letter("kept")["created_at"] + 8 * 3600)
            sim.clock.advance(waits_s)
            today = time.gmtime(sim.clock.now() + 8 * 3600)
            at = time.strftime("%H:%M" if there.tm_yday == today.tm_yday else "%m-%d %H:%M", there)
            message = await sim.say("hello", scene="group")
            await buoy.answered(message, times=2)
            assert [one.text for one in sim.replies(message)] == [text.format(at=at), "hello"]

    asyncio.run(run())


def test_a_late_letter_that_is_held_once_more_keeps_the_time_at_which_it_was_written(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await buoy.send(f"qq:group:{sim.meet('group')}", "kept")
            assert await buoy.ends("kept") == "held"
            sim.clock.advance(4000)
            sim.faults.add("error_code", code=40054016, endpoint="send", count=1)  # a person must publish the bot
            first = await sim.say("hello", scene="group")
            await buoy.answered(first)
            await sim.until(lambda: [row["state"] for row in buoy.letters("kept")] == ["merged", "held"])
            sim.clock.advance(4000)
            second = await sim.say("again", scene="group")
            await buoy.answered(second, times=2)
            once, twice = (row["body"].decode() for row in buoy.letters("kept")[1:])
            assert once.count("写于") == twice.count("写于") == 1
            assert once == twice

    asyncio.run(run())


# --- what is long ------------------------------------------------------------------------------------------

NOTE = "内容较长，全文在下面的文件里。"
LONG = "\n".join(f"line {n} {'word ' * 700}" for n in range(8))
PIECES = 8


async def at_length(message: Message) -> str:
    return LONG if message.text == "tell me all" else message.text


def words(*texts: str) -> list[str]:
    return [word for text in texts for word in text.split()]


@pytest.mark.parametrize("scene", ["c2c", "group"])
def test_a_text_too_long_for_the_replies_left_is_one_file_behind_a_note(tmp_path: Path, scene: str) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", at_length) as (sim, buoy):
            await buoy.start()
            message = await sim.say("tell me all", scene=scene)
            await buoy.answered(message, times=2)
            await buoy.settled()
            note, file = sim.replies(message)
            assert (note.text, file.file_name, file.file_text) == (NOTE, "reply.txt", LONG)
            assert [file.msg_type, file.anchor, file.msg_seq] == [7, message, 2]
            assert [row["state"] for row in buoy.letters()] == ["sent", "sent"]
            assert sim.world.counters["uploads"] == 1

    asyncio.run(run())


def test_guilds_take_no_files_and_get_it_in_pieces(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", at_length) as (sim, buoy):
            await buoy.start()
            message = await sim.say("tell me all", scene="channel")
            await buoy.answered(message, times=PIECES)
            await buoy.settled()
            assert words(*(one.text for one in sim.replies(message))) == words(LONG)

    asyncio.run(run())


def test_a_file_whose_fate_is_unknown_is_uploaded_and_sent_again_with_its_number_across_a_crash(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", at_length) as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            shown = [0]
            sim.world.on_delivered.append(lambda one: shown.append(one.msg_type))
            sim.faults.add("hang", endpoint="send", mode="after")
            message = await sim.say("tell me all")
            await sim.until(lambda: len(sim.delivered) == 1)  # the note; nobody hears of it
            await buoy.crash()
            sim.faults.remove()
            await buoy.start()
            sim.faults.add("accept_then_reset", endpoint="send", count=1)
            await buoy.answered(message, times=2)
            await sim.until(lambda: [row["state"] for row in buoy.letters()] == ["sent", "sent"])
            assert [one.msg_type for one in sim.delivered] == [0, 7], "each of them once"
            files = [request for request in requests if request["msg_type"] == 7]
            assert len({request["msg_seq"] for request in files}) == 1
            assert len({request["media"]["file_info"] for request in files}) == len(files)
            assert sim.world.counters["duplicates_refused"] >= 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error_code", "endpoint": "files", "code": 11253},
        {"kind": "error_code", "endpoint": "files", "code": 40093002},
        {"kind": "http_status", "endpoint": "files", "status": 413, "body": "html"},
        {"kind": "http_status", "endpoint": "files", "status": 502, "body": "html"},
    ],
    ids=["no permission", "volume used up", "too large", "down for long"],
)
def test_where_qq_takes_no_file_the_text_goes_in_messages_and_nothing_is_lost(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", at_length) as (sim, buoy):
            buoy.account["proactive"] = frozenset()
            await buoy.start()
            sim.faults.add(**fault)
            message = await sim.say("tell me all")
            await buoy.answered(message, times=3)
            await buoy.settled()
            told = [one.text for one in sim.replies(message)]
            assert told[0] == NOTE
            for n in range(2):
                again = await sim.say(f"go on {n}")
                await buoy.answered(again, times=2)
                await buoy.settled()
                told += [one.text for one in sim.replies(again) if one.text != f"go on {n}"]
            assert words(*told[1:]) == words(LONG)
            assert not buoy.rows("SELECT 1 FROM outbox WHERE state NOT IN ('sent', 'merged')")

    asyncio.run(run())


def test_held_letters_that_are_long_go_as_one_file_and_the_turn_has_its_replies(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", at_length) as (sim, buoy):
            buoy.account["proactive"] = frozenset()
            await buoy.start()
            lane = f"qq:c2c:{sim.meet()}"
            texts = [f"{n} " + "word " * 700 for n in range(4)]
            for text in texts:
                await buoy.send(lane, text)
            await buoy.settled()
            sim.clock.advance(1000)
            message = await sim.say("hello")
            await buoy.answered(message, times=3)
            note, file, own = sim.replies(message)
            assert note.text.startswith("（迟到的消息，写于 ")
            assert note.text.endswith(NOTE)
            assert words(file.file_text)[2:] == words(*texts), "behind the line that says how late it is"
            assert own.text == "hello"

    asyncio.run(run())
