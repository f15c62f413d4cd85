"""Each fault does what its name says, as often as it was told to, and stops."""

from __future__ import annotations

import asyncio
import pathlib

import aiohttp
import pytest

from buoy.sim.faults import KINDS, Fault, Faults
from tests.sim.client import ALL, Client, Closed, running


def fault(kind):
    """Name the kind that a test is about; the last test wants them all."""
    assert kind in KINDS
    return kind


def test_counts_and_matching():
    faults = Faults()
    faults.add("slow", endpoint="c2c", bot="1", count=2)
    assert faults.take("slow", "2", "send", "c2c") is None
    assert faults.take("slow", "1", "send", "group") is None
    assert faults.take("slow", "1", "gateway") is None
    assert faults.take("slow", "1", "send", "c2c", "before") is None
    assert [faults.take("slow", "1", "send", "c2c") is not None for _ in range(3)] == [True, True, False]
    forever = faults.add("drop_acks")
    assert forever.count is None
    assert all(faults.take("drop_acks", "1") for _ in range(100))
    assert faults.remove(forever.id) == 1
    assert faults.list() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nope"},
        {"kind": "op7", "mode": "nope"},
        {"kind": "drop_acks", "mode": "x"},
        {"kind": "slow", "endpoint": "nope"},
        {"kind": "slow", "scene": "nope"},
        {"kind": "slow", "count": 0},
        {"kind": "http_status", "body": "xml"},
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(wrong):
    with pytest.raises(ValueError, match="use one of|1 or more"):
        Fault(**wrong)


def test_drop_acks():
    async def main():
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("drop_acks"), count=2)
            for _ in range(2):
                await client.put(1, 1)
            assert (await client.ack())["op"] == 11
            assert sim.world.counters["heartbeats"] == 3

    asyncio.run(main())


def test_no_hello():
    async def main():
        async with running() as (sim, client):
            sim.faults.add(fault("no_hello"), count=1)
            await client.get_token()
            await client.open()
            await client.say_identify()
            assert (await client.recv())["t"] == "READY"

    asyncio.run(main())


def test_no_ready_and_no_resumed_while_acks_flow():
    async def main():
        async with running(limits=False) as (sim, client):
            sim.faults.add(fault("no_ready"), count=1)
            await client.get_token()
            await client.open()
            await client.recv()
            await client.say_identify()
            assert await client.ack() == {"op": 11}
            await client.identify()
            await client.ws.close()
            sim.faults.add(fault("no_resumed"), count=1)
            await client.resume()
            assert await client.ack() == {"op": 11}
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


def test_ws_reset_now_and_once():
    async def main():
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("ws_reset"))
            assert await client.closed() == 1006
            assert sim.faults.list() == []
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


def test_ws_close_as_a_storm_strikes_each_connection_that_becomes_ready():
    async def main():
        async with running() as (sim, client):
            storm = sim.faults.add(fault("ws_close"), code=4900, count=None)
            await client.identify()
            assert await client.closed() == 4900
            for _ in range(3):
                await client.resume()
                assert (await client.recv())["t"] == "RESUMED"
                assert await client.closed() == 4900
            sim.faults.remove(storm.id)
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"
            assert (await client.ack())["op"] == 11

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["now", "late", "none", "only4009"])
def test_op7(mode):
    async def main():
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("op7"), mode=mode, seconds=3)
            if mode != "only4009":
                assert await client.recv() == {"op": 7}
            if mode in {"late", "none"}:
                assert (await client.ack())["op"] == 11
                sim.clock.advance(3)
            if mode == "none":
                assert (await client.ack())["op"] == 11
            else:
                assert await client.closed() == 4009
                await client.resume()
                assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


def test_op9():
    async def main():
        async with running(limits=False) as (sim, client):
            await client.identify()
            sim.faults.add(fault("op9"), resumable=True)
            assert await client.recv() == {"op": 9, "d": True}
            await client.say_resume()
            assert (await client.recv())["t"] == "RESUMED"
            sim.faults.add("op9", code=4903)
            assert await client.recv() == {"op": 9, "d": False}
            assert await client.closed() == 4903
            await client.resume()
            assert await client.closed() == 4006
            await client.identify()
            sim.faults.add("op9")
            assert await client.recv() == {"op": 9, "d": False}
            await client.say_identify()
            assert (await client.recv())["t"] == "READY"

    asyncio.run(main())


def test_malformed_frame_and_op1():
    async def main():
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("malformed_frame"), text="{nope")
            assert await client.recv() == "{nope"
            sim.faults.add(fault("op1"))
            assert (await client.recv())["op"] == 1

    asyncio.run(main())


def test_upgrade_status():
    async def main():
        async with running() as (sim, client):
            sim.faults.add(fault("upgrade_status"), count=1)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await client.open()
            assert refusal.value.status == 503
            await client.open()
            assert (await client.recv())["op"] == 10

    asyncio.run(main())


