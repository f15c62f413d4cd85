"""Planted bugs: the world is not blind. Each is a real mistake of this field, and names the invariant that finds it.

A bug is planted by replacing functions of the real code while one world is lived through.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from msgspec.structs import replace as change

from buoy.durable import inbox, outbox, sessions
from buoy.gateway.app import App
from buoy.gateway.line import TurnLine
from buoy.gateway.sender import Sender
from buoy.letters import End, LetterState, Plan, Proactive
from buoy.platforms.qq import platform
from buoy.platforms.qq.connection import Connection
from buoy.platforms.qq.delivery import Delivery
from buoy.platforms.qq.platform import QQ
from buoy.protocol import limits, rest
from buoy.protocol import session as m
from buoy.protocol.session import closing
from buoy.transport.token import TokenSource

Change = tuple[Any, Any, Any]
"""Where, which name, and what stands there instead."""
Result = tuple[m.State, tuple[m.Command, ...]]


@dataclass(frozen=True)
class Bug:
    """One planted bug. ``seen_in`` is where it, or its like, was found; ``found_by`` the invariants that see it."""

    name: str
    seen_in: str
    found_by: frozenset[str]
    changes: Callable[[], list[Change]]
    seed: int = 1
    """A world that is known to find it: where to look first."""


BUGS: dict[str, Bug] = {}
SEEDS = {
    "backoff reset on connect": 2,
    "sequence before commit": 2,
    "fresh msg seq per attempt": 2,
    "the hundredth try is the last": 6,
    "close 1000 is the end": 6,
    "cursor passes over holes": 4,
    "claims outlive their process": 2,
    "duplicate refusal is a failure": 2,
    "send waits for the websocket": 3,
    "refused token is kept": 24,
    "held letters are forgotten": 3,
    "proactive message is repeated": 5,
    "a failed letter is overtaken": 5,
}
"""Worlds in which they were found, where not in the first."""


def bug(seen_in: str, *found_by: str) -> Callable[[Callable[[], list[Change]]], Callable[[], list[Change]]]:
    """Register a planted bug under the name of its function."""

    def register(changes: Callable[[], list[Change]]) -> Callable[[], list[Change]]:
        name = changes.__name__.replace("_", " ")
        BUGS[name] = Bug(name, seen_in, frozenset(found_by), changes, SEEDS.get(name, 1))
        return changes

    return register


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Plant a bug for as long as the block runs."""
    changes = BUGS[name].changes() if name else []
    before = [
        (where, what, where[what] if isinstance(where, dict) else vars(where)[what]) for where, what, _ in changes
    ]
    for where, what, new in changes:
        _set(where, what, new)
    try:
        yield
    finally:
        for where, what, old in before:
            _set(where, what, old)


def _set(where: Any, what: Any, value: Any) -> None:
    if isinstance(where, dict):
        where[what] = value
    else:
        setattr(where, what, value)


def _step(twist: Callable[[m.State, m.Event, float, m.State, tuple[m.Command, ...]], Result]) -> list[Change]:
    """The session machine with a twist."""
    real = m.step

    def step(s: m.State, e: m.Event, now: float) -> Result:
        after, commands = real(s, e, now)
        return twist(s, e, now, after, commands)

    return [(m, "step", step)]


def _and_nobody_looks(changes: list[Change]) -> list[Change]:
    """The listen loop has ended, and whoever started it does not know: there is no supervisor."""
    real = Connection.run

    async def run(self: Connection) -> None:
        await real(self)
        await asyncio.get_running_loop().create_future()

    return [*changes, (Connection, "run", run)]


READY, ONCE, ANSWERED, ENDS = "READY within the bound", "answered once", "answered", "every letter ends"
STORED, GAP, PACE = "stored before acknowledged", "a gap is told", "connects within the pace"
HONEST, NO_WS, TURNS = "connected means connected", "sending needs no WebSocket", "every turn ends"


# --- the eight of style.md --------------------------------------------------------------------------------------


@bug("QwenPaw#2796; Hermes 0.19: 56 connects in 12 s", PACE)
def backoff_reset_on_connect() -> list[Change]:
    return _step(
        lambda _, e, __, after, commands: (
            change(after, attempt=0, full_at=-math.inf) if isinstance(e, m.Opened) else after,
            commands,
        )
    )


