"""The story of one message, whatever it is asked for by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from buoy.durable import inbox, outbox, schema
from buoy.durable.trace import note, trace
from buoy.letters import LetterState
from tests.durable.rows import LANE, arrival, letter


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = schema.open_memory()
    yield db
    db.close()


def told(db: sqlite3.Connection) -> int:
    """A turn that failed once, and whose letter was sent at the second try."""
    row = inbox.put(db, arrival("m1", seq=7, anchor="platform-1"), None).id
    assert row is not None
    inbox.claim(db, row, 3, False, 102.0)
    inbox.again(db, row, "ValueError: no", 103.0, 104.0)
    inbox.claim(db, row, 3, True, 104.0)
    inbox.finish(db, row, 105.0)
    it = outbox.put(db, letter("m1/1", event=row, created_at=105.0)).letter
    outbox.attempt(db, it.id, row, "platform-1", 4, 3, 105.5)
    outbox.retry(db, it.id, 107.0, "time-out", True, 106.0)
    outbox.repeat(db, it.id, 3, 107.0)
    outbox.settle_sent(db, it.id, "remote-9", 108.0, 41.6)
    return row


STORY = [
    (100.0, "m1: written at the platform"),
    (101.0, f"in/1: received as MESSAGE (bot bot, shard 0, sequence 7) in {LANE}"),
    (103.0, "in/1: run failed: ValueError: no"),
    (104.0, "in/1: turn started (attempt 2, boot 3, alone)"),
    (105.0, "in/1: turn ended, done"),
    (105.0, "out/1: letter m1/1 queued (turn)"),
    (106.0, "out/1: not sent: time-out"),
    (107.0, "out/1: attempt 2, reply 1 to platform-1"),
    (108.0, "out/1: sent as remote-9 in 42 ms"),
]


@pytest.mark.parametrize("any_id", ["1", "in/1", "out/1", "m1", "m1/1", "platform-1", "remote-9", " m1 "])
def test_every_step_is_told_whatever_it_is_asked_for_by(db: sqlite3.Connection, any_id: str) -> None:
    told(db)
    assert trace(db, any_id) == STORY


@pytest.mark.parametrize("any_id", ["", "2", "in/2", "nothing", "/", "9" * 40, "²", "in/x"])
def test_nothing_is_told_of_what_is_not_known(db: sqlite3.Connection, any_id: str) -> None:
    told(db)
    assert trace(db, any_id) == []


def test_a_letter_of_nobody_is_told_alone(db: sqlite3.Connection) -> None:
    told(db)
    outbox.put(db, letter("send/1", origin="cli"))
    assert trace(db, "send/1") == [
        (200.0, "out/2: letter send/1 queued (cli)"),
        (200.0, "out/2: waits to be sent"),
    ]
    assert trace(db, "2") == trace(db, "send/1")
    outbox.put(db, letter("send/backup-7", origin="cli"))
    assert trace(db, "backup-7") == trace(db, "send/backup-7") != [], "as whoever sent it named it"


def test_a_merged_letter_leads_to_the_one_that_carried_it(db: sqlite3.Connection) -> None:
    rows = [outbox.put(db, letter(f"send/{n}")).letter.id for n in (1, 2)]
    outbox.hold(db, rows[0], "no window", 201.0)
    outbox.merge(db, [rows[0]], rows[1], 202.0)
    outbox.settle(db, rows[1], LetterState.DEAD, "refused", None, 0, "", None, 203.0)
    steps = [step for _, step in trace(db, "send/1")]
    assert "out/1: held: no window" in steps
    assert any(step.startswith("out/1: merged into out/2") for step in steps)
    assert steps[-1] == "out/2: dead: refused"


@pytest.mark.parametrize("state", ["stored", "waiting", "dead", "held"])
def test_where_it_stands_is_told_too(db: sqlite3.Connection, state: str) -> None:
    if state == "held":
        row = outbox.put(db, letter("k")).letter.id
        outbox.hold(db, row, "the reply window is over", 201.0)
        assert trace(db, "k")[-1][1] == "out/1: held: the reply window is over"
        return
    put = inbox.put(db, arrival("k", turn=state != "stored", reason="a bot wrote it"), None)
    assert put.id is not None
    if state == "dead":
        inbox.bury(db, put.id, "poison", 300.0)
    last = trace(db, "k")[-1][1]
    wanted = {
        "stored": "in/1: stored without a turn: a bot wrote it",
        "waiting": "in/1: waits for its turn: a bot wrote it",
        "dead": "in/1: turn ended, dead: poison",
    }
    assert last == wanted[state]


def test_a_happening_that_repeats_takes_one_row(db: sqlite3.Connection) -> None:
    row = told(db)
    for at in range(1000):
        note(db, f"in/{row}", 1000.0 + at, "unreachable")
    steps = [step for step in trace(db, "m1") if "unreachable" in step[1]]
    assert steps == [(1000.0, "in/1: unreachable"), (1999.0, "in/1: unreachable (for the 1000th time)")]
    assert db.execute("SELECT count(*) FROM note WHERE text = 'unreachable'").fetchone() == (1,)
