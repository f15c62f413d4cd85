"""The inbox: dedupe, claims and what each end of a run costs, order, anchors, history, commands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from buoy.durable import anchors, inbox, meta, outbox, schema
from buoy.durable.inbox import ALONE_AFTER, DEAD_AFTER, Put
from buoy.letters import NOTICE, EventState
from tests.durable.rows import BOT, LANE, arrival, column, letter


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    db = schema.open_memory()
    meta.set(db, "boot_at", 500.0)
    yield db
    db.close()


def put(db: sqlite3.Connection, key: str, boot: int | None = None, **changes: object) -> int:
    row = inbox.put(db, arrival(key, **changes), boot).id
    assert row is not None
    return row


def state(db: sqlite3.Connection, row: int) -> str:
    return str(column(db, "inbox", row, "state"))


# --- in ---


def test_an_arrival_waits_or_is_claimed_at_once_or_is_only_stored(db: sqlite3.Connection) -> None:
    waits, runs, stored = put(db, "a"), put(db, "b", 7), put(db, "c", 7, turn=False, lane=None, reason="a bot wrote it")
    assert [state(db, row) for row in (waits, runs, stored)] == ["waiting", "running", "stored"]
    assert [column(db, "inbox", row, "attempts") for row in (waits, runs, stored)] == [0, 1, 0]
    assert [column(db, "inbox", row, "boot") for row in (waits, runs, stored)] == [None, 7, None]
    assert column(db, "inbox", stored, "reason") == "a bot wrote it"


def test_what_was_put_claimed_reads_back_as_the_event_built_from_it(db: sqlite3.Connection) -> None:
    row = put(db, "a", 7)
    assert inbox.event_of(arrival("a"), row) == inbox.get(db, row)


def test_a_duplicate_meets_the_key_within_its_bot(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    assert inbox.put(db, arrival("a", frame=b"other", lane="elsewhere"), 7) == Put(None, fresh=False)
    assert inbox.put(db, arrival("a", turn=False), None) == Put(None, fresh=False)
    assert inbox.put(db, arrival("a", bot="other"), None).fresh
    assert column(db, "inbox", row, "frame") == b'{"key":"a"}'
    assert state(db, row) == "waiting"


@pytest.mark.parametrize("boot", [None, 7])
def test_the_at_event_after_a_full_mode_event_of_the_same_id_gets_the_turn(
    db: sqlite3.Connection, boot: int | None
) -> None:
    row = put(db, "a", turn=False, type="GROUP_MESSAGE", anchor="a1")
    anchors.use(db, row, 5)
    late = arrival("a", type="GROUP_AT_MESSAGE", frame=b"at", anchor="a1", event_at=99.0)
    assert inbox.put(db, late, boot) == Put(row, fresh=True)
    assert state(db, row) == ("waiting" if boot is None else "running")
    event = inbox.get(db, row)
    assert event is not None
    assert (event.type, event.frame, event.event_at, event.attempts) == (
        "GROUP_AT_MESSAGE",
        b"at",
        99.0,
        int(boot == 7),
    )
    assert event.uses == 1, "replies that held letters took from this anchor stay counted"
    assert inbox.put(db, late, boot) == Put(None, fresh=False)


@pytest.mark.parametrize("end", ["finish", "bury", "claim"])
def test_a_row_that_had_its_turn_gets_no_other_by_coming_again(db: sqlite3.Connection, end: str) -> None:
    row = put(db, "a", 1)
    if end == "finish":
        inbox.finish(db, row, 1.0)
    elif end == "bury":
        inbox.bury(db, row, "poison", 1.0)
    before = state(db, row)
    assert inbox.put(db, arrival("a", type="GROUP_AT_MESSAGE"), None) == Put(None, fresh=False)
    assert state(db, row) == before


def test_a_turn_without_a_lane_is_a_bug_of_the_caller(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        inbox.put(db, arrival("a", lane=None), None)


def test_ids_are_never_given_twice(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    db.execute("DELETE FROM inbox")
    assert put(db, "b") > row


# --- a turn ---


def test_a_claim_charges_before_the_run_and_only_once(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    event = inbox.claim(db, row, 7, False, 2.0)
    assert event is not None
    assert (event.attempts, event.alone) == (1, 0)
    assert inbox.claim(db, row, 7, False, 2.0) is None
    assert inbox.finish(db, row, 3.0)
    assert not inbox.finish(db, row, 3.0)
    assert inbox.claim(db, row, 7, False, 2.0) is None
    assert not inbox.give_back(db, row)
    assert inbox.again(db, row, "x", 1.0, 0.0) is None


def test_a_turn_that_waits_cannot_be_finished(db: sqlite3.Connection) -> None:
    row = put(db, "a", 1)
    inbox.give_back(db, row)
    assert not inbox.finish(db, row, 3.0)


def test_an_orderly_stop_gives_the_attempt_back(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    inbox.claim(db, row, 7, True, 2.0)
    assert inbox.give_back(db, row)
    event = inbox.get(db, row)
    assert event is not None
    assert (event.attempts, event.alone, event.failures, event.unclean) == (0, 0, 0, 0)


def test_failed_runs_count_and_five_spend_a_turn(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    for run in range(1, DEAD_AFTER + 1):
        inbox.claim(db, row, 7, False, 2.0)
        event = inbox.again(db, row, "ValueError: no", 3.0, 30.0 + run)
        assert event is not None
        assert (event.attempts, event.failures, event.not_before) == (run, run, 30.0 + run)
        assert inbox.is_spent(event) == (run == 5)
    assert inbox.bury(db, row, "failed 5 times: ValueError: no", 4.0)
    assert state(db, row) == "dead"
    assert inbox.heads(db) == []


def test_a_restart_voids_older_claims_at_once_and_charges_them(db: sqlite3.Connection) -> None:
    row, mine = put(db, "a", 7), put(db, "b", 8)
    assert inbox.void_claims(db, 8) == []
    assert [state(db, row), state(db, mine)] == ["waiting", "running"]
    event = inbox.get(db, row)
    assert event is not None
    assert (event.attempts, event.unclean, event.failures) == (1, 1, 0)


def test_poison_dies_alone_and_innocents_beside_it_live(db: sqlite3.Connection) -> None:
    """The process dies whenever `poison` runs; `innocent` runs in parallel as long as it may."""
    poison, innocent = put(db, "poison", lane="p"), put(db, "innocent", lane="i")
    runs = 0
    for boot in range(1, 20):
        buried = inbox.void_claims(db, boot)
        assert all(event.key == "poison" for event in buried)
        event, other = inbox.get(db, poison), inbox.get(db, innocent)
        assert event is not None
        assert other is not None
        if state(db, poison) == "dead":
            break
        alone = inbox.needs_alone(event)
        inbox.claim(db, poison, boot, alone, 2.0)
        runs += 1
        if not alone:
            inbox.claim(db, innocent, boot, inbox.needs_alone(other), 2.0)
    assert runs == ALONE_AFTER + DEAD_AFTER
    assert state(db, poison) == "dead"
    assert "while running alone" in column(db, "inbox", poison, "reason")
    assert column(db, "inbox", poison, "ended_at") == 500.0
    assert state(db, innocent) == "waiting"
    other = inbox.get(db, innocent)
    assert other is not None
    assert (other.unclean, other.failures) == (2, 0)


# --- order ---


def test_heads_and_pages_tell_what_waits_in_order(db: sqlite3.Connection) -> None:
    a1, b1, a2, a3 = put(db, "1"), put(db, "2", lane="b"), put(db, "3"), put(db, "4")
    put(db, "5", turn=False)
    urgent = put(db, "6", bypass=True)
    done = put(db, "7", 1, lane="c")
    inbox.finish(db, done, 1.0)
    assert sorted(inbox.heads(db)) == [(BOT, "b", b1, b1), (BOT, LANE, a1, a3)]
    assert [event.id for event in inbox.page(db, BOT, LANE, 0, 2)] == [a1, a2]
    assert [event.id for event in inbox.page(db, BOT, LANE, a2, 2)] == [a3]
    assert [event.id for event in inbox.urgent(db)] == [urgent]
    inbox.claim(db, a1, 7, False, 1.0)
    assert inbox.heads(db)[0][2] == min(a1, b1) or inbox.heads(db)[1][2] == a1
    assert [event.id for event in inbox.page(db, BOT, LANE, 0, 9)] == [a2, a3]
    assert inbox.counts(db) == {"waiting": 4, "running": 1, "dead": 0}


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            (
                "SELECT bot, lane, min(id), max(id) FROM inbox WHERE state IN ('waiting', 'running') AND bypass = 0 "
                "GROUP BY bot, lane"
            ),
            "SCAN inbox USING COVERING INDEX inbox_open",
        ),
        (inbox._PAGE, "SEARCH inbox USING INDEX inbox_open (bot=? AND lane=? AND id>?)"),
        (inbox._URGENT, "inbox_urgent"),
        (inbox._RUNNING, "inbox_open"),
        (anchors._ANCHORS, "SEARCH inbox USING INDEX inbox_lane (bot=? AND lane=?)"),
        (outbox._PAGE, "SEARCH outbox USING INDEX outbox_open (bot=? AND lane=? AND id>?)"),
        (outbox._HELD, "SEARCH outbox USING INDEX outbox_held (bot=? AND lane=?)"),
        (outbox._OF_EVENT, "SEARCH outbox USING INDEX outbox_event (event=?)"),
    ],
)
def test_each_query_of_the_running_process_has_its_index(db: sqlite3.Connection, sql: str, index: str) -> None:
    values = (1,) * (1 if "?1" in sql else sql.count("?"))
    plan = db.execute("EXPLAIN QUERY PLAN " + sql, values).fetchall()
    assert any(index in step[3] for step in plan), plan
    assert not any("TEMP B-TREE" in step[3] for step in plan), plan


# --- anchors ---


def test_an_anchor_is_open_until_its_turn_has_ended_and_its_letters_have_left(db: sqlite3.Connection) -> None:
    row = put(db, "k", 1)
    own = outbox.put(db, letter("k/1", event=row)).letter
    outbox.put(db, letter("somebody else's"))
    inbox.finish(db, row, 1.0)
    assert [anchor.open for anchor in anchors.newest(db, BOT, LANE, 0.0)] == [True]
    outbox.attempt(db, own.id, row, "a-k", 5, 1, 1.0)
    assert [anchor.open for anchor in anchors.newest(db, BOT, LANE, 0.0)] == [False]


def test_anchors_are_told_newest_first_with_what_is_left_of_them(db: sqlite3.Connection) -> None:
    old = put(db, "old", event_at=10.0)
    first = put(db, "first", 1, event_at=100.0)
    full = put(db, "full", event_at=120.0, turn=False)
    put(db, "none", event_at=130.0, anchor=None)
    put(db, "elsewhere", event_at=130.0, lane="other")
    inbox.finish(db, old, 1.0)
    assert anchors.use(db, first, 5) == 1
    anchors.spend(db, full)
    found = anchors.newest(db, BOT, LANE, 50.0)
    assert [(a.row, a.id, a.uses, a.open, a.spent) for a in found] == [
        (full, "a-full", 0, False, True),
        (first, "a-first", 1, True, False),
    ]
    assert len(anchors.newest(db, BOT, LANE, 0.0, limit=1)) == 1
    inbox.finish(db, first, 2.0)
    again = anchors.of_row(db, first)
    assert again is not None
    assert not again.open
    assert anchors.of_row(db, 999) is None


def test_an_anchor_is_used_up_by_number_and_by_refusal(db: sqlite3.Connection) -> None:
    row = put(db, "a")
    assert [anchors.use(db, row, 3) for _ in range(5)] == [1, 2, 3, None, None]
    assert anchors.use(db, row, 4) == 4
    anchors.spend(db, row)
    assert anchors.use(db, row, 99) is None
    assert anchors.use(db, 999, 99) is None


# --- looking back, commands ---


def test_history_tells_done_turns_with_their_letters_oldest_first(db: sqlite3.Connection) -> None:
    rows = [put(db, f"k{n}", 1) for n in range(5)]
    other = put(db, "other", 1, lane="b")
    for row in [*rows, other]:
        inbox.finish(db, row, 1.0)
    for n in (1, 2):
        outbox.put(db, letter(f"k3/{n}", event=rows[3], body=b"part %d" % n))
    assert inbox.history(db, BOT, LANE, rows[4], 2) == [
        (b'{"key":"k2"}', "MESSAGE", []),
        (b'{"key":"k3"}', "MESSAGE", [b"part 1", b"part 2"]),
    ]
    assert inbox.history(db, BOT, LANE, rows[0], 2) == []


def test_what_buoy_itself_said_of_a_turn_is_no_answer_in_its_history(db: sqlite3.Connection) -> None:
    row = put(db, "1", boot=1)
    for key, origin in (("1/failed", NOTICE), ("1/1", "turn")):
        outbox.put(db, letter(key, event=row, origin=origin, body=key.encode()))
    inbox.finish(db, row, 5.0)
    ((_, _, bodies),) = inbox.history(db, BOT, LANE, row + 1, 5)
    assert bodies == [b"1/1"]


def test_a_waiting_row_may_be_taken_as_an_answer_and_is_found_by_its_reason(db: sqlite3.Connection) -> None:
    turn, one, other, taken = (put(db, key) for key in ("1", "2", "3", "4"))
    inbox.claim(db, taken, 1, alone=False, now=1.0)
    assert inbox.end_waiting(db, one, "answers ask:a:0", 5.0)
    assert not inbox.end_waiting(db, one, "answers ask:a:1", 5.0), "once"
    assert not inbox.end_waiting(db, taken, "answers ask:a:1", 5.0), "it runs"
    assert inbox.end_waiting(db, other, "answers ask:b:0", 5.0)
    found = [(reason, event.id) for reason, event in inbox.ended_with(db, BOT, LANE, turn, "answers ask:a:")]
    assert found == [("answers ask:a:0", one)]
    assert inbox.ended_with(db, BOT, LANE, one, "answers ask:a:") == []


def test_a_person_lists_retries_and_drops(db: sqlite3.Connection) -> None:
    waits, dead = put(db, "a"), put(db, "b", 1, lane="b")
    inbox.again(db, dead, "no", 1.0, 9.0)
    inbox.bury(db, dead, "poison", 2.0)
    assert [row["id"] for row in inbox.listing(db)] == [dead, waits]
    assert [row["reason"] for row in inbox.listing(db, EventState.DEAD)] == ["poison"]
    assert inbox.listing(db, EventState.DEAD, lane=LANE) == []
    assert [row["id"] for row in inbox.listing(db, bot=BOT, limit=1)] == [dead]
    assert inbox.retry_dead(db, waits, 3.0) is None
    event = inbox.retry_dead(db, dead, 3.0)
    assert event is not None
    assert (event.failures, event.unclean, event.not_before) == (0, 0, 0.0)
    assert state(db, dead) == "waiting"
    assert column(db, "inbox", dead, "ended_at") is None
    assert inbox.drop(db, dead, 4.0)
    assert not inbox.drop(db, dead, 4.0)
    assert inbox.claim(db, dead, 1, False, 5.0) is None


# --- the machine ---

KEYS = st.sampled_from(["k1", "k2", "k3", "k4"])


class Model(RuleBasedStateMachine):
    """Turns through every end a run can have; the accounts must add up and nobody else's death counts."""

    def __init__(self) -> None:
        super().__init__()
        self.db = schema.open_memory()
        self.boot = 1
        self.rows: dict[str, int] = {}
        self.running: dict[str, bool] = {}  # key: alone
        self.ends: dict[str, list[str]] = {}
        self.finished: set[str] = set()

    def _some(self, data: st.DataObject) -> str:
        return str(data.draw(st.sampled_from(sorted(self.running))))

    @rule(key=KEYS, claim=st.booleans())
    def arrive(self, key: str, *, claim: bool) -> None:
        done = inbox.put(self.db, arrival(key, lane=key), self.boot if claim else None)
        assert done.fresh == (key not in self.rows)
        if done.fresh:
            assert done.id is not None
            self.rows[key] = done.id
            self.ends[key] = []
            if claim:
                self.running[key] = False

    @rule(key=KEYS)
    def claim(self, key: str) -> None:
        if key not in self.rows:
            return
        event = inbox.get(self.db, self.rows[key])
        assert event is not None
        alone = inbox.needs_alone(event)
        if alone and self.running:
            return
        claimed = inbox.claim(self.db, self.rows[key], self.boot, alone, 1.0)
        may = (
            key not in self.running
            and key not in self.finished
            and column(self.db, "inbox", event.id, "state") != "dead"
        )
        assert (claimed is not None) == may
        if claimed is not None:
            self.running[key] = alone

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = self._some(data)
        assert inbox.finish(self.db, self.rows[key], 1.0)
        del self.running[key]
        self.finished.add(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = self._some(data)
        event = inbox.again(self.db, self.rows[key], "no", 1.0, 2.0)
        assert event is not None
        del self.running[key]
        self.ends[key].append("failed")
        if inbox.is_spent(event):
            assert inbox.bury(self.db, event.id, "spent", 1.0)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop_orderly(self, data: st.DataObject) -> None:
        key = self._some(data)
        assert inbox.give_back(self.db, self.rows[key])
        del self.running[key]

    @rule()
    def crash(self) -> None:
        self.boot += 1
        for key, alone in self.running.items():
            self.ends[key].append("alone" if alone else "beside")
        self.running.clear()
        for event in inbox.void_claims(self.db, self.boot):
            assert inbox.is_spent(event)

    @invariant()
    def accounts_add_up(self) -> None:
        for key, row in self.rows.items():
            event = inbox.get(self.db, row)
            assert event is not None
            ends = self.ends[key]
            charged = len(ends) + (key in self.running) + (key in self.finished)
            assert event.attempts == charged
            assert event.unclean == ends.count("alone") + ends.count("beside")
            assert event.failures == ends.count("alone") + ends.count("failed")
            state = column(self.db, "inbox", row, "state")
            assert (state == "dead") == (event.failures >= DEAD_AFTER)
            assert (state == "running") == (key in self.running)
            assert (state == "done") == (key in self.finished)

    def teardown(self) -> None:
        self.db.close()


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestModel = Model.TestCase
