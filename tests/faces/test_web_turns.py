"""The answer of an http agent, brought to the web face: who may, what it is told, and that it is delivered once."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from buoy.agents import build
from buoy.agents.http import signature
from tests.faces.serving import Answer, Served, served

pytestmark = pytest.mark.usefixtures("quiet")
SECRET = "a secret of this very test"


async def bring(it: Served, turn: str, told: object, secret: str = SECRET) -> Answer:
    body, stamp = json.dumps(told), str(int(time.time()))
    signed = {"X-Buoy-Timestamp": stamp, "X-Buoy-Signature": signature(secret, stamp, turn, body.encode())}
    return await it.ask(f"/turns/{quote(turn, safe='')}", body, signed)


def test_an_answer_is_brought_and_delivered_once(tmp_path: Path) -> None:
    turns: list[str] = []

    async def later(request: web.Request) -> web.Response:
        turns.append(request.headers["Idempotency-Key"])
        return web.Response(status=202)

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/", later)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        agent = build(f"http:http://127.0.0.1:{runner.addresses[0][1]}/", {"secret": SECRET})
        async with served(tmp_path, agent) as it:
            message = await it.sim.say("hello")
            while not turns:
                await asyncio.sleep(0.005)
            assert (await bring(it, turns[0], "no", secret="somebody else's secret")).status == 401
            assert (await bring(it, "no/such/turn", "no")).status == 404
            assert (await bring(it, turns[0], 5)).status == 400
            assert (await it.ask("/turns/x", "{}")).status == 401
            assert (await it.ask("/turns/x", method="GET")).status == 405
            took = await bring(it, turns[0], {"text": "here it is"})
            assert (took.status, took.json) == (200, {"told": "taken"})
            assert (await bring(it, turns[0], {"text": "here it is"})).status == 200
            await it.buoy.answered(message)
            await it.buoy.settled()
            assert [letter["state"] for letter in it.buoy.letters()] == ["sent"]
        await agent.close()
        await runner.cleanup()

    asyncio.run(main())


def test_where_no_agent_is_asked_over_http_there_is_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            refused = await bring(it, "x", "y")
            assert (refused.status, refused.json) == (404, {"error": "no bot here has an http agent"})

    asyncio.run(main())
