"""Worlds in which an operator is told: what it says of them, and that the judge would notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

# ruff: noqa: E501  a bug stands on one line
ROOT = Path(__file__).parents[2]
BREAK = """
import runpy, sys
from buoy.durable import alerts, schema
from buoy.durable.alerts import end
from buoy.gateway.alerts import rules, service
from buoy.gateway.alerts.rules import problems
{bug}
sys.argv = ["telling", "{seed}", "1", "2"]
runpy.run_module("tests.world.telling", run_name="__main__")
"""


def lived(*arguments: str) -> list[dict[str, Any]]:
    """Run it in a process of its own: a world needs a hash seed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(200)
def test_every_outage_and_every_loss_is_told_once() -> None:
    worlds = lived("-m", "tests.world.telling", "2", "2")
    assert {world["seed"]: world["broken"][:5] for world in worlds if world["broken"]} == {}
    counts: Counter[str] = Counter()
    for world in worlds:
        counts.update(world["counts"])
    assert len(worlds) == 2
    assert counts["outages told"] >= 5
    assert all(counts[f"told: {rule}"] for rule in ("unsure_letter", "refused_letter", "dead_turn", "gap"))


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("bug", "seed", "invariant"),
    [
        (
            "alerts.end = lambda db, alert, at, words, *rest: end(db, alert, at, None, *rest)",
            1,
            "an outage is told once",
        ),
        (
            "service.problems = lambda *at: [p for p in problems(*at) if not p.since or at[2] - p.since < 400]",
            1,
            "over means over",
        ),
        ("rules._bot = lambda *_: ()", 1, "an outage is told"),
        ("alerts.failed = alerts.give_up", 2, "every notice is heard"),
        (
            "schema.open_file.__defaults__ = (tuple(s.replace('INSERT ON gap', 'INSERT ON gap WHEN 0') for s in schema.STEPS),)",
            1,
            "what happens is told",
        ),
    ],
)
def test_the_judge_is_not_blind(bug: str, seed: int, invariant: str) -> None:
    (world,) = lived("-c", BREAK.format(bug=bug, seed=seed))
    assert any(line.startswith(invariant) for line in world["broken"]), world
