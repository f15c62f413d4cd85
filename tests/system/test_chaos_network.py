"""The network between Buoy and the platform, broken below HTTP: fault rows 1 to 4, 16 and 23.

Each test says something before, while and after it is broken. Nothing may be lost, nothing may be answered twice, and
Buoy has to be back within the bound of its row. The short ones use a heartbeat of two seconds; marked `chaos`, the
same happens for longer, with one of thirty.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buoy.errors import EXIT_BUSY, EXIT_QUEUED
from tests.measure import measured
from tests.system.processes import wait_until
from tests.system.proxy import DOWN, REST, UP, WEBSOCKET
from tests.system.stage import CAP_S, Stage, stage

pytestmark = pytest.mark.system

BACK_S = 5.0  # fault row 1
FROZEN_BACK_S = 60.0  # fault row 23
ACK_WAIT_S = 10.0  # how long Buoy waits for an ACK before it asks again, where the interval is longer
LONG_BEAT_S = 30.0  # long enough to be bounded by the wait for the ACK, as the platform's 45 s are
AN_HOUR = 70  # fault row 4: connects


LONG = [pytest.mark.chaos, pytest.mark.timeout(400)]


def long(first: object, *more: object) -> list[object]:
    """The first value in every run, the others on demand."""
    return [first, *(pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=LONG) for one in more)]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as one:
        one.start()
        one.say("before")
        one.all_answered()
        yield one


@pytest.fixture
def slow_play(tmp_path: Path) -> Iterator[Stage]:
    """With a heartbeat about as long as in life."""
    with stage(tmp_path, beat_s=LONG_BEAT_S) as one:
        one.start()
        one.say("before")
        one.all_answered()
        yield one


def live_again(play: Stage, since: float, timeout_s: float = CAP_S) -> float:
    """Wait until the session goes on that was live before ``since``; returns when it did."""
    found = wait_until(
        lambda: [one["at"] for one in play.log("phase", now="live") if one["at"] > since],
        f"live again\n{play.tail()}",
        timeout_s,
    )
    resumed = play.log("phase", now="live", was="resuming")
    assert resumed, "RESUME, not IDENTIFY: what was said meanwhile is replayed"
    return float(found[0])


# --- row 1: connections that end -----------------------------------------------------------------------------


def test_reset_in_mid_session_it_resumes(play: Stage) -> None:
    play.fault("slow", endpoint="send", mode="after", seconds=0.5, count=3)
    under_way = [play.say(f"under way {n}") for n in range(3)]
    wait_until(lambda: all(play.judge.answers(one) for one in under_way), "the answers of the platform are outstanding")
    at = time.time()
    play.proxy.resets()
    play.say("into the gap")
    measured(1, "TCP reset of every connection to RESUMED", live_again(play, at) - at, BACK_S)
    play.all_answered()


CUTS: dict[str, tuple[str, str, int]] = {
    "a frame": (WEBSOCKET, DOWN, 100),
    "a frame's header": (WEBSOCKET, DOWN, 1),
    "the answer to a send": (REST, DOWN, 150),
    "the first byte of an answer": (REST, DOWN, 1),
    "a send": (REST, UP, 300),
}
EVERY_RUN = {"a frame", "the answer to a send"}


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=[] if place in EVERY_RUN else [pytest.mark.chaos]) for place in CUTS]
)
def test_cut_inside_a_frame_or_an_answer_nothing_is_lost_and_nothing_twice(play: Stage, place: str) -> None:
    kind, way, after = CUTS[place]
    at = time.time()
    play.proxy.cuts(kind, way, after)
    play.say("x" * 200)
    wait_until(lambda: play.proxy.has_cut, f"cut inside {place}")
    if kind == WEBSOCKET:
        measured(1, f"cut inside {place} to RESUMED", live_again(play, at) - at, BACK_S)
    play.say("after")
    play.all_answered()
    if kind == REST:
        ((settled_at,),) = play.rows("SELECT max(settled_at) FROM outbox")
        measured(16, f"cut inside {place} to the letter delivered", settled_at - at, 300.0)
    assert len(play.runs("x" * 200)) == 1


# --- row 2: connections that say nothing -----------------------------------------------------------------------


def zombie(play: Stage, bound_s: float, *kinds: str) -> None:
    at = time.time()
    play.proxy.strands(*kinds)
    play.say("into the void")
    wait_until(lambda: play.log("phase", was="live", cause="zombie"), "the zombie is seen", bound_s + 10)
    measured(2, "half-open to the zombie seen", play.log("phase", was="live")[-1]["at"] - at, bound_s)
    measured(1, "zombie seen to RESUMED", live_again(play, at) - play.log("phase", was="live")[-1]["at"], BACK_S)
    play.all_answered()


def test_half_open_the_second_missed_ack_tells_and_it_resumes(tmp_path: Path) -> None:
    with stage(tmp_path, beat_s=1.0) as play:
        play.start()
        play.say("before")
        play.all_answered()
        zombie(play, 1.0 + 2 * 1.0 + 0.5, WEBSOCKET)  # the next heartbeat, and twice the wait for its ACK


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_half_open_with_a_long_heartbeat_it_takes_two_intervals_at_most(slow_play: Stage) -> None:
    zombie(slow_play, 2 * LONG_BEAT_S)


@pytest.mark.parametrize("seconds", long(5.0, 40.0))
def test_a_black_hole_swallows_everything_for_a_while(play: Stage, seconds: float) -> None:
    play.proxy.swallows()
    at = time.time()
    messages = [play.say(f"into the hole {n}") for n in range(3)]
    sent = play.process.command("send", f"qq:c2c:{play.judge.ask('POST', '/meet', which=99)['target']}", "unasked")
    assert sent.returncode == EXIT_QUEUED, sent.stderr
    wait_until(lambda: time.time() > at + seconds, "the hole has lasted", seconds + 5)
    assert not any(play.judge.answers(one) for one in messages)
    opened_at = time.time()
    play.proxy.opens()
    back_at = live_again(play, at)
    measured(3, f"black hole of {seconds:g} s: its end to RESUMED", max(0.0, back_at - opened_at), CAP_S)
    wait_until(lambda: all(play.judge.answers(one) for one in messages), "every answer", 90)
    heard = Counter(one["anchor"] or one["text"] for one in play.judge.ask("GET", "/log"))
    assert heard.pop("unasked", 0) <= 1, "a message that answers nothing is sent twice by nobody"
    assert heard == Counter(play.said)


# --- rows 3 and 4: nobody there --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "seconds"), long(("refuses", 2.5), ("drops", 2.5), ("refuses", 25.0), ("drops", 25.0))
)
def test_refused_or_dropped_for_a_while_it_neither_gives_up_nor_runs_hot(
    play: Stage, mode: str, seconds: float
) -> None:
    before = play.proxy.accepted
    modes: dict[str, Callable[[], None]] = {"refuses": play.proxy.refuses, "drops": play.proxy.drops}
    modes[mode]()
    at = time.time()
    play.say("nobody hears")
    wait_until(lambda: time.time() > at + seconds, "it has lasted", seconds + 5)
    tries = len(play.log("phase", now="waiting"))
    measured(4 if mode == "drops" else 3, f"{mode} for {seconds:g} s: attempts", tries, AN_HOUR, unit="attempts")
    if mode == "drops":
        measured(4, f"dropped for {seconds:g} s: TCP connects", play.proxy.accepted - before, AN_HOUR, unit="connects")
    opened_at = time.time()
    play.proxy.opens()
    measured(3, f"{mode} for {seconds:g} s: its end to RESUMED", live_again(play, at) - opened_at, CAP_S)
    play.all_answered()


# --- slow networks ---------------------------------------------------------------------------------------------


@pytest.mark.chaos
@pytest.mark.timeout(200)
@pytest.mark.parametrize("seconds", [0.25, 3.0])
def test_latency_alone_is_no_reason_to_reconnect(tmp_path: Path, seconds: float) -> None:
    with stage(tmp_path, beat_s=max(1.0, 4 * seconds)) as play:
        play.proxy.delays(seconds)
        play.process.start(wait=False)
        wait_until(lambda: play.log("phase", now="live"), f"live\n{play.tail()}", 60)
        for n in range(5):
            play.say(f"far away {n}")
        play.all_answered(60)
        beats = play.proxy.passed[WEBSOCKET, UP]
        wait_until(lambda: play.proxy.passed[WEBSOCKET, UP] >= beats + 80, "four heartbeats more", 9 * play.beat_s)
        assert not play.log("phase", was="live"), "the session was never left"
        assert play.posts() == 5


@pytest.mark.chaos
@pytest.mark.timeout(200)
def test_answers_that_come_after_we_gave_up_are_repeats_that_nobody_sees(slow_play: Stage) -> None:
    """Nine seconds each way: every answer is later than Buoy's patience, and each POST was accepted."""
    play = slow_play
    play.proxy.delays(9.0)
    for n in range(3):
        play.say(f"too far away {n}")
    wait_until(lambda: play.posts() >= 1 + 4, f"it was repeated\n{play.tail()}", 90)
    play.proxy.opens()
    play.all_answered(90)


