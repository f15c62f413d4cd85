"""The outbox: one key one letter, one attempt one seq, one outcome; what is held, merged, retried and dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from buoy.durable import anchors, inbox, outbox, schema, status
from buoy.letters import Letter, LetterState
from tests.durable.rows import BOT, LANE, arrival, column, letter

BOOT = 3
DAY_S = 86400.0


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = schema.open_memory()
    yield db
    db.close()


def queued(db: sqlite3.Connection, key: str, **changes: object) -> int:
    return outbox.put(db, letter(key, **changes)).letter.id


def anchored(db: sqlite3.Connection, key: str = "anchor") -> int:
    row = inbox.put(db, arrival(key), None).id
    assert row is not None
    return row


def got(db: sqlite3.Connection, row: int) -> Letter:
    found = outbox.get(db, row)
    assert found is not None
    return found


def claimed(db: sqlite3.Connection, key: str = "k") -> tuple[int, int]:
    """A letter whose attempt against a fresh anchor is recorded."""
    anchor, row = anchored(db, f"anchor of {key}"), queued(db, key)
    assert outbox.attempt(db, row, anchor, "a", 4, BOOT, 300.0) == 1
    return row, anchor


def end(db: sqlite3.Connection, row: int, state: LetterState) -> bool:
    return outbox.settle(db, row, state, "why", "r1", 40054, "t1", 12.5, 400.0)


# --- in ---


def test_a_letter_comes_back_with_its_id_as_it_will_be_read(db: sqlite3.Connection) -> None:
    draft = letter("k/1", id=99, event=5, origin="cli", not_before=7.0)
    put = outbox.put(db, draft)
    assert put.fresh
    assert got(db, put.letter.id) == put.letter
    assert put.letter.id != 99


def test_the_same_key_is_the_same_letter_unchanged(db: sqlite3.Connection) -> None:
    first = outbox.put(db, letter("send/1")).letter
    end(db, first.id, LetterState.DEAD)
    second = outbox.put(db, letter("send/1", body=b"other", lane="other"))
    assert not second.fresh
    assert second.letter == got(db, first.id)
    assert second.letter.state is LetterState.DEAD
    assert outbox.put(db, letter("send/1", bot="b2")).fresh


# --- attempts ---


def test_an_attempt_takes_the_next_seq_and_freezes_the_letter(db: sqlite3.Connection) -> None:
    row, anchor = claimed(db)
    it = got(db, row)
    assert (it.state, it.anchor_row, it.anchor, it.seq, it.attempts, it.attempted_at) == (
        LetterState.CLAIMED, anchor, "a", 1, 1, 300.0,
    )  # fmt: skip
    assert it.frozen
    assert outbox.attempt(db, queued(db, "k2"), anchor, "a", 4, BOOT, 1.0) == 2


def test_an_attempt_that_cannot_be_made_changes_nothing(db: sqlite3.Connection) -> None:
    row, anchor = claimed(db)
    for _ in range(2):
        assert outbox.attempt(db, row, anchor, "a", 4, BOOT, 1.0) is None, "it is frozen"
    other = queued(db, "k2")
    assert outbox.attempt(db, other, anchor, "a", 1, BOOT, 1.0) is None, "the anchor is used up"
    assert outbox.attempt(db, other, 999, "a", 9, BOOT, 1.0) is None, "the anchor was pruned"
    anchors.spend(db, anchor)
    assert outbox.attempt(db, other, anchor, "a", 9, BOOT, 1.0) is None, "the anchor was refused"
    assert got(db, other).attempts == 0
    assert column(db, "inbox", anchor, "uses") == 1


def test_an_unsure_letter_stays_frozen_and_is_repeated_with_its_seq(db: sqlite3.Connection) -> None:
    row, anchor = claimed(db)
    assert outbox.retry(db, row, 350.0, "time-out", True, 301.0)
    assert got(db, row).frozen
    assert got(db, row).not_before == 350.0
    assert outbox.attempt(db, row, anchor, "a", 4, BOOT, 1.0) is None
    assert outbox.repeat(db, row, BOOT, 350.0)
    assert (got(db, row).seq, got(db, row).attempts) == (1, 2)
    assert column(db, "inbox", anchor, "uses") == 1


def test_a_letter_that_was_not_accepted_may_repeat_its_seq_or_take_another(db: sqlite3.Connection) -> None:
    row, anchor = claimed(db)
    assert outbox.retry(db, row, 0.0, "429", False, 301.0)
    assert not got(db, row).frozen
    assert outbox.repeat(db, row, BOOT, 350.0)
    assert got(db, row).seq == 1
    outbox.retry(db, row, 0.0, "429", False, 301.0)
    assert outbox.attempt(db, row, anchor, "a", 4, BOOT, 360.0) == 2
    assert outbox.attempt(db, queued(db, "k2"), anchor, "a", 4, BOOT, 1.0) == 3


def test_a_refused_anchor_is_spent_for_all_and_the_letter_is_free(db: sqlite3.Connection) -> None:
    row, anchor = claimed(db)
    assert outbox.unbind(db, row, "msg_id expired", 301.0)
    it = got(db, row)
    assert (it.state, it.anchor, it.seq, it.attempts) == (LetterState.QUEUED, None, None, 1)
    assert outbox.attempt(db, queued(db, "k2"), anchor, "a", 4, BOOT, 1.0) is None
    assert not outbox.unbind(db, row, "again", 301.0)


def test_a_refused_body_leaves_with_other_words_and_keeps_its_own(db: sqlite3.Connection) -> None:
    row, _ = claimed(db)
    assert outbox.reword(db, row, b"plain", "no markdown here", 301.0)
    assert (got(db, row).body, got(db, row).seq) == (b"plain", None)
    assert column(db, "outbox", row, "body") == b'{"text":"hi"}'
    assert not outbox.reword(db, row, b"plainer", "no", 301.0)


def test_a_proactive_attempt_has_no_anchor_and_may_be_repeated(db: sqlite3.Connection) -> None:
    row = queued(db, "k")
    assert outbox.attempt_proactive(db, row, BOOT, 300.0)
    assert outbox.attempt_proactive(db, row, BOOT, 310.0)
    assert (got(db, row).state, got(db, row).anchor, got(db, row).attempts) == (LetterState.CLAIMED, None, 2)
    frozen, _ = claimed(db, "k2")
    assert not outbox.attempt_proactive(db, frozen, BOOT, 300.0), "it may be at the platform as a reply already"


def test_what_was_being_sent_when_the_process_died_is_on_the_next_page_as_it_was(db: sqlite3.Connection) -> None:
    row, _ = claimed(db)
    assert outbox.heads(db) == [(BOT, LANE, row, row)]
    (left,) = outbox.page(db, BOT, LANE, 0, 9)
    assert left.frozen
    assert left.seq == 1
    assert outbox.repeat(db, row, BOOT + 1, 500.0)


# --- outcomes ---


def test_a_letter_has_one_outcome(db: sqlite3.Connection) -> None:
    row, _ = claimed(db)
    assert outbox.settle_sent(db, row, "r1", 400.0, 12.5)
    assert (got(db, row).state, got(db, row).remote_id, got(db, row).settled_at) == (LetterState.SENT, "r1", 400.0)
    changes: list[Callable[[], object]] = [
        lambda: outbox.settle_sent(db, row, "r2", 500.0),
        lambda: end(db, row, LetterState.DEAD),
        lambda: outbox.retry(db, row, 0.0, "x", True, 1.0),
        lambda: outbox.hold(db, row, "x", 1.0),
        lambda: outbox.unbind(db, row, "x", 1.0),
        lambda: outbox.repeat(db, row, BOOT, 1.0),
        lambda: outbox.attempt_proactive(db, row, BOOT, 1.0),
        lambda: outbox.drop(db, row, "x", 1.0),
        lambda: outbox.retry_dead(db, row, 1.0),
    ]
    for change in changes:
        assert not change()
    assert got(db, row).remote_id == "r1"


@pytest.mark.parametrize("state", [LetterState.UNSURE, LetterState.DEAD, LetterState.DROPPED])
def test_a_bad_end_keeps_what_the_platform_said(db: sqlite3.Connection, state: LetterState) -> None:
    row, _ = claimed(db)
    assert end(db, row, state)
    assert not end(db, row, LetterState.SENT)
    assert not outbox.settle_sent(db, row, "r1", 1.0)
    (line,) = outbox.listing(db, state)
    assert (line["reason"], line["code"], line["trace_id"], line["latency_ms"]) == ("why", 40054, "t1", 12.5)


def test_a_letter_that_was_not_attempted_cannot_be_sent(db: sqlite3.Connection) -> None:
    assert not outbox.settle_sent(db, queued(db, "k"), "r1", 1.0)


# --- held ---


def test_a_letter_is_held_unless_it_may_be_at_the_platform(db: sqlite3.Connection) -> None:
    row = queued(db, "k1")
    assert outbox.hold(db, row, "no reply window", 1.0)
    assert [it.id for it in outbox.held(db, BOT, LANE)] == [row]
    assert outbox.lanes_with_held(db) == [(BOT, LANE)]
    assert outbox.heads(db) == []
    assert outbox.position(db, row) == 0
    refused, _ = claimed(db, "k2")
    assert outbox.hold(db, refused, "definitely refused", 1.0)
    assert got(db, refused).anchor is None
    assert outbox.attempt(db, row, anchored(db), "a", 4, BOOT, 2.0) == 1, "the next contact takes it along"
    assert not outbox.hold(db, 999, "x", 1.0)


def test_merged_letters_point_to_the_one_that_carries_them(db: sqlite3.Connection) -> None:
    rows = [queued(db, f"k{n}") for n in range(3)]
    for row in rows[:2]:
        outbox.hold(db, row, "x", 1.0)
    carrier = queued(db, "carrier", body=b"all")
    outbox.merge(db, rows, carrier, 5.0)
    assert [got(db, row).state for row in rows] == [LetterState.MERGED, LetterState.MERGED, LetterState.QUEUED]
    assert [got(db, row).into for row in rows] == [carrier, carrier, None]
    assert got(db, rows[0]).body == b'{"text":"hi"}'


def test_held_letters_end_after_a_week_or_beyond_twenty_oldest_first(db: sqlite3.Connection) -> None:
    old = queued(db, "old", created_at=0.0, lane="b")
    young = queued(db, "young", created_at=DAY_S, lane="b")
    many = [queued(db, f"m{n}", created_at=7 * DAY_S + n) for n in range(23)]
    for row in (old, young, *many):
        outbox.hold(db, row, "x", 1.0)
    dead = outbox.expire_held(db, 7 * DAY_S, 20, 7.5 * DAY_S)
    assert sorted(it.id for it in dead) == sorted([old, *many[:3]])
    assert all(it.state is LetterState.DEAD and it.settled_at == 7.5 * DAY_S for it in dead)
    assert "7 days" in got(db, old).reason
    assert "20 newer" in got(db, many[0]).reason
    assert got(db, young).state is LetterState.HELD
    assert outbox.expire_held(db, 7 * DAY_S, 20, 7.5 * DAY_S) == []


# --- order, counts, commands ---


def test_pages_positions_and_counts_tell_the_queue(db: sqlite3.Connection) -> None:
    rows = [queued(db, f"k{n}", created_at=200.0 + n) for n in range(4)]
    other = queued(db, "other", lane="b")
    assert [it.id for it in outbox.page(db, BOT, LANE, rows[0], 2)] == rows[1:3]
    assert [outbox.position(db, row) for row in [*rows, other, 999]] == [1, 2, 3, 4, 1, 0]
    outbox.attempt_proactive(db, rows[0], BOOT, 1.0)
    outbox.settle_sent(db, rows[0], None, 2.0)
    assert [outbox.position(db, row) for row in rows] == [0, 1, 2, 3]
    outbox.hold(db, rows[1], "x", 1.0)
    end(db, rows[2], LetterState.UNSURE)
    assert outbox.counts(db) == {"queued": 2, "claimed": 0, "held": 1, "unsure": 1, "dead": 0}
    assert status.outbox_depth(db, 300.0)["oldest"]["queued"] == 97.0, "the first by id"
    assert [it.id for it in outbox.of_event(db, 1)] == []


@pytest.mark.parametrize("state", [LetterState.DEAD, LetterState.UNSURE, LetterState.DROPPED, LetterState.HELD])
def test_a_person_may_retry_what_ended_badly(db: sqlite3.Connection, state: LetterState) -> None:
    row, _ = claimed(db)
    if state is LetterState.HELD:
        outbox.hold(db, row, "x", 1.0)
    else:
        end(db, row, state)
    it = outbox.retry_dead(db, row, 9.0)
    assert it is not None
    assert (it.state, it.anchor, it.seq, it.settled_at, it.reason) == (LetterState.QUEUED, None, None, None, "")
    assert outbox.retry_dead(db, row, 9.0) is None


def test_a_person_may_drop_what_is_not_on_its_way(db: sqlite3.Connection) -> None:
    frozen, _ = claimed(db)
    assert not outbox.drop(db, frozen, "unwanted", 9.0)
    row = queued(db, "k2")
    assert outbox.drop(db, row, "unwanted", 9.0)
    assert (got(db, row).state, got(db, row).reason) == (LetterState.DROPPED, "unwanted")
    assert not outbox.drop(db, row, "unwanted", 9.0)
    assert [line["id"] for line in outbox.listing(db, lane=LANE)] == [row, frozen]


# --- the machine ---


class Model(RuleBasedStateMachine):
    """Letters, anchors, a platform that refuses a pair of anchor and seq twice, and a process that dies."""

    def __init__(self) -> None:
        super().__init__()
        self.db = schema.open_memory()
        self.boot = 1
        self.letters: list[int] = []
        self.anchors: list[int] = []
        self.left: dict[tuple[int, int], tuple[int, bytes]] = {}  # what went out under each pair
        self.unsure: set[int] = set()  # letters that may be at the platform
        self.outcomes: dict[int, LetterState] = {}
        self.attempts: dict[int, int] = {}

    def _letter(self, data: st.DataObject) -> Letter:
        return got(self.db, data.draw(st.sampled_from(self.letters)))

    def _leaves(self, row: int) -> None:
        """The request goes out: the platform sees anchor, seq and body."""
        it = got(self.db, row)
        self.attempts[row] += 1
        if it.anchor_row is not None and it.seq is not None:
            known = self.left.setdefault((it.anchor_row, it.seq), (row, it.body))
            assert known == (row, it.body), "one seq of an anchor carries one letter with one body, for ever"

    @rule(key=st.integers(0, 5))
    def put(self, key: int) -> None:
        put = outbox.put(self.db, letter(f"k{key}", body=b"text %d" % key))
        assert put.fresh == (put.letter.id not in self.attempts)
        if put.fresh:
            self.letters.append(put.letter.id)
            self.attempts[put.letter.id] = 0

    @rule()
    def anchor(self) -> None:
        row = inbox.put(self.db, arrival(f"a{len(self.anchors)}"), None).id
        assert row is not None
        self.anchors.append(row)

    @precondition(lambda self: self.letters and self.anchors)
    @rule(data=st.data(), limit=st.integers(1, 4))
    def attempt(self, data: st.DataObject, limit: int) -> None:
        it, anchor = self._letter(data), data.draw(st.sampled_from(self.anchors))
        before = column(self.db, "inbox", anchor, "uses")
        seq = outbox.attempt(self.db, it.id, anchor, f"a{anchor}", limit, self.boot, 1.0)
        if seq is None:
            assert got(self.db, it.id) == it
            assert column(self.db, "inbox", anchor, "uses") == before
            return
        assert it.id not in self.unsure, "what may be at the platform got another seq"
        assert seq == before + 1 <= limit
        assert (anchor, seq) not in self.left, "a seq was used twice"
        self._leaves(it.id)

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        it = self._letter(data)
        if outbox.repeat(self.db, it.id, self.boot, 1.0):
            assert (got(self.db, it.id).anchor_row, got(self.db, it.id).seq) == (it.anchor_row, it.seq)
            self._leaves(it.id)

    @precondition(lambda self: self.letters)
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["sent", "lost", "rate", "anchor", "content", "hold", "unsure", "dead"]),
    )
    def answer(self, data: st.DataObject, outcome: str) -> None:
        it = self._letter(data)
        if it.state is not LetterState.CLAIMED:
            return
        row = it.id
        if outcome == "lost":
            assert outbox.retry(self.db, row, 0.0, "time-out", True, 1.0)
            self.unsure.add(row)
            return
        self.unsure.discard(row)
        if outcome == "sent":
            assert outbox.settle_sent(self.db, row, "r", 1.0)
            self.outcomes[row] = LetterState.SENT
        elif outcome == "rate":
            assert outbox.retry(self.db, row, 0.0, "429", False, 1.0)
        elif outcome == "anchor":
            assert outbox.unbind(self.db, row, "expired", 1.0)
        elif outcome == "content":
            assert outbox.reword(self.db, row, b"plain %d" % self.attempts[row], "refused", 1.0)
        elif outcome == "hold":
            assert outbox.hold(self.db, row, "no window", 1.0)
        else:
            state = LetterState(outcome)
            assert outbox.settle(self.db, row, state, "x", None, 0, "", None, 1.0)
            self.outcomes[row] = state

    @rule()
    def crash(self) -> None:
        self.boot += 1
        for row in self.letters:
            if got(self.db, row).state is LetterState.CLAIMED:
                self.unsure.add(row)

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def contact(self, data: st.DataObject) -> None:
        held = [it.id for it in outbox.held(self.db, BOT, LANE)]
        if len(held) > 1:
            outbox.merge(self.db, held[1:], held[0], 1.0)
            for row in held[1:]:
                self.outcomes[row] = LetterState.MERGED

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), retry=st.booleans())
    def person(self, data: st.DataObject, *, retry: bool) -> None:
        it = self._letter(data)
        if retry:
            if outbox.retry_dead(self.db, it.id, 1.0) is not None:
                assert it.state in {LetterState.DEAD, LetterState.UNSURE, LetterState.DROPPED, LetterState.HELD}
                self.outcomes.pop(it.id, None)
        elif outbox.drop(self.db, it.id, "unwanted", 1.0):
            assert it.id not in self.unsure
            self.outcomes[it.id] = LetterState.DROPPED

    @invariant()
    def one_outcome_and_true_accounts(self) -> None:
        for row in self.letters:
            it = got(self.db, row)
            ended = it.state not in {LetterState.QUEUED, LetterState.CLAIMED, LetterState.HELD}
            assert (it.state if ended else None) == self.outcomes.get(row)
            assert it.attempts == self.attempts[row]
        for anchor in self.anchors:
            highest = max((seq for row, seq in self.left if row == anchor), default=0)
            assert column(self.db, "inbox", anchor, "uses") == highest

    def teardown(self) -> None:
        self.db.close()


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestModel = Model.TestCase
