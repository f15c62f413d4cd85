"""Buoy as a library: gateways in a caller's own loop, against the simulated platform on real sockets."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import pytest

import buoy
from buoy import QQ, Agent, Gateway, Message, Reply
from buoy.durable.store import Store
from buoy.errors import BusyError, ConfigError, NotRunningError, StoreError, StoreLostError
from buoy.faces import control
from buoy.faces.ending import FILE
from buoy.letters import LetterState
from buoy.settings import Outbox, Turns
from buoy.sim.simulator import DEFAULT_BOT, Sim
from tests.rules.running import Disk, echo

SECOND = ("102000002", "SIMSECRETSIMSECRET02")

pytestmark = pytest.mark.usefixtures("quiet")


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run


def bot(sim: Sim, which: tuple[str, str] = DEFAULT_BOT) -> QQ:
    return QQ(*which, api_base=sim.api_base)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def up(gateway: Gateway) -> None:
    await until(lambda: gateway.status()["state"] == "up")


async def answers(sim: Sim, *texts: str) -> None:
    await until(lambda: sorted(sent.text for sent in sim.delivered) == sorted(texts))


def how_it_ended(directory: Path) -> tuple[int, str]:
    told = json.loads((directory / FILE).read_text())
    return told["code"], told["why"]


# --- at work -----------------------------------------------------------------------------------------------


@in_loop
async def test_it_answers_and_sends(tmp_path: Path) -> None:
    async with Sim() as sim, Gateway(bot(sim), echo, data_dir=tmp_path) as gateway:
        await up(gateway)
        await sim.say("hello")
        await answers(sim, "hello")
        target = f"qq:c2c:{sim.meet()}"
        receipt = await gateway.send(target, "a word of our own", key="once")
        again = await gateway.send(target, Reply("a word of our own"), key="once")
        assert again.id == receipt.id
        await answers(sim, "hello", "a word of our own")


@in_loop
async def test_commands_reach_it_and_its_end_is_written_down(tmp_path: Path) -> None:
    async with Sim() as sim:
        async with Gateway(bot(sim), echo, data_dir=tmp_path) as gateway:
            await up(gateway)
            told = await asyncio.to_thread(control.ask, tmp_path, "status")
            assert told is not None
            assert told["pid"] == os.getpid()
            told = await asyncio.to_thread(control.ask, tmp_path, "send", target=f"qq:c2c:{sim.meet()}", text="hi")
            await answers(sim, "hi")
        assert control.ask(tmp_path, "status") is None
        assert how_it_ended(tmp_path) == (0, "stopped in good order")


@in_loop
async def test_several_live_in_one_loop(tmp_path: Path) -> None:
    async def shout(message: Message) -> AsyncIterator[str]:
        yield message.text.upper()

    async with (
        Sim() as one,
        Sim() as two,
        Gateway(bot(one), echo, data_dir=tmp_path / "1") as first,
        Gateway(bot(two), Agent(shout), data_dir=tmp_path / "2") as second,
    ):
        for sim, gateway in ((one, first), (two, second)):
            await up(gateway)
            await sim.say("hello")
        await answers(one, "hello")
        await answers(two, "HELLO")


@in_loop
async def test_several_bots_have_agents_of_their_own(tmp_path: Path) -> None:
    async def other(_: Message) -> str:
        return "the other"

    async with Sim(bots=[DEFAULT_BOT, SECOND]) as sim:
        both = [bot(sim), bot(sim, SECOND)]
        async with Gateway(both, {DEFAULT_BOT[0]: echo, SECOND[0]: other}, data_dir=tmp_path) as gateway:
            await up(gateway)
            await sim.say("one", bot=DEFAULT_BOT[0])
            await sim.say("two", bot=SECOND[0])
            await answers(sim, "one", "the other")


def test_they_live_in_threads_with_loops_of_their_own(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    async def live(folder: Path) -> None:
        async with Sim() as sim, Gateway(bot(sim), echo, data_dir=folder) as gateway:
            await up(gateway)
            texts = [f"message {n}" for n in range(20)]
            for text in texts:
                await sim.say(text)
            await answers(sim, *texts)

    def run(folder: Path) -> None:
        try:
            asyncio.run(live(folder))
        except BaseException as error:  # pytest sees none of another thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(tmp_path / str(n),)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@in_loop
async def test_on_state_is_told_and_may_fail(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []

    def on_state(*news: str) -> None:
        told.append((news[0], news[1], news[2]))
        raise ValueError("the caller's")

    async with Sim() as sim, Gateway(bot(sim), echo, data_dir=tmp_path, on_state=on_state) as gateway:
        await up(gateway)
        await sim.network("down")
        await until(lambda: told[-1][1] == "down")
        await sim.network("up")
        await until(lambda: told[-1] == (DEFAULT_BOT[0], "up", ""))


@in_loop
async def test_it_says_what_a_conversation_holds(tmp_path: Path) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    turns: list[str] = []

    async def slow(message: Message) -> str:
        turns.append(message.turn)
        began.set()
        await go_on.wait()
        return f"to {message.text}"

    async with Sim() as sim, Gateway(bot(sim), slow, data_dir=tmp_path) as gateway:
        await up(gateway)
        place = f"qq:c2c:{sim.meet()}"
        await sim.say("one")
        await began.wait()
        assert [turn.turn for turn in gateway.open_turns(place)] == turns
        assert gateway.letters(place) == []
        go_on.set()
        await answers(sim, "to one")
        await gateway.send(place, "more")
        await answers(sim, "to one", "more")
        await until(lambda: {letter.state for letter in gateway.letters(place)} == {LetterState.SENT})
        first, second = gateway.letters(place)
        assert (first.text, first.turn, second.text, second.turn) == ("to one", turns[0], "more", "")
        assert gateway.letters(place, since=second.at) == [second]
        assert await gateway.settled(second.id, 1.0) == second
        assert await gateway.settled(999, 0.0) is None
        assert gateway.is_way_free()
        assert gateway.letters("qq:c2c:NOBODY") == []
        await until(lambda: gateway.open_turns(place) == [])


# --- life --------------------------------------------------------------------------------------------------


@in_loop
async def test_it_starts_again_and_finds_what_it_left(tmp_path: Path) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path)
        said: list[str] = []
        for n in range(2):
            await gateway.start()
            await up(gateway)
            said.append(f"message {n}")
            await sim.say(said[-1])
            await answers(sim, *said)
            await gateway.stop()
        await gateway.wait_closed()


@in_loop
async def test_stop_comes_from_anywhere_any_number_of_times(tmp_path: Path) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path)
        await gateway.stop()
        await gateway.start()
        assert gateway.is_running
        waiting = asyncio.ensure_future(gateway.wait_closed())
        first = asyncio.ensure_future(gateway.stop())
        await asyncio.sleep(0)
        first.cancel()  # who stopped waiting does not keep it from ending
        await asyncio.gather(gateway.stop(), gateway.stop(), waiting)
        assert not gateway.is_running
        with pytest.raises(NotRunningError, match="start it first"):
            gateway.status()
        await gateway.stop()
        await gateway.start()
        await gateway.stop()


LEFT = """
import asyncio, sys
from buoy import QQ, Gateway
from buoy.errors import NotRunningError

