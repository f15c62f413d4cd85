"""A real `buoy run` under a service manager: what it is told in good weather, without QQ, frozen and stuck."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buoy.errors import EXIT_LOOP, EXIT_OK
from tests.system.processes import ROOT, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

WATCHDOG_S = 2.0  # food is due every 0.67 s


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.told: list[tuple[float, str]] = []
        self.environ = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}

    def hears(self, word: str, since: float = 0.0) -> list[str]:
        """Everything with this word in it that came after a moment."""
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return [text for at, text in self.told if word in text and at >= since]
            self.told.append((time.monotonic(), text))


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(tmp_path / "notify")
    yield one
    one.socket.close()


@pytest.fixture
def process(judge: Platform, manager: Manager, tmp_path: Path) -> Iterator[Buoy]:
    with buoy(tmp_path / "data", judge.api_base, **manager.environ) as one:
        yield one


def test_ready_states_food_and_stopping(judge: Platform, manager: Manager, process: Buoy) -> None:
    process.start()
    wait_until(lambda: manager.hears("READY=1"), "READY=1")
    assert manager.hears("READY=1") == ["READY=1\nSTATUS=1 of 1 bots connected"]
    wait_until(lambda: len(manager.hears("WATCHDOG=1")) >= 3, "food", 5)
    judge.ask("POST", "/faults", kind="upgrade_status", status=503)
    judge.ask("POST", "/faults", kind="ws_reset")
    wait_until(lambda: manager.hears("STATUS=0 of 1 bots connected; 102000001 down (unreachable)"), "the new state")
    process.terminate()
    assert manager.hears("STOPPING=1") == ["STOPPING=1\nSTATUS=stopping"]
    assert manager.told[-1][1].startswith("STOPPING=1"), "nothing is fed after that"
    assert process.exit_code == EXIT_OK


def test_a_buoy_that_cannot_reach_qq_is_ready_and_fed_all_the_same(manager: Manager, tmp_path: Path) -> None:
    with buoy(tmp_path / "data", "http://127.0.0.1:9", **manager.environ) as process:
        process.start(wait=False)
        wait_until(lambda: manager.hears("READY=1"), "READY=1", 15)
        fed = len(manager.hears("WATCHDOG=1"))
        wait_until(lambda: len(manager.hears("WATCHDOG=1")) >= fed + 3, "food", 5)
        assert manager.hears("STATUS=0 of 1 bots connected")


def test_a_frozen_process_is_not_fed_and_one_that_was_thawed_is(manager: Manager, process: Buoy) -> None:
    process.start()
    wait_until(lambda: manager.hears("WATCHDOG=1"), "food")
    process.signal(signal.SIGSTOP)
    frozen_at = time.monotonic() + 0.05  # what had left before
    time.sleep(WATCHDOG_S)
    assert not manager.hears("=", frozen_at)
    process.signal(signal.SIGCONT)
    wait_until(lambda: manager.hears("WATCHDOG=1", frozen_at), "food")


def test_a_stuck_loop_is_not_fed(judge: Platform, manager: Manager, tmp_path: Path) -> None:
    environ = {
        "BUOY_AGENT": "python:hanging:block",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}",
        "BUOY_STUCK_S": "2.5",
    }
    with buoy(tmp_path / "data", judge.api_base, **(manager.environ | environ)) as process:
        process.start()
        wait_until(lambda: manager.hears("WATCHDOG=1"), "food")
        judge.say("block")
        wait_until(lambda: "now it blocks" in process.log.read_text(), "the agent blocks the loop")
        stuck_at = time.monotonic() + 0.05
        wait_until(lambda: process.exit_code is not None, "our own watch is quicker than the manager's", 10)
        assert not manager.hears("=", stuck_at)
        assert process.exit_code == EXIT_LOOP
        assert "stuck for 2.5 s" in process.command("logs", "--level", "error").stdout, "the log says how it ended"
