"""A send from outside of a gateway waits for a slow disk: nobody is there to try it again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from buoy.errors import NotStoredError
from buoy.faces.hermes.standalone import AGAIN_S, PATIENCE_S, stored
from tests import clock


class Disk:
    """It takes nothing before its time has come."""

    def __init__(self, slow_s: float) -> None:
        self.slow_s = slow_s
        self.tries = 0

    async def attempt(self) -> dict[str, Any]:
        self.tries += 1
        if asyncio.get_running_loop().time() - clock.START < self.slow_s:
            raise NotStoredError("not stored")
        return {"id": 1, "state": "sent"}


@pytest.mark.parametrize(("slow_s", "tries"), [(0.0, 1), (AGAIN_S * 3 - 0.1, 4), (PATIENCE_S, 41)])
def test_what_the_disk_did_not_take_is_tried_again(slow_s: float, tries: int) -> None:
    disk = Disk(slow_s)
    assert clock.run(stored(disk.attempt)) == {"id": 1, "state": "sent"}
    assert disk.tries == tries


def test_a_disk_that_takes_nothing_is_told_of() -> None:
    disk = Disk(PATIENCE_S + 60)
    with pytest.raises(NotStoredError):
        clock.run(stored(disk.attempt))
    assert disk.tries == PATIENCE_S / AGAIN_S + 1
