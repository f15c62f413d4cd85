"""The outbox: letters from queued to settled, each with one outcome and never two with the same ``msg_seq``.

Every function is a job: plain, synchronous, over a connection inside the store's transaction, so that jobs
compose. Changes are guarded by the state they expect; a False or None says that the letter was not in it and
nothing happened.

A *claimed* letter is frozen: an attempt was recorded, and it may be at the platform already. It is only ever
repeated as it is, also by the next process. A queued letter that has a seq was definitely not accepted with
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buoy.durable import anchors
from buoy.durable.trace import REWORDED, letter_ref, note
from buoy.letters import Letter, LetterState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

_COLUMNS = (
    "id, key, bot, lane, coalesce(carried, body), state, created_at, event, anchor_row, anchor, seq, "
    "attempts, attempted_at, not_before, settled_at, reason, origin, remote_id, into_id"
)
_GET = f"SELECT {_COLUMNS} FROM outbox WHERE id = ?"  # noqa: S608  constants only, here and below
_GET_BY_KEY = f"SELECT {_COLUMNS} FROM outbox WHERE key = ? AND bot = ?"  # noqa: S608
_PAGE = (
    f"SELECT {_COLUMNS} FROM outbox "  # noqa: S608
    "WHERE bot = ? AND lane = ? AND id > ? AND state IN ('queued', 'claimed') ORDER BY id LIMIT ?"
)
_HELD = f"SELECT {_COLUMNS} FROM outbox WHERE bot = ? AND lane = ? AND state = 'held' ORDER BY id"  # noqa: S608
_OF_EVENT = f"SELECT {_COLUMNS} FROM outbox WHERE event = ? ORDER BY id"  # noqa: S608


class Put(NamedTuple):
    """What became of a new letter. ``fresh`` False: its key was known, ``letter`` is the one of then."""

    letter: Letter
    fresh: bool


def _letter(row: tuple[Any, ...]) -> Letter:
    letter = Letter(*row)
    letter.state = LetterState(letter.state)
    return letter


# --- in -----------------------------------------------------------------------------------------------------


def put(db: sqlite3.Connection, letter: Letter) -> Put:
    """Queue a letter by its key, bot, lane, body, event, origin, not_before and created_at.

    It comes back with its id. A key that is known changes nothing: the letter of then comes back.
    """
    new = db.execute(
        "INSERT INTO outbox (key, bot, lane, body, state, created_at, event, not_before, origin) "
        "VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?) ON CONFLICT (key, bot) DO NOTHING",
        (
            letter.key, letter.bot, letter.lane, letter.body, letter.created_at, letter.event,
            letter.not_before, letter.origin,
        ),
    )  # fmt: skip
    if new.rowcount == 1:
        assert new.lastrowid is not None
        letter.id = new.lastrowid
        letter.state = LetterState.QUEUED
        return Put(letter, fresh=True)
    return Put(_letter(db.execute(_GET_BY_KEY, (letter.key, letter.bot)).fetchone()), fresh=False)


def put_claimed(
    db: sqlite3.Connection, letter: Letter, anchor_row: int, anchor: str, seq: int, boot: int, now: float
) -> Put:
    """Store a letter whose first attempt leaves right after this commit, as the reply ``seq`` to ``anchor``."""
    new = db.execute(
        "INSERT INTO outbox (key, bot, lane, body, state, created_at, event, origin, anchor_row, anchor, seq, "
        "attempts, attempted_at, boot) VALUES (?, ?, ?, ?, 'claimed', ?, ?, ?, ?, ?, ?, 1, ?, ?) "
        "ON CONFLICT (key, bot) DO NOTHING",
        (
            letter.key, letter.bot, letter.lane, letter.body, letter.created_at, letter.event, letter.origin,
            anchor_row, anchor, seq, now, boot,
        ),
    )  # fmt: skip
    if new.rowcount != 1:
        return Put(_letter(db.execute(_GET_BY_KEY, (letter.key, letter.bot)).fetchone()), fresh=False)
    assert new.lastrowid is not None
    letter.id, letter.state, letter.attempts, letter.attempted_at = new.lastrowid, LetterState.CLAIMED, 1, now
    letter.anchor_row, letter.anchor, letter.seq = anchor_row, anchor, seq
    return Put(letter, fresh=True)


# --- an attempt ---------------------------------------------------------------------------------------------


def attempt(
    db: sqlite3.Connection, row: int, anchor_row: int, anchor: str, limit: int, boot: int, now: float
) -> int | None:
    """Record that a letter leaves as a reply to ``anchor``; returns its ``msg_seq``. It is frozen now.

    None: the anchor is spent or used ``limit`` times, or the letter is not free (ended, claimed, frozen).
    Nothing changed then.
    """
    seq = anchors.use(db, anchor_row, limit)
    if seq is None:
        return None
    changed = db.execute(
        "UPDATE outbox SET state = 'claimed', anchor_row = ?, anchor = ?, seq = ?, attempts = attempts + 1, "
        "attempted_at = ?, boot = ? WHERE id = ? AND state IN ('queued', 'held')",
        (anchor_row, anchor, seq, now, boot, row),
    )
    if changed.rowcount == 0:
        db.execute("UPDATE inbox SET uses = uses - 1 WHERE id = ?", (anchor_row,))  # it never left this job
        return None
    return seq


def attempt_proactive(db: sqlite3.Connection, row: int, boot: int, now: float) -> bool:
    """Record that a letter leaves without an anchor, or leaves so again: QQ cannot tell a second copy."""
    changed = db.execute(
        "UPDATE outbox SET state = 'claimed', attempts = attempts + 1, attempted_at = ?, boot = ?, "
        "anchor_row = NULL, anchor = NULL, seq = NULL WHERE id = ? AND (state IN ('queued', 'held') OR "
        "(state = 'claimed' AND anchor IS NULL))",
        (now, boot, row),
    )
    return changed.rowcount == 1


def repeat(db: sqlite3.Connection, row: int, boot: int, now: float) -> bool:
    """Record that a letter leaves once more, with the anchor and ``msg_seq`` it has."""
    changed = db.execute(
        "UPDATE outbox SET state = 'claimed', attempts = attempts + 1, attempted_at = ?, boot = ? "
        "WHERE id = ? AND state IN ('queued', 'claimed') AND anchor IS NOT NULL",
        (now, boot, row),
    )
    return changed.rowcount == 1


def settle_sent(
    db: sqlite3.Connection,
    row: int,
    remote_id: str | None,
    now: float,
    latency_ms: float | None = None,
    reason: str = "",
) -> bool:
    """Record that the platform has accepted a claimed letter."""
    changed = db.execute(
        "UPDATE outbox SET state = 'sent', remote_id = ?, settled_at = ?, latency_ms = ?, reason = ? "
        "WHERE id = ? AND state = 'claimed'",
        (remote_id, now, latency_ms, reason, row),
    )
    return changed.rowcount == 1


def settle(
    db: sqlite3.Connection,
    row: int,
    state: LetterState,
    reason: str,
    remote_id: str | None,
    code: int,
    trace_id: str,
    latency_ms: float | None,
    now: float,
) -> bool:
    """End a letter that has not ended: ``state`` is SENT, UNSURE, DEAD or DROPPED."""
    changed = db.execute(
        "UPDATE outbox SET state = ?, reason = ?, remote_id = ?, code = ?, trace_id = ?, latency_ms = ?, "
        "settled_at = ? WHERE id = ? AND state IN ('queued', 'claimed', 'held')",
        (state.value, reason, remote_id, code, trace_id, latency_ms, now, row),
    )
    return changed.rowcount == 1


def retry(
    db: sqlite3.Connection,
    row: int,
    not_before: float,
    reason: str,
    unsure: bool,  # noqa: FBT001
    now: float,
    code: int = 0,
) -> bool:
    """Let a claimed letter be tried again from ``not_before`` on; it keeps its anchor and ``msg_seq``.

    ``unsure``: the attempt may have been accepted, so it stays claimed, hence frozen. Otherwise it is queued.
    """
    changed = db.execute(
        "UPDATE outbox SET state = ?, not_before = ?, reason = ?, code = ? WHERE id = ? AND state = 'claimed'",
        ("claimed" if unsure else "queued", not_before, reason, code, row),
    )
    if changed.rowcount == 0:
        return False
    note(db, letter_ref(row), now, f"not sent: {reason}")
    return True


def unbind(db: sqlite3.Connection, row: int, reason: str, now: float) -> bool:
    """Queue a letter whose anchor was definitely refused, free for another; the anchor is spent for all."""
    found = db.execute("SELECT anchor_row FROM outbox WHERE id = ? AND state = 'claimed'", (row,)).fetchone()
    if found is None:
        return False
    if found[0] is not None:
        anchors.spend(db, found[0])
    db.execute(
        "UPDATE outbox SET state = 'queued', reason = ?, anchor_row = NULL, anchor = NULL, seq = NULL WHERE id = ?",
        (reason, row),
    )
    note(db, letter_ref(row), now, f"not sent: {reason}")
    return True


def reword(db: sqlite3.Connection, row: int, body: bytes, reason: str, now: float, code: int = 0) -> bool:
    """Queue a letter whose content was definitely refused, with another body; its own stays in its row."""
    changed = db.execute(
        "UPDATE outbox SET state = 'queued', carried = ?, reason = ?, code = ?, anchor_row = NULL, anchor = NULL, "
        "seq = NULL WHERE id = ? AND state = 'claimed'",
        (body, reason, code, row),
    )
    if changed.rowcount == 0:
        return False
    note(db, letter_ref(row), now, f"{REWORDED}: {reason}")
    return True


def hold(db: sqlite3.Connection, row: int, reason: str, now: float, code: int = 0) -> bool:
    """Keep a letter until the next contact of its lane: a queued one, or one that was just definitely refused."""
    changed = db.execute(
        "UPDATE outbox SET state = 'held', reason = ?, code = ?, anchor_row = NULL, anchor = NULL, seq = NULL "
        "WHERE id = ? AND state IN ('claimed', 'queued')",
        (reason, code, row),
    )
    if changed.rowcount == 0:
        return False
    note(db, letter_ref(row), now, f"held: {reason}")
    return True


def merge(db: sqlite3.Connection, rows: Sequence[int], into: int, now: float) -> None:
    """End held letters whose text another letter carries; what each said stays in its own row."""
    db.executemany(
        "UPDATE outbox SET state = 'merged', into_id = ?, settled_at = ? WHERE id = ? AND state = 'held'",
        [(into, now, row) for row in rows],
    )


# --- order --------------------------------------------------------------------------------------------------


def heads(db: sqlite3.Connection) -> list[tuple[str, str, int, int]]:
    """List ``(bot, lane, first letter, last letter)`` of what is not settled, for the lanes in memory."""
    return db.execute(
        "SELECT bot, lane, min(id), max(id) FROM outbox WHERE state IN ('queued', 'claimed') GROUP BY bot, lane"
    ).fetchall()


def page(db: sqlite3.Connection, bot: str, lane: str, after_id: int, limit: int) -> list[Letter]:
    """Read the next letters of a lane, in order: queued, or being sent when an earlier process ended."""
    return [_letter(row) for row in db.execute(_PAGE, (bot, lane, after_id, limit))]


def position(db: sqlite3.Connection, row: int) -> int:
    """Return a letter's place in its lane, 1 is next; 0 when it is not waiting to be sent."""
    place: int = db.execute(
        "SELECT count(*) FROM outbox AS me JOIN outbox AS other ON other.bot = me.bot "
        "AND other.lane = me.lane AND other.id <= me.id AND other.state IN ('queued', 'claimed') "
        "WHERE me.id = ? AND me.state IN ('queued', 'claimed')",
        (row,),
    ).fetchone()[0]
    return place


