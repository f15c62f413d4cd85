"""A model behind an OpenAI-compatible endpoint, for tests: answers with what the question holds, fails as it is told.

Inside a test's loop: ``async with serving(Model()) as url``. As a process: ``python -m tests.fakes_llm --port 0``
prints one line of JSON with ``base_url`` and ``control_url``; :class:`Process` starts that and speaks to it.

What is answered: the next entry of ``script`` (a text, or the fields of an assistant message, such as tool calls);
else ``answer``; else what stands between << and >> in the newest user message that has that, ``<<40 sentences>>``
being forty numbered ones; else that message itself. Where an assistant message stands behind the question, the model
goes on from there, unless ``continues`` is false: then it starts again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from aiohttp import web

MARKED = re.compile(r"<<(.*?)>>", re.DOTALL)
SENTENCES = re.compile(r"(\d+) sentences")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def sentences(count: int) -> str:
    """Numbered sentences, five to a paragraph; no two are alike."""
    said = [f"This is sentence {n} of {count}." for n in range(1, count + 1)]
    return "\n\n".join(" ".join(said[at : at + 5]) for at in range(0, count, 5))


@dataclass
class Model:
    """Knobs and counts. All but the counts can be set over the control address: POST /control with their names."""

    delay_s: float = 0.0
    """Before an answer begins."""
    pause_s: float = 0.0
    """Before each piece of a streamed answer but the first."""
    piece: int = 12
    """Characters of a piece."""
    breaks: int = 0
    """So many of the next streamed answers lose their connection, after ``break_after`` pieces."""
    break_after: int = 3
    ends_early: bool = False
    """Broken answers end in good order, but unfinished."""
    refusals: int = 0
    """So many of the next requests are answered with ``status`` and an error."""
    status: int = 500
    continues: bool = True
    answer: str | None = None
    script: list[Any] = field(default_factory=list)
    models: list[str] = field(default_factory=lambda: ["fake"])
    # what has happened
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Every body of a request for a completion, oldest first."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """The headers of each."""
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("models", "asked", "answered", "broken", "refused", "hung_up"), 0)
    )
    """``hung_up``: the client went before it had the answer."""

    def set(self, knobs: Mapping[str, Any]) -> None:
        for name, value in knobs.items():
            if name not in {item.name for item in fields(self)}:
                raise ValueError(f"no such knob: {name}")
            setattr(self, name, value)

    def told(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def say(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Give the assistant message that answers these."""
        if self.script:
            entry = self.script.pop(0)
            return {"content": entry} if isinstance(entry, str) else dict(entry)
        asked = [(at, text_of(one)) for at, one in enumerate(messages) if one["role"] == "user"]
        at, question = next((one for one in reversed(asked) if MARKED.search(one[1])), asked[-1] if asked else (0, ""))
        marked = MARKED.findall(question)
        text = self.answer if self.answer is not None else marked[-1] if marked else question
        if counted := SENTENCES.fullmatch(text):
            text = sentences(int(counted[1]))
        given = "".join(text_of(one) for one in messages[at + 1 :] if one["role"] == "assistant")
        return {"content": behind(text, given) if self.continues and given else text}


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def behind(text: str, given: str) -> str:
    """What of a text comes behind what was given of it, blanks aside; all of it where it does not begin so."""
    if text.startswith(given):
        return text[len(given) :]
    want = "".join(given.split())
    for at in range(len(text) + 1):
        if "".join(text[:at].split()) == want:
            return text[at:]
    return text


