"""What a doctor reads from a database: bounded, without a lock, and nothing changes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from buoy.durable import checkup, inbox, outbox, schema
from buoy.letters import LetterState
from tests.durable.rows import BOT, arrival, column, letter


@pytest.fixture
def db() -> sqlite3.Connection:
    return schema.open_memory()


def ended(db: sqlite3.Connection, key: str, state: LetterState, code: int = 0, at: float = 1000.0) -> int:
    row = outbox.put(db, letter(key)).letter.id
    outbox.attempt_proactive(db, row, 1, at)
    outbox.settle(db, row, state, "so", None, code, "", None, at)
    return row


def test_letters_are_counted_by_state_code_and_reason_within_a_time(db: sqlite3.Connection) -> None:
    ended(db, "a", LetterState.DEAD, 7)
    ended(db, "b", LetterState.DEAD, 7)
    ended(db, "c", LetterState.UNSURE)
    ended(db, "d", LetterState.SENT)
    ended(db, "old", LetterState.DEAD, 7, at=10.0)
    held = outbox.put(db, letter("held")).letter
    outbox.hold(db, held.id, "no anchor", 5.0)
    told = [tuple(one) for one in checkup.letters(db, 500.0)]
    assert told[0] == (BOT, "dead", 7, "so", 2)
    assert set(told[1:]) == {(BOT, "unsure", 0, "so", 1), (BOT, "held", 0, "no anchor", 1)}


def test_letters_that_will_be_tried_again_are_told_once_they_were_tried(db: sqlite3.Connection) -> None:
    row = outbox.put(db, letter("a")).letter.id
    assert checkup.trying(db) == []
    outbox.attempt_proactive(db, row, 1, 1.0)
    ((bot, state, _, _, times),) = checkup.trying(db)
    assert (bot, state, times) == (BOT, "queued", 1)


def test_letters_in_other_words_are_told_with_the_refusal(db: sqlite3.Connection) -> None:
    for key in ("a", "b"):
        row = outbox.put(db, letter(key)).letter.id
        outbox.attempt_proactive(db, row, 1, 1.0)
        assert outbox.reword(db, row, b"{}", "a URL", 1000.0, 40054010)
    assert [tuple(one) for one in checkup.reworded(db, 500.0)] == [(BOT, "reworded", 40054010, "a URL", 2)]
    assert checkup.reworded(db, 2000.0) == []


def test_turns_that_ended_are_told_with_their_time(db: sqlite3.Connection) -> None:
    rows = [inbox.put(db, arrival(key), 1).id for key in ("a", "b", "c")]
    for row, state, end in zip(rows, ("done", "dead", "done"), (1010.0, 1003.0, 20.0), strict=True):
        db.execute("UPDATE inbox SET state = ?, claimed_at = ?, ended_at = ? WHERE id = ?", (state, end - 3, end, row))
    told = checkup.turns(db, 500.0)
    assert [(turn.state, turn.took_s) for turn in told] == [("dead", 3.0), ("done", 3.0)]


def test_latencies_and_events_of_the_last_day(db: sqlite3.Connection) -> None:
    row = ended(db, "a", LetterState.SENT)
    db.execute("UPDATE outbox SET latency_ms = 1500 WHERE id = ?", (row,))
    assert checkup.latencies(db, 500.0) == [1.5]
    assert checkup.latencies(db, 2000.0) == []
    inbox.put(db, arrival("k", type="REJECTED", received_at=900.0), None)
    assert checkup.events(db, "REJECTED", 500.0) == 1
    assert checkup.events(db, "REJECTED", 950.0) == 0
    assert column(db, "inbox", 1, "type") == "REJECTED"


def test_a_header_says_whose_database_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE t (x)")
    made.close()
    assert checkup.header(file) == (False, 0, 1)
    file.write_bytes(b"x" * 5000)
    with pytest.raises(sqlite3.DatabaseError):
        checkup.header(file)


def test_the_check_of_all_pages_ends_in_its_time(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    made = sqlite3.connect(file, isolation_level=None)
    made.execute("CREATE TABLE t (x)")
    made.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) "
        "INSERT INTO t SELECT hex(randomblob(40)) FROM n"
    )
    made.execute("CREATE INDEX i ON t (x)")
    made.close()
    assert checkup.damage(file, 30.0) == ""
    assert checkup.damage(file, -1.0) is None
    pages = bytearray(file.read_bytes())
    pages[-4096:] = bytes([0xAA]) * 4096
    file.write_bytes(pages)
    assert checkup.damage(file, 30.0)


def test_a_folder_is_tried_and_left_empty(tmp_path: Path) -> None:
    assert checkup.can_wal(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
