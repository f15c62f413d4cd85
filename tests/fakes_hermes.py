"""A Hermes API server for tests, as the real one behaves at the places that matter to a client; no model behind it.

What the input of a run holds between << and >> says what it does: ``slow N`` streams N words, a tenth of a second
each; ``tool COMMAND`` says something, asks for approval of the command, and goes on with the answer; ``only TEXT`` says
it, calls a tool, and has nothing to add; ``fail`` fails; anything else is echoed. What a client takes for granted of it
is held to the real server by tests/agents/test_hermes_server.py.

In a loop: ``async with serving(Server()) as base_url``. As a process: :class:`Process`; POST to its control address
sets fields of :class:`Server`, ``{"restart": true}`` forgets all runs as a restart does.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

KEY = "0123456789abcdef0123456789abcdef"
MARKED = re.compile(r"<<(\w+) ?(.*?)>>")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Server:
    """Knobs and counts."""

    word_s: float = 0.1
    start_s: float = 0.0
    """How long it takes to say that it has begun."""
    approval_s: float = 60.0
    """How long a run waits for an approval."""
    offers_runs: bool = True
    streams_break: bool = False
    """After the first event."""
    refusals: int = 0
    """So many of the next requests that start something are answered with ``status``."""
    status: int = 500
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Every body of a run or a completion that began."""
    headers: list[dict[str, str]] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    """What came to a question that waited."""
    stopped: int = 0
    read: int = 0
    """Streams of events that somebody has begun to read."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _streams: dict[str, asyncio.Queue[Any]] = field(default_factory=dict)
    _waiting: dict[str, list[asyncio.Future[str]]] = field(default_factory=dict)
    _stopping: set[str] = field(default_factory=set)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _completions: dict[str, asyncio.Future[str]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def restart(self) -> None:
        """Forget what lives in memory, and hang up."""
        for task in self._tasks.values():
            task.cancel()
        for queue in self._streams.values():
            queue.put_nowait(None)
        for kept in (self.runs, self._streams, self._waiting, self._stopping, self._tasks, self._completions):
            kept.clear()

    def _set(self, run: str, status: str, **more: Any) -> None:
        self.runs.setdefault(run, {"object": "hermes.run", "run_id": run, "created_at": time.time()}).update(
            {"status": status, "updated_at": time.time()} | more
        )

    def _push(self, run: str, kind: str, **more: Any) -> None:
        if (queue := self._streams.get(run)) is not None:
            queue.put_nowait({"event": kind, "run_id": run, "timestamp": time.time()} | more)

    # --- runs ---------------------------------------------------------------------------------------------------

    async def start(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        if not self.offers_runs:
            return web.Response(status=404, text="404: Not Found")
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        run = f"run_{uuid.uuid4().hex}"  # whatever Idempotency-Key says
        self._streams[run] = asyncio.Queue()
        self._set(run, "running", session_id=body.get("session_id", run))
        self._tasks[run] = asyncio.ensure_future(self._run(run, body["input"]))
        await asyncio.sleep(self.start_s)
        return web.json_response({"run_id": run, "status": "started"}, status=202)

    async def _run(self, run: str, said: str) -> None:
        output = await self._work(run, said)
        if run in self._stopping:
            self._push(run, "run.cancelled")
            self._set(run, "cancelled", last_event="run.cancelled")
        elif output is None:
            self._push(run, "run.failed", error="the model refused")
            self._set(run, "failed", error="the model refused", last_event="run.failed")
        else:
            self._push(run, "run.completed", output=output, usage={})
            self._set(run, "completed", output=output, usage={}, last_event="run.completed")
        if (queue := self._streams.get(run)) is not None:
            queue.put_nowait(None)

    async def _work(self, run: str, said: str) -> str | None:
        kind, rest = found[-1] if (found := MARKED.findall(said)) else ("", "")
        if kind == "fail":
            return None
        if kind == "slow":
            words = [f"w{n} " for n in range(int(rest))] + ["END"]
            for word in words:
                if run in self._stopping:
                    return ""
                self._push(run, "message.delta", delta=word)
                await asyncio.sleep(self.word_s)
            return "".join(words)
        if kind == "tool":
            self._push(run, "message.delta", delta="Let me look.")
            self._push(run, "tool.started", tool="terminal", preview=rest)
            self._set(run, "running", last_event="tool.started")
            answers = []
            for command in rest.split(";"):
                answers.append(await self._approved(run, command.strip()))
                if run in self._stopping:
                    return ""
            self._push(run, "tool.completed", tool="terminal", duration=0.0, error=False)
            self._set(run, self.runs[run]["status"], last_event="tool.completed")
            output = f"DONE: {', '.join(answers)}"
            self._push(run, "message.delta", delta=f"\n\n{output}")
            return output
        if kind == "only":  # where a model says nothing behind its tool call, what it said before is the output
            self._push(run, "message.delta", delta=rest)
            self._push(run, "tool.started", tool="terminal", preview="ls")
            return rest
        self._push(run, "message.delta", delta=f"ECHO: {said}")
        return f"ECHO: {said}"

    async def _approved(self, run: str, command: str) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run, []).append(answer)
        self._push(
            run,
            "approval.request",
            command=command,
            description="recursive delete",
            choices=["once", "session", "always", "deny"],
        )
        self._set(run, "waiting_for_approval", last_event="approval.request")
        try:
            async with asyncio.timeout(self.approval_s):
                return await answer
        except TimeoutError:
            self._waiting[run].remove(answer)
            return "timed out"

    async def events(self, request: web.Request) -> web.StreamResponse:
        run = request.match_info["run"]
        if run not in self._streams:
            return _error(404, "run_not_found")
        queue = self._streams[run]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.read += 1
        try:  # a reader that went is noticed at the next event, which is lost with it
            while (event := await queue.get()) is not None:
                await response.write(f"data: {json.dumps(event)}\n\n".encode())
                if self.streams_break and request.transport is not None:
                    request.transport.close()
            await response.write(b": stream closed\n\n")
        except ConnectionError:
            pass
        finally:
            self._streams.pop(run, None)
        return response

    async def state(self, request: web.Request) -> web.Response:
        run = request.match_info["run"]
        return web.json_response(self.runs[run]) if run in self.runs else _error(404, "run_not_found")

    async def approve(self, request: web.Request) -> web.Response:
        run, body = request.match_info["run"], await request.json()
        if run not in self.runs:
            return _error(404, "run_not_found")
        waiting = self._waiting.get(run, [])
        if not waiting:
            return _error(409, "approval_not_pending")
        taken = waiting[:] if body.get("all") else waiting[:1]
        del waiting[: len(taken)]
        for answer in taken:
            answer.set_result(body["choice"])
            self.choices.append(body["choice"])
        self._set(run, "running", last_event="approval.responded")
        self._push(run, "approval.responded", choice=body["choice"], resolved=len(taken))
        return web.json_response({"run_id": run, "choice": body["choice"], "resolved": len(taken)})

    async def stop(self, request: web.Request) -> web.Response:
        run = request.match_info["run"]
        if run not in self._tasks or self._tasks[run].done():
            return _error(404, "run_not_found")
        self.stopped += 1
        self._stopping.add(run)
        self._set(run, "stopping", last_event="run.stopping")
        for answer in self._waiting.pop(run, []):
            answer.set_result("deny")
        return web.json_response({"run_id": run, "status": "stopping"})

    # --- completions --------------------------------------------------------------------------------------------

    async def complete(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        body = await request.json()
        key = f"{request.headers.get('Idempotency-Key')} {json.dumps(body)}"
        if key not in self._completions:
            self.asked.append(body)
            self.headers.append(dict(request.headers))
            said = body["messages"][-1]["content"]
            self._completions[key] = asyncio.ensure_future(self._completed(said))
        text = await asyncio.shield(self._completions[key])
        return web.json_response({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})

    async def _completed(self, said: str) -> str:
        return await self._work("", said) or ""

    # --- for the test -------------------------------------------------------------------------------------------

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_api_key")
        if not self.refusals:
            return None
        self.refusals -= 1
        return _error(self.status, "refused by the test")

    async def control(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            body = await request.json()
            if body.pop("restart", False):
                self.restart()
            vars(self).update(body)
        return web.json_response(self.told())


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"message": code, "type": "error", "code": code}}, status=status)


@asynccontextmanager
async def serving(server: Server, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback; gives the base URL, which ends with /v1."""
    app = web.Application()
    app.router.add_post("/v1/runs", server.start)
    app.router.add_get("/v1/runs/{run}", server.state)
    app.router.add_get("/v1/runs/{run}/events", server.events)
    app.router.add_post("/v1/runs/{run}/approval", server.approve)
    app.router.add_post("/v1/runs/{run}/stop", server.stop)
    app.router.add_post("/v1/chat/completions", server.complete)
    app.router.add_route("*", "/control", server.control)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        server.restart()
        await runner.cleanup()


class Process:
    """The server in a process of its own, and its control address."""

    def __init__(self, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes_hermes", str(port)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self.process.stdout is not None
        self.base_url: str = self.process.stdout.readline().strip()

    @property
    def port(self) -> int:
        return int(self.base_url.split(":")[2].split("/")[0])

    def told(self, **knobs: Any) -> dict[str, Any]:
        """Set what is given; returns all fields."""
        request = urllib.request.Request(
            self.base_url.removesuffix("/v1") + "/control",
            data=json.dumps(knobs).encode(),
            headers={"Content-Type": "application/json"},
        )
        with _DIRECT.open(request, timeout=10) as answer:
            return dict(json.load(answer))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def hermes() -> Iterator[Process]:
    one = Process()
    try:
        yield one
    finally:
        one.stop()


async def main() -> None:
    """Serve until killed."""
    async with serving(Server(), int(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
