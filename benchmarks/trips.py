"""Round trips: a message goes to the client, its echo comes back; bare and Buoy take turns on fresh simulators."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import CLIENTS, BenchmarkError, Process, Simulator, client, connected, simulator, until

MODES: Final = ("closed", "burst")
SETTLE_S: Final = 0.3  # after the last echo: its row is still being settled
LOOK_S: Final = 0.1  # how often the simulator is asked whether it is over; asking costs it time


@dataclass(frozen=True, slots=True)
class Load:
    """What is said: ``rounds`` times by each client, after a warm-up that does not count."""

    messages: int = 2000
    users: int = 50
    warm_up: int = 500
    rounds: int = 5


@dataclass(frozen=True, slots=True)
class Trip:
    """One run of one client. ``cpu_us`` is processor time a message of all its threads, ``sim_cpu_us`` the judge's."""

    loop: str
    mode: str
    round: int
    client: str
    per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_us: float
    sim_cpu_us: float
    rss_mb: float


def run(loop: str, load: Load, directory: Path | None, tell: Callable[[str], None]) -> Iterator[Trip]:
    """Measure both clients on one event loop, round by round."""
    for number in range(load.rounds):
        for name in CLIENTS:
            tell(f"round trips, {loop}, round {number + 1} of {load.rounds}: {name}")
            yield from one_round(loop, number, name, load, directory)


def one_round(loop: str, number: int, name: str, load: Load, directory: Path | None) -> Iterator[Trip]:
    """One client's turn: a fresh simulator, a fresh process on empty data, a warm-up, then each mode."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        folder = Path(home)
        with simulator(folder) as sim, client(name, loop, sim, folder) as one:
            connected(sim, one)
            if load.warm_up:
                crowd(sim, one, load.warm_up, load.users, "closed")
            for mode in MODES:
                before, sim_before = one.cpu_s, sim.cpu_s
                report = crowd(sim, one, load.messages, load.users, mode)
                spent, sim_spent = one.cpu_s - before, sim.cpu_s - sim_before
                yield Trip(
                    loop, mode, number, name, report["round_trips_per_s"], report["p50_ms"], report["p99_ms"],
                    report["max_ms"], spent / load.messages * 1e6, sim_spent / load.messages * 1e6, one.memory[0],
                )  # fmt: skip


def crowd(sim: Simulator, one: Process, messages: int, users: int, mode: str) -> dict[str, Any]:
    """Let the simulator's users speak, until each has its echo; the simulator's report.

    Raises:
        BenchmarkError: an echo did not come, or came twice; speed means nothing then.
    """
    sim.ask("POST", "/load", users=users, messages=messages, mode=mode)

    def look() -> dict[str, Any] | None:
        one.check()
        report: dict[str, Any] = sim.ask("GET", "/load")
        return report if report["done"] else None

    report = until(look, f"{messages} echoes", poll_s=LOOK_S)
    assert report is not None
    time.sleep(SETTLE_S)
    if twice := sim.ask("GET", "/load")["answered_twice"]:
        raise BenchmarkError(f"{twice} messages were answered twice")
    return report
