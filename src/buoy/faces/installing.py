"""`buoy install` and `buoy uninstall`: write the unit, tell systemd, and say each step; `--print` only shows it."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buoy.config import Config, load
from buoy.errors import EXIT_OK, ConfigError
from buoy.faces.placing import write
from buoy.faces.unit import NAME, SETTINGS, STATE, USER, InstallError, place, refuse, text

COMMAND_S: Final = 120.0  # `systemctl start` waits for READY, which TimeoutStartSec= bounds


def _uid() -> int:
    return os.geteuid()  # looked up when it is called: Windows has none, and no systemd either


def _chown(path: Path, user: int, group: int) -> None:
    os.chown(path, user, group)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where things are; tests have one of their own."""

    system_units: Path = Path("/etc/systemd/system")
    booted: Path = Path("/run/systemd/system")
    """Exists where systemd is process 1 (sd_booted(3))."""
    lingering: Path = Path("/var/lib/systemd/linger")
    command: tuple[str, ...] = (sys.executable, "-m", "buoy")
    user: str = USER
    """Whom a system service runs as."""
    uid: Callable[[], int] = _uid
    chown: Callable[[Path, int, int], None] = _chown

    def units(self, environ: Mapping[str, str], *, is_system: bool) -> Path:
        """The folder for units of ours."""
        if is_system:
            return self.system_units
        home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config"
        return Path(home) / "systemd" / "user"


def install(
    file: Path | None,
    environ: Mapping[str, str],
    *,
    is_system: bool,
    shows: bool = False,
    starts: bool = True,
    machine: Machine | None = None,
) -> int:
    """Write, enable and start the service; returns the exit code.

    Raises:
        InstallError, ConfigError: it cannot be done here, and nothing was changed; or systemd refused a step.
    """
    machine = machine or Machine()
    config = _settings(file, environ, is_system=is_system)
    assert config.file is not None
    where = place(config, is_system=is_system, command=machine.command, user=machine.user)
    refuse(where, names_data_dir=_names_data_dir(config.file))
    unit = text(where)
    if shows:
        print(unit, end="")
        return EXIT_OK
    _may(machine, is_system=is_system)
    systemctl = ("systemctl",) if is_system else ("systemctl", "--user")
    if is_system:
        _prepare(config.file, config.data_dir, machine)
    path = machine.units(environ, is_system=is_system) / NAME
    backup = write(path, unit, mode=0o644)
    print(f"wrote {path}" + (f", and kept the old one as {backup}" if backup else ""))
    _run(*systemctl, "daemon-reload")
    _run(*systemctl, "enable", NAME)
    if starts:
        _run(*systemctl, "restart", NAME)
    _explain(config.file, machine, is_system=is_system, starts=starts)
    return EXIT_OK


def uninstall(environ: Mapping[str, str], *, is_system: bool, machine: Machine | None = None) -> int:
    """Stop and remove the service; settings and data stay.

    Raises:
        InstallError: there is none, or systemd refused.
    """
    machine = machine or Machine()
    path = machine.units(environ, is_system=is_system) / NAME
    if not path.exists():
        other = "--user" if is_system else "--system"
        raise InstallError(f"{path} is not there, so nothing can be removed; {other} looks at the other place")
    _may(machine, is_system=is_system)
    systemctl = ("systemctl",) if is_system else ("systemctl", "--user")
    _run(*systemctl, "disable", "--now", NAME)
    try:
        path.unlink()
    except OSError as error:
        raise InstallError(f"cannot remove {path}: {error.strerror}; check who owns it") from None
    print(f"removed {path}")
    _run(*systemctl, "daemon-reload")
    print("settings and data are where they were")
    return EXIT_OK


def _settings(file: Path | None, environ: Mapping[str, str], *, is_system: bool) -> Config:
    """Read the settings as the service will: from the file alone, since no shell's environment reaches it."""
    named = file or (Path(environ["BUOY_CONFIG"]) if environ.get("BUOY_CONFIG") else None)
    path = (Path.cwd() / (named or (SETTINGS if is_system else Path("buoy.toml"))).expanduser()).resolve()
    if not path.exists():
        raise ConfigError(f"{path} is not there, and a service reads its settings from a file: buoy setup -c {path}")
    config = load(path, {"HOME": environ.get("HOME", "/nonexistent")})
    for warning in config.warnings:
        print(f"buoy: warning: {warning}", file=sys.stderr)
    return config


def _names_data_dir(file: Path) -> bool:
    import tomllib  # noqa: PLC0415

    return "data_dir" in tomllib.loads(file.read_text(encoding="utf-8"))


def _may(machine: Machine, *, is_system: bool) -> None:
    """Refuse where systemd or the right to speak to it is missing."""
    if not machine.booted.is_dir() or shutil.which("systemctl") is None:
        raise InstallError(
            "systemd does not run this machine (a container, WSL without it, or another system): "
            "buoy install --print shows the unit, docs/deploy.md other ways"
        )
    if is_system and machine.uid() != 0:
        raise InstallError("a system service needs root: sudo buoy install --system, or use --user")
    if not is_system and machine.uid() == 0:
        raise InstallError("root has no service manager of its own to speak of: use --system")


def _prepare(settings: Path, data_dir: Path, machine: Machine) -> None:
    """Make the user that the service runs as, and let it read the settings and write its data."""
    import grp  # noqa: PLC0415  Unix has it, and only there is this called
    import pwd  # noqa: PLC0415

    try:
        pwd.getpwnam(machine.user)
    except KeyError:
        home = str(STATE / machine.user)
        _run("useradd", "--system", "--user-group", "--home-dir", home, "--shell", "/usr/sbin/nologin", machine.user)
    with suppress(KeyError):  # a useradd of another making
        group = grp.getgrnam(machine.user).gr_gid
        if stat.S_IMODE(settings.stat().st_mode) & 0o004 == 0:
            machine.chown(settings, -1, group)
            settings.chmod(0o640)
            print(f"chgrp {machine.user} {settings}; chmod 640 {settings}")
        if not data_dir.is_relative_to(STATE):
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            machine.chown(data_dir, pwd.getpwnam(machine.user).pw_uid, group)
            print(f"chown {machine.user}:{machine.user} {data_dir}")


def _run(*command: str) -> None:
    """Run one step, and say it.

    Raises:
        InstallError: it failed; the text has what it said.
    """
    print(shlex.join(command), flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{shlex.join(command)}: {error}") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:400] or f"exit code {done.returncode}"
        raise InstallError(f"{shlex.join(command)}: {said}")


def _explain(settings: Path, machine: Machine, *, is_system: bool, starts: bool) -> None:
    systemctl, option = ("systemctl", "") if is_system else ("systemctl --user", "--user ")
    sudo = f"sudo -u {machine.user} " if is_system else ""
    if not starts:
        print(f"  {systemctl} start buoy   starts it now; the next time it starts by itself")
    print(f"  {systemctl} status buoy   what systemd thinks of it")
    print(f"  {sudo}buoy status -c {shlex.quote(str(settings))}   what Buoy thinks of itself")
    print(f"  journalctl {option}-u buoy, or {sudo}buoy logs -f -c {shlex.quote(str(settings))}   what happens")
    if not is_system and not (machine.lingering / getpass.getuser()).exists():
        print("  loginctl enable-linger   lets it run while you are not logged in; without it, it stops when you leave")