@bug("all eight that were measured", READY)
def no_hello_deadline() -> list[Change]:
    return _step(
        lambda _, __, ___, after, commands: (
            change(after, deadline=math.inf) if after.phase is m.Phase.GREETING else after,
            commands,
        )
    )


@bug("all eight that were measured", READY)
def no_ready_deadline() -> list[Change]:
    waits = {m.Phase.IDENTIFYING, m.Phase.RESUMING}
    return _step(
        lambda _, __, ___, after, commands: (
            change(after, deadline=math.inf) if after.phase in waits else after,
            commands,
        )
    )


@bug("OpenClaw's engine, qqbot-agent-sdk: the sequence is saved before the event is", STORED)
def sequence_before_commit() -> list[Change]:
    def twist(_: m.State, __: m.Event, ___: float, after: m.State, commands: tuple[m.Command, ...]) -> Result:
        seen = after.session.seen if after.session else 0
        return after, tuple(change(c, stored=seen) if isinstance(c, m.SendResume) else c for c in commands)

    return [*_step(twist), *cursor_passes_over_holes()]


@bug("H#119848, OpenClaw: the same event twice is handled twice", ONCE)
def no_dedupe() -> list[Change]:
    real, number = inbox.put, itertools.count()

    def put(db: Any, arrival: Any, boot: int | None) -> Any:
        found = real(db, arrival, boot)
        if found.fresh or not arrival.turn:
            return found
        return real(db, replace(arrival, key=f"{arrival.key}#{next(number)}"), boot)

    return [(inbox, "put", put)]


@bug("all that were measured: nobody is told", GAP)
def silent_gap() -> list[Change]:
    return _step(
        lambda _, __, ___, after, commands: (after, tuple(c for c in commands if not isinstance(c, m.RecordGap)))
    )


@bug("Hermes: shutdown waits for sends that wait for the WebSocket", "stop within the deadline")
def stop_that_waits() -> list[Change]:
    real = App.stop

    async def stop(self: App, *, deadline_s: float) -> None:
        while not all(line.connection.state.connected for line in self.platforms.values()):  # type: ignore[attr-defined]
            await asyncio.sleep(0.5)
        await real(self, deadline_s=deadline_s)

    return [(App, "stop", stop)]


@bug("most that were measured: a time-out becomes a second copy", ONCE)
def fresh_msg_seq_per_attempt() -> list[Change]:
    real = Delivery.deliver

    async def deliver(self: Delivery, letter: Any) -> Any:
        seq = letter.seq if letter.seq is None or letter.attempts < 2 else letter.seq + 1000 * letter.attempts
        return await real(self, replace(letter, seq=seq))

    return [(Delivery, "deliver", deliver)]


# --- of connections ---------------------------------------------------------------------------------------------


@bug("H#21851, OpenClaw: gives up after 100 reconnects", READY)
def the_hundredth_try_is_the_last() -> list[Change]:
    real = m.step
    return _and_nobody_looks(
        _step(lambda s, e, now, after, cmds: real(after, m.Stop(), now) if after.attempt >= 100 else (after, cmds))
    )


@bug("OpenClaw, qq-botpy-sdk: a normal close ends it", READY)
def close_1000_is_the_end() -> list[Change]:
    real = m.step
    return _and_nobody_looks(
        _step(
            lambda s, e, now, after, cmds: (
                real(after, m.Stop(), now) if isinstance(e, m.Closed) and e.code == 1000 else (after, cmds)
            )
        )
    )


@bug("five of the six that were read ignore op 11", READY, HONEST)
def acks_are_not_counted() -> list[Change]:
    return _step(lambda _, __, ___, after, commands: (change(after, missed=0), commands))


@bug("qq-botpy-sdk, openclaw-qqbot, OpenClaw: 4009 clears the session", "no session is given up needlessly")
def close_4009_drops_the_session() -> list[Change]:
    return [(closing.CLOSE_ACTIONS, 4009, closing.Action.IDENTIFY)]


