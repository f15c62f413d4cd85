"""The rules in detail, "Turn and letters": one test for each clause, in the order of the rules."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from buoy import agents
from buoy.chat import Agent, Message, Reply
from buoy.durable import status
from buoy.errors import ConfigError
from buoy.gateway.courier import Holding
from buoy.sim.simulator import Sim
from tests.rules.running import Buoy, Requests, Waiting, prepared, waiting_agent

DAY_S = 86_400.0
QUIET = frozenset[str]()  # proactive messages are not tried in any scene

# --- what a turn returns -----------------------------------------------------------------------------------


def test_what_a_turn_yields_is_queued_in_the_transaction_that_ends_it(tmp_path: Path) -> None:
    def look(db: sqlite3.Connection) -> object:
        """A turn has all its letters, or has not ended and has none."""
        told = db.execute(
            "SELECT state, (SELECT count(*) FROM outbox WHERE event = inbox.id) FROM inbox WHERE lane IS NOT NULL"
        )
        return [row for row in told if row not in {("waiting", 0), ("running", 0), ("done", 3)}]

    async def answer(message: Message) -> AsyncIterator[str]:
        for n in range(3):
            yield f"{message.text}, part {n}"

    async def run() -> None:
        async with prepared(tmp_path / "data", answer) as (sim, buoy):
            buoy.disk.looks.append(look)
            await buoy.start()
            await buoy.answered(*[await sim.say(f"text {n}", user=n) for n in range(10)], times=3)
            await buoy.settled()
            assert buoy.disk.seen == []
            assert len(buoy.letters()) == 30

    asyncio.run(run())


class Parts:
    """An agent that can continue: tells three parts, and waits before each but the first until it is let go."""

    def __init__(self) -> None:
        self.given: list[tuple[str, ...]] = []
        self.go_on = asyncio.Semaphore(0)

    async def answer(self, message: Message) -> AsyncIterator[str]:
        self.given.append(message.delivered)
        for n in range(len(message.delivered), 4):
            if n:
                await self.go_on.acquire()
            yield f"part {n + 1}"


def test_an_agent_that_can_continue_has_each_part_committed_before_it_leaves(tmp_path: Path) -> None:
    keys: list[list[str]] = []

    async def run() -> None:
        parts = Parts()
        agent = Agent(parts.answer, "parts", can_continue=True)
        async with prepared(tmp_path / "data", agent) as (sim, buoy):
            sim.world.on_delivered.append(
                lambda _: keys.append([row["key"] for row in buoy.letters() if row["state"] == "claimed"])
            )
            await buoy.start()
            message = await sim.say("tell me")
            for n in range(2):
                parts.go_on.release()
                await buoy.answered(message, times=n + 1)
                assert buoy.event(message)["state"] == "running", "it left early"
            parts.go_on.release()
            await buoy.answered(message, times=4)
            assert keys == [[f"{message}/{n}"] for n in (1, 2, 3, 4)]

    asyncio.run(run())


def test_a_second_run_is_given_what_was_delivered_and_only_continues(tmp_path: Path) -> None:
    async def run() -> None:
        parts = Parts()
        agent = Agent(parts.answer, "parts", can_continue=True)
        async with prepared(tmp_path / "data", agent) as (sim, buoy):
            await buoy.start()
            message = await sim.say("tell me")
            parts.go_on.release()
            parts.go_on.release()
            await buoy.answered(message, times=2)
            await buoy.crash()
            for _ in range(8):
                parts.go_on.release()
            await buoy.start()
            await buoy.answered(message, times=4)
            await buoy.settled()
            assert parts.given == [(), ("part 1", "part 2")]
            assert [reply.text for reply in sim.replies(message)] == ["part 1", "part 2", "part 3", "part 4"]
            assert [row["key"] for row in buoy.letters()] == [f"{message}/{n}" for n in (1, 2, 3, 4)]

    asyncio.run(run())


@pytest.mark.parametrize("nothing", [None, "", "  \n", [], [None, ""]])
def test_none_or_empty_means_no_reply(tmp_path: Path, nothing: Any) -> None:
    async def answer(message: Message) -> Any:
        return message.text if message.text == "speak" else nothing

    async def run() -> None:
        async with prepared(tmp_path / "data", answer) as (sim, buoy):
            await buoy.start()
            message = await sim.say("be quiet")
            await buoy.answered(await sim.say("speak"))
            assert buoy.event(message)["state"] == "done"
            assert [reply.text for reply in sim.delivered] == ["speak"]
            assert len(buoy.letters()) == 1

    asyncio.run(run())


def test_a_plain_def_as_agent_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match=r"async def answer.*isolation = \"process\""):
        agents.build("python:tests.rules.blocking:answer")


# --- msg_seq -----------------------------------------------------------------------------------------------


def counted(db: sqlite3.Connection) -> object:
    """Numbers that letters carry and that their anchor's counter does not know of."""
    return db.execute(
        "SELECT outbox.key, outbox.seq, uses FROM outbox JOIN inbox ON inbox.id = anchor_row WHERE outbox.seq > uses"
    ).fetchall()


