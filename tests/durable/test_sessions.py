"""The cursor, the identify budget and the gaps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buoy.durable import inbox, schema, sessions
from buoy.errors import StoreError
from tests.durable.rows import BOT, arrival


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = schema.open_memory()
    yield db
    db.close()


def stored(db: sqlite3.Connection) -> int:
    known = sessions.cursor(db, BOT, 0)
    assert known is not None
    return known.stored


def test_ready_opens_a_session_and_a_later_one_replaces_it(db: sqlite3.Connection) -> None:
    assert sessions.cursor(db, BOT, 0) is None
    sessions.open_session(db, BOT, 0, "S1", 1, 10.0)
    sessions.open_session(db, BOT, 1, "T1", 1, 10.0)
    inbox.put(db, arrival("a", seq=9), None)
    known = sessions.cursor(db, BOT, 0)
    assert known is not None
    assert (known.session, known.stored, known.updated_at, known.ready_at) == ("S1", 9, 100.0, 10.0), (
        "event_at, not its receipt"
    )
    sessions.open_session(db, BOT, 0, "S2", 1, 20.0)
    assert stored(db) == 1
    other = sessions.cursor(db, BOT, 1)
    assert other is not None
    assert other.session == "T1"


def test_every_dispatch_moves_the_cursor_also_a_duplicate_and_one_without_a_turn(db: sqlite3.Connection) -> None:
    sessions.open_session(db, BOT, 0, "S1", 1, 10.0)
    for seq, event in enumerate((arrival("a"), arrival("a"), arrival("b", turn=False, lane=None)), 2):
        event.seq = seq
        inbox.put(db, event, None)
        assert stored(db) == seq


def test_the_cursor_moves_forward_only_and_for_its_own_session_only(db: sqlite3.Connection) -> None:
    sessions.open_session(db, BOT, 0, "S1", 5, 10.0)
    inbox.put(db, arrival("replayed", seq=3), None)
    inbox.put(db, arrival("straggler", seq=900, session="S0"), None)
    inbox.put(db, arrival("other shard", seq=900, shard=1), None)
    inbox.put(db, arrival("other bot", seq=900, bot="b2"), None)
    assert stored(db) == 5


def test_the_cursor_never_passes_over_a_hole(db: sqlite3.Connection) -> None:
    sessions.open_session(db, BOT, 0, "S1", 1, 10.0)
    inbox.put(db, arrival("a", seq=2, after=1), None)
    with pytest.raises(StoreError, match="sequence 3 of this session is missing"):
        inbox.put(db, arrival("c", seq=4, after=3), None)
    assert stored(db) == 2
    inbox.put(db, arrival("c", seq=4, after=3, session="S0"), None)
    inbox.put(db, arrival("b", seq=3, after=2), None)
    assert inbox.put(db, arrival("d", seq=4, after=3), None).fresh
    assert stored(db) == 4


@given(st.lists(st.tuples(st.sampled_from(["S1", "S2"]), st.integers(1, 9), st.booleans()), max_size=20))
def test_the_cursor_is_the_highest_of_its_session(steps: list[tuple[str, int, bool]]) -> None:
    db = schema.open_memory()
    session, highest = "S1", 1
    sessions.open_session(db, BOT, 0, session, highest, 0.0)
    for name, seq, opens in steps:
        if opens:
            sessions.open_session(db, BOT, 0, name, seq, 0.0)
            session, highest = name, seq
        else:
            sessions.advance(db, arrival("x", session=name, seq=seq))
            highest = max(highest, seq) if name == session else highest
        assert stored(db) == highest
    db.close()


def test_identifies_are_counted_for_the_bot_and_judged_by_shard(db: sqlite3.Connection) -> None:
    for at, shard in ((10.0, 0), (20.0, 0), (30.0, 1), (40.0, 0)):
        sessions.record_identify(db, BOT, shard, at)
    sessions.record_identify(db, "b2", 0, 40.0)
    assert sessions.identifies_since(db, BOT, 20.0) == 3
    assert sessions.unready(db, BOT, 0, 0.0) == [10.0, 20.0, 40.0]
    assert sessions.unready(db, BOT, 0, 15.0) == [20.0, 40.0]
    sessions.open_session(db, BOT, 0, "S1", 1, 41.0)
    assert sessions.unready(db, BOT, 0, 0.0) == []
    assert sessions.unready(db, BOT, 1, 0.0) == [30.0]
    sessions.record_identify(db, BOT, 0, 50.0)
    assert sessions.unready(db, BOT, 0, 0.0) == [50.0]
    sessions.record_gap(db, BOT, 0, "S1", 7, 41.0, 55.0, "identified and never ready")
    assert sessions.unready(db, BOT, 0, 0.0) == []


def test_gaps_are_told_newest_first(db: sqlite3.Connection) -> None:
    sessions.record_gap(db, BOT, 0, "S1", 7, 10.0, 20.0, "4009")
    sessions.record_gap(db, "b2", 0, "T1", 8, 30.0, 40.0, "op 9")
    assert [(gap.bot, gap.stored, gap.from_at, gap.to_at, gap.cause) for gap in sessions.gaps(db)] == [
        ("b2", 8, 30.0, 40.0, "op 9"),
        (BOT, 7, 10.0, 20.0, "4009"),
    ]
    assert len(sessions.gaps(db, BOT)) == 1
    assert len(sessions.gaps(db, limit=1)) == 1
