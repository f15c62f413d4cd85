"""The systemd unit as text: who runs it, from where, with which limits; and what speaks against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from buoy.config import Config
from buoy.errors import BuoyError

NAME: Final = "buoy.service"
USER: Final = "buoy"
SETTINGS: Final = Path("/etc/buoy/buoy.toml")
STATE: Final = Path("/var/lib")
HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))  # what ProtectHome= hides
STOP_SPARE_S: Final = 5  # after Buoy's own deadline: it ends by itself, systemd only if that fails
WATCHDOG_S: Final = 60.0
STUCK_SPARE_S: Final = 30.0  # the watch in the process comes first: it says where the loop is stuck

_VENV: Final = "install Buoy outside of it (python3 -m venv /opt/buoy)"


class InstallError(BuoyError):
    """Buoy cannot be installed so. One line: the cause, then the remedy."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a unit is made of."""

    is_system: bool
    command: tuple[str, ...]
    """Program and arguments in front of `run`."""
    settings: Path
    data_dir: Path
    deadline_s: float
    stuck_s: float
    user: str = USER


def place(config: Config, *, is_system: bool, command: Sequence[str], user: str = USER) -> Place:
    """What these settings need of a unit; they come from a file."""
    assert config.file is not None
    return Place(
        is_system,
        tuple(command),
        config.file,
        config.data_dir,
        config.shutdown.deadline_s,
        config.watch.stuck_s,
        user,
    )


def text(where: Place) -> str:
    """Write the unit."""
    template = (files("buoy.faces") / "units" / ("system.service" if where.is_system else "user.service")).read_text()
    inside = where.data_dir.is_relative_to(STATE) and where.data_dir != STATE
    state = ""
    if inside:
        state = f"StateDirectory={listed(str(where.data_dir.relative_to(STATE)))}\nStateDirectoryMode=0700"
    values = {
        "USER": where.user,
        "FOLDER": escaped(str(where.settings.parent)),
        "EXEC": " ".join(quoted(word) for word in (*where.command, "run", "-c", str(where.settings))),
        "STOP": f"{math.ceil(where.deadline_s) + STOP_SPARE_S}",
        "WATCHDOG": f"{math.ceil(max(WATCHDOG_S, where.stuck_s + STUCK_SPARE_S))}",
        "STATE": state,
        "DATA": "" if inside else listed(str(where.data_dir)),
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return "\n".join(line.rstrip() for line in template.splitlines()) + "\n"


def escaped(value: str) -> str:
    """A value in which systemd would read specifiers."""
    return value.replace("%", "%%")


def quoted(word: str) -> str:
    """One word of a command line, where systemd replaces variables."""
    return listed(word.replace("$", "$$"))


def listed(word: str) -> str:
    """One word of a list, as systemd reads it."""
    plain = escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return plain if plain and not set(plain) & set(" \t'\";") else f'"{plain}"'


def refuse(where: Place, *, names_data_dir: bool) -> None:
    """Say what speaks against a unit.

    Raises:
        InstallError: with the remedy.
    """
    for path in (where.settings, where.data_dir):
        if any(not c.isprintable() for c in str(path)):
            raise InstallError(f"{str(path)!r} cannot stand in a unit; choose a path without control characters")
    if not where.is_system:
        return
    for path, remedy in (
        (Path(where.command[0]), f"{_VENV}, or use --user"),
        (Path(where.command[0]).resolve(), f"{_VENV} with the system's Python, or use --user"),
        (where.settings, f"move it to {SETTINGS}, or use --user"),
        (where.data_dir, f"choose one below {STATE}, or use --user"),
    ):
        if any(path.is_relative_to(home) for home in HOMES):
            raise InstallError(f"{path} is in a home folder, which a system service cannot see: {remedy}")
    if not names_data_dir:
        raise InstallError(
            f'data_dir is not in {where.settings}: write data_dir = "{STATE / where.user}" there, so that buoy status '
            "and the service look at the same place"
        )
