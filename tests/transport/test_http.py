"""Every way a request can end: an answer, not sent, or lost."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING

import pytest

from buoy.transport.http import ANSWER_LIMIT, Answer, Http, LostError, NotSentError
from tests import clock
from tests.transport.servers import Peer, Server, never, serve, until, unused_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.transport.servers import Handler

HEADERS = {"Authorization": "QQBot SECRET-TOKEN", "Content-Type": "application/json"}


async def post(http: Http, url: str, *, timeout_s: float = 5.0, fresh: bool = False, body: bytes = b"{}") -> Answer:
    return await http.request("POST", url, headers=HEADERS, body=body, timeout_s=timeout_s, fresh=fresh)


def with_http(
    handler: Handler, do: Callable[[Http, Server], Awaitable[None]], environ: Mapping[str, str] | None = None
) -> None:
    """Run ``do`` against a server; fail when a socket is left behind."""

    async def main() -> None:
        async with serve(handler) as server:
            http = Http(environ=environ or {})
            try:
                await do(http, server)
            finally:
                await http.close()

    asyncio.run(main())
    gc.collect()  # an unclosed transport warns when it is collected, and warnings are errors


async def echo(peer: Peer) -> None:
    while request := await peer.request():
        peer.answer(request)


# --- answers


def test_an_answer_comes_whole_with_its_status_and_headers() -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        peer.answer(b"<html>bad gateway", "502 Bad Gateway", "X-Tps-trace-ID: abc")

    async def do(http: Http, server: Server) -> None:
        answer = await post(http, server.url)
        assert (answer.status, answer.body) == (502, b"<html>bad gateway")
        assert answer.headers["x-tps-TRACE-id"] == "abc"

    with_http(handler, do)


def test_what_leaves_is_what_was_given() -> None:
    async def do(http: Http, server: Server) -> None:
        request = (await post(http, f"{server.url}v2/users/A%2FB/messages?x=1", body=b'{"a":1}')).body
        head, body = request.split(b"\r\n\r\n")
        assert head.startswith(b"POST /v2/users/A%2FB/messages?x=1 HTTP/1.1\r\n")
        assert b"Authorization: QQBot SECRET-TOKEN" in head
        assert b"Cookie" not in head
        assert body == b'{"a":1}'

    with_http(echo, do)


def test_a_large_body_leaves_whole() -> None:
    async def handler(peer: Peer) -> None:
        peer.answer(str(len(await peer.request())).encode())

    async def do(http: Http, server: Server) -> None:
        size = 3 * 1024 * 1024
        assert int((await post(http, server.url, body=b"x" * size)).body) > size

    with_http(handler, do)


def test_a_chunked_answer_and_an_empty_one_are_whole() -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await peer.writer.drain()
        peer.writer.write(b"2\r\nde\r\n0\r\n\r\n")
        await peer.request()
        peer.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await peer.gone()

    async def do(http: Http, server: Server) -> None:
        assert (await post(http, server.url)).body == b"abcde"
        assert (await post(http, server.url)).status == 204
        assert server.accepted == 1

    with_http(handler, do)


def test_a_redirect_is_an_answer() -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        peer.answer(b"", "302 Found", "Location: http://evil.example/")

    async def do(http: Http, server: Server) -> None:
        assert (await post(http, server.url)).status == 302

    with_http(handler, do)


def test_connections_are_kept_and_fresh_ones_are_not() -> None:
    async def do(http: Http, server: Server) -> None:
        for _ in range(5):
            await post(http, server.url)
        assert server.accepted == 1
        for _ in range(5):
            await post(http, server.url, fresh=True)
        assert server.accepted == 6
        await post(http, server.url)
        assert server.accepted == 6

    with_http(echo, do)


def test_many_at_once_stay_inside_the_limit() -> None:
    async def main() -> None:
        async with serve(echo) as server:
            http = Http(environ={}, limit=3)
            await asyncio.gather(*(post(http, server.url) for _ in range(50)))
            assert server.accepted == 3
            await http.close()

    asyncio.run(main())


# --- not sent


def test_refused_is_not_sent() -> None:
    async def do(http: Http, server: Server) -> None:
        port = unused_port()
        with pytest.raises(NotSentError) as caught:
            await post(http, f"http://127.0.0.1:{port}/")
        assert f"127.0.0.1:{port}" in caught.value.reason

    with_http(never, do)


def test_a_name_that_is_no_name_is_not_sent() -> None:
    async def do(http: Http, server: Server) -> None:
        for url in (f"https://{'x' * 70}.example/", "https:///nothing", "https://host:port/", "nonsense"):
            with pytest.raises(NotSentError):
                await post(http, url)

    with_http(never, do)


async def no_tls(peer: Peer) -> None:
    peer.answer(b"speak TLS", "400 Bad Request")
    await peer.gone()


def test_a_port_without_tls_is_not_sent() -> None:
    async def do(http: Http, server: Server) -> None:
        with pytest.raises(NotSentError, match="TLS"):
            await post(http, server.url.replace("http:", "https:"))

    with_http(no_tls, do)


def test_tls_that_never_ends_is_not_sent_and_in_time() -> None:
    async def do(http: Http, server: Server) -> None:
        began = time.monotonic()
        with pytest.raises(NotSentError, match="no connection"):
            await post(http, server.url.replace("http:", "https:"), timeout_s=0.1)
        assert time.monotonic() - began < 1

    with_http(never, do)


def test_a_connection_is_given_up_long_before_a_generous_deadline() -> None:
    async def main() -> None:
        async with serve(never) as server:
            http = Http(environ={})
            began = asyncio.get_running_loop().time()
            with pytest.raises(NotSentError, match="within 10 s"):
                await post(http, server.url.replace("http:", "https:"), timeout_s=60)
            assert asyncio.get_running_loop().time() - began == pytest.approx(10)
            await http.close()
            await until(lambda: server.open == 0)

    clock.run(main())


def test_waiting_for_a_free_connection_is_not_sent() -> None:
    async def main() -> None:
        async with serve(never) as server:
            http = Http(environ={}, limit=1)
            first = asyncio.create_task(post(http, server.url, timeout_s=5))
            await until(lambda: server.accepted)
            with pytest.raises(NotSentError):
                await post(http, server.url, timeout_s=0.05)
            first.cancel()
            await asyncio.wait((first,))
            await http.close()

    asyncio.run(main())


def test_a_closed_client_sends_nothing() -> None:
    async def do(http: Http, server: Server) -> None:
        await http.close()
        with pytest.raises(NotSentError):
            await post(http, server.url)
        assert server.accepted == 0

    with_http(echo, do)


# --- lost


async def ends(peer: Peer) -> None:
    await peer.request()


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def half_a_head(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-")


async def half_a_body(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def half_a_chunk(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nhalf")


async def reset_in_the_body(peer: Peer) -> None:
    await half_a_body(peer)
    await peer.writer.drain()
    peer.reset()


async def stalls_in_the_body(peer: Peer) -> None:
    await half_a_body(peer)
    await peer.gone()


async def no_http(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


async def a_head_without_end(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")


async def too_long(peer: Peer) -> None:
    await peer.request()
    peer.answer(b"x" * (ANSWER_LIMIT + 1))
    await peer.gone()


async def without_end(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not peer.writer.is_closing():
        peer.writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await peer.writer.drain()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize(
    "handler",
    [
        never, ends, resets, half_a_head, half_a_body, half_a_chunk, reset_in_the_body, stalls_in_the_body,
        no_http, a_head_without_end, too_long, without_end,
    ],
)  # fmt: skip
def test_it_left_and_no_whole_answer_came(handler: Handler, method: str, fresh: bool) -> None:  # noqa: FBT001
    async def do(http: Http, server: Server) -> None:
        timeout_s = 0.1 if handler in {never, stalls_in_the_body} else 5.0
        with pytest.raises(LostError) as caught:
            await http.request(method, server.url, headers=HEADERS, body=b"{}", timeout_s=timeout_s, fresh=fresh)
        assert server.accepted == 1, "one call is one request, also for GET and PUT"
        reason = caught.value.reason
        assert reason
        assert "\n" not in reason
        assert handler not in {too_long, without_end} or "longer than" in reason

    with_http(handler, do)


def test_a_kept_connection_that_closes_under_the_request_is_lost_not_repeated() -> None:
    async def once_then_end(peer: Peer) -> None:
        await peer.request()
        peer.answer(b"first")
        await peer.request()

    async def do(http: Http, server: Server) -> None:
        assert (await post(http, server.url)).body == b"first"
        with pytest.raises(LostError):
            await http.request("GET", server.url, headers=HEADERS, body=None, timeout_s=5)
        assert server.accepted == 1

    with_http(once_then_end, do)


def test_closing_the_client_loses_what_is_under_way_and_does_not_wait() -> None:
    async def handler(peer: Peer) -> None:
        await peer.request()
        arrived.set()
        await peer.gone()

    arrived = asyncio.Event()

    async def do(http: Http, server: Server) -> None:
        call = asyncio.create_task(post(http, server.url, timeout_s=60))
        await arrived.wait()
        await http.close()
        with pytest.raises(LostError):
            await call

    with_http(handler, do)


def test_no_failure_shows_a_secret() -> None:
    async def do(http: Http, server: Server) -> None:
        for url, timeout_s in ((server.url, 0.05), (server.url.replace("http:", "https:"), 0.05)):
            with pytest.raises((LostError, NotSentError)) as caught:
                await post(http, url, timeout_s=timeout_s)
            error: BaseException | None = caught.value
            while error is not None:
                assert "SECRET" not in f"{error!r}{error}{vars(error)}"
                error = error.__cause__ or error.__context__

    with_http(never, do)


# --- fresh resources after a failure


def test_after_a_failure_no_old_connection_is_used_again() -> None:
    async def handler(peer: Peer) -> None:
        while request := await peer.request():
            if b"/bad" in request:
                peer.reset()
                return
            if b"/slow" in request:
                await slow.wait()
            peer.answer(b"good")

    slow = asyncio.Event()

    async def do(http: Http, server: Server) -> None:
        waiting = asyncio.create_task(post(http, f"{server.url}slow"))
        await post(http, server.url)  # leaves a kept connection behind
        await until(lambda: server.accepted == 2)
        with pytest.raises(LostError):
            await asyncio.gather(post(http, f"{server.url}bad"))
        before = server.accepted
        await post(http, server.url)
        assert server.accepted == before + 1, "the kept connection of the old pool was used"
        assert not waiting.done(), "a request under way survives the failure of another"
        slow.set()
        assert (await waiting).body == b"good"
        # the old pool closes with its last request; the new one keeps its connection
        await until(lambda: server.open == 1)

    with_http(handler, do)


def test_after_a_cancelled_request_no_old_connection_is_used_again_and_the_others_go_on() -> None:
    """Behaviour S5: an attempt that ran out of its time is one that failed, whoever measured the time."""

    async def handler(peer: Peer) -> None:
        while request := await peer.request():
            if b"/never" in request:
                left.set()
                await peer.gone()
                return
            if b"/slow" in request:
                await slow.wait()
            peer.answer(b"good")

    slow, left = asyncio.Event(), asyncio.Event()

    async def do(http: Http, server: Server) -> None:
        waiting = asyncio.create_task(post(http, f"{server.url}slow"))
        hanging = asyncio.create_task(post(http, f"{server.url}never", timeout_s=60))
        await left.wait()
        await post(http, server.url)  # leaves a kept connection behind
        await until(lambda: server.accepted == 3)
        hanging.cancel()
        await asyncio.wait([hanging])
        before = server.accepted
        await post(http, server.url)
        assert server.accepted == before + 1, "the kept connection of the old pool was used"
        assert not waiting.done(), "a request under way survives"
        slow.set()
        assert (await waiting).body == b"good"
        await until(lambda: server.open == 1)

    with_http(handler, do)
