"""Buoy as its user runs it: sending without a WebSocket, stopping within the deadline, locks, bad settings."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buoy.durable import history
from buoy.errors import EXIT_BUSY, EXIT_LOOP, EXIT_QUEUED, EXIT_REFUSED, EXIT_STORE, EXIT_USAGE
from buoy.faces.status import EXIT_NOT_RUNNING
from tests.system.processes import ROOT, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

AGENTS = f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}"


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


@pytest.fixture
def process(judge: Platform, tmp_path: Path) -> Iterator[Buoy]:
    with buoy(tmp_path / "data", judge.api_base) as one:
        yield one


def target(judge: Platform, process: Buoy) -> str:
    """Somebody who has written and was answered."""
    message = judge.say("hello")
    wait_until(lambda: judge.answers(message), "the first answer")
    return f"qq:c2c:{judge.answers(message)[0]['target']}"


def texts(judge: Platform) -> list[str]:
    return [one["text"] for one in judge.ask("GET", "/log")]


def test_a_send_leaves_within_two_seconds_while_the_websocket_is_down(judge: Platform, process: Buoy) -> None:
    process.start()
    to = target(judge, process)
    judge.ask("POST", "/faults", kind="upgrade_status", status=503)
    judge.ask("POST", "/faults", kind="ws_reset")
    wait_until(lambda: not process.status()["bots"][process.environ["QQ_APP_ID"]]["connected"], "WebSocket is down")
    began = time.monotonic()
    sent = process.command("send", to, "over REST alone")
    assert (sent.returncode, time.monotonic() - began < 2.0) == (0, True), sent.stderr
    assert "over REST alone" in texts(judge)


def test_with_everything_down_a_send_is_queued_and_leaves_later(judge: Platform, process: Buoy) -> None:
    process.start()
    to = target(judge, process)
    judge.network("down")
    queued = process.command("send", to, "kept", "--key", "one")
    again = process.command("send", to, "kept", "--key", "one")
    assert queued.returncode == again.returncode == EXIT_QUEUED, queued.stderr
    judge.network("up")
    wait_until(lambda: "kept" in texts(judge), "the queued message")
    assert process.command("send", to, "kept", "--key", "one").returncode == 0
    assert texts(judge).count("kept") == 1


def test_send_works_without_a_gateway_and_once_for_each_key(judge: Platform, process: Buoy) -> None:
    process.start()
    to = target(judge, process)
    process.terminate()
    for _ in range(2):
        sent = process.command("send", to, "no gateway here", "--key", "k")
        assert sent.returncode == 0, sent.stderr
    assert texts(judge).count("no gateway here") == 1
    judge.network("down")
    assert process.command("send", to, "later").returncode == EXIT_QUEUED
    judge.network("up")
    process.start()
    wait_until(lambda: "later" in texts(judge), "what was queued while nothing ran")
    refused = process.command("send", "qq:c2c:" + "0" * 32, "nobody")
    assert refused.returncode == EXIT_REFUSED
    assert "recipient" in refused.stderr


@pytest.mark.parametrize("network", ["up", "down", "blackhole"])
def test_sigterm_ends_the_process_within_its_deadline_and_nothing_is_lost(
    judge: Platform, tmp_path: Path, network: str
) -> None:
    environ = {"BUOY_AGENT": "python:slow_echo:answer", "PYTHONPATH": AGENTS, "BUOY_SHUTDOWN_S": "3"}
    with buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        first = judge.say("before")
        wait_until(lambda: judge.answers(first), "the first answer")
        under_way = [judge.say(f"under way {n}", user=n) for n in range(5)]
        judge.network(network)
        took = process.terminate()
        assert took < 3.0, f"{took:.2f} s with the network {network}"
        assert process.exit_code == 0, process.log.read_text()[-2000:]
        judge.network("up")
        process.start()
        wait_until(lambda: all(judge.answers(one) for one in under_way), "every message is answered", 30)
        assert [len(judge.answers(one)) for one in under_way] == [1] * 5


def test_sigterm_ends_a_process_whose_agent_hangs_and_the_turn_is_given_back(judge: Platform, tmp_path: Path) -> None:
    environ = {"BUOY_AGENT": "python:hanging:answer", "PYTHONPATH": AGENTS, "BUOY_SHUTDOWN_S": "2"}
    with buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        message = judge.say("hang")
        wait_until(lambda: process.status()["inbox"]["states"]["running"] == 1, "the turn runs")
        assert process.terminate() < 2.0
        process.environ["BUOY_AGENT"] = "echo"
        process.start()
        wait_until(lambda: judge.answers(message), "the turn runs again")
        told = process.command("trace", message).stdout
        assert "attempt 1" in told, "an orderly stop gives the attempt back"


def test_sigterm_ends_a_process_whose_agent_swallows_its_cancellation(judge: Platform, tmp_path: Path) -> None:
    environ = {"BUOY_AGENT": "python:hanging:deaf", "PYTHONPATH": AGENTS, "BUOY_SHUTDOWN_S": "2"}
    with buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        judge.say("deaf")
        wait_until(lambda: process.status()["inbox"]["states"]["running"] == 1, "the turn runs")
        assert process.terminate() < 2.5
        assert process.exit_code == 0


def test_a_loop_that_blocks_is_ended_by_a_watcher_that_needs_no_loop(judge: Platform, tmp_path: Path) -> None:
    environ = {"BUOY_AGENT": "python:hanging:block", "PYTHONPATH": AGENTS, "BUOY_SHUTDOWN_S": "1"}
    with buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        judge.say("block")
        wait_until(lambda: "now it blocks" in process.log.read_text(), "the agent blocks the loop")
        assert process.terminate() < 1.5
        assert "not everything had ended" in process.log.read_text()
        process.environ["BUOY_STUCK_S"] = "1"
        process.start(wait=False)
        wait_until(lambda: process.exit_code is not None, "the watcher ends the process")
        assert process.exit_code == EXIT_LOOP
        assert "hanging.py" in process.log.read_text(), "the stack says where it is stuck"


def test_a_turn_that_kills_the_process_is_a_dead_letter_after_five_and_harms_nobody(
    judge: Platform, tmp_path: Path
) -> None:
    with buoy(tmp_path / "data", judge.api_base, BUOY_AGENT="python:hanging:poison", PYTHONPATH=AGENTS) as process:
        process.start()
        innocent = judge.say("innocent", user=1)
        wait_until(lambda: judge.answers(innocent), "the innocent is answered")
        poison = judge.say("poison", user=2)
        for _ in range(12):
            wait_until(lambda: process.exit_code is not None or _is_dead(process), "the end of process or turn")
            if process.exit_code is None:
                break
            process.start(wait=False)
        assert _is_dead(process)
        after = judge.say("after the poison", user=2)
        wait_until(lambda: judge.answers(after), "the lane goes on", 30)
        (told,) = judge.answers(poison)  # once, and not by the agent
        assert "抱歉" in told["text"]
        assert process.starts <= 9
        listed = process.command("deadletter", "list").stdout
        assert poison in listed


def _is_dead(process: Buoy) -> bool:
    if not (process.directory / "buoy.db").exists():
        return False
    db = sqlite3.connect(f"file:{process.directory / 'buoy.db'}?mode=ro", uri=True)
    try:
        return bool(db.execute("SELECT count(*) FROM inbox WHERE state = 'dead'").fetchone()[0])
    finally:
        db.close()


def test_two_processes_on_one_directory_or_one_app_id_the_second_refuses(
    judge: Platform, process: Buoy, tmp_path: Path
) -> None:
    process.start()
    same_bot = Buoy(tmp_path / "other", judge.api_base).command("run")
    assert same_bot.returncode == EXIT_BUSY
    assert str(process.process.pid) in same_bot.stderr if process.process else False
    same_directory = Buoy(process.directory, judge.api_base, QQ_APP_ID="102000002").command("run")
    assert same_directory.returncode == EXIT_BUSY
    assert "data_dir" in same_directory.stderr


def test_status_tells_of_a_living_a_stopped_and_a_killed_buoy(judge: Platform, process: Buoy) -> None:
    process.start()
    told = process.status()
    assert (told["running"], told["state"], told["ready"], told["ended"]) == (True, "up", True, None)
    assert told["disk"]["free_bytes"] > 0
    assert told["loop"]["max_lag_s"] >= told["loop"]["lag_s"] >= 0
    assert process.command("status").returncode == 0
    judge.network("down")
    wait_until(lambda: process.command("status").returncode == EXIT_REFUSED, "it runs, and cannot deliver")
    down = process.status()
    assert down["state"] == "down"
    assert down["not_ready"][0].startswith(f"bot {process.environ['QQ_APP_ID']} is down: ")
    judge.network("up")
    process.terminate()
    ended = process.status()["ended"]
    assert (ended["code"], ended["why"]) == (0, "stopped in good order")
    assert ended["at"] == pytest.approx(time.time(), abs=30)
    assert process.command("status").returncode == EXIT_NOT_RUNNING
    process.start()
    process.kill()
    ended = process.status()["ended"]
    assert ended["code"] is None
    assert ended["why"].startswith("ended without a word")
    assert "not running for" in process.command("status").stdout


def test_the_timeline_goes_over_processes(judge: Platform, process: Buoy) -> None:
    process.start()
    process.kill()
    process.start()
    judge.ask("POST", "/faults", kind="ws_close", code=4009)
    wait_until(lambda: process.status()["bots"][process.environ["QQ_APP_ID"]]["connected"], "it is back")
    process.terminate()
    with closing(sqlite3.connect(process.directory / "buoy.db")) as db:
        told = [(one.state, one.cause) for one in history.spans(db, 0.0, time.time() + 1)]
    (killed,) = [at for at, (_, cause) in enumerate(told) if cause.startswith("ended without a word")]
    assert told[killed][0] == "off"
    assert [state for state, _ in told[killed + 1 : killed + 3]] == ["down", "up"]
    assert told[-1] == ("off", "stopped in good order")


def test_status_tells_the_exit_code_of_a_buoy_that_was_stuck(judge: Platform, tmp_path: Path) -> None:
    environ = {"BUOY_AGENT": "python:hanging:block", "PYTHONPATH": AGENTS, "BUOY_STUCK_S": "1"}
    with buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        judge.say("block")
        wait_until(lambda: process.exit_code is not None, "the watcher ends the process")
        ended = process.status()["ended"]
        assert ended["code"] == EXIT_LOOP
        assert "stuck for 1 s" in ended["why"]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"QQ_APP_ID": ""}, "QQ_APP_ID"),
        ({"QQ_CLIENT_SECRET": ""}, "QQ_CLIENT_SECRET"),
        ({"QQ_API_BASE": "http://example.org"}, "QQ_API_BASE"),
        ({"QQ_TRANSPORT": "webhook"}, "QQ_TRANSPORT"),
        ({"BUOY_AGENT": "parrot"}, "BUOY_AGENT"),
        ({"BUOY_AGENT": "python:no_such_module:f"}, "BUOY_AGENT"),
        ({"BUOY_SHUTDOWN_S": "soon"}, "BUOY_SHUTDOWN_S"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2_before_anything_is_opened(
    judge: Platform, tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    process = Buoy(tmp_path / "data", judge.api_base, **environ)
    ended = process.command("run")
    assert ended.returncode == EXIT_USAGE
    assert named in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    assert not process.directory.exists()


def test_a_corrupted_or_newer_database_is_refused_and_left_as_it_is(judge: Platform, process: Buoy) -> None:
    process.start()
    process.terminate()
    file = process.directory / "buoy.db"
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = file.read_bytes()
    newer = process.command("run")
    assert newer.returncode == EXIT_STORE
    assert "newer" in newer.stderr
    assert file.read_bytes() == before
    file.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    before = file.read_bytes()
    broken = process.command("run")
    assert broken.returncode == EXIT_STORE, broken.stderr
    assert len(broken.stderr.strip().splitlines()) == 1
    assert file.read_bytes() == before


def test_a_frozen_process_tells_nothing_false_and_goes_on(judge: Platform, process: Buoy) -> None:
    process.start()
    process.signal(signal.SIGSTOP)
    message = judge.say("while frozen")
    time.sleep(1.5)  # longer than the watcher's patience with itself
    process.signal(signal.SIGCONT)
    wait_until(lambda: judge.answers(message), "the answer after the freeze")
    assert process.exit_code is None


def test_a_watcher_goes_on_while_buoy_dies_cannot_be_read_and_comes_back(
    judge: Platform, process: Buoy, tmp_path: Path
) -> None:
    process.start()
    shown, said = tmp_path / "shown", tmp_path / "said"
    words = [sys.executable, "-m", "buoy", "status", "--watch", "--json"]
    with shown.open("w") as out, said.open("w") as errors:
        watcher = subprocess.Popen(words, env=process.environ, stdout=out, stderr=errors, cwd=ROOT)

    def runs() -> bool | None:
        lines = [line for line in shown.read_text().splitlines() if line.endswith("}")]
        return json.loads(lines[-1])["running"] if lines else None

    try:
        wait_until(lambda: runs() is True, "it shows a running Buoy")
        process.kill()
        wait_until(lambda: runs() is False, "it shows a dead one")
        database = process.directory / "buoy.db"
        database.rename(tmp_path / "away.db")
        wait_until(lambda: "no database in" in said.read_text(), "what it cannot read is a line")
        (tmp_path / "away.db").rename(database)
        process.start()
        wait_until(lambda: runs() is True, "it shows the next one")
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(timeout=10) == 0
    finally:
        watcher.kill()
        watcher.wait()