@bug("nonebot, botpy: RESUME again and again after 4006", READY)
def resumes_for_ever() -> list[Change]:
    codes = [4006, 4007, 4902]
    return [
        *((closing.CLOSE_ACTIONS, code, closing.Action.RESUME) for code in codes),
        (limits, "SHORT_LIVED_LIMIT", 10**9),
    ]


@bug("all Hermes pull requests: fatal ends were silent", READY)
def blocked_is_the_end() -> list[Change]:
    real = m.step
    return _and_nobody_looks(
        _step(
            lambda s, e, now, after, cmds: (
                real(after, m.Stop(), now) if after.phase is m.Phase.BLOCKED else (after, cmds)
            )
        )
    )


@bug("a design error that decision 8 rules out", STORED)
def cursor_passes_over_holes() -> list[Change]:
    real = sessions.advance

    def advance(db: Any, arrival: Any) -> bool:
        return real(db, replace(arrival, after=0))

    return [(inbox, "advance", advance)]


# --- of turns ---------------------------------------------------------------------------------------------------


@bug("OC#109996: a turn that the crash interrupted is never run again", TURNS)
def claims_outlive_their_process() -> list[Change]:
    return [(inbox, "void_claims", lambda _, __: [])]


@bug("PraisonAI#2723: done is recorded first, the answer afterwards", ANSWERED)
def done_before_its_letters() -> list[Change]:
    async def finish(self: TurnLine, replies: Any, *, reason: str = "") -> None:
        await self._desk.sender.commits.insist(inbox.finish, self._event.id, self._desk.wall(), reason)
        if replies:
            await self._insist(self._desk.sender.compose(self._event, replies), None)

    return [(TurnLine, "finish", finish)]


# --- of letters -------------------------------------------------------------------------------------------------


@bug("the report that began it all: send() waits 15 s for the WebSocket", NO_WS)
def send_waits_for_the_websocket() -> list[Change]:
    real = QQ.deliver

    async def deliver(self: QQ, letter: Any) -> Any:
        for _ in range(30):
            if self.connection is not None and self.connection.state.connected:
                break
            await asyncio.sleep(0.5)
        return await real(self, letter)

    return [(QQ, "deliver", deliver)]


@bug("qq-botpy, Hermes 0.13: a refused token is never fetched anew", NO_WS, ENDS)
def refused_token_is_kept() -> list[Change]:
    return [(TokenSource, "refused", lambda _, __: None)]


@bug("botpy#235, nanobot#1499: msg_seq is always 1", ANSWERED, ENDS, "nothing dies that could live")
def msg_seq_is_always_1() -> list[Change]:
    real = Delivery.deliver

    async def deliver(self: Delivery, letter: Any) -> Any:
        return await real(self, replace(letter, seq=letter.seq and 1))

    return [(Delivery, "deliver", deliver)]


@bug(
    "bot-docs: the duplicate refusal means delivered, and was taken for a failure",
    "a duplicate refusal means delivered",
)
def duplicate_refusal_is_a_failure() -> list[Change]:
    real = rest.parse_answer

    def parse_answer(*told: Any, **named: Any) -> Any:
        return real(*told, **(named | {"repeat": False}))

    return [(rest, "parse_answer", parse_answer)]


@bug("H#99144: what was held is forgotten by a restart", "held until the next contact")
def held_letters_are_forgotten() -> list[Change]:
    return [(outbox, "lanes_with_held", lambda _: [])]


@bug("OC#87177: a proactive message is sent again after a time-out", ONCE)
def proactive_message_is_repeated() -> list[Change]:
    real = vars(platform)["plan"]

    def plan(letter: Any, *told: Any, **named: Any) -> Plan:
        found = real(letter, *told, **named)
        in_doubt = isinstance(found, End) and found.state is LetterState.UNSURE and letter.seq is None
        return Proactive() if in_doubt else found

    return [(platform, "plan", plan)]


@bug("OpenClaw: the next chunk is sent even if one failed", "order is kept")
def a_failed_letter_is_overtaken() -> list[Change]:
    def postpone(self: Sender, lane: Any, letter: Any, delay_s: float = 0.0) -> None:
        self._active -= 1
        self._lanes.release(lane)
        asyncio.get_running_loop().call_later(max(delay_s, 0.2), self.revive, letter)
        self.pump()

    return [(Sender, "postpone", postpone)]
