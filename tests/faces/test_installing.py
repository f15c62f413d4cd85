"""`buoy install` against programs that note what they were told: what is written, in which order, and every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from buoy.errors import ConfigError
from buoy.faces.installing import Machine, install, uninstall
from buoy.faces.unit import InstallError

NOTE = """#!/bin/sh
echo "$(basename "$0") $*" >> "{diary}"
if [ "$2$3" = "{fails}" ]; then echo "it says no" >&2; exit 3; fi
"""
PYTHON = ("/usr/bin/python3", "-m", "buoy")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with systemd, on which we are an ordinary user."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "booted").mkdir()
    notes(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return Machine(tmp_path / "system", tmp_path / "booted", tmp_path / "linger", PYTHON, uid=lambda: 1000)


def as_root(machine: Machine) -> Machine:
    return replace(machine, uid=lambda: 0)


def notes(tmp_path: Path, fails: str = "nothing") -> None:
    for name in ("systemctl", "useradd"):
        program = tmp_path / "bin" / name
        program.write_text(NOTE.format(diary=tmp_path / "diary", fails=fails))
        program.chmod(0o755)


def diary(tmp_path: Path) -> list[str]:
    file = tmp_path / "diary"
    told = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return told


def settings(tmp_path: Path, *, data_dir: str = "") -> Path:
    file = tmp_path / "buoy.toml"
    line = f'data_dir = "{data_dir}"\n' if data_dir else ""
    file.write_text(f'{line}[[bots]]\napp_id = "1"\nclient_secret = "not-so-secret"\n[shutdown]\ndeadline_s = 7\n')
    file.chmod(0o600)
    return file


def test_a_user_gets_a_service_of_their_own_and_loses_it_again(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, environ = settings(tmp_path), {"HOME": str(tmp_path)}
    assert install(file, environ, is_system=False, machine=machine) == 0
    path = tmp_path / ".config/systemd/user/buoy.service"
    assert f"ExecStart=/usr/bin/python3 -m buoy run -c {file}\n" in path.read_text()
    assert "TimeoutStopSec=12\n" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    steps = [f"systemctl --user {step}" for step in ("daemon-reload", "enable buoy.service", "restart buoy.service")]
    assert diary(tmp_path) == steps
    said = capsys.readouterr().out
    assert all(step in said for step in (*steps, f"wrote {path}", "loginctl enable-linger"))
    path.write_text("# changed by hand\n")
    assert install(file, environ, is_system=False, starts=False, machine=machine) == 0
    assert diary(tmp_path) == steps[:2]
    (backup,) = path.parent.glob("*.bak")
    assert backup.read_text() == "# changed by hand\n"
    assert uninstall(environ, is_system=False, machine=machine) == 0
    assert diary(tmp_path) == ["systemctl --user disable --now buoy.service", "systemctl --user daemon-reload"]
    assert not path.exists()
    assert file.exists()
    with pytest.raises(InstallError, match="nothing can be removed"):
        uninstall(environ, is_system=False, machine=machine)


def test_the_system_gets_a_service_with_a_user_that_may_read_the_settings(machine: Machine, tmp_path: Path) -> None:
    owners: list[tuple[Path, int, int]] = []
    there = replace(as_root(machine), user="daemon", chown=lambda *told: owners.append(told))  # a user of every machine
    data = tmp_path / "srv" / "data"
    file = settings(tmp_path, data_dir=str(data))
    assert install(file, {}, is_system=True, machine=there) == 0
    steps = ("daemon-reload", "enable buoy.service", "restart buoy.service")
    assert diary(tmp_path) == [f"systemctl {step}" for step in steps]
    assert "User=daemon\n" in (machine.system_units / "buoy.service").read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert [(path, user == -1) for path, user, _ in owners] == [(file, True), (data, False)]
    assert data.stat().st_mode & 0o777 == 0o700
    file = settings(tmp_path, data_dir="/var/lib/buoy")
    assert install(file, {}, is_system=True, machine=replace(there, user="buoy-test-nobody")) == 0
    assert diary(tmp_path)[0].startswith("useradd --system --user-group --home-dir /var/lib/buoy-test-nobody")


def test_print_shows_the_unit_and_touches_nothing(
    tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.booted.rmdir()
    file = settings(tmp_path, data_dir="/var/lib/buoy")
    for is_system in (True, False):
        assert install(file, {"HOME": str(tmp_path)}, is_system=is_system, shows=True, machine=machine) == 0
        assert "Type=notify" in capsys.readouterr().out
    assert diary(tmp_path) == []
    assert not (tmp_path / ".config").exists()


def test_every_refusal_is_one_line_and_changes_nothing(tmp_path: Path, machine: Machine) -> None:
    file, environ = settings(tmp_path, data_dir="/var/lib/buoy"), {"HOME": str(tmp_path)}
    with pytest.raises(InstallError, match="needs root"):
        install(file, environ, is_system=True, machine=machine)
    with pytest.raises(ConfigError, match="buoy setup -c"):
        install(tmp_path / "nowhere.toml", environ, is_system=False, machine=machine)
    with pytest.raises(ConfigError, match=r"/etc/buoy/buoy\.toml is not there"):
        install(None, environ, is_system=True, machine=machine)
    with pytest.raises(InstallError, match="--system"):
        install(file, environ, is_system=False, machine=as_root(machine))
    machine.booted.rmdir()
    with pytest.raises(InstallError, match="systemd does not run this machine"):
        install(file, environ, is_system=True, machine=machine)
    assert diary(tmp_path) == []
    assert not machine.system_units.exists()


def test_a_secret_that_only_the_shell_knows_is_missing_before_anything_is_written(
    tmp_path: Path, machine: Machine
) -> None:
    file = tmp_path / "buoy.toml"
    file.write_text('[[bots]]\napp_id = "1"\n')
    with pytest.raises(ConfigError, match="client_secret"):
        install(file, {"HOME": str(tmp_path), "QQ_CLIENT_SECRET": "in the shell"}, is_system=False, machine=machine)
    assert diary(tmp_path) == []


def test_what_systemd_says_no_to_is_said(tmp_path: Path, machine: Machine) -> None:
    notes(tmp_path, fails="enablebuoy.service")
    with pytest.raises(InstallError, match=r"systemctl --user enable buoy\.service: it says no"):
        install(settings(tmp_path), {"HOME": str(tmp_path)}, is_system=False, machine=machine)


def test_from_the_command_line_it_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    file = settings(tmp_path, data_dir="/var/lib/buoy")
    done = subprocess.run(
        [sys.executable, "-m", "buoy", "install", "--user", "-c", str(file)],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": "src"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("buoy: systemd does not run this machine")
    assert len(done.stderr.splitlines()) == 1
