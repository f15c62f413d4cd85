"""Every scenario on real gateways with our plugin, on the oldest and the newest Hermes; `make test-hermes` runs it.

Nothing here is skipped: an environment that is missing is an error.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.hermes.rig import VERSIONS, gateway
from tests.hermes.scenarios import SCENARIOS, Scenario

SCALE = 0.05

pytestmark = [pytest.mark.hermes, pytest.mark.timeout(180)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_on_a_real_gateway(scenario: Scenario, version: str, tmp_path: Path) -> None:
    if scenario.only_new and version == "old":
        return  # there is nothing of that kind in the old one

    async def play() -> str:
        async with gateway("plugin", version, tmp_path / "home", SCALE) as one:
            try:
                return await scenario.run(one)
            except BaseException:
                print(one.tail(), file=sys.stderr)
                raise

    print(f"{scenario.name}: {asyncio.run(play())}")
