"""The units as systemd reads them, and everything that speaks against installing one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from buoy.faces.notify import READY_S
from buoy.faces.unit import InstallError, Place, quoted, refuse, text
from buoy.settings import Watch

SYSTEM = Place(True, ("/usr/bin/python3", "-m", "buoy"), Path("/etc/buoy/buoy.toml"), Path("/var/lib/buoy"), 5.0, 30.0)
USER = replace(SYSTEM, is_system=False, settings=Path("/home/a b/buoy.toml"), data_dir=Path("/home/a b/data"))


def keys(unit: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", unit, re.MULTILINE))


def analyze(tmp_path: Path, unit: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd itself; in CI it has to be there."""
    program = shutil.which("systemd-analyze")
    if program is None and not os.environ.get("CI"):
        pytest.skip("systemd-analyze is not installed")
    assert program is not None, "systemd-analyze is missing in CI"
    file = tmp_path / "buoy.service"
    file.write_text(unit)
    environ = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    return subprocess.run(
        [program, *options, str(file)], capture_output=True, text=True, timeout=30, check=False, env=environ
    )


@pytest.mark.parametrize(
    ("where", "options"),
    [
        (SYSTEM, ()),
        (replace(SYSTEM, data_dir=Path("/srv/my data")), ()),
        (USER, ("--user",)),
    ],
    ids=["system", "elsewhere", "user"],
)
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path, where: Place, options: tuple[str, ...]) -> None:
    done = analyze(tmp_path, text(where), "verify", "--man=no", *options)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_find_one(tmp_path: Path) -> None:
    spoiled = text(SYSTEM).replace("WatchdogSec=60", "WatchdogSec=sixty").replace("Restart=always", "Restrat=always")
    assert len(analyze(tmp_path, spoiled, "verify", "--man=no").stderr.splitlines()) >= 2


def test_the_system_unit_is_exposed_as_little_as_a_chat_gateway_can_be(tmp_path: Path) -> None:
    done = analyze(tmp_path, text(SYSTEM), "security", "--offline=yes", "--threshold=20")
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("where", [SYSTEM, USER], ids=["system", "user"])
def test_what_the_units_promise(where: Place) -> None:
    told = keys(text(where))
    assert told["Type"] == "notify"
    assert (told["Restart"], told["RestartPreventExitStatus"], told["StartLimitIntervalSec"]) == ("always", "2", "0")
    assert told["NoNewPrivileges"] == "yes"
    assert told["UMask"] == "0077"
    assert float(told["TimeoutStopSec"]) > where.deadline_s
    assert float(told["TimeoutStartSec"]) > READY_S
    assert float(told["WatchdogSec"]) > Watch().stuck_s, "the watch in the process comes first: it says where"
    assert "@" not in text(where).replace("@system-service", "").replace("@privileged @resources", "")


def test_the_settings_decide_about_times_and_places() -> None:
    told = keys(text(replace(SYSTEM, deadline_s=90.5, stuck_s=600.0)))
    assert (told["TimeoutStopSec"], told["WatchdogSec"]) == ("96", "630")
    assert keys(text(SYSTEM))["StateDirectory"] == "buoy"
    assert keys(text(SYSTEM))["ReadWritePaths"] == "/tmp"
    elsewhere = keys(text(replace(SYSTEM, data_dir=Path("/srv/my data"))))
    assert "StateDirectory" not in elsewhere
    assert elsewhere["ReadWritePaths"] == '/tmp "/srv/my data"'
    assert keys(text(USER))["ExecStart"] == '/usr/bin/python3 -m buoy run -c "/home/a b/buoy.toml"'
    assert keys(text(USER))["WorkingDirectory"] == "/home/a b"
    assert "User" not in keys(text(USER))


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("a b", '"a b"'),
        ("50%", "50%%"),
        ("$HOME", "$$HOME"),
        ('q"q', '"q\\"q"'),
        ("back\\slash", "back\\\\slash"),
        ("", '""'),
        (";", '";"'),
    ],
)
def test_words_of_a_command_line_reach_the_program_as_they_are(word: str, written: str) -> None:
    assert quoted(word) == written


@pytest.mark.parametrize(
    ("where", "named", "said"),
    [
        (replace(SYSTEM, command=("/home/me/venv/bin/python",)), True, "/opt/buoy"),
        (replace(SYSTEM, settings=Path("/root/buoy.toml")), True, "/etc/buoy/buoy.toml"),
        (replace(SYSTEM, data_dir=Path("/home/me/data")), True, "/var/lib"),
        (SYSTEM, False, 'data_dir = "/var/lib/buoy"'),
        (replace(USER, settings=Path("/home/a\nb")), True, "control characters"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(where: Place, named: bool, said: str) -> None:  # noqa: FBT001
    with pytest.raises(InstallError, match=re.escape(said)):
        refuse(where, names_data_dir=named)


def test_what_can_work_is_not_refused(tmp_path: Path) -> None:
    refuse(SYSTEM, names_data_dir=True)
    refuse(USER, names_data_dir=False)
    program = tmp_path / "python"
    program.symlink_to("/root/python3.11")
    with pytest.raises(InstallError, match="the system's Python"):
        refuse(replace(SYSTEM, command=(str(program),)), names_data_dir=True)


def test_a_dollar_in_a_folder_is_doubled_where_systemd_replaces_variables_and_only_there() -> None:
    elsewhere = text(replace(SYSTEM, data_dir=Path("/srv/a$b c"), settings=Path("/etc/x$y/buoy.toml")))
    assert 'ReadWritePaths=/tmp "/srv/a$b c"\n' in elsewhere
    assert elsewhere.count("$$") == 1
    assert "/etc/x$$y/buoy.toml" in keys(elsewhere)["ExecStart"]
    assert keys(text(replace(SYSTEM, data_dir=Path("/var/lib/a$b"))))["StateDirectory"] == "a$b"


@pytest.mark.parametrize("where", [SYSTEM, USER], ids=["system", "user"])
def test_an_update_of_a_large_database_is_not_killed_in_the_middle(where: Place) -> None:
    assert int(keys(text(where))["TimeoutStartSec"]) >= 600
