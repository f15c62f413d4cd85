"""The local control socket: how commands reach the running Buoy that owns the data directory.

One JSON line asks, one JSON line answers, over a loopback socket whose address and key lie in the data directory
(mode 0600): whoever may read the database may give orders, nobody else. Independent of ``[web] listen``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from buoy.errors import EXIT_REFUSED, BuoyError, BusyError, StoreError

ADDRESS = "control.json"
MAX_LINE = 1 << 21
TIMEOUT_S = 5.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlError(BuoyError):
    """The running Buoy refused what it was asked, in its own words; it names the exit code."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Control:
    """The listening end; lives as long as the gateway that serves it."""

    def __init__(self, directory: Path, handlers: dict[str, Handler]) -> None:
        self._path = directory / ADDRESS
        self._handlers = handlers
        self._key = secrets.token_hex(16)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free loopback port and leave the address in the data directory.

        Raises:
            StoreError: it cannot be left there.
        """
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_LINE)
        host, port = self._server.sockets[0].getsockname()[:2]
        text = json.dumps({"host": host, "port": port, "key": self._key, "pid": os.getpid()})
        scratch = self._path.with_suffix(".new")
        try:
            scratch.unlink(missing_ok=True)
            handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            scratch.replace(self._path)
        except OSError as error:
            self._server.close()
            raise StoreError(f"cannot write {self._path} ({error.strerror}); check the disk and its owner") from error

    async def stop(self) -> None:
        """Stop listening and take the address away; one that a broken disk keeps harms nobody, see :func:`ask`."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass  # a caller that hangs, left, or sent a line without end gets no answer
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "the request is not JSON", "exit_code": EXIT_REFUSED}
        if not isinstance(asked, dict) or not hmac.compare_digest(str(asked.get("key", "")), self._key):
            return {"error": "the control key is wrong", "exit_code": EXIT_REFUSED}
        handler = self._handlers.get(str(asked.get("do")))
        if handler is None:
            return {"error": f"unknown request {str(asked.get('do'))[:40]!r}", "exit_code": EXIT_REFUSED}
        try:
            return await handler(asked)
        except BuoyError as error:
            return {"error": str(error), "exit_code": error.exit_code}


def ask(directory: Path, do: str, **arguments: Any) -> dict[str, Any] | None:
    """Ask the running Buoy of this directory; None when none runs.

    Raises:
        ControlError: it refused.
        BusyError: one runs and does not answer.
        StoreError: this user may not look.
    """
    try:
        where = json.loads((directory / ADDRESS).read_text(encoding="utf-8"))
    except PermissionError:
        raise StoreError(f"cannot read {directory / ADDRESS}; run this as the user Buoy runs as") from None
    except (OSError, ValueError):
        return None
    try:
        with socket.create_connection((where["host"], where["port"]), timeout=TIMEOUT_S) as link:
            link.sendall(json.dumps({"do": do, "key": where["key"], **arguments}).encode() + b"\n")
            with link.makefile("rb") as answers:
                line = answers.readline()
    except ConnectionRefusedError:
        return None  # the address was left behind by a process that was killed
    except OSError as error:
        raise BusyError(f"the Buoy that runs here (pid {where.get('pid')}) does not answer: {error}") from None
    if not line:
        raise BusyError(f"the Buoy that runs here (pid {where.get('pid')}) closed the control connection; try again")
    answer = json.loads(line)
    if not isinstance(answer, dict) or "error" in answer:
        raise ControlError(str(answer.get("error")), int(answer.get("exit_code", EXIT_REFUSED)))
    return answer
