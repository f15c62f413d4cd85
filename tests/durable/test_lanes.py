"""The order of conversations: tables for each rule, then a machine against a naive model."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from buoy.durable.lanes import Key, Lanes

A: Key = ("bot", "a")
B: Key = ("bot", "b")
C: Key = ("bot", "c")


@dataclass
class Row:
    id: int


@dataclass
class Shelf:
    """The rows of a store."""

    rows: dict[Key, list[int]] = field(default_factory=dict)
    loads: int = 0

    def load(self, lane: Key, after_id: int, limit: int) -> list[Row]:
        self.loads += 1
        return [Row(n) for n in sorted(self.rows.get(lane, [])) if n > after_id][:limit]


def store(lanes: Lanes[Row], lane: Key, row: int) -> bool:
    claimed = lanes.offer(lane)
    lanes.stored(lane, row, Row(row), claimed)
    return claimed


def taken(lanes: Lanes[Row], now: float = 0.0) -> tuple[Key, int] | None:
    got = lanes.take(now)
    if got is None:
        return None
    assert got[2].id == got[1]
    return got[:2]


def test_rows_that_are_being_stored_are_counted_for_each_lane() -> None:
    lanes = Lanes[Row](Shelf().load)
    assert lanes.announced(A) == 0
    lanes.announce(A)
    lanes.announce(A)
    lanes.announce(B)
    assert (lanes.announced(A), lanes.announced(B)) == (2, 1)
    lanes.stored(A, 1, Row(1), claimed=False)
    lanes.failed(A, claimed=False)
    assert lanes.announced(A) == 0


def test_an_idle_empty_lane_is_given_to_the_newcomer_at_once() -> None:
    lanes = Lanes[Row](Shelf().load)
    assert lanes.offer(A)
    assert lanes.busy == 1
    lanes.stored(A, 1, Row(1), claimed=True)
    assert taken(lanes) is None
    lanes.release(A)
    assert len(lanes) == 0
    assert lanes.busy == 0


def test_a_newcomer_does_not_overtake_a_row_that_is_still_being_stored() -> None:
    lanes = Lanes[Row](Shelf().load)
    assert lanes.offer(A)
    assert not lanes.offer(A)
    lanes.stored(A, 1, Row(1), claimed=True)
    lanes.release(A)
    assert not lanes.offer(A), "row 2 is on its way to the disk"
    lanes.stored(A, 2, Row(2), claimed=False)
    lanes.stored(A, 3, Row(3), claimed=False)
    assert taken(lanes) == (A, 2)
    lanes.release(A)
    assert taken(lanes) == (A, 3)


def test_newcomers_join_what_is_out_and_the_lane_goes_on_when_all_are_back() -> None:
    lanes = Lanes[Row](Shelf().load)
    assert not lanes.join(A), "nothing is out"
    assert lanes.offer(A)
    assert lanes.join(A), "beside a row that is being stored as claimed"
    lanes.stored(A, 1, Row(1), claimed=True)
    lanes.stored(A, 2, Row(2), claimed=True)
    assert lanes.join(A)
    lanes.failed(A, claimed=True)
    store(lanes, A, 3)
    assert not lanes.join(A), "something waits before it"
    lanes.release(A, 1)
    assert taken(lanes) is None
    lanes.release(A, 2)
    assert taken(lanes) == (A, 3)


def test_rows_that_joined_and_failed_wait_in_their_order_and_no_shorter_than_the_longest() -> None:
    lanes = Lanes[Row](Shelf().load)
    store(lanes, A, 1)
    assert lanes.join(A)
    lanes.stored(A, 2, Row(2), claimed=True)
    lanes.requeue(A, Row(2), not_before=9.0)
    assert not lanes.join(A), "what failed waits before it"
    assert taken(lanes, now=10.0) is None, "the first one is still out"
    lanes.requeue(A, Row(1), not_before=20.0)
    assert taken(lanes, now=19.0) is None
    assert taken(lanes, now=20.0) == (A, 1)
    lanes.release(A)
    assert taken(lanes, now=20.0) == (A, 2)
    assert not lanes.join(B)
    store(lanes, B, 3)
    assert lanes.join(B)
    lanes.stored(B, 4, Row(4), claimed=True)
    lanes.requeue(B, Row(3), not_before=40.0)
    lanes.requeue(B, Row(4), not_before=30.0)
    assert taken(lanes, now=39.0) is None, "row 4 does not cut the sleep of row 3 short"
    assert taken(lanes, now=40.0) == (B, 3)


def test_a_newcomer_does_not_overtake_a_row_that_waits_or_sleeps() -> None:
    lanes = Lanes[Row](Shelf().load)
    store(lanes, A, 1)
    store(lanes, A, 2)
    lanes.release(A)
    assert not lanes.offer(A)
    lanes.failed(A, claimed=False)
    assert taken(lanes) == (A, 2)
    lanes.requeue(A, Row(2), not_before=10.0)
    assert not lanes.offer(A)


def test_lanes_take_turns_in_the_order_they_became_ready() -> None:
    lanes = Lanes[Row](Shelf().load)
    for lane in (A, B, C):
        lanes.announce(lane)
        lanes.announce(lane)
    for n, lane in enumerate((B, A, C, A, B, C), 1):
        lanes.stored(lane, n, Row(n), claimed=False)
    order = []
    while (got := taken(lanes)) is not None:
        order.append(got)
        lanes.release(got[0])
    assert order == [(B, 1), (A, 2), (C, 3), (B, 5), (A, 4), (C, 6)]


def test_a_failed_row_leaves_its_lane_to_the_others() -> None:
    lanes = Lanes[Row](Shelf().load)
    assert lanes.offer(A)
    assert not lanes.offer(A)
    lanes.stored(A, 2, Row(2), claimed=False)
    assert taken(lanes) is None
    lanes.failed(A, claimed=True)
    assert taken(lanes) == (A, 2)
    lanes.release(A)
    assert len(lanes) == 0


def test_a_requeued_head_stays_the_head_and_its_lane_sleeps() -> None:
    lanes = Lanes[Row](Shelf().load)
    store(lanes, A, 1)
    store(lanes, A, 2)
    lanes.requeue(A, Row(1), not_before=10.0)
    assert lanes.next_due() == 10.0
    assert taken(lanes, 9.9) is None
    assert taken(lanes, 10.0) == (A, 1)
    assert lanes.next_due() is None
    lanes.requeue(A, Row(1), not_before=20.0)
    lanes.wake(A)
    assert lanes.next_due() is None
    assert taken(lanes, 10.0) == (A, 1)
    lanes.release(A)
    assert taken(lanes, 10.0) == (A, 2)


def test_wake_wakes_everybody_in_the_order_they_would_have_woken() -> None:
    lanes = Lanes[Row](Shelf().load)
    for n, (lane, due) in enumerate(((A, 30.0), (B, 10.0), (C, 20.0)), 1):
        store(lanes, lane, n)
        lanes.requeue(lane, Row(n), due)
    lanes.wake()
    assert [taken(lanes), taken(lanes), taken(lanes), taken(lanes)] == [(B, 2), (C, 3), (A, 1), None]


def test_hydrated_rows_are_loaded_page_by_page_when_it_is_their_turn() -> None:
    shelf = Shelf({A: list(range(1, 8))})
    lanes = Lanes[Row](shelf.load, page=3)
    lanes.hydrate(A, 1, 7)
    assert (shelf.loads, lanes.depth) == (0, 0)
    assert not lanes.offer(A)
    shelf.rows[A].append(8)
    lanes.stored(A, 8, Row(8), claimed=False)
    order = []
    while (got := taken(lanes)) is not None:
        order.append(got[1])
        assert lanes.depth <= 3
        lanes.release(A)
    assert order == list(range(1, 9))
    assert len(lanes) == 0


def test_a_lane_keeps_one_page_in_memory() -> None:
    shelf = Shelf({A: []})
    lanes = Lanes[Row](shelf.load, page=3)
    for n in range(1, 101):
        shelf.rows[A].append(n)
        store(lanes, A, n)
    assert lanes.depth == 3
    for n in range(2, 101):
        lanes.release(A)
        assert taken(lanes) == (A, n)


def test_a_page_leaves_out_what_is_about_to_be_announced() -> None:
    shelf = Shelf({A: [1, 2, 3]})
    lanes = Lanes[Row](shelf.load)
    lanes.hydrate(A, 1, 2)
    assert not lanes.offer(A)
    assert taken(lanes) == (A, 1)
    lanes.stored(A, 3, Row(3), claimed=False)
    lanes.release(A)
    assert taken(lanes) == (A, 2)
    lanes.release(A)
    assert taken(lanes) == (A, 3)
    lanes.release(A)
    assert taken(lanes) is None


def test_an_old_row_that_gets_its_turn_late_goes_before_newer_ones() -> None:
    lanes = Lanes[Row](Shelf().load)
    for n in (1, 5, 6):
        store(lanes, A, n)
    store(lanes, A, 3)
    store(lanes, A, 3)
    order = []
    for _ in range(3):
        lanes.release(A)
        got = taken(lanes)
        assert got is not None
        order.append(got[1])
    assert order == [3, 5, 6]


def test_a_revived_row_is_taken_even_where_nothing_else_is() -> None:
    lanes = Lanes[Row](Shelf().load)
    lanes.add(A, 4, Row(4))
    assert not lanes.is_idle(A)
    assert taken(lanes) == (A, 4)
    lanes.release(A)
    assert lanes.is_idle(A)


def test_rows_that_were_dropped_in_the_store_are_no_obstacle() -> None:
    lanes = Lanes[Row](Shelf().load)
    lanes.hydrate(A, 1, 100)
    assert taken(lanes) is None
    assert len(lanes) == 0


def test_a_lane_whose_page_cannot_be_read_keeps_its_place() -> None:
    shelf = Shelf({A: [1], B: [2]})

    def broken(lane: Key, after_id: int, limit: int) -> list[Row]:
        raise OSError

    lanes = Lanes[Row](broken)
    lanes.hydrate(A, 1, 1)
    with pytest.raises(OSError):
        lanes.take(0.0)
    lanes._load = shelf.load
    assert taken(lanes) == (A, 1)


# --- the machine -----------------------------------------------------------------------------------------------

PAGE = 3
KEYS = st.sampled_from([A, B, C])


class Model(RuleBasedStateMachine):
    """A store with commits that lag, a worker with claims that are guarded, and `Lanes` between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.next_id = 1
        self.waiting: dict[Key, set[int]] = {A: set(), B: set(), C: set()}  # as the store has them, committed
        self.told: dict[Key, set[int]] = {A: set(), B: set(), C: set()}  # of those, what `Lanes` knows
        self.turnless: dict[Key, list[int]] = {A: [], B: [], C: []}
        self.storing: deque[tuple[Key, bool, int | None]] = deque()  # lane, claimed, row if it exists already
        self.committed: deque[tuple[Key, bool, int | None]] = deque()  # not told yet; None: it failed
        self.out: dict[Key, set[int]] = {A: set(), B: set(), C: set()}
        self.asleep: dict[Key, float] = {}
        self.done: list[int] = []
        self.late: set[int] = set()
        self.back = 0  # rows that joined and wait again, in front of a page
        self.ghosts: dict[Key, set[int]] = {A: set(), B: set(), C: set()}  # dropped, and `Lanes` does not know
        self.lanes = Lanes[Row](self.load, page=PAGE)

    def load(self, lane: Key, after_id: int, limit: int) -> list[Row]:
        return [Row(n) for n in sorted(self.waiting[lane]) if n > after_id][:limit]

    @initialize(rows=st.lists(KEYS, max_size=20))
    def start(self, rows: list[Key]) -> None:
        for lane in rows:
            self.waiting[lane].add(self.next_id)
            self.told[lane].add(self.next_id)
            self.next_id += 1
        for lane, ids in self.waiting.items():
            if ids:
                self.lanes.hydrate(lane, min(ids), max(ids))

    def _claiming(self, lane: Key) -> int:
        """Claimed newcomers that are not on disk yet, as far as `Lanes` knows."""
        return sum(key == lane and claimed for key, claimed, _ in [*self.storing, *self.committed])

    def _offer(self, lane: Key, row: int | None) -> None:
        nothing = not (self.told[lane] or self.out[lane] or any(key == lane for key, _, _ in self.storing))
        nothing = nothing and not any(key == lane for key, _, _ in self.committed)
        claimed = self.lanes.offer(lane)
        assert nothing or not claimed, "a newcomer overtakes what waits, runs or is being stored"
        assert claimed or not nothing or self.ghosts[lane], "an idle empty lane was not given away"
        self.storing.append((lane, claimed, row))

    @rule(lane=KEYS)
    def join(self, lane: Key) -> None:
        """A newcomer is let in beside what is out, where nothing else waits."""
        waits = bool(self.told[lane]) or any(
            key == lane and not claimed for key, claimed, _ in [*self.storing, *self.committed]
        )
        is_out = bool(self.out[lane] or self._claiming(lane))
        joined = self.lanes.join(lane)
        assert not joined or (is_out and not waits), "it would overtake what waits, or joins nothing"
        assert joined or waits or not is_out or self.ghosts[lane], "nothing was in its way"
        if joined:
            self.storing.append((lane, True, None))

    @rule(lane=KEYS)
    def arrive(self, lane: Key) -> None:
        self._offer(lane, None)

    @rule(lane=KEYS)
    def arrive_without_a_turn(self, lane: Key) -> None:
        self.turnless[lane].append(self.next_id)
        self.next_id += 1

    @precondition(lambda self: any(self.turnless.values()))
    @rule(data=st.data())
    def ask_for_a_turn_late(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([key for key, ids in self.turnless.items() if ids]))
        self._offer(lane, self.turnless[lane].pop(data.draw(st.integers(0, len(self.turnless[lane]) - 1))))

    @precondition(lambda self: self.storing)
    @rule(count=st.integers(1, 5), fails=st.booleans())
    def commit(self, count: int, *, fails: bool) -> None:
        for _ in range(min(count, len(self.storing))):
            lane, claimed, row = self.storing.popleft()
            if fails:
                self.committed.append((lane, claimed, None))
                continue
            if row is None:
                row = self.next_id
                self.next_id += 1
            else:
                self.late.add(row)
            if not claimed:
                self.waiting[lane].add(row)
            self.committed.append((lane, claimed, row))

    @precondition(lambda self: self.committed)
    @rule(count=st.integers(1, 5))
    def tell(self, count: int) -> None:
        for _ in range(min(count, len(self.committed))):
            lane, claimed, row = self.committed.popleft()
            if row is None:
                self.lanes.failed(lane, claimed)
                continue
            self.lanes.stored(lane, row, Row(row), claimed)
            if claimed:
                self.out[lane].add(row)
            elif row in self.waiting[lane]:
                self.told[lane].add(row)

    @rule()
    def take(self) -> None:
        got = self.lanes.take(self.now)
        free = [key for key in self.told if not (self.out[key] or self._claiming(key))]
        ready = [key for key in free if self.told[key] and self._awake(key)]
        if got is None:
            assert not ready, f"{ready} could have been taken"
            return
        lane, row, item = got
        assert item.id == row
        assert lane in free, "a lane runs one row at a time, but for those that joined"
        assert self._awake(lane)
        self.asleep.pop(lane, None)
        if row not in self.waiting[lane]:  # the claim finds that it was dropped, or done before it was announced
            assert row in self.late or row not in self.done, f"row {row} was handed out twice"
            self.ghosts[lane].discard(row)
            self.lanes.release(lane, row)
            return
        assert row <= min(self.told[lane], default=row), "the order of a lane is that of its rows"
        self.waiting[lane].remove(row)
        self.told[lane].discard(row)
        self.out[lane].add(row)

    def _awake(self, lane: Key) -> bool:
        return self.asleep.get(lane, 0.0) <= self.now

    @precondition(lambda self: any(self.out.values()))
    @rule(data=st.data(), again=st.booleans(), delay=st.integers(0, 3))
    def end(self, data: st.DataObject, delay: int, *, again: bool) -> None:
        lane, row = data.draw(st.sampled_from([(key, row) for key, rows in self.out.items() for row in sorted(rows)]))
        self.out[lane].remove(row)
        if again:
            self.back += 1
            self.waiting[lane].add(row)
            self.told[lane].add(row)
            self.asleep[lane] = max(self.asleep.get(lane, 0.0), self.now + delay)
            self.lanes.requeue(lane, Row(row), self.now + delay)
        else:
            self.done.append(row)
            self.lanes.release(lane, row)

    @precondition(lambda self: any(self.told.values()))
    @rule(data=st.data())
    def drop_by_hand(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([key for key, ids in self.told.items() if ids]))
        row = data.draw(st.sampled_from(sorted(self.told[lane])))
        self.waiting[lane].discard(row)
        self.told[lane].discard(row)
        self.ghosts[lane].add(row)

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def wake(self) -> None:
        self.lanes.wake()
        self.asleep.clear()

    @invariant()
    def counts_hold(self) -> None:
        assert self.lanes.busy == sum(len(rows) + self._claiming(lane) for lane, rows in self.out.items())
        assert self.lanes.storing == len(self.storing) + len(self.committed)
        assert self.lanes.depth <= 3 * PAGE + len(self.late) + self.lanes.busy + self.back
        assert len(self.done) == len(set(self.done)), "nothing twice"

    def teardown(self) -> None:
        while self.storing:
            self.commit(5, fails=False)
        self.lanes.wake()
        self.asleep.clear()
        self.now += 100
        for _ in range(10_000):
            while self.committed:
                self.tell(5)
            self.take()
            for lane, rows in self.out.items():
                for row in rows:
                    self.done.append(row)
                    self.lanes.release(lane, row)
                rows.clear()
            if not any(self.waiting.values()) and len(self.lanes) == 0:
                break
        assert not any(self.waiting.values()), "nothing is lost"
        assert len(self.lanes) == 0, "and nothing is remembered of lanes that are done"
        assert len(self.done) == len(set(self.done)), "nothing twice"


Model.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase
