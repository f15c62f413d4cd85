"""`buoy schedule` as a person types it, on a data directory that no Buoy runs on; and settings that are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from buoy.config import load
from buoy.errors import BuoyError, ConfigError
from buoy.faces import planning
from buoy.faces.cli import app

ENVIRON = {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "x", "QQ_API_BASE": "http://127.0.0.1:9", "BUOY_LISTEN": "off"}
ADD = ("add", "s", "--cron", "50 23 * * *", "--zone", "Asia/Shanghai", "--target", "qq:c2c:ann")


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `buoy schedule ...`; gives its exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    for name, value in (ENVIRON | {"BUOY_DATA_DIR": str(tmp_path / "data")}).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["schedule", *words])
        if isinstance(done.exception, BuoyError):  # what `main` prints as one line
            return done.exception.exit_code, str(done.exception)
        return done.exit_code, done.output

    return run


def test_added_listed_shown_fired_and_removed(schedule: Command) -> None:
    code, said = schedule(*ADD, "--text", "good night")
    assert (code, "next: " in said, "23:50:00 (Asia/Shanghai)" in said) == (0, True, True)
    assert schedule(*ADD, "--text", "again")[0] == 2
    code, said = schedule("list", "--json")
    (row,) = json.loads(said)
    assert (row["name"], row["source"], row["kind"], row["misfire"]) == ("s", "command", "text", "once")
    assert (len(row["next"]), row["fired_at"], row["last_state"]) == (3, None, "")
    assert "23:50:00" in schedule()[1]
    assert schedule("run", "s") == (0, "schedule s is fired as out/1; it goes on when Buoy runs\n")
    row = json.loads(schedule("show", "s", "--json")[1])
    assert (row["fired_ref"], row["last_state"]) == ("out/1", "queued")
    assert "good night" in schedule("show", "s")[1]
    assert schedule("remove", "s")[0] == 0
    assert "none" in schedule("list")[1]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((*ADD, "--text", "x", "--prompt", "y"), "either --text or --prompt"),
        (ADD, "either --text or --prompt"),
        ((*ADD, "--text", "x" * 5000), "one QQ message takes"),
        ((*ADD, "--text", "x", "--misfire", "maybe"), "write once, skip or all"),
        ((*ADD, "--text", "x", "--cron", "* *"), "there are 2; write minute hour"),
        ((*ADD, "--text", "x", "--zone", "Mars"), "no time zone; write"),
        ((*ADD, "--text", "x", "--target", "qq:moon:x"), "targets are qq:c2c:"),
        ((*ADD, "--text", "x", "--target", "qq:c2c:x@2"), "append one of: @1"),
        (("add", "send", *ADD[2:], "--text", "x"), "no name"),
        (("add", "a b", *ADD[2:], "--text", "x"), "no name"),
        (("remove", "nobody"), "buoy schedule list"),
        (("run", "nobody"), "buoy schedule list"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(schedule: Command, words: tuple[str, ...], cause: str) -> None:
    code, said = schedule(*words)
    assert (code, cause in said, "\n" in said.strip()) == (2, True, False), said


def test_a_list_needs_a_database(schedule: Command) -> None:
    code, said = schedule("list")
    assert (code, "check data_dir" in said) == (74, True)


def test_an_asking_command_loads_no_cron_library_before_it_is_needed() -> None:
    told = "import sys, buoy.faces.runner; print(sorted({'croniter', 'dateutil', 'tzlocal'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def settings(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "buoy.toml"
    file.write_text(text)
    return load(file, ENVIRON | {"BUOY_DATA_DIR": str(tmp_path)})


GOOD = '[[schedules]]\nname = "n"\ncron = "@daily"\ntarget = "qq:c2c:a"\n'


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the machine's time zone."""

    def set_zone(zone: str) -> None:
        monkeypatch.setattr("tzlocal.unix._cache_tz_name", None)
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


def test_the_zone_of_the_machine_is_the_default(tmp_path: Path, machine: Callable[[str], None]) -> None:
    machine("Australia/Lord_Howe")
    (row,) = planning.of_file(settings(tmp_path, GOOD + 'prompt = "x"'), 5.0)
    assert (row.zone, row.kind, row.text, row.settled_to) == ("Australia/Lord_Howe", "prompt", "x", 5.0)


def test_a_machine_whose_zone_has_no_name_is_told_to_write_one(tmp_path: Path, machine: Callable[[str], None]) -> None:
    machine("HERE-7:13")
    with pytest.raises(ConfigError, match=r"^schedules\[0\].zone: missing, and .*; write one") as refused:
        planning.of_file(settings(tmp_path, GOOD + 'text = "x"'), 0.0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD, r"^schedules\[0\].text: neither text nor prompt is there; write"),
        (GOOD + 'text = "x"\nprompt = "y"', r"^schedules\[0\].text: text and prompt are both there; write"),
        (
            GOOD.replace("@daily", "1 2 3") + 'text = "x"',
            r"^schedules\[0\].cron: '1 2 3' is no cron line.*; write minute",
        ),
        (GOOD + 'text = "x"\nzone = "Mars"', r"^schedules\[0\].zone: 'Mars' is no time zone; write a name such as"),
        (GOOD.replace('"n"', '"held"') + 'text = "x"', r"^schedules\[0\].name: 'held' is no name; write 1 to 64"),
        ((GOOD + 'text = "x"\n') * 2, r"^schedules\[1\].name: n is there twice; write"),
        ('[[schedules]]\nname = "n"', r"^schedules\[0\].cron: missing; write minute"),
        (GOOD + 'text = "x"\nmisfire = "x"', r"^schedules\[0\].misfire: .*; write once, skip or all"),
        (GOOD + 'txt = "x"', r"^schedules\[0\].txt: no such setting; did you mean text\?"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        planning.of_file(settings(tmp_path, text), 0.0)


def test_a_target_that_no_bot_reaches_ends_the_start_with_2_and_status_says_so(tmp_path: Path) -> None:
    (tmp_path / "buoy.toml").write_text(GOOD.replace("qq:c2c:a", "qq:c2c:a@9") + 'text = "x"')
    environ = {**os.environ, **ENVIRON, "BUOY_DATA_DIR": str(tmp_path / "data")}

    def buoy(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "buoy", *words]
        return subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
        )

    started = buoy("run")
    assert (started.returncode, started.stderr.splitlines()[-1:]) == (
        2,
        ["buoy: schedule n: target qq:c2c:a@9 names no bot of this Buoy; append one of: @1"],
    )
    assert json.loads(buoy("status", "--json").stdout)["ended"]["code"] == 2