class _Endpoint:
    def __init__(self, model: Model) -> None:
        self.model = model

    async def list_models(self, request: web.Request) -> web.Response:
        del request
        self.model.counts["models"] += 1
        data = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in self.model.models]
        return web.json_response({"object": "list", "data": data})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        model, body = self.model, await request.json()
        model.asked.append(body)
        model.headers.append(dict(request.headers))
        model.counts["asked"] += 1
        try:
            return await self._complete(request, body)
        except (ConnectionError, asyncio.CancelledError):
            model.counts["hung_up"] += 1
            raise

    async def _complete(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        model = self.model
        await asyncio.sleep(model.delay_s)
        if model.refusals:
            model.refusals -= 1
            model.counts["refused"] += 1
            error = {"error": {"message": "refused by the test", "type": "test", "code": None}}
            return web.json_response(error, status=model.status, headers={"retry-after-ms": "1"})
        said = {"role": "assistant", **model.say(body["messages"])}
        if body.get("stream"):
            return await self._stream(request, body, said)
        model.counts["answered"] += 1
        choice = {"index": 0, "message": {"content": None} | said, "finish_reason": _reason(said)}
        return web.json_response(_head(body, "chat.completion") | {"choices": [choice], "usage": _USAGE})

    async def _stream(self, request: web.Request, body: dict[str, Any], said: dict[str, Any]) -> web.StreamResponse:
        model = self.model
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(delta: dict[str, Any], reason: str | None = None) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            await _event(response, _head(body, "chat.completion.chunk") | {"choices": [choice]})

        text = said.pop("content", None) or ""
        is_broken = model.breaks > 0
        model.breaks -= is_broken
        pieces = [text[at : at + model.piece] for at in range(0, len(text), model.piece)]
        await send({"role": "assistant", "content": ""})
        for n, piece in enumerate(pieces[: model.break_after] if is_broken else pieces):
            await asyncio.sleep(model.pause_s if n else 0)
            await send({"content": piece})
        if is_broken:
            model.counts["broken"] += 1
            if not model.ends_early and request.transport is not None:
                request.transport.close()  # what was written goes out first
            return response
        if calls := said.get("tool_calls"):
            await send({"tool_calls": [{"index": n, **call} for n, call in enumerate(calls)]})
        await send({}, _reason(said))
        if (body.get("stream_options") or {}).get("include_usage"):
            await _event(response, _head(body, "chat.completion.chunk") | {"choices": [], "usage": _USAGE})
        await response.write(b"data: [DONE]\n\n")
        model.counts["answered"] += 1
        return response

    async def control(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            try:
                self.model.set(await request.json())
            except ValueError as error:
                return web.Response(status=400, text=str(error))
        elif request.method == "DELETE":
            self.model.set(Model().told())
        return web.json_response(self.model.told())


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body.get("model", "fake")}


def _reason(said: Mapping[str, Any]) -> str:
    return "tool_calls" if said.get("tool_calls") else "stop"


async def _event(response: web.StreamResponse, document: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(document).encode() + b"\n\n")


@asynccontextmanager
async def serving(model: Model, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback; gives the base URL, which ends with /v1."""
    endpoint = _Endpoint(model)
    app = web.Application()
    app.router.add_get("/v1/models", endpoint.list_models)
    app.router.add_post("/v1/chat/completions", endpoint.complete)
    app.router.add_route("*", "/control", endpoint.control)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


class Process:
    """The model in a process of its own, and its control address."""

    def __init__(self, **knobs: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes_llm"], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.base_url: str = told["base_url"]
        self.control_url: str = told["control_url"]
        if knobs:
            self.set(**knobs)

    def set(self, **knobs: Any) -> dict[str, Any]:
        return self._ask("POST", json.dumps(knobs).encode())

    def state(self) -> dict[str, Any]:
        return self._ask("GET")

    def _ask(self, method: str, data: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.control_url, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with _DIRECT.open(request, timeout=10) as answer:
            return dict(json.load(answer))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def model(**knobs: Any) -> Iterator[Process]:
    """A process with these knobs set, ended at the end."""
    one = Process(**knobs)
    try:
        yield one
    finally:
        one.stop()


async def main() -> None:
    """Serve until killed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=0)
    async with serving(Model(), options.parse_args().port) as url:
        print(json.dumps({"base_url": url, "control_url": f"{url.removesuffix('/v1')}/control"}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
