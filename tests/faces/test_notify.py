"""systemd's socket: who is told what, and that only progress feeds the watchdog."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from buoy.durable import meta
from buoy.durable.store import Store
from buoy.faces import notify
from buoy.faces.notify import READY_S, Facts, Heartbeat, Notifier, address, has_progress, in_words, is_ready, watchdog_s
from buoy.gateway.app import App
from tests import clock
from tests.gateway import fakes


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        yield one


def heard(manager: socket.socket) -> list[str]:
    told = []
    with suppress(BlockingIOError):
        while True:
            told.append(manager.recv(4096).decode())
    return told


# --- the socket ---


def test_lines_leave_as_one_datagram(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    assert notifier.is_wanted
    assert notifier.tell("READY=1", "STATUS=two\nlines \ud800")
    assert heard(manager) == ["READY=1\nSTATUS=two lines ?"]


def test_abstract_sockets_are_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(b"\0buoy-test-%d" % os.getpid())
        one.setblocking(False)
        assert Notifier({"NOTIFY_SOCKET": f"@buoy-test-{os.getpid()}"}).tell("READY=1")
        assert heard(one) == ["READY=1"]


@pytest.mark.parametrize("where", ["", "relative", "@", "vsock:2:1234", "/nowhere/at/all", "/\0", "/" + "x" * 200])
def test_where_nobody_listens_nothing_is_raised(where: str) -> None:
    assert not Notifier({"NOTIFY_SOCKET": where}).tell("READY=1")
    assert (address(where) is None) == (not where.startswith("/") or "\0" in where)


def test_a_manager_that_does_not_read_blocks_nobody(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    began = time.monotonic()
    assert not all(notifier.tell("STATUS=" + "x" * 200) for _ in range(10_000))
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "5", "WATCHDOG_PID": "x"}, None),
    ],
)
def test_the_watchdogs_patience(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environ, 7) == seconds


# --- deciding ---


@pytest.mark.parametrize(
    ("fed", "now", "is_fed"),
    [
        (Facts(10, 0, 4, 4), Facts(10, 0, 4, 4), True),  # nothing to do
        (Facts(10, 0, 4, 4), Facts(12, 0, 4, 4), True),
        (Facts(10, 0, 4, 4), Facts(12, 5, 4, 4), True),  # busy, and the disk answers
        (Facts(10, 0, 4, 4), Facts(10, 1, 4, 4), False),  # the disk is silent
        (Facts(10, 3, 4, 4), Facts(10, 9, 4, 4), False),
        (Facts(10, 0, 4, 4), Facts(12, 0, 4, 3), False),  # a service that nobody keeps
        (Facts(10, 0, 4, 4), Facts(10, 1, 4, 3), False),
        (Facts(10, 0, 0, 0), Facts(10, 0, 0, 0), True),
    ],
)
def test_only_progress_is_fed(fed: Facts, now: Facts, is_fed: bool) -> None:  # noqa: FBT001
    assert has_progress(fed, now) is is_fed


UP = {"connected": True, "state": "up", "phase": "live", "attempt": 0, "cause": None}
FIRST = {"connected": False, "state": "down", "phase": "opening", "attempt": 0, "cause": None}
FAILED = {"connected": False, "state": "down", "phase": "opening", "attempt": 1, "cause": "unreachable"}
BLOCKED = {
    "connected": False,
    "state": "blocked",
    "phase": "blocked",
    "attempt": 0,
    "cause": "ip",
    "remedy": "add this address",
}


@pytest.mark.parametrize(
    ("bots", "waited_s", "ready"),
    [
        ([UP], 0, True),
        ([FIRST], 0, False),
        ([{"connected": False, "phase": "not started"}], 5, False),
        ([UP, FIRST], READY_S - 0.1, False),
        ([UP, FIRST], READY_S, True),
        ([UP, FAILED, BLOCKED], 0, True),
        ([FIRST | {"phase": "waiting"}], 0, True),
        ([{"connected": False, "phase": "ended"}], 0, True),
    ],
)
def test_ready_when_every_first_attempt_has_ended_or_time_is_up(
    bots: list[dict[str, Any]], waited_s: float, ready: bool  # noqa: FBT001
) -> None:  # fmt: skip
    assert is_ready(bots, waited_s) is ready


def test_the_states_in_words() -> None:
    assert in_words({"1": UP}) == "1 of 1 bots connected"
    told = in_words({"1": UP, "2": FAILED, "3": BLOCKED, "4": FIRST})
    assert told == "1 of 4 bots connected; 2 down (unreachable); 3 blocked (add this address); 4 down"
    assert in_words({"1": FAILED}) == in_words({"1": FAILED | {"attempt": 2, "phase": "waiting", "next_try_s": 3.2}})
    assert len(in_words({str(n): FAILED for n in range(500)})) <= notify.LINE


# --- acting ---


class Line(fakes.Line):
    """A platform whose health is what a test says."""

    def __init__(self) -> None:
        super().__init__(bot="1", name="qq")
        self.told: dict[str, Any] = dict(FIRST)

    def health(self) -> dict[str, Any]:
        return self.told


def _notifier(manager: socket.socket, watchdog_s: int = 30) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": str(watchdog_s * 1_000_000)})


def test_ready_once_states_when_they_change_and_food_three_times_an_interval(manager: socket.socket) -> None:
    async def main() -> None:
        line = Line()
        app = App(Store.open_memory(now=0.0), [line], {})
        app.supervisor.keep("notify", Heartbeat(_notifier(manager), app).run)
        await asyncio.sleep(9.5)
        assert heard(manager) == ["STATUS=0 of 1 bots connected; 1 down", "WATCHDOG=1"], "the first attempt runs"
        line.told = dict(UP)
        await asyncio.sleep(1.0)
        assert heard(manager) == ["READY=1\nSTATUS=1 of 1 bots connected", "WATCHDOG=1"]
        await asyncio.sleep(29.0)
        assert heard(manager) == ["WATCHDOG=1"] * 2
        line.told = dict(FAILED)
        await asyncio.sleep(1.0)
        assert heard(manager)[0] == "STATUS=0 of 1 bots connected; 1 down (unreachable)"
        await app.supervisor.stop(timeout_s=1.0)

    clock.run(main())


def test_ready_comes_although_no_attempt_ever_ends(manager: socket.socket) -> None:
    async def main() -> None:
        app = App(Store.open_memory(now=0.0), [Line()], {})
        app.supervisor.keep("notify", Heartbeat(_notifier(manager), app).run)
        await asyncio.sleep(READY_S - 0.5)
        assert not [one for one in heard(manager) if "READY" in one]
        await asyncio.sleep(1.0)
        assert [one for one in heard(manager) if "READY" in one]
        await app.supervisor.stop(timeout_s=1.0)

    clock.run(main())


def test_a_manager_that_was_deaf_is_told_again(manager: socket.socket, tmp_path: Path) -> None:
    async def main() -> None:
        line = Line()
        line.told = dict(UP)
        app = App(Store.open_memory(now=0.0), [line], {})
        heart = Heartbeat(Notifier({"NOTIFY_SOCKET": str(tmp_path / "later")}), app)
        heart.look()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as later:
            later.bind(str(tmp_path / "later"))
            later.setblocking(False)
            heart.look()
            heart.look()
            assert heard(later) == ["READY=1\nSTATUS=1 of 1 bots connected"]

    clock.run(main())


def test_a_disk_that_does_not_answer_starves_the_watchdog_until_it_does(manager: socket.socket, tmp_path: Path) -> None:
    held = threading.Event()

    def commit(db: sqlite3.Connection) -> None:
        held.wait(20)
        db.execute("COMMIT")

    async def main() -> None:
        now = 0.0
        store = Store.open(tmp_path / "data", now=0.0, commit=commit)
        app = App(store, [Line()], {})
        heart = Heartbeat(_notifier(manager), app, clock=lambda: now)
        heart.look()
        assert "WATCHDOG=1" in heard(manager)
        written = store.write(meta.set, "x", 1)
        for now in (10.0, 20.0, 30.0, 40.0):  # noqa: B007  the clock reads it
            await asyncio.sleep(0)
            heart.look()
        assert "WATCHDOG=1" not in heard(manager)
        held.set()
        await written
        heart.look()
        assert "WATCHDOG=1" in heard(manager)
        await store.close(5.0)

    asyncio.run(main())


def test_a_service_that_nobody_keeps_starves_the_watchdog(manager: socket.socket) -> None:
    async def main() -> None:
        app = App(Store.open_memory(now=0.0), [Line()], {})

        async def for_ever() -> None:
            await asyncio.sleep(1e6)

        app.supervisor.keep("a", for_ever)
        heart = Heartbeat(_notifier(manager), app)
        heart.look()
        assert "WATCHDOG=1" in heard(manager)
        for task in app.supervisor._services:
            task.cancel()
        await asyncio.sleep(10.0)
        heart.look()
        assert "WATCHDOG=1" not in heard(manager)

    clock.run(main())
