"""The fault proxy does what it says: without that, no test behind it proves anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.system.processes import wait_until
from tests.system.proxy import DOWN, REST, UP, WEBSOCKET, Proxy

HELLO = b"POST / HTTP/1.1\r\n"


class Echo:
    """A server on a thread that returns what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.heard = b""
        self.ends: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with closing(link):
            try:
                while data := link.recv(65536):
                    self.heard += data
                    link.sendall(data)
                self.ends.append("eof")
            except OSError:
                self.ends.append("reset")


@pytest.fixture
def echo() -> Iterator[Echo]:
    one = Echo()
    yield one
    one.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    one = Proxy()
    one.target = echo.listener.getsockname()
    yield one
    one.close()


def connect(proxy: Proxy) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def exchange(link: socket.socket, data: bytes = HELLO) -> bytes:
    """What comes back, up to as much as was sent."""
    link.sendall(data)
    got = b""
    while len(got) < len(data) and (more := link.recv(65536)):
        got += more
    return got


def is_silent(link: socket.socket, seconds: float = 0.3) -> bool:
    link.settimeout(seconds)
    try:
        link.recv(1)
    except TimeoutError:
        return True
    finally:
        link.settimeout(5)
    return False


def test_it_carries_both_ways_and_passes_the_end_on(proxy: Proxy, echo: Echo) -> None:
    with closing(connect(proxy)) as link:
        assert exchange(link) == HELLO
        assert proxy.links == [REST]
        wait_until(lambda: proxy.passed[REST, UP] == proxy.passed[REST, DOWN] == len(HELLO), "both are counted")
        link.shutdown(socket.SHUT_WR)
        assert link.recv(1) == b""
    wait_until(lambda: echo.ends == ["eof"] and not proxy.links, "both ends are closed")
    with closing(connect(proxy)) as link:
        exchange(link, b"GET /websocket HTTP/1.1\r\n")
        assert proxy.links == [WEBSOCKET]
        assert proxy.ports(WEBSOCKET) == [link.getsockname()[1]]


def test_a_black_hole_keeps_old_and_new_connections_and_what_was_on_the_way_goes_on(proxy: Proxy, echo: Echo) -> None:
    with closing(connect(proxy)) as old:
        exchange(old)
        proxy.swallows()
        with closing(connect(proxy)) as new:
            for link in (old, new):
                link.sendall(b"lost?")
                assert is_silent(link)
            assert echo.heard == HELLO
            proxy.opens()
            assert old.recv(5) == new.recv(5) == b"lost?"


def test_half_open_connections_are_dead_without_a_word_and_new_ones_work(proxy: Proxy) -> None:
    with closing(connect(proxy)) as old, closing(connect(proxy)) as new:
        exchange(old)
        proxy.strands()
        old.sendall(b"lost")
        assert is_silent(old)
        proxy.opens()
        assert is_silent(old), "and they stay so"
        with closing(connect(proxy)) as later:
            assert exchange(later) == HELLO
        assert is_silent(new, 0.05)


def test_a_reset_is_a_reset_at_both_ends(proxy: Proxy, echo: Echo) -> None:
    with closing(connect(proxy)) as old:
        exchange(old)
        proxy.resets()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
    wait_until(lambda: echo.ends == ["reset"], "the other end is reset, too")
    with closing(connect(proxy)) as new:
        assert exchange(new) == HELLO


def test_a_new_connection_is_dropped_as_soon_as_it_was_accepted(proxy: Proxy, echo: Echo) -> None:
    proxy.drops()
    with pytest.raises(ConnectionResetError), closing(connect(proxy)) as link:
        link.recv(1)
    assert (proxy.accepted, echo.heard) == (1, b"")


def test_nothing_listens_and_then_the_same_port_again(proxy: Proxy) -> None:
    with closing(connect(proxy)) as old:
        exchange(old)
        proxy.refuses()
        with pytest.raises(ConnectionResetError):
            old.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
    proxy.opens()
    with closing(connect(proxy)) as new:
        assert exchange(new) == HELLO


def test_latency_holds_each_way_and_keeps_the_order(proxy: Proxy) -> None:
    proxy.delays(0.2)
    with closing(connect(proxy)) as link:
        began = time.monotonic()
        link.sendall(HELLO)
        link.sendall(b"and more")
        assert exchange(link, b"!").startswith(HELLO)
        assert 0.4 <= time.monotonic() - began < 2.0


def test_a_trickle_is_as_slow_as_told(proxy: Proxy) -> None:
    with closing(connect(proxy)) as link:
        exchange(link)
        proxy.trickles(1000)
        began = time.monotonic()
        assert exchange(link, b"x" * 500) == b"x" * 500
        assert 0.45 <= time.monotonic() - began < 3.0


def test_a_cut_strikes_one_connection_of_its_kind_after_n_bytes(proxy: Proxy, echo: Echo) -> None:
    with closing(connect(proxy)) as link:
        exchange(link)
        proxy.cuts(WEBSOCKET, DOWN, 1)
        proxy.cuts(REST, DOWN, 7)
        assert exchange(link, b"0123456789") == b"0123456"
    assert echo.heard == HELLO + b"0123456789", "it arrived there"
    assert not proxy.has_cut
    with closing(connect(proxy)) as link:
        assert exchange(link) == HELLO
        proxy.cuts(REST, UP, 3)
        link.sendall(b"0123456789")
        with pytest.raises(ConnectionResetError):
            link.recv(1)
    wait_until(lambda: echo.heard == HELLO + b"0123456789" + HELLO + b"012", "what was passed on")
