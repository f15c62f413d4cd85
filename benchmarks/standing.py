"""What it costs to be there: from the start of the process to the first answer, and memory while nothing happens."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.processes import CLIENTS, client, connected, simulator, until


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of one Buoy process. ``stop_s``: from SIGTERM to its end."""

    loop: str
    connected_s: float
    """On empty data: token, gateway look-up, IDENTIFY."""
    stop_s: float
    resumed_s: float
    """On the data of the former: RESUME."""
    answered_s: float
    """The same start: the message that had come meanwhile was answered, durably."""
    bare_connected_s: float


@dataclass(frozen=True, slots=True)
class Idle:
    """One connected process that nobody writes to. ``cpu_ms_per_s``: processor time while so."""

    client: str
    loop: str
    rss_mb: float
    uss_mb: float
    cpu_ms_per_s: float


def starts(loop: str, rounds: int, directory: Path | None, tell: Callable[[str], None]) -> Iterator[Start]:
    """Start Buoy, stop it, write to it, start it again; and the bare client once, for comparison."""
    for number in range(rounds):
        tell(f"starts, {loop}, round {number + 1} of {rounds}")
        with tempfile.TemporaryDirectory(dir=directory) as home:
            folder = Path(home)
            with simulator(folder) as sim, client("bare", loop, sim, folder) as one:
                bare = connected(sim, one)
            with simulator(folder) as sim:
                with client("buoy", loop, sim, folder) as one:
                    first = connected(sim, one)
                    time.sleep(0.5)  # READY's row is on disk
                    stopped = one.terminate()
                look = partial(sim.ask, "GET", f"/log?anchor={sim.ask('POST', '/say', text='hello', user=1)['id']}")
                with client("buoy", loop, sim, folder) as one:
                    resumed = connected(sim, one)
                    until(look, "the answer to what was said meanwhile")
                    yield Start(loop, first, stopped, resumed, time.perf_counter() - one.started_at, bare)


def idle(loop: str, seconds: float, directory: Path | None, tell: Callable[[str], None]) -> Iterator[Idle]:
    """Memory of each client, ``seconds`` after it has connected to a platform where nobody speaks."""
    for name in CLIENTS:
        tell(f"idle, {loop}: {name}, {seconds:g} s")
        with tempfile.TemporaryDirectory(dir=directory) as home:
            folder = Path(home)
            with simulator(folder) as sim, client(name, loop, sim, folder) as one:
                connected(sim, one)
                before = one.cpu_s
                time.sleep(seconds)
                spent = one.cpu_s - before
                one.check()
                yield Idle(name, loop, *one.memory, spent / seconds * 1e3)
