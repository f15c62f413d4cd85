"""The hermes agent against a Hermes API server of our own, over real HTTP; what a person sees stands in its replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buoy.agents import build, hermes
from buoy.agents.hermes import history_of, is_said, session_of
from buoy.chat import Agent, Attachment, Exchange, Message, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError
from tests.agents.lines import FakeLine
from tests.fakes_hermes import KEY, Server, serving

MESSAGE = Message("hello", "qq:c2c:A", Sender("A"), turn="qq:1:m1")
Scene = Callable[[Callable[[], Agent]], Awaitable[Any]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hermes, "POLL_S", 0.02)
    monkeypatch.setattr("buoy.agents.hermes_api.BUSY_S", 0.01)


def play(server: Server, scene: Scene, folder: Path | None = None, **settings: Any) -> Any:
    """Run a scene; it makes agents, each as a process that starts anew, on the same data directory."""

    async def run() -> Any:
        async with serving(server) as url:
            made: list[Agent] = []

            def start() -> Agent:
                state = {"state": folder / "agents" / "1"} if folder else {}
                made.append(build("hermes", {"base_url": url, "api_key": KEY} | state | settings))
                return made[-1]

            try:
                async with asyncio.timeout(20):
                    return await scene(start)
            finally:
                for agent in made:
                    await agent.close()

    return asyncio.run(run())


async def texts(agent: Agent, message: Message) -> list[str]:
    return [reply.text for reply in await collect(agent, message)]


def ask(server: Server, message: Message = MESSAGE, **settings: Any) -> list[str]:
    told: list[str] = play(server, lambda start: texts(start(), message), **settings)
    return told


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


# --- what the server is told ---------------------------------------------------------------------------------------


def test_a_message_is_a_run_of_its_conversations_session() -> None:
    server = Server()
    history = (Exchange("before", "answered"), Exchange("and", ""))
    assert ask(server, replace(MESSAGE, history=history), model="m", system="be kind") == ["ECHO: hello"]
    assert server.asked == [
        {
            "input": "hello",
            "session_id": "buoy-qq-c2c-A",
            "conversation_history": [
                {"role": "user", "content": "before"},
                {"role": "assistant", "content": "answered"},
                {"role": "user", "content": "and"},
            ],
            "instructions": "be kind",
            "model": "m",
        }
    ]
    assert server.headers[0]["Idempotency-Key"] == "qq:1:m1"
    assert server.headers[0]["X-Hermes-Session-Key"] == "buoy-qq-c2c-A"


def test_files_quotes_and_age_are_told_as_text() -> None:
    server = Server()
    files = (Attachment("image/png", "https://q/cat", "cat.png"),)
    ask(server, replace(MESSAGE, quoted="a\nb", attachments=files, late_s=7200.0))
    assert server.asked[0]["input"] == (
        "[written 2 h ago, answered only now]\n> a\n> b\nhello\n[image/png cat.png]\nhttps://q/cat"
    )


@pytest.mark.parametrize(
    ("prefix", "conversation", "session"),
    [
        ("", "qq:group:G_1-x", "buoy-qq-group-G_1-x"),
        ("work", "qq:c2c:A@102", "work-qq-c2c-A-102"),
        ("", "qq:c2c:../../etc", "buoy-qq-c2c-..-..-etc"),
        ("", "qq:c2c:" + "A" * 500, "buoy-qq-c2c-" + "A" * 188),
    ],
)
def test_a_session_has_a_name_that_stays(prefix: str, conversation: str, session: str) -> None:
    assert session_of(prefix, conversation) == session


def test_blank_turns_are_no_history() -> None:
    assert history_of((Exchange(" ", "hi"),)) == [{"role": "assistant", "content": "hi"}]


# --- a turn that runs again ----------------------------------------------------------------------------------------


def test_a_turn_that_a_kill_interrupted_gets_the_run_of_before(tmp_path: Path) -> None:
    server = Server()
    message = replace(MESSAGE, text="<<slow 5>>")

    async def scene(start: Callable[[], Agent]) -> list[str]:
        first = asyncio.ensure_future(texts(start(), message))
        await until(lambda: server.runs)
        await until((tmp_path / "agents/1.runs").exists)
        first.cancel()  # without a reason: Buoy ends
        await asyncio.wait([first])
        return await texts(start(), replace(message, attempt=2))

    assert play(server, scene, tmp_path) == ["w0 w1 w2 w3 w4 END"]
    assert len(server.asked) == 1, "not paid twice"
    assert server.stopped == 0


def test_a_run_that_ended_while_buoy_was_dead_is_read_from_its_state(tmp_path: Path) -> None:
    server = Server()

    async def scene(start: Callable[[], Agent]) -> list[str]:
        assert await texts(start(), MESSAGE) == ["ECHO: hello"]  # and the answer got lost with the process
        return await texts(start(), replace(MESSAGE, attempt=2))

    assert play(server, scene, tmp_path) == ["ECHO: hello"]
    assert len(server.asked) == 1


def test_a_server_that_lost_the_run_costs_an_attempt_and_the_next_one_starts_another(tmp_path: Path) -> None:
    server = Server()

    async def scene(start: Callable[[], Agent]) -> list[str]:
        agent = start()
        first = asyncio.ensure_future(texts(agent, replace(MESSAGE, text="<<slow 50>>")))
        await until(lambda: server.read)
        server.restart()
        with pytest.raises(AgentError, match=r"has lost this message's run: it was restarted$") as error:
            await first
        assert not isinstance(error.value, AgentAwayError), "a message that kills Hermes must not be run for ever"
        return await texts(agent, MESSAGE)

    assert play(server, scene, tmp_path) == ["ECHO: hello"]
    assert len(server.asked) == 2


def test_a_run_that_failed_is_told_why_and_another_is_started(tmp_path: Path) -> None:
    server = Server()

    async def scene(start: Callable[[], Agent]) -> None:
        for _ in range(2):
            with pytest.raises(AgentError, match=r"^the run at the Hermes API server failed: the model refused$"):
                await texts(start(), replace(MESSAGE, text="<<fail>>"))

    play(server, scene, tmp_path)
    assert len(server.asked) == 2


def test_a_stream_that_breaks_is_followed_by_its_state() -> None:
    server = Server(word_s=0.01, streams_break=True)
    assert ask(server, replace(MESSAGE, text="<<slow 9>>")) == ["w0 w1 w2 w3 w4 w5 w6 w7 w8 END"]


# --- what is said on the way ---------------------------------------------------------------------------------------


def test_what_is_said_before_a_tool_call_comes_at_once_and_once() -> None:
    server = Server()
    line = FakeLine(answers=["once"])
    said = ask(server, replace(MESSAGE, text="<<tool rm -rf x>>", line=line))
    assert line.said == ["Let me look."]
    assert said == ["DONE: once"]


def test_an_output_that_was_said_on_the_way_is_not_said_again() -> None:
    line = FakeLine()
    assert ask(Server(), replace(MESSAGE, text="<<only Done already.>>", line=line)) == []
    assert line.said == ["Done already."]
    again = replace(MESSAGE, text="<<only Done already.>>", line=FakeLine(), attempt=2, delivered=("Done already.",))
    assert ask(Server(), again) == []


def test_nothing_is_said_early_where_an_earlier_run_said_something() -> None:
    line = FakeLine(answers=["once"])
    message = replace(MESSAGE, text="<<tool rm -rf x>>", line=line, delivered=("Let me look.",), attempt=2)
    assert ask(Server(), message) == ["DONE: once"]
    assert line.said == []


@pytest.mark.parametrize(
    ("output", "parts", "is_repeated"),
    [
        ("Let me look.", ("Let me look.",), True),
        ("Let me\nlook.", ("first", "Let me", "look."), True),
        ("look.", ("Let me look.",), False),
        ("Let me look.", (), False),
        ("", ("",), False),
    ],
)
def test_an_output_that_was_said_is_known(output: str, parts: tuple[str, ...], is_repeated: bool) -> None:  # noqa: FBT001
    assert is_said(output, parts) is is_repeated


# --- approvals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["once", "session", "always", "deny"])
def test_a_person_is_asked_and_the_server_gets_the_choice(choice: str) -> None:
    server = Server()
    line = FakeLine(answers=[choice])
    assert ask(server, replace(MESSAGE, text="<<tool rm -rf x>>", line=line)) == [f"DONE: {choice}"]
    assert line.asked == [
        (
            "The agent asks for permission:\nrm -rf x\nrecursive delete",
            ["Allow once", "Allow for this session", "Always allow", "Deny"],
        )
    ]
    assert server.choices == [choice]


def test_a_question_that_shows_a_part_only_says_so() -> None:
    line = FakeLine(answers=["deny"])
    command = f"echo {'x' * 2000} && rm -rf y"
    ask(Server(), replace(MESSAGE, text=f"<<tool {command}>>", line=line))
    assert f"[{len(command) - 1000} more characters are not shown]" in line.asked[0][0]


@pytest.mark.parametrize(("permission", "chosen"), [("allow", "once"), ("deny", "deny")])
def test_the_setting_answers_for_people_who_want_no_questions(permission: str, chosen: str) -> None:
    line = FakeLine()
    message = replace(MESSAGE, text="<<tool rm -rf x>>", line=line)
    assert ask(Server(), message, permission=permission) == [f"DONE: {chosen}"]
    assert line.asked == []


def test_where_nobody_can_be_asked_it_is_denied_and_the_answer_says_so() -> None:
    (said,) = ask(Server(), replace(MESSAGE, text="<<tool rm -rf x>>"))
    assert said.startswith("DONE: deny\n\n(Something needed permission")
    (said,) = ask(Server(), replace(MESSAGE, text="<<tool rm -rf x>>"), language="zh")
    assert "已拒绝" in said


def test_two_questions_one_after_the_other() -> None:
    server, line = Server(), FakeLine(answers=["once", "deny"])
    assert ask(server, replace(MESSAGE, text="<<tool rm -rf x; rm -rf y>>", line=line)) == ["DONE: once, deny"]
    assert [text.splitlines()[1] for text, _ in line.asked] == ["rm -rf x", "rm -rf y"]


@pytest.mark.usefixtures("hasty")
def test_the_answer_to_a_question_that_ran_out_goes_to_no_other() -> None:
    """The server asks the second thing while the first question is still open at the person: nothing is allowed."""
    server, line = Server(approval_s=0.2), FakeLine(answers=["once"], answers_at=asyncio.Event())

    async def scene(start: Callable[[], Agent]) -> list[str]:
        run = asyncio.ensure_future(texts(start(), replace(MESSAGE, text="<<tool ls x; rm -rf y>>", line=line)))
        await line.has_asked.wait()
        server.approval_s = 60
        await until(lambda: _has_asked_twice(server))
        assert line.answers_at is not None
        line.answers_at.set()
        return await run

    (said,) = play(server, scene)
    assert said.startswith("DONE: timed out, deny\n\n(A permission was asked for that could not be shown")
    assert "once" not in server.choices


def _has_asked_twice(server: Server) -> bool:
    """The first question has run out, and the second one waits."""
    (run,) = server.runs.values()
    return bool(run["updated_at"] - run["created_at"] > 0.15 and run["status"] == "waiting_for_approval")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a minute in life, until a question runs out, is 0.2 s here."""
    monkeypatch.setattr(hermes, "SAME_S", 0.05)