def test_msg_seq_counts_on_for_each_anchor_whichever_letter_it_is_also_after_a_crash(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.disk.looks.append(counted)
            buoy.account["proactive"] = QUIET
            await buoy.start()
            message = await sim.say("hello")
            await buoy.answered(message)
            target = f"qq:c2c:{sim.replies(message)[0].target}"
            await buoy.send(target, "from elsewhere")
            await buoy.answered(message, times=2)
            sim.faults.add("hang", endpoint="send", mode="before")
            await buoy.send(target, "attempted, then the process died")
            await sim.until(lambda: buoy.letter("then")["state"] == "claimed")
            await buoy.crash()
            sim.faults.remove()
            await buoy.start()
            await buoy.answered(message, times=3)
            await buoy.send(target, "after it")
            await buoy.answered(message, times=4)
            told = [(reply.text.split(",")[0], reply.msg_seq) for reply in sim.replies(message)]
            assert told == [("hello", 1), ("from elsewhere", 2), ("attempted", 3), ("after it", 4)]
            assert buoy.disk.seen == []

    asyncio.run(run())


def test_the_counter_is_raised_in_the_transaction_that_records_the_attempt(tmp_path: Path) -> None:
    """A disk that refuses that transaction lets nothing leave; a later one lets it leave with the first number."""

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            requests = Requests(sim)
            buoy.disk.looks.append(counted)
            buoy.disk.refuses = lambda db: db.execute("SELECT 1 FROM outbox WHERE state = 'claimed'").fetchone()
            await buoy.start()
            message = await sim.say("hello")
            await sim.until(lambda: buoy.app.store.stats.failed > 0)
            assert (buoy.event(message)["uses"], list(requests)) == (0, [])
            buoy.disk.refuses = lambda _: False
            await buoy.answered(message)
            assert [request["msg_seq"] for request in requests] == [1]
            assert buoy.disk.seen == []

    asyncio.run(run())


def identity(request: dict[str, Any]) -> tuple[Any, ...]:
    return request["content"], request.get("msg_id"), request.get("msg_seq")


def test_an_attempted_letter_is_frozen_and_repeated_as_it_is_whatever_comes_meanwhile(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            sim.faults.add("http_status", endpoint="send", mode="after", status=502, body="html")
            first = await sim.say("first")
            await sim.until(lambda: len(requests) == 1)
            newer = await sim.say("second")
            await sim.until(lambda: len(requests) == 2)
            await buoy.crash()
            await buoy.start()
            await sim.until(lambda: len(requests) == 3)
            sim.faults.remove()
            await buoy.answered(first, newer)
            await buoy.settled()
            assert {identity(request) for request in requests[:-1]} == {("first", first, 1)}
            assert identity(requests[-1]) == ("second", newer, 1)
            assert (len(sim.replies(first)), buoy.letter("first")["state"]) == (1, "sent")

    asyncio.run(run())


def test_only_a_definite_refusal_unfreezes_a_letter(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent, requests = waiting_agent(buoy), Requests(sim)
            await buoy.start()
            first = await sim.say("first")
            await sim.until(lambda: agent.has_begun("first"))
            newer = await sim.say("newer")
            await sim.until(lambda: bool(buoy.event(newer)))
            sim.faults.add("error_code", code=40034024, endpoint="send", count=1)  # this anchor is dead
            agent.let_go("first")
            await buoy.answered(newer)
            assert [identity(request) for request in requests] == [("first", newer, 1)]
            agent.let_go("newer")
            await buoy.answered(newer, times=2)
            assert not sim.replies(first)

    asyncio.run(run())


# --- the last reply ----------------------------------------------------------------------------------------


def test_the_last_reply_of_an_anchor_is_kept_for_its_own_turn(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            agent = waiting_agent(buoy)
            buoy.account["proactive"] = QUIET
            await buoy.start()
            message = await sim.say("thinking")
            await sim.until(lambda: agent.has_begun("thinking"))
            lane = buoy.event(message)["lane"]
            states = []
            for n in range(4):
                await buoy.send(lane, f"aside {n}")
                states.append(await buoy.ends(f"aside {n}"))
            assert states == ["sent"] * 3 + ["held"]
            assert "turn that still runs" in buoy.letter("aside 3")["reason"]
            agent.let_go("thinking")
            await buoy.answered(message, times=4)
            assert sim.replies(message)[-1].text == "thinking"

    asyncio.run(run())


def test_letters_of_another_turn_may_not_take_the_last_reply_either(tmp_path: Path) -> None:
    async def answer(message: Message) -> list[Reply]:
        return [Reply("x" * 3900 + f" {message.text}, part {n}") for n in range(4)]

    async def run() -> None:
        waiting = None
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            waiting = waiting_agent(buoy)

            async def both(message: Message) -> Any:
                return await (answer(message) if message.text == "long" else waiting.answer(message))

            buoy.agent = Agent(both, "both")
            buoy.account["proactive"] = QUIET
            await buoy.start()
            refused = sim.faults.add("error_code", code=50055001, endpoint="send")  # "try later"
            long = await sim.say("long")
            await sim.until(lambda: len(buoy.letters("long")) == 4)
            sim.clock.advance(3700)
            newer = await sim.say("newer")
            await sim.until(lambda: waiting.has_begun("newer"))
            sim.faults.remove(refused.id)
            await buoy.answered(newer, times=3)
            await sim.until(lambda: [row["state"] for row in buoy.letters("long")] == ["sent"] * 3 + ["held"])
            waiting.let_go("newer")
            await buoy.answered(newer, times=4)
            assert sim.replies(newer)[-1].text == "newer"
            assert not sim.replies(long)

    asyncio.run(run())


# --- held letters ------------------------------------------------------------------------------------------


async def held(buoy: Buoy, sim: Sim, *texts: str) -> str:
    """Letters to a group that has not spoken: they wait for it to."""
    lane = f"qq:group:{sim.meet('group')}"
    for text in texts:
        await buoy.send(lane, text)
        assert await buoy.ends(text) == "held"
    return lane


def test_on_contact_held_letters_go_first_merged_into_one_then_the_turns_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await held(buoy, sim, "one", "two", "three")
            message = await sim.say("hello", scene="group")
            await buoy.answered(message, times=2)
            await buoy.settled()
            first, second = (reply.text for reply in sim.replies(message))
            assert (first.split(), second) == (["one", "two", "three"], "hello")
            originals = [row for row in buoy.letters() if row["origin"] == "send"]
            assert [row["state"] for row in originals] == ["merged"] * 3
            assert {row["into_id"] for row in originals} == {
                buoy.rows("SELECT id FROM outbox WHERE origin='held'")[0]["id"]
            }

    asyncio.run(run())


def test_a_held_letter_never_blocks_later_letters_of_its_lane(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            message = await sim.say("hello", scene="group")
            await buoy.answered(message)
            lane = buoy.event(message)["lane"]
            sim.faults.add("error_code", code=11253, endpoint="send", count=1)  # a person must grant something
            await buoy.send(lane, "not now")
            await buoy.send(lane, "later")
            await buoy.answered(message, times=2)
            assert [reply.text for reply in sim.replies(message)] == ["hello", "later"]
            assert buoy.letter("not now")["state"] == "held"

    asyncio.run(run())


def deaths(log: list[Any]) -> list[tuple[str, str]]:
    """What was alerted: the level of the line and the state it names."""
    return [(line["log_level"], line["state"]) for line in log if line["event"] == "letter ended"]


def test_held_letters_end_dead_after_seven_days_with_reason_and_alert(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await held(buoy, sim, "old")
            sim.clock.advance(6.9 * DAY_S)
            await held(buoy, sim, "young")
            await buoy.app.sender.sweep()
            assert buoy.letter("old")["state"] == "held"
            sim.clock.advance(0.2 * DAY_S)
            with capture_logs() as log:
                await buoy.app.sender.sweep()
            assert (buoy.letter("old")["state"], buoy.letter("young")["state"]) == ("dead", "held")
            assert "7 days" in buoy.letter("old")["reason"]
            assert deaths(log) == [("error", "dead")]

    asyncio.run(run())


def test_held_letters_beyond_twenty_a_conversation_end_dead_the_oldest_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            texts = [f"letter {n:02}" for n in range(22)]
            await held(buoy, sim, *texts)
            with capture_logs() as log:
                await buoy.app.sender.sweep()
            assert [buoy.letter(text)["state"] for text in texts] == ["dead"] * 2 + ["held"] * 20
            assert "20 newer letters" in buoy.letter(texts[0])["reason"]
            assert deaths(log) == [("error", "dead")] * 2

    asyncio.run(run())


def test_how_long_and_how_many_are_held_can_be_set(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.settings["holding"] = Holding(days=1, per_lane=2)
            await buoy.start()
            await held(buoy, sim, "one", "two", "three")
            await buoy.app.sender.sweep()
            assert [row["state"] for row in buoy.letters()] == ["dead", "held", "held"]
            sim.clock.advance(1.1 * DAY_S)
            await buoy.app.sender.sweep()
            assert [row["state"] for row in buoy.letters()] == ["dead"] * 3

    asyncio.run(run())


# --- windows -----------------------------------------------------------------------------------------------


async def answer_after(sim: Sim, buoy: Buoy, seconds: float, **speech: Any) -> str:
    """Let a turn in a group answer so many seconds after its message came; returns what became of the letter."""
    agent = waiting_agent(buoy)
    text = f"{seconds} {speech}"
    message = await sim.say(text, scene="group", **speech)
    await sim.until(lambda: agent.has_begun(text))
    sim.clock.advance(seconds)
    agent.let_go(text)
    state = await buoy.ends(text)
    assert bool(sim.replies(message)) is (state == "sent")
    return state


def test_a_window_runs_from_the_platforms_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            four_minutes_ago = {"extra": {"timestamp": int(sim.clock.now()) - 240}}
            assert await answer_after(sim, buoy, 100) == "sent"
            assert await answer_after(sim, buoy, 100, **four_minutes_ago, room=1) == "held"
            assert await answer_after(sim, buoy, 310, room=2) == "held"
            assert len(requests) == 1, "what is too late is not even tried"

    asyncio.run(run())


@pytest.mark.parametrize("off_by_s", [-600, 600])
def test_a_window_is_corrected_for_clock_skew(tmp_path: Path, off_by_s: int) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            sim.faults.add("clock_skew", seconds=off_by_s)
            await buoy.start()
            assert await answer_after(sim, buoy, 250) == "sent"
            assert await answer_after(sim, buoy, 310, room=1) == "held"

    asyncio.run(run())


def test_a_window_runs_from_the_receipt_where_the_platform_gives_no_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Waiting) as (sim, buoy):
            await buoy.start()
            assert await answer_after(sim, buoy, 250, no_time=True) == "sent"
            assert await answer_after(sim, buoy, 310, no_time=True, room=1) == "held"
            assert await answer_after(sim, buoy, 250, extra={"timestamp": "yesterday"}, room=2) == "sent"

    asyncio.run(run())


# --- unsure ------------------------------------------------------------------------------------------------


def test_a_reply_that_stays_unsure_past_its_window_ends_so_and_is_never_anchored_anew_but_by_a_person(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            sim.faults.add("http_status", endpoint="send", mode="after", status=502, body="html")
            message = await sim.say("hello", scene="group")
            await sim.until(lambda: len(requests) == 2)
            sim.clock.advance(310)
            with capture_logs() as log:
                assert await buoy.ends("hello") == "unsure"
            assert deaths(log)[-1][1] == "unsure"
            sim.faults.remove()
            newer = await sim.say("newer", scene="group")
            await buoy.answered(newer)
            await buoy.settled()
            assert [reply.text for reply in sim.delivered] == ["hello", "newer"], "at the platform at most once"
            assert {identity(request) for request in requests[:-1]} == {("hello", message, 1)}
            assert await buoy.app.retry_letter(buoy.letter("hello")["id"])
            await buoy.answered(newer, times=2)
            assert [reply.text for reply in sim.replies(newer)] == ["newer", "hello"], "a person may"

    asyncio.run(run())


# --- proactive ---------------------------------------------------------------------------------------------

NOT_ACCEPTED = {
    "429": {"kind": "http_status", "status": 429, "retry_after": 0.1},
    "a refusal that says so": {"kind": "error_code", "code": 50055001},
}


@pytest.mark.parametrize("fault", NOT_ACCEPTED.values(), ids=NOT_ACCEPTED)
def test_a_proactive_letter_is_repeated_after_proof_that_it_was_not_accepted(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            sim.faults.add(**fault, endpoint="send", count=1)
            await buoy.send(f"qq:c2c:{sim.meet()}", "hello")
            await sim.until(lambda: len(sim.delivered) == 1)
            await buoy.settled()
            assert buoy.letter("hello")["state"] == "sent"
            assert sim.delivered[0].proactive

    asyncio.run(run())


def test_a_proactive_letter_that_never_left_is_repeated(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await sim.network("down")
            assert await buoy.send(f"qq:c2c:{sim.meet()}", "hello") == "queued"
            await sim.until(lambda: buoy.letter("hello")["attempts"] > 0)
            await sim.network("up")
            await sim.until(lambda: len(sim.delivered) == 1)

    asyncio.run(run())


NO_PROOF = {
    "5xx, not accepted": ({"kind": "http_status", "status": 502, "body": "html"}, 0),
    "5xx, accepted": ({"kind": "http_status", "status": 500, "mode": "after"}, 1),
    "time-out, not accepted": ({"kind": "hang"}, 0),
    "time-out, accepted": ({"kind": "hang", "mode": "after"}, 1),
    "reset, accepted": ({"kind": "accept_then_reset"}, 1),
}


@pytest.mark.parametrize(("fault", "copies"), NO_PROOF.values(), ids=NO_PROOF)
@pytest.mark.parametrize("repeats", [False, True])
def test_a_proactive_letter_without_that_proof_is_unsure_and_not_repeated_unless_the_operator_says_so(
    tmp_path: Path, fault: dict[str, Any], copies: int, *, repeats: bool
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            buoy.account["repeat_unsure"] = repeats
            await buoy.start()
            vars(buoy.platform._delivery)["_timeout_s"] = 0.5
            sim.faults.add(**fault, endpoint="send", count=1)
            await buoy.send(f"qq:c2c:{sim.meet()}", "hello")
            assert await buoy.ends("hello") == ("sent" if repeats else "unsure")
            assert len(sim.delivered) == copies + repeats
            counted = buoy.app.store.read(status.outbox_depth, 0.0)["states"]  # a snapshot may be a moment old
            assert counted["unsure"] == (not repeats)

    asyncio.run(run())


# --- unknown codes -----------------------------------------------------------------------------------------

UNKNOWN = 99_999_999


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429, 401])
def test_an_unknown_code_with_5xx_408_429_or_401_is_tried_again(tmp_path: Path, status: int) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            tokens = sim.world.counters["requests_token"]
            sim.faults.add("error_code", code=UNKNOWN, status=status, endpoint="send", count=1)
            if status == 401:
                sim.faults.add("revoke_tokens")
            message = await sim.say("hello")
            await buoy.answered(message)
            await buoy.settled()
            assert (len(sim.replies(message)), buoy.letter("hello")["state"]) == (1, "sent")
            assert (sim.world.counters["requests_token"] > tokens) is (status == 401)

    asyncio.run(run())


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 418, 422])
def test_an_unknown_code_with_another_4xx_is_permanent(tmp_path: Path, status: int) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            sim.faults.add("error_code", code=UNKNOWN, status=status, endpoint="send", count=1)
            message = await sim.say("hello")
            assert await buoy.ends("hello") == ("held" if status == 403 else "dead"), "a person must act on 403"
            assert (buoy.letter("hello")["attempts"], sim.replies(message)) == (1, [])
            assert str(UNKNOWN) in buoy.letter("hello")["reason"]

    asyncio.run(run())


# --- pace --------------------------------------------------------------------------------------------------


def test_nothing_limits_a_send_that_the_platform_does_not_limit(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            clock = asyncio.get_running_loop().time
            began = clock()
            await buoy.answered(*[await sim.say("all at once", user=n) for n in range(300)])
            assert clock() - began < 2.5
            assert buoy.app.sender.counts["attempts"] == 300

    asyncio.run(run())


def test_buoy_paces_itself_on_the_platforms_rate_answers(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            await buoy.answered(await sim.say("before"))
            before = len(requests)
            sim.faults.add("http_status", status=429, retry_after=0.6, endpoint="send", count=1)
            refused_at = sim.clock.now()
            first = await sim.say("too fast", user=1)
            await sim.until(lambda: not sim.faults.active)
            await buoy.answered(first, *[await sim.say("waits as well", user=n) for n in range(2, 12)])
            assert min(request["at"] for request in requests[before:]) - refused_at >= 0.55
            assert len(requests) == before + 11, "one refusal was enough"

    asyncio.run(run())


def test_a_crowd_that_meets_the_platforms_real_limits_is_answered_with_few_refusals(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", limits=True) as (sim, buoy):
            requests = Requests(sim)
            await buoy.start()
            await buoy.answered(*[await sim.say("hello", user=n) for n in range(160)])
            refused = sum(request["status"] == 429 for request in requests)
            assert 0 < refused <= 110, "those under way when the first refusal came, no more"

    asyncio.run(run())
