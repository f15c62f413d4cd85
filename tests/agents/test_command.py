"""A program per message: real processes, and nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from buoy.agents import build, child
from buoy.agents.child import Child
from buoy.chat import Agent, Message, Reply, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs are POSIX")

FORKS_A_SLEEPER = """
import os, sys, time
pid = os.fork()
if pid == 0:
    time.sleep(600)
open(sys.argv[1], "w").write(f"{os.getpid()} {pid}")
time.sleep(float(sys.argv[2]))
print("done")
"""


def program(tmp_path: Path, code: str, *args: object) -> Agent:
    file = tmp_path / "agent.py"
    file.write_text(code, encoding="utf-8")
    return build(f"command:{sys.executable}", {"args": [str(file), *map(str, args)]})


def run(agent: Agent, text: str = "hello", **more: Any) -> list[Reply]:
    return asyncio.run(collect(agent, Message(text, "qq:c2c:A", Sender("A"), **more)))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(*pids: int) -> bool:
    """Orphans are reaped by init, in its own time."""
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        pass
    return not any(map(is_running, pids))


def test_text_in_answer_out() -> None:
    assert run(build("command:cat"), "two\nlines \U0001f600") == [Reply("two\nlines \U0001f600")]
    assert run(build("command:tr a-z A-Z"), "hello") == [Reply("HELLO")]
    assert run(build("command:tr", {"args": ["a-z", "A-Z"]}), "hello") == [Reply("HELLO")]


def test_no_output_is_no_reply() -> None:
    assert run(build("command:true")) == []


def test_a_program_that_does_not_read() -> None:
    assert run(build("command:echo hi"), "x" * 2_000_000) == [Reply("hi")]


def test_the_message_is_in_the_environment(tmp_path: Path) -> None:
    (reply,) = run(program(tmp_path, "import os; print(os.environ['BUOY_MESSAGE'])"), id="m1", turn="t")
    document = json.loads(reply.text)
    assert (document["id"], document["turn"], document["text"]) == ("m1", "t", "hello")


def test_a_text_of_one_megabyte_arrives_whole(tmp_path: Path) -> None:
    code = """if True:
        import json, os, sys
        print(len(sys.stdin.read()), json.loads(os.environ["BUOY_MESSAGE"])["omitted"])
    """
    (reply,) = run(program(tmp_path, code), "x" * 1_000_000)
    assert reply.text == "1000000 ['raw', 'history', 'quoted', 'text']"


OURS = ["QQ_CLIENT_SECRET", "QQBOT_CLIENT_SECRET", "BUOY_AGENT_SECRET"]
OURS += ["BUOY_WEB_TOKEN", "BUOY_ALERTS", "BUOY_HEARTBEAT_URL"]


def test_our_secrets_stay_with_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("MY_SETTING", "seen")
    (reply,) = run(program(tmp_path, "import os; print(dict(os.environ))"))
    assert "hush" not in reply.text
    assert "seen" in reply.text


def test_failure_carries_the_last_line_of_stderr(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"exited with 1: ValueError: no such thing$"):
        run(program(tmp_path, "print('half an answer'); raise ValueError('no such thing')"))
    with pytest.raises(AgentError, match=r"exited with 1: no word on stderr"):
        run(build("command:false"))
    with pytest.raises(AgentError, match=r"was killed by signal 11"):
        run(program(tmp_path, f"import os; os.kill(os.getpid(), {signal.SIGSEGV:d})"))


def test_exit_code_68_asks_to_be_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(AgentAwayError, match=r"exited with 68: the database is locked$"):
        run(program(tmp_path, "import sys; print('the database is locked', file=sys.stderr); sys.exit(68)"))


def test_output_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"more than 1048576 bytes"):
        run(program(tmp_path, "while True: print('x' * 10_000)"))


def test_a_runaway_is_ended_early_and_its_stderr_forgotten(tmp_path: Path) -> None:
    async def scene() -> Child:
        yes = await Child.start(["yes"], limit=10_000)
        await yes.drained()
        await yes.end()
        return yes

    yes = asyncio.run(scene())
    assert yes.is_over_limit
    assert len(yes.output) < 1_000_000
    (reply,) = run(program(tmp_path, "import sys; sys.stderr.write('e' * 3_000_000); print('y' * 1_000_000)"))
    assert len(reply.text) == 1_000_000


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_ended_early_it_leaves_nobody(how: str, tmp_path: Path) -> None:
    pids_file = tmp_path / "pids"
    os.mkfifo(pids_file)
    agent = program(tmp_path, FORKS_A_SLEEPER, pids_file, 600)

    async def scene() -> tuple[list[int], float]:
        turn = asyncio.ensure_future(collect(agent, Message("", "qq:c2c:A", Sender("A"))))
        pids = await asyncio.to_thread(pids_file.read_text)
        start = time.monotonic()
        if how == "cancelled":
            turn.cancel()
        with pytest.raises(asyncio.CancelledError if how == "cancelled" else TimeoutError):
            async with asyncio.timeout(None if how == "cancelled" else 0):
                await turn
        return [int(pid) for pid in pids.split()], time.monotonic() - start

    pids, seconds = asyncio.run(scene())
    assert seconds < 1
    assert gone(*pids)
    with pytest.raises(ChildProcessError):  # reaped: no zombie
        os.waitpid(pids[0], os.WNOHANG)


def test_a_child_left_behind_neither_delays_the_answer_nor_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "DRAIN_S", 600)
    pids_file = tmp_path / "pids"
    start = time.monotonic()
    assert run(program(tmp_path, FORKS_A_SLEEPER, pids_file, 0)) == [Reply("done")]
    assert time.monotonic() - start < 5
    assert gone(*map(int, pids_file.read_text().split()))


def test_a_child_that_left_the_group_and_kept_the_pipe_delays_by_a_second_only(tmp_path: Path) -> None:
    pids_file = tmp_path / "pids"
    code = FORKS_A_SLEEPER.replace("time.sleep(600)", "os.setsid(); time.sleep(600)")
    try:
        start = time.monotonic()
        assert run(program(tmp_path, code, pids_file, 0.3)) == [Reply("done")]
        assert time.monotonic() - start < 5
    finally:
        os.kill(int(pids_file.read_text().split()[1]), signal.SIGKILL)


def test_many_at_once() -> None:
    agent = build("command:cat")

    async def scene() -> list[list[Reply]]:
        turns = [collect(agent, Message(str(n), "qq:c2c:A", Sender("A"))) for n in range(20)]
        return await asyncio.gather(*turns)

    assert asyncio.run(scene()) == [[Reply(str(n))] for n in range(20)]


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_the_same_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    pids_file = tmp_path / "pids"
    agent = program(tmp_path, FORKS_A_SLEEPER, pids_file, 0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        start = time.monotonic()
        assert runner.run(collect(agent, Message("", "qq:c2c:A", Sender("A")))) == [Reply("done")]
        assert time.monotonic() - start < 5
    assert gone(*map(int, pids_file.read_text().split()))


@pytest.mark.parametrize("kind", ["command:", "command:no-such-program-here", "command:'open", "command:/etc/passwd"])
def test_what_cannot_be_run_is_refused_at_once(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"bots\.agent\.kind \(BUOY_AGENT\)"):
        build(kind)


def test_a_path_with_blanks(tmp_path: Path) -> None:
    file = tmp_path / "my agent"
    file.write_text("#!/bin/sh\necho $#\n", encoding="utf-8")
    file.chmod(0o755)
    assert run(build(f"command:{file}")) == [Reply("0")]
    assert run(build(f"command:'{file}' 'a b' c")) == [Reply("2")]


def test_a_program_that_vanished(tmp_path: Path) -> None:
    file = tmp_path / "agent"
    file.write_text("#!/bin/sh\n", encoding="utf-8")
    file.chmod(0o755)
    agent = build(f"command:{file}")
    file.unlink()
    with pytest.raises(AgentError, match="could not be started: No such file"):
        run(agent)
