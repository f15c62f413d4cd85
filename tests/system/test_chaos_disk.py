"""The disk under Buoy fails while messages arrive: full, read-only, failing writes, frozen. Fault rows 20 and 21.

What was acknowledged is there afterwards; what could not be stored was not acknowledged, so the platform repeats it.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buoy.errors import EXIT_STORE
from tests.measure import measured
from tests.system.disks import Disk, Ext4, ext4_disk, needs_root, small_disk
from tests.system.processes import wait_until
from tests.system.proxy import UP, WEBSOCKET
from tests.system.stage import CAP_S, Stage, stage

pytestmark = pytest.mark.system

BEAT_BYTES = 20  # one heartbeat on the wire: {"op":1,"d":7} with a client's frame around it
ENDS_S = 5.0  # ours: how soon a process ends that has lost its store


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as one:
        yield one


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Ext4]:
    with ext4_disk(tmp_path / "disk") as one:
        yield one


def begin(play: Stage) -> None:
    play.start()
    play.say("before")
    play.all_answered()


def stored(play: Stage) -> int:
    """The sequence up to which everything is on disk: what Buoy acknowledges."""
    ((seq,),) = play.rows("SELECT stored FROM cursor")
    return int(seq)


def behind(play: Stage) -> bool:
    """The platform has sent what is not acknowledged."""
    return max(int(session["s"]) for session in play.judge.state()["sessions"]) > stored(play)


@needs_root
def test_disk_full_while_messages_arrive_and_space_again_nothing_is_lost(tmp_path: Path, small: Disk) -> None:
    with stage(tmp_path, small.at / "data") as play:
        begin(play)
        play.say("wait", user=77)
        wait_until(lambda: play.runs("wait"), "the agent thinks")
        small.fill()
        seq = stored(play)
        for n in range(5):
            play.say(f"no room {n}")
        play.gate.touch()
        wait_until(lambda: play.log("phase", was="live", cause="store"), f"the refusal is seen\n{play.tail()}")
        wait_until(lambda: play.log("turn not committed"), f"so is the end of the turn\n{play.tail()}")
        assert behind(play)
        assert stored(play) == seq
        refused = play.process.command("send", "qq:c2c:" + "A" * 32, "not stored")
        assert refused.returncode == EXIT_STORE, refused.stderr
        at = time.time()
        small.free()
        measured(20, "space again to every answer", play.all_answered(CAP_S) - at, CAP_S)
        assert play.process.exit_code is None
        assert len(play.runs("wait")) == 1, "its result was kept in memory"


@needs_root
def test_started_on_a_full_disk_it_says_so_in_one_line_and_starts_when_there_is_space(
    tmp_path: Path, small: Disk
) -> None:
    with stage(tmp_path, small.at / "data") as play:
        begin(play)
        play.process.kill()
        play.say("nobody is here")
        small.fill()
        ended = play.process.command("run")
        assert ended.returncode == EXIT_STORE, ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
        small.free()
        play.start()
        play.all_answered()


@needs_root
def test_started_for_the_first_time_on_a_full_disk_it_says_so_in_one_line(tmp_path: Path, small: Disk) -> None:
    with stage(tmp_path, small.at / "data") as play:
        small.fill()
        ended = play.process.command("run")
        assert ended.returncode == EXIT_STORE, ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
        small.free()
        begin(play)


@needs_root
def test_a_disk_that_becomes_read_only_ends_the_process_and_once_mended_nothing_is_lost(
    tmp_path: Path, ext4: Ext4
) -> None:
    with stage(tmp_path, ext4.at / "data") as play:
        begin(play)
        seq = stored(play)
        ext4.breaks()
        at = time.time()
        for n in range(3):
            play.say(f"read-only {n}")
        wait_until(lambda: play.process.exit_code is not None, f"the process ends\n{play.tail()}")
        measured(20, "read-only to the end of the process", time.time() - at, ENDS_S)
        assert play.process.exit_code == EXIT_STORE
        assert stored(play) == seq
        again = play.process.command("run")
        assert again.returncode == EXIT_STORE, "as long as nobody has mended it"
        assert len(again.stderr.strip().splitlines()) == 1, again.stderr
        ext4.mended()
        play.start()
        play.all_answered()


def test_a_write_that_fails_ends_the_process_and_the_next_one_loses_nothing(tmp_path: Path) -> None:
    with stage(tmp_path) as play:
        begin(play)
        assert play.process.process is not None
        seq = stored(play)
        wal = (play.process.directory / "buoy.db-wal").stat().st_size
        resource.prlimit(play.process.process.pid, resource.RLIMIT_FSIZE, (wal, wal))  # the kernel refuses more: EFBIG
        at = time.time()
        for n in range(3):
            play.say(f"an I/O error {n}")
        wait_until(lambda: play.process.exit_code is not None, f"the process ends\n{play.tail()}")
        measured(20, "failed write to the end of the process", time.time() - at, ENDS_S)
        assert play.process.exit_code == EXIT_STORE
        assert stored(play) == seq
        assert play.log("store lost")
        play.start()
        play.all_answered()


def stalled(play: Stage, ext4: Ext4, seconds: float) -> None:
    """Nothing can be written for a while, as during a snapshot of the machine: heartbeats go on, nobody notices."""
    lives = len(play.log("phase", now="live"))
    with ext4.frozen():
        at = time.time()
        messages = [play.say(f"frozen disk {n}") for n in range(5)]
        sent = play.proxy.passed[WEBSOCKET, UP]
        wait_until(lambda: time.time() > at + seconds, "it has lasted", seconds + 5)
        beats = (play.proxy.passed[WEBSOCKET, UP] - sent) // BEAT_BYTES
        missing = seconds // play.beat_s - beats
        measured(21, f"commit stalled for {seconds:g} s: heartbeats missing", missing, 1, unit="beats")
        assert not any(play.judge.answers(one) for one in messages), "store first"
    thawed_at = time.time()
    measured(21, f"commit stalled for {seconds:g} s: thaw to every answer", play.all_answered() - thawed_at, 5.0)
    assert len(play.log("phase", now="live")) == lives, f"the session has lived on\n{play.tail()}"


@needs_root
def test_a_commit_that_stalls_costs_no_heartbeat(tmp_path: Path, ext4: Ext4) -> None:
    with stage(tmp_path, ext4.at / "data", beat_s=1.0) as play:
        begin(play)
        stalled(play, ext4, 3.5)


@needs_root
@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_a_commit_that_stalls_for_thirty_seconds_costs_no_heartbeat(tmp_path: Path, ext4: Ext4) -> None:
    with stage(tmp_path, ext4.at / "data") as play:
        begin(play)
        stalled(play, ext4, 30.0)
