"""How turns are to run, and one that runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from buoy.durable.lanes import Key
    from buoy.gateway.questions import Question
    from buoy.letters import Event


@dataclass(frozen=True, slots=True)
class Words:
    """What a user is told of a turn that ended without an answer. An empty text: nothing."""

    failed: str = ""
    too_long: str = ""
    stopped: str = ""
    idle: str = ""
    """Somebody stops, and nothing runs."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How turns run. ``attempts`` counts failed runs, and unclean ends while alone.

    A message that is older than ``late_after_s`` when its turn comes tells the agent so; with ``skips_late`` it ends
    without one, unless a person asked for this run. After ``typing_after_s`` the user is shown that an answer is being
    written; 0: never.
    """

    timeout_s: float = 600.0
    parallel: int = 64
    attempts: int = 5
    late_after_s: float = 900.0
    skips_late: bool = False
    typing_after_s: float = 3.0
    words: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True)
class Seat:
    """As what an arrival may be stored that need not wait: it is claimed by the commit that stores it."""

    is_beside: bool = False
    """It joins the turn that runs; otherwise its lane is idle and there is a place."""
    ends: str = ""
    """It needs no turn: the same commit ends it, for this reason."""
    question: Question | None = None
    """What it answers then, where a turn waits for that."""
    choice: int = 0


HEAD = Seat()
BESIDE = Seat(is_beside=True)


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
