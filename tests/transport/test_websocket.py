"""One WebSocket lifetime against servers that do everything wrong."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

import pytest

from buoy.transport.websocket import FRAME_LIMIT, Closed, OpenError, Socket
from tests.transport.servers import Peer, Server, never, serve, until, unused_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.transport.servers import Handler


async def open_to(server: Server, timeout_s: float = 5.0) -> Socket:
    return await Socket.open(server.ws, environ={}, timeout_s=timeout_s)


def with_socket(handler: Handler, do: Callable[[Socket], Awaitable[None]]) -> None:
    """Upgrade, run ``handler`` on the server's side and ``do`` on ours; then nothing may be left behind."""

    async def upgraded(peer: Peer) -> None:
        await peer.upgrade()
        await handler(peer)

    async def main() -> None:
        async with serve(upgraded) as server:
            unseen: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
            sock = await open_to(server)
            try:
                await do(sock)
            finally:
                await sock.close(timeout_s=0.05)
            await until(lambda: server.open == 0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            del sock
            gc.collect()
            assert not unseen

    asyncio.run(main())
    gc.collect()  # an unclosed transport warns when it is collected, and warnings are errors


async def ends_as(sock: Socket) -> Closed:
    """Receive until the end; the end stays the same."""
    while not isinstance(end := await sock.receive(), Closed):
        pass
    assert await sock.receive() == end
    return end


# --- frames


def test_frames_come_in_their_order_also_those_that_came_with_the_upgrade() -> None:
    async def handler(peer: Peer) -> None:
        for number in range(1000):
            peer.frame(b"%d" % number)
        peer.frame(b"x" * 70_000)
        peer.frame(b"binary", 2)
        await peer.gone()

    async def do(sock: Socket) -> None:
        assert [await sock.receive() for _ in range(1000)] == [b"%d" % number for number in range(1000)]
        assert await sock.receive() == b"x" * 70_000
        assert await sock.receive() == b"binary"

    with_socket(handler, do)


def test_pieces_are_joined_and_a_ping_between_them_is_answered() -> None:
    async def handler(peer: Peer) -> None:
        peer.writer.write(b"\x01\x02{}")  # text, more to come
        peer.frame(b"ping", 9)
        peer.frame(b"pong", 10)  # nobody asked for it
        peer.writer.write(b"\x80\x02[]")  # the rest
        assert await peer.read_frame() == (10, b"ping")
        peer.frame(b"answered")
        await peer.gone()

    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"{}[]"
        assert await sock.receive() == b"answered"

    with_socket(handler, do)


def test_text_that_is_no_utf8_is_a_frame_like_any_other() -> None:
    async def handler(peer: Peer) -> None:
        peer.frame(b"\xff\xfe{")
        peer.frame(b"next")
        await peer.gone()

    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"\xff\xfe{"
        assert await sock.receive() == b"next"

    with_socket(handler, do)


def test_cancelling_receive_loses_no_frame() -> None:
    async def handler(peer: Peer) -> None:
        number = 0
        while (await peer.read_frame())[0] == 1:
            peer.frame(b"%d" % number)
            number += 1

    async def do(sock: Socket) -> None:
        for number in range(50):
            waiting = asyncio.create_task(sock.receive())
            await asyncio.sleep(0)
            if number % 2:
                waiting.cancel()
                await asyncio.wait((waiting,))
                waiting = asyncio.create_task(sock.receive())
            await sock.send(b"next")
            for _ in range(number):  # cancel at another moment each time
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait((waiting,))
            got = await sock.receive() if waiting.cancelled() else waiting.result()
            assert got == b"%d" % number

    with_socket(handler, do)


# --- ends


def closing(payload: bytes) -> Handler:
    async def handler(peer: Peer) -> None:
        peer.frame(b"last")
        peer.frame(payload, 8)
        await peer.gone()

    return handler


@pytest.mark.parametrize(
    ("payload", "end"),
    [
        (b"\x03\xe8", Closed(1000, "")),
        (b"\x0f\xa9connection expired", Closed(4009, "connection expired")),
        (b"\x13\x33\xe5\xb0\x81\xe7\xa6\x81", Closed(4915, "封禁")),
        (b"\x13\x27create\nsession error", Closed(4903, "create session error")),
        (b"", Closed(1005, "")),
    ],
)
def test_a_close_frame_gives_its_code(payload: bytes, end: Closed) -> None:
    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"last"
        assert await sock.receive() == end
        assert await sock.receive() == end

    with_socket(closing(payload), do)


def test_an_end_without_a_close_frame_is_1006_after_the_last_frame() -> None:
    async def handler(peer: Peer) -> None:
        peer.frame(b"last")

    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"last"
        assert (await ends_as(sock)).code == 1006

    with_socket(handler, do)


def test_an_end_inside_a_frame_is_1006() -> None:
    async def handler(peer: Peer) -> None:
        peer.writer.write(b"\x81\x7e\x10\x00half")

    async def do(sock: Socket) -> None:
        assert (await ends_as(sock)).code == 1006

    with_socket(handler, do)


def test_a_reset_has_no_code_and_says_so() -> None:
    async def handler(peer: Peer) -> None:
        peer.frame(b"last")
        await peer.writer.drain()
        await peer.read_frame()
        peer.reset()

    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"last"
        await sock.send(b"now")
        end = await ends_as(sock)
        assert end.code is None
        assert "reset" in end.reason.lower()

    with_socket(handler, do)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x81\x7f" + (FRAME_LIMIT + 1).to_bytes(8, "big") + b"x" * (FRAME_LIMIT + 1), 1009),
        (b"\x83\x00", 1002),  # a kind of frame that does not exist
        (b"\xf1\x00", 1002),  # compressed, which nobody agreed to
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1002),
        (b"\x88\x01x", 1002),  # half a close code
    ],
    ids=["oversize", "unknown kind", "compressed", "http", "half a code"],
)
def test_nonsense_ends_the_connection_and_nothing_else(raw: bytes, code: int) -> None:
    async def handler(peer: Peer) -> None:
        peer.frame(b"good")
        peer.writer.write(raw)
        await peer.gone()

    async def do(sock: Socket) -> None:
        assert await sock.receive() == b"good"
        end = await ends_as(sock)
        assert end.code == code
        assert end.reason

    with_socket(handler, do)