async def echo(message): return message.text

def made(): return Gateway(QQ("101", "secret", api_base="http://127.0.0.1:9"), echo, data_dir=sys.argv[1])

async def run():
    await left.start()
    await asyncio.sleep(0.2)

async def run_again():
    assert not left.is_running
    try:
        left.status()
    except NotRunningError:
        print("left")
    await left.wait_closed()
    if sys.argv[2] != "start":
        await left.stop()
    async with made() if sys.argv[2] == "another one" else left as gateway:
        print("running", gateway.is_running)

left = made()
asyncio.run(run())
asyncio.run(run_again())
"""


@pytest.mark.parametrize("then", ["start", "stop", "another one"])
def test_a_loop_that_was_closed_without_a_stop_keeps_nothing(tmp_path: Path, then: str) -> None:
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LEFT, str(tmp_path), then],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (told.returncode, told.stdout.split("\n")) == (0, ["left", "running True", ""]), told.stderr


@in_loop
async def test_a_stop_ends_a_start_under_way(tmp_path: Path) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path)
        starting = asyncio.ensure_future(gateway.start())
        await asyncio.sleep(0)
        await gateway.stop()
        with pytest.raises(NotRunningError, match="while it started"):
            await starting
        starting = asyncio.ensure_future(gateway.start())
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        async with gateway:  # nothing was left behind
            await up(gateway)


@in_loop
async def test_a_start_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path)
        (tmp_path / "buoy.db").write_bytes(b"no database" * 1000)
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot be read"):
                await gateway.start()
        assert how_it_ended(tmp_path)[0] == StoreError.exit_code
        (tmp_path / "buoy.db").unlink()
        (tmp_path / control.ADDRESS).mkdir()
        with pytest.raises(StoreError, match="cannot write"):
            await gateway.start()
        (tmp_path / control.ADDRESS).rmdir()
        async with gateway:
            await up(gateway)


@in_loop
async def test_stop_is_bounded_while_an_agent_hangs(tmp_path: Path) -> None:
    began, is_over = asyncio.Event(), False

    async def stubborn(_: Message) -> None:
        began.set()
        while not is_over:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if is_over:
                    raise

    async with Sim() as sim:
        gateway = Gateway(bot(sim), stubborn, data_dir=tmp_path, deadline_s=0.5)
        await gateway.start()
        await up(gateway)
        await sim.say("hello")
        await began.wait()
        clock = asyncio.get_running_loop().time
        before = clock()
        await gateway.stop()
        assert clock() - before < 1.0
        is_over = True
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


@in_loop
async def test_what_is_in_use_is_refused_and_its_owner_lives_on(tmp_path: Path) -> None:
    async with Sim() as sim, Gateway(bot(sim), echo, data_dir=tmp_path) as gateway:
        with pytest.raises(BusyError, match=DEFAULT_BOT[0]):
            await Gateway(bot(sim), echo, data_dir=tmp_path / "other").start()
        async with Sim() as another:
            late = Gateway(bot(another), echo, data_dir=tmp_path)
            with pytest.raises(BusyError, match="in use"):
                await late.start()
            await late.stop()
        with pytest.raises(BusyError, match="runs already"):
            await gateway.start()
        assert not (tmp_path / FILE).exists()  # nobody's end was written down in the owner's name
        await up(gateway)


# --- a store that is lost ----------------------------------------------------------------------------------


class Broken(Disk):
    """A disk that may break for good, besides what else may happen to one."""

    is_broken = False

    def __call__(self, db: sqlite3.Connection) -> None:
        if self.is_broken:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        super().__call__(db)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Broken:
    commit, opened = Broken(), Store.open
    monkeypatch.setattr(Store, "open", lambda *args, **kwargs: opened(*args, **kwargs, commit=commit))
    return commit


@in_loop
async def test_a_lost_store_stops_it_and_whoever_waits_is_told(tmp_path: Path, disk: Broken) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path)
        await gateway.start()
        await up(gateway)
        waiting = asyncio.ensure_future(gateway.wait_closed())
        disk.is_broken = True
        await sim.say("hello")
        with pytest.raises(StoreLostError, match="I/O"):
            await waiting
        with pytest.raises(StoreLostError, match="I/O"):
            await gateway.wait_closed()
        with pytest.raises(NotRunningError):
            await gateway.send("qq:c2c:A", "x")
        assert how_it_ended(tmp_path)[0] == StoreLostError.exit_code
        disk.is_broken = False
        async with gateway:
            await answers(sim, "hello")
        await gateway.wait_closed()


@in_loop
async def test_a_lost_store_cuts_the_body_off(tmp_path: Path, disk: Broken) -> None:
    async with Sim() as sim:
        with pytest.raises(StoreLostError, match="I/O"):
            async with Gateway(bot(sim), echo, data_dir=tmp_path) as gateway:
                await up(gateway)
                disk.is_broken = True
                await sim.say("hello")
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


@in_loop
async def test_a_cancellation_from_outside_stays_one(tmp_path: Path, disk: Broken) -> None:
    async with Sim() as sim:
        inside = asyncio.Event()

        async def body() -> None:
            async with Gateway(bot(sim), echo, data_dir=tmp_path) as gateway:
                await up(gateway)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(body())
        await inside.wait()
        disk.is_broken = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@in_loop
async def test_a_disk_that_hangs_keeps_the_directory_no_longer_than_it_hangs(tmp_path: Path, disk: Broken) -> None:
    async with Sim() as sim:
        gateway = Gateway(bot(sim), echo, data_dir=tmp_path, deadline_s=0.5)
        await gateway.start()
        await up(gateway)
        hangs = threading.Event()

        def hang(_: sqlite3.Connection) -> bool:
            hangs.set()
            return True

        disk.holds = hang
        await sim.say("hello")
        await asyncio.to_thread(hangs.wait)
        await gateway.stop()
        with pytest.raises(BusyError, match=f"in use .pid {os.getpid()}"):
            await gateway.start()
        disk.holds = lambda _: False
        disk.go_on.set()
        async with asyncio.timeout(10):
            while not gateway.is_running:
                await asyncio.sleep(0.01)
                with suppress(BusyError):
                    await gateway.start()
        await answers(sim, "hello")
        await gateway.stop()


@in_loop
async def test_a_start_that_hangs_in_the_disk_ends_with_a_stop_in_time(tmp_path: Path, disk: Broken) -> None:
    gateway = Gateway(QQ("1", "s", api_base="http://127.0.0.1:9"), echo, data_dir=tmp_path, deadline_s=0.5)
    hangs = threading.Event()

    def hang(_: sqlite3.Connection) -> bool:
        hangs.set()
        return True

    disk.holds = hang
    starting = asyncio.ensure_future(gateway.start())
    await asyncio.to_thread(hangs.wait)
    clock = asyncio.get_running_loop().time
    before = clock()
    await gateway.stop()
    async with asyncio.timeout_at(before + 1.0):
        with pytest.raises(NotRunningError, match="while it started"):
            await starting
    disk.go_on.set()


# --- what is given -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("", "s"), "QQ(app_id=...): "),
        ((7, "s"), "QQ(app_id=...): expected text, got int; write the bot's AppID"),
        (("1", ""), "QQ(client_secret=...): empty; write the bot's AppSecret"),
        (("1", "s", {"api_base": "http://example.com"}), "QQ(api_base=...): 'http://example.com' has no TLS"),
        (("1", "s", {"api_base": []}), "QQ(api_base=...): empty"),
        (("1", "s", {"intents": ["NONE"]}), "QQ(intents=...): 'NONE' is none of"),
        (("1", "s", {"shard": (2, 2)}), "QQ(shard=...): [2, 2] is no shard"),
        (("1", "s", {"proactive": ["moon"]}), "QQ(proactive=...): invalid enum value 'moon'"),
        (("1", "s", {"expect_event_h": -1}), "QQ(expect_event_h=...): "),
    ],
)
def test_a_bot_that_cannot_be_is_refused_in_one_line(arguments: tuple[Any, ...], named: str) -> None:
    *given, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(ConfigError) as caught:
        QQ(*given, **options)
    assert str(caught.value).startswith(named)
    assert "bots[" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"bots": []}, "Gateway(bots=...): empty; write QQ(app_id, client_secret)"),
        ({"bots": [QQ("1", "s"), QQ("1", "s")]}, "Gateway(bots=...): bot 1 is there twice"),
        ({"agent": {"2": echo}}, "Gateway(agent=...): no agent for bot 1"),
        ({"agent": {"1": echo, "2": echo}}, "Gateway(agent=...): there is no bot '2'"),
        ({"agent": lambda message: message.text}, "Gateway(agent=...): <lambda> is not an async function"),
        ({"turns": Turns(timeout_s=0)}, "Gateway(turns=Turns(timeout_s=...)): expected float > 0"),
        ({"outbox": Outbox(language="de")}, "Gateway(outbox=Outbox(language=...)): invalid enum value 'de'"),  # type: ignore[arg-type]
        ({"deadline_s": 0}, "Gateway(deadline_s=...): expected float >= 0.1; write seconds from 0.1 to 600"),
    ],
)
def test_a_gateway_that_cannot_be_is_refused_in_one_line(arguments: dict[str, Any], named: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"bots": QQ("1", "s"), "agent": echo, "data_dir": tmp_path / "d"} | arguments
    with pytest.raises(ConfigError) as caught:
        Gateway(**given)
    assert str(caught.value).startswith(named)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d").exists()


def test_a_bot_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"QQ_APP_ID": "7", "QQ_CLIENT_SECRET": "a secret", "QQ_API_BASE": "http://127.0.0.1:1", "BUOY_AGENT": "?"}
    assert QQ.from_env(told).settings == QQ("7", "a secret", api_base="http://127.0.0.1:1").settings
    assert "secret" not in repr(QQ.from_env(told))
    monkeypatch.setenv("QQBOT_APP_ID", "8")
    monkeypatch.setenv("QQBOT_CLIENT_SECRET", "s")
    assert QQ.from_env().settings.app_id == "8"
    with pytest.raises(ConfigError, match=r"^QQ_CLIENT_SECRET: missing; set it to the bot's AppSecret$"):
        QQ.from_env({"QQ_APP_ID": "7"})


def test_nothing_of_the_environment_is_read_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"QQ_APP_ID": "8", "BUOY_DATA_DIR": "/elsewhere", "BUOY_SHUTDOWN_S": "nonsense"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "buoy.toml").write_text("nonsense")
    monkeypatch.chdir(tmp_path)
    one = QQ("7", "s")
    assert one.settings.app_id == "7"
    assert Gateway(one, echo, data_dir="here").data_dir == tmp_path / "here"


if TYPE_CHECKING:  # mypy would complain of a comment that is not needed

    async def types() -> None:
        Gateway(QQ("1", "s"), "no agent", data_dir=".")  # type: ignore[arg-type]
        Gateway(QQ("1", "s"), echo)  # type: ignore[call-arg]
        QQ("1", 2)  # type: ignore[arg-type]
        QQ("1", "s", proactive=["moon"])  # type: ignore[list-item]
        QQ("1", "s", intent=3)  # type: ignore[call-arg]
        async with Gateway([QQ("1", "s")], {"1": echo}, data_dir=".", on_state=print) as gateway:
            assert_type(gateway, Gateway)
            assert_type(gateway.status()["ready"], bool)
            assert_type((await gateway.send("qq:c2c:A", "x")).id, int)
            await gateway.send("qq:c2c:A", 5)  # type: ignore[arg-type]


# --- the process is somebody else's ------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, timeout=60, capture_output=True, text=True
    )


def test_importing_buoy_costs_nothing() -> None:
    python(
        "import sys, buoy\n"
        "assert not {'aiohttp', 'msgspec', 'structlog', 'sqlite3', 'asyncio'} & set(sys.modules)\n"
        "buoy.Message\n"
        "assert not {'aiohttp', 'msgspec', 'structlog', 'sqlite3'} & set(sys.modules)\n"
        "buoy.Gateway\n"
        "assert 'typer' not in sys.modules and 'buoy.sim' not in sys.modules\n"
    )


def test_every_name_is_there() -> None:
    assert [name for name in buoy.__all__ if not hasattr(buoy, name)] == []
    assert set(buoy.__all__) <= set(dir(buoy))
    with pytest.raises(AttributeError, match="nonsense"):
        buoy.nonsense  # type: ignore[attr-defined]  # noqa: B018  the look-up is what is tested


def test_the_process_stays_as_it_was(tmp_path: Path) -> None:
    """No signal is taken, no log is configured, nothing is tuned, and standard output is the program's own."""
    done = python(
        "import asyncio, gc, logging, signal, sys, threading, structlog\n"
        "from buoy import QQ, Gateway\n"
        "def seen(): return (signal.getsignal(15), signal.getsignal(2), signal.set_wakeup_fd(-1), gc.get_threshold(),\n"
        "    gc.get_freeze_count(), sys.getswitchinterval(), logging.getLogger().handlers, structlog.is_configured(),\n"
        "    logging.getLogger('buoy').handlers, logging.getLogger('buoy').level)\n"
        "async def answer(message): return message.text\n"
        "async def main():\n"
        "    before = seen()\n"
        "    bot = QQ('1', 'a secret', api_base='http://127.0.0.1:9')\n"
        f"    async with Gateway(bot, answer, data_dir={str(tmp_path)!r}) as gateway:\n"
        "        assert (await gateway.send('qq:c2c:A', 'hello')).state == 'queued'\n"
        "        assert 'buoy-watch' not in [thread.name for thread in threading.enumerate()]\n"
        "    assert seen() == before, (seen(), before)\n"
        "async def running():\n"
        "    await main()\n"
        "    assert asyncio.all_tasks() == {asyncio.current_task()}\n"
        "with asyncio.Runner() as runner: runner.run(running())\n"
    )
    assert done.stdout == ""
    assert "secret" not in done.stderr