def test_a_run_that_ends_while_a_person_thinks_is_answered() -> None:
    server, line = Server(approval_s=0.1), FakeLine()
    assert ask(server, replace(MESSAGE, text="<<tool rm -rf x>>", line=line)) == ["DONE: timed out"]
    assert len(line.asked) == 1


@pytest.mark.parametrize("earlier", [[], ["once"]])
def test_a_question_that_a_kill_interrupted_is_asked_again_with_its_number(tmp_path: Path, earlier: list[str]) -> None:
    """A line gives the answers of earlier questions at once; the last one's choice goes to the server."""
    server = Server()
    commands = ["rm -rf x", "rm -rf y"][: len(earlier) + 1]
    message = replace(MESSAGE, text=f"<<tool {'; '.join(commands)}>>")

    async def scene(start: Callable[[], Agent]) -> list[str]:
        before = FakeLine(answers=list(earlier))
        first = asyncio.ensure_future(texts(start(), replace(message, line=before)))
        await until(lambda: len(before.asked) == len(commands))
        first.cancel()
        await asyncio.wait([first])
        again = FakeLine(answers=[*earlier, "session"])
        said = await texts(start(), replace(message, line=again, attempt=2, delivered=("Let me look.",)))
        assert again.asked == before.asked, "each question has the number that it had"
        return said

    assert play(server, scene, tmp_path) == [f"DONE: {', '.join([*earlier, 'session'])}"]
    assert server.choices == [*earlier, "session"]
    assert len(server.asked) == 1


