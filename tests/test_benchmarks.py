"""The benchmark runs, and its figures have the shape that its document describes; how fast is not asked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run, store, tables, trips
from benchmarks.processes import BenchmarkError, client, connected, simulator

SMALL = ["--rounds", "1", "--messages", "20", "--users", "4", "--warm-up", "4", "--idle-s", "0.1"]

pytestmark = pytest.mark.system


def figures(value: Any) -> list[float]:
    """Every number in a piece of JSON."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return [one for part in inside for one in figures(part)]
    return [value] if isinstance(value, int | float) else []


def test_trips_starts_and_idle_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trips, "SETTLE_S", 0.05)
    file = tmp_path / "samples.json"
    options = [*SMALL, "--only", "trips,starts,idle", "--loops", "asyncio", "--json", str(file), "--markdown"]
    assert run.main([*options, "--directory", str(tmp_path)]) == 0
    told = json.loads(file.read_text())
    assert [(it["client"], it["mode"]) for it in told["trips"]] == [
        ("bare", "closed"), ("bare", "burst"), ("buoy", "closed"), ("buoy", "burst"),
    ]  # fmt: skip
    for it in told["trips"]:
        assert it["per_s"] > 0
        assert it["p50_ms"] <= it["p99_ms"] <= it["max_ms"]
        assert it["cpu_us"] > 0
        assert it["sim_cpu_us"] > 0
    (start,) = told["starts"]
    assert 0 < start["resumed_s"] <= start["answered_s"]
    assert [it["client"] for it in told["idle"]] == ["bare", "buoy"]
    assert all(1 < it["uss_mb"] <= it["rss_mb"] for it in told["idle"])
    assert all(math.isfinite(number) and number >= 0 for number in figures(told))
    printed = capsys.readouterr().out
    assert f"SQLite {told['machine']['sqlite']}" in printed
    for title in ("targets", "20 echoes to 4 users, one burst", "seconds since the start", "connected, idle for 0.1 s"):
        assert f"**{title}" in printed
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "nothing is left behind"


def test_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SECONDS", 0.05)
    told = run.measure_store([50, 200], tmp_path, lambda _: None)
    assert [it["waiters"] for it in told["commits"]] == [1, 8, 32]
    assert [(it["lanes"], it["rows"]) for it in told["full_inbox"]] == [(50, 50), (50, 200), (5000, 50), (5000, 200)]
    assert all(math.isfinite(number) and number > 0 for number in figures(told))
    commits, message, full = tables.of_store(told)
    assert len(commits.rows) == 4
    assert "3 commits" in [row[0] for row in message.rows]
    assert [row[0] for row in full.rows][:2] == ["50 in 50", "200 in 50"]


@pytest.mark.parametrize(("name", "loop"), [("bare", "asyncio"), ("buoy", "asyncio"), ("buoy", "uvloop")])
def test_each_client_runs_on_the_loop_that_its_figures_name(tmp_path: Path, name: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with simulator(tmp_path) as sim, client(name, loop, sim, tmp_path) as one:
        connected(sim, one)
        loaded = Path(f"/proc/{one._process.pid}/maps").read_text()
    assert ("uvloop" in loaded) == (loop == "uvloop")


def test_a_client_that_ended_is_told_at_once(tmp_path: Path) -> None:
    with simulator(tmp_path) as sim, client("bare", "asyncio", sim, tmp_path) as one:
        connected(sim, one)
        one.terminate()
        with pytest.raises(BenchmarkError, match="exit code -15"):
            trips.crowd(sim, one, 1, 1, "closed")


def test_a_ratio_compares_within_its_round() -> None:
    def trip(name: str, number: int, per_s: float) -> trips.Trip:
        return trips.Trip("asyncio", "burst", number, name, per_s, 1.0, 2.0, 3.0, 100.0, 100.0, 40.0)

    made = [trip("bare", 0, 4000), trip("buoy", 0, 3000), trip("buoy", 1, 200), trip("bare", 1, 400)]
    assert tables.ratios(made, lambda it: it.per_s) == [0.75, 0.5]
    assert tables.spread([1.0, 3.0, 2.0]) == "2 (1 to 3)"
    shown = tables.of_targets(made, [], [], "asyncio")
    assert not shown.rows, "a burst decides about no target"


@pytest.mark.parametrize("wrong", [["--only", "trip"], ["--loops", "trio"]])
def test_an_unknown_part_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(wrong)
    assert "choose from" in capsys.readouterr().err
