"""Tokens, REST shapes, the state of the network, and that nothing stays open (protocol.md 2, 3, 5, 18)."""

from __future__ import annotations

import asyncio
import email.utils
import re
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from buoy.sim import Sim
from tests.sim.client import BOT, Client, running

Loops = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=["asyncio", "uvloop"])
def loops(request: pytest.FixtureRequest) -> Loops:
    """Sockets behave differently under uvloop, and `buoy sim` uses it where it is installed."""
    if request.param == "asyncio":
        return asyncio.new_event_loop
    loop: Loops = pytest.importorskip("uvloop").new_event_loop
    return loop


def test_token_call() -> None:
    async def main() -> None:
        async with running(token_life_s=600) as (sim, client):
            first = await client.get_token()
            assert first["expires_in"] == "600"
            sim.clock.advance(500)
            assert await client.get_token() == {"access_token": first["access_token"], "expires_in": "100"}
            sim.clock.advance(41)  # the last minute: a new one, and both work
            second = await client.get_token()
            assert second["access_token"] != first["access_token"]
            for token in (first["access_token"], second["access_token"]):
                assert (await client.call("GET", "/gateway", token=token)).status == 200
            sim.clock.advance(59)
            gone = await client.call("GET", "/gateway", token=first["access_token"])
            assert gone.codes == (401, 11244, 40011027)
            assert (await client.call("GET", "/gateway")).status == 200

    asyncio.run(main())


def test_expires_in_may_be_a_number() -> None:
    async def main() -> None:
        async with running(expires_as_text=False) as (_, client):
            assert (await client.get_token())["expires_in"] == 7200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"clientSecret": "wrong"}, 100016),
        ({"appId": "102000009"}, 10004),
        ({"appId": "nope"}, 100007),
        ({"appId": 102000001}, 100007),
        ({"clientSecret": None}, 100007),
    ],
)
def test_token_failures_are_http_200_with_a_code(fields: dict[str, Any], code: int) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            assert (await client.get_token(**fields))["code"] == code
            for body in (b"", b"nope", b"[]"):
                async with client.http.post(sim.token_url, data=body) as r:
                    assert (r.status, (await r.json())["code"]) == (200, 100007)

    asyncio.run(main())


def test_too_many_token_calls() -> None:
    async def main() -> None:
        async with running() as (_, client):
            answers = [await client.get_token() for _ in range(61)]
            assert [a.get("code") for a in answers] == [None] * 60 + [100001]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "code"),
    [(None, 11241), ("Bot 1.x", 11243), ("QQBot nope", 11243), ("qqbot x", 11243), ("QQBot", 11243)],
)
def test_authorization(header: str | None, code: int) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            headers = {"Authorization": header} if header else {}
            async with client.http.get(sim.api_base + "/gateway", headers=headers) as r:
                body = await r.json()
                assert (r.status, body["code"], body["err_code"]) == (401, code, 40011027)

    asyncio.run(main())


def test_traces_dates_and_error_bodies() -> None:
    async def main() -> None:
        async with running(start_at=1_790_000_000) as (_, client):
            await client.get_token()
            good = await client.call("GET", "/gateway")
            bad = await client.send("F" * 32)
            assert re.fullmatch("[0-9a-f]{32}", good.headers["X-Tps-trace-ID"])
            assert set(bad.json) == {"message", "code", "err_code", "trace_id"}
            assert bad.json["trace_id"] == bad.headers["X-Tps-trace-ID"]
            assert bad.codes == (400, 11255, 40011028)
            assert email.utils.parsedate_to_datetime(bad.headers["Date"]).timestamp() == 1_790_000_000

    asyncio.run(main())


def test_unknown_paths_and_methods() -> None:
    async def main() -> None:
        async with running() as (_, client):
            await client.get_token()
            for path in (
                "/",
                "/nope",
                "/v2/users/x/nope",
                "/v2/messages",
                "/messages",
                "/v2/users/x/y/messages",
            ):
                assert (await client.call("GET", path)).status == 404, path
            for method, path in (
                ("GET", "/v2/users/x/messages"),
                ("POST", "/gateway"),
                ("DELETE", "/users/@me"),
            ):
                assert (await client.call(method, path)).status == 405

    asyncio.run(main())


def test_gateway_lookup_is_limited() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            url = sim.api_base.replace("http", "ws") + "/websocket"
            assert (await client.call("GET", "/gateway")).json == {"url": url}
            bot = await client.call("GET", "/gateway/bot")
            assert (bot.json["url"], bot.json["shards"]) == (url, 1)
            codes = [(await client.call("GET", "/gateway")).status for _ in range(9)]
            assert codes == [200] * 8 + [429]
            sim.clock.advance(30.1)
            codes = [(await client.call("GET", "/gateway")).status for _ in range(2)]
            assert codes == [200, 429]

    asyncio.run(main())


def test_the_lookup_names_the_proxy_that_stands_before_the_websocket() -> None:
    async def main() -> None:
        async with running(announce="127.0.0.1:9") as (_, client):
            await client.get_token()
            for path in ("/gateway", "/gateway/bot"):
                assert (await client.call("GET", path)).json["url"] == "ws://127.0.0.1:9/websocket"

    asyncio.run(main())


