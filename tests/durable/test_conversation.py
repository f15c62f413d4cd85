"""What one conversation holds, and nothing of another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from buoy.durable import conversation, inbox, outbox, schema
from buoy.letters import EventState, LetterState
from tests.durable.rows import BOT, LANE, arrival, letter


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(schema.open_memory()) as one:
        yield one


def test_letters_come_in_their_order_with_the_turn_that_they_answer(db: sqlite3.Connection) -> None:
    event = inbox.put(db, arrival("m1"), 1).id
    first = outbox.put(db, letter("m1/1", event=event, created_at=10.0)).letter
    outbox.put(db, letter("elsewhere", lane="qq:c2c:two"))
    outbox.put(db, letter("of another bot", bot="other"))
    second = outbox.put(db, letter("send/x", created_at=20.0, origin="send")).letter
    found = conversation.letters(db, BOT, LANE, 0.0)
    assert [(row.id, row.key, row.turn, row.state) for row in found] == [
        (first.id, "m1/1", "m1", LetterState.QUEUED),
        (second.id, "send/x", None, LetterState.QUEUED),
    ]
    assert conversation.letters(db, BOT, LANE, 20.0) == found[1:]
    assert conversation.letters(db, BOT, LANE, 20.1) == []
    assert conversation.letter(db, second.id) == found[1]
    assert conversation.letter(db, 999) is None


def test_one_look_goes_over_the_newest_letters_only(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        outbox.put(db, letter(f"send/{n}"))
    monkeypatch.setattr(conversation, "LOOKED_AT", 2)
    assert [row.key for row in conversation.letters(db, BOT, LANE, 0.0)] == ["send/3", "send/4"]


def test_open_turns_are_those_that_wait_or_run(db: sqlite3.Connection) -> None:
    done = inbox.put(db, arrival("m0"), 1).id
    db.execute("UPDATE inbox SET state = 'done' WHERE id = ?", (done,))
    inbox.put(db, arrival("m1", received_at=1.0), 1)
    inbox.put(db, arrival("m2", received_at=2.0), None)
    inbox.put(db, arrival("elsewhere", lane="qq:c2c:two"), None)
    assert [(one.key, one.state, one.received_at) for one in conversation.turns(db, BOT, LANE)] == [
        ("m1", EventState.RUNNING, 1.0),
        ("m2", EventState.WAITING, 2.0),
    ]
