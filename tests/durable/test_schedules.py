"""The rows of schedules: a firing and what is settled by it are one transaction, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from buoy.durable import inbox, outbox, schedules, schema
from buoy.durable.schedules import Schedule, fate, key_of, settle
from buoy.letters import SCHEDULED, Arrival, Letter, LetterState

T0 = 1_800_000_000.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(schema.open_memory()) as one:
        yield one


def schedule(name: str = "s", **changes: Any) -> Schedule:
    fields: dict[str, Any] = {
        "name": name, "source": "command", "cron": "0 * * * *", "zone": "UTC", "target": "qq:c2c:ann", "kind": "text",
        "text": "x", "misfire": "once", "settled_to": T0, "created_at": T0,
    }  # fmt: skip
    return Schedule(**{**fields, **changes})


def letter(key: str = "s/1") -> Letter:
    return Letter(0, key, "bot", "qq:c2c:ann", b"x", LetterState.QUEUED, T0, origin=SCHEDULED)


def arrival(key: str = "s/1") -> Arrival:
    return Arrival(
        "bot", 0, "", None, SCHEDULED, key, b"{}", "qq:c2c:ann", turn=True, anchor=None, event_at=T0, received_at=T0
    )


def row(db: sqlite3.Connection, name: str = "s") -> Schedule:
    found = schedules.get(db, name)
    assert found is not None
    return found


def test_a_key_names_the_schedule_and_the_planned_time() -> None:
    assert key_of("night-ly", T0) == "night-ly/2027-01-15T08:00:00Z"


def test_what_is_added_is_there_once(db: sqlite3.Connection) -> None:
    assert schedules.add(db, schedule())
    assert not schedules.add(db, schedule(text="other"))
    assert schedules.listing(db) == [schedule()]
    assert schedules.remove(db, "s")
    assert not schedules.remove(db, "s")


@pytest.mark.parametrize("what", [letter(), arrival()])
def test_a_firing_and_what_it_settles(db: sqlite3.Connection, what: Letter | Arrival) -> None:
    schedules.add(db, schedule())
    fired = settle(db, row(db), T0 + 3600, 2, T0 + 3600, what, T0 + 3601)
    assert fired is not None
    assert fired.fresh
    after = row(db)
    assert (after.settled_to, after.fired_for, after.fired_at) == (T0 + 3600, T0 + 3600, T0 + 3601)
    assert (after.missed, after.missed_at) == (2, T0 + 3601)
    assert after.fired_ref == ("out/1" if isinstance(what, Letter) else "in/1")


@pytest.mark.parametrize("what", [letter(), arrival()])
def test_a_key_that_is_known_settles_and_fires_nothing(db: sqlite3.Connection, what: Letter | Arrival) -> None:
    schedules.add(db, schedule())
    settle(db, row(db), T0 + 1, 0, T0 + 1, replace(what), T0 + 1)
    again = settle(db, row(db), T0 + 2, 0, T0 + 1, replace(what), T0 + 2)
    assert again is not None
    assert not again.fresh
    assert (row(db).settled_to, row(db).fired_at) == (T0 + 2, T0 + 1)
    assert len(outbox.listing(db)) + len(inbox.listing(db)) == 1


def test_without_anything_to_fire_it_only_settles(db: sqlite3.Connection) -> None:
    schedules.add(db, schedule())
    settle(db, row(db), T0 + 9, 0, None, None, T0 + 9)
    assert row(db) == schedule(settled_to=T0 + 9)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE schedule SET text = 'new words'",
        "UPDATE schedule SET settled_to = settled_to + 1",
        "DELETE FROM schedule",
    ],
)
def test_a_schedule_that_changed_meanwhile_is_not_fired_as_it_was(db: sqlite3.Connection, change: str) -> None:
    schedules.add(db, schedule())
    known = row(db)
    db.execute(change)
    before = schedules.listing(db)
    assert settle(db, known, T0 + 1, 0, T0 + 1, letter(), T0 + 1) is None
    assert (schedules.listing(db), outbox.listing(db)) == (before, [])


def test_the_file_takes_its_own_and_leaves_those_of_commands(db: sqlite3.Connection) -> None:
    schedules.add(db, schedule("kept"))
    schedules.add(db, schedule("taken", fired_for=T0, fired_ref="out/1", settled_to=T0 + 5))
    file = [schedule("taken", source="file", settled_to=T0 + 99), schedule("new", source="file")]
    assert schedules.sync(db, file) == ["taken"]
    assert row(db, "taken") == schedule("taken", source="file", fired_for=T0, fired_ref="out/1", settled_to=T0 + 5)
    assert schedules.sync(db, [schedule("new", source="file", text="other", settled_to=T0 + 99)]) == []
    assert [one.name for one in schedules.listing(db)] == ["kept", "new"]
    assert row(db, "new") == schedule("new", source="file", text="other")
    assert not schedules.remove(db, "new"), "a command does not take away what the file names"


@pytest.mark.parametrize("change", [{"cron": "5 * * * *"}, {"zone": "Asia/Shanghai"}])
def test_another_time_starts_anew(db: sqlite3.Connection, change: dict[str, str]) -> None:
    schedules.sync(db, [schedule(source="file")])
    schedules.sync(db, [schedule(source="file", settled_to=T0 + 99, **change)])
    assert row(db).settled_to == T0 + 99


def test_the_fate_of_a_firing(db: sqlite3.Connection) -> None:
    assert fate(db, "") == ""
    assert fate(db, "out/1") == fate(db, "in/1") == "forgotten"
    outbox.put(db, letter())
    assert fate(db, "out/1") == "queued"
    inbox.put(db, arrival(), 1)
    assert fate(db, "in/1") == "running"
    inbox.finish(db, 1, T0)
    assert fate(db, "in/1") == "no answer"
    for n in (1, 2):
        outbox.put(db, replace(letter(f"s/1/{n}"), event=1))
    db.execute("UPDATE outbox SET state = 'sent' WHERE key = 's/1/1'")
    assert fate(db, "in/1") == "queued, sent"
