"""The rules in detail, "Inbound": one test for each clause, in the order of the rules."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from buoy import agents
from buoy.chat import Agent, Message
from buoy.gateway.worker import Turns
from tests.rules.running import APP_ID, Buoy, Waiting, prepared, waiting_agent

DAY_S = 86_400.0

# --- the cursor --------------------------------------------------------------------------------------------


def test_the_session_of_ready_is_committed_before_anything_that_it_brings(tmp_path: Path) -> None:
    """READY is kept waiting for its commit while a message is already there, then lost: nothing resumes it."""

    def look(db: sqlite3.Connection) -> object:
        sessions = {row[0] for row in db.execute("SELECT session FROM cursor")}
        strangers = db.execute("SELECT type, session FROM inbox WHERE seq IS NOT NULL").fetchall()
        return [row for row in strangers if row[1] not in sessions]

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.disk.looks.append(look)
            await buoy.start(live=False)
            await sim.until(lambda: sim.world.counters["ready"] == 1)
            message = await sim.say("at once")
            await buoy.answered(message)
            (session,) = sim.world.sessions.of()
            assert buoy.cursor == (session.id, session.s)
            rows = buoy.rows("SELECT type, seq FROM inbox ORDER BY id")
            assert [(row["type"], row["seq"]) for row in rows] == [("READY", 1), ("C2C_MESSAGE_CREATE", 2)]
            assert buoy.disk.seen == []
            await buoy.crash()
            await buoy.start()
            assert (sim.world.counters["identifies"], sim.world.counters["resumed"]) == (1, 1)

    asyncio.run(run())


STRANGE = (
    '"t":"SOMETHING_NEW","id":"new:1","d":{"of":["them"]}',
    '"t":"C2C_MESSAGE_CREATE","id":"odd:1","d":"no object"',
    '"t":"C2C_MESSAGE_CREATE","d":{"id":7,"author":[],"content":{}}',
    '"t":17,"id":["x"],"d":null',
    '"d":' + "[" * 300 + "]" * 300,
    '"t":"GROUP_ADD_ROBOT"',
)


def test_every_dispatch_moves_the_cursor_in_the_transaction_of_its_row_strange_ones_included(tmp_path: Path) -> None:
    def look(db: sqlite3.Connection) -> object:
        """What is stored reaches as far as the cursor says, and no further."""
        ((stored,),) = db.execute("SELECT coalesce(max(stored), 0) FROM cursor").fetchall() or [(0,)]
        ((rows,),) = db.execute("SELECT coalesce(max(seq), 0) FROM inbox")
        return None if stored == rows else (stored, rows)

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.disk.looks.append(look)
            await buoy.start()
            for fields in STRANGE:
                seq = buoy.dispatch(fields)
                await buoy.stored(seq)
                (row,) = buoy.rows("SELECT * FROM inbox WHERE seq = ?", seq)
                assert row["state"] == "stored", fields
                assert fields.encode() in row["frame"], "it is kept as it came"
            message = await sim.say("and on it goes")
            await buoy.answered(message)
            assert buoy.disk.seen == []
            assert sim.world.counters["connects"] == 1

    asyncio.run(run())


def test_the_cursor_moves_forward_only(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await buoy.answered(*[await sim.say(f"number {n}") for n in range(5)])
            before = buoy.cursor
            buoy.inject('{"op":0,"s":2,"t":"LATE","id":"late:1","d":{}}')
            await sim.until(lambda: bool(buoy.rows("SELECT 1 FROM inbox WHERE key = 'late:1'")))
            assert buoy.cursor == before

    asyncio.run(run())


def test_the_cursor_moves_for_its_own_session_only(tmp_path: Path) -> None:
    """A sequence that comes before READY belongs to no session that we know; the old cursor stays where it is."""

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await buoy.answered(await sim.say("one"))
            before = buoy.cursor
            await buoy.stop()
            sim.faults.add("refuse_resume", count=1)
            sim.faults.add("no_ready", count=1)
            await buoy.start(live=False)
            await sim.until(lambda: sim.world.counters["identifies"] == 2)
            buoy.inject('{"op":0,"s":99,"t":"EARLY","id":"early:1","d":{}}')
            await sim.until(lambda: bool(buoy.rows("SELECT 1 FROM inbox WHERE key = 'early:1'")))
            assert buoy.cursor == before
            (row,) = buoy.rows("SELECT session, seq FROM inbox WHERE key = 'early:1'")
            assert row == {"session": "", "seq": None}

    asyncio.run(run())


def test_a_duplicate_meets_a_unique_key_in_the_database_also_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            sim.faults.add("duplicate_events", count=1)
            message = await sim.say("twice on one connection")
            await sim.until(lambda: buoy.cursor[1] == 3)
            await buoy.settled()
            await buoy.crash()
            await buoy.start()
            assert await sim.say("and once more", message_id=message) == message
            last = await sim.say("something else")
            await buoy.answered(message, last)
            await buoy.settled()
            assert len(sim.replies(message)) == 1
            assert buoy.event(message)["state"] == "done"
            with closing(sqlite3.connect(buoy.directory / "buoy.db")) as db, pytest.raises(sqlite3.IntegrityError):
                db.execute(
                    "INSERT INTO inbox (bot, shard, session, type, key, event_at, received_at, state) "
                    "VALUES (?, 0, '', '', ?, 0, 0, 'stored')",
                    (APP_ID, message),
                )

    asyncio.run(run())


def test_every_row_carries_bot_and_shard(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            guild = int(sim.world.number(sim.world.bot(), "guild", 0))
            mine = next(((guild >> 22) % count, count) for count in range(2, 99) if (guild >> 22) % count)
            buoy.account["shard"] = mine
            await buoy.start()
            message = await sim.say("in a channel", scene="channel")
            await buoy.answered(message)
            await buoy.stop()
            sim.faults.add("refuse_resume", count=1)
            await buoy.start(live=False)
            await sim.until(lambda: bool(buoy.rows("SELECT 1 FROM gap")))
            for table in ("inbox", "cursor", "identify", "gap"):
                rows = buoy.rows(f"SELECT DISTINCT bot, shard FROM {table}")
                assert rows == [{"bot": APP_ID, "shard": mine[0]}], table
            assert buoy.rows("SELECT DISTINCT bot FROM outbox") == [{"bot": APP_ID}]

    asyncio.run(run())


# --- IDENTIFY ----------------------------------------------------------------------------------------------


def test_an_identify_is_a_committed_row_before_it_leaves(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.disk.holds = lambda db: db.execute("SELECT count(*) FROM identify").fetchone()[0]
            sim.faults.add("no_ready")
            await buoy.start(live=False)
            await sim.until(lambda: sim.connections == 1)
            with pytest.raises(TimeoutError):
                await sim.until(lambda: sim.world.counters["identifies"] > 0, 0.3)
            assert buoy.rows("SELECT * FROM identify") == [], "the disk is still busy with it"
            buoy.disk.go_on.set()
            await sim.until(lambda: sim.world.counters["identifies"] == 1)
            assert buoy.rows("SELECT bot, ready_at FROM identify") == [{"bot": APP_ID, "ready_at": None}]

    asyncio.run(run())


def test_an_identify_that_the_disk_refuses_does_not_leave(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.disk.refuses = lambda db: db.execute("SELECT count(*) FROM identify").fetchone()[0]
            await buoy.start(live=False)
            await sim.until(lambda: buoy.bot.get("cause") == "store")
            assert (sim.world.counters["connects"], sim.world.counters["identifies"]) == (1, 0)

    asyncio.run(run())


async def _with_identifies(buoy: Buoy, *ages_s: float, ready: bool = True) -> None:
    """Write identifies into the store as an earlier process would have left them."""
    await buoy.start(live=False)
    await buoy.stop()
    with closing(sqlite3.connect(buoy.directory / "buoy.db")) as db, db:
        db.execute("DELETE FROM identify")
        db.execute("DELETE FROM cursor")
        for age_s in ages_s:
            at = buoy.wall() - age_s
            db.execute(
                "INSERT INTO identify (bot, shard, at, ready_at) VALUES (?, 0, ?, ?)",
                (APP_ID, at, at if ready else None),
            )


def test_what_is_left_is_what_the_platform_says_less_ours_since(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", identifies_per_day=500) as (sim, buoy):
            await buoy.start()
            assert buoy.bot["identifies_left"] == 499
            for shard in (1, 2, 3):
                await buoy.app.door.record_identify(APP_ID, shard)
            sim.faults.add("ws_reset")
            await sim.until(lambda: sim.world.counters["resumed"] == 1 and buoy.is_live)
            assert sim.world.counters["requests_gateway"] == 1, "the platform's number is an old one by now"
            assert buoy.bot["identifies_left"] == 500 - 4

    asyncio.run(run())


def test_what_is_left_is_never_more_than_a_thousand_less_ours_of_a_day(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", identifies_per_day=5000) as (sim, buoy):
            await _with_identifies(buoy, *[DAY_S + 60] * 400, *[DAY_S / 2] * 990)
            sim.clock.advance(10)
            await buoy.start()
            assert buoy.bot["identifies_left"] == 9
            await buoy.stop()
            await _with_identifies(buoy, *[DAY_S / 2] * 1000)
            identifies = sim.world.counters["identifies"]
            await buoy.start(live=False)
            await sim.until(lambda: buoy.bot.get("cause") == "identify budget")
            assert buoy.bot["phase"] == "waiting"
            assert sim.world.counters["identifies"] == identifies, "none left: it does not even try"

    asyncio.run(run())


def test_an_identify_without_a_committed_ready_is_a_gap_at_the_next_start(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            sim.faults.add("no_ready", count=1)
            await buoy.start(live=False)
            await sim.until(lambda: sim.world.counters["identifies"] == 1)
            await buoy.crash()
            assert buoy.rows("SELECT * FROM gap") == []
            sim.clock.advance(60)
            await buoy.start()
            await sim.until(lambda: bool(buoy.rows("SELECT * FROM gap")))
            assert [gap["cause"] for gap in buoy.rows("SELECT cause FROM gap")] == ["unready identify"]
            await buoy.crash()
            await buoy.start()
            assert len(buoy.rows("SELECT * FROM gap")) == 1, "a READY that is committed settles it"

    asyncio.run(run())


def test_starting_obeys_the_backoff_on_disk_so_that_a_crash_loop_cannot_spend_the_budget(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            sim.faults.add("no_ready")
            await buoy.start(live=False)
            await sim.until(lambda: sim.world.counters["identifies"] == 1)
            for _ in range(5):
                await buoy.crash()
                await buoy.start(live=False)
                await sim.until(lambda: buoy.bot["phase"] == "waiting")
                assert buoy.bot["next_try_s"] > 0
            assert (sim.world.counters["identifies"], sim.world.counters["connects"]) == (1, 1)
            await buoy.stop()
            await _with_identifies(buoy, 100.0, 50.0, 1.0, ready=False)
            await buoy.start(live=False)
            await sim.until(lambda: buoy.bot["phase"] == "waiting")
            assert 50 < buoy.bot["next_try_s"] <= 60, "three in a row: a minute from the last one on"

    asyncio.run(run())


# --- which messages get a turn -----------------------------------------------------------------------------

FOR_US: dict[str, dict[str, Any]] = {
    "c2c": {"scene": "c2c"},
    "group @": {"scene": "group"},
    "guild @": {"scene": "channel"},
    "dm": {"scene": "dm"},
    "group full, addressed": {"scene": "group", "full": True},
}
NOT_FOR_US: dict[str, dict[str, Any]] = {
    "group full, not addressed": {"scene": "group", "full": True, "at": False},
    "group full, everyone": {"scene": "group", "full": True, "everyone": True},
    "guild full": {"scene": "channel", "full": True, "at": False},
}
RELATIONS = ("FRIEND_ADD", "GROUP_ADD_ROBOT", "GROUP_MSG_REJECT", "GROUP_MEMBER_ADD")


def test_messages_to_the_bot_get_a_turn_in_every_scene(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            said = {name: await sim.say(name, **speech) for name, speech in FOR_US.items()}
            await buoy.answered(*said.values())
            assert {sim.replies(message)[0].text for message in said.values()} == set(FOR_US)

    asyncio.run(run())


def test_authors_that_are_bots_never_get_a_turn(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            said = [await sim.say(name, from_bot=True, **speech) for name, speech in FOR_US.items()]
            await buoy.answered(await sim.say("from a person"))
            await buoy.settled()
            assert {buoy.event(message)["state"] for message in said} == {"stored"}
            assert not any(sim.replies(message) for message in said)

    asyncio.run(run())


def test_everything_else_is_stored_without_a_turn(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            said = [await sim.say(name, **speech) for name, speech in NOT_FOR_US.items()]
            said += [await sim.happen(kind) for kind in RELATIONS]
            said += [await sim.happen("INTERACTION_CREATE", kind=kind) for kind in (13, 14, 2001)]
            said += [await sim.happen("SOMETHING_NEW", d={"id": "1", "content": "hello"})]
            await buoy.answered(await sim.say("from a person"))
            await buoy.settled()
            assert {buoy.event(one)["state"] for one in said} == {"stored"}
            assert not any(sim.replies(one) for one in said)
            assert len(sim.delivered) == 1

    asyncio.run(run())


@pytest.mark.parametrize(("addressed", "upgraded"), [(False, True), (True, False)])
def test_an_at_event_after_a_full_mode_event_of_its_id_gets_the_turn_that_that_one_did_not(
    tmp_path: Path, *, addressed: bool, upgraded: bool
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            message = await sim.say("hello", scene="group", both=True, at=addressed)
            await buoy.answered(message, await sim.say("afterwards", scene="group"))
            await buoy.settled()
            assert [reply.text for reply in sim.replies(message)] == ["hello"]
            kind = "GROUP_AT_MESSAGE_CREATE" if upgraded else "GROUP_MESSAGE_CREATE"
            assert buoy.event(message)["type"] == kind

    asyncio.run(run())


# --- ids ---------------------------------------------------------------------------------------------------

ODD_IDS = ("a/b?c=d&e#f", "100%/../x", "ü 語 🙂", "with:colon@at", "'); DROP TABLE inbox;--")


def test_ids_are_opaque_and_only_the_simulator_checks_their_shape(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", check_ids=False) as (sim, buoy):
            await buoy.start()
            for n, ident in enumerate(ODD_IDS):
                message = await sim.say("hello", user=ident, message_id=f"{ident}/{n}")
                await buoy.answered(message)
                assert sim.replies(message)[0].target == ident
                await buoy.send(f"qq:c2c:{ident}@{APP_ID}", f"to {n}")
                await buoy.settled()
                assert buoy.letter(f"to {n}")["state"] == "sent"
        async with prepared(tmp_path / "strict") as (sim, buoy):
            await buoy.start()
            await buoy.send("qq:c2c:not-an-openid", "hello")
            await buoy.settled()
            assert (buoy.letter("hello")["state"], buoy.letter("hello")["code"]) == ("dead", 11255)

    asyncio.run(run())


# --- claims ------------------------------------------------------------------------------------------------


def test_a_claim_carries_the_boot_and_the_next_one_voids_it_at_once_so_that_the_turn_runs_within_a_second(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            await buoy.start()
            message = await sim.say("interrupted")
            await sim.until(lambda: agent.has_begun("interrupted"))
            assert (buoy.event(message)["state"], buoy.event(message)["boot"]) == ("running", 1)
            await buoy.crash()
            agent.let_go("interrupted")
            clock = asyncio.get_running_loop().time
            began = clock()
            await buoy.start(live=False)
            await buoy.answered(message)
            assert clock() - began < 1.0
            await buoy.settled()
            assert (buoy.event(message)["state"], buoy.event(message)["boot"]) == ("done", 2)

    asyncio.run(run())


def test_a_claim_is_no_lease_that_runs_out_while_its_process_lives(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            buoy.settings["turns"] = Turns(timeout_s=1e6)
            await buoy.start()
            message = await sim.say("long")
            await sim.until(lambda: agent.has_begun("long"))
            sim.clock.advance(3500)
            other = await sim.say("meanwhile", user=1)
            agent.let_go("meanwhile")
            await buoy.answered(other)
            assert buoy.event(message)["state"] == "running"
            agent.let_go("long")
            await buoy.answered(message)
            assert [one.text for one in agent.began].count("long") == 1

    asyncio.run(run())


# --- attempts ----------------------------------------------------------------------------------------------


def test_an_attempt_is_counted_on_disk_before_the_agent_runs(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):

            async def answer(message: Message) -> str:
                row = buoy.event(message.id)
                seen.append((row["state"], row["attempts"]))
                if len(seen) == 1:
                    raise RuntimeError("not yet")
                return message.text

            buoy.agent = Agent(answer, "reader")
            await buoy.start()
            await buoy.answered(await sim.say("hello"))
            assert seen == [("running", 1), ("running", 2)]

    asyncio.run(run())


def test_an_orderly_stop_gives_the_attempt_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            await buoy.start()
            message = await sim.say("hello")
            for n in range(3):
                await agent.has_run(n + 1)
                await buoy.stop()
                row = buoy.event(message)
                assert (row["state"], row["attempts"], row["unclean"]) == ("waiting", 0, 0)
                await buoy.start(live=False)
            agent.let_go("hello")
            await buoy.answered(message)
            assert {one.attempt for one in agent.began} == {1}

    asyncio.run(run())


def test_a_turn_charged_twice_by_unclean_ends_runs_alone_from_then_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            await buoy.start()
            old = [await sim.say(f"old {n}", user=n) for n in range(3)]
            for _ in range(2):
                await sim.until(lambda: agent.running == {"old 0", "old 1", "old 2"})
                await buoy.crash()
                assert not agent.running
                await buoy.start()
            new = await sim.say("new", user=7)
            for _ in range(3):
                await sim.until(lambda: bool(agent.running))
                assert len(agent.running) == 1, "nothing beside it, what is new included"
                assert agent.running != {"new"}
                agent.let_go(*agent.running)
                await sim.until(lambda: not agent.running or agent.running == {"new"} or len(agent.running) > 1)
                await sim.until(lambda: bool(agent.running))
            agent.let_go("new")
            await buoy.answered(*old, new)
            assert all(buoy.event(message)["alone"] == 1 for message in old)
            assert buoy.event(new)["alone"] == 0

    asyncio.run(run())


def test_only_unclean_ends_while_alone_count_towards_the_five_so_no_innocent_dies_for_anothers_poison(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            await buoy.start()
            poison = await sim.say("poison", user=0)
            innocent = [await sim.say(f"innocent {n}", user=n) for n in range(1, 4)]
            names = [f"innocent {n}" for n in range(1, 4)]
            crashes = 0
            while True:
                await sim.until(lambda: "poison" in agent.running or buoy.event(poison)["state"] == "dead")
                if buoy.event(poison)["state"] == "dead":
                    break
                if crashes < 2:
                    await sim.until(lambda: len(agent.running) == 4)
                await buoy.crash()
                crashes += 1
                await buoy.start(live=False)
            assert crashes == 2 + 5, "two beside others count for nothing, five alone make a dead letter"
            agent.let_go(*names)
            after = await sim.say("after it", user=0)
            agent.let_go("after it")
            await buoy.answered(*innocent, after)
            await buoy.settled()
            assert Counter(len(sim.replies(message)) for message in [*innocent, after]) == {1: 4}
            assert not sim.replies(poison)
            assert buoy.event(poison)["unclean_alone"] == 5

    asyncio.run(run())


# --- agents that hang or block -----------------------------------------------------------------------------


def test_an_agent_that_hangs_in_await_times_out_and_others_are_not_affected(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            agent.let_go("other", "next")
            buoy.settings["turns"] = Turns(timeout_s=0.3)
            await buoy.start()
            hangs = await sim.say("hangs", user=0)
            behind = await sim.say("next", user=0)
            await buoy.answered(await sim.say("other", user=1))
            assert "hangs" in agent.running, "the other one did not have to wait for it"
            await buoy.answered(behind)
            row = buoy.event(hangs)
            assert (row["state"], "did not answer within 0.3 s" in row["reason"]) == ("dead", True)

    asyncio.run(run())


def test_an_agent_that_blocks_runs_in_a_process_of_its_own_and_can_be_interrupted_there(tmp_path: Path) -> None:
    """In the loop, the watcher ends the process: tests/system/test_life.py, a loop that blocks."""

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.agent = agents.build(
                "python:tests.rules.blocking:answer", {"isolation": "process", "timeout_s": 1.5, "workers": 2}
            )
            await buoy.start()
            blocked = await sim.say("block", user=0)
            behind = await sim.say("behind it", user=0)
            other = await sim.say("other", user=1)
            await buoy.answered(other)
            assert buoy.event(blocked)["state"] == "running"
            await buoy.answered(behind)
            assert buoy.event(blocked)["state"] == "dead"

    asyncio.run(run())
