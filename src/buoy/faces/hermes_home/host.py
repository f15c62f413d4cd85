"""The Python that runs Hermes on this machine, and what it tells.

`hermes` on the PATH is a small script: of pip (its first line names the Python), of another installer (a shell script
that starts the real one), or a link. Where Hermes lies beside Buoy, the Python that runs this is the one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from buoy.errors import ConfigError

PROBE: Final = Path(__file__).with_name("probe.py")
PROBE_S: Final = 60.0  # the first import of Hermes on a small machine takes seconds
OLDEST: Final = (0, 13)
_STARTED: Final = re.compile(r"""(?m)^\s*(?:exec\s+)?["']?(/[^\s"']+/(?:python[\d.]*|hermes))["']?(?:\s|$)""")


@dataclass(frozen=True, slots=True)
class Told:
    """What a Python said of itself; see `probe`."""

    python: Path
    hermes: str | None
    buoy: str | None
    entry_points: tuple[str, ...]
    has_pip: bool
    platforms: Mapping[str, Mapping[str, Any]]
    taken: str | None
    """The module that serves the name ``qqbot`` in place of Hermes' own adapter."""
    error: str | None
    environment: tuple[str, ...]
    """Names of the variables that the gateway would have and that concern us."""

    @property
    def install(self) -> str:
        """The command that puts Buoy there."""
        return (
            f"{self.python} -m pip install buoy-qq"
            if self.has_pip
            else f"uv pip install --python {self.python} buoy-qq"
        )


def python_of(environ: Mapping[str, str], hermes: Path | None = None) -> Path:
    """Find the Python that runs Hermes.

    Raises:
        ConfigError: there is no Hermes, or it cannot be told what runs it.
    """
    if hermes is None and importlib.util.find_spec("hermes_cli") is not None:
        return Path(sys.executable)
    if hermes is not None and re.fullmatch(r"python[\d.]*(\.exe)?", hermes.name):
        return hermes.expanduser().absolute()
    found = str(hermes.expanduser()) if hermes is not None else shutil.which("hermes", path=environ.get("PATH"))
    if not found or not Path(found).exists():
        raise ConfigError(
            "there is no Hermes Agent here: `hermes` is not on the PATH, and not beside this Buoy. Install it, or "
            "name its "
            "command with --hermes PATH; without Hermes, `buoy setup` and `buoy run` are the way"
        )
    python = _runs(Path(found))
    if python is None:
        raise ConfigError(f"cannot tell which Python runs {found}: name that Python with --hermes PATH_OF_ITS_PYTHON")
    return python


def ask(python: Path, home: Path, environ: Mapping[str, str], *, reads_config: bool = True) -> Told:
    """Ask a Python what it knows of Hermes, and how its gateway would read this home.

    Raises:
        ConfigError: it does not answer.
    """
    words = [str(python), "-P", str(PROBE), str(home), "config" if reads_config else ""]
    try:
        done = subprocess.run(  # noqa: S603
            words,
            env={**environ, "HERMES_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=False,
        )
        told = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError):
        raise ConfigError(f"{python} does not run: is Hermes' environment whole? Try `hermes --version`") from None
    return Told(
        python=python,
        hermes=told["hermes"],
        buoy=told["buoy"],
        entry_points=tuple(told["entry_points"]),
        has_pip=told["has_pip"],
        platforms=told["platforms"],
        taken=told["taken"],
        error=told["error"],
        environment=tuple(told.get("environment", ())),
    )


def conflicts(told: Told) -> list[str]:
    """Packages in Hermes' environment that do not fit together, as pip says it; empty where pip cannot be asked."""
    if not told.has_pip:
        return []
    try:
        done = subprocess.run(  # noqa: S603
            [str(told.python), "-m", "pip", "check", "--disable-pip-version-check"],
            capture_output=True, text=True, timeout=PROBE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode else []


def is_too_old(version: str) -> bool:
    """Whether a version of hermes-agent lacks what the plugin needs."""
    numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return tuple(numbers) < OLDEST


def is_ours(python: Path) -> bool:
    """Whether that Python is of the environment in which this runs: a link to the same file does not say so."""
    return python.absolute().parent == Path(sys.executable).absolute().parent


def hand_over(python: Path, words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run `buoy hermes ...` in Hermes' environment, on this terminal; returns its exit code."""
    return subprocess.run([str(python), "-m", "buoy", "hermes", *words], env=dict(environ), check=False).returncode  # noqa: S603


def _runs(script: Path, depth: int = 3) -> Path | None:
    """The Python that a `hermes` command starts."""
    script = Path(os.path.realpath(script))
    try:
        head = script.read_bytes()[:4096].decode("utf-8", "replace")
    except OSError:
        return None
    first = head.split("\n", 1)[0].removeprefix("#!").split()
    named = first[0] if head.startswith("#!") and first else ""
    if Path(named).name.startswith("python") and Path(named).exists():
        return Path(named)
    if depth and not any("python" in word for word in first):  # a shell script; pip writes one for a long path
        for match in _STARTED.finditer(head.replace("'''exec' ", "exec ")):
            place = Path(match[1])
            if place.name.startswith("python") and place.exists():
                return place
            if place.name == "hermes" and place.exists() and place != script:
                return _runs(place, depth - 1)
    return next(
        (one for one in (script.parent / name for name in ("python3", "python", "python.exe")) if one.exists()), None
    )
