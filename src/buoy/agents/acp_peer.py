"""One ACP process, and the connection to it: started so that it ends with us, greeted, asked, ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from buoy.agents import leash
from buoy.agents.acp_client import Client, Turn
from buoy.agents.child import Child
from buoy.errors import AgentAwayError, AgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITING_LIMIT: Final = 16 * 1024 * 1024  # bytes of output that nobody has taken yet
START_S: Final = 60.0  # until a program has started and has told what it can: some install themselves first
SESSION_S: Final = 60.0
AUTH_REQUIRED: Final = -32000  # the protocol's code for it


class Peer:
    """One process, and the connection to it."""

    def __init__(self, child: Child, program: str, folder: str, permission: str, said: dict[str, str]) -> None:
        import acp  # noqa: PLC0415  see build

        self.turns: dict[str, Turn] = {}
        self.sessions: dict[str, str] = {}
        self.lock = asyncio.Lock()
        self.loads = False
        self._child = child
        self._program = program
        self._folder = folder
        self._held: int | None = None
        self._ended: dict[str, asyncio.Event] = {}
        client: Any = Client(self.turns, permission, said)
        self._link = acp.connect_to_agent(client, Pipe(child))

    @classmethod
    async def start(cls, argv: Sequence[str], folder: str, permission: str, said: dict[str, str]) -> Peer:
        """Start a program and greet it.

        Raises:
            AgentAwayError: it cannot be started, ends at once, or speaks no protocol that we speak.
        """
        import acp  # noqa: PLC0415  see build
        from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation  # noqa: PLC0415

        try:
            child, held = await _started(argv, folder)
        except OSError as error:
            raise AgentAwayError(f"{argv[0]} could not be started: {error.strerror or error}") from error
        peer = cls(child, argv[0], folder, permission, said)
        peer._held = held
        offered = ClientCapabilities(
            fs=FileSystemCapabilities(read_text_file=False, write_text_file=False), terminal=False
        )
        try:
            async with asyncio.timeout(START_S):
                told = await peer._asked(
                    peer._link.initialize(acp.PROTOCOL_VERSION, offered, Implementation(name="buoy", version="1"))
                )
        except TimeoutError:
            await peer.end()
            raise AgentAwayError(
                f"{argv[0]} did not answer within {START_S:g} s; does it speak ACP on stdout?"
            ) from None
        except AgentError as error:
            await peer.end()
            raise AgentAwayError(str(error)) from error
        except BaseException:
            await peer.end()
            raise
        peer.loads = bool(told.agent_capabilities and told.agent_capabilities.load_session)
        return peer

    @property
    def is_alive(self) -> bool:
        """It runs, and it has not been told to end."""
        return self._child.exit_code is None and not self._child.is_over_limit

    async def new_session(self) -> str:
        """Make a session."""
        told = await self._in_time(self._link.new_session(cwd=self._folder, mcp_servers=[]))
        return str(told.session_id)

    async def load(self, session: str) -> bool:
        """Load a session of before; False: the agent does not have it any more. What it replays is not an answer."""
        try:
            await self._in_time(self._link.load_session(cwd=self._folder, session_id=session, mcp_servers=[]))
        except AgentAwayError:
            raise
        except AgentError:
            if not self.is_alive:
                raise
            return False
        return True

    async def prompt(self, session: str, blocks: list[Any]) -> str:
        """Run one turn; gives why it ended."""
        ended = self._ended[session] = asyncio.Event()
        asking = asyncio.ensure_future(self._asked(self._link.prompt(session_id=session, prompt=blocks)))
        asking.add_done_callback(lambda _: ended.set())
        try:
            told = await asyncio.shield(asking)  # a cancelled turn still has an end, which `cancel` waits for
        except asyncio.CancelledError:
            asking.add_done_callback(_unheard)
            raise
        return str(told.stop_reason)

    async def cancel(self, session: str) -> None:
        """Tell the agent to end a turn, and wait until it has."""
        for question in self.turns[session].asking:
            question.cancel()  # the protocol wants these answered as cancelled
        await self._asked(self._link.cancel(session_id=session))
        await self._ended[session].wait()

    async def end(self) -> None:
        """End the process with all that it started, and the connection."""
        self._child.kill()
        if self._held is not None:
            os.close(self._held)
            self._held = None
        await self._link.close()
        await self._child.end()

    async def _in_time(self, asking: Any) -> Any:
        try:
            async with asyncio.timeout(SESSION_S):
                return await self._asked(asking)
        except TimeoutError:
            await self.end()
            raise AgentError(f"{self._program} made no session within {SESSION_S:g} s, and was ended") from None

    async def _asked(self, asking: Any) -> Any:
        """Wait for the agent's answer.

        Raises:
            AgentAwayError: it wants to be logged in first.
            AgentError: it refused, or it is gone.
        """
        import acp  # noqa: PLC0415  see build
        from pydantic import ValidationError  # noqa: PLC0415  see build

        try:
            return await asking
        except acp.RequestError as error:
            why = f"{self._program}: {error}{_detail(error.data)}"[:500]
            if error.code == AUTH_REQUIRED:
                raise AgentAwayError(f"{why}; log it in by hand, as the user that Buoy runs as") from error
            raise AgentError(why) from error
        except (ConnectionError, ValidationError) as error:
            if self.is_alive and not isinstance(error, ConnectionError):
                raise AgentError(f"{self._program} answered with what is not ACP: {type(error).__name__}") from error
            await self.end()
            how = "wrote too much at once and was killed" if self._child.is_over_limit else self._child.ended
            raise AgentError(f"{self._program} {how}: {self._child.last_words or 'no word on stderr'}") from error


class Pipe:
    """The process's stdin and stdout as a transport of the package: one JSON document a line."""

    def __init__(self, child: Child) -> None:
        self._child = child

    async def send(self, message: dict[str, Any]) -> None:
        """Hand one message over; a process that is gone is noticed by what is read."""
        self._child.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """Take the next message; None: there will be no more. A line that is none, of a log perhaps, is left out."""
        while (line := await self._child.line()) is not None:
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(told, dict):
                return told
        return None

    async def close(self) -> None:
        """End what is being read."""
        self._child.kill()


async def _started(argv: Sequence[str], folder: str) -> tuple[Child, int | None]:
    """Start a program that ends with us, even where we are killed; gives what holds it, too.

    On Windows nothing does: there it has to end by itself when its stdin does.
    """
    if os.name != "posix":
        return await Child.start(argv, limit=WAITING_LIMIT, cwd=folder), None
    reading, writing = os.pipe()
    try:
        leashed = [sys.executable, "-I", leash.__file__, str(reading), *argv]
        return await Child.start(leashed, limit=WAITING_LIMIT, cwd=folder, fds=[reading]), writing
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)


def _detail(data: Any) -> str:
    """What an error says beside its name."""
    told = data.get("details") or data.get("message") if isinstance(data, dict) else data
    return f": {' '.join(str(told).split())}" if told else ""


def _unheard(asking: asyncio.Future[Any]) -> None:
    """Take the end of a turn that nobody waits for."""
    if not asking.cancelled():
        asking.exception()
