"""The agent that runs a program for each message: the text on stdin, the answer on stdout.

The message itself stands in the environment as JSON (`BUOY_MESSAGE`, see :class:`buoy.chat.Message`). The
text on stdin is always whole; the JSON names what was too long for it as ``omitted``. No output: no reply.
"""

from __future__ import annotations

import os
import shlex
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from buoy.agents import message_json
from buoy.agents.child import Child
from buoy.chat import Agent, Message
from buoy.errors import AgentAwayError, AgentError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OUTPUT_LIMIT: Final = 1024 * 1024
EXIT_AWAY: Final = 68  # ours: what the program needs is away; 69, 70, 74 and 75 are ends of `buoy send` and its like
MESSAGE_LIMIT: Final = 16 * 1024  # Linux allows 128 KiB for one variable, Windows 32 KiB for all of them


def build(rest: str, settings: Mapping[str, Any]) -> Agent:
    """Make the agent from ``PROGRAM``, which may have arguments behind it, and the setting ``args``.

    Raises:
        ConfigError: there is no such program.
    """
    try:
        words = [rest] if shutil.which(rest) else shlex.split(rest, posix=os.name == "posix")
    except ValueError as error:
        raise ConfigError(f"bots.agent.kind (BUOY_AGENT): command:{rest[:80]}: {error}; correct the quotes") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise ConfigError(
            f"bots.agent.kind (BUOY_AGENT): no program {words[0] if words else rest!r} that can be run; "
            "write command:PROGRAM with a program on PATH, or a path to one, and make it executable"
        )
    argv = [program, *words[1:], *settings.get("args", ())]
    return Agent(partial(_answer, argv), name=f"command:{words[0]}", history_turns=settings.get("history_turns") or 0)


async def _answer(argv: Sequence[str], message: Message) -> str:
    """Run the program once.

    Raises:
        AgentAwayError: it ended with 68, "what I need is away".
        AgentError: it could not be started, failed, or wrote too much. Nothing of it is left, ever.
    """
    env = {"BUOY_MESSAGE": message_json.encode(message, MESSAGE_LIMIT)}
    try:
        child = await Child.start(argv, limit=OUTPUT_LIMIT, env=env)
    except OSError as error:
        raise AgentError(f"{argv[0]} could not be started: {error.strerror or error}") from error
    try:
        child.write(message.text.encode(errors="replace"), last=True)
        await child.drained()
    finally:
        await child.end()
    if child.is_over_limit:
        raise AgentError(f"{argv[0]} wrote more than {OUTPUT_LIMIT} bytes and was killed")
    if child.exit_code:
        kind = AgentAwayError if child.exit_code == EXIT_AWAY else AgentError
        raise kind(f"{argv[0]} {child.ended}: {child.last_words or 'no word on stderr'}")
    return child.output.decode(errors="replace").strip()
