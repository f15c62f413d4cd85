"""The examples do what they say, run the way they tell, and the table beside them lists them all."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buoy import Gateway
from buoy.agents import build
from buoy.chat import Attachment, Button, Message, Part, Reply, Sender, collect
from buoy.config import load
from buoy.errors import AgentError
from buoy.faces.planning import of_file
from buoy.settings import Agent
from buoy.sim.simulator import DEFAULT_BOT, Sim

EXAMPLES = Path(__file__).parent.parent / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", list(sys.path))


def run(kind: str, text: str, *attachments: Attachment, table: Agent | None = None) -> list[Reply]:
    agent = build(kind, (table or Agent()).settings())

    async def turn() -> list[Reply]:
        try:
            return await collect(agent, Message(text, "qq:c2c:A", Sender("A", "Ann"), attachments=attachments))
        finally:
            await agent.close()

    return asyncio.run(turn())


def test_echo_agent() -> None:
    assert run("python:echo_agent:answer", "hi") == [Reply("You said: hi")]


def test_echo_agent_is_ten_lines_long() -> None:
    source = (EXAMPLES / "echo_agent.py").read_text(encoding="utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) <= 10


def test_several_replies() -> None:
    assert run("python:several_replies:answer", "hello", Attachment("image/png", "u")) == [
        Reply("Hello Ann."),
        Reply("You wrote **5** characters.", markdown=True, quote=True),
        Reply("I received [image/png]."),
    ]
    assert run("python:several_replies:answer", "") == []


class Spoken:
    """A line on which somebody chooses the option that carries ``choice``."""

    def __init__(self, choice: str) -> None:
        self.choice = choice
        self.said: list[Part] = []

    async def say(self, part: Part, *, last: bool = False) -> int:
        self.said.append(part)
        return len(self.said)

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        self.said.append(question)
        assert self.choice in {option.data for option in options}
        return self.choice


@pytest.mark.parametrize(("choice", "reply"), [("yes", "They are gone."), ("no", "Nothing was deleted.")])
@pytest.mark.parametrize("delivered", [(), ("Looking for old backups ...",)])
def test_asking_agent(choice: str, reply: str, delivered: tuple[str, ...]) -> None:
    line = Spoken(choice)
    agent = build("python:asking_agent:answer", Agent().settings())
    message = Message("tidy up", "qq:c2c:A", Sender("A"), delivered=delivered, line=line)
    assert asyncio.run(collect(agent, message)) == [Reply(reply)]
    assert line.said == [*(["Looking for old backups ..."] if not delivered else []), "Delete 3 backups?"]


def test_blocking_agent_with_the_settings_of_the_readme() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    table = msgspec.convert(tomllib.loads(toml)["bots"][0]["agent"], Agent)
    (reply,) = run(table.kind, "hi", table=table)
    assert re.fullmatch(r"Your number is \d+\.", reply.text)


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_command_agent() -> None:
    assert run("command:./command_agent.sh", "words one two") == [Reply("3")]
    assert run("command:./command_agent.sh", "silence") == []
    with pytest.raises(AgentError, match="as you wished"):
        run("command:./command_agent.sh", "fail")


def test_http_agent() -> None:
    with subprocess.Popen([sys.executable, "http_agent.py", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().removeprefix("listening on ").strip()
            assert run(f"http:{url}", "hi") == [Reply("You said: hi")]
        finally:
            server.kill()


def test_the_library_example_answers_obeys_commands_and_ends_in_order(tmp_path: Path) -> None:
    async def play() -> None:
        async with Sim() as sim:
            environ = {
                **os.environ,
                "QQ_APP_ID": DEFAULT_BOT[0],
                "QQ_CLIENT_SECRET": DEFAULT_BOT[1],
                "QQ_API_BASE": sim.api_base,
                "BUOY_DATA_DIR": "qq-data",
            }
            place: dict[str, Any] = {"cwd": tmp_path, "env": environ}

            async def buoy(*words: str) -> int:
                done = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "buoy", *words, **place, stdout=asyncio.subprocess.DEVNULL
                )
                return await done.wait()

            program = await asyncio.create_subprocess_exec(
                sys.executable, EXAMPLES / "library.py", **place, stderr=asyncio.subprocess.PIPE
            )
            try:
                await sim.until(lambda: sim.world.counters["ready"] == 1, 20)
                await sim.say("hi")
                await sim.until(lambda: [one.text for one in sim.delivered] == ["You said: hi"])
                assert await buoy("status") == 0
                assert await buoy("send", f"qq:c2c:{sim.meet()}", "from the command line") == 0
                program.send_signal(signal.SIGINT)
                _, said = await program.communicate()
            finally:
                if program.returncode is None:
                    program.kill()
                    await program.wait()
            assert said.decode().strip().endswith("KeyboardInterrupt")
            assert "never retrieved" not in said.decode()
            assert json.loads((tmp_path / "qq-data" / "ended.json").read_text())["why"] == "stopped in good order"
            assert [one.text for one in sim.delivered] == ["You said: hi", "from the command line"]

    asyncio.run(play())


def test_the_library_example_is_ten_lines_long_and_what_the_documents_show() -> None:
    source = (EXAMPLES / "library.py").read_text(encoding="utf-8")
    code = [line for line in source.splitlines() if line.strip() and not line.strip().startswith('"""')]
    assert len(code) <= 10
    for name in ("library.md", "library.zh.md"):
        assert f"```python\n{source}```" in (EXAMPLES.parent / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["library.md", "library.zh.md"])
def test_what_the_documents_of_the_library_show_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQ_APP_ID", "1")
    monkeypatch.setenv("QQ_CLIENT_SECRET", "x")
    text = (EXAMPLES.parent / "docs" / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        exec(compile(block, name, "exec"), {"__name__": "shown"})
    named = re.findall(r"^\| `(?:await )?([a-z_]+)(?:\(.*?\))?` \|", text, re.MULTILINE)
    assert len(named) >= 15
    for word in named:
        assert hasattr(Gateway, word) or word in inspect.signature(Gateway).parameters, word


def test_the_readme_lists_every_example() -> None:
    files = {file.name for file in EXAMPLES.iterdir() if file.is_file()} - {"README.md"}
    assert files == set(re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE))
    for kind in re.findall(r"BUOY_AGENT=(\S+) buoy run", README):
        build(kind)


def test_the_schedules_are_settings_that_can_be_read() -> None:
    config = load(EXAMPLES / "schedules.toml", {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "x"})
    assert [(one.name, one.kind, one.misfire) for one in of_file(config, 0.0)] == [
        ("good-night", "text", "once"),
        ("morning-report", "prompt", "skip"),
    ]
