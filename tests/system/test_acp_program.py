"""The acp agent as its users run it: `buoy run` with a program that speaks the Agent Client Protocol."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import ROOT, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

FAKE = ROOT / "tests" / "fakes_acp.py"


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


@contextmanager
def program(judge: Platform, folder: Path, *switches: str) -> Iterator[Buoy]:
    kind = f"acp:{shlex.join([sys.executable, str(FAKE), str(folder), *switches])}"
    file = folder / "buoy.toml"
    file.write_text('[[bots]]\nintents = ["GROUP_AND_C2C_EVENT", "INTERACTION"]\n')
    with buoy(folder / "data", judge.api_base, BUOY_AGENT=kind, BUOY_CONFIG=str(file)) as one:
        one.start()
        yield one


def texts(judge: Platform) -> list[str]:
    return [str(one["text"]) for one in judge.ask("GET", "/log") if one["text"]]  # the others only show "typing"


def heard(judge: Platform, *parts: str) -> list[str]:
    """Wait until as many messages have come as parts are given, and hold that each has its part."""
    wait_until(lambda: len(texts(judge)) >= len(parts), f"{parts}, has {texts(judge)}", 30)
    told = texts(judge)
    assert len(told) == len(parts), told
    assert all(part in text for part, text in zip(parts, told, strict=True)), told
    return told


def prompts(folder: Path) -> list[dict[str, Any]]:
    file = folder / "prompts"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("switch", ["well-behaved", "deaf"])
def test_a_kill_in_the_middle_of_an_answer(judge: Platform, tmp_path: Path, switch: str) -> None:
    """The program ends with Buoy, even one that does not look at its stdin; the turn runs again in its session."""
    with program(judge, tmp_path, switch) as process:
        judge.say("hello")
        heard(judge, "ECHO: hello")
        judge.say("<<slow 20>>")
        wait_until(lambda: len(prompts(tmp_path)) == 2, "the prompt")
        process.kill()
        (pid,) = {one["pid"] for one in prompts(tmp_path)}
        wait_until(lambda: not is_alive(pid), "the program ended with Buoy", 3)
        process.start()
        heard(judge, "ECHO: hello", "w0 w1 w2")
    told = prompts(tmp_path)
    assert [one["text"] for one in told] == ["hello", "<<slow 20>>", "<<slow 20>>"], "at least once"
    assert len({one["session"] for one in told}) == 1, "and in the session that it had"


def test_a_permission_by_number_and_one_that_was_given_while_buoy_was_dead(judge: Platform, tmp_path: Path) -> None:
    with program(judge, tmp_path) as process:
        judge.say("<<permit rm -rf x>>")
        assert "2. Yes" in heard(judge, "rm -rf x")[0]
        judge.say("2")
        heard(judge, "rm -rf x", "chosen: p-once")
        judge.say("<<permit rm -rf y>>")
        heard(judge, "rm -rf x", "chosen: p-once", "rm -rf y")
        process.kill()
        judge.say("No")
        process.start()
        heard(judge, "rm -rf x", "chosen: p-once", "rm -rf y", "chosen: p-no")
    assert [one["text"] for one in prompts(tmp_path)] == ["<<permit rm -rf x>>"] + ["<<permit rm -rf y>>"] * 2


def test_a_permission_by_button(judge: Platform, tmp_path: Path) -> None:
    with program(judge, tmp_path):
        judge.say("<<permit rm -rf x>>")
        heard(judge, "rm -rf x")
        judge.ask("POST", "/press", button="Always")
        heard(judge, "rm -rf x", "chosen: p-always")


def test_stop_cancels_the_turn_and_the_program_lives_on(judge: Platform, tmp_path: Path) -> None:
    with program(judge, tmp_path):
        judge.say("<<slow 300>>")
        wait_until(lambda: prompts(tmp_path), "the prompt")
        judge.say("/stop")
        wait_until(lambda: texts(judge), "a confirmation")
        judge.say("next")
        wait_until(lambda: any("ECHO: next" in text for text in texts(judge)), "the next answer")
        assert not any("w0" in text for text in texts(judge))
        assert len({one["pid"] for one in prompts(tmp_path)}) == 1


def test_a_program_that_dies_in_the_middle_is_started_again(judge: Platform, tmp_path: Path) -> None:
    with program(judge, tmp_path) as process:
        judge.say("<<slow 20>>")
        wait_until(lambda: prompts(tmp_path), "the prompt")
        os.kill(prompts(tmp_path)[0]["pid"], signal.SIGKILL)
        heard(judge, "w19 END")
        assert process.lines("turn failed") == 1
    assert len({one["pid"] for one in prompts(tmp_path)}) == 2


def test_an_orderly_stop_leaves_no_program_behind_and_the_turn_for_the_next(judge: Platform, tmp_path: Path) -> None:
    with program(judge, tmp_path, "deaf") as process:
        judge.say("<<slow 300>>")
        wait_until(lambda: prompts(tmp_path), "the prompt")
        assert process.terminate() < 5.5
        wait_until(lambda: not is_alive(prompts(tmp_path)[0]["pid"]), "the program ended", 3)
        process.start()
        wait_until(lambda: len(prompts(tmp_path)) == 2, "it runs again")
