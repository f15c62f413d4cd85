"""The stream of snapshots: it turns with the world, costs nothing while nobody listens, and ends when it must."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from buoy.errors import StoreError
from buoy.faces.web import gate
from buoy.faces.web.live import BEAT_S, LISTENERS, FullError, Live
from buoy.faces.web.snapshots import AGE_S, SHARE, Snapshots, material
from tests import clock
from tests.faces.serving import served

pytestmark = pytest.mark.usefixtures("quiet")


def test_a_page_turns_within_two_seconds_of_an_outage_and_of_its_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            loop = asyncio.get_running_loop()
            stream = await it.listen()
            assert stream.answer.headers["content-type"] == "text/event-stream"
            assert (await stream.next())["ready"]
            began = loop.time()
            await it.sim.network("down")
            lost = await stream.until(lambda told: not told["ready"])
            assert loop.time() - began < 2.0
            (bot,) = lost["bots"].values()
            assert bot["state"] == "down"
            await it.sim.network("up")
            await it.sim.until(lambda: it.buoy.is_live)
            ended = loop.time()
            assert (await stream.until(lambda told: told["ready"]))["bots"]
            assert loop.time() - ended < 2.0

    asyncio.run(main())


# --- the hub on a virtual clock ----------------------------------------------------------------------------------


class World:
    """What there is to tell, and how often somebody looked."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.state: dict[str, Any] = {"state": "up"}
        self.looks = 0
        self.broken = False
        self.snapshots = Snapshots(self.take, loop.time)
        self.live = Live(self.snapshots, loop.time)
        self.task = loop.create_task(self.live.run())

    def take(self) -> dict[str, Any]:
        self.looks += 1
        if self.broken:
            raise StoreError("cannot read")
        return {"at": asyncio.get_running_loop().time(), "last_frame_s": float(self.looks), **self.state}

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def test_nobody_looks_while_nobody_listens() -> None:
    async def main() -> None:
        world = World()
        await asyncio.sleep(3600)
        assert world.looks == 0
        stream = world.live.follow()
        await anext(stream)
        await asyncio.sleep(10)
        assert 10 < world.looks < 25
        await stream.aclose()
        await asyncio.sleep(1)
        seen = world.looks
        await asyncio.sleep(3600)
        assert world.looks == seen
        await world.end()

    clock.run(main())


def test_news_come_at_once_and_silence_is_broken_by_a_beat() -> None:
    async def main() -> None:
        world = World()
        now = asyncio.get_running_loop().time
        first, second = world.live.follow(), world.live.follow()
        await anext(first)
        await anext(first)  # what the first look says
        await anext(second)
        began = now()
        await anext(first)
        assert 4.0 <= now() - began <= BEAT_S
        await anext(second)
        looks = world.looks
        world.state = {"state": "down"}
        began = now()
        assert b'"down"' in await anext(first)
        assert now() - began <= 1.0
        assert b'"down"' in await anext(second)
        assert world.looks - looks <= 2, "one look for both"
        await world.end()

    clock.run(main())


def test_a_slow_listener_gets_the_newest_and_misses_no_last_word() -> None:
    async def main() -> None:
        world = World()
        stream = world.live.follow()
        await anext(stream)
        for state in ("a", "b", "c"):
            world.state = {"state": state}
            await asyncio.sleep(1)
        assert b'"c"' in await anext(stream)
        await world.end()

    clock.run(main())


def test_listeners_are_bounded_and_a_closed_hub_ends_them_at_once() -> None:
    async def main() -> None:
        world = World()
        streams = [world.live.follow() for _ in range(LISTENERS)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(FullError):
            await anext(world.live.follow())
        waiting = [asyncio.ensure_future(anext(stream, b"end")) for stream in streams]
        await asyncio.sleep(0.1)
        for one in waiting:
            if one.done():
                one.result()
        world.live.close()
        began = asyncio.get_running_loop().time()
        assert {await one for one in waiting} <= {b"end", world.live._news}
        assert [await anext(stream, b"end") for stream in streams] == [b"end"] * LISTENERS
        assert asyncio.get_running_loop().time() == began
        assert world.live.listeners == 0
        again = world.live.follow()  # it listens again on another port, for instance
        assert b"up" in await anext(again)
        await again.aclose()
        await world.end()

    clock.run(main())


def test_a_database_that_cannot_be_read_ends_no_stream() -> None:
    async def main() -> None:
        world = World()
        stream = world.live.follow()
        await anext(stream)
        await anext(stream)
        world.broken = True
        await asyncio.sleep(20)
        world.broken = False
        assert b"up" in await anext(stream)
        await world.end()

    clock.run(main())


# --- snapshots ---------------------------------------------------------------------------------------------------


def test_a_snapshot_is_shared_for_a_moment_and_takes_a_small_share_of_the_time() -> None:
    now, cost, taken = 0.0, 0.0, 0

    def take() -> dict[str, Any]:
        nonlocal now, taken
        now, taken = now + cost, taken + 1
        return {"taken": taken}

    snapshots = Snapshots(take, lambda: now)
    assert snapshots.plain() == snapshots.plain() == {"taken": 1}
    now = AGE_S
    cost = 1.0
    assert snapshots.plain() == {"taken": 2}
    now += SHARE - 0.1
    assert snapshots.plain() == {"taken": 2}
    now += 0.1
    assert snapshots.plain() == {"taken": 3}


def test_what_changes_with_time_alone_is_no_news() -> None:
    told = {"at": 1.0, "uptime_s": 2, "bots": {"1": {"state": "up", "last_ack_s": 3}}, "gaps": [{"id": 1, "x_s": 1}]}
    assert material(told) == {"bots": {"1": {"state": "up"}}, "gaps": [{"id": 1}]}
    assert material({"oldest": {"waiting": 3.0}, "disk": {"free_bytes": 1}, "loop": {}}) == {}


# --- slow readers ------------------------------------------------------------------------------------------------


def test_a_listener_that_takes_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "SLOW_S", 0.2)

    async def main() -> None:
        async with served(tmp_path) as it:
            it.buoy.app.sections["alerts"] = lambda: {
                "now": os.urandom(8).hex(),
                "much": "x" * 4_000_000,
            }
            plug = socket.socket()
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plug.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plug, ("127.0.0.1", it.port))
            await asyncio.get_running_loop().sock_sendall(plug, b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while not it.web._live.listeners:
                await asyncio.sleep(0.01)
            while it.web._live.listeners:
                await asyncio.sleep(0.01)
            plug.close()
            assert (await it.ask("/livez")).status == 200

    asyncio.run(main())
