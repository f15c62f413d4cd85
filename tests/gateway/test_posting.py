"""The transactions of letters on the real SQL: what a crash between two of them must not lose."""

from __future__ import annotations

from buoy.durable import inbox, outbox, schema
from buoy.durable.store import Store
from buoy.gateway import posting
from buoy.letters import Cause, Failed, Letter, LetterState
from tests import clock
from tests.gateway.fakes import ANN, BOT, arrival, wall


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


def test_replies_that_are_queued_are_not_spent_on_showing_that_one_is_written() -> None:
    async def main() -> None:
        store = Store.open_memory(now=wall())
        row = (await store.write(inbox.put, arrival("k"), 1)).id
        assert row is not None
        event = store.read(inbox.get, row)
        assert event is not None
        for n in (1, 2, 3):
            draft = Letter(0, f"k/{n}", BOT, ANN, b"x", LetterState.QUEUED, wall(), event=row)
            await store.write(outbox.put, draft)
        assert await store.write(posting.take_typing, event, 4, wall()) is None
        assert await store.write(posting.take_typing, event, 5, wall()) == 1
        assert await store.write(posting.take_typing, event, 9, wall()) is None, "once"
        await store.close(1)

    clock.run(main())
