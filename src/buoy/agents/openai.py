"""The agent behind any OpenAI-compatible endpoint: chat completions, the answer given whole.

Connections, retries and time-outs of a single request are the `openai` package's; it is imported when the
agent is made, so nobody else pays for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from buoy.chat import Agent, Message, span
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai.types.chat import ChatCompletionMessageParam

HISTORY_TURNS: Final = 20
AWAY: Final = frozenset({401, 403, 404, 429, 502, 503, 504, 529})  # 529: overloaded, at some endpoints


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from ``base_url``, ``api_key``, ``model``, ``system``, ``history_turns``, ``timeout_s``.

    Raises:
        ConfigError: the package, the key or the model is missing.
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
    turns = settings.get("history_turns")
    turns = HISTORY_TURNS if turns is None else turns
    system = settings.get("system") or ""

    async def answer(message: Message) -> str:
        try:
            completion = await client.chat.completions.create(
                model=model, messages=conversation(message, system, turns)
            )
        except openai.OpenAIError as error:
            kind = AgentAwayError if is_away(error) else AgentError
            raise kind(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]) from error
        choices = getattr(completion, "choices", None)  # some endpoints answer 200 with something else
        if not choices:
            raise AgentError(f"{client.base_url} answered without a choice; is it an OpenAI-compatible endpoint?")
        said = choices[0].message
        return said.content or said.refusal or ""

    return Agent(answer, name="openai", history_turns=turns, close=client.close)


def is_away(error: Exception) -> bool:
    """Say whether the endpoint fails everybody: unreachable, overloaded, or it refuses key or model.

    A time-out or a plain 500 may be this message's own doing: it must not wait for ever.
    """
    import openai  # noqa: PLC0415  see build

    if isinstance(error, openai.APIStatusError):
        return error.status_code in AWAY
    return isinstance(error, openai.APIConnectionError) and not isinstance(error, openai.APITimeoutError)


def conversation(message: Message, system: str, turns: int) -> list[ChatCompletionMessageParam]:
    """Write a message and its newest ``turns`` earlier ones for the endpoint; no blank ones."""
    messages: list[ChatCompletionMessageParam] = []
    if system:
        messages.append({"role": "system", "content": system})
    for past in message.history[-turns:] if turns else ():
        if past.text.strip():
            messages.append({"role": "user", "content": past.text})
        if past.answer.strip():
            messages.append({"role": "assistant", "content": past.answer})
    parts = [f"[written {span(message.late_s)} ago, answered only now]"] if message.late_s else []
    parts += [f"> {line}" for line in message.quoted.splitlines()]
    parts += [message.text] if message.text.strip() else []
    parts += [file.label for file in message.attachments]
    messages.append({"role": "user", "content": "\n".join(parts) or "(empty message)"})
    return messages
