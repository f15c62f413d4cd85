"""SIGTERM in the middle of every other fault: fault row 22.

The deadline is the default, five seconds. Whatever is broken, the process ends within it, with the exit code of an
orderly end, and the next start loses nothing: every message is answered once. A few faults are in every run, all of
them on demand. One thing is beyond any process: while the kernel holds a thread in an uninterruptible write (a frozen
disk), nothing ends it, not even SIGKILL.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from buoy.errors import EXIT_OK, EXIT_STORE
from tests.measure import measured
from tests.system.disks import ext4_disk, needs_root, small_disk
from tests.system.processes import wait_until
from tests.system.proxy import REST, WEBSOCKET
from tests.system.stage import Stage, stage

pytestmark = pytest.mark.system

DEADLINE_S = 5.0
EVER = 1_000_000


class Broken(NamedTuple):
    """A fault: how it begins, and when it can be said that it has."""

    begins: Callable[[Stage], object]
    shows: Callable[[Stage], object]


def fault(kind: str, **fields: object) -> Callable[[Stage], object]:
    return lambda play: play.fault(kind, **fields)


def both(*steps: Callable[[Stage], object]) -> Callable[[Stage], object]:
    return lambda play: [step(play) for step in steps]


def away(play: Stage) -> bool:
    """The session is not live."""
    lives, ends = play.log("phase", now="live"), play.log("phase", was="live")
    return len(ends) >= len(lives)


def asleep(play: Stage) -> bool:
    return bool(play.log("attempt failed"))


def blocked(play: Stage) -> bool:
    return bool(play.log("phase", now="blocked"))


def in_doubt(play: Stage) -> bool:
    return bool(play.rows("SELECT 1 FROM outbox WHERE state = 'claimed'"))


def thinking(play: Stage) -> bool:
    return bool(play.rows("SELECT 1 FROM inbox WHERE state = 'running'"))


def said(play: Stage) -> bool:
    return True


cut = fault("ws_reset")
FAULTS = {
    "nothing": Broken(lambda _: None, said),
    "1 TCP reset": Broken(lambda play: play.proxy.resets(), said),
    "2 half-open": Broken(lambda play: play.proxy.strands(), said),
    "2 zombie seen": Broken(lambda play: play.proxy.strands(WEBSOCKET), away),
    "2 black hole": Broken(lambda play: play.proxy.swallows(), said),
    "3 refused": Broken(lambda play: play.proxy.refuses(), away),
    "4 accept, then drop": Broken(lambda play: play.proxy.drops(), away),
    "5 no HELLO": Broken(both(fault("no_hello"), cut), away),
    "6 no RESUMED": Broken(both(fault("no_resumed"), cut), away),
    "6 upgrade answered 503": Broken(both(fault("upgrade_status", status=503), cut), away),
    "7 op 7 storm": Broken(fault("op7", mode="late", seconds=0.1, count=EVER), away),
    "8 session gone": Broken(both(fault("refuse_resume", mode="4006", count=1), fault("no_ready"), cut), away),
    "9 banned": Broken(fault("banned"), blocked),
    "9 bad secret": Broken(both(fault("bad_secret"), fault("revoke_tokens"), cut), blocked),
    "11 token endpoint down": Broken(both(fault("token_down"), fault("revoke_tokens")), asleep),
    "11 token endpoint hangs": Broken(both(fault("hang", endpoint="token"), fault("revoke_tokens")), said),
    "15 a send that hangs": Broken(fault("hang", endpoint="send"), in_doubt),
    "15 accepted, and no answer": Broken(fault("hang", endpoint="send", mode="after"), in_doubt),
    "16 HTML 502": Broken(fault("http_status", status=502, body="html", endpoint="send"), asleep),
    "16 429 with Retry-After": Broken(fault("http_status", status=429, retry_after=3, endpoint="send"), asleep),
    "16 latency": Broken(lambda play: play.proxy.delays(1.0), said),
    "16 trickle": Broken(lambda play: play.proxy.trickles(100), said),
    "16 cut inside an answer": Broken(lambda play: play.proxy.cuts(REST, "down", 20), asleep),
    "21 the database is held": Broken(lambda play: play.stack.enter_context(play.disk_held()), said),
    "23 frozen": Broken(lambda play: play.process.signal(signal.SIGSTOP), said),
}
EVERY_RUN = {"2 half-open", "11 token endpoint hangs", "15 accepted, and no answer"}


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as one:
        begin(one)
        yield one


def begin(play: Stage) -> None:
    play.start()
    play.say("before")
    play.all_answered()


def stopped(play: Stage, during: str) -> None:
    took = play.process.terminate()
    measured(22, f"SIGTERM during {during}", took, DEADLINE_S)
    assert play.process.exit_code == EXIT_OK, play.tail()
    assert "Traceback" not in play.process.log.read_text(), play.tail()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EVERY_RUN else [pytest.mark.chaos]) for name in FAULTS]
)
def test_sigterm_during_a_fault_ends_the_process_in_time_and_the_next_start_loses_nothing(
    play: Stage, name: str
) -> None:
    play.say("wait", user=50)
    wait_until(lambda: play.runs("wait"), "a turn runs")
    for n in range(3):
        play.say(f"before the fault {n}")
    broken = FAULTS[name]
    if (
        broken.shows is blocked
    ):  # what a person has to mend holds letters back until the next contact: none may be there
        wait_until(lambda: play.posts() == 4, "what was said before is answered")
    broken.begins(play)
    for n in range(3):
        play.say(f"in the fault {n}")
    wait_until(lambda: broken.shows(play), f"the fault shows\n{play.tail()}", 25)
    if name == "23 frozen":
        began = time.monotonic()
        play.process.signal(signal.SIGTERM)  # it waits until the process goes on
        wait_until(lambda: time.monotonic() > began + 2, "it stands still")
        play.process.signal(signal.SIGCONT)
    stopped(play, name)
    play.stack.close()
    play.gate.touch()
    play.heal()
    play.start()
    play.all_answered(60)


# --- agents that do not listen: tests/system/test_life.py has the others ---------------------------------------------


@pytest.mark.chaos
def test_sigterm_with_turns_in_every_conversation_gives_all_of_them_back(play: Stage) -> None:
    for n in range(80):
        play.say(f"wait {n}")
    wait_until(lambda: len([1 for n in range(80) if play.runs(f"wait {n}")]) >= 64, "as many run as may")
    stopped(play, "80 running turns")
    play.gate.touch()
    play.start()
    play.all_answered(60)


# --- disks -----------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.chaos
def test_sigterm_on_a_full_disk_ends_the_process_in_time(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, stage(tmp_path, disk.at / "data") as play:
        begin(play)
        play.say("wait", user=50)
        wait_until(lambda: play.runs("wait"), "a turn runs")
        disk.fill()
        play.gate.touch()
        for n in range(3):
            play.say(f"no room {n}")
        wait_until(lambda: play.log("turn not committed"), f"the disk refuses\n{play.tail()}")
        stopped(play, "20 full disk")
        disk.free()
        play.start()
        play.all_answered()


@needs_root
@pytest.mark.chaos
def test_sigterm_on_a_disk_that_became_read_only_ends_the_process_in_time(tmp_path: Path) -> None:
    with ext4_disk(tmp_path / "disk") as disk, stage(tmp_path, disk.at / "data") as play:
        begin(play)
        play.say("wait", user=50)
        wait_until(lambda: play.runs("wait"), "a turn runs")
        disk.breaks()
        took = play.process.terminate()
        measured(22, "SIGTERM during 20 read-only disk", took, DEADLINE_S)
        assert play.process.exit_code in {EXIT_OK, EXIT_STORE}, play.tail()
        assert "Traceback" not in play.process.log.read_text(), play.tail()
        disk.mended()
        play.gate.touch()
        play.start()
        play.all_answered()
