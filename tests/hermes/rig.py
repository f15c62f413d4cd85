"""A real Hermes gateway process, with our plugin or with its own adapter, between a simulated QQ and a fake model."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from buoy.sim.events import Said, Speech
from buoy.sim.simulator import DEFAULT_BOT, Sim
from buoy.sim.world import Delivered
from tests.fakes_llm import Model, serving

ROOT: Final = Path(__file__).parents[2]
VERSIONS: Final = ("old", "new")
ENVIRONMENTS: Final = {name: ROOT / f".venv-hermes-{name}" for name in VERSIONS}
START_S: Final = 60.0  # a first import of Hermes on a busy machine
PLATFORM: Final = {"plugin": "buoy", "builtin": "qqbot"}

# Hermes' own adapter speaks to QQ's hosts only; this plugin of the test's home points it at the simulated QQ.
REDIRECT: Final = """
def register(ctx):
    from gateway.platforms.qqbot import adapter
    adapter.API_BASE, adapter.TOKEN_URL = {api!r}, {token!r}
    adapter.RECONNECT_BACKOFF = [one * {scale} for one in adapter.RECONNECT_BACKOFF]
"""
# Shorter pauses for ours as well, where a scenario needs many attempts.
HASTE: Final = """
def register(ctx):
    from buoy.protocol import limits
    limits.BACKOFF_S = tuple(one * {scale} for one in limits.BACKOFF_S)