@pytest.mark.usefixtures("hasty")
def test_what_was_asked_while_buoy_was_dead_is_denied(tmp_path: Path) -> None:
    """Its text went to a reader that was gone: nobody can know what would be allowed."""
    server = Server(approval_s=0.2)
    message = replace(MESSAGE, text="<<tool ls x; rm -rf y>>")

    async def scene(start: Callable[[], Agent]) -> list[str]:
        before = FakeLine()
        first = asyncio.ensure_future(texts(start(), replace(message, line=before)))
        await before.has_asked.wait()
        first.cancel()
        await asyncio.wait([first])
        server.approval_s = 60
        await until(lambda: _has_asked_twice(server))
        return await texts(start(), replace(message, line=FakeLine(answers=["once"]), attempt=2))

    (said,) = play(server, scene, tmp_path)
    assert said.startswith("DONE: timed out, deny")
    assert server.choices == ["deny"]


# --- stop ----------------------------------------------------------------------------------------------------------


def test_a_turn_that_nobody_wants_any_more_stops_its_run(tmp_path: Path) -> None:
    server = Server()

    async def scene(start: Callable[[], Agent]) -> list[str]:
        run = asyncio.ensure_future(texts(start(), replace(MESSAGE, text="<<slow 50>>")))
        await until(lambda: server.read)
        run.cancel("stopped by the user")
        with pytest.raises(asyncio.CancelledError):
            await run
        assert server.stopped == 1
        return await texts(start(), MESSAGE)

    assert play(server, scene, tmp_path) == ["ECHO: hello"], "the run that was stopped is not waited for"


