"""Who answers: one module per kind, imported only when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from buoy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buoy.chat import Agent

KINDS: Final = ("echo", "openai", "http", "hermes", "acp", "command", "python")
WRITE: Final = "echo, openai, http:URL, hermes, acp:PROGRAM, command:PROGRAM or python:MODULE:FUNCTION"
SETTING: Final = "bots.agent.kind (BUOY_AGENT)"


def build(kind: str, settings: Mapping[str, Any] | None = None) -> Agent:
    """Make the agent of this kind: one of :data:`KINDS`, with what it takes behind a colon, see :data:`WRITE`.

    ``settings`` are the other keys of the agent's table; what is missing has its default. Beside them:
    ``state``, a path to which an agent adds a suffix of its own for what it has to know after a restart; ``language``,
    in which it speaks for itself. Nothing is started yet; ``Agent.close`` ends whatever the agent started.

    Raises:
        ConfigError: the agent cannot be made; one line that names the setting and the remedy.
    """
    settings = settings or {}
    family, _, rest = kind.partition(":")
    if family not in KINDS:
        raise ConfigError(f"{SETTING}: {kind[:80]!r} is no agent; write {WRITE}")
    agent = cast("Agent", import_module(f"buoy.agents.{family}").build(rest.strip(), settings))
    timeout_s = settings.get("timeout_s")
    return agent if timeout_s is None else replace(agent, timeout_s=timeout_s)