def test_small_endpoints() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify(1 << 26)
            me = (await client.call("GET", "/users/@me")).json
            assert me["username"] == "simbot"
            opened = await client.call("POST", "/users/@me/dms", {"recipient_id": "1", "source_guild_id": "2"})
            assert (await client.send(opened.json["guild_id"], scene="dm")).status == 200
            group = sim.meet("group", receives_all=True)
            state = (await client.call("GET", f"/v2/groups/{group}/bot_state")).json
            assert (state["allow_proactive_msg"], state["recv_msg_setting"]) == (False, "all")
            await sim.happen("INTERACTION_CREATE", button_data="yes", scene="group")
            click = await client.recv()
            assert click["id"] == "INTERACTION_CREATE:" + click["d"]["id"]
            path = f"/interactions/{click['d']['id']}"
            assert [(await client.call("PUT", path, {"code": 0})).status for _ in range(2)] == [200, 400]
            reply = await client.send(click["d"]["group_openid"], scene="group", event_id=click["id"])
            assert reply.status == 200
            assert len(sim.replies(click["id"])) == 1

    asyncio.run(main())


def test_network_down_and_up_on_the_same_port(loops: Loops) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            await sim.network("down")
            assert await client.closed() == 1006
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.call("GET", "/gateway")
            async with client.http.get(sim.control_url + "/state") as r:
                assert (await r.json())["network"] == "down"
            await sim.say("meanwhile")
            await sim.network("down")
            await sim.network("up")
            await client.resume()
            assert (await client.recv())["d"]["content"] == "meanwhile"
            assert (await client.recv())["t"] == "RESUMED"
            assert (await client.call("GET", "/gateway")).status == 200

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main())


def test_blackhole_keeps_connections_and_carries_nothing(loops: Loops) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            await client.call("GET", "/users/@me")
            await sim.network("blackhole")
            await sim.say("stuck")
            await client.put(1, 1)
            old = asyncio.create_task(client.call("GET", "/gateway"))  # on a connection that was there
            async with aiohttp.ClientSession() as fresh:
                new = asyncio.create_task(Client(sim, fresh).get_token())  # on one that is accepted now
                reading = asyncio.create_task(client.recv())
                host, port = sim.api_base.removeprefix("http://").split(":")
                with socket.create_connection((host, int(port)), timeout=2) as raw:  # the handshake succeeds
                    raw.setblocking(False)
                    await sim.until(lambda: len(sim._server.holes) == 2)
                    for _ in range(100):  # turns of the loop, in which something could come through
                        await asyncio.sleep(0)
                    assert [t.done() for t in (old, new, reading)] == [False] * 3
                    with pytest.raises(BlockingIOError):
                        raw.recv(1)
                assert sim.world.counters["heartbeats"] == 0
                await sim.network("up")
                assert (await reading)["d"]["content"] == "stuck"
                assert (await client.recv())["op"] == 11
                assert (await old).status == 200
                assert "access_token" in await new

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main())


def test_a_send_in_the_blackhole_may_have_been_accepted(loops: Loops) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            hang = sim.faults.add("hang", endpoint="send")
            request = asyncio.create_task(client.send(target))
            await sim.until(lambda: bool(sim._server._hung))
            await sim.network("blackhole")
            sim.faults.remove(hang.id)
            await sim.until(lambda: len(sim.delivered) == 1)
            assert not request.done()
            await sim.network("down")
            with pytest.raises(aiohttp.ClientError):
                await request

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main())


def test_the_platform_gives_up_a_silent_client_in_the_blackhole() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            await sim.network("blackhole")
            sim.clock.advance(90, beats=False)
            await sim.until(lambda: sim.world.sessions.of()[0].gone_at is not None)
            await sim.network("up")
            assert await client.closed() == 4009

    asyncio.run(main())


def test_drop_cuts_each_connection_after_accept(loops: Loops) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await sim.network("drop")
            with pytest.raises(aiohttp.ClientError):
                await client.get_token()
            await sim.network("up")
            await client.get_token()

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main())


@pytest.mark.parametrize("mode", ["up", "down", "blackhole", "drop"])
def test_stop_leaves_nothing_open(mode: str, loops: Loops) -> None:
    async def main() -> None:
        sim = Sim(speed=0)
        await sim.start()
        async with aiohttp.ClientSession() as http:
            client = Client(sim, http)
            await client.identify()
            port = sim._server.port
            await sim.network(mode)
            if mode == "blackhole":
                await client.put(1, 1)
                hole = socket.create_connection(("127.0.0.1", port))
                await sim.until(lambda: len(sim._server.holes) == 1)
                hole.close()
            await sim.stop()
            assert await client.closed() == 1006
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))
        assert not sim._server.peers
        assert len(asyncio.all_tasks()) == 1

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(main())


def test_many_bots_keep_apart() -> None:
    async def main() -> None:
        async with running(bots=[BOT, ("102000002", "other")]) as (sim, client):
            other = Client(sim, client.http, ("102000002", "other"))
            await client.identify()
            await other.identify()
            first, second = await sim.say("one"), await sim.say("two", bot="102000002")
            mine, theirs = await client.recv(), await other.recv()
            assert (mine["d"]["id"], theirs["d"]["id"]) == (first, second)
            target = theirs["d"]["author"]["user_openid"]
            assert target != mine["d"]["author"]["user_openid"]
            assert (await client.send(target)).codes == (400, 11255, 40011028)
            await other.ws.close()

    asyncio.run(main())


@pytest.mark.parametrize("settings", [{"heartbeat_s": 0}, {"nope": 1}, {"limits": "x"}, {"bad_intent": "x"}])
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="simulator setting"):
        Sim(**settings)
