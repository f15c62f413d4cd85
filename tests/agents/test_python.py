"""A Python function as agent: in the loop, and in processes of its own that may block, die or hang."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from buoy.agents import build
from buoy.chat import Agent, Attachment, Exchange, Message, NonsenseError, Reply, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from buoy.agents.child import Child

ISOLATED = {"isolation": "process", "workers": 1}
COUNT = iter(range(1_000_000))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module into the current folder; its name is new each time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def write(source: str) -> str:
        name = f"agent_under_test_{next(COUNT)}"
        made.append(name)
        Path(f"{name}.py").write_text("from buoy.chat import *\n" + source, encoding="utf-8")
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def message(text: str = "hi", **more: Any) -> Message:
    return Message(text, "qq:c2c:A", Sender("A"), **more)


def idle(agent: Agent) -> list[Child]:
    """The processes that wait for a message."""
    return cast("list[Child]", cast("Any", agent.answer).__self__._idle)


def test_an_isolated_agent_can_say_that_what_it_needs_is_away(module: Callable[[str], str]) -> None:
    source = "from buoy.errors import AgentAwayError\ndef answer(message):\n    raise AgentAwayError('no network')\n"
    agent = build(f"python:{module(source)}:answer", ISOLATED)
    with pytest.raises(AgentAwayError, match="no network"):
        play(agent, "hi")


def play(agent: Agent, *texts: str) -> list[list[Reply]]:
    async def turns() -> list[list[Reply]]:
        try:
            return [await collect(agent, message(text)) for text in texts]
        finally:
            await agent.close()

    return asyncio.run(turns())


# --- in the loop --------------------------------------------------------------------------------------------


def test_a_function_of_the_current_folder(module: Callable[[str], str]) -> None:
    name = module("async def answer(message): return message.text.upper()")
    assert play(build(f"python:{name}:answer"), "hi") == [[Reply("HI")]]


def test_dots_objects_generators_and_agents(module: Callable[[str], str]) -> None:
    name = module(
        "class A:\n"
        "    async def __call__(self, message): return 'called'\n"
        "    async def answer(self, message):\n"
        "        yield 'a'\n"
        "        yield Reply('b', quote=True)\n"
        "one = A()\n"
        "whole = Agent(one.answer, 'whole', 7)\n"
    )
    assert play(build(f"python:{name}:one.answer"), "hi") == [[Reply("a"), Reply("b", quote=True)]]
    assert play(build(f"python:{name}:one"), "hi") == [[Reply("called")]]
    assert build(f"python:{name}:whole").history_turns == 7


@pytest.mark.parametrize(
    ("source", "function", "named"),
    [
        (
            "def answer(message): return 'x'",
            "answer",
            r'plain function.*async def answer.*isolation = "process"',
        ),
        ("answer = 3", "answer", "answer is no function"),
        ("", "answer", "has no attribute 'answer'; define `async def answer"),
        ("1/0", "answer", "raised ZeroDivisionError: division by zero"),
        ("raise SystemExit('bye')", "answer", "raised SystemExit: bye"),
        ("def (", "answer", "raised SyntaxError"),
        ("import no_such_package_at_all", "answer", "No module named 'no_such_package_at_all'; install it"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    module: Callable[[str], str], source: str, function: str, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as error:
        build(f"python:{module(source)}:{function}")
    assert str(error.value).startswith("bots.agent.kind (BUOY_AGENT): python:agent_under_test_")
    assert "\n" not in str(error.value)


def test_no_such_module() -> None:
    for settings in ({}, ISOLATED):
        with pytest.raises(ConfigError, match=r"no module 'no_such_folder\.module'; start Buoy in the folder of"):
            build("python:no_such_folder.module:answer", settings)


# --- in processes of its own --------------------------------------------------------------------------------


def test_plain_functions_generators_and_async_ones(module: Callable[[str], str]) -> None:
    name = module(
        "import os\n"
        "def plain(message): return [message.text, Reply('b', markdown=True)]\n"
        "def generator(message):\n    yield 'a'\n    yield None\n    yield 'b'\n"
        "async def coroutine(message): return message.text\n"
        "async def stream(message):\n    yield 'a'\n    yield 'b'\n"
        "def nothing(message): pass\n"
        "whole = Agent(stream)\n"
        "def whoami(message): return str(os.getpid())\n"
    )
    for function, expected in {
        "plain": [Reply("hi"), Reply("b", markdown=True)],
        "generator": [Reply("a"), Reply("b")],
        "coroutine": [Reply("hi")],
        "stream": [Reply("a"), Reply("b")],
        "nothing": [],
        "whole": [Reply("a"), Reply("b")],
    }.items():
        assert play(build(f"python:{name}:{function}", ISOLATED), "hi") == [expected]
    ((first,), (second,)) = play(build(f"python:{name}:whoami", ISOLATED), "hi", "hi")
    assert first == second  # one process serves many messages
    assert first.text != str(os.getpid())


def test_the_whole_message_arrives(module: Callable[[str], str]) -> None:
    name = module("def answer(message): return repr(message)")
    given = message(
        "a \U0001f600",
        attachments=(Attachment("voice", "u"),),
        history=(Exchange("q", "a"),),
        raw={"x": [1]},
        delivered=("d",),
    )
    agent = build(f"python:{name}:answer", ISOLATED)

    async def turn() -> list[Reply]:
        try:
            return await collect(agent, given)
        finally:
            await agent.close()

    assert asyncio.run(turn()) == [Reply(repr(given))]


def test_prints_and_reads_do_not_touch_the_pipe(
    module: Callable[[str], str], capfd: pytest.CaptureFixture[str]
) -> None:
    name = module(
        "import os, sys, subprocess\n"
        "print('at import', flush=True)\n"
        "def answer(message):\n"
        "    print('{\"replies\": []}', flush=True)\n"
        "    os.write(1, b'raw\\n')\n"
        "    subprocess.run(['echo', 'from a child'])\n"
        "    return sys.stdin.read() + message.text\n"
    )
    assert play(build(f"python:{name}:answer", ISOLATED), "a", "b") == [[Reply("a")], [Reply("b")]]
    printed = capfd.readouterr()
    assert "at import" in printed.err
    assert "from a child" in printed.err


def test_an_error_is_told_and_the_process_goes_on(module: Callable[[str], str]) -> None:
    name = module(
        "import os, sys\n"
        "def answer(message):\n"
        "    if message.text == 'raise': raise ValueError('no\\nway')\n"
        "    if message.text == 'exit': sys.exit(3)\n"
        "    if message.text == 'nonsense': return {1: 2}\n"
        "    if message.text == 'type': return 1 + 'a'\n"
        "    return str(os.getpid())\n"
    )
    agent = build(f"python:{name}:answer", ISOLATED)

    async def scene() -> None:
        try:
            (pid,) = await collect(agent, message())
            for text, kind, reason in (
                ("raise", AgentError, "^ValueError: no way$"),
                ("exit", AgentError, "^SystemExit: 3$"),
                ("nonsense", NonsenseError, "answered with dict"),
                ("type", AgentError, "^TypeError: unsupported"),
            ):
                with pytest.raises(kind, match=reason):
                    await collect(agent, message(text))
            assert await collect(agent, message()) == [pid]
        finally:
            await agent.close()

    asyncio.run(scene())


def test_a_process_that_dies_fails_its_turn_and_is_replaced(module: Callable[[str], str]) -> None:
    name = module(
        "import os\n"
        "def answer(message):\n"
        "    if message.text == 'die': os.kill(os.getpid(), 9)\n"
        "    if message.text == 'leave': os._exit(7)\n"
        "    if message.text == 'flood': return 'x' * 20_000_000\n"
        "    return str(os.getpid())\n"
    )
    agent = build(f"python:{name}:answer", ISOLATED)

    async def scene() -> None:
        try:
            for text, reason in (
                ("die", "was killed by signal 9"),
                ("leave", "exited with 7"),
                ("flood", "more than"),
            ):
                with pytest.raises(AgentError, match=reason):
                    await collect(agent, message(text))
                assert await collect(agent, message()) != []
            ((first,),) = [await collect(agent, message())]
            os.kill(int(first.text), signal.SIGKILL)  # while it is idle: the next message is none the worse
            await idle(agent)[0].drained()
            assert await collect(agent, message()) not in ([], [first])
        finally:
            await agent.close()

    asyncio.run(scene())


HANGS = (
    "import os, subprocess, sys, time\n"
    "def answer(message):\n"
    "    if message.text != 'hang': return str(os.getpid())\n"
    "    child = subprocess.Popen(['sleep', '600'])\n"
    "    open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
    "    time.sleep(600)\n"
)


def gone(*pids: int) -> bool:
    """Orphans are reaped by init, in its own time."""
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        pass
    return not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_process_that_hangs_is_killed_with_its_children_and_replaced(module: Callable[[str], str], how: str) -> None:
    name = module(HANGS)
    os.mkfifo("pids")
    agent = build(f"python:{name}:answer", ISOLATED)

    async def scene() -> None:
        try:
            turn = asyncio.ensure_future(collect(agent, message("hang")))
            pids = [int(pid) for pid in (await asyncio.to_thread(Path("pids").read_text)).split()]
            start = time.monotonic()
            if how == "cancelled":
                turn.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await turn
            else:
                await agent.close()
                with pytest.raises(AgentError, match="was killed by signal 9"):
                    await turn
            assert time.monotonic() - start < 1
            assert await asyncio.to_thread(gone, *pids)
            assert await collect(agent, message()) != []
        finally:
            await agent.close()

    asyncio.run(scene())


def test_one_that_blocks_does_not_delay_another(module: Callable[[str], str]) -> None:
    name = module(HANGS)
    os.mkfifo("pids")
    agent = build(f"python:{name}:answer", {"isolation": "process", "workers": 2})

    async def scene() -> None:
        hanging = asyncio.ensure_future(collect(agent, message("hang")))
        await asyncio.to_thread(Path("pids").read_text)
        try:
            assert len(await asyncio.gather(*(collect(agent, message()) for _ in range(5)))) == 5
        finally:
            hanging.cancel()
            await asyncio.wait([hanging])
            await agent.close()

    asyncio.run(scene())


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_when_buoy_is_killed_its_processes_end(module: Callable[[str], str]) -> None:
    name = module(HANGS)
    os.mkfifo("pids")
    boot = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import asyncio; from buoy.agents import build; from buoy.chat import *\n"
        f"agent = build('python:{name}:answer', {ISOLATED!r})\n"
        "asyncio.run(collect(agent, Message('hang', 'qq:c2c:A', Sender('A'))))\n"
    )

    async def scene() -> None:
        buoy = await asyncio.create_subprocess_exec(sys.executable, "-c", boot)
        pids = [int(pid) for pid in (await asyncio.to_thread(Path("pids").read_text)).split()]
        buoy.kill()
        await buoy.wait()
        assert await asyncio.to_thread(gone, *pids)

    asyncio.run(scene())


def test_a_wrong_name_is_refused_before_anything_is_started(module: Callable[[str], str]) -> None:
    name = module("def other(message): pass")
    Path(f"{name}.py").write_text("def other(message): pass\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"has no answer; define `def answer\(message\)`"):
        build(f"python:{name}:answer", ISOLATED)
    broken = module("")
    Path(f"{broken}.py").write_text("def (", encoding="utf-8")
    with pytest.raises(ConfigError, match="invalid syntax"):
        build(f"python:{broken}:answer", ISOLATED)
    dynamic = module("globals()['ans' + 'wer'] = lambda message: 'x'")  # a star import: cannot be known
    assert play(build(f"python:{dynamic}:answer", ISOLATED), "hi") == [[Reply("x")]]


def test_what_fails_on_import_fails_the_turn_with_a_reason(module: Callable[[str], str]) -> None:
    name = module("1/0\ndef answer(message): pass")
    with pytest.raises(AgentError, match="raised ZeroDivisionError: division by zero"):
        play(build(f"python:{name}:answer", ISOLATED), "hi")
