"""The agent behind a URL: one POST per turn, answered in the response, as a stream of it, or later by a signed call.

The request is the message as JSON with ``version`` 1, see docs/agents.md. Whatever fails is run again by the gateway
with the same ``Idempotency-Key``; a run that follows one which had sent parts is told what was ``delivered``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from buoy.agents import message_json
from buoy.agents.parts import Repeats
from buoy.agents.wire import BrokenError, NotSentError, Wire, check, take
from buoy.chat import Agent, Message, NonsenseError, Reply, as_reply, replies_of
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

SETTING: Final = "bots.agent.kind (BUOY_AGENT)"
AWAY: Final = frozenset({401, 403, 404, 429, 502, 503, 504, 529})  # as for a model: they fail every message
LIMIT: Final = 1024 * 1024  # ours: bytes of one answer, or of one line of a stream
STREAM_LIMIT: Final = 16 * 1024 * 1024  # ours: bytes of a whole stream, signs of life included
REPLAY_S: Final = 300.0  # ours: how old, or how far ahead of our clock, a signed call may be
KNOWN: Final = 1024  # ours: answered turns that are remembered, for a call that comes again
ACCEPT: Final = "application/json, text/event-stream, application/x-ndjson, text/plain"
STREAMS: Final = frozenset({"text/event-stream", "application/x-ndjson"})
DONE: Final = "[DONE]"


class Called(NamedTuple):
    """What a call that brings an answer is told."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class HttpAgent(Agent):
    """An agent whose answer may come by a call of its own: ``called(turn, timestamp, signature, body)``."""

    called: Callable[[str, str, str, bytes], Called] = field(kw_only=True)


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from its URL and the settings ``secret``, ``parts`` and ``history_turns``.

    Raises:
        ConfigError: it is no URL that we would connect to.
    """
    if not rest:
        raise ConfigError(f"{SETTING}: http needs an address; write http:https://HOST/PATH")
    endpoint = Endpoint(check(rest, SETTING), settings.get("secret") or "", settings.get("parts") or 3)
    return HttpAgent(
        endpoint.answer,
        name="http",
        history_turns=settings.get("history_turns") or 0,
        close=endpoint.close,
        called=endpoint.called,
    )


def signature(secret: str, timestamp: str, turn: str, body: bytes) -> str:
    """Give what `X-Buoy-Signature` holds: the HMAC-SHA256 of timestamp, turn and body, with dots between."""
    head = f"{timestamp}.{turn}.".encode(errors="replace")  # aiohttp gives half surrogates for what is no UTF-8
    return f"sha256={hmac.digest(secret.encode(), head + body, 'sha256').hex()}"


class Endpoint:
    """One URL, and the turns whose answers are to be brought to us."""

    def __init__(self, url: URL, secret: str, parts: int, *, wall: Callable[[], float] = time.time) -> None:
        self._url = url
        self._secret = secret
        self._parts = parts
        self._wall = wall
        self._wire = Wire()
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.close()

    # --- asking -----------------------------------------------------------------------------------------------------

    async def answer(self, message: Message) -> list[Reply]:
        """Ask once; say the parts of a stream as they come, and give what is left at its end.

        Raises:
            AgentAwayError: the agent cannot be reached, or fails everybody.
            AgentError, NonsenseError: it failed this message.
        Cancellation closes the connection.
        """
        body = b'{"version": 1, ' + message_json.encode(message).encode().removeprefix(b"{")
        timestamp = str(int(self._wall()))
        headers = {
            "Content-Type": "application/json",
            "Accept": ACCEPT,
            "Idempotency-Key": message.turn,
            "X-Buoy-Timestamp": timestamp,
        }
        if self._secret:
            headers["X-Buoy-Signature"] = signature(self._secret, timestamp, message.turn, body)
            self._answered.pop(message.turn, None)
            self._waiting[message.turn] = asyncio.get_running_loop().create_future()  # it may come before the response
        try:
            replies = await self._ask(message, headers, body)
            return await self._brought(message.turn) if replies is None else replies
        except NotSentError as error:
            raise AgentAwayError(f"{self._url.host}: {error.reason}") from None
        except AgentError:
            if (brought := self._waiting.get(message.turn)) is not None and brought.done():
                return replies_in(_parsed(brought.result()))  # who brought it was told that it was taken
            raise
        finally:
            self._waiting.pop(message.turn, None)

    async def _ask(self, message: Message, headers: Mapping[str, str], body: bytes) -> list[Reply] | None:
        """Give the replies of the response; None: they will be brought."""
        async with self._wire.request("POST", self._url, headers=headers, body=body) as response:
            if response.status == 202:
                return None
            if not 200 <= response.status < 300:
                kind = AgentAwayError if response.status in AWAY else AgentError
                raise kind(f"{self._url.host} answered HTTP {response.status}{await _reason(response)}")
            if response.content_type in STREAMS:
                return await self._stream(response, message)
            text = await take(response, LIMIT)
            if response.content_type == "application/json":
                return replies_in(_parsed(text)) if text.strip() else []
            return replies_of(text.decode(errors="replace").strip())

    async def _stream(self, response: aiohttp.ClientResponse, message: Message) -> list[Reply]:
        """Say what a stream brings, but for what was delivered; what exceeds the parts is given at the end."""
        repeats = Repeats(message.delivered)
        early = self._parts - 1 - len(message.delivered) if message.line is not None else 0
        rest: list[Reply] = []
        async for event in _events(response):
            for reply in replies_in(event):
                if repeats.has(reply.text):
                    continue
                if early > 0 and message.line is not None:
                    early -= 1
                    await message.line.say(reply)
                else:
                    rest.append(reply)
        return rest

    # --- being called -----------------------------------------------------------------------------------------------

    async def _brought(self, turn: str) -> list[Reply]:
        if turn not in self._waiting:
            raise AgentError(
                f"{self._url.host} answered HTTP 202, and nothing could prove that a later answer is its own; "
                "set bots.agent.secret (BUOY_AGENT_SECRET) here and there"
            )
        return replies_in(_parsed(await self._waiting[turn]))

    def called(self, turn: str, timestamp: str, signed: str, body: bytes) -> Called:
        """Take an answer that is brought for a turn; says what the caller is told. The same one may come again."""
        wanted = signature(self._secret, timestamp, turn, body)
        if not self._secret or not hmac.compare_digest(wanted.encode(), signed.encode(errors="replace")):
            return Called(401, "the signature is not of this secret, timestamp, turn and body; see docs/agents.md")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16) or (
            abs(self._wall() - int(timestamp)) > REPLAY_S
        ):
            return Called(401, f"X-Buoy-Timestamp is more than {REPLAY_S:g} s away from this machine's clock: set them")
        if turn in self._answered:
            return Called(200, "this turn has its answer already")
        waiting = self._waiting.get(turn)
        if waiting is None or waiting.done():
            return Called(404, "nobody waits for this turn; if it still runs, it will be asked again")
        try:
            replies_in(_parsed(body))
        except NonsenseError as error:
            return Called(400, str(error))
        except AgentError:
            pass  # it is an answer to say that it failed
        waiting.set_result(body)
        self._answered[turn] = None
        while len(self._answered) > KNOWN:
            self._answered.popitem(last=False)
        return Called(200, "taken")


# --- what is on the wire ---------------------------------------------------------------------------------------------


def replies_in(document: Any) -> list[Reply]:
    """Read an answer: a text, a reply, ``{"replies": [...]}``; blank ones are dropped.

    Raises:
        NonsenseError: it is none of these.
        AgentAwayError, AgentError: it is ``{"away": reason}`` or ``{"error": reason}``.
    """
    if isinstance(document, dict):
        if "away" in document:
            raise AgentAwayError(str(document["away"])[:500])
        if "error" in document:
            raise AgentError(str(document["error"])[:500])
        parts = document.get("replies", [document])
    else:
        parts = document
    return replies_of([_reply(part) for part in (parts if isinstance(parts, list) else [parts])])


def _reply(part: Any) -> Reply:
    if not isinstance(part, dict):
        return as_reply(part)
    if not isinstance(part.get("text"), str):
        raise NonsenseError('an answer has no text; write {"text": "..."} or {"replies": [{"text": "..."}]}')
    try:
        return message_json.reply_of(dict(part))
    except (TypeError, AttributeError) as error:
        raise NonsenseError(f"a reply has what no reply has: {error}"[:300]) from None


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NonsenseError(f"an answer is no JSON: {error}"[:300]) from None


async def _reason(response: aiohttp.ClientResponse) -> str:
    """Give the first line of a refusal, for people."""
    try:
        text = (await take(response, LIMIT)).decode(errors="replace").strip()
    except BrokenError:
        return ""
    return f": {text.splitlines()[0][:200]}" if text else ""


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """Give the documents of a stream.

    Raises:
        BrokenError: it ended before it was complete: by its own last line, or by HTTP's rules where these say so.
    """
    is_sse, lines = response.content_type == "text/event-stream", []
    async for line in _lines(response):
        if not is_sse:
            text = line.strip()
        elif line:
            if line.startswith("data:"):
                lines.append(line.removeprefix("data:").removeprefix(" "))
            continue
        else:
            text, lines = "\n".join(lines), []
        if text == DONE:
            return
        if text:
            document = _parsed(text)
            if document == {"done": True}:
                return
            yield document
    if not (response.headers.get("Content-Length") or response.headers.get("Transfer-Encoding")):
        raise BrokenError(f"a stream without a length or chunks ended without its last line, {DONE}")
    if text := "\n".join(lines):
        yield _parsed(text)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Give the lines of a body as they come."""
    held, size = bytearray(), 0
    async for piece in response.content.iter_any():
        held += piece
        size += len(piece)
        if size > STREAM_LIMIT:
            response.close()
            raise BrokenError(f"the stream is longer than {STREAM_LIMIT} bytes")
        while (end := held.find(b"\n")) >= 0:
            yield held[:end].decode(errors="replace").removesuffix("\r")
            del held[: end + 1]
        if len(held) > LIMIT:
            response.close()
            raise BrokenError(f"a line of the stream is longer than {LIMIT} bytes")
    if held:
        yield held.decode(errors="replace").removesuffix("\r")
