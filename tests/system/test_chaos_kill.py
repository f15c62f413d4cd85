"""`kill -9` in each window of fault rows 13, 14 and 15, aimed and not by chance (chance: test_kill.py).

The windows are held open from outside, by what holds them open in life: a stopped process, a database whose write lock
somebody else has, an agent that thinks, a platform that does not answer. Nothing in Buoy knows of these tests.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measure import measured
from tests.system.processes import wait_until
from tests.system.proxy import REST, UP
from tests.system.stage import Stage, stage

pytestmark = pytest.mark.system

RERUN_S = 1.0  # fault row 14
WINDOW_S = 300.0  # fault row 15: the reply window of a group, the shortest


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as one:
        one.start()
        one.say("before")
        one.all_answered()
        yield one


# --- row 13: between frame and commit ----------------------------------------------------------------------


def test_killed_before_the_frame_was_read_it_is_replayed_and_handled_once(play: Stage) -> None:
    play.process.signal(signal.SIGSTOP)
    message = play.frame_arrives("in the kernel")
    assert play.unread() > 0, "the frame is here, and nobody has read it"
    play.process.kill()
    assert not play.is_stored(message)
    play.start()
    play.all_answered()
    assert len(play.runs("in the kernel")) == 1


def test_killed_between_reading_a_frame_and_its_commit_it_is_replayed_and_handled_once(play: Stage) -> None:
    with play.disk_held():
        message = play.frame_arrives("in memory")
        wait_until(lambda: play.unread() == 0, "Buoy has read the frame")
        play.process.kill()
    assert not play.is_stored(message)
    play.start()
    play.all_answered()
    assert len(play.runs("in memory")) == 1


# --- row 14: between commit and the end of the turn ---------------------------------------------------------


def run_again(play: Stage, text: str) -> None:
    """Start anew: the interrupted turn runs within a second of the moment in which this process owns the store."""
    play.start()
    wait_until(lambda: len(play.runs(text)) == 2, "the turn runs again")
    ((owned_at,),) = play.rows("SELECT CAST(value AS REAL) FROM meta WHERE key = 'boot_at'")
    measured(14, "store opened to the turn's second run", play.runs(text)[1] - owned_at, RERUN_S)
    play.all_answered()


def test_killed_while_the_agent_thinks_the_turn_runs_again(play: Stage) -> None:
    message = play.say("wait")
    wait_until(lambda: play.runs("wait"), "the agent thinks")
    play.process.kill()
    assert play.is_stored(message)
    play.gate.touch()
    run_again(play, "wait")


def test_killed_between_the_answer_and_the_commit_that_ends_the_turn_it_runs_again(play: Stage) -> None:
    message = play.say("wait")
    wait_until(lambda: play.runs("wait"), "the agent thinks")
    with play.disk_held():
        play.gate.touch()
        wait_until(lambda: play.log("turn not committed"), "the answer is in memory")
        play.process.kill()
    assert not play.letter(message)
    run_again(play, "wait")


# --- row 15: between the POST and its answer ---------------------------------------------------------------


def repeated(play: Stage, text: str, message: str, posts: int) -> None:
    """Start anew: the letter in doubt leaves again, once, and the turn behind it is not run again."""
    assert play.letter(message) == "claimed", "its attempt was committed before it left"
    play.judge.ask("DELETE", "/faults")
    play.start()
    play.all_answered()
    assert play.posts() == posts + 1, "sent once more"
    assert len(play.runs(text)) == 1
    ((settled_at,),) = play.rows("SELECT max(settled_at) FROM outbox")
    measured(15, "process start to the letter in doubt settled", settled_at - play.spawned_at, WINDOW_S)


def test_killed_after_the_platform_accepted_and_before_it_answered_the_user_sees_one_message(play: Stage) -> None:
    play.fault("hang", endpoint="send", mode="after")
    message = play.say("accepted", scene="group")
    wait_until(lambda: play.judge.answers(message), "the platform has accepted it")
    posts = play.posts()
    play.process.kill()
    repeated(play, "accepted", message, posts)


def test_killed_while_the_platform_has_not_acted_yet_it_acts_later_and_the_user_sees_one_message(play: Stage) -> None:
    posts = play.posts()
    play.fault("hang", endpoint="send", mode="before")
    message = play.say("late", scene="group")
    wait_until(lambda: play.letter(message) == "claimed", "the attempt is committed")
    play.process.kill()
    assert not play.judge.answers(message)
    play.judge.ask("DELETE", "/faults")
    wait_until(lambda: play.judge.answers(message), "the platform acts on what was sent before the kill")
    repeated(play, "late", message, posts + 1)


def test_killed_after_half_of_the_request_had_left_the_user_sees_one_message(play: Stage) -> None:
    posts = play.posts()
    play.proxy.cuts(REST, UP, 100)
    message = play.say("half", scene="group")
    wait_until(lambda: play.log("attempt failed"), "the request is lost on its way")
    play.process.kill()
    assert play.posts() == posts
    repeated(play, "half", message, posts)


def test_killed_after_the_answer_and_before_it_was_committed_the_user_sees_one_message(play: Stage) -> None:
    play.fault("hang", endpoint="send", mode="after")
    message = play.say("settling", scene="group")
    wait_until(lambda: play.judge.answers(message), "the platform has accepted it")
    posts = play.posts()
    with play.disk_held():
        play.judge.ask("DELETE", "/faults")
        wait_until(lambda: play.log("not committed yet"), "the answer is known and cannot be committed")
        play.process.kill()
    repeated(play, "settling", message, posts)
