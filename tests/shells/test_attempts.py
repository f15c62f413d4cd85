"""Behaviour S5: whatever an attempt hangs in, it is given up within its budget, and the next one shares nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from buoy.protocol import wire
from tests import clock
from tests.measure import measured
from tests.shells.rig import Rig, rig

BUDGET_S = 45.0
PAUSE_S = 1.2  # the first retry comes at once


def _token(r: Rig) -> None:
    r.network.is_half_open = True


def _look_up(r: Rig) -> None:
    """The token is at hand, and then nothing answers any more."""
    r.network.world.issue_token(r.network.world.bot(), r.network.wall())
    ask = r.network.http.request

    async def first(method: str, url: object, **rest: object) -> object:
        r.network.is_half_open = not str(url).endswith(wire.TOKEN_PATH)
        return await ask(method, url, **rest)  # type: ignore[arg-type]

    vars(r.network.http)["request"] = first


def _handshake(r: Rig) -> None:
    r.network.hangs_sockets = True


def _fault(kind: str) -> Callable[[Rig], None]:
    def add(r: Rig) -> None:
        r.network.world.faults.add(kind, count=None)

    return add


@pytest.mark.parametrize(
    "hang",
    [_token, _look_up, _handshake, _fault("no_hello"), _fault("no_ready")],
    ids=["token", "look-up", "handshake", "hello", "ready"],
)
def test_an_attempt_that_hangs_ends_within_its_budget(hang: Callable[[Rig], None]) -> None:
    async def main() -> None:
        async with rig() as r:
            hang(r)
            began = r.loop.time()
            r.start()
            await r.until(lambda: r.connection.state.attempt == 1, 100, 0.1)
            await r.until(lambda: r.connection.state.attempt_at > began + 1, 100, 0.1)  # the next one runs
            measured(5, "an attempt that hangs is followed by the next", r.loop.time() - began, BUDGET_S + PAUSE_S)
            assert len(r.network.open) <= 1
            await asyncio.sleep(300)
            sockets = r.network.sockets
            assert len({id(socket) for socket in sockets}) == len(sockets)
            assert len(r.network.open) <= 1, "what was given up is closed"

    clock.run(main())
