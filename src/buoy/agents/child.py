"""One child process in a group of its own: started, fed, read within bounds, ended with all that it started.

asyncio's own `Process.wait` may wait for the pipes as well, which a grandchild can hold open for ever; a
protocol of our own hears of the exit at once, on every version and loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STDERR_TAIL: Final = 8 * 1024  # ours: enough for the last lines of a traceback
DRAIN_S: Final = 1.0  # ours: how long a pipe may stay open after everybody we can reach is dead
SECRETS: Final = (  # nothing that an agent needs; the addresses hold tokens
    "QQ_CLIENT_SECRET",
    "QQBOT_CLIENT_SECRET",
    "BUOY_AGENT_SECRET",
    "BUOY_WEB_TOKEN",
    "BUOY_ALERTS",
    "BUOY_HEARTBEAT_URL",
)


class Child(asyncio.SubprocessProtocol):
    """A running child. Always ``await end()``; it may be called at any time and more than once."""

    def __init__(self, limit: int) -> None:
        self.output = bytearray()
        """What it has written and nobody has taken yet."""
        self.errors = bytearray()
        """The end of what it wrote to stderr, where that is a pipe."""
        self.is_over_limit = False
        self._limit = limit
        self._changed = asyncio.Event()
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        limit: int,
        env: Mapping[str, str] | None = None,
        stderr: int | None = subprocess.PIPE,
        cwd: str | None = None,
        fds: Sequence[int] = (),
    ) -> Child:
        """Start a program. It is killed as soon as it has more than ``limit`` bytes of output waiting.

        ``cwd``: the folder it starts in; None: ours. ``fds``: descriptors that it inherits.

        Raises:
            OSError: it could not be started.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in SECRETS}
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(limit),
            *argv,
            env={**inherited, **(env or {})},
            stderr=stderr,
            cwd=cwd,
            pass_fds=tuple(fds),
            start_new_session=os.name == "posix",
        )
        return child

    # --- what asyncio calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the process."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it wrote, within bounds."""
        if fd == 2:
            self.errors += data
            del self.errors[:-STDERR_TAIL]
            return
        self.output += data
        if len(self.output) > self._limit:
            self.is_over_limit = True
            self.kill()
        self._changed.set()

    def process_exited(self) -> None:
        """Note the exit, and end what it left behind."""
        self.kill()
        self._exited.set()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that it has exited and that all pipes are closed."""
        self._closed.set()
        self._changed.set()

    # --- what its owner calls -------------------------------------------------------------------------------

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._transport.get_returncode() if self._transport else None

    @property
    def ended(self) -> str:
        """How it ended, for people."""
        code = self.exit_code or 0
        return f"was killed by signal {-code}" if code < 0 else f"exited with {code}"

    @property
    def last_words(self) -> str:
        """The last line on stderr that is not blank."""
        lines = [line.strip() for line in self.errors.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""

    def write(self, data: bytes, *, last: bool = False) -> None:
        """Hand it input; ``last`` closes its stdin. A child that does not read is no error."""
        pipe: Any = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None and not pipe.is_closing():
            pipe.write(data)
            if last:
                pipe.write_eof()

    async def line(self) -> bytes | None:
        """Take its next line of output, None when there will be no more."""
        start = 0
        while (end := self.output.find(b"\n", start)) < 0:
            if self._exited.is_set():
                await self.drained()
                if b"\n" not in self.output:
                    return None
                continue
            start = len(self.output)
            self._changed.clear()
            await self._changed.wait()
        line = bytes(self.output[:end])
        del self.output[: end + 1]
        return line

    async def drained(self) -> None:
        """Wait until it has exited and its output is complete."""
        await self._exited.wait()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._closed.wait()
        except TimeoutError:
            pass  # somebody left the group and kept a pipe; what is there is the answer

    def kill(self) -> None:
        """End it and everything in its group, now."""
        if self._transport is None:
            return
        try:
            if os.name == "posix":
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
            else:
                self._transport.kill()
        except (ProcessLookupError, PermissionError):
            pass  # nobody left

    async def end(self) -> None:
        """Kill it, reap it and close everything that belongs to it."""
        self.kill()
        try:
            await self._exited.wait()
        finally:
            if self._transport is not None:
                self._transport.close()
