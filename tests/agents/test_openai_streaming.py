"""The openai agent with a stream: parts that leave early, streams that break, and what is never said twice."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from buoy.agents import build
from buoy.agents import openai as under_test
from buoy.agents.conversation import GO_ON, check_prompts, newest, system_for, tokens
from buoy.chat import (
    Agent,
    Attachment,
    Button,
    Exchange,
    Line,
    Message,
    NonsenseError,
    Part,
    Reply,
    Sender,
    as_reply,
    collect,
)
from buoy.errors import AgentAwayError, AgentError, ConfigError
from tests.fakes_llm import Model, sentences, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@dataclass
class Said:
    """A line that keeps what was said; as the real one, it is on disk when `say` returns."""

    parts: list[str] = field(default_factory=list)
    spoke: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, part: Part, *, last: bool = False, also: Sequence[Line] = ()) -> int:
        assert not last
        assert not also
        self.parts.append(as_reply(part).text)
        self.spoke.set()
        return len(self.parts)

    async def ask(self, question: Part, options: Sequence[Button]) -> str:
        raise NotImplementedError


def asking(text: str, line: Said | None = None, **more: Any) -> Message:
    return Message(text, "qq:group:G", Sender("A"), line=line, **more)


def play(fake: Model, scene: Callable[[Agent], Awaitable[Any]], **more: Any) -> Any:
    async def run() -> Any:
        async with serving(fake) as url:
            agent = build("openai", {"base_url": url, "api_key": "k", "model": "m", **more})
            try:
                return await scene(agent)
            finally:
                await agent.close()

    return asyncio.run(run())


def answer(fake: Model, message: Message, **more: Any) -> list[str]:
    """What was said and what was given at the end."""

    async def scene(agent: Agent) -> list[str]:
        rest = [reply.text for reply in await collect(agent, message)]
        return [*(message.line.parts if isinstance(message.line, Said) else []), *rest]

    told: list[str] = play(fake, scene, **more)
    return told


def plain(parts: Sequence[str]) -> str:
    return "".join("".join(parts).split())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "AGAIN_S", (0.0, 0.0))


def test_a_long_answer_leaves_in_few_parts_that_grow() -> None:
    told = answer(Model(), asking("<<100 sentences>>", Said()))
    assert len(told) == 3
    assert plain(told) == plain([sentences(100)])
    assert len(told[0]) < len(told[1]) < len(told[2])


@pytest.mark.parametrize(("line", "more"), [(True, {"parts": 1}), (False, {}), (True, {"stream": False})])
def test_without_parts_it_is_one(line: bool, more: dict[str, Any]) -> None:  # noqa: FBT001
    assert answer(Model(), asking("<<100 sentences>>", Said() if line else None), **more) == [sentences(100)]


def test_a_short_answer_is_one_and_nothing_said_is_nothing() -> None:
    assert answer(Model(), asking("hello", Said())) == ["hello"]
    assert answer(Model(answer=""), asking("hello", Said())) == []


def test_an_end_before_the_first_word_is_told_and_one_behind_it_is_an_end() -> None:
    fake = Model(script=[{"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]}])
    with pytest.raises(NonsenseError, match="the model said nothing, and ended for this reason: tool_calls"):
        answer(replace(fake, script=list(fake.script)), asking("hello", Said()))
    assert answer(fake, asking("hello", Said(), delivered=("One is here.",))) == []


def test_an_answer_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LIMIT", 500)
    with pytest.raises(AgentError, match="longer than 500 characters"):
        answer(Model(), asking("<<100 sentences>>", Said()))


@pytest.mark.parametrize("continues", [True, False])
@pytest.mark.parametrize("ends_early", [True, False])
@pytest.mark.parametrize("break_after", [0, 1, 30, 60, 160])
def test_a_stream_that_breaks_twice_is_whole(continues: bool, ends_early: bool, break_after: int) -> None:  # noqa: FBT001
    fake = Model(breaks=2, break_after=break_after, ends_early=ends_early, continues=continues)
    told = answer(fake, asking("<<100 sentences>>", Said()))
    assert plain(told) == plain([sentences(100)])
    assert len(told) <= 3
    assert fake.counts["broken"] == 2


def test_what_came_in_is_shown_to_the_model() -> None:
    fake = Model(breaks=1, break_after=30)
    answer(fake, asking("<<100 sentences>>", Said()))
    *_, given, go_on = fake.asked[1]["messages"]
    assert given["role"] == "assistant"
    assert sentences(100).startswith(given["content"])
    assert given["content"].endswith("of 100.")
    assert go_on == {"role": "user", "content": GO_ON}


def test_a_stream_that_never_ends_well_fails_and_the_next_run_goes_on() -> None:
    fake, line = Model(breaks=3, break_after=70), Said()
    with pytest.raises(AgentError, match="broke off again and again, last: ") as error:
        answer(fake, asking("<<100 sentences>>", line))
    assert not isinstance(error.value, AgentAwayError)
    assert len(line.parts) == 2
    again = Said()
    told = answer(fake, asking("<<100 sentences>>", again, delivered=tuple(line.parts), attempt=2))
    assert plain([*line.parts, *told]) == plain([sentences(100)])
    assert len(line.parts) + len(told) <= 3


def test_another_run_of_a_model_that_starts_again_repeats_nothing() -> None:
    first = tuple(answer(Model(), asking("<<100 sentences>>", Said()))[:2])
    told = answer(Model(continues=False), asking("<<100 sentences>>", Said(), delivered=first))
    assert plain([*first, *told]) == plain([sentences(100)])
    whole = answer(Model(continues=False), asking("<<100 sentences>>", delivered=first), stream=False)
    assert plain([*first, *whole]) == plain([sentences(100)])


def test_refused_after_a_break_is_an_absence() -> None:
    fake = Model(breaks=1)

    async def scene(agent: Agent) -> None:
        turn = asyncio.ensure_future(collect(agent, asking("<<100 sentences>>", Said())))
        while not fake.counts["broken"]:
            await asyncio.sleep(0)
        fake.refusals, fake.status = 9, 503
        with pytest.raises(AgentAwayError):
            await turn

    play(fake, scene)


def test_stopped_it_closes_the_stream() -> None:
    fake, line = Model(pause_s=0.01), Said()

    async def scene(agent: Agent) -> None:
        turn = asyncio.ensure_future(collect(agent, asking("<<1000 sentences>>", line)))
        await line.spoke.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        async with asyncio.timeout(5):
            while not fake.counts["hung_up"]:
                await asyncio.sleep(0.01)

    play(fake, scene)
    assert fake.counts["answered"] == 0


def test_an_endpoint_that_does_not_stream_says_what_to_set() -> None:
    async def scene() -> None:
        async def complete(_: web.Request) -> web.Response:
            return web.json_response({"choices": []})

        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        agent = build("openai", {"base_url": url, "api_key": "k", "model": "m"})
        try:
            with pytest.raises(AgentError, match="set stream = false"):
                await collect(agent, asking("hi"))
        finally:
            await agent.close()
            await runner.cleanup()

    asyncio.run(scene())


# --- what the model is shown -----------------------------------------------------------------------------------------


def test_history_is_bounded_by_tokens() -> None:
    history = tuple(Exchange("x" * 30, "你" * 10) for _ in range(9))
    each = tokens("x" * 30) + tokens("你" * 10)
    assert each == (4 + 10) + (4 + 10)
    assert len(newest(history, 200, 3 * each)) == 3
    assert len(newest(history, 200, 3 * each - 1)) == 2
    assert len(newest(history, 1, 3 * each)) == 1
    assert newest(history, 200, 0) == []
    assert build("openai", {"api_key": "k", "model": "m", "history_tokens": 5}).history_turns == 200
    fake = Model()
    answer(fake, asking("now", history=history), history_tokens=each)
    assert [one["content"] for one in fake.asked[0]["messages"]] == ["x" * 30, "你" * 10, "now"]


def test_the_prompt_of_a_conversation_wins_over_its_scenes_and_the_default() -> None:
    prompts = {"qq:group": "all groups", "qq:group:G": "this one"}
    assert system_for("qq:group:G@7", prompts, "else") == "this one"
    assert system_for("qq:group:H", prompts, "else") == "all groups"
    assert system_for("qq:c2c:A", prompts, "else") == "else"
    fake = Model()
    answer(fake, asking("hi"), prompts=prompts, system="else")
    assert fake.asked[0]["messages"][0] == {"role": "system", "content": "this one"}


@pytest.mark.parametrize("name", ["", "group", "qq:", ":group", "qq:group:"])
def test_a_prompt_for_nobody_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"bots\.agent\.prompts: .* is no conversation and no scene; write"):
        check_prompts({name: "x"})


def test_pictures_are_fetched_and_shown_within_bounds() -> None:
    async def picture(request: web.Request) -> web.Response:
        told = {
            "/cat": web.Response(body=PNG),
            "/page": web.Response(text="<html>", content_type="image/png"),
            "/large": web.Response(body=PNG + bytes(6 * 1024 * 1024)),
            "/moved": web.Response(status=302, headers={"Location": "/cat"}),
        }
        return told.get(request.path, web.Response(status=404))

    async def scene() -> None:
        app = web.Application()
        app.router.add_get("/{name}", picture)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here = f"http://127.0.0.1:{runner.addresses[0][1]}"
        fake = Model()
        files = [Attachment("image/png", f"{here}/{name}") for name in ("page", "large", "cat")]
        more = [Attachment("image/png", "file:///etc/passwd"), Attachment("voice", f"{here}/cat")]
        moved = Attachment("image/png", f"{here}/moved")
        async with serving(fake) as url:
            agent = build("openai", {"base_url": url, "api_key": "k", "model": "m", "images": True})
            try:
                message = asking("what is it?", attachments=tuple(files + more))
                await collect(agent, message)
                await collect(agent, replace(message, attachments=(moved,)))
            finally:
                await agent.close()
        await runner.cleanup()
        text, *shown = fake.asked[0]["messages"][-1]["content"]
        assert text["text"].startswith("what is it?\n[image/png]")
        assert shown == [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
        ]
        assert isinstance(fake.asked[1]["messages"][-1]["content"], str)

    asyncio.run(scene())


def test_pictures_are_not_fetched_unless_wanted() -> None:
    fake = Model()
    answer(fake, asking("hi", attachments=(Attachment("image/png", "http://127.0.0.1:9/"),)))
    assert fake.asked[0]["messages"][-1]["content"] == "hi\n[image/png]"


def test_a_reply_is_text() -> None:
    async def scene(agent: Agent) -> list[Reply]:
        return await collect(agent, asking("hi"))

    assert play(Model(), scene) == [Reply("hi")]
