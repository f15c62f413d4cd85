"""The console: each line is stored before the next is read, printed once, and never in the way of the end."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from buoy.chat import Button, Reply, Target
from buoy.errors import ConfigError, StoreError
from buoy.letters import Cause, End, Event, Failed, Letter, LetterState, Proactive, Sent
from buoy.platforms.console import LANE, Console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from buoy.letters import Arrival, Cursor


class Book:
    """An intake that writes down what it gets; the first ``refusals`` puts fail."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.rows: list[Arrival] = []

    def put(self, arrival: Arrival, *, opens_session: bool = False) -> asyncio.Future[Any]:
        job: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.refusals:
            self.refusals -= 1
            job.set_exception(StoreError("the disk is full"))
        else:
            self.rows.append(arrival)
            job.set_result(None)
        return job

    def cursor(self, bot: str, shard: int) -> Cursor | None:
        raise AssertionError("the console has no session")

    def record_identify(self, bot: str, shard: int) -> asyncio.Future[Any]:
        raise AssertionError

    def identifies(self, bot: str, since: float) -> int:
        raise AssertionError

    def unready(self, bot: str, shard: int, since: float) -> tuple[float, ...]:
        raise AssertionError

    def mark_whole(self, bot: str, shard: int, *, session: str, stored: int, at: float) -> None:
        raise AssertionError

    def changed(self, bot: str, shard: int, state: str, cause: str) -> None:
        raise AssertionError


def letter(text: str = "hi", **changes: Any) -> Letter:
    return Letter(5, "k/1", "console", LANE, text.encode(), LetterState.QUEUED, 0.0, **changes)


def read_all(text: str, book: Book) -> Console:
    """Let a console read a text to its end."""

    async def main() -> Console:
        ended = asyncio.Event()
        console = Console(source=io.StringIO(text), wall=lambda: 7.0, on_end=ended.set)
        service = asyncio.create_task(_run(console.services(book)["stdin"]))
        async with asyncio.timeout(10):
            await ended.wait()
        await console.close()
        await service
        return console

    return asyncio.run(main())


async def _run(service: Callable[[], Any]) -> None:
    await service()


def test_each_line_is_a_message_and_blank_ones_are_none() -> None:
    book = Book()
    console = read_all("one\n\n  \ntwo \n/stop\nlast without an end", book)
    told = [console.read(_event(row)) for row in book.rows]
    assert [message.text for message in told if message] == ["one", "two", "/stop", "last without an end"]
    assert [row.bypass for row in book.rows] == [False, False, True, False]
    assert len({row.key for row in book.rows}) == 4
    assert {(row.lane, row.turn, row.received_at) for row in book.rows} == {(LANE, True, 7.0)}
    assert not console.health()["connected"]


def _event(row: Arrival) -> Event:
    return Event(1, row.bot, row.lane or "", row.type, row.key, row.frame, None, row.event_at, row.received_at, 1)


def test_a_line_that_the_disk_refuses_is_stored_later_and_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buoy.platforms.console.STORE_RETRY_S", 0.0)
    book = Book(refusals=3)
    read_all("one\ntwo\n", book)
    assert [b"one" in row.frame for row in book.rows] == [True, False]


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, int]]:
    """A source that nobody writes to, and where to write."""
    reading, writing = os.pipe()
    source = os.fdopen(reading)
    yield source, writing
    os.close(writing)
    for thread in _readers():
        thread.join(10)
    source.close()


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stdin"]


def test_a_restarted_service_reads_on_with_the_line_it_waits_for(terminal: tuple[TextIO, int]) -> None:
    source, writing = terminal

    async def main() -> None:
        book, console = Book(), Console(source=source)
        for n in range(3):  # the later ones find a thread that still reads
            service = asyncio.create_task(_run(console.services(book)["stdin"]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(_readers()) == 1
            if n == 2:
                os.write(writing, b"hello\n")
                async with asyncio.timeout(10):
                    while not book.rows:
                        await asyncio.sleep(0)
            service.cancel()
            await asyncio.wait([service])

    asyncio.run(main())


def test_it_ends_although_nobody_presses_a_key(terminal: tuple[TextIO, int]) -> None:
    source, _ = terminal

    async def main() -> None:
        console = Console(source=source)
        service = asyncio.create_task(_run(console.services(Book())["stdin"]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await console.close()
        service.cancel()
        await asyncio.wait([service])

    asyncio.run(main())
    assert [thread.daemon for thread in _readers()] == [True]


def test_a_letter_is_printed_once() -> None:
    sink = io.StringIO()
    console = Console(source=io.StringIO(), sink=sink)
    assert console.plan(letter(), [], 0.0) == Proactive()
    assert asyncio.run(console.deliver(letter("你好"))) == Sent("5")
    assert sink.getvalue() == "你好\n"
    in_doubt = console.plan(_frozen(), [], 0.0)
    assert isinstance(in_doubt, End)
    assert in_doubt.state is LetterState.UNSURE


def test_buttons_are_numbered_lines_and_a_question_lists_its_own() -> None:
    rows = ((Button("Yes", "y"), Button("No", "n")), (Button("Later", "l"),))
    console = Console(source=io.StringIO())
    assert console.text_of(console.body(Reply("Go?", buttons=rows))) == "Go?\n1. Yes\n2. No\n3. Later"
    asked = "Go?\n\n1. Yes\n2. No\n3. Later"
    assert console.text_of(console.body(Reply(asked, buttons=rows))) == asked
    row = Event(1, "console", LANE, "line", "k", b'{"text":"1"}', None, 7.0, 7.0, 1)
    assert console.click(row) is None  # type: ignore[func-returns-value]
    assert not console.types(row)
    asyncio.run(console.typing(row, 1))


def _frozen() -> Letter:
    claimed = letter()
    claimed.state = LetterState.CLAIMED
    return claimed


def test_a_reader_that_is_gone_leaves_the_letter_in_doubt() -> None:
    sink = io.StringIO()
    sink.close()
    outcome = asyncio.run(Console(source=io.StringIO(), sink=sink).deliver(letter()))
    assert isinstance(outcome, Failed)
    assert outcome.cause is Cause.LOST


def test_there_is_one_target() -> None:
    console = Console(source=io.StringIO())
    console.check(Target.parse(LANE))
    with pytest.raises(ConfigError, match=LANE):
        console.check(Target.parse("console:local:you"))
    assert console.merge([letter("a"), letter("b")], 0.0) == [b"a\n\nb"]
