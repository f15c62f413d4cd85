"""The agent behind any OpenAI-compatible endpoint: chat completions, streamed, a long answer sent in parts as it grows.

Connections, retries and time-outs of a single request are the `openai` package's; it is imported when the agent is
made, so nobody else pays for it. A stream that breaks is asked for again, behind what has come in; so is the rest of
an answer whose first parts another run delivered. Where the answer is cut stands in :mod:`buoy.agents.parts`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from buoy.agents.conversation import check_prompts, conversation, newest, system_for
from buoy.agents.parts import Parts
from buoy.chat import Agent, Message
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from openai import AsyncOpenAI

HISTORY_TURNS: Final = 20
HISTORY_MOST: Final = 200  # ours: turns that are read where only their size is limited
AWAY: Final = frozenset({401, 403, 404, 429, 502, 503, 504, 529})  # 529: overloaded, at some endpoints
AGAIN_S: Final = (0.5, 2.0)  # ours: pauses before a broken stream is asked for again; then the turn fails
STREAM: Final = "text/event-stream"


class _BreakError(Exception):
    """A stream ended before the answer did; the text says how."""


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from the settings that docs/settings.md lists for openai.

    Raises:
        ConfigError: the package, the key or the model is missing, or a prompt is for nobody.
    """
    if rest:
        raise ConfigError(
            f"bots.agent.kind (BUOY_AGENT): write openai alone; if {rest[:80]!r} is the model, set BUOY_MODEL"
        )
    model, key = settings.get("model") or "", settings.get("api_key") or ""
    if not model:
        raise ConfigError("bots.agent.model (BUOY_MODEL): missing; write the name of the model to ask")
    if not key:
        raise ConfigError(
            "bots.agent.api_key (OPENAI_API_KEY): missing; write the key, or any text where none is needed"
        )
    check_prompts(settings.get("prompts") or {})
    try:
        import openai  # noqa: PLC0415  half a second and 30 MB that other agents need not pay
    except ImportError:
        raise ConfigError(
            "bots.agent.kind (BUOY_AGENT): openai needs a package that is not installed: pip install 'buoy-qq[openai]'"
        ) from None
    client = openai.AsyncOpenAI(
        api_key=key,
        base_url=settings.get("base_url") or None,
        timeout=settings.get("timeout_s") or openai.NOT_GIVEN,
    )
    asker = _Asker(client, model, settings)
    return Agent(asker.answer, name="openai", history_turns=asker.turns, close=asker.close)


class _Asker:
    """One endpoint, and how it is asked."""

    def __init__(self, client: AsyncOpenAI, model: str, settings: Mapping[str, Any]) -> None:
        self._client = client
        self._model = model
        self._system = settings.get("system") or ""
        self._prompts = settings.get("prompts") or {}
        self._limit: int | None = settings.get("history_tokens")
        turns = settings.get("history_turns")
        default = HISTORY_TURNS if self._limit is None else HISTORY_MOST
        self.turns: int = default if turns is None else turns
        self._streams = settings.get("stream", True)
        self._parts = settings.get("parts") or 3
        self._wire: Any = None
        if settings.get("images"):
            from buoy.agents.wire import Wire  # noqa: PLC0415  who shows no pictures fetches none

            self._wire = Wire()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
        if self._wire is not None:
            await self._wire.close()

    async def answer(self, message: Message) -> str:
        """Say the early parts of an answer, where there is a line, and give the rest.

        Raises:
            AgentAwayError: the endpoint fails everybody.
            AgentError: it fails this message, or its stream broke again and again. What was said stays said.
        """
        history = newest(message.history, self.turns, self._limit)
        system = system_for(message.conversation, self._prompts, self._system)
        pictures: Sequence[str] = ()
        if self._wire is not None:
            from buoy.agents.pictures import shown  # noqa: PLC0415  as above

            pictures = await shown(message, self._wire)
        ask = partial(conversation, message, system, history, pictures=pictures)
        parts = Parts(message.delivered, self._parts if self._streams and message.line is not None else 1)
        began = asyncio.get_running_loop().time()
        for pause_s in (*AGAIN_S, None):
            try:
                async for piece in self._pieces(ask(so_far=parts.so_far)):
                    part = parts.feed(piece, asyncio.get_running_loop().time() - began)
                    if part and message.line is not None:
                        await message.line.say(part)
                break
            except _BreakError as error:
                if pause_s is None:
                    raise AgentError(f"the answer broke off again and again, last: {error}"[:500]) from error
            parts.broke()
            await asyncio.sleep(pause_s)
        return parts.rest()

    async def _pieces(self, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        """Ask once, and give the answer as it comes: whole where it is not streamed.

        Raises:
            AgentAwayError, AgentError: it was refused.
            _BreakError: a stream ended too early.
        """
        import openai  # noqa: PLC0415  see build

        create: Any = self._client.chat.completions.create  # the messages are ours, its types are for literals
        try:
            came = await create(model=self._model, messages=messages, **({"stream": True} if self._streams else {}))
        except openai.OpenAIError as error:
            kind = AgentAwayError if is_away(error) else AgentError
            raise kind(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]) from error
        if not self._streams:
            yield self._said(came)
            return
        async with came:
            if STREAM not in came.response.headers.get("content-type", ""):
                raise AgentError(
                    f"{self._client.base_url} answered without a stream; is it an OpenAI-compatible endpoint? "
                    "If it does not stream, set stream = false"
                )
            async for piece in _streamed(came):
                yield piece

    def _said(self, completion: Any) -> str:
        choices = getattr(completion, "choices", None)  # some endpoints answer 200 with something else
        if not choices:
            raise AgentError(f"{self._client.base_url} answered without a choice; is it an OpenAI-compatible endpoint?")
        said = choices[0].message
        return said.content or said.refusal or ""


async def _streamed(stream: Any) -> AsyncIterator[str]:
    """Give the pieces of a streamed answer; only a reason to finish is its end."""
    is_finished, refusal, is_empty = False, "", True
    chunks = aiter(stream)
    while True:
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except Exception as error:  # the package lets errors of the connection and of JSON through
            if is_finished:
                break
            raise _BreakError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]) from error
        for choice in (getattr(chunk, "choices", None) or ())[:1]:
            delta = choice.delta
            if delta is not None and delta.content:
                is_empty = False
                yield delta.content
            refusal += (delta is not None and getattr(delta, "refusal", None)) or ""
            is_finished = is_finished or choice.finish_reason is not None
    if not is_finished:
        raise _BreakError("it ended without a reason to finish")
    if is_empty and refusal:
        yield refusal


def is_away(error: Exception) -> bool:
    """Say whether the endpoint fails everybody: unreachable, overloaded, or it refuses key or model.

    A time-out or a plain 500 may be this message's own doing: it must not wait for ever.
    """
    import openai  # noqa: PLC0415  see build

    if isinstance(error, openai.APIStatusError):
        return error.status_code in AWAY
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)
