"""The transactions of letters on the real SQL: what a crash between two of them must not lose."""

from __future__ import annotations

from buoy.durable import outbox, schema
from buoy.gateway import posting
from buoy.letters import Cause, Failed, Letter, LetterState


def test_a_second_rewording_after_a_restart_keeps_every_piece() -> None:
    db = schema.open_memory()
    first = outbox.put(db, Letter(0, "k/1", "b", "line:x", b"whole", LetterState.QUEUED, 1.0)).letter
    outbox.attempt_proactive(db, first.id, 1, 1.0)
    once = posting.reword(db, first, [b"one two", b"three"], Failed(Cause.CONTENT, "too long", 7), 2.0)
    outbox.attempt_proactive(db, first.id, 2, 3.0)
    again = posting.reword(db, once[0], [b"one", b"two"], Failed(Cause.CONTENT, "too long", 7), 4.0)
    bodies = {letter.body for letter in outbox.page(db, "b", "line:x", 0, 9)}
    assert bodies == {b"one", b"two", b"three"}
    assert again[1].id not in {letter.id for letter in once}
    db.close()
