"""The wires in memory behave like the real ones: the same story on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from buoy.protocol import wire
from buoy.protocol.rest import build_token
from buoy.sim import Sim
from buoy.transport.http import Answer, Http, NotSentError
from buoy.transport.websocket import Closed, OpenError, Socket
from tests import clock
from tests.shells.memory import BASE, BOT, SECRET, Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from buoy.sim.world import World


@dataclass
class Wires:
    """What a client sees of a platform, and how to trouble it."""

    http: Http
    base: str
    open: Callable[[str, float], Awaitable[Socket]]
    world: World
    now: Callable[[], float]
    down: Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def real() -> AsyncIterator[Wires]:
    async with Sim(control_port=None) as sim:
        http = Http(environ={})

        async def open_socket(url: str, timeout_s: float) -> Socket:
            return await Socket.open(url, environ={}, timeout_s=timeout_s)

        yield Wires(http, sim.api_base, open_socket, sim.world, sim.clock.now, partial(sim.network, "down"))
        await http.close()


@contextlib.asynccontextmanager
async def in_memory() -> AsyncIterator[Wires]:
    network = Network()

    async def down() -> None:
        network.is_down = True
        network.cut()

    yield Wires(network.http, BASE, network.open_socket, network.world, network.wall, down)
    network.stop()


Platform = Callable[[], contextlib.AbstractAsyncContextManager[Wires]]
both = pytest.mark.parametrize("platform", [real, in_memory])


async def ask(wires: Wires, method: str, path: str, token: str = "", body: bytes | None = None) -> Answer:
    headers = {"Authorization": f"QQBot {token}"} if token else {}
    return await wires.http.request(method, wires.base + path, headers=headers, body=body, timeout_s=5)


async def connect(wires: Wires) -> tuple[Socket, str]:
    token = wire.read((await ask(wires, "POST", wire.TOKEN_PATH, body=build_token(BOT, SECRET))).body)["access_token"]
    where = wire.read((await ask(wires, "GET", wire.GATEWAY_BOT_PATH, token)).body)
    return await wires.open(where["url"], 5), token


async def frame(socket: Socket) -> wire.Frame:
    got = await socket.receive()
    assert isinstance(got, bytes)
    decoded = wire.decode(got)
    assert isinstance(decoded, wire.Frame)
    return decoded


@both
def test_a_session_from_hello_to_the_close_code(platform: Platform) -> None:
    async def main() -> None:
        async with platform() as wires:
            socket, token = await connect(wires)
            assert (await frame(socket)).op == wire.Op.HELLO
            assert await socket.send(wire.identify(token, 1 << 25, 0, 1))
            ready = await frame(socket)
            assert (ready.t, ready.s) == ("READY", 1)
            assert await socket.send(wire.heartbeat(1))
            assert (await frame(socket)).op == wire.Op.HEARTBEAT_ACK
            for peer in [peer for session in wires.world.sessions.of() for peer in session.peers]:
                peer.push(b'{"op":0,"s":2,"t":"LAST"}')
                peer.close(4009, "connection expired")
            assert (await frame(socket)).t == "LAST"
            for _ in range(2):
                assert await socket.receive() == Closed(4009, "connection expired")
            await socket.close()
            assert not await socket.send(wire.heartbeat(1))

    clock.run(main())


@both
def test_after_its_own_close_nothing_comes_any_more(platform: Platform) -> None:
    async def main() -> None:
        async with platform() as wires:
            socket, _ = await connect(wires)
            assert (await frame(socket)).op == wire.Op.HELLO
            waiting = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
            await socket.close(4000)
            assert await waiting == Closed(4000, "closed by us")
            assert await socket.receive() == Closed(4000, "closed by us")
            await socket.close()

    clock.run(main())


@both
def test_a_cancelled_receive_loses_no_frame(platform: Platform) -> None:
    async def main() -> None:
        async with platform() as wires:
            socket, token = await connect(wires)
            assert (await frame(socket)).op == wire.Op.HELLO
            waiting = asyncio.create_task(socket.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert await socket.send(wire.identify(token, 1 << 25, 0, 1))
            assert (await frame(socket)).t == "READY"
            await socket.close()

    clock.run(main())


@both
def test_when_nothing_can_be_reached_nothing_was_sent(platform: Platform) -> None:
    async def main() -> None:
        async with platform() as wires:
            socket, token = await connect(wires)
            assert (await frame(socket)).op == wire.Op.HELLO
            await wires.down()
            end = await socket.receive()
            assert isinstance(end, Closed)
            assert end.code in {None, 1006}
            assert not await socket.send(wire.heartbeat(1))
            with pytest.raises(NotSentError):
                await ask(wires, "GET", wire.GATEWAY_BOT_PATH, token)
            with pytest.raises(OpenError):
                await wires.open(wires.base.replace("http", "ws", 1) + "/websocket", 5)
            await socket.close()

    clock.run(main())


@both
def test_answers_carry_what_we_look_at(platform: Platform) -> None:
    async def main() -> None:
        async with platform() as wires:
            answer = await ask(wires, "GET", wire.GATEWAY_BOT_PATH, "wrong")
            assert answer.status == 401
            assert wire.read(answer.body)["code"] == 11243
            assert answer.headers["Date"] == wires.world.date(wires.now())
            assert answer.headers["X-Tps-trace-ID"]

    clock.run(main())
