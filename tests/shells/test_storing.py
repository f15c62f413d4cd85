"""What the real connection, door and store do with frames: each one is stored exactly once, whatever fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from buoy.protocol import wire
from buoy.protocol.session import Trouble
from buoy.protocol.wire import Op
from tests import clock
from tests.shells.between import Poisoned, Stalled
from tests.shells.rig import Disk, Rig, full_disk, rig

if TYPE_CHECKING:
    from pathlib import Path


async def burst(r: Rig, count: int, label: str = "m") -> list[str]:
    """Messages that arrive one by one, each in a commit of its own."""
    said = []
    for n in range(count):
        said.append(r.network.say(f"{label}{n}", user=n % 7))
        for _ in range(6):
            await asyncio.sleep(0)
    return said


# --- replays and holes ----------------------------------------------------------------------------------------------


def test_frames_that_come_again_after_resume_are_stored_once() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            said = await burst(r, 20)
            await asyncio.sleep(1)
            session = r.network.world.sessions.of()[0]
            r.network.cut()
            await r.until(lambda: len(r.network.sockets) == 2, 10)
            await r.live(10)
            for _, frame in session.buffer:  # more than we asked for
                r.network.push(frame)
            r.network.world.faults.add("duplicate_events")
            said += await burst(r, 5, "twice")
            await asyncio.sleep(1)
            assert r.rows() == said
            assert r.cursor[1] == session.s
            assert len(r.network.sockets) == 2

    clock.run(main())


class Gate:
    """A disk whose next commit of a message, once it is shut, waits and then fails; anything else goes through."""

    def __init__(self) -> None:
        self.is_shut = False
        self._rows = 0
        self.reached, self.opened = threading.Event(), threading.Event()

    def commit(self, db: sqlite3.Connection) -> None:
        before, self._rows = self._rows, db.execute("SELECT count(*) FROM inbox").fetchone()[0]
        if self.is_shut and self._rows > before:
            self.is_shut, self._rows = False, before
            self.reached.set()
            self.opened.wait(10)
            raise full_disk()
        db.execute("COMMIT")


@pytest.mark.parametrize("dies", [False, True])
def test_a_commit_that_fails_inside_a_burst_leaves_a_hole_that_the_cursor_does_not_pass(
    tmp_path: Path,
    dies: bool,  # noqa: FBT001
) -> None:
    async def main() -> None:
        gate = Gate()
        async with rig(path=tmp_path, commit=gate.commit) as r:
            r.start()
            await r.live()
            said = await burst(r, 5)
            await r.until(lambda: r.cursor[1] == 6)
            session, before = r.cursor
            gate.is_shut = True
            said.append(r.network.say("in the commit that fails"))
            while not gate.reached.is_set():
                await asyncio.sleep(0)
            said += [r.network.say(f"in the commit after it {n}") for n in range(5)]
            while r.connection._keeper.unstored < 6:
                await asyncio.sleep(0)
            gate.opened.set()
            if dies:
                while r.connection._keeper.unstored:
                    await asyncio.sleep(0)
                await r.end()
                assert r.cursor == (session, before)
                assert len(r.rows()) == 5
                r.start()
            await r.until(lambda: len(r.rows()) == len(said), 30)
            await r.live()
            await asyncio.sleep(1)
            assert [(d["session_id"], d["seq"]) for d in r.network.frames(Op.RESUME)] == [(session, before)]
            assert r.rows() == said
            assert r.cursor == (session, r.network.world.sessions.of()[0].s)
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())


def test_a_hole_is_never_passed_even_by_a_disk_that_fails_now_and_then() -> None:
    async def main() -> None:
        commits, is_flaky = 0, True
        passed: list[int] = []

        def commit(db: sqlite3.Connection) -> None:
            nonlocal commits
            commits += 1
            if is_flaky and commits > 20 and commits % 7 in {0, 1}:
                raise full_disk()
            db.execute("COMMIT")
            rows = {seq for (seq,) in db.execute("SELECT seq FROM inbox WHERE seq IS NOT NULL")}
            for session in r.network.world.sessions.of():
                (stored,) = db.execute("SELECT max(stored) FROM cursor").fetchone()
                passed.extend(seq for seq, _ in session.buffer if seq <= (stored or 0) and seq not in rows)

        async with rig(commit=commit) as r:
            r.start()
            await r.live()
            said: list[str] = []
            for _ in range(60):
                said += await burst(r, 3, f"m{len(said)}")
                await asyncio.sleep(0.5)
            await r.until(lambda: len(r.rows()) == len(said), 1800)
            await r.live()
            assert sorted(r.rows()) == sorted(said)
            assert passed == []
            assert len(r.network.frames(Op.RESUME)) > 3
            assert (r.identifies, r.gaps) == (1, [])
            is_flaky = False
            await asyncio.sleep(5)  # turns that could not be ended are ended now

    clock.run(main())


def test_ready_that_cannot_be_stored_costs_a_reconnect_and_no_session() -> None:
    async def main() -> None:
        disk = Disk()
        async with rig(commit=disk.commit) as r:
            r.network.on_send = lambda frame: setattr(disk, "is_full", frame.op == Op.IDENTIFY or disk.is_full)
            r.start()
            await r.until(lambda: disk.refused > 1, 30)
            assert not r.connection.state.connected
            assert r.connection.state.cause is Trouble.STORE
            disk.is_full = False
            await r.live(30)
            said = await burst(r, 3)
            assert r.rows() == said
            assert r.identifies == 1
            assert r.cursor[0] == r.network.world.sessions.of()[0].id

    clock.run(main())


# --- what cannot be understood --------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True])
def test_a_frame_whose_row_cannot_be_stored_is_stored_raw(together: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        async with rig(wrap=Poisoned) as r:
            r.start()
            await r.live()
            before = r.network.say("fine")
            await asyncio.sleep(0.1)
            if together:  # all in one commit
                for text in ("one", "poison", "two"):
                    r.network.say(text)
            else:
                await burst(r, 1, "one")
                await burst(r, 1, "poison")
                await burst(r, 1, "two")
            await asyncio.sleep(120)
            frames = r.ask("SELECT type, frame, seq, reason FROM inbox WHERE seq > 2 ORDER BY seq")
            assert [kind for kind, *_ in frames] == ["C2C_MESSAGE_CREATE", "?", "C2C_MESSAGE_CREATE"]
            assert b"poison" in frames[1][1]
            assert "not understood" in frames[1][3]
            assert r.rows()[0] == before
            assert r.cursor[1] == 5
            assert len(r.network.sockets) == 1
            r.network.cut()
            await asyncio.sleep(30)
            assert len(r.ask("SELECT 1 FROM inbox WHERE type = '?'")) == 1
            assert len(r.network.sockets) == 2

    clock.run(main())


DEEP = b'{"id":"deep","author":{"user_openid":"U"},"content":"x","extra":%s}' % (b"[" * 10_000 + b"]" * 10_000)
BIG = b'{"id":"big","author":{"user_openid":"U"},"content":"%s"}' % (b"a" * 1_000_000)


def _dispatch(seq: bytes, d: bytes, kind: bytes = b'"C2C_MESSAGE_CREATE"') -> bytes:
    return b'{"op":0,"s":%s,"t":%s,"d":%s}' % (seq, kind, d)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe not json",
        b"",
        b"[]",
        b'{"op":"zero"}',
        b"[" * 10_000 + b"]" * 10_000,
        b'{"op":0}',
        b'{"op":0,"t":5,"s":"x","d":[]}',
        b'{"op":0,"t":"C2C_MESSAGE_CREATE","d":null}',
        b'{"op":0,"t":"C2C_MESSAGE_CREATE","d":{"author":7,"id":{"a":1}}}',
        _dispatch(b"3", DEEP),
        _dispatch(b"3", BIG),
        _dispatch(b"3", b'{"id":"\\ud800","author":{"user_openid":"\\udfff"},"content":"\\ud800"}'),
        _dispatch(b"3", b'{"id":"x"}', b'"SOMETHING_NEW"'),
        _dispatch(b"0", b"{}"),
        _dispatch(b"-4", b"{}"),
        _dispatch(b"9007199254740993", b"{}"),
        _dispatch(b"99999999999999999999999", b"{}"),
        _dispatch(b"3.5", b"{}"),
        _dispatch(b"true", b"{}"),
    ],
    ids=lambda raw: raw[:24].decode(errors="replace"),
)
def test_whatever_arrives_is_stored_raw_and_nothing_reconnects(raw: bytes) -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            first = r.network.say("before")
            await asyncio.sleep(1)
            rows = r.ask("SELECT count(*) FROM inbox")[0][0]
            r.network.push(raw)
            await asyncio.sleep(1)
            r.network.push(raw)
            await asyncio.sleep(1)
            stored = r.ask("SELECT frame, seq FROM inbox ORDER BY id LIMIT -1 OFFSET ?", rows)
            assert [frame for frame, _ in stored] in ([raw], [raw, raw])
            known = raw.startswith(b'{"op":0,"s":3,')
            assert all(seq == (3 if known else None) for _, seq in stored)
            assert len(stored) == (1 if known else 2)
            session = r.network.world.sessions.of()[0]
            session.s = 3
            last = r.network.say("after")
            await asyncio.sleep(60)
            assert r.cursor == (session.id, 4)
            assert [key for key in r.rows() if key in {first, last}] == [first, last]
            assert r.connection.state.connected
            assert len(r.network.sockets) == 1
            assert r.connection.state.garbage == 2 * isinstance(wire.decode(raw), wire.Unreadable)

    clock.run(main())


def test_frames_that_mean_nothing_here_are_ignored() -> None:
    async def main() -> None:
        async with rig() as r:
            r.start()
            await r.live()
            rows = r.ask("SELECT count(*) FROM inbox")
            for raw in (b'{"op":99}', b'{"op":11,"d":{}}', b'{"op":10,"d":7}', b'{"op":12,"d":0}'):
                r.network.push(raw)
            await asyncio.sleep(100)
            assert r.ask("SELECT count(*) FROM inbox") == rows
            assert len(r.network.sockets) == 1
            assert r.connection.state.connected

    clock.run(main())


# --- a slow disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stall_s", [30, 900])
def test_a_disk_that_stalls_stops_reading_at_1000_frames_and_loses_nothing(stall_s: float) -> None:
    async def main() -> None:
        async with rig(wrap=Stalled, resume_s=3600.0, resume_buffer=5000) as r:
            r.start()
            await r.live()
            door = r.connection._intake
            assert isinstance(door, Stalled)
            await asyncio.sleep(40)
            door.is_stalled = True
            beats = len(r.network.times(Op.HEARTBEAT))
            said = [r.network.say(f"m{n}", user=n) for n in range(1500)]
            await asyncio.sleep(stall_s)
            assert len(r.network.times(Op.HEARTBEAT)) > beats
            assert r.connection._keeper.unstored == 1000
            assert r.rows() == []
            door.go_on()
            await r.until(lambda: len(r.rows()) == len(said), 120)
            await r.live()
            assert r.rows() == said
            assert (r.identifies, r.gaps) == (1, [])

    clock.run(main())


def test_while_the_disk_stalls_it_says_so_instead_of_connecting() -> None:
    async def main() -> None:
        async with rig(wrap=Stalled, resume_s=3600.0, resume_buffer=5000) as r:
            r.start()
            await r.live()
            door = r.connection._intake
            assert isinstance(door, Stalled)
            door.is_stalled = True
            for n in range(1500):
                r.network.say(f"m{n}")
            await asyncio.sleep(300)
            health = r.connection.health()
            assert "1000 frames still wait for the disk" in health["reason"]
            assert health["unstored"] == 1000
            assert len(r.network.opened) == 1
            door.go_on()
            await r.live()

    clock.run(main())