# --- held ---------------------------------------------------------------------------------------------------


def held(db: sqlite3.Connection, bot: str, lane: str) -> list[Letter]:
    """Read what a lane holds back, oldest first."""
    return [_letter(row) for row in db.execute(_HELD, (bot, lane))]


def lanes_with_held(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """List ``(bot, lane)`` of the lanes that hold letters back."""
    return db.execute("SELECT DISTINCT bot, lane FROM outbox WHERE state = 'held'").fetchall()


def expire_held(db: sqlite3.Connection, max_age_s: float, per_lane: int, now: float) -> list[Letter]:
    """End held letters older than ``max_age_s`` or beyond ``per_lane`` a lane, oldest first; returns them."""
    dead = []
    for bot, lane in lanes_with_held(db):
        letters = held(db, bot, lane)
        surplus = len(letters) - per_lane
        for place, letter in enumerate(letters):
            if place < surplus:
                reason = f"held back, and {per_lane} newer letters of this conversation are held back too"
            elif now - letter.created_at > max_age_s:
                reason = f"held back for {max_age_s / 86400:g} days and no message came that it could go out with"
            else:
                continue
            settle(db, letter.id, LetterState.DEAD, reason, None, 0, "", None, now)
            found = get(db, letter.id)
            if found is not None:
                dead.append(found)
    return dead


# --- looking ------------------------------------------------------------------------------------------------


def get(db: sqlite3.Connection, row: int) -> Letter | None:
    """Read one letter; its body is None once pruned."""
    found = db.execute(_GET, (row,)).fetchone()
    return None if found is None else _letter(found)


def of_event(db: sqlite3.Connection, event: int) -> list[Letter]:
    """Read the letters that answer one inbox row, in order: what a re-run is told was delivered."""
    return [_letter(row) for row in db.execute(_OF_EVENT, (event,))]


def queued_at(db: sqlite3.Connection, bot: str, key: str) -> float | None:
    """When the letter of this key was queued; None: it never was."""
    found = db.execute("SELECT created_at FROM outbox WHERE key = ? AND bot = ?", (key, bot)).fetchone()
    return None if found is None else float(found[0])


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Count the letters that are queued, claimed, held, unsure or dead."""
    (open_,) = db.execute("SELECT count(*) FROM outbox WHERE state IN ('queued', 'claimed')").fetchone()
    (claimed,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'claimed'").fetchone()
    (held_,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'held'").fetchone()
    bad = dict(
        db.execute(
            "SELECT state, count(*) FROM outbox "
            "WHERE state = 'unsure' OR state = 'dead' OR state = 'dropped' GROUP BY state"
        ).fetchall()
    )
    return {
        "queued": open_ - claimed,
        "claimed": claimed,
        "held": held_,
        "unsure": bad.get("unsure", 0),
        "dead": bad.get("dead", 0),
    }


# --- what a person does -------------------------------------------------------------------------------------


def listing(
    db: sqlite3.Connection,
    state: LetterState | None = None,
    bot: str | None = None,
    lane: str | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """List letters for a person, newest first, without their bodies."""
    which = "1" if state is None else f"state = '{LetterState(state).value}'"
    found = db.execute(
        "SELECT id, key, bot, lane, state, reason, origin, event, anchor, seq, attempts, created_at, "  # noqa: S608
        "attempted_at, "
        f"not_before, settled_at, remote_id, into_id, code, trace_id, latency_ms FROM outbox WHERE {which} "
        "AND (?1 IS NULL OR bot = ?1) AND (?2 IS NULL OR lane = ?2) ORDER BY id DESC LIMIT ?3",
        (bot, lane, limit),
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def retry_dead(db: sqlite3.Connection, row: int, now: float) -> Letter | None:
    """Queue a dead, unsure, dropped or held letter again, free to take any anchor; None: it is none of these.

    An unsure one may reach its reader twice: that is for the person who asks to decide.
    """
    changed = db.execute(
        "UPDATE outbox SET state = 'queued', anchor_row = NULL, anchor = NULL, seq = NULL, not_before = 0, "
        "reason = '', settled_at = NULL WHERE id = ? AND state IN ('dead', 'unsure', 'dropped', 'held') "
        "AND body IS NOT NULL",
        (row,),
    )
    if changed.rowcount == 0:
        return None
    note(db, letter_ref(row), now, "a person asked for another try")
    return get(db, row)


def drop(db: sqlite3.Connection, row: int, reason: str, now: float) -> bool:
    """Withdraw a letter that is not being sent at this moment and was not sent."""
    changed = db.execute(
        "UPDATE outbox SET state = 'dropped', reason = ?, settled_at = ? WHERE id = ? "
        "AND state IN ('queued', 'held', 'unsure', 'dead')",
        (reason, now, row),
    )
    return changed.rowcount == 1
