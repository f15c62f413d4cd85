"""The transactions of turns and letters: ended, queued, claimed, merged, worded anew. Functions over a connection.

They compose what the outbox offers; each one is a job of one commit, all of it or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from buoy.durable import anchors, inbox, meta, outbox, permission, status
from buoy.durable.lanes import Key
from buoy.durable.trace import event_ref, has_note, note
from buoy.letters import NOTICE, SCHEDULED, Event, EventState, Failed, Letter, LetterState, Permission, Use

if TYPE_CHECKING:
    import sqlite3

FAILED = "failed"
"""Names the letter that tells a user that a turn is dead."""
STOPPED = "stopped"
"""Names the letter that answers a `/stop`."""
TYPING = "the user was shown that an answer is being written"
NOT_STORED = "stored after its caller was told that it was not"


class Accepts(Protocol):
    """Who is told what became of a batch: the sender."""

    def accept(self, lane: Key, letters: Sequence[Letter], *, is_mine: bool) -> None:
        """They were committed."""

    def withdraw(self, lane: Key, count: int, *, is_mine: bool) -> None:
        """They were not."""


class Batch:
    """The letters of one turn, on their way into the transaction that ends the turn.

    ``name`` and ``origin``: they are no part of its answer, and have a key of their own; whoever queues them again
    gets those of then.
    """

    def __init__(
        self,
        event: Event,
        bodies: Sequence[bytes],
        use: Use | None,
        boot: int,
        lanes: Accepts,
        name: str = "",
        origin: str = "",
    ) -> None:
        self._event = event
        self._name = name
        self._origin = origin or (SCHEDULED if event.type == SCHEDULED else "turn")
        self._boot = boot
        self._lanes = lanes
        self._lane = (event.bot, event.lane)
        self._bodies = bodies
        self._use = use

    def write(self, db: sqlite3.Connection, now: float) -> list[Letter]:
        """Queue the letters; the first one is claimed at once where its lane was idle. Runs inside the commit."""
        event, letters, n = self._event, [], 0
        for body in self._bodies:
            n += 1
            put = outbox.put(db, self._draft(n, body, now))
            if not put.fresh and not self._name:  # an earlier run of this turn queued parts: go on behind them
                n = len(outbox.of_event(db, event.id)) + 1
                put = outbox.put(db, self._draft(n, body, now))
            letters.append(put.letter)
        if self._use is not None and letters[0].state is LetterState.QUEUED:
            letters[0] = bind(db, letters[0], self._use, self._boot, now) or letters[0]
        return letters

    def write_with_end(self, db: sqlite3.Connection, now: float) -> list[Letter] | None:
        """End the turn, queue its letters and claim the first one, with one statement each: the usual case.

        None: it is not the usual case, and nothing changed.
        """
        use, event = self._use, self._event
        if (
            use is None
            or self._name
            or use.anchor.row != event.id
            or not inbox.finish_replied(db, event.id, event.uses, now)
        ):
            return None
        anchor, seq, n = use.anchor, event.uses + 1, 1
        draft = self._draft(n, self._bodies[0], now)
        first = outbox.put_claimed(db, draft, anchor.row, anchor.id, seq, self._boot, now)
        if not first.fresh:  # an earlier run of this turn queued parts: go on behind them
            n = len(outbox.of_event(db, event.id)) + 1
            draft = self._draft(n, self._bodies[0], now)
            first = outbox.put_claimed(db, draft, anchor.row, anchor.id, seq, self._boot, now)
        rest = enumerate(self._bodies[1:], n + 1)
        return [first.letter, *(outbox.put(db, self._draft(at, body, now)).letter for at, body in rest)]

    def _draft(self, n: int, body: bytes, now: float) -> Letter:
        key = f"{self._event.key}/{n if not self._name else self._name if n == 1 else f'{self._name}.{n}'}"
        return Letter(0, key, *self._lane, body, LetterState.QUEUED, now, event=self._event.id, origin=self._origin)

    def committed(self, letters: Sequence[Letter]) -> None:
        """The transaction is on disk: deliver."""
        self._lanes.accept(self._lane, letters, is_mine=self._use is not None)

    def failed(self) -> None:
        """The transaction was not stored; nothing of it happened."""
        self._lanes.withdraw(self._lane, len(self._bodies), is_mine=self._use is not None)


def bind(db: sqlite3.Connection, letter: Letter, use: Use, boot: int, now: float) -> Letter | None:
    """Bind a queued letter to an anchor and record that it leaves now; None when the anchor has no reply left."""
    seq = outbox.attempt(db, letter.id, use.anchor.row, use.anchor.id, use.limit, boot, now)
    if seq is None:
        return None
    return replace(claimed(letter, now), anchor_row=use.anchor.row, anchor=use.anchor.id, seq=seq)


def claimed(letter: Letter, now: float) -> Letter:
    """The letter as its row says once an attempt is recorded."""
    return replace(letter, state=LetterState.CLAIMED, attempts=letter.attempts + 1, attempted_at=now)


def taught(db: sqlite3.Connection, lane: Key, told: Permission, now: float, job: Callable[..., Any], *args: Any) -> Any:
    """Do what an outcome asks for, and keep what it says about the conversation, or neither."""
    permission.learn(db, *lane, told, now)
    return job(db, *args)


def put_wanted(db: sqlite3.Connection, draft: Letter) -> outbox.Put:
    """Queue a `send()`. A letter of this key whose caller was told "not stored" is wanted after all."""
    put = outbox.put(db, draft)
    if put.fresh or put.letter.state is not LetterState.DROPPED or put.letter.reason != NOT_STORED:
        return put
    again = outbox.retry_dead(db, put.letter.id, draft.created_at)
    return put if again is None else outbox.Put(again, fresh=True)


def merge_held(
    db: sqlite3.Connection, lane: Key, merge: Callable[[Sequence[Letter], float], list[bytes]], now: float
) -> list[Letter]:
    """Turn a lane's held letters into new ones at its end; the old ones name where their text went."""
    held = outbox.held(db, *lane)
    carriers = [
        outbox.put(db, Letter(0, f"held/{held[0].key}/{n}", *lane, body, LetterState.QUEUED, now, origin="held")).letter
        for n, body in enumerate(merge(held, now) if held else [], 1)
    ]
    if carriers:
        outbox.merge(db, [letter.id for letter in held], carriers[0].id, now)
    return carriers


