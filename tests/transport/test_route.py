"""Which addresses, which proxies and which names lead to a connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from buoy.errors import ConfigError
from buoy.transport.http import Answer, Http, NotSentError, check_url
from buoy.transport.route import UNSENT, Proxies, Resolver, is_unsent, route
from buoy.transport.websocket import OpenError, Socket
from tests import clock
from tests.transport.servers import Peer, serve, unused_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CERTIFICATE = Path(__file__).with_name("api_test.pem")


# --- addresses


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bot.qq.com",
        "wss://api.bot.qq.com/websocket/",
        "http://127.0.0.1:8765",
        "http://127.8.9.1/x",
        "ws://localhost:1/websocket",
        "http://[::1]:80/",
        "http://sim.localhost/",
    ],
)
def test_addresses_that_are_accepted(url: str) -> None:
    assert check_url(url, "QQ_API_BASE") == URL(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.bot.qq.com", "write https://api.bot.qq.com"),
        ("ws://api.bot.qq.com/websocket", "write wss://api.bot.qq.com"),
        ("http://127.0.0.1.evil.example/", "not encrypted"),
        ("http://localhost.evil.example/", "not encrypted"),
        ("http://10.0.0.1/", "not encrypted"),
        ("ftp://127.0.0.1/", "not an http"),
        ("api.bot.qq.com", "not an http"),
        ("https:///path", "not"),
        ("https://host:port/", "not"),
        ("", "not"),
    ],
)
def test_addresses_that_are_refused_name_the_setting_and_the_remedy(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"QQ_API_BASE: .*{why}") as caught:
        check_url(url, "QQ_API_BASE")
    assert "; write " in str(caught.value)
    assert "\n" not in str(caught.value)


# --- proxies, by the environment


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://a.test/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.test/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "wss://a.test/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.test/", None),
        ({"HTTP_PROXY": "http://p:1"}, "ws://a.test/", "http://p:1"),
        ({"ALL_PROXY": "p:1"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "https://q:2"}, "https://a.test/", "https://q:2"),
        ({"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "https://a.test/", "http://low:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://up:1"}, "https://a.test/", "http://up:1"),
        ({"HTTPS_PROXY": "http://u:pw@p:1"}, "https://a.test/", "http://u:pw@p:1"),
        ({"ALL_PROXY": "http://p:1"}, "http://127.0.0.1/", None),
        ({"ALL_PROXY": "socks5://p:1"}, "http://localhost/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "b.test, A.test"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ".a.test"}, "https://x.a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test"}, "https://x.a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test"}, "https://xa.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test:443"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test:444"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "2001:db8::1"}, "https://[2001:db8::1]/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": ",, "}, "https://a.test/", "http://p:1"),
    ],
)
def test_the_environment_chooses_the_proxy(environ: dict[str, str], url: str, proxy: str | None) -> None:
    assert Proxies(environ).find(URL(url)) == (None if proxy is None else URL(proxy))


def test_the_environment_is_read_once() -> None:
    environ = {"HTTPS_PROXY": "http://p:1"}
    proxies = Proxies(environ)
    environ["HTTPS_PROXY"] = "http://q:1"
    assert proxies.find(URL("https://a.test/")) == URL("http://p:1")


@pytest.mark.parametrize("value", ["socks5://u:pw@p:1", "socks5h://p", "http://", "http://p:port"])
def test_a_proxy_of_another_kind_is_named_with_a_remedy(value: str) -> None:
    with pytest.raises(ConfigError, match=r"ALL_PROXY: .*NO_PROXY") as caught:
        check_url("https://a.test", "QQ_API_BASE", {"ALL_PROXY": value})
    assert "pw" not in str(caught.value)


# --- proxies, on the wire


class Proxy:
    """A proxy that leads every name to one port, and writes down what it was asked."""

    def __init__(self, to_port: int = 0, refuse: str = "") -> None:
        self.to_port, self.refuse = to_port, refuse
        self.asked: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        head = await peer.request()
        self.asked.append(head)
        if self.refuse:
            peer.answer(b"", self.refuse)
            return
        if not head.startswith(b"CONNECT "):
            peer.answer(b"forwarded")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        peer.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = asyncio.create_task(_copy(reader, peer.writer))
        await _copy(peer.reader, writer)
        back.cancel()
        await asyncio.wait((back,))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


async def hello(peer: Peer) -> None:
    while await peer.request():
        peer.answer(b"hello through TLS")


async def get(http: Http, url: str) -> Answer:
    return await http.request("GET", url, headers={"A": "b"}, body=None, timeout_s=5)


def run_through(proxy: Proxy, do: Callable[[str], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serve(proxy) as server:
            await do(f"http://user:p%40ss@127.0.0.1:{server.port}")

    asyncio.run(main())
    gc.collect()


def test_a_plain_request_is_forwarded() -> None:
    proxy = Proxy()

    async def do(address: str) -> None:
        http = Http(environ={"HTTP_PROXY": address})
        assert (await get(http, "http://api.test/path")).body == b"forwarded"
        await http.close()

    run_through(proxy, do)
    assert proxy.asked[0].startswith(b"GET http://api.test/path HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.asked[0]


def test_tls_goes_through_connect_and_the_proxy_sees_nothing() -> None:
    proxy = Proxy()

    async def do(address: str) -> None:
        async with serve(hello, server_tls()) as target:
            proxy.to_port = target.port
            http = Http(environ={"HTTPS_PROXY": address})
            http._tls = client_tls()
            for _ in range(3):
                assert (await get(http, "https://api.test/secret-path")).body == b"hello through TLS"
            assert target.accepted == 1
            await http.close()

    run_through(proxy, do)
    assert len(proxy.asked) == 1
    assert proxy.asked[0].startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz" in proxy.asked[0]
    assert b"secret-path" not in proxy.asked[0]


def test_a_websocket_goes_through_connect() -> None:
    proxy = Proxy()

    async def upgraded(peer: Peer) -> None:
        await peer.upgrade()
        peer.frame(b"hello")
        await peer.gone()

    async def do(address: str) -> None:
        async with serve(upgraded, server_tls()) as target:
            proxy.to_port = target.port
            environ = {"HTTPS_PROXY": address}
            sock = await Socket.open("wss://api.test/ws", environ=environ, timeout_s=5, tls=client_tls())
            assert await sock.receive() == b"hello"
            await sock.close(timeout_s=0.05)

    run_through(proxy, do)
    assert proxy.asked[0].startswith(b"CONNECT api.test:443 ")


@pytest.mark.parametrize("refuse", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_not_sent(refuse: str) -> None:
    async def do(address: str) -> None:
        http = Http(environ={"ALL_PROXY": address})
        with pytest.raises(NotSentError, match=f"proxy refused: {refuse}"):
            await get(http, "https://api.test/")
        await http.close()
        with pytest.raises(OpenError, match=f"proxy refused: {refuse}"):
            await Socket.open("wss://api.test/", environ={"ALL_PROXY": address}, timeout_s=5)

    run_through(Proxy(refuse=refuse), do)


def test_a_reason_in_another_encoding_can_be_stored() -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request()
        peer.writer.write("HTTP/1.1 407 需要认证\r\nContent-Length: 0\r\n\r\n".encode("gbk"))

    async def main() -> None:
        async with serve(refuse) as server:
            http = Http(environ={"ALL_PROXY": f"http://127.0.0.1:{server.port}"})
            with pytest.raises(NotSentError, match="proxy refused: 407") as caught:
                await get(http, "https://api.test/")
            assert caught.value.reason.encode()
            await http.close()

    asyncio.run(main())


def test_a_proxy_that_hangs_up_or_is_not_there_is_not_sent() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.request()

    async def main() -> None:
        async with serve(hang_up) as server:
            for port in (server.port, unused_port()):
                http = Http(environ={"ALL_PROXY": f"http://user:hidden@127.0.0.1:{port}"})
                with pytest.raises(NotSentError) as caught:
                    await get(http, "https://api.test/")
                assert "hidden" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"
                await http.close()

    asyncio.run(main())
    gc.collect()


def test_an_unusable_proxy_is_not_sent_rather_than_passed_by() -> None:
    async def main() -> None:
        http = Http(environ={"ALL_PROXY": "socks5://127.0.0.1:1"})
        with pytest.raises(NotSentError, match="ALL_PROXY"):
            await get(http, "https://api.test/")
        await http.close()
        with pytest.raises(OpenError, match="ALL_PROXY"):
            await Socket.open("wss://api.test/", environ={"ALL_PROXY": "socks5://p"}, timeout_s=1)

    asyncio.run(main())


# --- certificates


def test_a_certificate_that_nobody_vouches_for_is_not_sent() -> None:
    async def main() -> None:
        async with serve(hello, server_tls()) as server:
            http = Http(environ={})
            with pytest.raises(NotSentError, match=r"certificate of 127.0.0.1 is not accepted"):
                await get(http, f"https://127.0.0.1:{server.port}/")
            await http.close()
            with pytest.raises(OpenError, match=r"certificate of 127.0.0.1 is not accepted"):
                await Socket.open(f"wss://127.0.0.1:{server.port}/", environ={}, timeout_s=5)

    asyncio.run(main())
    gc.collect()


# --- names


def no_such_name(*_args: object, **_kwargs: object) -> list[Any]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_an_unknown_name_is_not_sent() -> None:
    async def main() -> None:
        http = Http(environ={})
        http._resolver = Resolver(no_such_name)
        with pytest.raises(NotSentError, match=r"the name api.test cannot be resolved: Name or service"):
            await get(http, "https://api.test/")
        await http.close()

    asyncio.run(main())


def test_a_name_becomes_addresses() -> None:
    async def main() -> None:
        found = await Resolver().resolve("localhost", 80, socket.AF_INET)
        assert [(entry["host"], entry["port"]) for entry in found] == [("127.0.0.1", 80)]
        with pytest.raises(socket.gaierror):
            await Resolver(no_such_name).resolve("api.test", 80)

    asyncio.run(main())


def test_a_look_up_that_never_ends_is_given_up_by_the_next_one() -> None:
    release = threading.Event()
    calls: list[str] = []

    def look_up(host: str, *args: Any, **more: Any) -> list[Any]:
        calls.append(host)
        if len(calls) == 1:
            release.wait(30)
        return socket.getaddrinfo("127.0.0.1", *args, **more)

    async def main() -> None:
        resolver = Resolver(look_up)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.JumpingLoop)
        for _ in range(6):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await resolver.resolve("api.test", 443)
        assert calls == ["api.test"]
        await asyncio.sleep(1)
        with loop.hold():
            assert (await resolver.resolve("api.test", 443))[0]["host"] == "127.0.0.1"
            release.set()

    try:
        clock.run(main())
    finally:
        release.set()


def test_a_look_up_that_hangs_takes_one_thread_and_holds_up_nobody() -> None:
    release = threading.Event()
    calls: list[str] = []

    def hang(host: str, *_args: Any, **_kwargs: Any) -> list[Any]:
        calls.append(host)
        release.wait(30)
        return []

    async def main() -> None:
        http = Http(environ={})
        http._resolver = Resolver(hang)
        for _ in range(3):
            with pytest.raises(NotSentError, match="no connection"):
                await http.request("GET", "https://api.test/", headers={}, body=None, timeout_s=0.03)
        await http.close()
        assert await asyncio.to_thread(lambda: "the loop's own threads are free") is not None

    try:
        asyncio.run(main())
        assert calls == ["api.test"]
        threads = [thread for thread in threading.enumerate() if thread.name == "dns api.test"]
        assert [thread.daemon for thread in threads] == [True], "the end of the process would wait for it"
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("dns "):
                thread.join()


# --- the route as a whole


@pytest.mark.parametrize(
    ("url", "environ", "way"),
    [
        ("https://a.test/x", {}, ("a.test", 443, True, None, "ALL_PROXY")),
        ("http://127.0.0.1:81", {"http_proxy": "http://p:1"}, ("127.0.0.1", 81, False, None, "http_proxy")),
        ("wss://a.test:9", {"https_proxy": "p:1"}, ("a.test", 9, True, ("p", 1), "https_proxy")),
        ("https://a.test", {"ALL_PROXY": "http://p"}, ("a.test", 443, True, ("p", 80), "ALL_PROXY")),
        ("https://a.test", {"HTTPS_PROXY": "p:1", "NO_PROXY": "test"}, ("a.test", 443, True, None, "HTTPS_PROXY")),
    ],
)
def test_a_route_says_where_it_leads_and_which_variable_decides(url: str, environ: Any, way: Any) -> None:
    assert route(url, environ) == way


def test_there_is_no_route_where_we_would_not_go() -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        route("http://a.test", {})


def test_a_deadline_before_a_connection_is_known_on_every_python() -> None:
    """`asyncio.timeout` names what it cut off as its cause, or only as its context, by the version of Python."""
    cut_off = asyncio.CancelledError()
    cut_off.add_note(UNSENT)
    caused, in_context, other = TimeoutError(), TimeoutError(), TimeoutError()
    caused.__cause__ = caused.__context__ = in_context.__context__ = cut_off
    other.__context__ = asyncio.CancelledError()
    assert (is_unsent(caused), is_unsent(in_context), is_unsent(other)) == (True, True, False)
