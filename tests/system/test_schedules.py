"""Schedules in real processes whose wall clock a test chooses: power cuts, `kill -9`, nights without a machine."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from buoy.durable import schedules
from buoy.durable.schedules import Schedule
from tests.system.processes import ROOT, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

DEADLINE_S = 3.0
KILLED_AFTER_S = (0.0, 0.01, 0.05, 0.2)  # the planned time: around it the row is committed
START_S = 1.2  # from spawn to a running timetable, and a little more


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform("--no-limits") as one:
        yield one


@pytest.fixture
def process(judge: Platform, tmp_path: Path) -> Iterator[Buoy]:
    path = f"{ROOT / 'src'}:{ROOT / 'tests/system/clock'}"
    with buoy(tmp_path / "data", judge.api_base, PYTHONPATH=path, BUOY_SHUTDOWN_S=str(DEADLINE_S)) as one:
        yield one


def set_clock(process: Buoy, at: datetime) -> None:
    """The next process believes that it is this time now."""
    process.environ["CLOCK_OFFSET_S"] = repr(at.timestamp() - time.time())


def next_day(hour: int, minute: int, second: int = 0) -> datetime:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return tomorrow.replace(hour=hour, minute=minute, second=second, microsecond=0)


def somebody(judge: Platform, process: Buoy) -> str:
    """Who has written and was answered: to them a message without an anchor may go. Nothing runs afterwards."""
    process.start()
    message = judge.say("hello")
    wait_until(lambda: judge.answers(message), "the first answer")
    process.terminate()
    return f"qq:c2c:{judge.answers(message)[0]['target']}"


def add(process: Buoy, name: str, cron: str, target: str, *options: str) -> None:
    done = process.command("schedule", "add", name, "--cron", cron, "--zone", "UTC", "--target", target, *options)
    assert done.returncode == 0, done.stderr


def keep(process: Buoy, at: datetime, target: str, **changes: str) -> None:
    """What `buoy schedule add` would have stored at this time, without the second that a command takes."""
    said = {"kind": "text", "misfire": "all", **changes}
    new = Schedule(
        said["name"], "command", said["cron"], "UTC", target, said["kind"], said["text"], said["misfire"],
        at.timestamp(), at.timestamp(),
    )  # fmt: skip
    with closing(sqlite3.connect(process.directory / "buoy.db")) as db:
        assert schedules.add(db, new)
        db.commit()


def rows(process: Buoy, sql: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{process.directory / 'buoy.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def texts(judge: Platform) -> list[str]:
    return [one["text"] for one in judge.ask("GET", "/log")]


@pytest.mark.parametrize(("kind", "network"), [("text", "down"), ("prompt", "blackhole")])
def test_a_job_at_23_50_with_qq_unreachable_and_the_power_off_at_23_51(
    judge: Platform, process: Buoy, kind: str, network: str
) -> None:
    target = somebody(judge, process)
    set_clock(process, next_day(23, 40))
    add(process, "nightly", "50 23 * * *", target, f"--{kind}", "good night")
    judge.network(network)
    set_clock(process, next_day(23, 49, 59))
    process.start(wait=False)
    wait_until(lambda: rows(process, "SELECT 1 FROM outbox WHERE key LIKE 'nightly/%'"), "the letter is in the store")
    took = process.terminate()
    assert (took < DEADLINE_S, process.exit_code) == (True, 0), f"{took:.2f} s"
    assert rows(process, "SELECT state FROM outbox WHERE origin = 'schedule'") == [("queued",)]
    assert "good night" not in texts(judge)
    judge.network("up")
    set_clock(process, next_day(23, 50) + timedelta(hours=8))
    process.start()
    wait_until(lambda: "good night" in texts(judge), "the letter of last night")
    wait_until(lambda: rows(process, "SELECT 1 FROM outbox WHERE origin = 'schedule' AND state = 'sent'"), "settled")
    assert texts(judge).count("good night") == 1
    told = json.loads(process.command("schedule", "list", "--json").stdout)[0]
    assert (told["last_state"], told["missed"], len(told["next"])) == ("sent", 0, 3)


@pytest.mark.timeout(90)
def test_killed_at_every_point_around_a_firing_each_planned_time_is_fired_once(judge: Platform, process: Buoy) -> None:
    target = somebody(judge, process)
    minute = next_day(12, 0)
    began = minute
    keep(process, minute - timedelta(seconds=30), target, name="t", cron="* * * * *", text="tick")
    keep(process, minute - timedelta(seconds=30), target, name="p", cron="* * * * *", text="tock", kind="prompt")
    judge.network("down")
    interrupted: Counter[int] = Counter()
    for after_s in KILLED_AFTER_S:
        minute += timedelta(minutes=1)
        set_clock(process, minute - timedelta(seconds=START_S))
        spawned = time.monotonic()
        process.start(wait=False)
        time.sleep(max(0.0, spawned + START_S + after_s - time.monotonic()))
        process.kill()
        interrupted[len(rows(process, "SELECT 1 FROM schedule WHERE fired_for IS NOT NULL"))] += 1
    judge.network("up")
    set_clock(process, minute + timedelta(seconds=20))
    process.start()
    planned = [began + timedelta(minutes=n) for n in range(len(KILLED_AFTER_S) + 1)]
    keys = sorted(f"t/{at:%Y-%m-%dT%H:%M:%SZ}" for at in planned)
    wait_until(lambda: len(rows(process, "SELECT 1 FROM outbox WHERE state = 'sent'")) == 1 + 2 * len(keys), "all sent")
    found = [key for (key,) in rows(process, "SELECT key FROM outbox WHERE key LIKE 't/%' ORDER BY key")]
    assert found == keys, f"interrupted with so many fired: {interrupted}"
    assert [key for (key,) in rows(process, "SELECT key FROM inbox WHERE type = 'schedule' ORDER BY key")] == [
        key.replace("t/", "p/") for key in keys
    ]
    assert (texts(judge).count("tick"), texts(judge).count("tock")) == (len(keys), len(keys))


def test_a_machine_that_was_off_at_three_planned_times(judge: Platform, process: Buoy) -> None:
    target = somebody(judge, process)
    for policy in ("skip", "once", "all"):
        keep(process, next_day(0, 30), target, name=policy, cron="0 * * * *", text=policy, misfire=policy)
    set_clock(process, next_day(3, 30))
    process.start()
    wait_until(lambda: len(texts(judge)) == 1 + 0 + 1 + 3, "what the policies make up for")
    wait_until(lambda: not rows(process, "SELECT 1 FROM outbox WHERE state <> 'sent'"), "all settled")
    assert Counter(texts(judge)) == Counter({"hello": 1, "once": 1, "all": 3})
    assert rows(process, "SELECT name, missed FROM schedule ORDER BY name") == [("all", 0), ("once", 2), ("skip", 3)]
    add(process, "late", "0 12 * * *", target, "--prompt", "through the running one")
    assert process.command("schedule", "run", "late").returncode == 0
    wait_until(lambda: "through the running one" in texts(judge), "fired by hand")
    assert process.command("schedule", "remove", "late").returncode == 0
    assert rows(process, "SELECT name FROM schedule ORDER BY name") == [("all",), ("once",), ("skip",)]