def reword(db: sqlite3.Connection, letter: Letter, bodies: Sequence[bytes], failed: Failed, now: float) -> list[Letter]:
    """Give a refused letter another body; further bodies become letters of their own, beside those of before."""
    outbox.reword(db, letter.id, bodies[0], failed.reason, now, failed.code)
    first = outbox.get(db, letter.id)
    assert first is not None
    letters, n = [first], 2
    for body in bodies[1:]:
        while not (
            put := outbox.put(db, replace(first, id=0, key=f"{letter.key}~{n}", body=body, created_at=now))
        ).fresh:
            n += 1
        letters.append(put.letter)
    return letters


@dataclass(frozen=True, slots=True)
class End:
    """How a turn ends, and why, for people."""

    row: int
    reason: str = ""
    is_dead: bool = False
    boot: int = 0
    """It never ran: claim it first, in the name of this boot."""
    also: tuple[int, ...] = ()
    """Rows of other turns that its last letter answers as well; those that ended otherwise stay as they are."""

    def write(self, db: sqlite3.Connection, now: float) -> bool:
        """Record it; False: it had ended already."""
        if self.boot and inbox.claim(db, self.row, self.boot, alone=False, now=now) is None:
            return False
        if self.is_dead:
            return inbox.bury(db, self.row, self.reason, now)
        return inbox.finish(db, self.row, now, self.reason)


class EndedError(Exception):
    """The turn had ended already; its letters are not queued a second time."""


def end_turn(db: sqlite3.Connection, batch: Batch, end: End | None, now: float) -> list[Letter]:
    """The transaction at the heart of Buoy: "turn done" and its letters, or neither.

    Raises:
        EndedError: it was done already.
    """
    if end is None:
        return batch.write(db, now)
    letters = None if end.reason or end.boot else batch.write_with_end(db, now)
    if letters is None:
        if not end.write(db, now):
            raise EndedError
        letters = batch.write(db, now)
    for row in end.also:
        reason = f"answered with event {end.row}"
        if not inbox.finish(db, row, now, reason):
            inbox.end_waiting(db, row, reason, now)  # its run failed while the disk took nothing
    return letters


def void_claims(db: sqlite3.Connection, boot: int, told: Callable[[Event], list[bytes]]) -> list[Event]:
    """Free the turns of older boots; for those that are buried, queue what their users are ``told``."""
    buried = inbox.void_claims(db, boot)
    now = meta.get(db, "boot_at", 0.0)
    for event in buried:
        for n, body in enumerate(told(event), 1):
            key = f"{event.key}/{FAILED if n == 1 else f'{FAILED}.{n}'}"
            draft = Letter(0, key, event.bot, event.lane, body, LetterState.QUEUED, now, event=event.id, origin=NOTICE)
            outbox.put(db, draft)
    return buried


def take_typing(db: sqlite3.Connection, event: Event, limit: int, now: float) -> int | None:
    """Take a reply of an event's anchor to show that an answer is being written, once; None: it has none to spare.

    One more is left for the answer at least. ``limit`` is how many replies the anchor may have.
    """
    ref = event_ref(event.id)
    if has_note(db, ref, TYPING) or status.spoken_for(db, event) > limit - 2:
        return None
    seq = anchors.use(db, event.id, limit)
    if seq is not None:
        note(db, ref, now, TYPING)
    return seq


def give_back(db: sqlite3.Connection) -> None:
    """Free every claim; those of older boots were voided when this one began."""
    for row in inbox.listing(db, EventState.RUNNING, limit=-1):
        inbox.give_back(db, row["id"])


def late(batch: Batch, job: asyncio.Future[list[Letter]]) -> None:
    """The turn was cancelled while its end was being committed: what was committed still goes out."""
    if job.cancelled() or job.exception() is not None:
        batch.failed()
    else:
        batch.committed(job.result())
