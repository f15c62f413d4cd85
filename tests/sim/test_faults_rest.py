"""Each fault of the REST side does what its name says, as often as it was told to, and stops."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from buoy.sim.faults import KINDS
from tests.sim.client import ALL, Client, ClosedError, running


def fault(kind: str) -> str:
    """Name the kind that a test is about; the last test wants them all."""
    assert kind in KINDS
    return kind


def test_http_status_before_and_after() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            sim.faults.add(fault("http_status"), endpoint="send", status=502, body="html", count=1)
            page = await client.send(target)
            assert (page.status, page.headers["Content-Type"]) == (502, "text/html")
            assert page.data.startswith(b"<html>")
            assert sim.delivered == []
            sim.faults.add("http_status", endpoint="send", status=504, body="html", mode="after", count=1)
            assert (await client.send(target)).status == 504
            assert len(sim.delivered) == 1
            sim.faults.add("http_status", endpoint="group", status=429, retry_after=7, count=1)
            assert (await client.send(target)).status == 200
            busy = await client.send(sim.meet("group"), scene="group")
            assert (busy.status, busy.headers["Retry-After"], busy.json["code"]) == (429, "7", 100017)
            sim.faults.add("http_status", endpoint="gateway", status=500, count=1)
            assert (await client.call("GET", "/gateway")).status == 500

    asyncio.run(main())


def test_slow_on_the_simulated_clock() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            for mode, done in (("after", 1), ("before", 0)):
                sim.delivered.clear()
                sim.faults.add(fault("slow"), endpoint="c2c", seconds=20, mode=mode, count=1)
                request = asyncio.create_task(client.send(target))
                await sim.until(lambda: sim.world.next_due() is not None)
                assert len(sim.delivered) == done
                assert not request.done()
                sim.clock.advance(20)
                assert (await request).status == 200
                assert len(sim.delivered) == 1

    asyncio.run(main())


def test_hang_until_it_is_removed() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            for mode, done in (("before", 0), ("after", 1)):
                sim.delivered.clear()
                hang = sim.faults.add(fault("hang"), endpoint="send", mode=mode)
                request = asyncio.create_task(client.send(target))
                await sim.until(lambda: bool(sim._server._hung))
                assert len(sim.delivered) == done
                sim.faults.remove(hang.id)
                assert (await request).status == 200
                assert len(sim.delivered) == 1
            sim.faults.add("hang", endpoint="send", count=1)
            forever = asyncio.create_task(client.send(target))
            await sim.until(lambda: bool(sim._server._hung))
            await sim.stop()
            with pytest.raises(aiohttp.ClientError):
                await forever

    asyncio.run(main())


def test_accept_then_reset_delivers_without_an_answer() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            said = sim.world.openid(sim.world.bot(), "user", 0)
            anchor = await sim.say("x")
            sim.faults.add(fault("accept_then_reset"), count=1)
            with pytest.raises(aiohttp.ClientError):
                await client.send(said, msg_id=anchor, msg_seq=1)
            assert len(sim.replies(anchor)) == 1
            again = await client.send(said, msg_id=anchor, msg_seq=1)
            assert again.codes == (400, 40054005, 40054005)
            assert len(sim.replies(anchor)) == 1

    asyncio.run(main())


def test_error_code() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            target = sim.meet()
            sim.faults.add(fault("error_code"), endpoint="send", code=850026, err_code=40034001, count=1)
            refused = await client.send(target)
            assert refused.codes == (400, 850026, 40034001)
            sim.faults.add("error_code", endpoint="send", code=22009, status=500, count=1)
            assert (await client.send(target)).codes == (500, 22009, 22009)
            assert sim.delivered == []

    asyncio.run(main())


def test_errors_with_200() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            sim.faults.add(fault("errors_with_200"))
            odd = await client.send("F" * 32)
            assert odd.status == 200
            assert set(odd.json) == {"err_code", "message", "trace_id"}
            assert odd.json["err_code"] == 40011028

    asyncio.run(main())


def test_token_faults() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            down = sim.faults.add(fault("token_down"))
            async with client.http.post(sim.token_url, json={}) as r:
                assert (r.status, r.content_type) == (503, "text/html")
            assert (await client.call("GET", "/gateway")).status == 200  # the one in use still works
            sim.faults.remove(down.id)
            sim.faults.add(fault("bad_secret"), count=1)
            assert (await client.get_token())["code"] == 100016
            sim.faults.add(fault("revoke_tokens"))
            assert (await client.call("GET", "/gateway")).codes == (401, 11244, 40011027)
            old = client.token
            await client.get_token()
            assert client.token != old
            assert (await client.call("GET", "/gateway")).status == 200

    asyncio.run(main())


def test_ip_refused() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            sim.faults.add(fault("ip_refused"))
            await client.get_token()  # the token call succeeds
            for path in ("/gateway", "/users/@me"):
                assert (await client.call("GET", path)).codes == (401, 11298, 40023002)
            assert (await client.send(sim.meet())).codes == (401, 11298, 40023002)
            await client.open()
            await client.recv()
            await client.say_identify()
            assert (await client.recv())["op"] == 9
            assert await client.closed() == 4903

    asyncio.run(main())


def test_no_proactive() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.get_token()
            sim.world.bot().proactive["group"] = True
            target, group = sim.meet(), sim.meet("group")
            sim.faults.add(fault("no_proactive"), scene="c2c")
            assert (await client.send(target)).codes == (400, 40034102, 40034102)
            assert (await client.send(group, scene="group")).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(("verdict", "event"), [("pass", "MESSAGE_AUDIT_PASS"), ("reject", "MESSAGE_AUDIT_REJECT")])
def test_audit(verdict: str, event: str) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify(ALL)
            sim.faults.add(fault("audit"), mode=verdict, seconds=3)
            anchor = await sim.say("x", scene="channel")
            channel = (await client.recv())["d"]["channel_id"]
            for fields, code in (({}, 304023), ({"msg_id": anchor}, 304024)):
                held = await client.send(channel, scene="channel", **fields)
                assert (held.status, held.json["code"]) == (202, code)
                assert sim.replies(anchor) == []
                sim.clock.advance(3)
                told = await client.recv()
                assert told["t"] == event
                assert told["d"]["audit_id"] == held.json["data"]["message_audit"]["audit_id"]
                assert ("message_id" in told["d"]) is (verdict == "pass")
            assert len(sim.replies(anchor)) == (verdict == "pass")

    asyncio.run(main())


def test_clock_skew() -> None:
    async def main() -> None:
        async with running(start_at=1_790_000_000) as (sim, client):
            await client.identify()
            plain = (await client.call("GET", "/users/@me")).headers["Date"]
            sim.faults.add(fault("clock_skew"), seconds=3600)
            skewed = (await client.call("GET", "/users/@me")).headers["Date"]
            assert (plain[17:19], skewed[17:19]) == ("14", "15")
            assert plain[19:] == skewed[19:]
            await sim.say("x")
            assert (await client.recv())["d"]["timestamp"].startswith("2026-09-21T23:")

    asyncio.run(main())


def test_faults_can_be_for_one_bot() -> None:
    async def main() -> None:
        bots = [("102000001", "SIMSECRETSIMSECRET01"), ("102000002", "other")]
        async with running(bots=bots) as (sim, client):
            other = Client(sim, client.http, bots[1])
            await client.identify()
            await other.identify()
            sim.faults.add("ws_reset", bot="102000002")
            with pytest.raises(ClosedError):
                await other.recv()
            assert (await client.ack())["op"] == 11
            sim.faults.add("error_code", code=1, bot="102000002", endpoint="gateway")
            assert (await client.call("GET", "/gateway")).status == 200
            assert (await other.call("GET", "/gateway")).status == 400
            await other.ws.close()

    asyncio.run(main())