@pytest.mark.parametrize(
    ("mode", "op9", "code"),
    [("op9_then_4014", 1, 4014), ("op9_then_4903", 1, 4903), ("op9_eof", 1, 1006), ("close4014", 0, 4014)],
)
def test_refuse_identify(mode, op9, code):
    async def main():
        async with running(limits=False) as (sim, client):
            sim.faults.add(fault("refuse_identify"), mode=mode, count=1)
            await client.get_token()
            await client.open()
            await client.recv()
            await client.say_identify()
            if op9:
                assert await client.recv() == {"op": 9, "d": False}
            assert await client.closed() == code
            assert len(sim.world.bot().starts) == 1  # it cost one of the day
            assert (await client.identify())["t"] == "READY"

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["4006", "4007", "4902", "op9"])
def test_refuse_resume(mode):
    async def main():
        async with running() as (sim, client):
            await client.identify()
            await client.ws.close()
            sim.faults.add(fault("refuse_resume"), mode=mode, count=1)
            await client.resume()
            if mode == "op9":
                assert await client.recv() == {"op": 9, "d": False}
            else:
                assert await client.closed() == int(mode)
            await client.resume()
            assert await client.closed() == 4006  # lost for good

    asyncio.run(main())


@pytest.mark.parametrize(("code", "seen"), [(0, 1006), (4000, 4000)])
def test_drop_after_ready(code, seen):
    async def main():
        async with running() as (sim, client):
            sim.faults.add(fault("drop_after_ready"), count=2, code=code)
            assert (await client.identify())["t"] == "READY"
            assert await client.closed() == seen
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"
            assert await client.closed() == seen
            sim.faults.add("drop_after_ready", count=1, seconds=5, code=code)
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"
            assert (await client.ack())["op"] == 11
            sim.clock.advance(5)
            assert await client.closed() == seen

    asyncio.run(main())


def test_deaf_session_ends_with_the_session_and_all_ends_with_the_fault():
    async def main():
        async with running(limits=False) as (sim, client):
            await client.identify()
            deaf = sim.faults.add(fault("deaf_session"))
            await sim.say("lost")
            await client.ws.close()
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"  # accepted, and silent
            await sim.say("lost, too")
            assert (await client.ack())["op"] == 11
            await client.identify()
            await sim.say("heard")
            assert (await client.recv())["d"]["content"] == "heard"
            sim.faults.remove(deaf.id)
            sim.faults.add("deaf_session", mode="all", count=None)
            await sim.say("lost again")
            sim.faults.remove()
            await sim.say("over")
            assert (await client.recv())["d"]["content"] == "over"

    asyncio.run(main())


def test_duplicate_events():
    async def main():
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("duplicate_events"), count=1)
            said = await sim.say("x")
            first, second = await client.recv(), await client.recv()
            assert (first["s"], second["s"]) == (2, 3)
            assert first["d"]["id"] == second["d"]["id"] == said
            assert first["id"] == second["id"]
            await sim.say("y")
            assert (await client.recv())["s"] == 4

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "code", "refusal"), [("banned", 4915, 11265), ("taken_down", 4914, 40054016)]
)
def test_banned_and_taken_down(kind, code, refusal):
    async def main():
        async with running(limits=False) as (sim, client):
            await client.identify()
            target = sim.meet()
            sim.faults.add(fault(kind))
            assert await client.closed() == code
            assert (await client.send(target)).codes == (400, refusal, refusal)
            await client.resume()
            assert await client.closed() == code
            await client.open()
            await client.recv()
            await client.say_identify()
            assert await client.closed() == code
            sim.faults.remove()
            assert (await client.identify())["t"] == "READY"
            assert (await client.send(target)).status == 200

    asyncio.run(main())


def test_http_status_before_and_after():
    async def main():
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


def test_slow_on_the_simulated_clock():
    async def main():
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


def test_hang_until_it_is_removed():
    async def main():
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


def test_accept_then_reset_delivers_without_an_answer():
    async def main():
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


def test_error_code():
    async def main():
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


def test_errors_with_200():
    async def main():
        async with running() as (sim, client):
            await client.get_token()
            sim.faults.add(fault("errors_with_200"))
            odd = await client.send("F" * 32)
            assert odd.status == 200
            assert set(odd.json) == {"err_code", "message", "trace_id"}
            assert odd.json["err_code"] == 40011028

    asyncio.run(main())


def test_token_faults():
    async def main():
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


def test_ip_refused():
    async def main():
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


def test_no_proactive():
    async def main():
        async with running() as (sim, client):
            await client.get_token()
            sim.world.bot().proactive["group"] = True
            target, group = sim.meet(), sim.meet("group")
            sim.faults.add(fault("no_proactive"), scene="c2c")
            assert (await client.send(target)).codes == (400, 40034102, 40034102)
            assert (await client.send(group, scene="group")).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("verdict", "event"), [("pass", "MESSAGE_AUDIT_PASS"), ("reject", "MESSAGE_AUDIT_REJECT")]
)
def test_audit(verdict, event):
    async def main():
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


def test_clock_skew():
    async def main():
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


def test_faults_can_be_for_one_bot():
    async def main():
        bots = [("102000001", "SIMSECRETSIMSECRET01"), ("102000002", "other")]
        async with running(bots=bots) as (sim, client):
            other = Client(sim, client.http, bots[1])
            await client.identify()
            await other.identify()
            sim.faults.add("ws_reset", bot="102000002")
            with pytest.raises(Closed):
                await other.recv()
            assert (await client.ack())["op"] == 11
            sim.faults.add("error_code", code=1, bot="102000002", endpoint="gateway")
            assert (await client.call("GET", "/gateway")).status == 200
            assert (await other.call("GET", "/gateway")).status == 400
            await other.ws.close()

    asyncio.run(main())


def test_every_kind_has_a_test():
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    missing = [kind for kind in KINDS if f'fault("{kind}")' not in source and f'("{kind}", 49' not in source]
    assert missing == []
