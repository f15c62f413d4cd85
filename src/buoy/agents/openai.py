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
from buoy.chat import Agent, Message, NonsenseError
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from openai import AsyncOpenAI

HISTORY_TURNS: Final = 20
HISTORY_MOST: Final = 200  # ours: turns that are read where only their size is limited
AWAY: Final = frozenset({401, 403, 404, 429, 502, 503, 504, 529})  # 529: overloaded, at some endpoints
AGAIN_S: Final = (0.5, 2.0)  # ours: pauses before a broken stream is asked for again; then the turn fails
STREAM: Final = "text/event-stream"
LEAST_KEY: Final = 8  # ours: a shorter one is a word that stands for none
LIMIT: Final = 1024 * 1024  # ours: characters of one answer
CUT_OFF: Final = frozenset({"length", "content_filter", "tool_calls", "function_call"})  # it did not mean to be silent


class _BreakError(Exception):
    """A stream ended before the answer did; the text says how."""


class _SilentError(Exception):
    """It ended before its first word, and not because there was nothing to say; the text is the reason."""


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
        self._key = settings.get("api_key") or ""
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
            NonsenseError: nothing was said, and another run would cost as much and say no more.
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
            except _SilentError as error:
                if parts.so_far.strip():
                    break
                raise NonsenseError(f"the model said nothing, and ended for this reason: {error}") from None
            except _BreakError as error:
                if pause_s is None:
                    raise AgentError(f"the answer broke off again and again, last: {error}"[:500]) from error
            parts.broke()
            await asyncio.sleep(pause_s)
        return parts.rest()

    async def _pieces(self, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        """Ask once, and give the answer as it comes: whole where it is not streamed.

        Raises:
            AgentAwayError, AgentError: it was refused, or is too long.
            _BreakError: a stream ended too early.
            _SilentError: it has no word.
        """
        import openai  # noqa: PLC0415  see build

        create: Any = self._client.chat.completions.create  # the messages are ours, its types are for literals
        try:
            came = await create(model=self._model, messages=messages, **({"stream": True} if self._streams else {}))
        except openai.OpenAIError as error:
            kind = AgentAwayError if is_away(error) else AgentError
            why = " ".join(str(error).split())
            if len(self._key) >= LEAST_KEY:
                why = why.replace(self._key, "***")  # some endpoints show what they refuse
            raise kind(f"{type(error).__name__}: {why}"[:500]) from None
        if not self._streams:
            yield self._said(came)
            return
        async with came:
            if STREAM not in came.response.headers.get("content-type", ""):
                raise AgentError(
                    f"{self._client.base_url} answered without a stream; is it an OpenAI-compatible endpoint? "
                    "If it does not stream, set stream = false"
                )
            size = 0
            async for piece in _streamed(came):
                size += len(piece)
                if size > LIMIT:
                    raise AgentError(f"the answer is longer than {LIMIT} characters")
                yield piece

    def _said(self, completion: Any) -> str:
        choices = getattr(completion, "choices", None)  # some endpoints answer 200 with something else
        if not choices:
            raise AgentError(f"{self._client.base_url} answered without a choice; is it an OpenAI-compatible endpoint?")
        said = choices[0].message
        text = said.content or ""
        if not text.strip():
            text = said.refusal or ""
            _check_silent(text, choices[0].finish_reason)
        return text


def _check_silent(text: str, reason: str | None) -> None:
    if not text.strip() and reason in CUT_OFF:
        raise _SilentError(reason)


async def _streamed(stream: Any) -> AsyncIterator[str]:
    """Give the pieces of a streamed answer; only a reason to finish is its end."""
    reason, refusal, is_empty = None, "", True
    chunks = aiter(stream)
    while True:
        try:
            chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except Exception as error:  # the package lets errors of the connection and of JSON through
            if reason is not None:
                break
            raise _BreakError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]) from error
        for choice in (getattr(chunk, "choices", None) or ())[:1]:
            delta = choice.delta
            if delta is not None and delta.content:
                is_empty = is_empty and not delta.content.strip()
                yield delta.content
            refusal += (delta is not None and getattr(delta, "refusal", None)) or ""
            reason = choice.finish_reason if reason is None else reason
    if reason is None:
        raise _BreakError("it ended without a reason to finish")
    if is_empty:
        _check_silent(refusal, reason)
        yield refusal


def is_away(error: Exception) -> bool:
    """Say whether the endpoint fails everybody: unreachable, overloaded, or it refuses key or model.

    A time-out or a plain 500 may be this message's own doing: it must not wait for ever.
    """
    import openai  # noqa: PLC0415  see build

    if isinstance(error, openai.APIStatusError):
        return error.status_code in AWAY
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)
