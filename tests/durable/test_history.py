"""The timeline: spans without overlap, from what was noted; and the alerts that commit with a dead letter."""

from __future__ import annotations

import sqlite3

from buoy.durable import history, inbox, outbox, schema
from buoy.letters import Letter, LetterState
from tests.durable.rows import arrival


def db() -> sqlite3.Connection:
    return schema.open_memory()


def told(base: sqlite3.Connection, since: float, now: float) -> list[tuple[str, float, float, str]]:
    return [(s.state, s.from_at, s.to_at, s.cause) for s in history.spans(base, since, now)]


def test_a_state_lasts_until_the_next_one() -> None:
    base = db()
    history.note(base, "a", 0, "down", "starting", 100.0)
    assert history.note(base, "a", 0, "up", "", 110.0)
    assert not history.note(base, "a", 0, "up", "", 115.0), "nothing new"
    history.note(base, "a", 0, "down", "closed 4009", 150.0)
    assert told(base, 0.0, 200.0) == [
        ("down", 100.0, 110.0, "starting"),
        ("up", 110.0, 150.0, ""),
        ("down", 150.0, 200.0, "closed 4009"),
    ]
    assert told(base, 120.0, 140.0) == [("up", 120.0, 140.0, "")], "cut to what was asked for"


def test_no_process_is_a_state_too() -> None:
    base = db()
    history.note(base, "a", 0, "up", "", 110.0)
    history.note(base, "a", 1, "down", "closed", 120.0)
    history.end(base, "ended without a word", 160.0)
    history.end(base, "not this: it was off already", 180.0)
    history.note(base, "a", 0, "down", "starting", 200.0)
    history.end(base, "stopped in good order", 250.0)
    assert [(s.shard, s.state, s.from_at, s.cause) for s in history.spans(base, 0.0, 300.0)] == [
        (0, "up", 110.0, ""),
        (0, "off", 160.0, "ended without a word"),
        (0, "down", 200.0, "starting"),
        (0, "off", 250.0, "stopped in good order"),
        (1, "down", 120.0, "closed"),
        (1, "off", 160.0, "ended without a word"),
    ]


def test_a_clock_that_was_put_back_turns_no_span_around() -> None:
    base = db()
    history.note(base, "a", 0, "up", "", 500.0)
    history.note(base, "a", 0, "down", "lost", 400.0)
    assert told(base, 0.0, 600.0) == [("down", 500.0, 600.0, "lost")]


def alerts(base: sqlite3.Connection) -> list[tuple[str, str, str, int]]:
    return base.execute("SELECT rule, subject, detail, times FROM alert ORDER BY id").fetchall()


def test_a_dead_letter_and_its_alert_are_one_transaction() -> None:
    base = db()
    for n in range(2):
        put = outbox.put(base, Letter(0, f"k{n}", "a", "qq:c2c:x", b"{}", LetterState.QUEUED, 1.0))
        outbox.settle(base, put.letter.id, LetterState.DEAD, f"refused {n}", None, 0, "", None, 5.0 + n)
    assert alerts(base) == [("dead_letter", "a", "out/2: refused 1", 2)]
    (third,) = [outbox.put(base, Letter(0, "u", "a", "qq:c2c:x", b"{}", LetterState.QUEUED, 1.0)).letter]
    outbox.settle(base, third.id, LetterState.UNSURE, "no answer", None, 0, "", None, 9.0)
    assert alerts(base)[1:] == [("unsure_letter", "a", "out/3: no answer", 1)]
    sent = outbox.put(base, Letter(0, "s", "a", "qq:c2c:x", b"{}", LetterState.QUEUED, 1.0)).letter
    outbox.settle(base, sent.id, LetterState.SENT, "", "id", 0, "", None, 9.0)
    outbox.drop(base, 1, "dropped by a person", 10.0)
    assert len(alerts(base)) == 2, "neither a sent nor a dropped letter is a trouble"


def test_a_dead_turn_raises_one_too_and_an_ended_alert_begins_anew() -> None:
    base = db()
    for n in range(2):
        inbox.put(base, arrival(f"k{n}"), None)
        inbox.bury(base, n + 1, "the agent failed 5 times", 7.0)
        assert alerts(base)[-1] == ("dead_turn", "bot", f"in/{n + 1}: the agent failed 5 times", 1)
        base.execute("UPDATE alert SET ended_at = 8")
    assert len(alerts(base)) == 2
