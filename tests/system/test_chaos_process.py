"""What only whole processes can show: one that blocks ends with a code of its own, and two never work side by side.

Fault rows 19 and 24. A poison message, a blocked loop under SIGTERM and two whole gateways: test_life.py.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buoy.errors import EXIT_BUSY, EXIT_LOOP
from tests.measure import measured
from tests.system.processes import ROOT, Buoy, wait_until
from tests.system.stage import Stage, stage

pytestmark = pytest.mark.system

AT_ONCE_S = 5.0  # fault row 24: a second process starts, looks and leaves; Python alone takes half a second of it
STUCK_S = 2.0


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, BUOY_STUCK_S=str(STUCK_S)) as one:
        one.start()
        one.say("before")
        one.all_answered()
        yield one


def test_a_loop_that_blocks_ends_the_process_and_its_turn_is_answered_by_the_next_one(play: Stage) -> None:
    play.process.terminate()
    play.process.environ["BUOY_AGENT"] = "python:hanging:block"
    play.start()
    at = time.time()
    play.say("block")
    wait_until(lambda: play.process.exit_code is not None, "the watcher ends the process")
    measured(19, f"the loop blocks to the end of the process, stuck_s = {STUCK_S:g}", time.time() - at, STUCK_S + 1.0)
    assert play.process.exit_code == EXIT_LOOP
    assert "hanging.py" in play.process.log.read_text(), "it says where"
    play.process.environ["BUOY_AGENT"] = "python:diary:answer"
    play.start()
    play.all_answered()


def test_a_second_process_on_the_same_bot_or_directory_leaves_at_once_and_the_first_does_not_notice(
    play: Stage, tmp_path: Path
) -> None:
    base, owner = play.process.environ["QQ_API_BASE"], play.process.process
    assert owner is not None
    second = {
        "one AppID": Buoy(tmp_path / "other", base),
        "one data directory": Buoy(play.process.directory, base, QQ_APP_ID="102000009"),
    }
    for what, other in second.items():
        began = time.monotonic()
        refused = other.command("run")
        measured(24, f"two processes, {what}: the second has left", time.monotonic() - began, AT_ONCE_S)
        assert refused.returncode == EXIT_BUSY
        assert f"pid {owner.pid}" in refused.stderr
    play.say("after")
    play.all_answered()
    assert len(play.log("phase", now="live")) == 1


def test_the_locks_of_a_frozen_process_hold_and_those_of_a_killed_one_are_free_at_once(play: Stage) -> None:
    play.process.signal(signal.SIGSTOP)
    assert Buoy(play.process.directory, play.process.environ["QQ_API_BASE"]).command("run").returncode == EXIT_BUSY
    play.process.kill()
    play.say("meanwhile")
    play.start()
    play.all_answered()


def test_an_isolated_agent_dies_with_a_killed_buoy(tmp_path: Path) -> None:
    """Nothing of an earlier boot is left that could act beside the next one."""
    settings = tmp_path / "buoy.toml"
    with stage(tmp_path) as play:
        settings.write_text('[[bots]]\n[bots.agent]\nisolation = "process"\nworkers = 2\n')
        play.process.environ["BUOY_CONFIG"] = str(settings)
        play.start()
        play.say("wait")
        wait_until(lambda: play.runs("wait"), "the agent thinks in a process of its own")
        assert play.process.process is not None
        children = _children(play.process.process.pid)
        assert len(children) >= 1
        play.process.kill()
        wait_until(lambda: not any(_is_ours(pid) for pid in children), "its children have ended", 5)
        play.gate.touch()
        play.start()
        play.all_answered()
        assert len(play.runs("wait")) == 2


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == ROOT and bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
