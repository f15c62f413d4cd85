"""The fake model through the real `openai` package, and as a process."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.fakes_llm import Model, model, sentences, serving


def play(fake: Model, scene: Any) -> Any:
    async def run() -> Any:
        async with serving(fake) as url, openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            return await scene(client)

    return asyncio.run(run())


async def streamed(client: openai.AsyncOpenAI, *messages: Any) -> str:
    text = ""
    async for chunk in await client.chat.completions.create(model="fake", messages=list(messages), stream=True):
        text += chunk.choices[0].delta.content or ""
    return text


USER: Any = {"role": "user", "content": "please: <<40 sentences>>"}


def test_whole_streamed_and_continued() -> None:
    async def scene(client: openai.AsyncOpenAI) -> None:
        whole = await client.chat.completions.create(model="fake", messages=[USER])
        assert whole.choices[0].message.content == await streamed(client, USER) == sentences(40)
        given = {"role": "assistant", "content": sentences(40)[:100]}
        assert sentences(40)[:100] + await streamed(client, USER, given, {"role": "user", "content": "go on"}) == (
            sentences(40)
        )
        assert [one.id async for one in client.models.list()] == ["fake"]

    play(Model(), scene)


def test_it_breaks_refuses_and_counts() -> None:
    fake = Model(breaks=1, refusals=1, status=503, script=["one", {"tool_calls": [{"id": "1"}]}])

    async def scene(client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.InternalServerError):
            await streamed(client, USER)
        with pytest.raises(Exception, match=r"."):  # the package lets the transport's own error through
            await streamed(client, USER)
        whole = await client.chat.completions.create(model="fake", messages=[USER])
        assert whole.choices[0].finish_reason == "tool_calls"

    play(fake, scene)
    assert {k: n for k, n in fake.counts.items() if n} == {"asked": 3, "refused": 1, "broken": 1, "answered": 1}


def test_as_a_process() -> None:
    with model(answer="yes") as one:
        assert one.state()["answer"] == "yes"
        assert one.set(pause_s=0.5)["pause_s"] == 0.5
