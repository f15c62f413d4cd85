"""How turns are to run, and one that runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from buoy.durable.lanes import Key
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


class Seat(Enum):
    """As what an arrival may be stored that need not wait: it is claimed by the commit that stores it."""

    HEAD = auto()  # its lane is idle and there is a place
    BESIDE = auto()  # it joins the turn that runs


@dataclass(slots=True)
class Running:
    """One turn under way."""

    event: Event
    lane: Key | None
    """Where it is out; None: it passed its lane by."""
    has_place: bool = True
    """It counts towards ``Turns.parallel``."""
    is_alone: bool = False
    is_first: bool = False
    """No run came before it: nothing is there to be looked up."""
    began_at: float = 0.0
    """When its agent got it: wall seconds since 1970."""
    task: asyncio.Task[None] | None = None
    is_stopped_by_user: bool = False
