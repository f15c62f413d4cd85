"""Each fault does what its name says, as often as it was told to, and stops."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import aiohttp
import pytest

from buoy.sim.faults import KINDS, Fault, Faults
from tests.sim.client import running


def fault(kind: str) -> str:
    """Name the kind that a test is about; the last test wants them all."""
    assert kind in KINDS
    return kind


def test_counts_and_matching() -> None:
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
def test_an_unknown_word_is_refused_with_the_known_ones(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"use one of|1 or more"):
        Fault(**wrong)


def test_drop_acks() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("drop_acks"), count=2)
            for _ in range(2):
                await client.put(1, 1)
            assert (await client.ack())["op"] == 11
            assert sim.world.counters["heartbeats"] == 3

    asyncio.run(main())


def test_no_hello() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            sim.faults.add(fault("no_hello"), count=1)
            await client.get_token()
            await client.open()
            await client.say_identify()
            assert (await client.recv())["t"] == "READY"

    asyncio.run(main())


def test_no_ready_and_no_resumed_while_acks_flow() -> None:
    async def main() -> None:
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


def test_ws_reset_now_and_once() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("ws_reset"))
            assert await client.closed() == 1006
            assert sim.faults.list() == []
            await client.resume()
            assert (await client.recv())["t"] == "RESUMED"

    asyncio.run(main())


def test_ws_close_as_a_storm_strikes_each_connection_that_becomes_ready() -> None:
    async def main() -> None:
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
def test_op7(mode: str) -> None:
    async def main() -> None:
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


def test_op9() -> None:
    async def main() -> None:
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


def test_malformed_frame_and_op1() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            sim.faults.add(fault("malformed_frame"), text="{nope")
            assert await client.recv() == "{nope"
            sim.faults.add(fault("op1"))
            assert (await client.recv())["op"] == 1

    asyncio.run(main())


def test_upgrade_status() -> None:
    async def main() -> None:
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
def test_refuse_identify(mode: str, op9: int, code: int) -> None:
    async def main() -> None:
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
def test_refuse_resume(mode: str) -> None:
    async def main() -> None:
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
def test_drop_after_ready(code: int, seen: int) -> None:
    async def main() -> None:
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


def test_deaf_session_ends_with_the_session_and_all_ends_with_the_fault() -> None:
    async def main() -> None:
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


def test_duplicate_events() -> None:
    async def main() -> None:
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


@pytest.mark.parametrize(("kind", "code", "refusal"), [("banned", 4915, 11265), ("taken_down", 4914, 40054016)])
def test_banned_and_taken_down(kind: str, code: int, refusal: int) -> None:
    async def main() -> None:
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


def test_sandbox_hears_and_serves_nobody_while_the_session_lives() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            await client.identify()
            target = sim.meet()
            sim.faults.add(fault("sandbox"))
            await sim.say("unheard")
            assert (await client.send(target)).codes == (400, 40054016, 40054016)
            assert (await client.ack())["op"] == 11
            sim.faults.remove()
            await sim.say("heard")
            assert (await client.recv())["d"]["content"] == "heard"

    asyncio.run(main())


def test_every_kind_has_a_test() -> None:
    source = "".join(p.read_text(encoding="utf-8") for p in pathlib.Path(__file__).parent.glob("test_faults*.py"))
    missing = [kind for kind in KINDS if f'fault("{kind}")' not in source and f'("{kind}", 49' not in source]
    assert missing == []
