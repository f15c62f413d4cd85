"""The operator's alerts and the notices about them: two tables, and every change of both is one transaction.

An alert is one trouble from its beginning to its end. A notice is one thing to be said about it, and waits in a queue
of its own. Happenings (a dead letter, a gap) become alerts by triggers in the schema, in their own transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from buoy.durable.retention import first_since

if TYPE_CHECKING:
    import sqlite3

LOOKED_AT: Final = 10_000  # rows, at most, to find one that is left: some 10 ms, however many there are
COUNTED: Final = 20_000  # rows looked at, at most, to say what was caught up: some 10 ms of the loop

_LEFT: Final = {  # rules of happenings, and the rows that would still be one
    "dead_letter": "SELECT bot = ?1 FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT ?2",
    "unsure_letter": "SELECT bot = ?1 FROM outbox WHERE state = 'unsure' ORDER BY id DESC LIMIT ?2",
    "refused_letter": "SELECT attempts > 0 FROM outbox WHERE state = 'held' AND bot = ?1 LIMIT ?2",
    "dead_turn": "SELECT bot = ?1 FROM inbox WHERE state = 'dead' ORDER BY id DESC LIMIT ?2",
}


class Alert(NamedTuple):
    """One row of `alert`. ``queued``: a notice about it waits to be delivered."""

    id: int
    rule: str
    subject: str
    since: float
    detail: str
    times: int
    last_at: float
    told: int
    told_times: int
    told_at: float | None
    ended_at: float | None
    queued: bool


class Words(NamedTuple):
    """A notice to be queued. ``kind``: raised, repeated or recovered."""

    kind: str
    title: str
    text: str


class Notice(NamedTuple):
    """A queued notice, with what its alert is about."""

    id: int
    kind: str
    title: str
    text: str
    created_at: float
    attempts: int
    not_before: float
    rule: str
    subject: str
    since: float


class Caught(NamedTuple):
    """What came of an outage: messages written meanwhile that arrived, turns that answered them, letters sent, gaps."""

    messages: int
    answered: int
    sent: int
    gaps: int


class Queued(NamedTuple):
    """The notices that wait to be delivered."""

    waiting: int
    oldest_at: float | None


_ROW: Final = (
    "SELECT id, rule, subject, since, detail, times, last_at, told, told_times, told_at, ended_at, "
    "EXISTS (SELECT 1 FROM notice WHERE notice.alert = alert.id AND notice.state = 'queued') FROM alert "
)


# --- alerts ------------------------------------------------------------------------------------------------------


def open_rows(db: sqlite3.Connection) -> list[Alert]:
    """List the alerts that have not ended, oldest first."""
    return [_alert(row) for row in db.execute(_ROW + "WHERE ended_at IS NULL ORDER BY id")]


def listing(db: sqlite3.Connection, limit: int) -> list[Alert]:
    """List alerts, open ones first, then the newest."""
    return [_alert(row) for row in db.execute(_ROW + "ORDER BY ended_at IS NOT NULL, id DESC LIMIT ?", (limit,))]


def ended_since(db: sqlite3.Connection, at: float) -> dict[tuple[str, str], int]:
    """Count the alerts of each rule and subject that ended after ``at``: how often it came and went."""
    rows = db.execute("SELECT rule, subject, count(*) FROM alert WHERE ended_at > ? GROUP BY rule, subject", (at,))
    return {(rule, subject): count for rule, subject, count in rows}


def raise_(
    db: sqlite3.Connection, rule: str, subject: str, since: float, detail: str, words: Words | None, now: float
) -> bool:
    """Open an alert that is told, and queue its notice; False: one like it is open already."""
    row = db.execute(
        "INSERT INTO alert (rule, subject, since, detail, last_at, told, told_times, told_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, 1, 1, ?5) "
        "ON CONFLICT (rule, subject) WHERE ended_at IS NULL DO NOTHING RETURNING id",
        (rule, subject, since, detail, now),
    ).fetchone()
    if row is None:
        return False
    _queue(db, row[0], words, now)
    return True


def tell(db: sqlite3.Connection, alert: Alert, rule: str, detail: str, words: Words | None, now: float) -> bool:
    """Note that an open alert was told as it is, by this rule's name, and queue the notice.

    False: it was told or ended since it was read.
    """
    changed = db.execute(
        "UPDATE alert SET rule = ?1, detail = ?2, told = told + 1, told_times = ?3, told_at = ?4 "
        "WHERE id = ?5 AND told = ?6 AND ended_at IS NULL",
        (rule, detail, alert.times, now, alert.id, alert.told),
    )
    if changed.rowcount == 0:
        return False
    _queue(db, alert.id, words, now)
    return True


def end(
    db: sqlite3.Connection, alert: int, at: float, words: Words | None, now: float, covers: tuple[int, ...] = ()
) -> bool:
    """End an alert; with ``words``, say so. False: it had ended.

    The alerts that its notice ``covers`` are told by it. Repeats that nobody heard are not worth saying any more, and
    what waited for a way out is tried at once: the network has perhaps come back too.
    """
    changed = db.execute("UPDATE alert SET ended_at = ? WHERE id = ? AND ended_at IS NULL", (at, alert))
    if changed.rowcount == 0:
        return False
    for row in covers:
        db.execute(
            "UPDATE alert SET told = told + 1, told_times = times, told_at = ? WHERE id = ? AND told = 0", (now, row)
        )
    db.execute(
        "UPDATE notice SET state = 'dead', reason = 'the trouble ended before it was told again', settled_at = ? "
        "WHERE alert = ? AND state = 'queued' AND kind = 'repeated'",
        (now, alert),
    )
    db.execute("UPDATE notice SET not_before = 0 WHERE state = 'queued'")
    _queue(db, alert, words, now)
    return True


def left(db: sqlite3.Connection, rule: str, bot: str) -> bool:
    """Say whether a row is left of the happening that ``rule`` tells of, among the newest."""
    sql = _LEFT.get(rule)
    return sql is None or any(is_one for (is_one,) in db.execute(sql, (bot, LOOKED_AT)))


def states(db: sqlite3.Connection, bot: str, limit: int = 200) -> list[tuple[float, str]]:
    """List a bot's states as (since when, which), newest first."""
    rows = db.execute("SELECT at, state FROM history WHERE bot = ? ORDER BY at DESC, id DESC LIMIT ?", (bot, limit))
    return rows.fetchall()


