"""`kill -9` of Buoy, `/stop` and time limits in the middle of an answer, for each kind of agent; its protocol is faked.

After the restart the whole answer has arrived, in order, no part twice and none missing. The platform judges.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from buoy.agents.http import signature
from buoy.durable.store import peek
from tests import fakes_llm
from tests.system.agents.long_story import PARTS
from tests.system.processes import ROOT, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

SECRET = "a secret of this very test"
AGENTS = f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


def told(judge: Platform, message: str) -> list[str]:
    return [one["text"] for one in judge.answers(message)]


def plain(*texts: str) -> str:
    return "".join("".join(texts).split())


def ended(process: Buoy) -> list[tuple[str, str]]:
    """State and reason of each turn that is over; empty while one is not."""
    db = peek(process.directory)
    try:
        rows = db.execute("SELECT state, reason FROM inbox WHERE state != 'stored' ORDER BY id").fetchall()
        left = db.execute("SELECT count(*) FROM outbox WHERE state IN ('queued', 'claimed')").fetchone()[0]
    finally:
        db.close()
    return [] if left or any(state in {"waiting", "running"} for state, _ in rows) else rows


def killed_in_the_middle(
    judge: Platform, process: Buoy, text: str, whole: str, *, is_in_the_middle: Callable[[str], Any]
) -> list[str]:
    """Ask, kill, start again; returns the messages that arrived."""
    process.start()
    message = judge.say(text)
    wait_until(lambda: is_in_the_middle(message), f"the middle\n{process.log.read_text()[-3000:]}")
    before = told(judge, message)
    process.kill()
    assert plain(*before) != whole
    process.start()
    wait_until(lambda: ended(process), f"the end\n{process.log.read_text()[-3000:]}", 40)
    arrived = told(judge, message)
    assert plain(*arrived) == whole
    assert arrived[: len(before)] == before
    assert len(judge.ask("GET", "/log")) == len(arrived), "nothing else arrived"
    return arrived


# --- openai -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("continues", [True, False])
@pytest.mark.parametrize("parts", [1, 2])
def test_openai_killed(judge: Platform, tmp_path: Path, continues: bool, parts: int) -> None:  # noqa: FBT001
    with (
        fakes_llm.model(pause_s=0.005, continues=continues) as model,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_AGENT="openai",
            BUOY_MODEL="fake",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=model.base_url,
        ) as process,
    ):
        whole = plain(fakes_llm.sentences(120))
        arrived = killed_in_the_middle(
            judge, process, "<<120 sentences>>", whole, is_in_the_middle=lambda it: len(told(judge, it)) == parts
        )
        assert len(arrived) == 3
        state = model.state()
        assert state["counts"]["asked"] == 2
        assert state["counts"]["answered"] == 1
        assert state["asked"][1]["messages"][1]["role"] == "assistant", "what had left was shown to the model"


def test_openai_killed_and_its_streams_break_too(judge: Platform, tmp_path: Path) -> None:
    with (
        fakes_llm.model(pause_s=0.005, breaks=3, break_after=60) as model,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_AGENT="openai",
            BUOY_MODEL="fake",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=model.base_url,
        ) as process,
    ):
        whole = plain(fakes_llm.sentences(120))
        killed_in_the_middle(judge, process, "<<120 sentences>>", whole, is_in_the_middle=lambda it: told(judge, it))
        assert model.state()["counts"]["broken"] >= 2


# --- http -------------------------------------------------------------------------------------------------------------


@dataclass
class Agent:
    """An agent behind a URL, in this process: as a stream, or later by a call."""

    is_later: bool = False
    honours_delivered: bool = True
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    agent: Agent

    def do_POST(self) -> None:
        agent = self.agent
        body = self.rfile.read(int(self.headers["Content-Length"]))
        turn, stamp = self.headers["Idempotency-Key"], self.headers["X-Buoy-Timestamp"]
        assert self.headers["X-Buoy-Signature"] == signature(SECRET, stamp, turn, body)
        message = json.loads(body)
        agent.asked.append((turn, message))
        if agent.is_later:
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in PARTS[len(message["delivered"]) if agent.honours_delivered else 0 :]:
                line = json.dumps({"text": part}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                time.sleep(0.4)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            agent.hung_up.set()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def http_agent(agent: Agent) -> Iterator[Agent]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"agent": agent}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    agent.url = f"http://127.0.0.1:{server.server_address[1]}/turn"
    try:
        yield agent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("honours_delivered", [True, False])
def test_http_killed(judge: Platform, tmp_path: Path, honours_delivered: bool) -> None:  # noqa: FBT001
    with (
        http_agent(Agent(honours_delivered=honours_delivered)) as agent,
        buoy(
            tmp_path / "data", judge.api_base, BUOY_AGENT=f"http:{agent.url}", BUOY_AGENT_SECRET=SECRET
        ) as process,
    ):  # fmt: skip
        killed_in_the_middle(judge, process, "tell", plain(*PARTS), is_in_the_middle=lambda it: told(judge, it))
        (first, _), (second, again) = agent.asked
        assert first == second
        assert again["delivered"]


def test_http_killed_while_it_waits_for_the_answer(judge: Platform, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        http_agent(Agent(is_later=True)) as agent,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_AGENT=f"http:{agent.url}",
            BUOY_AGENT_SECRET=SECRET,
            BUOY_LISTEN=listen,
        ) as process,
    ):
        process.start()
        message = judge.say("tell")
        wait_until(lambda: agent.asked, "asked")
        process.kill()
        process.start()
        wait_until(lambda: len(agent.asked) == 2, "asked again")
        turn = agent.asked[0][0]
        assert agent.asked[1][0] == turn

        def bring() -> int:
            body, stamp = json.dumps({"replies": ["one", "two"]}).encode(), str(int(time.time()))
            headers = {"X-Buoy-Timestamp": stamp, "X-Buoy-Signature": signature(SECRET, stamp, turn, body)}
            request = urllib.request.Request(f"http://{listen}/turns/{turn}", data=body, headers=headers)
            with DIRECT.open(request, timeout=10) as answer:
                return int(answer.status)

        assert bring() == 200
        assert bring() == 200
        wait_until(lambda: ended(process), "the end")
        assert plain(*told(judge, message)) == "onetwo"


# --- command, python --------------------------------------------------------------------------------------------------

STORY = f"#!/bin/sh\necho run >> %s\nsleep 1\ncat >/dev/null\nprintf '%%s' '{' '.join(PARTS)}'\n"


def program(folder: Path) -> tuple[str, Path]:
    """A program that takes a second, and the file in which it notes each run."""
    runs, file = folder / "runs", folder / "story.sh"
    file.write_text(STORY % runs)
    file.chmod(0o755)
    return f"command:{file}", runs


def test_command_killed(judge: Platform, tmp_path: Path) -> None:
    kind, runs = program(tmp_path)
    with buoy(tmp_path / "data", judge.api_base, BUOY_AGENT=kind) as process:
        killed_in_the_middle(judge, process, "tell", plain(*PARTS), is_in_the_middle=lambda _: runs.exists())
        assert runs.read_text() == "run\nrun\n"


def test_python_killed_between_its_parts(judge: Platform, tmp_path: Path) -> None:
    with buoy(
        tmp_path / "data", judge.api_base, BUOY_AGENT="python:long_story:story", PYTHONPATH=AGENTS
    ) as process:  # fmt: skip
        killed_in_the_middle(
            judge, process, "tell", plain(*PARTS), is_in_the_middle=lambda it: len(told(judge, it)) == 2
        )


def isolated(folder: Path, judge: Platform) -> str:
    """Settings for an agent in processes of its own."""
    file = folder / "buoy.toml"
    file.write_text('[[bots]]\n[bots.agent]\nkind = "python:long_story:blocking"\nisolation = "process"\n')
    del judge
    return str(file)


def is_claimed(process: Buoy) -> bool:
    db = peek(process.directory)
    try:
        return bool(db.execute("SELECT count(*) FROM inbox WHERE state = 'running'").fetchone()[0])
    finally:
        db.close()


def test_python_in_its_own_process_killed(judge: Platform, tmp_path: Path) -> None:
    settings = isolated(tmp_path, judge)
    with buoy(tmp_path / "data", judge.api_base, BUOY_CONFIG=settings, PYTHONPATH=AGENTS) as process:
        killed_in_the_middle(
            judge, process, "tell", plain(*PARTS), is_in_the_middle=lambda _: is_claimed(process)
        )  # fmt: skip


# --- /stop ------------------------------------------------------------------------------------------------------------


def stopped(judge: Platform, process: Buoy, text: str, *, is_in_the_middle: Callable[[str], Any]) -> list[str]:
    """Ask, and stop it in the middle; returns what had arrived."""
    process.start()
    message = judge.say(text)
    wait_until(lambda: is_in_the_middle(message), f"the middle\n{process.log.read_text()[-3000:]}")
    judge.say("/stop")
    ends = wait_until(lambda: ended(process), "the end", 10)
    assert ends[0] == ("done", "stopped by the user")
    return told(judge, message)


def test_openai_stopped(judge: Platform, tmp_path: Path) -> None:
    with (
        fakes_llm.model(pause_s=0.02) as model,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_AGENT="openai",
            BUOY_MODEL="fake",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=model.base_url,
        ) as process,
    ):
        arrived = stopped(judge, process, "<<900 sentences>>", is_in_the_middle=lambda it: told(judge, it))
        assert plain(fakes_llm.sentences(900)).startswith(plain(*arrived))
        wait_until(lambda: model.state()["counts"]["hung_up"] == 1, "the stream is closed")


def test_http_stopped(judge: Platform, tmp_path: Path) -> None:
    with (
        http_agent(Agent()) as agent,
        buoy(
            tmp_path / "data", judge.api_base, BUOY_AGENT=f"http:{agent.url}", BUOY_AGENT_SECRET=SECRET
        ) as process,
    ):  # fmt: skip
        arrived = stopped(judge, process, "tell", is_in_the_middle=lambda it: told(judge, it))
        assert plain(*PARTS).startswith(plain(*arrived))
        assert agent.hung_up.wait(10), "the connection is closed"


def test_command_stopped(judge: Platform, tmp_path: Path) -> None:
    kind, runs = program(tmp_path)
    with buoy(tmp_path / "data", judge.api_base, BUOY_AGENT=kind) as process:
        assert stopped(judge, process, "tell", is_in_the_middle=lambda _: runs.exists()) == []


def test_python_stopped(judge: Platform, tmp_path: Path) -> None:
    with buoy(
        tmp_path / "data", judge.api_base, BUOY_AGENT="python:long_story:story", PYTHONPATH=AGENTS
    ) as process:  # fmt: skip
        arrived = stopped(judge, process, "tell", is_in_the_middle=lambda it: len(told(judge, it)) == 2)
        assert arrived == list(PARTS[: len(arrived)])


def test_python_in_its_own_process_stopped(judge: Platform, tmp_path: Path) -> None:
    settings = isolated(tmp_path, judge)
    with buoy(tmp_path / "data", judge.api_base, BUOY_CONFIG=settings, PYTHONPATH=AGENTS) as process:
        assert stopped(judge, process, "tell", is_in_the_middle=lambda _: is_claimed(process)) == []


# --- time limits ------------------------------------------------------------------------------------------------------


def too_long(judge: Platform, process: Buoy) -> None:
    """Ask what takes too long: the turn is over, and its user is told."""
    process.start()
    message = judge.say("<<900 sentences>>")
    ends = wait_until(lambda: ended(process), f"the end\n{process.log.read_text()[-3000:]}", 10)
    assert ends == [("dead", "the agent did not answer within 1 s")]
    wait_until(lambda: told(judge, message), "the user is told")


def limited(folder: Path, kind: str) -> str:
    file = folder / "buoy.toml"
    file.write_text(f'[turns]\ntimeout_s = 1\n[[bots]]\n[bots.agent]\nkind = "{kind}"\nparts = 1\n')
    return str(file)


def test_openai_takes_too_long(judge: Platform, tmp_path: Path) -> None:
    with (
        fakes_llm.model(pause_s=0.02) as model,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_CONFIG=limited(tmp_path, "openai"),
            BUOY_MODEL="fake",
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=model.base_url,
        ) as process,
    ):
        too_long(judge, process)
        wait_until(lambda: model.state()["counts"]["hung_up"] == 1, "the stream is closed")


def test_http_takes_too_long(judge: Platform, tmp_path: Path) -> None:
    with (
        http_agent(Agent()) as agent,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_CONFIG=limited(tmp_path, f"http:{agent.url}"),
            BUOY_AGENT_SECRET=SECRET,
        ) as process,
    ):
        too_long(judge, process)
        assert agent.hung_up.wait(10), "the connection is closed"
