"""Real processes for tests: the simulated platform as judge, and Buoy as its user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

APP_ID, SECRET = "102000001", "SIMSECRETSIMSECRET01"
ROOT = Path(__file__).parents[2]
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the simulator is here, whatever the proxy


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0, step_s: float = 0.02) -> Any:
    """Poll something that another process does; returns the first true value."""
    ends_at = time.monotonic() + timeout_s
    while time.monotonic() < ends_at:
        if value := condition():
            return value
        time.sleep(step_s)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


class Platform:
    """A `buoy sim` process and its control API."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "buoy.sim", *options], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.api_base: str = told["api_base"]
        self.control_url: str = told["control_url"]

    def ask(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(
            self.control_url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with _DIRECT.open(request, timeout=10) as answer:
            return json.load(answer)

    def say(self, text: str, **switches: Any) -> str:
        return str(self.ask("POST", "/say", text=text, **switches)["id"])

    def network(self, mode: str) -> None:
        self.ask("POST", "/network", mode=mode)

    def state(self) -> dict[str, Any]:
        return dict(self.ask("GET", "/state"))

    def answers(self, message_id: str) -> list[dict[str, Any]]:
        return [one for one in self.ask("GET", "/log") if one["anchor"] == message_id]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def platform(*options: str) -> Iterator[Platform]:
    one = Platform(*options)
    try:
        yield one
    finally:
        one.stop()


class Buoy:
    """One data directory, and the processes that run on it one after the other."""

    def __init__(self, directory: Path, api_base: str, **environ: str) -> None:
        self.directory = directory
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("QQ", "BUOY", "OPENAI"))}
        self.environ = clean | {
            "QQ_APP_ID": APP_ID,
            "QQ_CLIENT_SECRET": SECRET,
            "QQ_API_BASE": api_base,
            "BUOY_DATA_DIR": str(directory),
            "BUOY_LISTEN": "off",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONUNBUFFERED": "1",
        }
        self.environ |= environ
        self.process: subprocess.Popen[str] | None = None
        self.starts = 0
        self.log_folder = directory.parent

    @property
    def log(self) -> Path:
        return self.log_folder / (self.directory.name + ".log")

    def start(self, *, wait: bool = True) -> subprocess.Popen[str]:
        with self.log.open("a") as log:
            live = self.log.read_text().count('"now": "live"')
            self.process = subprocess.Popen(
                [sys.executable, "-m", "buoy", "run"],
                env=self.environ,
                stderr=log,
                stdout=log,
                text=True,
                cwd=ROOT,
            )
        self.starts += 1
        if wait:
            wait_until(
                lambda: self.log.read_text().count('"now": "live"') > live or self.exit_code is not None,
                "live",
            )
        return self.process

    def lines(self, event: str) -> int:
        return self.log.read_text().count(f'"event": "{event}"') if self.log.exists() else 0

    @property
    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def terminate(self) -> float:
        """SIGTERM; returns how many seconds the process took to end."""
        assert self.process is not None
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        return time.monotonic() - began

    def command(self, *arguments: str, timeout_s: float = 40) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "buoy", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=ROOT,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.command("status", "--json").stdout))

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextmanager
def buoy(directory: Path, api_base: str, **environ: str) -> Iterator[Buoy]:
    one = Buoy(directory, api_base, **environ)
    try:
        yield one
    finally:
        one.close()
