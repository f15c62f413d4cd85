"""The hermes agent as its users run it: `buoy run` in front of a Hermes API server, and everything that can break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes_hermes import KEY, Process, hermes
from tests.system.processes import Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


@pytest.fixture
def server() -> Iterator[Process]:
    with hermes() as one:
        yield one


@pytest.fixture
def process(judge: Platform, server: Process, tmp_path: Path) -> Iterator[Buoy]:
    file = tmp_path / "buoy.toml"
    file.write_text('[[bots]]\nintents = ["GROUP_AND_C2C_EVENT", "INTERACTION"]\n')
    settings = {"BUOY_AGENT": "hermes", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
    with buoy(tmp_path / "data", judge.api_base, BUOY_CONFIG=str(file), **settings) as one:
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


def running(server: Process, process: Buoy) -> None:
    """Wait until a run is under way, and Buoy has its name on disk."""
    wait_until(lambda: server.told()["runs"], "a run")
    wait_until(lambda: list((process.directory / "agents").glob("*.runs")), "its name on disk")


def waiting(server: Process) -> bool:
    runs: dict[str, Any] = server.told()["runs"]
    return any(run["status"] == "waiting_for_approval" for run in runs.values())


def test_a_kill_in_the_middle_of_an_answer_costs_no_second_run(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<slow 20>>")
    running(server, process)
    process.kill()
    process.start()
    heard(judge, "w0 w1 w2")
    assert texts(judge)[0].endswith("w19 END")
    assert len(server.told()["asked"]) == 1, "not paid twice"


def test_an_orderly_restart_finds_the_run_again(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<slow 60>>")
    running(server, process)
    process.terminate()
    assert server.told()["stopped"] == 0
    process.start()
    heard(judge, "w59 END")
    assert len(server.told()["asked"]) == 1


def test_an_approval_by_number(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<tool rm -rf x>>")
    heard(judge, "Let me look.", "rm -rf x")
    assert "1. 允许这一次" in texts(judge)[1]
    judge.say("1")
    heard(judge, "Let me look.", "rm -rf x", "DONE: once")
    assert server.told()["choices"] == ["once"]
    assert len(server.told()["asked"]) == 1, "the number was no message of its own"


def test_an_approval_by_button(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<tool rm -rf x; rm -rf y>>")
    heard(judge, "Let me look.", "rm -rf x")
    judge.ask("POST", "/press", button="允许这一次")
    heard(judge, "Let me look.", "rm -rf x", "rm -rf y")
    process.kill()
    process.start()
    judge.ask("POST", "/press", button="拒绝")
    heard(judge, "Let me look.", "rm -rf x", "rm -rf y", "DONE: once, deny")
    assert server.told()["choices"] == ["once", "deny"]
    assert len(server.told()["asked"]) == 1


def test_an_approval_that_was_given_while_buoy_was_dead(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<tool rm -rf x>>")
    heard(judge, "Let me look.", "rm -rf x")
    wait_until(lambda: waiting(server), "the question waits")
    process.kill()
    judge.say("4")
    process.start()
    heard(judge, "Let me look.", "rm -rf x", "DONE: deny")
    assert server.told()["choices"] == ["deny"]
    assert len(server.told()["asked"]) == 1


def test_stop_ends_the_run_at_the_server(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<slow 300>>")
    running(server, process)
    judge.say("/stop")
    wait_until(lambda: server.told()["stopped"] == 1, "the run is stopped")
    wait_until(lambda: texts(judge), "a confirmation")
    judge.say("next")
    wait_until(lambda: any("ECHO: next" in text for text in texts(judge)), "the next answer")
    assert not any("w0" in text for text in texts(judge))


def test_a_server_that_dies_in_the_middle_is_waited_for(judge: Platform, server: Process, process: Buoy) -> None:
    judge.say("<<slow 20>>")
    running(server, process)
    port = server.port
    server.stop()
    wait_until(lambda: process.lines("agent is away, its messages wait"), "away")
    again = Process(port)
    try:
        heard(judge, "w19 END")
        assert len(again.told()["asked"]) == 1
    finally:
        again.stop()
