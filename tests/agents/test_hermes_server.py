"""What the hermes agent takes for granted of its server, held to our fake, and to the real one where that is at hand.

`HERMES_PYTHON=/path/to/python pytest tests/agents/test_hermes_server.py` runs it against the real API server too: that
Python has hermes-agent and aiohttp installed. Its gateway is started with a model of ours, in a home of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from buoy.agents.hermes import SAME_S, WAITING
from buoy.agents.hermes_api import Api, GoneError
from tests.fakes_hermes import KEY, Process, hermes
from tests.fakes_llm import Process as Model
from tests.fakes_llm import model
from tests.system.processes import wait_until

COMMAND = "rm -rf /tmp/buoy-there-is-nothing"
CONFIG = """
model: {{provider: custom, default: fake, base_url: "{url}", api_key: sk-fake, context_length: 131072}}
security: {{allow_lazy_installs: false, tirith_enabled: false}}
approvals: {{mode: manual}}
"""
REAL = os.environ.get("HERMES_PYTHON", "")


class Fake:
    """Inputs that have our server do what the real one does with the model of the other class."""

    def __init__(self, process: Process) -> None:
        self.base_url = process.base_url

    def slow(self) -> str:
        return "<<slow 30>>"

    def tool(self) -> str:
        return f"<<tool {COMMAND}>>"


class Real:
    """Scripts for the model behind the real server."""

    def __init__(self, base_url: str, llm: Model) -> None:
        self.base_url = base_url
        self.llm = llm

    def slow(self) -> str:
        self.llm.set(pause_s=0.2, script=[])
        return "<<90 sentences>>"

    def tool(self) -> str:
        call = {"name": "terminal", "arguments": json.dumps({"command": COMMAND})}
        calls = [{"id": "c1", "type": "function", "function": call}]
        self.llm.set(pause_s=0.0, script=[{"content": "Let me look.", "tool_calls": calls}, "DONE"])
        return "clean up"


@contextmanager
def real(folder: Path) -> Iterator[Real]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with model() as llm:
        (folder / "config.yaml").write_text(CONFIG.format(url=llm.base_url))
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "HERMES_HOME": str(folder),
            "HERMES_GATEWAY_LOCK_DIR": str(folder / "locks"),
            "HERMES_DISABLE_LAZY_INSTALLS": "1",
            "API_SERVER_ENABLED": "true",
            "API_SERVER_KEY": KEY,
            "API_SERVER_PORT": str(port),
        }
        with (folder / "log").open("w") as log:
            argv = [REAL, "-m", "hermes_cli.main", "gateway", "run"]
            process = subprocess.Popen(argv, env=environ, stdout=log, stderr=log, cwd=folder)
        try:
            wait_until(lambda: _is_up(port), (folder / "log").read_text(), 60)
            yield Real(f"http://127.0.0.1:{port}/v1", llm)
        finally:
            process.kill()
            process.wait()


def _is_up(port: int) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/health"):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module", params=["fake", *(["real"] if REAL else [])])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake | Real]:
    if request.param == "real":
        with real(tmp_path_factory.mktemp("home")) as one:
            yield one
    else:
        with hermes() as process:
            yield Fake(process)


def play(server: Fake | Real, scene: Callable[[Api], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        api = Api(URL(server.base_url), KEY)
        try:
            async with asyncio.timeout(50):
                return await scene(api)
        finally:
            await api.close()

    return asyncio.run(run())


async def over(api: Api, run: str) -> Any:
    while not (state := await api.state(run)).is_over:
        await asyncio.sleep(0.05)
    return state


def test_the_same_key_twice_is_two_runs_and_a_run_can_be_found_by_its_id(server: Fake | Real) -> None:
    async def scene(api: Api) -> None:
        body = {"input": "hello <<there>>", "session_id": "buoy-test"}
        runs = [await api.start(body, "t1", "buoy-test") for _ in range(2)]
        assert runs[0] != runs[1], "an Idempotency-Key would be enough: then the notebook can go"
        for run in runs:
            state = await over(api, run)
            assert (state.status, state.last_event) == ("completed", "run.completed")
            assert "there" in state.output
        with pytest.raises(GoneError):
            await api.state("run_that_never_was")

    play(server, scene)


def test_what_is_said_is_told_in_pieces_and_the_whole_at_the_end(server: Fake | Real) -> None:
    async def scene(api: Api) -> None:
        run = await api.start({"input": server.slow()}, "t2", "buoy-test")
        events = [event async for event in api.events(run)]
        told = "".join(event["delta"] for event in events if event["event"] == "message.delta")
        assert len(events) > 5
        assert events[-1]["event"] == "run.completed"
        assert told.strip() == events[-1]["output"].strip() == (await api.state(run)).output.strip()

    play(server, scene)


def test_a_question_is_told_before_the_run_goes_on_and_answered_once(server: Fake | Real) -> None:
    async def scene(api: Api) -> None:
        run = await api.start({"input": server.tool()}, "t3", "buoy-test")
        kinds: list[str] = []
        async for event in api.events(run):
            if event["event"] not in kinds:
                kinds.append(event["event"])
            if event["event"] == "approval.request":
                assert event["command"] == COMMAND
                assert {"once", "deny"} <= set(event["choices"])
                state = await api.state(run)
                assert (state.status, state.last_event) == WAITING
                assert abs(state.updated_at - event["timestamp"]) < SAME_S / 2
                await api.approve(run, "deny")
                await api.approve(run, "deny", all_of_them=True)  # nothing waits: no error
                state = await api.state(run)
                assert (state.status, state.last_event) != WAITING
        expected = ["message.delta", "tool.started", "approval.request", "approval.responded", "run.completed"]
        assert [kind for kind in kinds if kind in expected] == expected
        assert (await api.state(run)).output.startswith("DONE")

    play(server, scene)


def test_a_run_that_is_stopped_ends_as_cancelled(server: Fake | Real) -> None:
    async def scene(api: Api) -> None:
        run = await api.start({"input": server.slow()}, "t4", "buoy-test")
        async for event in api.events(run):
            if event["event"] == "message.delta":
                break
        await api.stop(run)
        assert (await over(api, run)).status == "cancelled"
        await api.stop(run)  # it has ended: no error

    play(server, scene)


def test_a_completion_is_paid_once_for_the_same_key(server: Fake | Real) -> None:
    async def scene(api: Api) -> None:
        body = {"messages": [{"role": "user", "content": "hello <<there>>"}], "stream": False}
        answers = await asyncio.gather(*(api.complete(body, "t5", "buoy-test", "buoy-test-5") for _ in range(2)))
        answers.append(await api.complete(body, "t5", "buoy-test", "buoy-test-5"))
        assert len(set(answers)) == 1
        if isinstance(server, Real):
            asked = [
                one for one in server.llm.state()["asked"] if "tools" in one and one["messages"][-1]["role"] == "user"
            ]
            assert (
                sum("hello <<there>>" in str(one["messages"][-1]["content"]) for one in asked) <= 3
            )  # t1 twice, t5 once

    play(server, scene)