@pytest.mark.chaos
@pytest.mark.timeout(200)
@pytest.mark.parametrize("rate", [600.0, 150.0])
def test_a_trickle_loses_nothing(slow_play: Stage, rate: float) -> None:
    play = slow_play
    play.proxy.trickles(rate)
    for n in range(3):
        play.say(f"drop by drop {n}")
    wait_until(lambda: all(play.judge.answers(one) for one in play.said), f"every answer\n{play.tail()}", 90)
    play.proxy.opens()
    play.all_answered(60)


# --- row 23: a process that stands still -------------------------------------------------------------------------


def frozen(play: Stage, seconds: float) -> None:
    """The platform gives the session's connection up meanwhile; the status may not claim anything."""
    at = time.time()
    play.process.signal(signal.SIGSTOP)
    for n in range(3):
        play.say(f"while frozen {n}")
    told = play.process.command("status", "--json")
    assert (told.returncode, told.stdout) == (EXIT_BUSY, ""), "no false state"
    assert "does not answer" in told.stderr
    wait_until(lambda: time.time() > at + seconds, "it has stood still", seconds + 5)
    woken_at = time.time()
    play.process.signal(signal.SIGCONT)
    back = live_again(play, woken_at) - woken_at
    measured(23, f"frozen for {seconds:g} s: SIGCONT to RESUMED", back, FROZEN_BACK_S)
    play.all_answered()
    assert play.process.exit_code is None


def test_frozen_for_longer_than_every_deadline_it_goes_on(tmp_path: Path) -> None:
    with stage(tmp_path, beat_s=1.0, BUOY_STUCK_S="2") as play:
        play.start()
        frozen(play, 5.0)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_frozen_for_two_minutes_it_goes_on(slow_play: Stage) -> None:
    frozen(slow_play, 120.0)
