"""The agent behind an Agent Client Protocol program: `acp:PROGRAM args`, spoken to over stdin and stdout.

One process for each bot, one session for each conversation, one prompt for each message; what the protocol says is the
business of the package `agent-client-protocol`. A process that died is started again with the next message, and where
it can load sessions each conversation goes on in its own.

A prompt cannot be found again after a crash: the protocol has no name for it. So it is sent again, and what the agent
did before it was interrupted it may do twice. Nothing is said before the turn ends, so no answer comes twice.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from buoy.agents import consent, words
from buoy.agents.acp_client import Turn
from buoy.agents.acp_peer import Peer
from buoy.agents.conversation import question
from buoy.agents.notebook import Notebook
from buoy.chat import Agent, Message
from buoy.errors import AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


CANCEL_S: Final = 2.0  # how long an agent may take to end a turn that nobody wants any more


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from ``PROGRAM args``, and the settings ``args``, ``cwd`` and ``permission``.

    Raises:
        ConfigError: there is no such program or folder, or the package is missing.
    """
    try:
        said = [rest] if shutil.which(rest) else shlex.split(rest, posix=os.name == "posix")
    except ValueError as error:
        raise ConfigError(f"bots.agent.kind (BUOY_AGENT): acp:{rest[:80]}: {error}; correct the quotes") from None
    program = shutil.which(said[0]) if said else None
    if program is None:
        raise ConfigError(
            f"bots.agent.kind (BUOY_AGENT): no program {said[0] if said else rest!r} that can be run; "
            "write acp:PROGRAM with a program on PATH, or a path to one, and make it executable"
        )
    folder = Path(settings.get("cwd") or Path.cwd()).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"bots.agent.cwd: no folder {str(folder)!r}; name the one that the agent works in")
    try:
        import acp  # noqa: F401, PLC0415  40 MB that other agents need not pay
    except ImportError:
        raise ConfigError(
            "bots.agent.kind (BUOY_AGENT): acp needs a package that is not installed: pip install 'buoy-qq[acp]'"
        ) from None
    notes = Notebook(settings["state"].with_suffix(".sessions") if settings.get("state") else None)
    agent = Acp([program, *said[1:], *settings.get("args", ())], folder.resolve(), notes, settings)
    return Agent(agent.answer, name=f"acp:{said[0]}", close=agent.close)


class Acp:
    """Keeps the process, and the session of each conversation."""

    def __init__(self, argv: Sequence[str], folder: Path, notes: Notebook, settings: Mapping[str, Any]) -> None:
        self._argv = argv
        self._folder = str(folder)
        self._notes = notes
        self._permission = settings.get("permission") or consent.ASK
        self._words = words.of(settings.get("language") or "en")
        self._peer: Peer | None = None
        self._starting = asyncio.Lock()

    async def answer(self, message: Message) -> str:
        """Send one prompt, and give what the agent said until it ended its turn.

        Cancelled with a reason (`/stop`, too late), the agent is told to cancel, and a process that does not is ended;
        cancelled without one, because Buoy stops, :meth:`close` ends it.

        Raises:
            AgentAwayError: the program cannot be started, or says that it has not been logged in.
            AgentError: it died in the middle, or refused.
        """
        peer = await self._ready()
        session = await self._session(peer, message.conversation)
        turn = Turn(message)
        peer.turns[session] = turn
        try:
            reason = await peer.prompt(session, _blocks(message))
        except asyncio.CancelledError as gone:
            if gone.args:
                await self._cancel(peer, session)
            raise
        finally:
            peer.turns.pop(session, None)
        text = re.sub(r"\n{3,}", "\n\n", "".join(turn.text)).strip()
        if reason == "refusal" and not text:
            raise AgentError(f"{self._argv[0]} refused to answer this message")
        return "\n\n".join(filter(None, [text, *dict.fromkeys(turn.remarks)]))

    async def close(self) -> None:
        """End the process with all that it started."""
        if self._peer is not None:
            await self._peer.end()

    async def _ready(self) -> Peer:
        """Give the process that runs, or a new one."""
        async with self._starting:
            if self._peer is not None and not self._peer.is_alive:
                await self._peer.end()
                self._peer = None
            if self._peer is None:
                self._peer = await Peer.start(self._argv, self._folder, self._permission, self._words)
            return self._peer

    async def _session(self, peer: Peer, conversation: str) -> str:
        """Give the session of a conversation: the one of before where that can be had, else a new one."""
        async with peer.lock:
            if (known := peer.sessions.get(conversation)) is not None:
                return known
            before = self._notes.get(conversation)
            if before is not None and peer.loads and await peer.load(before):
                peer.sessions[conversation] = before
                return str(before)
            session = await peer.new_session()
            peer.sessions[conversation] = session
            await self._notes.put(conversation, session)
            return session

    async def _cancel(self, peer: Peer, session: str) -> None:
        """Have a turn cancelled; end a process that does not: nobody else may wait behind what it still does."""
        try:
            async with asyncio.timeout(CANCEL_S):
                await peer.cancel(session)
        except (TimeoutError, AgentError):
            await peer.end()


def _blocks(message: Message) -> list[Any]:
    """A message as the protocol's content: its text, and its files as links."""
    import acp  # noqa: PLC0415  see build

    blocks: list[Any] = [acp.text_block(question(message))]
    blocks += [
        acp.resource_link_block(
            file.filename or "file", file.url, mime_type=file.content_type or None, size=file.size or None
        )
        for file in message.attachments
        if file.url
    ]
    return blocks
