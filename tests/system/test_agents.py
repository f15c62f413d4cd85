"""The examples and several bots, as their users run them: `buoy run` against the simulated platform."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.processes import APP_ID, ROOT, SECRET, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

EXAMPLES = ROOT / "examples"


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


def answers(judge: Platform, message: str, count: int = 1) -> list[str]:
    wait_until(lambda: len(judge.answers(message)) >= count, f"{count} answers")
    return [one["text"] for one in judge.answers(message)]


@pytest.mark.parametrize(
    ("agent", "said", "answered"),
    [
        ("python:echo_agent:answer", "hello", ["hello"]),
        (f"command:{EXAMPLES / 'command_agent.sh'}", "hello", ["hello"]),
    ],
)
def test_an_example_answers_through_buoy_run(
    judge: Platform, tmp_path: Path, agent: str, said: str, answered: list[str]
) -> None:
    with buoy(tmp_path / "data", judge.api_base, BUOY_AGENT=agent, PYTHONPATH=f"{ROOT / 'src'}:{EXAMPLES}") as process:
        process.start()
        told = answers(judge, judge.say(said), len(answered))
        assert len(told) == len(answered)
        assert all(part in text for part, text in zip(answered, told, strict=True)), told


def test_two_bots_in_one_process_one_broken_does_not_touch_the_other(judge: Platform, tmp_path: Path) -> None:
    judge.ask("POST", "/bots", app_id="102000002", secret="SIMSECRETSIMSECRET02")
    settings = tmp_path / "buoy.toml"
    settings.write_text(
        f"""
        [[bots]]
        app_id = "{APP_ID}"
        client_secret = "{SECRET}"

        [[bots]]
        app_id = "102000002"
        client_secret = "SIMSECRETSIMSECRET02"
        agent = {{ kind = "python:which_bot:answer" }}

        [[bots]]
        app_id = "102000003"
        client_secret = "NOSUCHBOT"
        """
    )
    settings.chmod(0o600)
    agents = f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}"
    with buoy(tmp_path / "data", judge.api_base, BUOY_CONFIG=str(settings), PYTHONPATH=agents) as process:
        process.start(wait=False)
        wait_until(lambda: [one["live"] for one in judge.state()["sessions"]] == [1, 1], "both sessions")
        first, second = judge.say("to one", bot=APP_ID), judge.say("to two", bot="102000002")
        assert answers(judge, first) == ["to one"]
        assert answers(judge, second)[0].endswith("@102000002"), "a conversation names its bot where there are several"
        bots = process.status()["bots"]
        assert bots["102000003"]["phase"] == "blocked"
        assert "QQ_APP_ID" in bots["102000003"]["reason"], "the cause comes with its remedy"
        refused = process.command("send", "qq:c2c:" + "A" * 32, "to whom?")
        assert refused.returncode == 2
        assert "@102000002" in refused.stderr


def test_the_console_answers_every_line_and_ends_with_its_input(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "buoy", "console"],
        input="one\ntwo\n",
        env={"PYTHONPATH": str(ROOT / "src"), "BUOY_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (0, "one\ntwo\n"), ended.stderr
