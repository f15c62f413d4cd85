"""Bad input of every kind: counted, kept, skipped; never a crash, a reconnect loop or a secret in the wrong place.

Wrong settings, and databases that are corrupted or newer: tests/system/test_life.py.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from buoy.chat import Agent, Message, Reply
from buoy.durable import trace
from buoy.durable.store import peek
from buoy.errors import EXIT_STORE, ConfigError
from buoy.gateway.worker import Turns
from buoy.sim.simulator import Sim
from tests.rules.running import SECRET, Buoy, prepared
from tests.system.processes import Buoy as Process
from tests.system.processes import platform, wait_until

MEGABYTE = 1 << 20


async def still_well(sim: Sim, buoy: Buoy, connects: int = 1) -> None:
    """The next message is answered, on the connection that it was all the time."""
    message = await sim.say("still there?", user=99)
    await buoy.answered(message)
    assert sim.world.counters["connects"] == connects
    assert buoy.app.supervisor.job_failures == 0
    assert all(not child.restarts for child in buoy.app.supervisor.children.values())


# --- frames ------------------------------------------------------------------------------------------------

UNREADABLE = {
    "no JSON": "{not json",
    "empty": "",
    "a number": "42",
    "a list": "[]",
    "no opcode": '{"d":1}',
    "an opcode that is a word": '{"op":"hello"}',
    "half": '{"op":0,"s":7,"t":"C2C_MESS',
    "10,000 brackets": "[" * 10_000 + "]" * 10_000,
    "10,000 open brackets": '{"op":0,"d":' + "[" * 10_000,
    "1 MB of nothing": "x" * MEGABYTE,
}


@pytest.mark.parametrize("frame", UNREADABLE.values(), ids=UNREADABLE)
def test_a_frame_that_cannot_be_decoded_is_counted_kept_raw_and_skipped(tmp_path: Path, frame: str) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            before = buoy.app.health()["inbox"]["frames"]
            buoy.inject(frame)
            await still_well(sim, buoy)
            (row,) = buoy.rows("SELECT * FROM inbox WHERE type = '?'")
            assert (row["frame"], row["state"]) == (frame.encode(), "stored")
            assert row["reason"]
            assert buoy.app.health()["inbox"]["frames"] == before + 2
            assert buoy.bot["unreadable"] == 1

    asyncio.run(run())


def test_an_unknown_opcode_is_skipped(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            for frame in ('{"op":99,"d":{}}', '{"op":-1}', '{"op":11,"d":[[]]}', '{"op":10}', '{"op":13,"d":"?"}'):
                buoy.inject(frame)
            await still_well(sim, buoy)

    asyncio.run(run())


WHO = {"user_openid": "A" * 32}
SURPRISING: dict[str, Any] = {
    "no body": None,
    "a text": "hello",
    "a list": [1, 2],
    "empty": {},
    "no id": {"author": WHO, "content": "hello"},
    "an id that is a number": {"id": 12345678901, "author": WHO, "content": "hello"},
    "an id that is a list": {"id": [1], "author": WHO, "content": "hello"},
    "an id of 100 kB": {"id": "i" * 100_000, "author": WHO, "content": "hello"},
    "no author": {"id": "m1", "content": "hello"},
    "an author that is a text": {"id": "m2", "author": "me", "content": "hello"},
    "an author without ids": {"id": "m3", "author": {}, "content": "hello"},
    "no content": {"id": "m4", "author": WHO},
    "content null": {"id": "m5", "author": WHO, "content": None},
    "content that is an object": {"id": "m6", "author": WHO, "content": {"text": "hello"}},
    "content of zero bytes and half surrogates": {"id": "m7", "author": WHO, "content": "\0\x1b[31m\u202e"},
    "times that are none": {"id": "m8", "author": WHO, "content": "a", "timestamp": {"at": 1}},
    "a time in the year 300000": {"id": "m9", "author": WHO, "content": "a", "timestamp": 10**13},
    "a time of 400 digits": {"id": "m10", "author": WHO, "content": "a", "timestamp": "9" * 400},
    "attachments that are none": {"id": "m11", "author": WHO, "content": "a", "attachments": {"url": 1}},
    "strange attachments": {"id": "m12", "author": WHO, "content": "a", "attachments": [1, None, {"size": "big"}]},
    "a strange scene": {"id": "m13", "author": WHO, "content": "a", "message_scene": [{"ext": 7}]},
    "strange elements": {"id": "m14", "author": WHO, "content": "a", "message_type": 103, "msg_elements": [3]},
    "strange mentions": {"id": "m15", "author": WHO, "content": "a", "mentions": [None, {"is_you": []}]},
}
KINDS = ("C2C_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE", "INTERACTION_CREATE", "FRIEND_ADD")


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_with_missing_or_surprising_fields_is_kept_and_harms_nobody(tmp_path: Path, kind: str) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", check_ids=False) as (sim, buoy):
            await buoy.start()
            for body in SURPRISING.values():
                extra = {"group_openid": "G" * 32, "channel_id": "10"} if isinstance(body, dict) else {}
                full = body | extra if isinstance(body, dict) else body
                seq = buoy.dispatch(f'"t":"{kind}","id":"e:{id(body)}","d":{json.dumps(full)}')
            await still_well(sim, buoy)
            assert buoy.cursor[1] > seq
            sequences = {row["seq"] for row in buoy.rows("SELECT seq FROM inbox")}
            duplicates = buoy.app.health()["inbox"]["duplicates"]
            assert len(sequences) + duplicates >= buoy.cursor[1], "each of them is a row, or was known"
            await buoy.settled()
            open_ = buoy.rows("SELECT * FROM inbox WHERE state IN ('waiting', 'running')")
            assert open_ == []

    asyncio.run(run())


# --- 1 MB --------------------------------------------------------------------------------------------------


def test_a_text_of_a_megabyte_comes_in_whole_and_its_echo_goes_out_as_a_file_with_nothing_dropped(
    tmp_path: Path,
) -> None:
    text = "".join(f"{n:07} " for n in range(MEGABYTE // 8))
    seen: list[int] = []

    async def answer(message: Message) -> str:
        seen.append(len(message.text))
        return message.text

    async def run() -> None:
        async with prepared(tmp_path / "data", answer) as (sim, buoy):
            await buoy.start()
            message = await sim.say(text)
            await buoy.answered(message, times=2)
            await still_well(sim, buoy)
            await buoy.settled()
            assert sim.replies(message)[1].file_text.split() == text.split(), "every word is in it"
            assert {row["state"] for row in buoy.letters()} == {"sent"}
            assert seen[0] == len(text.strip())

    asyncio.run(run())


def test_a_send_of_a_megabyte_is_refused_with_its_size(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            with pytest.raises(ConfigError, match="1048576 characters"):
                await buoy.app.send(f"qq:c2c:{sim.meet()}", "x" * MEGABYTE)
            await still_well(sim, buoy)

    asyncio.run(run())


def test_a_message_of_ten_thousand_brackets_is_answered_like_any_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", text_limit=30_000) as (sim, buoy):
            await buoy.start()
            message = await sim.say("[" * 5000 + "]" * 5000)
            deep = buoy.dispatch('"t":"SOMETHING_NEW","id":"deep:1","d":' + "[" * 10_000 + "]" * 10_000)
            await buoy.answered(message)
            await still_well(sim, buoy)
            (row,) = buoy.rows("SELECT * FROM inbox WHERE seq = ?", deep)
            assert row["frame"].count(b"[") == 10_000
            assert sum(reply.text.count("[") for reply in sim.replies(message)) == 5000

    asyncio.run(run())


# --- HTML --------------------------------------------------------------------------------------------------

PAGES: dict[str, dict[str, Any]] = {
    "the token": {"kind": "token_down"},
    "the gateway look-up, 502": {"kind": "http_status", "endpoint": "gateway", "status": 502, "body": "html"},
    "the gateway look-up, 200": {"kind": "http_status", "endpoint": "gateway", "status": 200, "body": "html"},
    "the upgrade": {"kind": "upgrade_status"},
}


@pytest.mark.parametrize("fault", PAGES.values(), ids=PAGES)
def test_html_in_place_of_an_answer_delays_the_connection_and_no_more(tmp_path: Path, fault: dict[str, Any]) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            sim.faults.add(**fault, count=1)
            await buoy.start(live=False)
            await sim.until(lambda: buoy.bot["phase"] == "waiting" and not sim.faults.active)
            assert buoy.bot["reason"], "the status says why"
            await sim.until(lambda: buoy.is_live)
            await still_well(sim, buoy)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "state"), [(200, "sent"), (400, "dead"), (404, "dead"), (413, "dead"), (502, "sent")]
)
@pytest.mark.parametrize("mode", ["before", "after"])
def test_html_in_answer_to_a_send_ends_in_one_copy_or_in_a_reason(
    tmp_path: Path, status: int, state: str, mode: str
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            sim.faults.add("http_status", endpoint="send", status=status, body="html", mode=mode, count=1)
            message = await sim.say("hello")
            assert await buoy.ends("hello") == state
            assert len(sim.replies(message)) == (state == "sent" or mode == "after")
            assert f"HTTP {status}" in buoy.letter("hello")["reason"] or state == "sent"
            await still_well(sim, buoy)

    asyncio.run(run())


# --- a full disk -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here: a full disk cannot be shown")
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost_once_there_is_space(small_disk: Path) -> None:
    with platform("--no-limits") as judge:
        process = Process(small_disk, judge.api_base)  # its log lies beside it, on another disk
        try:
            process.start()
            message = judge.say("before")
            wait_until(lambda: judge.answers(message), "the first answer")
            target = f"qq:c2c:{judge.answers(message)[0]['target']}"
            filler = small_disk / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass
            stored = process.status()["bots"][process.environ["QQ_APP_ID"]]["stored"]
            said = [judge.say(f"while it is full {n} " + "x" * 3000, user=n) for n in range(30)]
            wait_until(lambda: "disk is full" in process.log.read_text(), "the disk refuses")
            assert process.exit_code is None, "a full disk is no reason to die"
            refused = process.command("send", target, "y" * 3900, "--key", "k")
            assert (refused.returncode, "not stored" in refused.stderr) == (EXIT_STORE, True), refused.stderr
            reached = process.status()["bots"][process.environ["QQ_APP_ID"]]["stored"] or 0
            kept = sum(bool(judge.answers(one)) for one in said)
            assert reached - stored <= kept + 5, "what is not stored is not acknowledged"
            assert kept < len(said), "the disk was not full"
            filler.unlink()
            wait_until(lambda: all(judge.answers(one) for one in said), "every message is answered", 40)
            assert [len(judge.answers(one)) for one in said] == [1] * len(said)
            assert process.exit_code is None
            assert not [one for one in judge.ask("GET", "/log") if one["text"].startswith("yyy")]
        finally:
            process.close()


# --- agents ------------------------------------------------------------------------------------------------


async def bad(message: Message) -> Any:
    """Misbehaves as the text says."""
    match message.text:
        case "raise":
            raise RuntimeError("the model is out of order")
        case "exit":
            raise SystemExit(3)
        case "cancel":
            raise asyncio.CancelledError
        case "hang":
            await asyncio.Event().wait()
        case "object":
            return object()
        case "bytes":
            return b"hello"
        case "a list of objects":
            return ["fine", object()]
        case "a reply without text":
            return Reply(cast("str", 7))
        case "half a surrogate":
            return "a\ud800b"
    return message.text


REASONS = {
    "raise": "the model is out of order",
    "exit": "SystemExit",
    "cancel": "cancelled",
    "hang": "did not answer within",
    "object": "object",
    "bytes": "bytes",
    "a list of objects": "object",
    "a reply without text": "int",
}


def test_an_agent_that_raises_hangs_or_returns_nonsense_ends_its_turn_with_a_reason_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with prepared(tmp_path / "data", Agent(bad, "bad")) as (sim, buoy):
            buoy.settings["turns"] = Turns(timeout_s=0.5, attempts=1)
            await buoy.start()
            said = {text: await sim.say(text, user=n) for n, text in enumerate(REASONS)}
            behind = [await sim.say("next", user=n) for n, _ in enumerate(REASONS)]
            fine = await sim.say("half a surrogate", user=50)
            await buoy.answered(*behind, fine)
            assert sim.replies(fine)[0].text == "a?b"
            db = peek(buoy.directory)
            for text, reason in REASONS.items():
                row = buoy.event(said[text])
                assert (row["state"], reason in row["reason"]) == ("dead", True), (text, row["reason"])
                steps = " ".join(step for _, step in trace.trace(db, said[text]))
                assert row["reason"] in steps
            db.close()
            await still_well(sim, buoy)

    asyncio.run(run())


# --- secrets -----------------------------------------------------------------------------------------------


def test_no_log_line_no_byte_of_the_data_directory_and_no_status_holds_the_secret_or_a_token(tmp_path: Path) -> None:
    """Everything is logged, from the deepest level up, while everything goes wrong that carries a token."""
    log = io.StringIO()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        logger_factory=structlog.PrintLoggerFactory(log),
    )
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    told: list[str] = []

    async def run() -> None:
        async with prepared(tmp_path / "data") as (sim, buoy):
            await buoy.start()
            tokens = set(sim.world.tokens)
            faults: tuple[dict[str, Any], ...] = (
                {"kind": "http_status", "status": 502, "body": "html"},
                {"kind": "accept_then_reset"},
                {"kind": "error_code", "code": 11253},
                {"kind": "error_code", "code": 11255},
                {"kind": "error_code", "code": 99_999_999, "status": 400, "text": SECRET[::-1]},
            )
            for n, fault in enumerate(faults):
                sim.faults.add(**fault, endpoint="send", count=1)
                await sim.say(f"send {n}", user=n)
                await sim.until(lambda: not sim.faults.active)
            sim.faults.add("revoke_tokens")
            await buoy.answered(await sim.say("with a new token", user=20))
            sim.faults.add("upgrade_status", count=1)
            sim.faults.add("ws_reset")
            await sim.until(lambda: sim.world.counters["resumed"] == 1 and buoy.is_live)
            await sim.network("down")
            await buoy.send(f"qq:c2c:{sim.meet(which=30)}", "no way")
            told.append(json.dumps(buoy.app.health(), default=str))
            await sim.network("up")
            await sim.until(lambda: any(message.text == "no way" for message in sim.delivered))
            await sim.until(lambda: buoy.is_live)
            sim.faults.add("bad_secret", count=1)
            sim.faults.add("revoke_tokens")
            await sim.say("the secret is refused", user=31)
            await sim.until(lambda: bool(buoy.letters("secret")) and buoy.letter("secret")["state"] == "held")
            told.append(json.dumps(buoy.app.health(), default=str))
            sim.clock.advance(11)
            await buoy.answered(await sim.say("and taken again", user=31), times=2)
            tokens |= set(sim.world.tokens)
            told.append(json.dumps(buoy.app.health(), default=str))
            db = peek(buoy.directory)
            told.extend(
                step for row in buoy.rows("SELECT id FROM outbox") for _, step in trace.trace(db, f"out/{row['id']}")
            )
            db.close()
            files = [file.read_bytes() for file in buoy.directory.iterdir()]
            await buoy.stop()
            files += [file.read_bytes() for file in buoy.directory.iterdir()]
            assert len(tokens) >= 2
            for secret in (SECRET, *tokens):
                assert secret not in log.getvalue()
                assert not [text for text in told if secret in text]
                assert not [data for data in files if secret.encode() in data]
            assert log.getvalue().count("\n") > 20

    try:
        asyncio.run(run())
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
