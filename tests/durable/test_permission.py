"""What is known about messages without an anchor: a row a conversation, the newest knowledge, in the same commit."""

from __future__ import annotations

import sqlite3

import pytest

from buoy.durable import inbox, permission, schema
from buoy.letters import Permission
from tests.durable.rows import BOT, LANE, arrival

NO = Permission(False, 100.0, "REJECT")
YES = Permission(True, 200.0, "one was accepted")
VOID = Permission(None, 300.0, "ADD")
LATER = 1000.0


@pytest.fixture
def db() -> sqlite3.Connection:
    return schema.open_memory()


def learned(db: sqlite3.Connection, *told: Permission) -> Permission | None:
    for one in told:
        permission.learn(db, BOT, LANE, one, LATER)
    return permission.known(db, BOT, LANE)


def test_at_first_nothing_is_known(db: sqlite3.Connection) -> None:
    assert permission.known(db, BOT, LANE) is None


def test_the_newest_knowledge_wins_in_whatever_order_it_comes(db: sqlite3.Connection) -> None:
    assert learned(db, NO, YES) == YES
    assert learned(db, NO) == YES, "it came late"
    assert learned(db, Permission(False, 200.0, "REJECT")) == Permission(False, 200.0, "REJECT"), "the same second"


def test_a_new_relation_voids_what_was_known_before_it_and_nothing_after(db: sqlite3.Connection) -> None:
    assert learned(db, NO, VOID) is None
    newer = Permission(False, 301.0, "REJECT")
    assert learned(db, newer, VOID) == newer


def test_knowledge_from_the_future_does_not_outlive_the_clock_that_was_set_back(db: sqlite3.Connection) -> None:
    assert learned(db, Permission(True, LATER + 1, "one was accepted"), NO) == NO
    assert learned(db, Permission(True, LATER + 1, "one was accepted"), Permission(None, 1.0, "ADD")) is None


def test_each_conversation_of_each_bot_has_its_own(db: sqlite3.Connection) -> None:
    learned(db, NO)
    assert permission.known(db, "other", LANE) is None
    assert permission.known(db, BOT, "qq:c2c:two") is None


def test_an_event_teaches_in_the_transaction_that_stores_its_row(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    inbox.put(db, arrival("e", turn=False, permission=NO), None)
    assert permission.known(db, BOT, LANE) == NO
    db.execute("ROLLBACK")
    assert permission.known(db, BOT, LANE) is None


def test_a_second_copy_of_an_event_teaches_nothing(db: sqlite3.Connection) -> None:
    inbox.put(db, arrival("e", turn=False, permission=NO), None)
    learned(db, VOID)
    again = inbox.put(db, arrival("e", turn=False, permission=Permission(False, 400.0, "REJECT")), None)
    assert (again.fresh, permission.known(db, BOT, LANE)) == (False, None)
