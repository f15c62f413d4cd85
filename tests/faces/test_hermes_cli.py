"""`buoy hermes ...` as it is typed, on a machine without Hermes and with a Hermes that lies elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BUOY = (sys.executable, "-m", "buoy", "hermes")


def run(*words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/nowhere",
        "HOME": environ.get("HERMES_HOME", "/nowhere"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environ,
    }
    return subprocess.run(
        [*BUOY, *words], input=stdin, capture_output=True, text=True, timeout=60, check=False, env=env
    )


@pytest.mark.parametrize("command", ["install", "uninstall", "status", "doctor"])
def test_without_hermes_there_is_one_line_that_says_what_to_do(command: str, tmp_path: Path) -> None:
    done = run(command, HERMES_HOME=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no Hermes Agent here" in line
    assert "--hermes PATH" in line


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A `hermes` command of another environment, in which the package is not."""
    python = tmp_path / "venv" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text(
        "#!/bin/sh\n"
        """echo '{"hermes": "0.19.0", "buoy": null, "entry_points": [], "has_pip": true, "platforms": {}, "taken":"""
        """ null, "error": null}'\n"""
    )
    python.chmod(0o755)
    hermes = python.with_name("hermes")
    hermes.write_text(f"#!{python}\n")
    hermes.chmod(0o755)
    return python


def test_where_the_package_is_missing_the_command_that_puts_it_there_is_named(elsewhere: Path, tmp_path: Path) -> None:
    where = {"HERMES_HOME": str(tmp_path), "PATH": str(elsewhere.parent)}
    remedy = f"{elsewhere} -m pip install buoy-qq"
    done = run("install", **where)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert remedy in done.stderr
    done = run("status", **where)
    assert done.returncode == 3
    assert remedy in done.stdout
    done = run("doctor", **where)
    assert done.returncode == 1
    assert remedy in done.stdout


def test_where_the_package_is_there_that_one_does_the_work(elsewhere: Path, tmp_path: Path) -> None:
    """A stand-in Python: asked what it knows, it has Buoy; started as Buoy, it prints its words."""
    elsewhere.write_text(
        elsewhere.read_text()
        .replace('null, "entry', '"0.1.0", "entry')
        .replace("#!/bin/sh\n", '#!/bin/sh\n[ "$1" = -m ] && { echo "$@"; exit 7; }\n')
    )
    done = run("install", "--as-qqbot", "--yes", HERMES_HOME=str(tmp_path), PATH=str(elsewhere.parent))
    assert done.returncode == 7
    assert done.stdout.split() == ["-m", "buoy", "hermes", "install", "--home", str(tmp_path), "--as-qqbot", "--yes"]
    done = run("status", "--json", HERMES_HOME=str(tmp_path), PATH=str(elsewhere.parent))
    assert done.stdout.split() == ["-m", "buoy", "hermes", "status", "--home", str(tmp_path), "--json"]


def test_no_home_is_one_line(elsewhere: Path, tmp_path: Path) -> None:
    done = run("status", "--home", str(tmp_path / "none"), PATH=str(elsewhere.parent))
    assert done.returncode == 2
    assert "there is no Hermes home" in done.stderr


def test_a_secret_on_the_command_line_is_refused_and_not_repeated(elsewhere: Path, tmp_path: Path) -> None:
    done = run("install", "--secret", "s3cret-of-the-bot", HERMES_HOME=str(tmp_path), PATH=str(elsewhere.parent))
    assert done.returncode == 2
    assert "--secret -" in done.stderr
    assert "s3cret" not in done.stderr
