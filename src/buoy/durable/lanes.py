"""The order of conversations, in memory: which rows may be claimed now. The store is the log, this its index.

A lane is one conversation of one bot. Its rows are handled one after the other in the order of their ids;
lanes take turns. A lane is *busy* while its head is out, *asleep* until the head may be tried again, *ready*
when the head can be taken. Rows that are still being stored count: without that, a newcomer could overtake
them. A newcomer may `join` what is out where nothing else waits: the lane is busy then until all of them are back.

A lane keeps at most one page of rows; beyond that it only knows that more rows wait in the store, up to
`last`, and loads the next page when it gets there::

    id:   ... 7 | 8 9 10 | 11 ... 40 |
          taken | loaded | in store  |   seen = 10, last = 40; seen == last: everything is loaded
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Final, Generic, Protocol, TypeVar

PAGE: Final = 64
FIRST_PAGE: Final = 4  # after a start with a full inbox every lane loads one: small, then four times as much each

Key = tuple[str, str]
"""Bot and conversation."""


class HasId(Protocol):
    """What a lane orders: a row of the inbox or of the outbox."""

    id: int


T = TypeVar("T", bound=HasId)
Load = Callable[[Key, int, int], Sequence[T]]
"""``load(lane, after_id, limit)``: the next waiting rows of a lane from the store, in order of their ids."""


class _Lane(Generic[T]):
    """One conversation."""

    __slots__ = ("claiming", "is_ready", "last", "out", "page", "rows", "seen", "storing", "wakes_at")

    def __init__(self) -> None:
        self.rows: deque[tuple[int, T]] = deque()
        self.out: set[int] = set()  # the head, and those that joined it
        self.claiming = 0  # of those being stored: they are out from the moment in which they were announced
        self.seen = 0  # the highest id that was loaded or taken
        self.last = 0  # the highest id that is known to be stored
        self.storing = 0  # rows announced and not on disk yet
        self.page = FIRST_PAGE  # rows to load next time
        self.is_ready = False  # in the queue of ready lanes
        self.wakes_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Its head is out."""
        return bool(self.out or self.claiming)

    @property
    def is_empty(self) -> bool:
        """Nothing waits: neither loaded nor in the store."""
        return not self.rows and self.last <= self.seen


