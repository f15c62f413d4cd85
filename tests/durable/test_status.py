"""How many replies of an anchor are spoken for: used, or wanted by letters that wait for them."""

from __future__ import annotations

import sqlite3

import pytest

from buoy.durable import anchors, inbox, outbox, schema, status
from buoy.letters import Event
from tests.durable.rows import arrival, letter


@pytest.fixture
def db() -> sqlite3.Connection:
    return schema.open_memory()


def asked(db: sqlite3.Connection) -> Event:
    """A turn that runs."""
    it = arrival("k")
    row = inbox.put(db, it, 1).id
    assert row is not None
    return inbox.event_of(it, row)


def test_replies_that_were_used_and_letters_that_wait_for_this_anchor_count(db: sqlite3.Connection) -> None:
    event = asked(db)
    assert status.spoken_for(db, event) == 0
    anchors.use(db, event.id, 4)
    outbox.put(db, letter("held/1", origin="held"))
    own = outbox.put(db, letter("k/1", event=event.id)).letter
    assert status.spoken_for(db, event) == 3
    outbox.attempt(db, own.id, event.id, "a-k", 4, 1, 1.0)
    assert status.spoken_for(db, event) == 3, "its letter has the reply now"


def test_no_number_of_reasons_makes_a_snapshot_large(db: sqlite3.Connection) -> None:
    for n in range(50):
        row = inbox.put(db, arrival(f"k{n}"), 1).id
        assert row is not None
        inbox.bury(db, row, "no answer" if n < 3 else f"failed on message {n}", 1.0)
    told = status.inbox_depth(db, 2.0)
    assert told["states"]["dead"] == 50
    assert len(told["dead_reasons"]) == status.REASONS
    assert next(iter(told["dead_reasons"].items())) == ("no answer", 3)


def test_letters_for_other_anchors_and_of_other_conversations_do_not_count(db: sqlite3.Connection) -> None:
    event = asked(db)
    other = inbox.put(db, arrival("before"), None).id
    outbox.put(db, letter("before/1", event=other))
    outbox.put(db, letter("elsewhere", lane="qq:c2c:two"))
    kept = outbox.put(db, letter("kept")).letter
    outbox.hold(db, kept.id, "no", 1.0)
    assert status.spoken_for(db, event) == 0


def test_a_row_that_is_gone_has_used_nothing(db: sqlite3.Connection) -> None:
    event = asked(db)
    db.execute("DELETE FROM inbox")
    assert status.spoken_for(db, event) == 0


def test_the_open_letters_of_a_lane_are_found_by_their_index(db: sqlite3.Connection) -> None:
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    status.spoken_for(db, asked(db))
    db.set_trace_callback(None)
    (counted,) = (text for text in seen if "count(*)" in text)
    plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {counted}"))
    assert "outbox_open (bot=? AND lane=?)" in plan
