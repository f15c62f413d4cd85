"""The listening end: bound when it can be, tried again until then, gone at once when Buoy stops."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from buoy.durable.reader import Reader
from buoy.errors import StoreError
from buoy.faces.web import login
from buoy.faces.web.doorman import Doorman, cut
from buoy.faces.web.gate import Gate
from buoy.faces.web.live import Live
from buoy.faces.web.routes import STATIC, Routes
from buoy.faces.web.snapshots import Snapshots
from buoy.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from buoy.gateway.app import App
    from buoy.settings import Web as Settings

AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
KEEPALIVE_S: Final = 15.0
LINGER_S: Final = 1.0  # for the rest of a body that nobody wanted
STOP_SHARE: Final = 0.04  # of the shutdown deadline: answers under way may finish; aiohttp takes it twice at most
REMEDIES: Final = {
    errno.EADDRINUSE: "another program listens there, perhaps another Buoy: stop it, or set web.listen (BUOY_LISTEN)",
    errno.EACCES: "this user may not listen there: set web.listen (BUOY_LISTEN) to a port above 1023",
}
NO_REMEDY: Final = "this machine has no such address: correct web.listen (BUOY_LISTEN)"

SILENT: Final = logging.Logger("nobody", logging.CRITICAL + 1)  # noqa: LOG001  not in the tree: nobody configures it
"""For aiohttp: it would log a traceback for each malformed request; what matters is logged by the gate."""

log = Logger("buoy.web")


class Web:
    """The HTTP face of one gateway. Failing to listen is a warning and a line in the status, never an end."""

    def __init__(
        self, app: App, settings: Settings, directory: Path, *, deadline_s: float = 5.0, static: Path = STATIC
    ) -> None:
        clock = asyncio.get_running_loop().time
        self._app = app
        self._settings = settings
        self._directory = directory
        self._patience_s = deadline_s * STOP_SHARE
        self._reader = Reader(directory)
        self._snapshots = Snapshots(app.health, clock)
        self._live = Live(self._snapshots, clock)
        self._routes = Routes(app, self._reader, self._snapshots, static)
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._doorman: Doorman | None = None
        self._error: str | None = None
        self._is_stopped = False

    @property
    def services(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What the supervisor keeps."""
        return {"web": self.run, "web:live": self._live.run}

    @property
    def address(self) -> str | None:
        """Where it listens, as a browser takes it."""
        if self._server is None or not self._server.sockets:
            return None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def told(self) -> dict[str, Any]:
        """Give the section `web` of the snapshot."""
        made = self._settings.token is None
        return {
            "listening": self.address,
            "error": self._error,
            "token_file": str(self._directory / login.FILE) if made else None,
            "listeners": self._live.listeners,
        }

    async def run(self) -> None:
        """Listen for ever, from the moment on that it can be done."""
        pauses = itertools.chain(AGAIN_S, itertools.repeat(AGAIN_S[-1]))
        while not (self._is_stopped or await self._is_heard()):
            await asyncio.sleep(next(pauses))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self._close()

    async def _is_heard(self) -> bool:
        """Try to listen; say why it cannot be done, once for each reason."""
        try:
            await self._listen()
        except (OSError, StoreError) as error:
            await self._close()
            cause = self._explain(error)
            if cause != self._error:
                log.warning("no page", error=cause, again="later, until it works")
            self._error = cause
            return False
        self._error = None
        log.info("page", listening=self.address)
        return True

    async def _listen(self) -> None:
        settings = self._settings
        assert settings.address is not None
        token = login.kept(self._directory) if settings.token is None else settings.token
        gate = Gate(
            self._routes,
            self._live,
            login.Keys(token),
            wall=self._app.wall,
            clock=asyncio.get_running_loop().time,
            login_always=settings.login == "always",
        )
        self._runner = web.AppRunner(
            gate.application,
            access_log=None,
            logger=SILENT,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
            shutdown_timeout=self._patience_s,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        gate.doorman = self._doorman = Doorman(self._runner.server)
        host, port = settings.address
        self._server = await asyncio.get_running_loop().create_server(self._doorman, host, port)

    def _explain(self, error: OSError | StoreError) -> str:
        if isinstance(error, StoreError):
            return str(error)
        is_lookup = isinstance(error, socket.gaierror)
        cause = error.strerror if is_lookup or not error.errno else os.strerror(error.errno)
        return f"cannot listen on {self._settings.listen} ({cause}); {REMEDIES.get(error.errno or 0, NO_REMEDY)}"

    async def stop(self) -> None:
        """Stop within a small share of the shutdown's deadline, whatever clients do."""
        self._is_stopped = True
        await self._close()
        self._reader.close()

    async def _close(self) -> None:
        """Take nothing new, end the streams, give what is being answered a moment, cut the rest."""
        server, self._server = self._server, None
        runner, self._runner = self._runner, None
        doorman, self._doorman = self._doorman, None
        if server is not None:
            server.close()
        self._live.close()
        if doorman is not None:
            doorman.close()
        if runner is not None and runner.server is not None:
            connections = list(runner.server.connections)
            await runner.cleanup()
            for connection in connections:
                cut(connection)
