"""The acp agent against a small agent program of our own, a real process that speaks the published package."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from acp import schema, text_block

from buoy.agents import acp, acp_client, acp_peer, build, words
from buoy.chat import Agent, Attachment, Message, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError
from tests.agents.lines import FakeLine

MESSAGE = Message("hello", "qq:c2c:A", Sender("A"), turn="qq:1:m1")
FAKE = Path(__file__).parents[1] / "fakes_acp.py"
Scene = Callable[[Callable[[], Agent]], Awaitable[Any]]


def play(folder: Path, scene: Scene, *switches: str, **settings: Any) -> Any:
    """Run a scene; it makes agents, each as a process of Buoy that starts anew, on the same data directory."""

    async def run() -> Any:
        made: list[Agent] = []
        kind = f"acp:{shlex.join([sys.executable, str(FAKE), str(folder), *switches])}"

        def start() -> Agent:
            made.append(build(kind, {"state": folder / "agents" / "1", "cwd": str(folder)} | settings))
            return made[-1]

        try:
            async with asyncio.timeout(40):
                return await scene(start)
        finally:
            for agent in made:
                await agent.close()

    return asyncio.run(run())


async def texts(agent: Agent, message: Message) -> list[str]:
    return [reply.text for reply in await collect(agent, message)]


def said(text: str, **changes: Any) -> Message:
    return replace(MESSAGE, text=text, **changes)


def prompts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "prompts").read_text().splitlines()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_one_process_and_one_session_for_each_conversation(tmp_path: Path) -> None:
    async def scene(start: Callable[[], Agent]) -> None:
        agent = start()
        both = await asyncio.gather(texts(agent, said("<<slow 2>>")), texts(agent, said("hi", conversation="qq:c2c:B")))
        assert list(both) == [["w0 w1 END"], ["ECHO: hi"]]
        assert await texts(agent, said("<<history>>")) == ["<<slow 2>>"]
        assert await texts(agent, said("<<history>>", conversation="qq:c2c:B")) == ["hi"]

    play(tmp_path, scene)
    told = prompts(tmp_path)
    assert len({one["pid"] for one in told}) == 1
    assert len({one["session"] for one in told}) == 2


def test_what_is_said_around_a_tool_call_is_joined_and_thoughts_are_not_shown(tmp_path: Path) -> None:
    assert play(tmp_path, lambda start: texts(start(), said("<<two>>"))) == ["First this.\n\nThen that."]


def test_quotes_and_files_are_told(tmp_path: Path) -> None:
    files = (Attachment("image/png", "https://q/cat", "cat.png", size=7), Attachment("voice", "", text="said so"))
    play(tmp_path, lambda start: texts(start(), said("look", quoted="before", attachments=files)))
    assert prompts(tmp_path)[0]["text"] == "> before\nlook\n[image/png cat.png]\n[voice] said so\n<https://q/cat>"


def test_files_and_terminals_are_not_offered_and_secrets_are_not_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQ_CLIENT_SECRET", "s3cret")
    play(tmp_path, lambda start: texts(start(), MESSAGE))
    offered = json.loads((tmp_path / "capabilities").read_text())
    assert (offered["fs"]["read_text_file"], offered["fs"]["write_text_file"], offered["terminal"]) == (
        False,
        False,
        False,
    )
    assert "QQ_CLIENT_SECRET" not in json.loads((tmp_path / "environ").read_text())


def test_lines_that_are_no_messages_are_left_out(tmp_path: Path) -> None:
    assert play(tmp_path, lambda start: texts(start(), MESSAGE), "chatty") == ["ECHO: hello"]


# --- a process that dies, and a Buoy that starts again --------------------------------------------------------------


def test_a_process_that_dies_fails_the_turn_and_the_next_one_goes_on_in_its_session(tmp_path: Path) -> None:
    async def scene(start: Callable[[], Agent]) -> None:
        agent = start()
        await texts(agent, said("first"))
        with pytest.raises(AgentError, match=r"exited with 3: I am ill$") as error:
            await texts(agent, said("<<die>>"))
        assert not isinstance(error.value, AgentAwayError), "a message that kills the agent must not be run for ever"
        assert await texts(agent, said("<<history>>")) == ["first | <<die>>"], "and what it replays is no answer"

    play(tmp_path, scene)
    assert len({one["pid"] for one in prompts(tmp_path)}) == 2
    assert len({one["session"] for one in prompts(tmp_path)}) == 1


def test_a_conversation_goes_on_after_a_restart_of_buoy(tmp_path: Path) -> None:
    async def scene(start: Callable[[], Agent]) -> list[str]:
        first = start()
        await texts(first, said("first"))
        await first.close()
        return await texts(start(), said("<<history>>"))

    assert play(tmp_path, scene) == ["first"]


def test_where_sessions_cannot_be_loaded_it_is_a_new_one(tmp_path: Path) -> None:
    async def scene(start: Callable[[], Agent]) -> list[str]:
        first = start()
        await texts(first, said("first"))
        await first.close()
        return await texts(start(), MESSAGE)

    assert play(tmp_path, scene, "no-load") == ["ECHO: hello"]
    assert len({one["session"] for one in prompts(tmp_path)}) == 2


def test_a_session_that_the_agent_forgot_is_made_anew(tmp_path: Path) -> None:
    def forget() -> None:
        for file in tmp_path.glob("*.json"):
            file.unlink()

    async def scene(start: Callable[[], Agent]) -> list[str]:
        first = start()
        await texts(first, said("first"))
        await first.close()
        forget()
        return await texts(start(), said("<<history>>"))

    assert play(tmp_path, scene) == []


def test_the_process_and_what_it_started_end_with_the_agent(tmp_path: Path) -> None:
    async def scene(start: Callable[[], Agent]) -> None:
        agent = start()
        await texts(agent, MESSAGE)
        (pid,) = (int(line) for line in (tmp_path / "pids").read_text().split())
        assert is_alive(pid)
        await agent.close()
        await until(lambda: not is_alive(pid))

    play(tmp_path, scene, "deaf")


# --- permission -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["p-once", "p-always", "p-no"])
def test_a_person_chooses_among_the_options_that_the_agent_gives(tmp_path: Path, choice: str) -> None:
    line = FakeLine(answers=[choice])
    assert play(tmp_path, lambda start: texts(start(), said("<<permit rm -rf x>>", line=line))) == [f"chosen: {choice}"]
    assert line.asked == [
        ("The agent asks for permission:\nRun a command\nrm -rf x", ["Always", "Yes", "No"]),
    ]


@pytest.mark.parametrize(("title", "content"), [("Look", "a\n" * 50), ("Look\n" * 50, ""), ("x" * 9000, "")])
def test_a_question_shows_the_command_first_and_says_what_it_hides(title: str, content: str) -> None:
    blocks: Any = [schema.ContentToolCallContent(type="content", content=text_block(content))] if content else []
    call = schema.ToolCallUpdate(tool_call_id="1", title=title, content=blocks, raw_input={"command": "rm -rf x"})
    text = acp_client._question(call, words.of("en"))
    assert "rm -rf x" in text or len(title) > 5000
    assert re.search(r"\[\d+ more characters are not shown\]$", text) or ("Look" in title and not content)
    assert len(text.splitlines()) <= 9
    assert len(text) < 2200


@pytest.mark.parametrize(("permission", "chosen"), [("allow", "p-once"), ("deny", "p-no")])
def test_the_setting_answers_for_people_who_want_no_questions(tmp_path: Path, permission: str, chosen: str) -> None:
    line = FakeLine()
    message = said("<<permit rm -rf x>>", line=line)
    assert play(tmp_path, lambda start: texts(start(), message), permission=permission) == [f"chosen: {chosen}"]
    assert line.asked == []


def test_where_nobody_can_be_asked_it_is_denied_and_the_answer_says_so(tmp_path: Path) -> None:
    (told,) = play(tmp_path, lambda start: texts(start(), said("<<permit rm -rf x>>")))
    assert told.startswith("chosen: p-no\n\n(Something needed permission")


# --- stop -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["<<slow 100>>", "<<permit rm -rf x>>"])
def test_a_turn_that_nobody_wants_any_more_is_cancelled_and_the_process_lives(tmp_path: Path, text: str) -> None:
    async def scene(start: Callable[[], Agent]) -> None:
        agent, line = start(), FakeLine()
        run = asyncio.ensure_future(texts(agent, said(text, line=line)))
        await until((tmp_path / "prompts").exists)
        await until(lambda: line.asked or "slow" in text)
        run.cancel("stopped by the user")
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await texts(agent, said("next")) == ["ECHO: next"]

    play(tmp_path, scene)
    assert len({one["pid"] for one in prompts(tmp_path)}) == 1


def test_a_process_that_does_not_cancel_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp, "CANCEL_S", 0.3)

    async def scene(start: Callable[[], Agent]) -> None:
        agent = start()
        run = asyncio.ensure_future(texts(agent, said("<<slow 100>>")))
        await until((tmp_path / "prompts").exists)
        run.cancel("stopped by the user")
        with pytest.raises(asyncio.CancelledError):
            await run
        (pid,) = (one["pid"] for one in prompts(tmp_path))
        await until(lambda: not is_alive(pid))
        assert await texts(agent, said("next")) == ["ECHO: next"]

    play(tmp_path, scene, "deaf")


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_program_that_wants_a_login_is_away_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AgentAwayError, match=r"Authentication required; log it in by hand"):
        play(tmp_path, lambda start: texts(start(), MESSAGE), "login")


def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="refused to answer this message"):
        play(tmp_path, lambda start: texts(start(), said("<<refuse>>")))


@pytest.mark.parametrize(
    ("program", "why"),
    [("false", r"exited with 1: no word on stderr$"), ("sh -c 'echo no key >&2; exit 7'", r"exited with 7: no key$")],
)
def test_a_program_that_ends_at_once_is_away(program: str, why: str) -> None:
    agent = build(f"acp:{program}")

    async def run() -> None:
        with pytest.raises(AgentAwayError, match=why):
            await texts(agent, MESSAGE)
        await agent.close()

    asyncio.run(run())


def test_a_program_that_speaks_something_else_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acp_peer, "START_S", 0.3)
    agent = build("acp:cat")  # an echo is not an answer

    async def run() -> None:
        with pytest.raises(AgentAwayError, match=r"cat did not answer within 0.3 s|is not ACP|Method not found"):
            await texts(agent, MESSAGE)
        await agent.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "settings", "why"),
    [
        ("acp:no-such-program --x", {}, "no program 'no-such-program' that can be run"),
        ("acp:", {}, "no program ''"),
        ('acp:cat "', {}, "correct the quotes"),
        ("acp:cat", {"cwd": "/no/such"}, "no folder '/no/such'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(kind: str, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as error:
        build(kind, settings)
    assert "\n" not in str(error.value)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "acp", None)
    with pytest.raises(ConfigError, match=r"pip install 'buoy-qq\[acp\]'"):
        build("acp:cat")


def test_what_killed_the_leash_is_told() -> None:
    """A program that is killed looks as if it were started by ourselves."""
    agent = build("acp:sh -c 'kill -9 $$'")

    async def run() -> None:
        with pytest.raises(AgentAwayError, match="was killed by signal 9"):
            await texts(agent, MESSAGE)
        await agent.close()

    if os.name == "posix":
        asyncio.run(run())
