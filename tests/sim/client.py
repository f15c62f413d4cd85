"""A bare client of the simulator: no policy, no retries, it only speaks and listens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from buoy.sim import Sim

BOT = ("102000001", "SIMSECRETSIMSECRET01")
C2C = 1 << 25
ALL = sum(1 << bit for bit in (0, 1, 9, 10, 12, 18, 19, 23, 24, 25, 26, 27, 28, 29, 30))


class ClosedError(Exception):
    """The connection ended; `code` is the close code, 1006 where there was none."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Client:
    def __init__(self, sim: Sim, http: aiohttp.ClientSession, bot: tuple[str, str] = BOT) -> None:
        self.sim, self.http, self.bot = sim, http, bot
        self.token = ""
        self.session_id = ""
        self.seq: Any = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None

    @property
    def ws(self) -> aiohttp.ClientWebSocketResponse:
        assert self._ws is not None
        return self._ws

    async def get_token(self, **fields: Any) -> Any:
        body = {"appId": self.bot[0], "clientSecret": self.bot[1]} | fields
        async with self.http.post(self.sim.token_url, json=body) as r:
            answer = await r.json()
        self.token = answer.get("access_token", self.token)
        return answer

    async def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Reply:
        headers = {"Authorization": f"QQBot {token or self.token}"}
        async with self.http.request(method, self.sim.api_base + path, json=body, headers=headers) as r:
            data = await r.read()
        return Reply(r.status, r.headers, data)

    async def send(self, target: str, text: str = "hi", scene: str = "c2c", **fields: Any) -> Reply:
        path = {
            "c2c": f"/v2/users/{target}/messages",
            "group": f"/v2/groups/{target}/messages",
            "channel": f"/channels/{target}/messages",
            "dm": f"/dms/{target}/messages",
        }[scene]
        return await self.call("POST", path, {"content": text} | fields)

    async def open(self) -> None:
        self._ws = await self.http.ws_connect(self.sim.api_base.replace("http", "ws") + "/websocket")

    async def recv(self) -> Any:
        async with asyncio.timeout(5):
            message = await self.ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            try:
                frame = json.loads(message.data)
            except ValueError:
                return message.data
            self.seq = frame.get("s", self.seq)
            return frame
        raise ClosedError(self.ws.close_code or 1006)

    async def closed(self) -> int:
        """Read until the end; returns the close code."""
        try:
            while True:
                await self.recv()
        except ClosedError as end:
            return end.code

    async def put(self, op: int, d: Any = None) -> None:
        await self.ws.send_str(json.dumps({"op": op, "d": d}))

    async def say_identify(self, intents: int = C2C, shard: Any = (0, 1), token: str | None = None) -> None:
        await self.put(
            2, {"token": token or f"QQBot {self.token}", "intents": intents, "shard": shard, "properties": {}}
        )

    async def identify(self, intents: int = C2C, shard: Any = (0, 1)) -> Any:
        """Open, say hello, identify; returns READY."""
        if not self.token:
            await self.get_token()
        await self.open()
        assert (await self.recv())["op"] == 10
        await self.say_identify(intents, shard)
        ready = await self.recv()
        if ready.get("t") == "READY":
            self.session_id = ready["d"]["session_id"]
        return ready

    async def say_resume(self, seq: Any = None, session_id: str | None = None, token: str | None = None) -> None:
        await self.put(
            6,
            {
                "token": token or f"QQBot {self.token}",
                "session_id": session_id or self.session_id,
                "seq": self.seq if seq is None else seq,
            },
        )

    async def resume(self, seq: Any = None, session_id: str | None = None, token: str | None = None) -> None:
        """Open a new connection and ask for the session."""
        await self.open()
        seq = self.seq if seq is None else seq
        assert (await self.recv())["op"] == 10
        await self.say_resume(seq, session_id, token)

    async def ack(self) -> Any:
        await self.put(1, self.seq)
        return await self.recv()


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def codes(self) -> tuple[int, Any, Any]:
        """(status, code, err_code) of an error."""
        return self.status, self.json.get("code"), self.json.get("err_code")


@asynccontextmanager
async def running(bot: tuple[str, str] = BOT, **settings: Any) -> AsyncIterator[tuple[Sim, Client]]:
    """A simulator whose clock stands still, and a client of it."""
    async with Sim(**({"speed": 0.0} | settings)) as sim, aiohttp.ClientSession() as http:
        client = Client(sim, http, bot)
        yield sim, client
        if client._ws is not None:
            await client._ws.close()
