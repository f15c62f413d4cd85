"""What must hold while a history goes on: live again inside the bound, an honest status, nothing that spins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buoy.platforms.qq.platform import QQ
    from buoy.protocol.session import State
    from tests.world.world import World

CALM_S = 180.0  # after the last fault: one cap interval, one attempt, and the pace
BLOCKED_S = 15 * 60 * 1.15 + 60  # where QQ had refused the bot a slow probe comes first
ROTATION_S = 20.0  # what a rotation of the connection may take
LOOK_S = 600.0
POLL_S = 1.0
SPIN = 200_000  # callbacks between two looks; a busy one has some thousands


class Watch:
    """Looks at one world from outside its processes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._steps = 0
        self._claims: dict[str, float] = {}
        """For how long a bot has said that it is connected while QQ knows of no connection."""

    def begin(self) -> None:
        self._world.heap.later(LOOK_S, self._look)

    def calm(self) -> None:
        """No fault is on any more: within the bound every bot has to be live."""
        world, ended_at = self._world, self._world.weather.ended_at
        blocks = any("block" in kind.touches for _, end, kind in world.weather.spans if end > ended_at - 3600)
        bound = (BLOCKED_S if blocks else CALM_S) + 2 * world.knobs.heartbeat_s  # half-open is seen by then
        if world.knobs.identifies < 1000:
            bound += 86400 / world.knobs.identifies * 3  # what is left is spread over the day
        world.heap.later(bound, self._still_calm, ended_at, False)
        self._poll(ended_at, blocks)

    def _poll(self, ended_at: float, blocks: bool) -> None:  # noqa: FBT001
        """Measure how long it takes until all bots are live, where no other fault comes in between."""
        world, process = self._world, self._world.process
        if world.weather.active or world.weather.ended_at != ended_at or world.is_over:
            return
        if process is not None and process.is_up and all(self._is_live(line) for line in process.lines):
            kind = "blocked" if blocks else "low budget" if world.knobs.identifies < 1000 else "free"
            since = max(ended_at, process.started_at)
            world.slowest[kind] = max(world.slowest.get(kind, 0.0), world.heap.now - since)
        else:
            world.heap.later(POLL_S, self._poll, ended_at, blocks)

    def _still_calm(self, ended_at: float, is_sure: bool) -> None:  # noqa: FBT001
        """The bound is over. QQ rotates connections even in calm weather: then a second look counts."""
        world, process = self._world, self._world.process
        if world.weather.active or world.weather.ended_at != ended_at or process is None or world.is_over:
            return
        if not process.is_up or world.heap.now - process.started_at < CALM_S or process.loop.stands_until is not None:
            return
        away = [line for line in process.lines if not self._is_live(line)]
        if away and not is_sure:
            world.heap.later(ROTATION_S, self._still_calm, ended_at, True)
            return
        for line in away:
            state = _state(line)
            told = "no connection" if state is None else f"{state.phase.value}, {state.cause}: {state.reason}"
            took = world.heap.now - ended_at
            world.break_("READY within the bound", f"bot {line.bot} is {told}, {took:.0f} s after the last fault")

    def _is_live(self, line: QQ) -> bool:
        state = _state(line)
        return state is not None and state.connected and bool(self._world.peers(line.bot))

    def _look(self) -> None:
        """Now and then: what the status claims must be so, and nothing may spin."""
        world, process = self._world, self._world.process
        world.heap.later(LOOK_S, self._look)
        spun, self._steps = world.heap.steps - self._steps, world.heap.steps
        if spun > SPIN:
            world.break_("no hot loop", f"{spun} callbacks in {LOOK_S:.0f} s")
        if process is None or not process.is_up or process.loop.stands_until is not None:
            self._claims.clear()
            return
        for line in process.lines:
            state = _state(line)
            is_honest = state is None or not state.connected or bool(world.peers(line.bot))
            self._claims[line.bot] = 0.0 if is_honest else self._claims.get(line.bot, 0.0) + LOOK_S
            if self._claims[line.bot] > LOOK_S:
                world.break_("connected means connected", f"bot {line.bot} says so for {self._claims[line.bot]:.0f} s")
                self._claims[line.bot] = 0.0


def _state(line: QQ) -> State | None:
    return None if line.connection is None else line.connection.state