# --- sending


def test_what_is_sent_arrives_as_text() -> None:
    seen: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        seen.extend([await peer.read_frame() for _ in range(2)])
        peer.frame(b"", 8)
        await peer.gone()

    async def do(sock: Socket) -> None:
        assert await sock.send(b'{"op":1,"d":null}')
        assert await sock.send("封".encode())
        await ends_as(sock)

    with_socket(handler, do)
    assert seen == [(1, b'{"op":1,"d":null}'), (1, "封".encode())]


def test_an_end_that_nobody_reads_is_no_error() -> None:
    async def handler(peer: Peer) -> None:
        peer.reset()
        ended.set()

    ended = asyncio.Event()

    async def do(sock: Socket) -> None:
        await ended.wait()
        while await sock.send(b"?"):
            await asyncio.sleep(0)

    with_socket(handler, do)


def test_sending_after_the_end_says_so() -> None:
    async def handler(peer: Peer) -> None:
        peer.reset()

    async def do(sock: Socket) -> None:
        await ends_as(sock)
        assert not await sock.send(b"too late")
        await sock.close()
        assert not await sock.send(b"later still")

    with_socket(handler, do)


def test_a_writer_that_nobody_reads_counts_as_gone() -> None:
    async def handler(peer: Peer) -> None:
        await until_done.wait()

    until_done = asyncio.Event()

    async def do(sock: Socket) -> None:
        receiving = asyncio.create_task(sock.receive())
        began = time.monotonic()
        while await sock.send(b"x" * 1_000_000, timeout_s=0.05):
            assert time.monotonic() - began < 5
        assert isinstance(await receiving, Closed), "the receiver hears of it too"
        until_done.set()

    with_socket(handler, do)


# --- closing


