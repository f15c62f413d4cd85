"""Forgetting: bodies first, rows later, what has not ended never; and the file stops growing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from buoy.durable import history, inbox, outbox, schema, sessions
from buoy.durable.retention import Pruned, prune
from buoy.durable.trace import note
from buoy.letters import LetterState
from tests.durable.rows import arrival, letter

DAY_S = 86400.0


def fill(db: sqlite3.Connection, name: str, at: float, count: int = 1) -> None:
    """Answered turns, one with a held letter, one that still waits."""
    for n in range(count):
        row = inbox.put(db, arrival(f"{name}{n}", received_at=at, frame=b"f" * 400), 1).id
        assert row is not None
        inbox.finish(db, row, at)
        sent = outbox.put(db, letter(f"{name}{n}/1", created_at=at, body=b"b" * 200, event=row)).letter.id
        outbox.settle(db, sent, LetterState.SENT, "", None, 0, "", None, at)
        note(db, f"in/{row}", at, "something")
    sessions.record_identify(db, "bot", 0, at)
    sessions.record_gap(db, "bot", 0, "S", 1, at, at, "x")


def left(db: sqlite3.Connection) -> list[int]:
    tables = ("inbox", "outbox", "note", "identify", "gap")
    return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def test_bodies_go_after_a_month_and_rows_after_three() -> None:
    db = schema.open_memory()
    fill(db, "a", 0.0)
    assert prune(db, 29 * DAY_S) == Pruned(0, 0, more=False)
    assert prune(db, 31 * DAY_S) == Pruned(2, 0, more=False)
    assert left(db) == [1, 1, 1, 1, 1]
    assert not inbox.put(db, arrival("a0"), None).fresh, "its key still meets a duplicate"
    assert prune(db, 89 * DAY_S) == Pruned(0, 0, more=False)
    assert prune(db, 91 * DAY_S) == Pruned(0, 5, more=False)
    assert left(db) == [0, 0, 0, 0, 0]
    db.close()


def test_what_has_not_ended_is_kept_however_old() -> None:
    db = schema.open_memory()
    inbox.put(db, arrival("waits", received_at=0.0), None)
    inbox.put(db, arrival("runs", received_at=0.0), 1)
    for name in ("queued", "held", "claimed"):
        row = outbox.put(db, letter(name, created_at=0.0)).letter.id
        if name == "held":
            outbox.hold(db, row, "x", 0.0)
        elif name == "claimed":
            outbox.attempt_proactive(db, row, 1, 0.0)
    assert prune(db, 1000 * DAY_S).bodies == 0
    assert left(db)[:2] == [2, 3]
    db.close()


def test_the_state_that_a_bot_is_in_is_kept_however_old() -> None:
    db = schema.open_memory()
    history.note(db, "a", 0, "down", "starting", 0.0)
    history.note(db, "a", 0, "up", "", 10.0)
    history.note(db, "gone", 0, "off", "stopped", 20.0)
    history.note(db, "b", 0, "up", "", 99 * DAY_S)
    assert prune(db, 100 * DAY_S).rows == 2
    kept = [(one.bot, one.state) for one in history.spans(db, 99.5 * DAY_S, 100 * DAY_S)]
    assert kept == [("a", "up"), ("b", "up")], "gone has been off for so long that nobody asks"
    db.close()


def test_a_slice_is_small_and_says_that_there_is_more() -> None:
    db = schema.open_memory()
    fill(db, "a", 0.0, count=25)
    slices = []
    while True:
        slices.append(prune(db, 100 * DAY_S, limit=10))
        if not slices[-1].more:
            break
    assert all(done.bodies <= 20 and done.rows <= 50 for done in slices)
    assert sum(done.bodies for done in slices) == 50
    assert left(db) == [0, 0, 0, 0, 0]
    db.close()


def test_slices_do_not_look_at_what_is_young_nor_again_at_what_is_done() -> None:
    db = schema.open_memory()
    fill(db, "old", 0.0, count=300)
    fill(db, "young", 100 * DAY_S, count=3000)

    def steps() -> int:
        taken = 0

        def count() -> None:
            nonlocal taken
            taken += 1

        db.set_progress_handler(count, 100)
        prune(db, 40 * DAY_S)
        db.set_progress_handler(None, 0)
        return taken

    first, again = steps(), steps()
    assert again < first / 5, "the mark remembers what is done"
    db.execute("DELETE FROM meta")
    assert steps() < first, "3,000 young rows are not looked at"
    db.close()


def test_the_file_stops_growing(tmp_path: Path) -> None:
    writer, reader = schema.open_file(tmp_path)
    sizes = []
    for day in range(0, 400, 5):
        writer.execute("BEGIN")
        fill(writer, f"d{day}-", day * DAY_S, count=20)
        while prune(writer, day * DAY_S).more:
            pass
        writer.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append((tmp_path / schema.FILE).stat().st_size)
    steady = sizes[25]  # day 125: everything that ages has aged
    assert max(sizes[26:]) <= steady * 1.1, sizes
    reader.close()
    writer.close()
