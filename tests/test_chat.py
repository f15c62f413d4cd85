"""Targets, and what becomes of an agent's answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from buoy.chat import (
    Agent,
    Attachment,
    Message,
    NonsenseError,
    Reply,
    Sender,
    Target,
    agent,
    as_reply,
    collect,
)
from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MESSAGE = Message("hi", "qq:c2c:A", Sender("A"))


def answers(*given: Any) -> list[Reply]:
    async def answer(message: Message) -> Any:
        return given[0]

    return asyncio.run(collect(agent(answer), MESSAGE))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("hello", [Reply("hello")]),
        (Reply("a", markdown=True), [Reply("a", markdown=True)]),
        (["a", Reply("b"), None, " "], [Reply("a"), Reply("b")]),
        (("a", "b"), [Reply("a"), Reply("b")]),
        (None, []),
        ("", []),
        (" \n\t", []),
        ([], []),
        (Reply("  "), []),
        ("half \ud83d a pair", [Reply("half ? a pair")]),
        ("whole \U0001f600", [Reply("whole \U0001f600")]),
    ],
)
def test_what_counts_as_an_answer(given: Any, expected: list[Reply]) -> None:
    assert answers(given) == expected


@pytest.mark.parametrize(
    "given", [3, {"text": "a"}, b"a", object(), ["a", 3], Reply(cast("Any", 3)), [["a"]], iter("a")]
)
def test_nonsense_is_named(given: Any) -> None:
    with pytest.raises(NonsenseError, match=r"an agent answered with \w+; return a text"):
        answers(given)


def test_a_generator_yields_several_and_is_closed() -> None:
    closed = []

    async def answer(message: Message) -> AsyncIterator[Any]:
        try:
            yield "a"
            yield None
            yield [Reply("b"), ""]
            yield 3
        finally:
            closed.append(True)

    async def scene() -> None:
        with pytest.raises(NonsenseError):
            await collect(agent(answer), MESSAGE)
        assert closed  # at once, not when the loop ends

    asyncio.run(scene())


def test_anything_that_can_be_iterated_asynchronously() -> None:
    class Parts:
        def __init__(self) -> None:
            self.left = ["b", "a"]

        def __aiter__(self) -> Parts:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    assert asyncio.run(collect(Agent(lambda _: Parts()), MESSAGE)) == [Reply("a"), Reply("b")]


def test_what_the_agent_raises_passes_through() -> None:
    async def answer(message: Message) -> str:
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine") as error:
        asyncio.run(collect(agent(answer), MESSAGE))
    assert not isinstance(error.value, NonsenseError)


def test_none_is_a_blank_part() -> None:
    assert as_reply(None) == Reply("")


def test_a_plain_function_is_refused() -> None:
    def answer(message: Message) -> Any:
        return message.text

    with pytest.raises(ConfigError, match=r"not an async function.*isolation"):
        agent(answer)


@pytest.mark.parametrize(
    ("attachment", "label"),
    [
        (Attachment("image/png", "u", "cat.png"), "[image/png cat.png]"),
        (Attachment("voice", "u", text="good morning"), "[voice] good morning"),
        (Attachment("", "u"), "[file]"),
    ],
)
def test_label_of_an_attachment(attachment: Attachment, label: str) -> None:
    assert attachment.label == label


@pytest.mark.parametrize("text", ["qq:c2c:A", "qq:group:A@102", "qq:c2c:a@b@102"])
def test_target_reads_what_it_writes(text: str) -> None:
    assert str(Target.parse(text)) == text


@pytest.mark.parametrize("text", ["", "qq", "qq:c2c", "qq:c2c:", ":c2c:A", "qq::A", "qq:c2c:A@"])
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ConfigError, match="not platform:scene:id"):
        Target.parse(text)