def test_closing_says_why_and_waits_for_the_other_end() -> None:
    seen: list[tuple[int, bytes]] = []

    async def handler(peer: Peer) -> None:
        seen.append(await peer.read_frame())
        peer.frame(b"\x0f\xa0", 8)

    async def do(sock: Socket) -> None:
        receiving = asyncio.create_task(sock.receive())
        await asyncio.sleep(0)
        began = time.monotonic()
        await sock.close(4000, timeout_s=5)
        assert time.monotonic() - began < 1
        assert await receiving == Closed(4000, "closed by us")
        assert await sock.receive() == Closed(4000, "closed by us")
        await sock.close()

    with_socket(handler, do)
    assert seen == [(8, b"\x0f\xa0")]


@pytest.mark.parametrize("stuffed", [False, True])
def test_closing_towards_a_black_hole_takes_its_time_and_no_more(stuffed: bool) -> None:  # noqa: FBT001
    async def handler(peer: Peer) -> None:
        await until_done.wait()

    until_done = asyncio.Event()

    async def do(sock: Socket) -> None:
        if stuffed:
            writing = asyncio.create_task(sock.send(b"x" * 20_000_000))
            await asyncio.sleep(0)
        began = time.monotonic()
        await sock.close(timeout_s=0.1)
        assert 0.09 < time.monotonic() - began < 1
        if stuffed:
            assert not await writing
        until_done.set()

    with_socket(handler, do)


def test_a_cancelled_close_leaves_nothing_either() -> None:
    async def do(sock: Socket) -> None:
        closing = asyncio.create_task(sock.close(timeout_s=60))
        for _ in range(5):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait((closing,))
        assert closing.cancelled()
        assert not await sock.send(b"gone")

    with_socket(never, do)


# --- opening


def failing(handler: Handler, *, timeout_s: float = 5.0) -> OpenError:
    """Fail to open; one attempt is one connection, and none is left."""
    errors: list[OpenError] = []

    async def main() -> None:
        async with serve(handler) as server:
            with pytest.raises(OpenError) as caught:
                await open_to(server, timeout_s)
            errors.append(caught.value)
            assert server.accepted == 1
            await until(lambda: server.open == 0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    gc.collect()
    assert errors[0].reason
    assert "\n" not in errors[0].reason
    return errors[0]


async def ends(peer: Peer) -> None:
    await peer.request()


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def garbage(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"\x00\x01\x02\r\n\r\n")


async def wrong_key(peer: Peer) -> None:
    await peer.request()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    peer.writer.write(head.encode() + b"Sec-WebSocket-Accept: nonsense\r\n\r\n")
    await peer.gone()


async def half_an_answer(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 101 Switching")
    await peer.gone()


@pytest.mark.parametrize("handler", [ends, resets, garbage, wrong_key])
def test_no_upgrade_is_an_open_error(handler: Handler) -> None:
    failing(handler)


@pytest.mark.parametrize("handler", [never, half_an_answer])
def test_a_black_hole_is_given_up_in_time(handler: Handler) -> None:
    began = time.monotonic()
    assert "within 0.1 s" in failing(handler, timeout_s=0.1).reason
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "502 Bad Gateway", "200 OK"])
def test_an_answer_instead_of_the_upgrade_gives_its_status(status: str) -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        peer.answer(b"<html>", status)
        await peer.gone()

    assert failing(handler).status == int(status[:3])


def test_refused_and_forbidden_addresses() -> None:
    async def main() -> None:
        for url, why in (
            (f"ws://127.0.0.1:{unused_port()}/", "no connection"),
            ("ws://api.bot.qq.com/websocket", "not encrypted"),
            ("nonsense", "not an http"),
        ):
            with pytest.raises(OpenError, match=why):
                await Socket.open(url, environ={}, timeout_s=5)

    asyncio.run(main())
    gc.collect()


def test_cancelling_open_leaves_nothing() -> None:
    async def main() -> None:
        async with serve(never) as server:
            opening = asyncio.create_task(open_to(server))
            await until(lambda: server.accepted)
            opening.cancel()
            await asyncio.wait((opening,))
            assert opening.cancelled()
            await until(lambda: server.open == 0)

    asyncio.run(main())
    gc.collect()