"""
# Ends the process at the moment in which Hermes would write down that a reply was delivered.
KILL_AT_LEDGER: Final = """
import os, signal
def register(ctx):
    from gateway import delivery_ledger
    def killed(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.path.exists({flag!r}):
        os.unlink({flag!r})
        delivery_ledger.mark_delivered = killed
"""


@dataclass
class Gateway:
    """One home of Hermes, and the gateways that run in it one after the other."""

    sim: Sim
    model: Model
    model_url: str
    home: Path
    kind: str
    version: str
    scale: float
    config: dict[str, Any] = field(default_factory=dict)
    """Further tables of config.yaml."""
    plugins: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _before: int = 0
    """Sessions that had become live when this process was started."""

    # --- life ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Write the home."""
        self.home.mkdir(parents=True)
        app_id, secret = DEFAULT_BOT
        own = {"app_id": app_id, "client_secret": secret}
        if self.kind == "plugin":
            own["api_base"] = self.sim.api_base
            entry = "buoy"
        else:
            source = REDIRECT.format(api=self.sim.api_base, token=self.sim.token_url, scale=self.scale)
            self.plugins["redirect"] = source
            own["dm_policy"] = "open"
            entry = ""
        for name, source in self.plugins.items():
            folder = self.home / "plugins" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "plugin.yaml").write_text(f"name: {name}\nversion: 1.0.0\ndescription: of a test\n")
            (folder / "__init__.py").write_text(source)
        config = {
            "model": {
                "provider": "custom", "default": "fake", "base_url": self.model_url, "api_key": "sk-fake",
                "context_length": 131072,
            },
            "security": {"allow_lazy_installs": False, "tirith_enabled": False},
            "plugins": {"enabled": [name for name in (entry, *self.plugins) if name]},
            "platforms": {PLATFORM[self.kind]: {"enabled": True, "extra": own}},
            **self.config,
        }  # fmt: skip
        (self.home / "config.yaml").write_text(json.dumps(config))  # JSON is YAML

    @property
    def python(self) -> Path:
        return ENVIRONMENTS[self.version] / "bin" / "python"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of this process's own, and nothing that reaches out."""
        home = str(self.home)
        env = {
            "PATH": "/usr/bin:/bin", "HOME": home, "HERMES_HOME": home, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1",
            "HERMES_GATEWAY_LOCK_DIR": str(self.home / "locks"), "HERMES_DISABLE_LAZY_INSTALLS": "1",
        }  # fmt: skip
        if self.kind == "plugin":
            return env | {"BUOY_ALLOW_ALL_USERS": "true", "BUOY_HOME_CHANNEL": self.sim.meet("c2c", 999)}
        app_id, secret = DEFAULT_BOT
        return env | {
            "QQ_ALLOW_ALL_USERS": "true", "QQ_APP_ID": app_id, "QQ_CLIENT_SECRET": secret,
            "QQBOT_HOME_CHANNEL": self.sim.meet("c2c", 999),
        }  # fmt: skip

    async def start(self, *, until_connected: bool = True) -> None:
        """Start a gateway process, and wait until QQ sees its session."""
        self._before = self._sessions
        log = (self.home / "gateway.log").open("ab")
        with log:
            self.process = subprocess.Popen(  # noqa: ASYNC220  a moment, in a test
                [self.python, "-m", "hermes_cli.main", "gateway", "run", "-v"],
                cwd=self.home, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        if until_connected:
            await self.until(self.is_up, START_S, "the gateway did not connect")

    def is_up(self) -> bool:
        """A session has become live at QQ since the start, and Hermes is through with its own."""
        return self._sessions > self._before and self.state.get("gateway_state") == "running" and self.is_mine

    @property
    def _sessions(self) -> int:
        counters = self.sim.world.counters
        return counters["ready"] + counters["resumed"]

    @property
    def state(self) -> dict[str, Any]:
        """What Hermes' own status says."""
        try:
            told: dict[str, Any] = json.loads((self.home / "gateway_state.json").read_text())
        except (OSError, ValueError):
            return {}
        return told

    @property
    def is_mine(self) -> bool:
        """The status is of the process that runs now."""
        return self.process is not None and self.state.get("pid") == self.process.pid

    @property
    def platform_state(self) -> dict[str, Any]:
        """What Hermes says of QQ: state, error_code, error_message."""
        told: dict[str, Any] = self.state.get("platforms", {}).get(PLATFORM[self.kind], {})
        return told

    def kill(self) -> None:
        """End it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self, bound_s: float = 60.0) -> float:
        """Stop it in good order; returns how long that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        process = self.process
        try:
            await self.until(lambda: process.poll() is not None, bound_s, "SIGTERM did not end it")
        finally:
            if process.poll() is None:
                self.kill()
        return time.monotonic() - began

    def end(self) -> None:
        """Whatever happened, nothing of it is left."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()

    # --- use ----------------------------------------------------------------------------------------------------

    async def hermes(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run a command of Hermes in this home; returns what it printed. Raises Wrong where it failed."""
        command = await asyncio.create_subprocess_exec(
            self.python, "-m", "hermes_cli.main", *words, cwd=self.home, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(timeout_s):
            printed, _ = await command.communicate()
        if command.returncode:
            raise Wrong(f"hermes {' '.join(words)} ended with {command.returncode}: {printed.decode()[-300:]}")
        return printed.decode()

    async def look(self, code: str) -> str:
        """Run a line of Python in this home, in Hermes' environment; returns what it printed."""
        command = await asyncio.create_subprocess_exec(
            self.python, "-c", code, cwd=self.home, env=self.environment, stdout=subprocess.PIPE
        )
        printed, _ = await command.communicate()
        return printed.decode().strip()

    def say(self, text: str, user: int, **switches: Any) -> Said:
        """A user writes a text that the model will answer with itself."""
        return self.sim.speak(Speech(text=f"<<{text}>>", user=user, **switches))

    def answers(self, text: str) -> list[Delivered]:
        """What QQ has accepted that holds this text."""
        return [one for one in self.sim.delivered if text in one.text]

    async def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> float:
        """Wait for something; returns how long that took.

        Raises:
            Wrong: it did not come.
        """
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout_s:
                raise Wrong(f"{what} within {timeout_s:g} s")
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def answered(self, text: str, timeout_s: float = 30.0, times: int = 1) -> float:
        """Wait for an answer; returns how long that took."""
        return await self.until(lambda: len(self.answers(text)) >= times, timeout_s, f"{text!r} was not answered")

    async def settled(self, quiet_s: float = 1.5) -> None:
        """Wait until nothing more comes: QQ has accepted nothing for a while."""
        seen, since = len(self.sim.delivered), time.monotonic()
        while time.monotonic() - since < quiet_s:
            await asyncio.sleep(0.05)
            if len(self.sim.delivered) != seen:
                seen, since = len(self.sim.delivered), time.monotonic()

    def once(self, *texts: str) -> None:
        """Each of these was answered exactly once.

        Raises:
            Wrong: it was not.
        """
        counts = {text: len(self.answers(text)) for text in texts}
        if any(count != 1 for count in counts.values()):
            raise Wrong("answered " + ", ".join(f"{text}: {count} times" for text, count in counts.items()))

    def tail(self, lines: int = 40) -> str:
        """The end of the gateway's log."""
        try:
            return "\n".join((self.home / "gateway.log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Wrong(Exception):  # noqa: N818  it is the word of the table
    """A scenario did not come out as it should; the text is what the table shows."""


@asynccontextmanager
async def gateway(kind: str, version: str, folder: Path, scale: float, **settings: Any) -> AsyncIterator[Gateway]:
    """A home and what stands around it. Nothing runs yet."""
    if not (ENVIRONMENTS[version] / "bin" / "python").exists():
        raise RuntimeError(f"{ENVIRONMENTS[version]} is missing; run make test-hermes")
    model = Model()
    async with Sim(control_port=None, **settings) as sim, serving(model) as url:
        one = Gateway(sim, model, url, folder, kind, version, scale)
        try:
            yield one
        finally:
            one.end()
