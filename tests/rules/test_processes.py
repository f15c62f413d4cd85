"""The rules in detail, "Processes": one test for each clause, in the order of the rules.

Two gateways on one directory or one AppID: tests/system/test_life.py. Schedules do not exist yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from buoy.config import Config, load
from buoy.durable import schema
from buoy.durable.lock import lock_directory, lock_machine
from buoy.durable.store import Store
from buoy.errors import (
    EXIT_BUSY,
    EXIT_OK,
    EXIT_QUEUED,
    EXIT_REFUSED,
    EXIT_STORE,
    EXIT_USAGE,
    BusyError,
    NotStoredError,
    StoreError,
)
from buoy.faces import main as face
from buoy.faces import wiring
from buoy.faces.status import EXIT_NOT_RUNNING
from tests.rules.running import APP_ID, SECRET, Buoy, prepared
from tests.system.processes import Buoy as Process
from tests.system.processes import Platform, platform, wait_until

DAY_S = 86_400.0
EXIT_UNSURE = 70


@pytest.fixture(scope="module")
def judge() -> Iterator[Platform]:
    with platform() as one:
        yield one


@pytest.fixture
def faults(judge: Platform) -> Iterator[Callable[..., None]]:
    def add(kind: str, **fields: Any) -> None:
        judge.ask("POST", "/faults", kind=kind, **fields)

    yield add
    judge.ask("DELETE", "/faults")


class Command:
    """The `buoy` command in this process: the same words, exit code and output, without a second's start."""

    def __init__(self, judge: Platform, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.judge = judge
        self.directory = directory
        self.out = self.err = ""
        self._capsys = capsys

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "QQ_APP_ID": APP_ID, "QQ_CLIENT_SECRET": SECRET, "QQ_API_BASE": self.judge.api_base,
            "BUOY_DATA_DIR": str(self.directory), **more,
        }  # fmt: skip

    def __call__(self, *words: str, **environ: str) -> int:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ(**environ).items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["buoy", *words])
            with pytest.raises(SystemExit) as ended:
                face.main()
        self.out, self.err = self._capsys.readouterr()
        return int(ended.value.code or 0)

    def target(self, user: int = 0) -> str:
        return f"qq:c2c:{self.judge.ask('POST', '/meet', scene='c2c', which=user)['target']}"

    def sends(self) -> int:
        return int(self.judge.state()["counters"].get("requests_send", 0))

    def texts(self) -> list[str]:
        return [one["text"] for one in self.judge.ask("GET", "/log")]

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.directory / 'buoy.db'}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()


