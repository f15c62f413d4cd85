"""Looks at a Hermes home and at what runs in it: the facts for `buoy hermes status` and `buoy hermes doctor`."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from buoy.durable.lock import holder
from buoy.errors import BuoyError, ConfigError
from buoy.faces import status
from buoy.faces.control import ADDRESS
from buoy.faces.hermes_home import cron_jobs, files, host, yaml_text
from buoy.faces.hermes_home.env_text import load as load_env
from buoy.faces.hermes_home.record import CONFIG, ENV, JOBS
from buoy.faces.hermes_home.taking import BUILTIN, DROP_IN, NAME
from buoy.gateway.health import Snapshot

ERRORS: Final = "logs/errors.log"
TAIL: Final = 256 * 1024
LINES: Final = 3
DAY_S: Final = 24 * 60 * 60.0
_ERROR: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* (?:ERROR|CRITICAL)\b")  # hermes_logging.py


@dataclass(frozen=True, slots=True)
class Gateway:
    """What Hermes' gateway left in gateway_state.json, and whether that process lives."""

    pid: int | None = None
    runs: bool = False
    state: str = ""
    reason: str = ""
    """Why it ended, as it says itself."""
    platforms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    """The plugin's data directory."""

    path: Path
    exists: bool
    trouble: str = ""
    """Why it cannot be written; empty: it can."""
    held_by: str | None = None
    snapshot: Snapshot | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """One look. ``name`` is the platform that the plugin serves: ``buoy``, ``qqbot``, or empty where it is not on."""

    home: Path
    told: host.Told
    enabled: tuple[str, ...]
    name: str
    env: Mapping[str, str] = field(repr=False)
    gateway: Gateway
    data: Data | None
    jobs: tuple[str, ...]
    paired: bool
    is_safe_mode: bool
    now: float
    newest_at: float
    errors: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def platform(self) -> Mapping[str, Any] | None:
        """The plugin's platform as the gateway would read it."""
        return self.told.platforms.get(self.name or NAME)


def look(home: Path, told: host.Told, environ: Mapping[str, str], *, deep: bool = False) -> Facts:
    """Look at everything; ``deep`` also asks pip and reads the log of errors.

    Raises:
        ConfigError: a file of the home cannot be read.
    """
    data = _yaml_of(home)
    env = load_env(files.text_of(home / ENV))
    enabled = data.get("plugins", {}).get("enabled") if isinstance(data.get("plugins"), dict) else None
    ours = tuple(one for one in (enabled if isinstance(enabled, list) else ()) if one in {NAME, DROP_IN})
    name = NAME if NAME in ours else BUILTIN if DROP_IN in ours else ""
    jobs = files.text_of(home / JOBS)
    theirs, own = files.pairing_files(home)
    gateway = gateway_of(home)
    return Facts(
        home=home,
        told=told,
        enabled=ours,
        name=name,
        env=env,
        gateway=gateway,
        data=_data(home, told, name),
        jobs=tuple(cron_jobs.pointing_to(jobs, BUILTIN)) if jobs and name != BUILTIN else (),
        paired=(theirs if name == BUILTIN else own).exists(),
        is_safe_mode=_is_on(environ.get("HERMES_SAFE_MODE") or env.get("HERMES_SAFE_MODE") or ""),
        now=time.time(),
        newest_at=max((file.stat().st_mtime for file in home.iterdir() if file.is_file()), default=0.0),
        errors=_errors(home, time.time()) if deep else (),
        conflicts=tuple(host.conflicts(told)) if deep else (),
    )


def gateway_of(home: Path) -> Gateway:
    """Read gateway_state.json; a file that a killed gateway left says nothing of what runs."""
    try:
        told = json.loads((home / "gateway_state.json").read_text("utf-8"))
        pid = int(told["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return Gateway()
    platforms = told.get("platforms")
    return Gateway(
        pid,
        told.get("gateway_state") != "stopped" and _is_alive(pid, told.get("start_time")),
        str(told.get("gateway_state") or ""),
        str(told.get("exit_reason") or ""),
        {name: one for name, one in platforms.items() if isinstance(one, dict)} if isinstance(platforms, dict) else {},
    )


def _yaml_of(home: Path) -> dict[str, Any]:
    try:
        found = yaml_text.load(files.text_of(home / CONFIG))
    except yaml_text.EditError as error:
        raise ConfigError(f"{home / CONFIG} cannot be read: {error}; correct it first") from None
    return found if isinstance(found, dict) else {}


def _data(home: Path, told: host.Told, name: str) -> Data | None:
    one = told.platforms.get(name or NAME)
    if one is None or not one["app_id"]:
        found = sorted(path.parent for path in (home / NAME).glob("*/buoy.db"))
        if not found:
            return None
        path = found[0]
    else:
        path = Path(one["data_dir"]).expanduser() if one["data_dir"] else home / NAME / one["app_id"]
    if not path.is_dir():
        above = next(one for one in path.parents if one.exists())
        return Data(path, exists=False, trouble="" if os.access(above, os.W_OK) else f"{above} is not writable")
    held = None
    with suppress(OSError):
        held = holder(path / "lock")
    trouble = "" if os.access(path, os.W_OK | os.X_OK) else "it is not writable for this user"
    snapshot, error = None, ""
    try:
        if (path / ADDRESS).exists() or (path / "buoy.db").exists():
            snapshot = status.look(path)
    except BuoyError as failure:
        error = str(failure)
    return Data(path, exists=True, trouble=trouble, held_by=held, snapshot=snapshot, error=error)


def _is_alive(pid: int, started: Any) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    except OSError:
        return False
    try:
        now = int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19])  # proc(5): starttime
    except (OSError, ValueError, IndexError):
        return True
    return not isinstance(started, int) or started == now  # another process can have the number by now


def _errors(home: Path, now: float) -> tuple[str, ...]:
    """The last lines of the last day in Hermes' log of errors, which has warnings as well, that are about us."""
    try:
        with (home / ERRORS).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - TAIL))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now - DAY_S))
    return tuple(
        [line[:300] for line in lines if _ERROR.match(line) and line >= since and NAME in line.lower()][-LINES:]
    )


def _is_on(word: str) -> bool:
    return word.strip().lower() in {"1", "true", "yes", "on"}
