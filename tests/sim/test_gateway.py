"""The gateway over real sockets: HELLO, IDENTIFY, RESUME, heartbeats, intents (protocol.md 6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.sim.client import ALL, BOT, C2C, Client, running


def test_hello_ready_heartbeat_and_events() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            await client.open()
            assert await client.recv() == {"op": 10, "d": {"heartbeat_interval": 45000}}
            await client.say_identify()
            ready = await client.recv()
            assert (ready["op"], ready["s"], ready["t"]) == (0, 1, "READY")
            assert set(ready["d"]) == {"version", "session_id", "user", "shard"}
            assert await client.ack() == {"op": 11}
            first = await sim.say("one")
            second = await sim.say("two", user=1)
            frames = [await client.recv(), await client.recv()]
            assert [f["s"] for f in frames] == [2, 3]
            assert [f["d"]["id"] for f in frames] == [first, second]
            assert all(f["id"].startswith("C2C_MESSAGE_CREATE:") for f in frames)

    asyncio.run(main())


def test_resume_replays_what_was_missed_and_ends_with_an_empty_string() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            await sim.say("seen")
            seen = await client.recv()
            await client.ws.close()
            await sim.until(lambda: not sim.connections)
            said = [await sim.say(f"missed {n}") for n in range(3)]
            await client.resume()
            replayed = [await client.recv() for _ in range(3)]
            assert [f["d"]["id"] for f in replayed] == said
            assert [f["s"] for f in replayed] == [3, 4, 5]
            assert await client.recv() == {"op": 0, "s": 6, "t": "RESUMED", "d": ""}
            assert (await client.ack())["op"] == 11
            await client.ws.close()
            await client.resume(seq=seen["s"])  # not committed: everything again, same numbers, same ids
            assert [await client.recv() for _ in range(3)] == replayed
            assert (await client.recv())["t"] == "RESUMED"
            sim.clock.advance(1000)  # live again: it does not run out
            await sim.say("later")
            assert (await client.recv())["s"] == 8

    asyncio.run(main())


@pytest.mark.parametrize("prefix", ["QQBot ", ""])
def test_resume_takes_the_token_with_and_without_scheme(prefix: str) -> None:
    async def main() -> None:
        async with running() as (_, client):
            await client.identify()
            await client.ws.close()
            await client.resume(token=prefix + client.token)
            assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


@pytest.mark.parametrize(("away", "back"), [(299, 1), (301, 0)])
def test_a_session_is_resumable_for_five_minutes(away: int, back: int) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            await client.ws.close()
            await sim.until(lambda: not sim.connections)
            sim.clock.advance(away)
            await client.resume()
            if back:
                assert (await client.recv())["t"] == "RESUMED"
            else:
                assert await client.closed() == 4006

    asyncio.run(main())


def test_resume_refusals() -> None:
    async def main() -> None:
        async with running(bots=[BOT, ("102000002", "other")]) as (sim, client):
            await client.identify()
            await client.ws.close()
            await client.resume(session_id="nope")
            assert await client.closed() == 4006
            await client.resume(seq=99)
            assert await client.closed() == 4007
            await client.resume(token="QQBot nope")
            assert await client.closed() == 4004
            await client.resume(seq="x")
            assert await client.closed() == 4002
            other = Client(sim, client.http, ("102000002", "other"))
            await other.get_token()
            await other.resume(seq=1, session_id=client.session_id)
            assert await other.closed() == 4006

    asyncio.run(main())


def test_the_buffer_holds_a_thousand_events() -> None:
    async def main() -> None:
        async with running(resume_buffer=10) as (sim, client):
            await client.identify()
            await client.ws.close()
            await sim.until(lambda: not sim.connections)
            for n in range(11):
                await sim.say(str(n))
            await client.resume(seq=1)
            assert await client.recv() == {"op": 9, "d": False}
            await client.resume(seq=2)
            assert await client.closed() == 4006  # the session is gone for good

    asyncio.run(main())


def test_a_resume_elsewhere_takes_the_session_away() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            second = Client(sim, client.http)
            second.token, second.session_id, second.seq = client.token, client.session_id, 1
            await second.resume()
            assert (await second.recv())["t"] == "RESUMED"
            assert await client.closed() == 4902
            await sim.say("x")
            assert (await second.recv())["s"] == 3
            await second.ws.close()

    asyncio.run(main())


def test_two_sockets_of_one_shard_both_get_every_event() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            second = Client(sim, client.http)
            await client.identify()
            await second.identify()
            assert client.session_id != second.session_id
            said = await sim.say("x")
            assert [(await c.recv())["d"]["id"] for c in (client, second)] == [said, said]
            await second.ws.close()

    asyncio.run(main())


def test_identify_again_does_not_replay() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            await client.identify()
            await client.ws.close()
            await sim.until(lambda: not sim.connections)
            await sim.say("lost to the new session")
            ready = await client.identify()
            assert ready["s"] == 1
            said = await sim.say("heard")
            assert (await client.recv())["d"]["id"] == said

    asyncio.run(main())


def test_a_message_that_nobody_can_hear_is_noted() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            lost = await sim.say("x")
            await client.identify()
            kept = await sim.say("y")
            assert sim.world.unheard == {lost}
            assert (await client.recv())["d"]["id"] == kept

    asyncio.run(main())


def test_the_first_frame_and_the_wrong_ones() -> None:
    async def main() -> None:
        async with running(limits=False) as (_, client):
            await client.get_token()
            for text, code in (
                ('{"op":1,"d":null}', 4003),
                ('{"op":99}', 4001),
                ('{"op":0}', 4001),
                ("nope", 4002),
                ("[]", 4002),
                ('{"op":2,"d":{}}', 4002),
                ('{"op":2,"d":"x"}', 4002),
                ('{"op":6,"d":{}}', 4002),
            ):
                await client.open()
                await client.recv()
                await client.ws.send_str(text)
                assert await client.closed() == code, text
            await client.identify()
            await client.say_identify()
            assert await client.closed() == 4005

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"token": "QQBot nope"}, 4004),
        ({"token": "Bot 1.x"}, 4004),
        ({"intents": 1 << 5}, 4013),
        ({"intents": 1 << 9 | C2C}, 4014),
        ({"shard": [1, 1]}, 4010),
        ({"shard": [0]}, 4002),
        ({"shard": "x"}, 4002),
    ],
)
def test_a_refused_identify_gets_op_9_and_then_the_close(arguments: dict[str, Any], code: int) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            sim.world.bot().allowed_intents = C2C
            await client.get_token()
            await client.open()
            await client.recv()
            await client.say_identify(**arguments)
            assert await client.recv() == {"op": 9, "d": False}
            assert await client.closed() == code

    asyncio.run(main())


@pytest.mark.parametrize(
    ("how", "op9", "code"),
    [("op9_then_4014", 1, 4014), ("op9_then_4903", 1, 4903), ("op9_eof", 1, 1006), ("close4014", 0, 4014)],
)
def test_how_forbidden_intents_are_refused_is_a_setting(how: str, op9: int, code: int) -> None:
    async def main() -> None:
        async with running(bad_intent=how) as (sim, client):
            sim.world.bot().allowed_intents = C2C
            await client.get_token()
            await client.open()
            await client.recv()
            await client.say_identify(ALL)
            if op9:
                assert (await client.recv())["op"] == 9
            assert await client.closed() == code

    asyncio.run(main())


def test_one_identify_in_five_seconds_and_a_budget_a_day() -> None:
    async def main() -> None:
        async with running(identifies_per_day=3) as (sim, client):
            await client.identify()
            assert (await client.identify())["op"] == 9
            assert await client.closed() == 4008
            sim.clock.advance(5)
            assert (await client.identify())["t"] == "READY"
            limit = (await client.call("GET", "/gateway/bot")).json["session_start_limit"]
            assert (limit["total"], limit["remaining"], limit["max_concurrency"]) == (3, 0, 1)
            assert 0 < limit["reset_after"] <= 86_400_000
            sim.clock.advance(5)
            assert (await client.identify())["op"] == 9
            assert await client.closed() == 4903
            sim.clock.advance(86_400)
            await client.get_token()
            limit = (await client.call("GET", "/gateway/bot")).json["session_start_limit"]
            assert limit["remaining"] == 3
            assert (await client.identify())["t"] == "READY"

    asyncio.run(main())


def test_a_silent_client_is_closed_after_two_intervals() -> None:
    async def main() -> None:
        async with running(heartbeat_s=10) as (sim, client):
            await client.identify()
            sim.clock.advance(19, beats=False)
            assert (await client.ack())["op"] == 11
            sim.clock.advance(19, beats=False)
            assert (await client.ack())["op"] == 11
            sim.clock.advance(500)  # a jump is no silence
            assert (await client.ack())["op"] == 11
            sim.clock.advance(20, beats=False)
            assert await client.closed() == 4009

    asyncio.run(main())


def test_after_half_an_hour_the_connection_is_told_to_reconnect() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            sim.clock.advance(1799)
            assert (await client.ack())["op"] == 11
            sim.clock.advance(1)
            assert await client.recv() == {"op": 7}
            assert await client.closed() == 4009
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


def test_intents_decide_what_is_heard() -> None:
    kinds = [
        ("c2c", 25, "C2C_MESSAGE_CREATE"),
        ("group", 25, "GROUP_AT_MESSAGE_CREATE"),
        ("channel", 30, "AT_MESSAGE_CREATE"),
        ("dm", 12, "DIRECT_MESSAGE_CREATE"),
    ]

    async def main() -> None:
        async with running(limits=False) as (sim, client):
            for scene, bit, kind in kinds:
                wants, not_wants = Client(sim, client.http), Client(sim, client.http)
                await wants.identify(1 << bit)
                await not_wants.identify(ALL & ~(1 << bit))
                await sim.say("x", scene=scene)
                assert (await wants.recv())["t"] == kind
                assert (await not_wants.ack())["op"] == 11
                await wants.ws.close()
                await not_wants.ws.close()

    asyncio.run(main())


@pytest.mark.parametrize(("strict", "heard"), [(0, 1), (1, 0)])
def test_membership_events_are_contested(strict: int, heard: int) -> None:
    async def main() -> None:
        async with running(strict_member_intent=bool(strict)) as (sim, client):
            await client.identify(C2C)
            await sim.happen("GROUP_MEMBER_ADD")
            assert sim.world.sessions.of()[0].s == 1 + heard

    asyncio.run(main())


def test_guild_events_go_to_their_shard_and_the_rest_to_shard_0() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            shards = [Client(sim, client.http) for _ in range(2)]
            for n, shard in enumerate(shards):
                assert (await shard.identify(ALL, (n, 2)))["d"]["shard"] == [n, 2]
            await sim.say("x")
            await sim.say("y", scene="channel")
            guild = int(sim.world.number(sim.world.bot(), "guild", 0))
            home = (guild >> 22) % 2
            kinds = [(await shards[0].recv())["t"], (await shards[home].recv())["t"]]
            assert kinds == ["C2C_MESSAGE_CREATE", "AT_MESSAGE_CREATE"]
            for shard in shards:
                await shard.ws.close()

    asyncio.run(main())


def test_too_many_frames() -> None:
    async def main() -> None:
        async with running() as (_, client):
            await client.identify()
            for _ in range(150):
                await client.put(1, None)
            assert await client.closed() == 4008

    asyncio.run(main())


def test_a_client_that_goes_away_leaves_a_resumable_session() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            response = client.ws._response.connection
            assert response is not None
            assert response.transport is not None
            response.transport.abort()
            await sim.until(lambda: not sim.connections)
            await sim.say("x")
            await client.resume()
            assert (await client.recv())["d"]["content"] == "x"

    asyncio.run(main())