def caught_up(db: sqlite3.Connection, bot: str, since: float, until: float) -> Caught:
    """Count what an outage from ``since`` to ``until`` kept waiting, as far as it has come by now.

    A turn that ended without an answer, skipped or stopped, says why; it is not counted as answered.
    """
    first = first_since(db, "inbox", since)
    messages, answered = db.execute(
        "SELECT count(*), coalesce(sum(state = 'done' AND reason = ''), 0) FROM "
        "(SELECT state, reason, bot, event_at FROM inbox WHERE id >= ?1 "
        "ORDER BY id LIMIT ?2) WHERE bot = ?3 AND state <> 'stored' AND event_at BETWEEN ?4 AND ?5",
        (first, COUNTED, bot, since, until),
    ).fetchone()
    first = first_since(db, "outbox", since)
    (sent,) = db.execute(
        "SELECT count(*) FROM (SELECT state, bot FROM outbox WHERE id >= ? ORDER BY id LIMIT ?) "
        "WHERE bot = ? AND state IN ('sent', 'merged')",
        (first, COUNTED, bot),
    ).fetchone()
    (gaps,) = db.execute("SELECT count(*) FROM gap WHERE bot = ? AND to_at >= ?", (bot, since)).fetchone()
    return Caught(messages, answered, sent, gaps)


# --- notices -----------------------------------------------------------------------------------------------------


def due(db: sqlite3.Connection) -> list[Notice]:
    """List what is to be said next, oldest first: of each alert the first word only, so that its order is kept."""
    rows = db.execute(
        "SELECT n.id, n.kind, n.title, n.text, n.created_at, n.attempts, n.not_before, coalesce(a.rule, ''), "
        "coalesce(a.subject, ''), coalesce(a.since, n.created_at) "
        "FROM notice AS n LEFT JOIN alert AS a ON a.id = n.alert "
        "WHERE n.state = 'queued' AND NOT EXISTS (SELECT 1 FROM notice AS o "
        "WHERE o.alert = n.alert AND o.state = 'queued' AND o.id < n.id) ORDER BY n.id"
    )
    return [Notice(*row) for row in rows]


def delivered(db: sqlite3.Connection, notice: int, channel: str, now: float) -> None:
    """A channel took it."""
    db.execute(
        "UPDATE notice SET state = 'sent', channel = ?, reason = '', attempts = attempts + 1, settled_at = ? "
        "WHERE id = ?",
        (channel, now, notice),
    )


def failed(db: sqlite3.Connection, notice: int, reason: str, not_before: float) -> None:
    """No channel took it: again later."""
    db.execute(
        "UPDATE notice SET attempts = attempts + 1, reason = ?, not_before = ? WHERE id = ?",
        (reason, not_before, notice),
    )


def give_up(db: sqlite3.Connection, notice: int, reason: str, now: float) -> None:
    """Nobody needs it any more."""
    db.execute("UPDATE notice SET state = 'dead', reason = ?, settled_at = ? WHERE id = ?", (reason, now, notice))


def give_all_up(db: sqlite3.Connection, reason: str, now: float) -> None:
    """Nobody can be told any more of what is queued."""
    db.execute("UPDATE notice SET state = 'dead', reason = ?, settled_at = ? WHERE state = 'queued'", (reason, now))


def queued(db: sqlite3.Connection) -> Queued:
    """Count the notices that wait; ``oldest_at`` is when the oldest of them was written."""
    return Queued(*db.execute("SELECT count(*), min(created_at) FROM notice WHERE state = 'queued'").fetchone())


def _queue(db: sqlite3.Connection, alert: int, words: Words | None, now: float) -> None:
    if words is not None:
        db.execute(
            "INSERT INTO notice (alert, kind, title, text, created_at, state) VALUES (?, ?, ?, ?, ?, 'queued')",
            (alert, *words, now),
        )


def _alert(row: tuple[object, ...]) -> Alert:
    return Alert._make((*row[:-1], bool(row[-1])))
