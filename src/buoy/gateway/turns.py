"""How turns are to run, and one that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from buoy.letters import Event


@dataclass(frozen=True, slots=True)
class Turns:
    """How turns run. ``attempts`` counts failed runs, and unclean ends while alone.

    A message that is older than ``late_after_s`` when its turn comes tells the agent so; with ``skips_late`` it ends
    without one, unless a person asked for this run.
    """

    timeout_s: float = 600.0
    parallel: int = 64
    attempts: int = 5
    late_after_s: float = 900.0
    skips_late: bool = False


@dataclass(slots=True)
class Running:
    """One turn under way."""

    event: Event
    task: asyncio.Task[None] | None = None
    is_stopped_by_user: bool = False
