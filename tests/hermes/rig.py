"""The stage of a scenario: simulated QQ, a WebSocket that fails on demand, a fake model, and real Hermes gateways.

Everything that Hermes could share with another run, or with the user of this machine, lies in a folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.fakes_llm import Process as Model
from tests.hermes import judge
from tests.system.processes import APP_ID, ROOT, SECRET, Platform, wait_until
from tests.system.proxy import Proxy

VERSIONS = {"old": "0.13.0", "new": "0.19.0"}
BUOY, BUILTIN = "buoy", "builtin"
PLATFORM = {BUOY: "buoy", BUILTIN: "qqbot"}
HOME_USER = 99
"""The n-th user is the home channel."""
PROMPT_S = 2.0  # a reply whose way is free
EXIT_S = 5.0  # from SIGTERM to the end
BOOT_S = 60.0
STOP_S = 60.0
HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Said:
    """A message of a user: what its answer has to hold, and when it was said (wall seconds)."""

    mark: str
    id: str
    at: float


class Home:
    """One HERMES_HOME, and the gateways that run on it one after the other."""

    def __init__(
        self, folder: Path, column: str, version: str, environ: dict[str, str], *, config: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.platform = PLATFORM[column]
        self.program = ROOT / f".venv-hermes-{version}/bin/hermes"
        assert self.program.exists(), f"{self.program} is missing; `make test-hermes` sets it up"
        (folder / "plugins/rig").mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("within.py"), folder / "plugins/rig/__init__.py")
        (folder / "plugins/rig/plugin.yaml").write_text('name: rig\nversion: "1"\ndescription: for tests\n')
        (folder / "config.yaml").write_text(json.dumps(config, indent=1))  # JSON is YAML
        self.environ = environ | {"HERMES_HOME": str(folder)}
        self.process: subprocess.Popen[bytes] | None = None

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        with (self.folder / "console.log").open("ab") as console:
            self.process = subprocess.Popen(
                [self.program, "gateway", "run", "-v"],
                env=self.environ,
                stdout=console,
                stderr=console,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float | None:
        """SIGTERM; returns the seconds to the end, None where the process had to be killed."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        return time.monotonic() - began

    def close(self) -> None:
        if self.is_alive:
            self.kill()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `hermes` command on this home."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=90,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    # --- look -------------------------------------------------------------------------------------------------

    def state(self) -> str:
        """What Hermes' runtime status says of our platform."""
        try:
            told = json.loads((self.folder / "gateway_state.json").read_text())
        except (OSError, ValueError):
            return ""
        return str(told.get("platforms", {}).get(self.platform, {}).get("state", ""))

    def log(self) -> str:
        """Everything that was said: console and log files."""
        files = [self.folder / "console.log", *sorted((self.folder / "logs").glob("*.log"))]
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    def handed_over_at(self) -> float:
        """When Hermes last had a final reply ready for our platform, in wall seconds; 0: never."""
        log = self.folder / "logs/agent.log"
        lines = [line for line in log.read_text().splitlines() if "] Sending response (" in line]
        return datetime.strptime(lines[-1][:23], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp() if lines else 0.0

    def cpu_s(self) -> float:
        """Processor seconds that the process has used."""
        assert self.process is not None
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / HERTZ


class Rig:
    """Platform, network, model and homes of one scenario."""

    def __init__(self, folder: Path, column: str, version: str, *, is_full: bool) -> None:
        self.folder = folder
        self.column, self.version, self.is_full = column, version, is_full
        self.websocket = Proxy()
        self.qq = Platform("--no-limits", "--heartbeat", "5", "--announce", self.websocket.address)
        host, _, port = self.qq.api_base.removeprefix("http://").partition(":")
        self.websocket.target = (host, int(port))
        self.model = Model()
        self.homes: list[Home] = []
        self.said: list[Said] = []
        self.home_openid = str(self.qq.ask("POST", "/meet", scene="c2c", which=HOME_USER)["target"])

    def close(self) -> None:
        for home in self.homes:
            home.close()
        self.model.stop()
        self.qq.stop()
        self.websocket.close()

    def home(
        self, column: str = "", *, display: dict[str, Any] | None = None, drain_s: float = 0.0, **environ: str
    ) -> Home:
        """Make a home; nothing runs on it yet. ``drain_s``: so long a gateway waits for running turns when it ends.

        Upper-case keywords are for its environment.
        """
        column = column or self.column
        folder = self.folder / f"home{len(self.homes)}"
        api = self.qq.api_base
        extra: dict[str, Any] = {"app_id": APP_ID, "client_secret": SECRET}
        extra |= {"api_base": api} if column == BUOY else {"dm_policy": "open", "group_policy": "open"}
        config: dict[str, Any] = {
            "model": {
                "provider": "custom",
                "default": "fake",
                "base_url": self.model.base_url,
                "api_key": "sk-fake",
                "context_length": 131072,
            },
            "security": {"allow_lazy_installs": False, "tirith_enabled": False},
            "plugins": {"enabled": ["rig", "buoy"] if column == BUOY else ["rig"]},
            "platforms": {PLATFORM[column]: {"enabled": True, "extra": extra}},
            "approvals": {"mode": "manual"},
            "agent": {"restart_drain_timeout": drain_s},  # 0.19's default; 0.13 would wait for running turns, 180 s
        }
        if display:
            config["display"] = display
        told = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder / "user"),
            "HERMES_GATEWAY_LOCK_DIR": str(self.folder / "locks"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "HERMES_DISABLE_LAZY_INSTALLS": "1",
            "NO_PROXY": "127.0.0.1",
            "HTTPS_PROXY": "http://127.0.0.1:9",  # what would leave this machine goes nowhere
        }
        if column == BUOY:
            told |= {"BUOY_ALLOW_ALL_USERS": "true", "BUOY_HOME_CHANNEL": self.home_openid}
        else:
            told |= {
                "QQ_ALLOW_ALL_USERS": "true",
                "QQ_APP_ID": APP_ID,
                "QQ_CLIENT_SECRET": SECRET,
                "QQBOT_HOME_CHANNEL": self.home_openid,
                "RIG_API": api,
            }
            del told["HTTPS_PROXY"]  # the builtin's WebSocket obeys it even for loopback; its REST is redirected
        for name in ("user", "tmp", "locks"):
            (self.folder / name).mkdir(exist_ok=True)
        home = Home(folder, column, self.version, told | environ, config=config)
        self.homes.append(home)
        return home

    # --- do ---------------------------------------------------------------------------------------------------

    def start(self, home: Home, *, warm: bool = False) -> None:
        """Start a gateway, and wait until QQ has it; ``warm``: a first message has been answered as well."""
        home.start()
        self.wait(lambda: self.is_connected() or not home.is_alive, BOOT_S)
        assert home.is_alive, "the gateway ended at its start"
        assert self.is_connected(), "the gateway did not connect"
        if warm:
            first = self.say(user=50)
            assert self.answered([first], BOOT_S), "the first message was not answered"
            self.said.remove(first)
            time.sleep(1.0)  # Hermes is still closing that turn

    def say(self, user: int = 0, text: str = "hello", **switches: Any) -> Said:
        mark = f"mark-{len(self.said)}-{user}-{time.monotonic_ns() % 10**6}"
        at = time.time()
        one = Said(mark, self.qq.say(f"{text} <<{mark}>>", user=user, **switches), at)
        self.said.append(one)
        return one

    def fault(self, kind: str, **fields: Any) -> int:
        return int(self.qq.ask("POST", "/faults", kind=kind, **fields)["id"])

    def heal(self) -> None:
        self.qq.ask("DELETE", "/faults")
        self.qq.network("up")
        self.websocket.opens()

    def qq_gone(self) -> None:
        """Neither REST nor WebSocket."""
        self.websocket.refuses()
        self.qq.network("down")

    # --- look -------------------------------------------------------------------------------------------------

    @staticmethod
    def wait(condition: Callable[[], Any], timeout_s: float) -> bool:
        """Wait for something that may never be."""
        try:
            wait_until(condition, "", timeout_s)
        except AssertionError:
            return False
        return True

    def pick(self, scaled: float, full: float) -> float:
        """A length of time: that of the table, or the shorter one of every day."""
        return full if self.is_full else scaled

    def is_connected(self) -> bool:
        return any(one["live"] for one in self.qq.state()["sessions"])

    def counter(self, name: str) -> int:
        return int(self.qq.state()["counters"].get(name, 0))

    def shown(self) -> list[judge.Row]:
        """What people have read; that somebody is typing is no message."""
        return [row for row in self.qq.ask("GET", "/log") if row["text"] or row.get("file_text")]

    def copies(self, one: Said) -> list[judge.Row]:
        return judge.copies(self.shown(), one.mark)

    def after(self, one: Said, since: float) -> float | None:
        """Seconds from a moment to the first answer; None: there is none."""
        rows = self.copies(one)
        return max(0.0, float(rows[0]["at"]) - since) if rows else None

    def times(self, mark: str, timeout_s: float) -> int:
        """How often something was shown: waits for the first, and a little for a second."""

        def found() -> int:
            return len(judge.copies(self.shown(), mark))

        self.wait(found, timeout_s)
        time.sleep(2)
        return found()

    def answered(self, messages: Sequence[Said], timeout_s: float) -> bool:
        return self.wait(lambda: judge.count(self.shown(), [one.mark for one in messages]).lost == 0, timeout_s)

    def count(self, messages: Sequence[Said] | None = None, *, settle_s: float = 3.0) -> judge.Count:
        """Judge what was said, once nothing has been shown for a while."""
        rows, still_since = len(self.shown()), time.monotonic()
        while time.monotonic() - still_since < settle_s:
            time.sleep(0.1)
            if (now := len(self.shown())) != rows:
                rows, still_since = now, time.monotonic()
        return judge.count(self.shown(), [one.mark for one in messages or self.said])

    def asked(self) -> list[dict[str, Any]]:
        """Turns that have reached the model."""
        return [body for body in self.model.state()["asked"] if body.get("tools")]


@contextmanager
def rig(folder: Path, column: str, version: str, *, is_full: bool) -> Iterator[Rig]:
    one = Rig(folder, column, version, is_full=is_full)
    try:
        yield one
    finally:
        one.close()
