"""`buoy doctor` as its user runs it: a process, its report, its exit code."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from buoy.durable.lock import machine_path
from buoy.faces.doctor import show
from buoy.faces.doctor.verdicts import Check, Verdict, found, well
from tests.system.disks import needs_root
from tests.system.processes import APP_ID, SECRET, Buoy, Platform, buoy, platform


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def verdicts(told: dict[str, Any]) -> set[str]:
    return {one["verdict"] for one in told["findings"] if one["verdict"]}


def identifies(sim: Platform) -> int:
    return int(sim.state()["counters"].get("identifies", 0))


SOMEBODY = 65534
AS_SOMEBODY = f"""
import encodings.idna, os, pwd, sys
import buoy.faces.cli, buoy.faces.doctor.command, buoy.faces.logs, buoy.faces.status, rich.console, openai
from buoy.faces.main import main
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid({SOMEBODY}, {SOMEBODY}, {SOMEBODY})
    os.setresuid({SOMEBODY}, {SOMEBODY}, {SOMEBODY})
sys.argv = ["buoy", *sys.argv[1:]]
main()
"""


def as_somebody(one: Buoy, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who does not own the data; where we are no root, they are closed to us, too."""
    argv, environ = [sys.executable, "-c", AS_SOMEBODY, *arguments], os.environ | one.environ
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environ, cwd="/")


@pytest.mark.skipif(os.name != "posix", reason="owners are POSIX")
def test_another_user_is_told_that_it_is_another_user_and_that_nothing_is_known(tmp_path: Path) -> None:
    with platform() as sim, buoy(tmp_path / "data", sim.api_base) as one:
        one.start()
        tmp_path.chmod(0o700 if os.geteuid() == 0 else 0)
        try:
            told = report(as_somebody(one, "doctor", "--json"))
            assert verdicts(told) == {"data_unusable", "no_alerts"}
            for command in ("logs", "status"):
                done = as_somebody(one, command)
                assert done.returncode in {1, 74}, done
                assert done.stdout == ""
                assert "run this as the user" in done.stderr
                assert done.stderr.count("\n") == 1, done.stderr
        finally:
            tmp_path.chmod(0o700)


@needs_root
def test_a_file_of_root_in_the_folder_is_named_and_no_database_is_called_damaged(tmp_path: Path) -> None:
    with platform() as sim, TemporaryDirectory() as name, buoy(Path(name) / "data", sim.api_base) as one:
        Path(name).chmod(0o755)
        one.start()
        one.terminate()
        os.chown(one.directory, SOMEBODY, SOMEBODY)
        told = report(as_somebody(one, "doctor", "--json", "--no-connect"))
        (finding,) = (one for one in told["findings"] if one["verdict"] == "data_unusable")
        assert finding["cause"].endswith("buoy.db belongs to another user (root)")
        assert verdicts(told) == {"data_unusable", "no_alerts"}

        for file in one.directory.iterdir():
            os.chown(file, SOMEBODY, SOMEBODY)
        one.directory.chmod(0o500)
        done = as_somebody(one, "status")
        assert done.returncode == 74
        assert "correct who owns it and its folder" in done.stderr
        assert "from a backup" not in done.stderr


def test_an_encoding_that_lacks_a_letter_costs_the_letter_only(tmp_path: Path) -> None:
    with buoy(tmp_path / "data", "http://127.0.0.1:1", LC_ALL="zh_CN.UTF-8", PYTHONIOENCODING="ascii") as one:
        done = one.command("doctor", "--no-connect")
    assert (done.returncode, done.stderr) == (1, "")
    assert "\\u" in done.stdout


def forget(one: Buoy) -> None:
    """Take away what the processes left for the machine."""
    lock = machine_path(f"{one.environ['QQ_API_BASE']} {APP_ID}")
    lock.unlink(missing_ok=True)


def test_before_during_and_after_a_buoy(tmp_path: Path) -> None:
    with platform() as sim, buoy(tmp_path / "data", sim.api_base, BUOY_LISTEN="127.0.0.1:0") as one:
        before = one.command("doctor", "--json", "--no-connect")
        told = report(before)
        assert verdicts(told) == {"not_running", "no_alerts", "data_missing"}
        assert (before.returncode, told["level"], told["schema"], told["fixed"]) == (0, "warning", 1, [])
        assert set(told) == {"schema", "version", "at", "took_s", "level", "language", "findings", "fixed"}
        keys = {"check", "level", "verdict", "subject", "cause", "title", "means", "do"}
        assert all(set(finding) == keys for finding in told["findings"])

        one.start()
        assert identifies(sim) == 1
        told = report(one.command("doctor", "--json"))
        assert verdicts(told) == {"no_alerts"}
        (page,) = (finding for finding in told["findings"] if finding["check"] == "status page")
        assert page["cause"].startswith("served at ")
        assert identifies(sim) == 1, "it asks the Buoy that runs"

        one.environ["QQ_CLIENT_SECRET"] = "wrong"
        bad = one.command("doctor", "--json")
        told = report(bad)
        assert (bad.returncode, told["level"]) == (1, "fault")
        assert told["findings"][0]["verdict"] == "secret"
        one.environ["QQ_CLIENT_SECRET"] = SECRET

        one.kill()
        told = report(one.command("doctor", "--json"))
        assert {"stale_address", "not_running"} <= verdicts(told)
        assert identifies(sim) == 1, "its session may still be resumed"
        mended = report(one.command("doctor", "--json", "--fix", "--no-connect"))
        assert [done["verdict"] for done in mended["fixed"]] == ["stale_address"]
        assert "stale_address" not in verdicts(mended)
        forget(one)


def test_settings_that_cannot_be_used_are_a_fault_and_no_end(tmp_path: Path) -> None:
    with buoy(tmp_path, "http://127.0.0.1:1") as one:
        tmp_path.chmod(0o755)
        one.environ["QQ_APP_ID"] = ""
        done = one.command("doctor", "--json")
        told = report(done)
        assert done.returncode == 1
        assert {"settings", "data_open"} <= verdicts(told)
        assert "QQ_APP_ID" in told["findings"][0]["cause"]
        mended = report(one.command("doctor", "--json", "--fix"))
        assert "data_open" not in verdicts(mended)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_for_people_the_worst_comes_first_and_a_verdict_last(tmp_path: Path) -> None:
    with platform() as sim, buoy(tmp_path / "data", sim.api_base, LANG="en_US.UTF-8") as one:
        sim.ask("POST", "/faults", kind="ip_refused")
        done = one.command("doctor", "--fix", "--no-connect")
        lines = done.stdout.rstrip().splitlines()
        assert done.returncode == 1
        assert lines[0].startswith("XX  QQ's API")
        assert any("mkdir" in line for line in lines)
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert lines[-1] == "1 wrong: This machine's address is not on the bot's IP allowlist."
        one.environ["LANG"] = "zh_CN.UTF-8"
        assert "IP 白名单" in one.command("doctor", "--no-connect").stdout.splitlines()[-1]


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_a_report_in_each_language(tongue: str, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [found(Check.NETWORK, Verdict.DNS, "no such name", "a"), well(Check.CLOCK, "fine")]
    show.for_people(findings, [(findings[0], "nothing")], tongue)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("XX  ")
    assert "no such name" in told[1]
    assert told[-1] == show.verdict_line(findings, tongue)
    assert show.verdict_line([findings[1]], tongue) == show.LABELS[tongue]["ok"]
