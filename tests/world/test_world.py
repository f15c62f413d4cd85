"""The bounded part of the world: hundreds of dense days must hold, and every planted bug must be found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.world.__main__ import summary
from tests.world.bugs import BUGS
from tests.world.weather import KINDS

ROOT = Path(__file__).parents[2]
WORLDS = 60


def world(*options: str, expect: int | None = 0) -> str:
    """Run the command as people do; a world needs a hash seed of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.world", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert expect is None or done.returncode == expect, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Lived once for all tests that look at them."""
    file = tmp_path_factory.mktemp("world") / "days.json"
    world("--seed", "1", "--worlds", str(WORLDS), "--json", str(file), expect=None)
    return list(json.loads(file.read_text("utf-8")))


@pytest.fixture(scope="module")
def hunts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Hunted once."""
    file = tmp_path_factory.mktemp("world") / "bugs.json"
    world("--bugs", "--json", str(file), expect=None)
    return {result["bug"]: result for result in json.loads(file.read_text("utf-8"))}


@pytest.mark.timeout(400)
def test_nothing_breaks(days: list[dict[str, Any]]) -> None:
    broken = {result["seed"]: result["broken"][:5] for result in days if result["broken"]}
    assert not broken, f"replay: python -m tests.world --seed {min(broken)} --days 4 --verbose\n{broken}"
    assert len(days) == WORLDS


@pytest.mark.timeout(400)
def test_the_days_are_dense(days: list[dict[str, Any]]) -> None:
    told = summary(days, 1.0)
    assert told["messages_a_day"] >= 50
    assert told["faults_a_day"] >= 10
    assert told["crashes_a_day"] >= 1


@pytest.mark.timeout(400)
def test_every_kind_of_fault_happens(days: list[dict[str, Any]]) -> None:
    begun: Counter[str] = Counter()
    for result in days:
        begun.update(result["kinds"])
    assert len(KINDS) >= 25
    assert {kind.name for kind in KINDS} == set(begun)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_the_same_seed_is_green_without_it(
    bug: str, hunts: dict[str, dict[str, Any]]
) -> None:
    result = hunts[bug]
    assert result["seed"] is not None, f"the world is blind for it; {result['text']}"
    assert result["found_by"]
    assert result["without"] == []


def test_at_least_sixteen_bugs_are_planted_each_with_its_origin() -> None:
    assert len(BUGS) >= 16
    assert all(bug.seen_in and bug.found_by for bug in BUGS.values())


def test_a_seed_is_replayed_exactly() -> None:
    first = world("--seed", "4", "--days", "1", "--verbose")
    again = world("--seed", "4", "--days", "1", "--verbose")
    assert len(first.splitlines()) > 100
    assert acts(first) == acts(again)


def acts(printed: str) -> list[str]:
    """The world's own lines: what the log says carries the date of today."""
    return [line for line in printed.splitlines() if line.startswith("day ")]


def test_a_broken_history_says_what_happened_and_how_to_see_it_again() -> None:
    printed = world("--seed", "1", "--days", "4", "--bug", "no hello deadline", expect=1)
    assert "READY within the bound: bot 10200000" in printed
    assert "the last 40 actions:" in printed
    assert "replay: python -m tests.world --seed 1 --days 4 --bug 'no hello deadline' --verbose" in printed
