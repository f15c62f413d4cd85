"""Faults of the simulated platform with somebody who has them: a running Buoy, or only settings; and a doctor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from buoy.config import Config, load
from buoy.faces.control import Control
from buoy.faces.doctor.examination import Deadlines, examine
from buoy.faces.doctor.judge import judge
from buoy.faces.doctor.processes import VARIABLES
from buoy.faces.doctor.verdicts import Finding, Level, Verdict
from buoy.faces.wiring import handlers
from buoy.sim import Sim
from tests.rules.running import APP_ID, SECRET, Buoy, prepared

QUICK = Deadlines(call_s=1.0, walk_s=1.0, trial_s=1.5, spacing_s=0.0, agent_s=2.0)
PATIENT = Deadlines(call_s=5.0, walk_s=2.0, trial_s=3.0, spacing_s=0.0, agent_s=2.0)

Script = Callable[[Sim, Buoy], Awaitable[None]]


def environment(sim: Sim, directory: Path, **more: str) -> dict[str, str]:
    """What `buoy doctor` is started with; the proxies are this process's, as a running Buoy here has them."""
    proxies = {name: value for name, value in os.environ.items() if name.lower() in VARIABLES}
    return proxies | {
        "QQ_APP_ID": APP_ID,
        "QQ_CLIENT_SECRET": SECRET,
        "QQ_API_BASE": sim.api_base,
        "BUOY_DATA_DIR": str(directory),
        "BUOY_LISTEN": "off",
        "BUOY_ALERTS": "http://127.0.0.1:1/alerts",
        **more,
    }


async def findings(
    sim: Sim, directory: Path, *, connect: bool | None = False, deadlines: Deadlines = QUICK, **more: str
) -> list[Finding]:
    """What the doctor finds."""
    environ = environment(sim, directory, **more)
    config = load(None, environ)
    return judge(await examine(config, environ, connect=connect, wall=sim.clock.now, deadlines=deadlines))


def named(found: list[Finding]) -> set[Verdict]:
    """The verdicts that are no praise; that nothing runs is known where nothing was started."""
    bad = {finding.verdict for finding in found if finding.level is not Level.OK and finding.verdict is not None}
    return bad - {Verdict.NOT_RUNNING}


@asynccontextmanager
async def awake(buoy: Buoy) -> AsyncIterator[None]:
    """It runs, and answers its control socket."""
    await buoy.start()
    control = Control(buoy.directory, handlers(buoy.app))
    await control.start()
    try:
        yield
    finally:
        await control.stop()
        await buoy.stop()


@asynccontextmanager
async def running(
    directory: Path, account: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Sim, Buoy]]:
    """A Buoy that runs and answers its control socket."""
    async with prepared(directory, **settings) as (sim, buoy):
        buoy.account |= account or {}
        async with awake(buoy):
            yield sim, buoy


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for something that no event tells of, such as a time that passes."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


__all__ = ["PATIENT", "QUICK", "Config", "awake", "environment", "findings", "named", "running", "until"]
