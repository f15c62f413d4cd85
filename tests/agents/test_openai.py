"""The openai agent asking for whole answers, against a small endpoint of our own, over real HTTP."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from buoy.agents import build
from buoy.agents.conversation import conversation, newest
from buoy.chat import Attachment, Exchange, Message, NonsenseError, Reply, Sender, collect
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MESSAGE = Message("how are you?", "qq:c2c:A", Sender("A"))


@dataclass
class Endpoint:
    """Answers `POST /v1/chat/completions` with what stands in ``script``, then with an echo."""

    script: list[web.Response] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    is_silent: bool = False
    has_asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers["Authorization"])
        self.has_asked.set()
        if self.is_silent:
            try:
                await asyncio.Event().wait()
            finally:
                self.hung_up.set()
        return self.script.pop(0) if self.script else said(self.asked[-1]["messages"][-1]["content"])


def said(text: str | None, reason: str = "stop", **more: Any) -> web.Response:
    message = {"role": "assistant", "content": text, **more}
    choice = {"index": 0, "finish_reason": reason, "message": message}
    return web.json_response({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def refused(status: int, message: str = "no") -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers={"retry-after-ms": "1"})


@asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", endpoint.complete)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def play(
    endpoint: Endpoint,
    scene: Callable[[Callable[[Message], Awaitable[list[Reply]]]], Awaitable[Any]],
    **more: Any,
) -> Any:
    async def run() -> Any:
        async with serving(endpoint) as url:
            agent = build("openai", {"base_url": url, "api_key": "sk-1", "model": "m", "stream": False, **more})
            try:
                return await scene(lambda message: collect(agent, message))
            finally:
                await agent.close()

    return asyncio.run(run())


def ask(endpoint: Endpoint, message: Message = MESSAGE, **more: Any) -> list[Reply]:
    async def scene(run: Callable[[Message], Awaitable[list[Reply]]]) -> list[Reply]:
        return await run(message)

    replies: list[Reply] = play(endpoint, scene, **more)
    return replies


def test_the_answer_comes_whole() -> None:
    endpoint = Endpoint()
    assert ask(endpoint, system="be kind") == [Reply("how are you?")]
    assert endpoint.keys == ["Bearer sk-1"]
    assert endpoint.asked[0]["model"] == "m"
    assert endpoint.asked[0]["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "how are you?"},
    ]


def test_history_is_bounded_and_in_order() -> None:
    history = tuple(Exchange(f"q{n}", f"a{n}" if n != 3 else "") for n in range(5))
    message = Message("now", "qq:c2c:A", Sender("A"), history=history)
    spoken = [line.get("content") for line in conversation(message, "", newest(history, 2, None))]
    assert spoken == ["q3", "q4", "a4", "now"]
    assert len(conversation(message, "", newest(history, 0, None))) == 1
    assert build("openai", {"api_key": "k", "model": "m"}).history_turns == 20
    assert build("openai", {"api_key": "k", "model": "m", "history_turns": 0}).history_turns == 0


def test_what_stands_for_quotes_and_attachments() -> None:
    files = (Attachment("image/png", "u", "cat.png"),)
    message = Message("this?", "qq:c2c:A", Sender("A"), quoted="a\nb", attachments=files)
    assert conversation(message, "")[0].get("content") == "> a\n> b\nthis?\n[image/png cat.png]"
    assert conversation(Message("", "qq:c2c:A", Sender("A")), "")[0].get("content") == "(empty message)"


def test_a_late_message_says_so_in_one_short_line() -> None:
    message = Message("restart", "qq:c2c:A", Sender("A"), late_s=3 * 3600.0)
    assert conversation(message, "")[0].get("content") == "[written 3 h ago, answered only now]\nrestart"


def test_500_is_tried_again() -> None:
    endpoint = Endpoint([refused(500), refused(429)])
    assert ask(endpoint) == [Reply("how are you?")]
    assert len(endpoint.asked) == 3


def test_500_for_ever_is_an_error_of_one_line() -> None:
    endpoint = Endpoint([refused(500, "a\nb") for _ in range(9)])
    with pytest.raises(AgentError, match=r"^InternalServerError: Error code: 500.*") as error:
        ask(endpoint)
    assert "\n" not in str(error.value)


def test_401_is_not_tried_again_and_does_not_show_the_key() -> None:
    endpoint = Endpoint([refused(401, "wrong key: sk-1234567")])
    with pytest.raises(AgentError, match=r"AuthenticationError: Error code: 401.*wrong key: \*\*\*") as error:
        ask(endpoint, api_key="sk-1234567")
    assert len(endpoint.asked) == 1
    assert "sk-1234567" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "away"), [(400, False), (401, True), (403, True), (404, True), (422, False), (429, True), (500, False),
                         (502, True), (503, True), (529, True)],
)  # fmt: skip
def test_what_fails_for_everybody_is_an_absence_and_no_fault_of_the_message(status: int, away: bool) -> None:  # noqa: FBT001
    with pytest.raises(AgentError) as error:
        ask(Endpoint([refused(status) for _ in range(9)]))
    assert isinstance(error.value, AgentAwayError) is away


def test_slow_is_timed_out() -> None:
    with pytest.raises(AgentError, match="APITimeoutError") as error:
        ask(Endpoint(is_silent=True), timeout_s=0.05)
    assert not isinstance(error.value, AgentAwayError)  # its own length may be why


def test_nobody_there() -> None:
    agent = build("openai", {"base_url": "http://127.0.0.1:9/v1", "api_key": "k", "model": "m"})

    async def run() -> None:
        try:
            await collect(agent, MESSAGE)
        finally:
            await agent.close()

    with pytest.raises(AgentAwayError, match="APIConnectionError"):
        asyncio.run(run())


def test_cancelled_it_hangs_up() -> None:
    endpoint = Endpoint(is_silent=True)

    async def scene(run: Callable[[Message], Awaitable[list[Reply]]]) -> None:
        turn = asyncio.ensure_future(run(MESSAGE))
        await endpoint.has_asked.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        async with asyncio.timeout(5):
            await endpoint.hung_up.wait()

    play(endpoint, scene)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.json_response({"choices": []}),
        lambda: web.json_response({"hello": 1}),
        lambda: web.json_response(None),
        lambda: web.Response(text="<html>welcome</html>", content_type="text/html"),
    ],
)
def test_an_endpoint_that_speaks_something_else(answer: Callable[[], web.Response]) -> None:
    with pytest.raises(AgentError):
        ask(Endpoint([answer()]))


def test_nothing_said_and_refusals() -> None:
    assert ask(Endpoint([said(None)])) == []
    assert ask(Endpoint([said(None, refusal="I may not.")])) == [Reply("I may not.")]
    assert ask(Endpoint([said(" ", "content_filter", refusal="I may not.")])) == [Reply("I may not.")]


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_an_end_before_the_first_word_is_told(reason: str, text: str | None) -> None:
    with pytest.raises(NonsenseError, match=f"the model said nothing, and ended for this reason: {reason}"):
        ask(Endpoint([said(text, reason)]))
    assert ask(Endpoint([said("cut", reason)])) == [Reply("cut")]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"api_key": "k"}, r"bots\.agent\.model \(BUOY_MODEL\): missing"),
        ({"model": "m"}, r"bots\.agent\.api_key \(OPENAI_API_KEY\): missing"),
        ({"model": "m", "api_key": ""}, r"bots\.agent\.api_key \(OPENAI_API_KEY\): missing"),
    ],
)
def test_what_is_missing_is_named(settings: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        build("openai", settings)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'buoy-qq\[openai\]'"):
        build("openai", {"model": "m", "api_key": "k"})
