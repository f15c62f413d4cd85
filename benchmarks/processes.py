"""The processes that take part: the simulated platform, and one client of it, bare or Buoy; Linux only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, Final, TypeVar
from urllib.parse import urlsplit

import psutil

from buoy.sim.simulator import DEFAULT_BOT

ROOT: Final = Path(__file__).parents[1]
POLL_S: Final = 0.005
PATIENCE_S: Final = 60.0
CLIENTS: Final = ("bare", "buoy")
LOOPS: Final = ("uvloop", "asyncio")
SPOIL: Final = "import sys; sys.modules['uvloop'] = None; "  # its import fails, so asyncio's own loop is taken

T = TypeVar("T")


class BenchmarkError(Exception):
    """A run that says nothing about speed: one line with the cause."""


def until(look: Callable[[], T], what: str, *, patience_s: float = PATIENCE_S, poll_s: float = POLL_S) -> T:
    """Look again and again; give the first answer that is true."""
    ends_at = time.perf_counter() + patience_s
    while not (found := look()):
        if time.perf_counter() > ends_at:
            raise BenchmarkError(f"not within {patience_s:g} s: {what}")
        time.sleep(poll_s)
    return found


class Process:
    """One process that is measured. Its output goes to ``log``."""

    def __init__(self, command: list[str], *, log: Path, environ: dict[str, str] | None = None) -> None:
        self.started_at = time.perf_counter()
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=out
            )

    @property
    def output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads so far, exact: clock_getcpuclockid(3) of its pid."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    @property
    def memory(self) -> tuple[float, float]:
        """RSS and USS in MB (10^6 bytes)."""
        told = psutil.Process(self._process.pid).memory_full_info()
        return told.rss / 1e6, told.uss / 1e6

    def check(self) -> None:
        """Raise if it has ended by itself."""
        if (code := self._process.poll()) is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise BenchmarkError(f"a process ended with exit code {code}: {' '.join(said)[:300]}")

    def terminate(self) -> float:
        """Ask it to end; seconds that it took."""
        asked_at = time.perf_counter()
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        return time.perf_counter() - asked_at

    def end(self) -> None:
        """Make it end now."""
        self._process.kill()
        self._process.wait()
        self.output.close()


class Simulator(Process):
    """`python -m buoy.sim --no-limits` and its control API, over one kept connection."""

    def __init__(self, folder: Path) -> None:
        super().__init__(["-m", "buoy.sim", "--no-limits"], log=folder / "sim.log")
        line = self.output.readline()
        if not line:
            self.check()
        told = json.loads(line)
        self.api: str = told["api_base"]
        where = urlsplit(told["control_url"])
        assert where.hostname is not None
        self._line = HTTPConnection(where.hostname, where.port, timeout=10)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        self._line.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = self._line.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            raise BenchmarkError(f"the simulator refused {method} {path}: {told}")
        return told

    def is_heard(self) -> bool:
        """Somebody is connected."""
        return any(session["live"] for session in self.ask("GET", "/state")["sessions"])

    def end(self) -> None:
        self._line.close()
        super().end()


def command_of(client: str, loop: str) -> list[str]:
    """The words that start one client on one event loop."""
    if client == "buoy":
        if loop == "uvloop":
            return ["-m", "buoy", "run"]
        return ["-c", SPOIL + "from buoy.faces.main import main; main()", "run"]
    if loop == "uvloop":
        return ["-m", "benchmarks.bare"]
    return ["-c", SPOIL + "import runpy; runpy.run_module('benchmarks.bare', run_name='__main__')"]


def environment(api: str, data: Path) -> dict[str, str]:
    """Nothing of the caller's settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("QQ", "BUOY", "OPENAI"))}
    return clean | {
        "QQ_APP_ID": DEFAULT_BOT[0],
        "QQ_CLIENT_SECRET": DEFAULT_BOT[1],
        "QQ_API_BASE": api,
        "BUOY_DATA_DIR": str(data),
        "PYTHONPATH": str(ROOT / "src"),
    }


@contextmanager
def simulator(folder: Path) -> Iterator[Simulator]:
    one = Simulator(folder)
    try:
        yield one
    finally:
        one.end()


@contextmanager
def client(name: str, loop: str, sim: Simulator, folder: Path) -> Iterator[Process]:
    """Start one client, Buoy on the data in ``folder``; it may not be connected yet."""
    words = command_of(name, loop)
    if name == "bare":
        words += [sim.api, *DEFAULT_BOT]
    one = Process(words, log=folder / f"{name}.log", environ=environment(sim.api, folder / "data"))
    try:
        yield one
    finally:
        one.end()


def connected(sim: Simulator, one: Process) -> float:
    """Wait until it hears the platform; seconds since its start."""

    def look() -> bool:
        one.check()
        return sim.is_heard()

    until(look, "connected")
    return time.perf_counter() - one.started_at
