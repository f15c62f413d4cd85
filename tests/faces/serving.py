"""The HTTP face on a real gateway against the simulated platform: a client that speaks HTTP by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from buoy.faces.web.server import Web
from buoy.settings import Secret
from buoy.settings import Web as Settings
from buoy.sim.simulator import Sim
from tests.rules.running import Buoy, echo, prepared

TOKEN = "a token of this very test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ACTING = {"X-Buoy": "1", "Content-Type": "application/json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    cookies: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


async def head(reader: asyncio.StreamReader) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = [line.partition(": ")[::2] for line in lines[1:] if line]
    cookies = [value for name, value in pairs if name.lower() == "set-cookie"]
    return Answer(int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}, cookies=cookies)


@dataclass
class Served:
    """A gateway with its page."""

    sim: Sim
    buoy: Buoy
    web: Web
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def port(self) -> int:
        address = self.web.address
        assert address is not None
        return int(address.rpartition(":")[2])

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self, lines: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(lines.encode())
        return reader, writer

    async def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, *, method: str = "", host: str = ""
    ) -> Answer:
        """One request on a connection of its own."""
        data = b"" if body is None else body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        told = {"Host": host or f"127.0.0.1:{self.port}", "Connection": "close", "Content-Length": str(len(data))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in (told | (headers or {})).items())
        verb = method or ("GET" if body is None else "POST")
        reader, writer = await self.open(f"{verb} {path} HTTP/1.1\r\n{lines}\r\n")
        writer.write(data)
        answer = await head(reader)
        if "content-length" in answer.headers and verb != "HEAD":
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
        writer.close()
        return answer

    async def act(self, body: Any, **headers: str) -> Answer:
        return await self.ask("/act", body, ACTING | {"Origin": self.origin} | headers)

    async def listen(self) -> Stream:
        reader, writer = await self.open(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n")
        return Stream(await head(reader), reader, writer)


@dataclass
class Stream:
    """One listener."""

    answer: Answer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def next(self) -> Any:
        """The next status; EOFError when the stream has ended."""
        while True:
            line = await self.reader.readline()
            if not line:
                raise EOFError
            if line.startswith(b"data: "):
                return msgspec.json.decode(line.removeprefix(b"data: "))

    async def until(self, wanted: Any) -> Any:
        while not wanted(status := await self.next()):
            pass
        return status


def settings(**changed: Any) -> Settings:
    usual: dict[str, Any] = {"listen": "127.0.0.1:0", "token": Secret(TOKEN)}
    return Settings(**usual | changed)


@asynccontextmanager
async def served(
    directory: Path,
    answer: Any = echo,
    *,
    web: Settings | None = None,
    static: Path | None = None,
    gateway: dict[str, Any] | None = None,
    wait: bool = True,
    **sim: Any,
) -> AsyncIterator[Served]:
    """``gateway``: what :class:`buoy.gateway.app.App` takes besides its parts."""
    async with prepared(directory, answer, **sim) as (platform, buoy):
        buoy.settings |= gateway or {}
        await buoy.start()
        more: dict[str, Any] = {} if static is None else {"static": static}
        face = Web(buoy.app, web or settings(), buoy.directory, **more)
        buoy.app.sections["web"] = face.told
        for name, service in face.services.items():
            buoy.app.supervisor.keep(name, service)
        it = Served(platform, buoy, face)
        try:
            while wait and face.address is None:
                await asyncio.sleep(0.005)
            yield it
        finally:
            for writer in it.writers:
                writer.close()
            await face.stop()