@pytest.mark.parametrize("reason", ["stopped by the user", None])
def test_a_cancellation_while_the_server_still_takes_the_run_does_not_lose_it(
    tmp_path: Path, reason: str | None
) -> None:
    server = Server(start_s=0.2)
    message = replace(MESSAGE, text="<<slow 5>>")

    async def scene(start: Callable[[], Agent]) -> list[str]:
        run = asyncio.ensure_future(texts(start(), message))
        await until(lambda: server.asked)
        run.cancel(*filter(None, [reason]))
        with pytest.raises(asyncio.CancelledError):
            await run
        assert server.stopped == (1 if reason else 0)
        return [] if reason else await texts(start(), message)

    assert play(server, scene, tmp_path) == ([] if reason else ["w0 w1 w2 w3 w4 END"])
    assert len(server.asked) == 1


# --- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_away"), [(401, True), (403, True), (502, True), (503, True), (400, False), (500, False)]
)
def test_who_is_at_fault(status: int, is_away: bool) -> None:  # noqa: FBT001
    with pytest.raises(AgentError, match=f"answered {status}: refused by the test$") as error:
        ask(Server(refusals=1, status=status))
    assert isinstance(error.value, AgentAwayError) is is_away


def test_a_server_that_is_not_there_is_away() -> None:
    agent = build("hermes", {"base_url": "http://127.0.0.1:1/v1", "api_key": "k"})

    async def run() -> None:
        try:
            with pytest.raises(AgentAwayError, match=r"^http://127.0.0.1:1/v1: "):
                await texts(agent, MESSAGE)
        finally:
            await agent.close()

    asyncio.run(run())


def test_a_busy_server_is_asked_again() -> None:
    server = Server(refusals=3, status=429)
    assert ask(server) == ["ECHO: hello"]
    with pytest.raises(AgentAwayError, match="is busy: refused by the test"):
        ask(Server(refusals=99, status=429))


def test_without_runs_it_is_a_completion_that_is_paid_once(tmp_path: Path) -> None:
    server = Server(offers_runs=False, word_s=0.05)
    message = replace(MESSAGE, text="<<slow 4>>", history=(Exchange("a", "b"),))

    async def scene(start: Callable[[], Agent]) -> list[str]:
        first = asyncio.ensure_future(texts(start(), message))
        await until(lambda: server.asked)
        first.cancel()
        await asyncio.wait([first])
        return await texts(start(), replace(message, attempt=2, late_s=4000.0))

    assert play(server, scene, tmp_path, system="be kind", model="m") == ["w0 w1 w2 w3 END"]
    assert server.asked == [
        {
            "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "<<slow 4>>"}],
            "stream": False,
            "model": "m",
        }
    ]
    assert server.headers[0]["X-Hermes-Session-Id"] == "buoy-qq-c2c-A", "the server has the history itself"


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("hermes", {}, "api_key"),
        ("hermes:http://x", {"api_key": "k"}, "write hermes alone"),
        ("hermes", {"api_key": "k", "base_url": "http://10.0.0.1:8642/v1"}, "is not encrypted"),
        ("hermes", {"api_key": "k", "base_url": "here"}, "is not an http"),
        ("hermes", {"api_key": "k", "base_url": "http://x:y/v1"}, "base_url"),
    ],
)
def test_what_cannot_be_is_one_clear_line(kind: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        build(kind, settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["", "http://localhost:1/v1", "http://[::1]:8642/v1", "https://hermes.example/v1"])
def test_addresses_that_may_be_used(address: str) -> None:
    agent = build("hermes", {"api_key": "k", "base_url": address})
    assert (agent.name, agent.history_turns) == ("hermes", 20)
    assert build("hermes", {"api_key": "k", "history_turns": 0}).history_turns == 0
