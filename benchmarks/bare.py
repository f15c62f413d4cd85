"""The ceiling: an echo bot of bare aiohttp that stores nothing, checks nothing, and survives nothing.

Usage: python -m benchmarks.bare API_BASE APP_ID SECRET
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
from yarl import URL

from buoy.protocol import wire


async def main(api: str, app_id: str, secret: str) -> None:
    """Identify once, answer every private message, until killed."""
    tasks: set[asyncio.Task[None]] = set()
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        answer = await session.post(api + wire.TOKEN_PATH, json={"appId": app_id, "clientSecret": secret})
        token = (await answer.json())["access_token"]
        headers = {"Authorization": f"{wire.AUTH_SCHEME} {token}", "Content-Type": "application/json"}
        gateway = await (await session.get(api + wire.GATEWAY_PATH, headers=headers)).json()
        urls: dict[str, URL] = {}

        async def reply(openid: str, text: str, msg_id: str) -> None:
            url = urls.get(openid)
            if url is None:
                url = urls[openid] = URL(f"{api}/v2/users/{openid}/messages", encoded=True)
            body = json.dumps({"msg_type": 0, "content": text, "msg_id": msg_id, "msg_seq": 1}).encode()
            async with session.post(url, data=body, headers=headers) as response:
                await response.read()

        async def beat(ws: aiohttp.ClientWebSocketResponse, interval_s: float) -> None:
            while True:
                await asyncio.sleep(interval_s)
                await ws.send_bytes(wire.heartbeat(None))

        def start(job: Coroutine[Any, Any, None]) -> None:
            task = asyncio.create_task(job)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        async with session.ws_connect(gateway["url"]) as ws:
            async for message in ws:
                frame = json.loads(message.data)
                if frame["op"] == wire.Op.HELLO:
                    await ws.send_bytes(wire.identify(token, wire.Intent.GROUP_AND_C2C_EVENT, 0, 1))
                    start(beat(ws, frame["d"]["heartbeat_interval"] / 1000))
                elif frame.get("t") == "READY":
                    print("ready", flush=True)
                elif frame.get("t") == "C2C_MESSAGE_CREATE":
                    d = frame["d"]
                    start(reply(d["author"]["user_openid"], d["content"], d["id"]))


if __name__ == "__main__":
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        from uvloop import new_event_loop

        factory = new_event_loop
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(*sys.argv[1:4]))
