"""Which agent a kind names, echo, and that nothing is imported before it is asked for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from buoy.agents import build
from buoy.chat import Attachment, Message, Reply, Sender, collect
from buoy.errors import ConfigError


def message(text: str = "", **more: Any) -> Message:
    return Message(text, "qq:c2c:A", Sender("A"), **more)


def test_echo_answers_with_the_same_text() -> None:
    agent = build("echo")
    assert asyncio.run(collect(agent, message(" two\nlines "))) == [Reply(" two\nlines ")]
    assert (agent.name, agent.timeout_s, agent.history_turns) == ("echo", None, 0)


def test_echo_names_what_was_attached() -> None:
    files = (Attachment("image/png", "u", "cat.png"), Attachment("voice", "u", text="hi"))
    assert asyncio.run(collect(build("echo"), message(" ", attachments=files))) == [
        Reply("[image/png cat.png]\n[voice] hi")
    ]
    assert asyncio.run(collect(build("echo"), message())) == []


def test_settings_of_every_agent() -> None:
    agent = build("echo", {"timeout_s": 3.0, "history_turns": 2})
    assert (agent.timeout_s, agent.history_turns) == (3.0, 2)


@pytest.mark.parametrize(
    "kind", ["", "oracle", "echo:x", "http:", "http:x", "openai:gpt", "command:", "python:", "python:m"]
)
def test_a_wrong_kind_is_one_line_that_names_the_setting(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"^bots\.agent\.kind \(BUOY_AGENT\): .*") as error:
        build(kind, {"model": "m", "api_key": "k"})
    assert "\n" not in str(error.value)


def test_only_the_agent_asked_for_is_imported() -> None:
    code = (
        "import sys, buoy.agents; buoy.agents.build('echo')\n"
        "print([m for m in sys.modules if m in ('openai', 'asyncio.subprocess', 'buoy.agents.child')])"
    )
    path = [p for p in sys.path if p]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "openai" not in done.stdout
    assert "buoy.agents.child" not in done.stdout
