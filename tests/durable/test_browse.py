"""What is shown of the rows, and that no look takes longer because there are many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from buoy.durable import browse, inbox, outbox, schema
from buoy.letters import EventState, LetterState
from tests.durable.rows import arrival, letter

NOW = 60_000 * 60.0 + 30  # half a minute into minute 60,000
MANY = 60_000


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(schema.open_memory()) as one:
        yield one


def received(db: sqlite3.Connection, *at: float) -> None:
    for n, one in enumerate(at):
        inbox.put(db, arrival(f"m{one}-{n}", received_at=one), 1)


def sent(db: sqlite3.Connection, key: str, written_at: float, settled_at: float | None, state: str = "sent") -> None:
    put = outbox.put(db, letter(key, created_at=written_at))
    db.execute("UPDATE outbox SET state = ?, settled_at = ? WHERE id = ?", (state, settled_at, put.letter.id))


def counts(db: sqlite3.Connection, minutes: int) -> list[tuple[int, int]]:
    told = browse.traffic(db, minutes, NOW)
    assert told["exact"]
    assert [one["at"] for one in told["minutes"]] == [60.0 * (60_001 - minutes + n) for n in range(minutes)]
    return [(one["in"], one["out"]) for one in told["minutes"]]


def test_traffic_by_minute_counts_receipts_and_what_was_really_sent(db: sqlite3.Connection) -> None:
    received(db, NOW - 200, NOW - 91, NOW - 90, NOW - 31, NOW - 30, NOW - 1, NOW)
    sent(db, "in time", NOW - 40, NOW - 39)
    sent(db, "held for hours", NOW - 5 * 3600, NOW - 5)
    sent(db, "dead", NOW - 5, NOW - 4, "dead")
    sent(db, "waits", NOW - 5, None, "queued")
    sent(db, "before", NOW - 100, NOW - 99)
    assert counts(db, 2) == [(2, 1), (3, 1)]
    assert counts(db, 1) == [(3, 1)]


def test_an_empty_store_has_no_traffic(db: sqlite3.Connection) -> None:
    assert counts(db, 3) == [(0, 0)] * 3
    assert browse.newest(db, 20) == []


def fill(db: sqlite3.Connection, count: int, seconds: float) -> None:
    """So many rows in each box, evenly over the last seconds, all sent."""
    rows = [(n, f"k{n}", NOW - seconds + (n + 0.5) * seconds / count) for n in range(count)]
    db.executemany(
        "INSERT INTO inbox (id, bot, shard, session, type, key, lane, event_at, received_at, state) "
        "VALUES (?1 + 7, 'bot', 0, 's', 'M', ?2, 'qq:c2c:one', ?3, ?3, 'waiting')",
        rows,
    )
    db.executemany(
        "INSERT INTO outbox (id, bot, lane, key, created_at, settled_at, state) "
        "VALUES (?1 + 7, 'bot', 'qq:c2c:one', ?2, ?3, ?3, 'sent')",
        rows,
    )


def test_heavy_traffic_is_counted_by_ids(db: sqlite3.Connection) -> None:
    fill(db, MANY, 600.0)
    told = browse.traffic(db, 10, NOW + 29.9)
    assert not told["exact"]
    for box in ("inbox", "outbox"):  # each of them alone is too much to look at
        db.execute("SAVEPOINT all_of_it")
        db.execute(f"DELETE FROM {box}")
        assert not browse.traffic(db, 10, NOW)["exact"]
        db.execute("ROLLBACK TO all_of_it")
    for one in told["minutes"][:-1]:
        assert one["in"] == pytest.approx(MANY / 10, abs=2) == one["out"] or one["at"] < NOW - 600
    assert sum(one["in"] for one in told["minutes"]) == pytest.approx(MANY * 570 / 600, abs=MANY * 0.06)


def test_no_look_grows_with_the_rows(db: sqlite3.Connection) -> None:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def cost(look: str) -> int:
        nonlocal steps
        steps = 0
        looks: dict[str, Callable[[], object]] = {
            "traffic": lambda: browse.traffic(db, 60, NOW),
            "newest": lambda: browse.newest(db, 20),
            "dead": lambda: browse.letters(db, LetterState.DEAD, 50),
            "held": lambda: browse.letters(db, LetterState.HELD, 50),
            "queued": lambda: browse.letters(db, LetterState.QUEUED, 50),
            "buried": lambda: browse.turns(db, EventState.DEAD, 50),
        }
        looks[look]()
        return steps

    fill(db, MANY, 30 * 86_400.0)
    db.set_progress_handler(count, 1000)
    for look, most in {"traffic": 300, "newest": 3, "dead": 1, "held": 1, "queued": 1, "buried": 1}.items():
        assert cost(look) <= most, look  # thousand instructions of SQLite's machine; a row costs ten or so


def test_letters_in_one_state(db: sqlite3.Connection) -> None:
    for n, state in enumerate(("queued", "dead", "held", "dead", "unsure", "claimed", "queued", "dropped")):
        sent(db, str(n), 100.0 + n, None if state in {"queued", "held"} else 200.0 + n, state)
    db.execute("UPDATE outbox SET carried = 'merged text' WHERE id = 3")
    rows = {state: [row["row"] for row in browse.letters(db, state, 10)] for state in browse.LETTER_STATES}
    assert rows == {
        "queued": ["out/1", "out/7"],
        "claimed": ["out/6"],
        "held": ["out/3"],
        "unsure": ["out/5"],
        "dead": ["out/4", "out/2"],
    }
    (held,) = browse.letters(db, LetterState.HELD, 10)
    assert held["body"] == "merged text"
    assert [row["row"] for row in browse.letters(db, LetterState.DEAD, 1)] == ["out/4"]


def test_turns_in_one_state(db: sqlite3.Connection) -> None:
    received(db, 1.0, 2.0, 3.0, 4.0)
    inbox.put(db, arrival("stop", bypass=True), 1)
    db.execute("UPDATE inbox SET state = 'dead', ended_at = 9 WHERE id IN (1, 3)")
    db.execute("UPDATE inbox SET state = 'running' WHERE id = 2")
    db.execute("UPDATE inbox SET state = 'waiting' WHERE id IN (4, 5)")
    rows = {state: [row["row"] for row in browse.turns(db, state, 10)] for state in browse.TURN_STATES}
    assert rows == {"waiting": ["in/4", "in/5"], "running": ["in/2"], "dead": ["in/3", "in/1"]}
    (turn,) = browse.turns(db, EventState.RUNNING, 10)
    assert turn["event"].frame
    assert turn["at"] == 2.0


def test_the_newest_of_both_boxes_in_order_of_time(db: sqlite3.Connection) -> None:
    received(db, 1.0, 5.0)
    sent(db, "a", 2.0, 3.0)
    sent(db, "b", 4.0, None, "queued")
    assert [row["row"] for row in browse.newest(db, 10)] == ["in/2", "out/2", "out/1", "in/1"]
    assert [row["row"] for row in browse.newest(db, 1)] == ["in/2"]
    assert browse.newest(db, 1)[0].keys() == {"row", "kind", "id", "bot", "lane", "type", "state", "at"}


def test_open_alerts_and_gaps_are_counted(db: sqlite3.Connection) -> None:
    assert (browse.alerts_open(db), browse.gaps_kept(db)) == ({}, {})
    for subject, ended in (("a", None), ("b", None), ("c", 5.0)):
        db.execute(
            "INSERT INTO alert (rule, subject, since, detail, last_at, ended_at) VALUES ('down', ?, 1, '', 1, ?)",
            (subject, ended),
        )
    db.execute("INSERT INTO gap (bot, shard, session, stored, from_at, to_at, cause) VALUES ('1', 0, 's', 1, 1, 2, '')")
    assert (browse.alerts_open(db), browse.gaps_kept(db)) == ({"down": 2, "gap": 1}, {"1": 1})
