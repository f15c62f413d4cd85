"""Alerts and notices: what happens and that it is told are one transaction; nothing is lost, nothing is told twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buoy.durable import alerts, inbox, outbox, schema, sessions
from buoy.durable.alerts import Alert, Caught, Queued, Words
from buoy.durable.retention import prune
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.letters import LetterState
from tests.durable.rows import BOT, arrival, letter

WORDS = Words("raised", "title", "text")
OVER = Words("recovered", "over", "text")
DAY_S = 86_400.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(schema.open_memory()) as base:
        yield base


def only(db: sqlite3.Connection) -> Alert:
    (row,) = alerts.open_rows(db)
    return row


def notices(db: sqlite3.Connection) -> list[tuple[str, str]]:
    return db.execute("SELECT kind, state FROM notice ORDER BY id").fetchall()


def dead_letter(db: sqlite3.Connection, key: str, at: float = 300.0) -> int:
    number = outbox.put(db, letter(key)).letter.id
    outbox.settle(db, number, LetterState.DEAD, "refused", None, 0, "", None, at)
    return number


# --- happenings and their alerts are one transaction -------------------------------------------------------------


def test_a_letter_that_was_refused_and_is_held_is_told_and_one_that_only_waits_is_not(db: sqlite3.Connection) -> None:
    waits = outbox.put(db, letter("waits")).letter.id
    outbox.hold(db, waits, "no reply is left", 300.0)
    assert alerts.open_rows(db) == []
    tried = outbox.put(db, letter("tried")).letter.id
    outbox.attempt_proactive(db, tried, 1, 310.0)
    outbox.hold(db, tried, "the quota is used up", 311.0)
    outbox.hold(db, tried, "again", 312.0)
    row = only(db)
    assert (row.rule, row.subject, row.detail, row.times) == (
        "refused_letter", BOT, f"out/{tried}: the quota is used up", 1,
    )  # fmt: skip
    assert (row.since, row.told) == (310.0, 0)


def test_a_gap_is_told(db: sqlite3.Connection) -> None:
    sessions.record_gap(db, BOT, 0, "S", 7, 100.0, 200.0, "closed 4009")
    sessions.record_gap(db, BOT, 0, "T", 7, 300.0, 400.0, "closed 4006")
    row = only(db)
    assert (row.rule, row.since, row.last_at, row.times, row.detail) == ("gap", 100.0, 400.0, 2, "closed 4006")


def test_what_is_written_again_does_not_happen_again(db: sqlite3.Connection) -> None:
    dead_letter(db, "k")
    db.execute("UPDATE outbox SET state = 'dead' WHERE state = 'dead'")
    assert only(db).times == 1


@pytest.mark.parametrize("fails", [True, False])
def test_a_dead_letter_and_its_alert_commit_together(tmp_path: Path, *, fails: bool) -> None:
    def commit(base: sqlite3.Connection) -> None:
        if fails and broken:
            error = sqlite3.OperationalError("disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        base.execute("COMMIT")

    broken = False

    async def main() -> tuple[str, int]:
        nonlocal broken
        store = Store.open(tmp_path, now=1.0, commit=commit)
        put = await store.write(outbox.put, letter("k"))
        broken = True
        settled = store.write(outbox.settle, put.letter.id, LetterState.DEAD, "no", None, 0, "", None, 5.0)
        try:
            await settled
        except StoreError:
            assert fails
        found = store.read(outbox.get, put.letter.id)
        count = len(store.read(alerts.open_rows))
        await store.close(5.0)
        assert found is not None
        return found.state, count

    assert asyncio.run(main()) == (("queued", 0) if fails else ("dead", 1))


# --- alerts ------------------------------------------------------------------------------------------------------


def test_an_alert_and_its_notice_from_beginning_to_end(db: sqlite3.Connection) -> None:
    assert alerts.raise_(db, "down", "b", 100.0, "why", WORDS, 300.0)
    assert not alerts.raise_(db, "down", "b", 100.0, "why", WORDS, 301.0), "one is open"
    row = only(db)
    assert row == Alert(1, "down", "b", 100.0, "why", 1, 300.0, 1, 1, 300.0, None, True)
    (notice,) = alerts.due(db)
    assert (notice.kind, notice.rule, notice.subject, notice.since) == ("raised", "down", "b", 100.0)
    alerts.delivered(db, notice.id, "1 webhook", 310.0)
    assert not only(db).queued
    assert alerts.tell(db, only(db), "ip_allowlist", "new", Words("repeated", "t", "x"), 400.0)
    assert not alerts.tell(db, row, "down", "late", Words("repeated", "t", "x"), 401.0), "it was told since"
    assert (only(db).rule, only(db).detail, only(db).told, only(db).told_at) == ("ip_allowlist", "new", 2, 400.0)
    assert alerts.end(db, 1, 500.0, OVER, 560.0)
    assert not alerts.end(db, 1, 500.0, OVER, 561.0)
    assert alerts.open_rows(db) == []
    assert alerts.listing(db, 10)[0].ended_at == 500.0
    assert notices(db) == [("raised", "sent"), ("repeated", "dead"), ("recovered", "queued")]
    assert alerts.ended_since(db, 499.0) == {("ip_allowlist", "b"): 1}
    assert alerts.ended_since(db, 500.0) == {}
    assert alerts.raise_(db, "down", "b", 600.0, "why", None, 700.0), "a new one, and nobody to be told"
    assert len(notices(db)) == 3


def test_the_end_speaks_for_the_gaps_of_its_outage(db: sqlite3.Connection) -> None:
    alerts.raise_(db, "down", "b", 100.0, "why", None, 300.0)
    sessions.record_gap(db, "b", 0, "S", 7, 100.0, 200.0, "x")
    gap = next(row for row in alerts.open_rows(db) if row.rule == "gap")
    alerts.end(db, 1, 400.0, OVER, 460.0, (gap.id,))
    row = only(db)
    assert (row.rule, row.told, row.told_times, row.told_at) == ("gap", 1, 1, 460.0)


def test_of_each_alert_the_first_word_is_said_first(db: sqlite3.Connection) -> None:
    alerts.raise_(db, "down", "a", 1.0, "why", WORDS, 10.0)
    alerts.end(db, 1, 20.0, OVER, 30.0)
    alerts.raise_(db, "disk", "", 40.0, "why", WORDS, 40.0)
    first, other = alerts.due(db)
    assert (first.kind, first.rule, other.rule) == ("raised", "down", "disk")
    alerts.failed(db, first.id, "no network", 500.0)
    first, _ = alerts.due(db)
    assert (first.attempts, first.not_before) == (1, 500.0)
    assert alerts.queued(db) == Queued(3, 10.0)
    alerts.give_up(db, first.id, "a week", 1e6)
    assert [notice.kind for notice in alerts.due(db)] == ["recovered", "raised"]


def test_an_end_tries_at_once_what_waits_for_a_way_out(db: sqlite3.Connection) -> None:
    alerts.raise_(db, "down", "a", 1.0, "why", WORDS, 10.0)
    alerts.failed(db, 1, "no network", 900.0)
    alerts.end(db, 1, 20.0, OVER, 30.0)
    assert alerts.due(db)[0].not_before == 0


def test_looking_for_what_is_left_ends_soon_however_much_there_is(db: sqlite3.Connection) -> None:
    for state in ("dead", "held"):
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
            "INSERT INTO outbox (key, bot, lane, body, state, created_at) "
            "SELECT ?1 || i, 'a', 'l', x'00', ?1, i FROM n",
            (state,),
        )
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
        "INSERT INTO inbox (bot, shard, session, type, key, lane, event_at, received_at, state) "
        "SELECT 'a', 0, 'S', 'M', i, 'l', i, i, 'dead' FROM n"
    )
    for rule, bot in (("dead_letter", "b"), ("refused_letter", "a"), ("dead_turn", "b")):
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        db.set_progress_handler(count, 1000)
        assert not alerts.left(db, rule, bot)
        assert steps < 120, rule


def test_whether_a_row_of_a_happening_is_left(db: sqlite3.Connection) -> None:
    assert alerts.left(db, "gap", BOT), "nobody takes a gap away"
    for rule in ("dead_letter", "unsure_letter", "refused_letter", "dead_turn"):
        assert not alerts.left(db, rule, BOT), rule
    number = dead_letter(db, "k")
    assert alerts.left(db, "dead_letter", BOT)
    assert not alerts.left(db, "dead_letter", "other")
    outbox.drop(db, number, "dropped by a person", 400.0)
    assert not alerts.left(db, "dead_letter", BOT)


def test_what_an_outage_kept_waiting(db: sqlite3.Connection) -> None:
    def message(key: str, event_at: float, received_at: float, **changes: object) -> int:
        row = inbox.put(db, arrival(key, event_at=event_at, received_at=received_at, **changes), 1).id
        assert row is not None
        return row

    before = message("before", 50.0, 50.0)
    inbox.finish(db, before, 60.0)
    answered = message("answered", 150.0, 310.0)
    inbox.finish(db, answered, 320.0)
    inbox.finish(db, message("skipped", 155.0, 310.0), 321.0, "skipped: it is late")
    message("waits", 160.0, 311.0)
    message("later", 400.0, 400.0)
    message("not ours", 160.0, 311.0, bot="other")
    for n, state in enumerate((LetterState.SENT, LetterState.DEAD)):
        number = outbox.put(db, letter(f"l{n}", created_at=200.0 + n)).letter.id
        outbox.settle(db, number, state, "", None, 0, "", None, 330.0)
    sessions.record_gap(db, BOT, 0, "S", 1, 100.0, 300.0, "x")
    sessions.record_gap(db, BOT, 0, "R", 1, 10.0, 20.0, "x")
    assert alerts.caught_up(db, BOT, 100.0, 300.0) == Caught(3, 1, 1, 1)


def test_what_is_over_is_forgotten_like_everything_else(db: sqlite3.Connection) -> None:
    alerts.raise_(db, "down", "a", 0.0, "why", WORDS, 0.0)
    alerts.raise_(db, "disk", "", 0.0, "why", WORDS, 0.0)
    for notice in alerts.due(db):
        alerts.delivered(db, notice.id, "c", 1.0)
    alerts.end(db, 1, 2.0, OVER, 2.0)
    prune(db, 91 * DAY_S)
    assert [row.rule for row in alerts.listing(db, 10)] == ["disk"]
    assert notices(db) == [("recovered", "queued")], "what was not said yet stays"