class Lanes(Generic[T]):
    """All lanes, and whose turn it is: in the order in which they became ready."""

    def __init__(self, load: Load[T], page: int = PAGE) -> None:
        self._load = load
        self._page = page
        self._lanes: dict[Key, _Lane[T]] = {}
        self._ready: deque[Key] = deque()
        self._asleep: list[tuple[float, int, Key]] = []  # a heap; entries that no longer hold are skipped
        self._count = 0
        self.depth = 0
        """Rows in memory that wait."""
        self.busy = 0
        """Rows that are out."""

    def __len__(self) -> int:
        """Count the lanes in which something waits, runs or is being stored."""
        return len(self._lanes)

    # --- rows come in ---

    def offer(self, lane: Key) -> bool:
        """Announce a row that is about to be stored.

        True: the lane was idle and empty, and is busy now on behalf of the caller, who may store the row
        already claimed. False: store it as waiting. Either way `stored` or `failed` must follow.
        """
        it = self._lane(lane)
        it.storing += 1
        if it.is_busy or it.storing > 1 or not it.is_empty:  # a lane that sleeps is not empty
            return False
        it.claiming += 1
        self.busy += 1
        return True

    def join(self, lane: Key) -> bool:
        """Announce a row that is to be out beside the head, and may be stored already claimed, as after `offer`.

        False: nothing of the lane is out, or something waits before it; the row is not announced.
        """
        it = self._lanes.get(lane)
        if it is None or not it.is_busy or not it.is_empty or it.storing > it.claiming:
            return False
        it.storing += 1
        it.claiming += 1
        self.busy += 1
        return True

    def announce(self, lane: Key) -> None:
        """Announce a row that will be stored as waiting, even where the lane is idle."""
        self._lane(lane).storing += 1

    def stored(self, lane: Key, row: int, item: T, claimed: bool) -> None:  # noqa: FBT001
        """The announced row is on disk; ``claimed``: `offer` or `join` was True and the row was stored as claimed."""
        it = self._lanes[lane]
        it.storing -= 1
        if claimed:
            it.claiming -= 1
            it.out.add(row)
            it.seen = max(it.seen, row)
            it.last = max(it.last, row)
        else:
            self._add(lane, it, row, item)

    def failed(self, lane: Key, claimed: bool) -> None:  # noqa: FBT001
        """The announced row was not stored, or gets no turn (a duplicate); ``claimed``: what `offer` said."""
        it = self._lanes[lane]
        it.storing -= 1
        if claimed:
            it.claiming -= 1
            self.busy -= 1
        self._go_on(lane, it)

    def add(self, lane: Key, row: int, item: T) -> None:
        """A row waits in the store that was not announced: somebody revived it."""
        self._add(lane, self._lane(lane), row, item)

    def hydrate(self, lane: Key, first_id: int, last_id: int) -> None:
        """Know of a lane's rows in the store without loading them; once a lane, before any offer."""
        it = self._lane(lane)
        it.seen = first_id - 1
        it.last = last_id
        self._go_on(lane, it)

    # --- rows go out ---

    def take(self, now: float) -> tuple[Key, int, T] | None:
        """Take the head of the lane whose turn it is; the lane is busy until `release` or `requeue`."""
        while self._asleep and self._asleep[0][0] <= now:
            due, _, lane = heappop(self._asleep)
            it = self._lanes.get(lane)
            if it is not None and it.wakes_at == due:
                it.wakes_at = None
                self._go_on(lane, it)
        while self._ready:
            lane = self._ready.popleft()
            it = self._lanes[lane]
            it.is_ready = False
            if not it.rows:
                try:
                    self._load_page(lane, it)
                except BaseException:
                    self._go_on(lane, it)  # it keeps its place among those that wait
                    raise
            if not it.rows:  # somebody dropped what was stored
                self._go_on(lane, it)
                continue
            row, item = it.rows.popleft()
            self.depth -= 1
            it.out.add(row)
            self.busy += 1
            return lane, row, item
        return None

    def release(self, lane: Key, row: int | None = None) -> None:
        """The head is done with, or the row that joined it: the next one may be taken, once all are back.

        ``row`` None: the only one that is out.
        """
        it = self._lanes[lane]
        self._back(it, next(iter(it.out)) if row is None else row)
        self._go_on(lane, it)

    def requeue(self, lane: Key, item: T, not_before: float) -> None:
        """The head stays the head, and its lane sleeps until ``not_before``; one that joined waits in its place."""
        it = self._lanes[lane]
        it.rows.insert(_place(it.rows, item.id), (item.id, item))  # before it only what got its turn late
        self.depth += 1
        self._back(it, item.id)
        it.wakes_at = not_before if it.wakes_at is None else max(it.wakes_at, not_before)
        self._count += 1
        heappush(self._asleep, (it.wakes_at, self._count, lane))

    def wake(self, lane: Key | None = None) -> None:
        """End the sleep of one lane, or of all: something changed."""
        for key in [lane] if lane is not None else [key for _, _, key in sorted(self._asleep)]:
            it = self._lanes.get(key)
            if it is not None and it.wakes_at is not None:
                it.wakes_at = None
                self._go_on(key, it)

    def next_due(self) -> float | None:
        """When the next lane wakes; None when none sleeps. Lanes that are ready do not count."""
        while self._asleep:
            due, _, lane = self._asleep[0]
            it = self._lanes.get(lane)
            if it is not None and it.wakes_at == due:
                return due
            heappop(self._asleep)
        return None

    @property
    def ready(self) -> int:
        """Lanes whose head can be taken."""
        return len(self._ready)

    @property
    def storing(self) -> int:
        """Rows announced and not on disk yet."""
        return sum(it.storing for it in self._lanes.values())

    def announced(self, lane: Key) -> int:
        """Count the rows of one lane that are still being stored."""
        return self._lanes[lane].storing if lane in self._lanes else 0

    def is_idle(self, lane: Key) -> bool:
        """Say whether nothing of the lane waits, runs or is being stored."""
        return lane not in self._lanes

    # --- inside ---

    def _lane(self, lane: Key) -> _Lane[T]:
        it = self._lanes.get(lane)
        if it is None:
            it = self._lanes[lane] = _Lane()
        return it

    def _back(self, it: _Lane[T], row: int) -> None:
        it.out.remove(row)
        self.busy -= 1

    def _add(self, lane: Key, it: _Lane[T], row: int, item: T) -> None:
        if row <= it.seen:  # an old row got its turn late: into its place among what is loaded
            place = _place(it.rows, row)
            known = row in it.out or (place < len(it.rows) and it.rows[place][0] == row)
            if not known:
                it.rows.insert(place, (row, item))
                self.depth += 1
        elif it.last > it.seen or len(it.rows) >= self._page:
            it.last = max(it.last, row)
        else:
            it.rows.append((row, item))
            it.seen = it.last = row
            self.depth += 1
        self._go_on(lane, it)

    def _load_page(self, lane: Key, it: _Lane[T]) -> None:
        """Load the next rows up to `last`; what is newer is about to be announced by `stored`."""
        limit = min(it.page, self._page)
        found = self._load(lane, it.seen, limit)
        it.page = limit * 4
        for item in found:
            if item.id <= it.last:
                it.rows.append((item.id, item))
        self.depth += len(it.rows)
        it.seen = it.rows[-1][0] if len(found) == limit and it.rows else it.last

    def _go_on(self, lane: Key, it: _Lane[T]) -> None:
        """Put a lane where it belongs after a change: ready, or forgotten when nothing of it is left."""
        if it.is_busy or it.is_ready or it.wakes_at is not None:
            return
        if not it.is_empty:
            it.is_ready = True
            self._ready.append(lane)
        elif it.storing == 0:
            del self._lanes[lane]


def _place(rows: deque[tuple[int, T]], row: int) -> int:
    """Where a row belongs among the loaded ones."""
    return bisect_left(rows, row, key=lambda pair: pair[0])