@pytest.fixture
def command(judge: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(judge, tmp_path / "data", capsys)


# --- locks -------------------------------------------------------------------------------------------------


def test_send_needs_the_lock_of_the_directory_and_not_that_of_the_bot(command: Command) -> None:
    lock = lock_machine(f"{command.judge.api_base} {APP_ID}", "in use by {holder}")
    try:
        assert Process(command.directory, command.judge.api_base).command("run").returncode == EXIT_BUSY
        assert command("send", command.target(), "beside a gateway") == EXIT_OK
    finally:
        lock.release()
    directory = lock_directory(command.directory)
    try:
        assert command("send", command.target(), "not now") == EXIT_BUSY
        assert "data_dir" in command.err
    finally:
        directory.release()


def test_the_lock_of_a_bot_is_for_one_host_and_one_app_id(command: Command) -> None:
    def settings(**more: str) -> Config:
        return load(None, command.environ(**more))

    with wiring.sockets_locked(settings()):
        for other in (settings(QQ_API_BASE="http://127.0.0.1:1"), settings(QQ_APP_ID="102000009")):
            with wiring.sockets_locked(other):
                pass
        elsewhere = settings(BUOY_DATA_DIR=str(command.directory / "another"))
        with pytest.raises(BusyError, match=APP_ID), wiring.sockets_locked(elsewhere):
            pass


# --- who reads and who writes ------------------------------------------------------------------------------

READING = (
    ("status", "--json"),
    ("inbox", "list"),
    ("outbox", "list"),
    ("deadletter", "list"),
    ("outbox", "show", "out/1"),
    ("trace", "out/1"),
)


def state_of(directory: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in directory.iterdir()
        if not file.name.endswith("-shm") and file.stat().st_size  # readers leave their marks there
    }


def test_reading_commands_take_no_lock_and_write_nothing(command: Command) -> None:
    assert command("send", command.target(), "something to read") == EXIT_OK
    before = state_of(command.directory)
    boot = command.rows("SELECT value FROM meta WHERE key = 'boot'")
    lock = lock_directory(command.directory)
    try:
        held = state_of(command.directory)
        for words in READING:
            assert command(*words) in {EXIT_OK, EXIT_NOT_RUNNING}, (words, command.err)
            assert command.out
            after = {name: value for name, value in state_of(command.directory).items() if not name.endswith("-wal")}
            assert after == {name: value for name, value in held.items() if not name.endswith("-wal")}, words
    finally:
        lock.release()
    assert before["buoy.db"] == held["buoy.db"]
    assert command.rows("SELECT value FROM meta WHERE key = 'boot'") == boot


def test_writing_commands_take_the_lock_where_it_is_free(command: Command, faults: Callable[..., None]) -> None:
    faults("error_code", code=11255, endpoint="send", count=1)
    assert command("send", command.target(), "refused") == EXIT_REFUSED
    assert command("deadletter", "retry", "out/1") == EXIT_OK
    assert command.rows("SELECT state FROM outbox") == [("queued",)]
    assert command("outbox", "drop", "out/1") == EXIT_OK
    assert command.rows("SELECT state FROM outbox") == [("dropped",)]


def test_only_the_owner_of_the_lock_writes(command: Command, faults: Callable[..., None]) -> None:
    faults("error_code", code=11255, endpoint="send", count=1)
    assert command("send", command.target(), "refused") == EXIT_REFUSED
    before = state_of(command.directory)
    lock = lock_directory(command.directory)
    try:
        held = state_of(command.directory)
        for words in (("send", command.target(), "x"), ("deadletter", "retry", "out/1"), ("outbox", "drop", "out/1")):
            assert command(*words) == EXIT_BUSY, words
            assert state_of(command.directory) == held, words
    finally:
        lock.release()
    assert before["buoy.db"] == held["buoy.db"]


def test_writing_commands_go_through_the_control_socket_of_the_gateway_that_has_the_lock(
    command: Command, faults: Callable[..., None]
) -> None:
    """Its address lies in the data directory; no status page is served."""
    process = Process(command.directory, command.judge.api_base, BUOY_LISTEN="off")
    try:
        process.start()
        assert (command.directory / "control.json").exists()
        assert stat.S_IMODE((command.directory / "control.json").stat().st_mode) == 0o600
        boot = command.rows("SELECT value FROM meta WHERE key = 'boot'")
        assert command("send", command.target(1), "through the socket", "--key", "s1") == EXIT_OK
        faults("error_code", code=11255, endpoint="send", count=1)
        assert command("send", command.target(1), "refused once", "--key", "s2") == EXIT_REFUSED
        (row,) = command.rows("SELECT id FROM outbox WHERE key = 'send/s2'")
        assert command("deadletter", "retry", f"out/{row[0]}") == EXIT_OK
        wait_until(lambda: "refused once" in command.texts(), "the running gateway sends it")
        assert command("outbox", "drop", "out/1") == EXIT_USAGE, "it was sent"
        assert command.rows("SELECT value FROM meta WHERE key = 'boot'") == boot, "nobody else opened the store"
        process.terminate()
        assert not (command.directory / "control.json").exists()
    finally:
        process.close()


def test_queued_means_committed(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await sim.network("down")
            assert await buoy.send(f"qq:c2c:{sim.meet()}", "hello") == "queued"
            assert [row["key"] for row in buoy.letters("hello")] == ["send/hello"]
            await buoy.crash()
            await sim.network("up")
            await buoy.start(live=False)
            await sim.until(lambda: len(sim.delivered) == 1)

    asyncio.run(run())


def test_what_cannot_be_committed_in_100_ms_is_not_stored_and_never_sent(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            buoy.disk.holds = lambda _: True
            clock = asyncio.get_running_loop().time
            target = f"qq:c2c:{sim.meet()}"
            for text in ("the disk hangs", "behind it"):
                began = clock()
                with pytest.raises(NotStoredError, match="not stored"):
                    await buoy.app.send(target, text)
                assert clock() - began < 0.2
            buoy.disk.holds = lambda _: False
            buoy.disk.go_on.set()
            await buoy.send(target, "afterwards")
            await sim.until(lambda: len(sim.delivered) == 1)
            await buoy.settled()
            assert [message.text for message in sim.delivered] == ["afterwards"]
            buoy.disk.refuses = lambda _: True
            with pytest.raises(NotStoredError, match="not stored"):
                await buoy.app.send(target, "the disk is full")
            buoy.disk.refuses = lambda _: False

    asyncio.run(run())


# --- buoy send without a gateway ---------------------------------------------------------------------------

NOT_SENT: dict[str, tuple[dict[str, Any], int]] = {
    "queued": ({"kind": "http_status", "status": 429}, EXIT_QUEUED),
    "held": ({"kind": "error_code", "code": 40034102}, EXIT_QUEUED),
    "unsure": ({"kind": "accept_then_reset"}, EXIT_UNSURE),
    "refused": ({"kind": "error_code", "code": 11255}, EXIT_REFUSED),
}


@pytest.mark.parametrize(("fault", "code"), NOT_SENT.values(), ids=NOT_SENT)
def test_send_without_a_gateway_tries_once_and_its_exit_code_says_what_became_of_it(
    command: Command, faults: Callable[..., None], fault: dict[str, Any], code: int
) -> None:
    target, before = command.target(), command.sends()
    assert command("send", target, "hello") == EXIT_OK
    assert command.sends() - before == 1
    faults(**fault, endpoint="send")
    attempts = command.rows("SELECT sum(attempts) FROM outbox")[0][0]
    assert command("send", target, "and again") == code, command.err
    assert command.rows("SELECT sum(attempts) FROM outbox")[0][0] - attempts == 1, "once"


def test_send_without_a_way_is_queued(command: Command) -> None:
    assert command("send", command.target(), "hello", QQ_API_BASE="http://127.0.0.1:9") == EXIT_QUEUED
    assert command.rows("SELECT state FROM outbox") == [("queued",)]


def test_bad_usage_of_send_is_exit_code_2(command: Command) -> None:
    for words in (
        ("send", "no target", "hello"), ("send", "qq:c2c:", "hello"), ("send", "qq:moon:1", "hello"), ("send",),
        ("send", command.target(), " "), ("send", command.target() + "@102000009", "hello"),
    ):  # fmt: skip
        assert command(*words) == EXIT_USAGE, words
        assert command.err
    assert command("send", command.target(), "hello", QQ_CLIENT_SECRET="") == EXIT_USAGE


def test_a_key_makes_a_callers_retry_the_same_letter_whatever_became_of_it(
    command: Command, faults: Callable[..., None]
) -> None:
    target = command.target()
    faults("http_status", status=429, endpoint="send", count=1)
    assert command("send", target, "the same one", "--key", "k") == EXIT_QUEUED
    wait_until(lambda: command("send", target, "the same one", "--key", "k") == EXIT_OK, "its next try is due")
    assert command("send", target, "the same one", "--key", "k") == EXIT_OK
    assert command.texts().count("the same one") == 1
    assert command.rows("SELECT key FROM outbox") == [("send/k",)]
    assert command("send", target, "the same one", "--key", "other") == EXIT_OK
    assert command.texts().count("the same one") == 2


# --- the data directory ------------------------------------------------------------------------------------


def test_the_data_directory_is_the_users_own_and_private_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    environ = {"QQ_APP_ID": APP_ID, "QQ_CLIENT_SECRET": SECRET}
    directory = load(None, environ | {"HOME": str(tmp_path)}).data_dir
    assert directory.is_relative_to(tmp_path)
    assert directory.name == "buoy"

    async def run() -> None:
        store = Store.open(directory, now=0.0)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}
        await store.close(3.0)

    asyncio.run(run())


async def _restarted(buoy: Buoy) -> None:
    """Start anew: housekeeping is the first thing it does."""
    await buoy.stop()
    await buoy.start(live=False)
    before = buoy.app.store.stats.jobs
    await buoy.sim.until(lambda: buoy.app.store.stats.jobs >= before + 3)
    await buoy.settled()


def test_bodies_are_pruned_after_thirty_days_and_dedupe_keys_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            message = await sim.say("hello")
            await buoy.answered(message)
            await buoy.settled()
            sim.clock.advance(29 * DAY_S)
            await _restarted(buoy)
            assert buoy.event(message)["frame"] is not None
            sim.clock.advance(2 * DAY_S)
            await _restarted(buoy)
            await sim.until(lambda: buoy.event(message)["frame"] is None)
            assert [row["body"] for row in buoy.letters()] == [None]
            await sim.until(lambda: buoy.is_live)
            await sim.say("once more", message_id=message)
            await buoy.answered(await sim.say("another"))
            await buoy.settled()
            assert len(sim.replies(message)) == 1, "its key is still known"
            sim.clock.advance(60 * DAY_S)
            await _restarted(buoy)
            await sim.until(lambda: not buoy.event(message))

    asyncio.run(run())


def test_an_older_schema_is_migrated_after_a_backup_and_a_newer_one_is_refused_untouched(tmp_path: Path) -> None:
    """A Buoy of the next release opens what this one has left, and then this one is started again."""

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            await buoy.answered(await sim.say("hello"))
            await buoy.stop()
            lock = lock_directory(buoy.directory)
            for db in schema.open_file(buoy.directory, (*schema.STEPS, "CREATE TABLE more (x)")):
                db.close()
            lock.release()
            old = len(schema.STEPS)
            assert [row["user_version"] for row in buoy.rows("PRAGMA user_version")] == [old + 1]
            assert [row["key"] for row in buoy.rows("SELECT key FROM inbox WHERE state = 'done'")]
            with closing(sqlite3.connect(buoy.directory / f"buoy.db.v{old}.bak")) as backup:
                assert backup.execute("PRAGMA user_version").fetchone() == (old,)
                assert backup.execute("SELECT count(*) FROM inbox WHERE state = 'done'").fetchone() == (1,)
            before = (buoy.directory / "buoy.db").read_bytes()
            with pytest.raises(StoreError, match=rf"schema {old + 1} and this Buoy knows {old}.*newer Buoy"):
                await buoy.start()
            assert StoreError.exit_code == EXIT_STORE
            assert (buoy.directory / "buoy.db").read_bytes() == before

    asyncio.run(run())
