"""The doctor's looks, each at the real thing: folders, databases, ports, names, TLS, proxies, agents."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from buoy.config import Config, load
from buoy.durable import schema
from buoy.durable.history import Span
from buoy.durable.lock import Lock, lock_machine
from buoy.durable.store import Store
from buoy.faces import control
from buoy.faces.control import ADDRESS
from buoy.faces.doctor import answering, machine, processes, tally, ways
from buoy.faces.doctor.facts import Agent, Facts, Folder, Settings
from buoy.faces.doctor.judge import judge
from buoy.faces.doctor.mend import mend
from buoy.faces.doctor.verdicts import Check, Verdict, found
from buoy.faces.wiring import socket_name
from tests.system.disks import needs_root, small_disk
from tests.transport.servers import Peer, serve

V = Verdict


def config(directory: Path, **environ: str) -> Config:
    credentials = {"QQ_APP_ID": "1", "QQ_CLIENT_SECRET": "s", "QQ_API_BASE": "http://127.0.0.1:1"}
    return load(None, credentials | {"BUOY_DATA_DIR": str(directory)} | environ)


def verdicts(**seen: Any) -> set[Verdict]:
    found = {one.verdict for one in judge(Facts(now=0.0, settings=Settings(alerts=1), **seen)) if one.verdict}
    return found - {V.NOT_RUNNING}


def open_once(directory: Path) -> None:
    async def main() -> None:
        await Store.open(directory, now=time.time()).close(5.0)

    asyncio.run(main())


# --- the data directory -------------------------------------------------------------------------------------


def test_a_folder_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert verdicts(folder=machine.folder(tmp_path)) == set()
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o755)
    assert verdicts(folder=machine.folder(tmp_path)) == {V.DATA_OPEN}
    assert verdicts(folder=machine.folder(tmp_path / "new" / "one")) == {V.DATA_MISSING}
    (tmp_path / "file").touch()
    assert verdicts(folder=machine.folder(tmp_path / "file")) == {V.DATA_UNUSABLE}
    assert verdicts(folder=machine.folder(tmp_path / "file" / "below")) == {V.DATA_UNUSABLE}


@needs_root
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "1m") as disk:
        assert verdicts(folder=machine.folder(disk.at)) == {V.DISK_FULL}
        disk.fill()
        assert verdicts(folder=machine.folder(disk.at)) == {V.DISK_FULL}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert V.DATA_UNUSABLE in verdicts(folder=machine.folder(tmp_path))


# --- the database -------------------------------------------------------------------------------------------


def altered(directory: Path, sql: str) -> set[Verdict]:
    with closing(sqlite3.connect(directory / schema.FILE)) as db:
        db.execute(sql)
    return verdicts(database=machine.database(directory))


def test_the_database_is_judged_by_its_header_and_its_pages(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert verdicts(database=machine.database(tmp_path)) == set()
    open_once(tmp_path)
    assert verdicts(database=machine.database(tmp_path)) == set()
    assert altered(tmp_path, "PRAGMA user_version = 99") == {V.STORE_NEWER}
    assert altered(tmp_path, "PRAGMA user_version = 2") == {V.STORE_OLDER}
    assert altered(tmp_path, "PRAGMA application_id = 1") == {V.STORE_FOREIGN}


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    open_once(tmp_path)
    file = tmp_path / schema.FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xaa" * 4096 + whole[8192:])
    assert verdicts(database=machine.database(tmp_path)) == {V.STORE_DAMAGED}
    file.write_bytes(b"no database at all, and long enough to be read as one" * 40)
    assert verdicts(database=machine.database(tmp_path)) == {V.STORE_DAMAGED}


# --- the port -----------------------------------------------------------------------------------------------


@contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def test_a_port_that_is_taken_is_named_with_who_has_it() -> None:
    with taken() as number:
        seen = machine.port("127.0.0.1", number, None)
        assert verdicts(port=seen) == {V.PORT}
        if sys.platform == "linux":
            assert seen.holder.startswith(f"pid {os.getpid()} (")
            assert verdicts(port=machine.port("127.0.0.1", number, os.getpid())) == set()
    assert verdicts(port=machine.port("127.0.0.1", number, None)) == set()
    assert verdicts(port=machine.port("127.0.0.1", 0, None)) == set()
    assert verdicts(port=machine.port("192.0.2.1", 80, None)) == {V.PORT}


# --- processes ----------------------------------------------------------------------------------------------


def test_another_buoy_with_the_same_app_id_is_named(tmp_path: Path) -> None:
    settings = config(tmp_path, QQ_API_BASE="http://127.0.0.1:2")
    assert processes.process(settings, {}).sockets == {}
    held = lock_machine(socket_name(settings.bots[0]), "{holder}")
    try:
        seen = processes.process(settings, {})
        assert seen.sockets == {"1": f"pid {os.getpid()}"}
        assert verdicts(process=seen) == {V.TWO_SOCKETS}
    finally:
        held.release()
        held.path.unlink()


def test_a_buoy_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Lock(tmp_path / "lock", "{holder}")
    seen = processes.process(config(tmp_path), {})
    assert (seen.snapshot, seen.holder) == (None, f"pid {os.getpid()}")
    assert verdicts(process=seen) == {V.STUCK}
    with taken() as number:
        (tmp_path / ADDRESS).write_text(f'{{"host":"127.0.0.1","port":{number},"key":"k","pid":7}}')
        monkeypatch.setattr(control, "TIMEOUT_S", 0.05)
        assert "pid 7" in processes.process(config(tmp_path), {}).error
    held.release()


def test_the_address_of_a_dead_buoy_is_named_and_taken_away(tmp_path: Path) -> None:
    with taken() as number:
        pass
    (tmp_path / ADDRESS).write_text(f'{{"host":"127.0.0.1","port":{number},"key":"k","pid":7}}')
    seen = processes.process(config(tmp_path), {})
    found = judge(Facts(now=0.0, process=seen))
    (stale,) = (one for one in found if one.verdict is V.STALE_ADDRESS)
    held = Lock(tmp_path / "lock", "{holder}")
    assert list(mend([stale], tmp_path)) == [(stale, f"left {tmp_path / ADDRESS}")]
    held.release()
    assert list(mend([stale], tmp_path)) == [(stale, f"removed {tmp_path / ADDRESS}")]
    assert not (tmp_path / ADDRESS).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host":1,"port":"x","key":"k"}'])
def test_an_address_that_makes_no_sense_harms_nobody(text: str, tmp_path: Path) -> None:
    (tmp_path / ADDRESS).write_text(text)
    seen = processes.process(config(tmp_path), {})
    assert (seen.snapshot, seen.is_address_stale) == (None, not seen.error)
    assert processes.forget_address(tmp_path)


def test_records_of_a_database_that_cannot_be_read_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    assert processes.records(tmp_path, 0.0, ()) is None
    open_once(tmp_path)
    assert processes.records(tmp_path, time.time(), ("1",)) is not None
    (tmp_path / "broken").write_bytes(b"\xaa" * 8192)
    monkeypatch.setattr(processes, "peek", lambda _: sqlite3.connect(tmp_path / "broken"))
    assert processes.records(tmp_path, time.time(), ("1",)) is None


def test_only_what_was_up_can_break() -> None:
    told = [
        Span("1", 0, "down", 0.0, 1.0, "starting"),
        Span("1", 0, "up", 1.0, 2.0, ""),
        Span("1", 0, "down", 2.0, 3.0, "closed 4000"),
        Span("1", 0, "blocked", 3.0, 4.0, "banned 4915"),
        Span("1", 0, "up", 4.0, 5.0, ""),
        Span("1", 0, "off", 5.0, 6.0, "stopped in good order"),
        Span("1", 0, "up", 6.0, 7.0, ""),
        Span("2", 0, "down", 0.0, 1.0, "starting"),
    ]
    assert processes._breaks(told) == (("1", 2.0, "closed 4000"),)


def test_proxy_variables_are_told_without_passwords() -> None:
    environ = {"HTTPS_PROXY": "http://user:secret@proxy:3128", "no_proxy": "a,b", "ALL_PROXY": " ", "http_proxy": "//"}
    told = processes.proxies(environ)
    assert told == {"https_proxy": "http://proxy:3128", "no_proxy": "a,b", "http_proxy": "not readable"}


def test_what_is_mended_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    secret = tmp_path / "buoy.toml"
    secret.write_text('bots = [{app_id = "1", client_secret = "s"}]')
    secret.chmod(0o644)
    read = load(secret, {"BUOY_DATA_DIR": str(tmp_path)})
    facts = Facts(0.0, Settings(exposed=read.exposed), folder=machine.folder(tmp_path))
    done = [line for _, line in mend(judge(facts), tmp_path)]
    assert done == [f"chmod 600 {secret}", f"chmod 700 {tmp_path}"]
    assert (secret.stat().st_mode & 0o777, tmp_path.stat().st_mode & 0o777) == (0o600, 0o700)
    missing = judge(Facts(0.0, folder=Folder(tmp_path / "file" / "new", exists=False)))
    (tmp_path / "file").touch()
    ((_, line),) = mend(missing, tmp_path / "file" / "new")
    assert line.startswith("could not: ")


@needs_root
def test_settings_that_another_user_reads_as_buoy_are_left_readable(tmp_path: Path) -> None:
    file, directory = tmp_path / "buoy.toml", tmp_path / "data"
    file.touch(0o644)
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    finding = found(Check.SETTINGS, V.SECRET_FILE, "", str(file))
    ((_, done),) = mend([finding], directory)
    assert "chmod 640" in done
    assert file.stat().st_mode & 0o777 == 0o644
    os.chown(directory, 0, 0)
    list(mend([finding], directory))
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_logins_of_doctors_are_counted_for_a_day() -> None:
    name = "a test of buoy doctor"
    try:
        assert tally.since(name, 0.0) == []
        tally.add(name, 1000.0)
        tally.add(name, 2000.0)
        assert tally.since(name, 1500.0) == [2000.0]
        tally.add(name, 2000.0 + tally.KEPT_S)
        assert len(tally.since(name, 0.0)) == 2
    finally:
        Path(tally._path(name)).unlink()


# --- the way to QQ ------------------------------------------------------------------------------------------


def walk(url: str, environ: dict[str, str] | None = None, within_s: float = 2.0) -> Any:
    return asyncio.run(ways.walk(url, environ or {}, within_s=within_s))


def test_a_name_that_does_not_exist_is_named_with_the_resolvers_answer() -> None:
    seen = walk("https://buoy-doctor.invalid")
    assert seen.trouble == "dns"
    assert seen.text.startswith("buoy-doctor.invalid: ")
    assert verdicts(ways=(seen,)) == {V.DNS}


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with taken() as number:
        pass
    seen = walk(f"http://127.0.0.1:{number}")
    assert (seen.trouble, seen.host) == ("refused", f"127.0.0.1:{number}")


def test_a_proxy_that_is_away_is_named_with_its_variable() -> None:
    with taken() as number:
        pass
    environ = {"HTTPS_PROXY": f"http://user:secret@127.0.0.1:{number}"}
    seen = walk("https://api.test", environ)
    assert verdicts(ways=(seen,)) == {V.PROXY}
    assert f"127.0.0.1:{number} (HTTPS_PROXY)" in seen.text
    assert "secret" not in str(seen)
    assert walk("https://buoy-doctor.invalid", environ | {"NO_PROXY": "invalid"}).trouble == "dns"


def test_a_proxy_that_answers_is_the_way() -> None:
    with taken() as number:
        seen = walk("https://api.test", {"https_proxy": f"http://127.0.0.1:{number}"})
    assert (seen.trouble, seen.proxy) == ("", f"127.0.0.1:{number} (https_proxy)")


def test_a_proxy_of_the_wrong_kind_is_named() -> None:
    seen = walk("https://api.test", {"ALL_PROXY": "socks5://127.0.0.1:1"})
    assert verdicts(ways=(seen,)) == {V.PROXY_KIND}
    assert "ALL_PROXY" in seen.text


HERE = Path(__file__).parent
VALID, EXPIRED, FUTURE = HERE.parent / "transport" / "api_test.pem", HERE / "expired.pem", HERE / "future.pem"


@pytest.mark.parametrize(
    ("shown", "trusted", "trouble"),
    [(VALID, VALID, ""), (VALID, EXPIRED, "tls"), (EXPIRED, EXPIRED, "tls_time"), (FUTURE, FUTURE, "tls_time")],
)
def test_certificates(shown: Path, trusted: Path, trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown)

    async def hold(peer: Peer) -> None:
        await peer.request()

    async def main() -> Any:
        async with serve(hold, context) as server:
            return await ways.walk(f"https://127.0.0.1:{server.port}", {}, within_s=5.0)

    assert asyncio.run(main()).trouble == trouble


# --- agents -------------------------------------------------------------------------------------------------


def agent(tmp_path: Path, kind: str, *, within_s: float = 10.0, **environ: str) -> Agent:
    bot = config(tmp_path, BUOY_AGENT=kind, **environ).bots[0]
    return asyncio.run(answering.look(bot, {}, within_s=within_s))


def test_a_program_has_to_be_there(tmp_path: Path) -> None:
    assert agent(tmp_path, "echo").state == "ok"
    assert agent(tmp_path, f"command:{sys.executable} -V").state == "ok"
    seen = agent(tmp_path, "command:no-such-program-here")
    assert (seen.state, "no-such-program-here" in seen.text) == ("setup", True)


def test_a_function_is_looked_for_where_the_running_buoy_looks(tmp_path: Path) -> None:
    (tmp_path / "beside_the_settings.py").write_text("async def answer(turn):\n    return 'x'\n")
    told = config(tmp_path, BUOY_AGENT="python:beside_the_settings:answer").bots[0]
    assert asyncio.run(answering.look(told, {}, tmp_path)).state == "ok"
    assert asyncio.run(answering.look(told, {})).state == "setup"


@pytest.mark.parametrize(
    ("source", "state", "words"),
    [
        ("async def answer(message): return 'x'", "ok", ""),
        ("def answer(message): return 'x'", "setup", "plain function"),
        ("async def reply(message): return 'x'", "setup", "answer"),
        ("raise RuntimeError('no key set')", "setup", "no key set"),
        ("import os; os._exit(3)", "setup", "exited with 3"),
    ],
)
def test_a_function_is_imported_elsewhere(
    source: str, state: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doctored.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    seen = agent(tmp_path, "python:doctored:answer")
    assert seen.state == state
    assert words in seen.text
    assert "doctored" not in sys.modules


OPENAI: dict[str, Any] = {"BUOY_MODEL": "m", "OPENAI_API_KEY": "sk-secret"}
LISTEN = (
    "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    "print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        ("200 OK", b'{"data":[{"id":"m"}]}', "ok"),
        ("200 OK", b'{"data":[{"id":"other"}]}', "model"),
        ("200 OK", b"what?", "ok"),
        ("404 Not Found", b"", "ok"),
        ("401 Unauthorized", b"", "refused"),
        ("503 Busy", b"", "away"),
    ],
)
def test_an_endpoint_is_asked_for_its_models(status: str, body: bytes, state: str, tmp_path: Path) -> None:
    asked = []

    async def endpoint(peer: Peer) -> None:
        asked.append(await peer.request())
        peer.answer(body, status)

    async def main() -> Agent:
        async with serve(endpoint) as server:
            base = f"http://127.0.0.1:{server.port}/v1"
            bot = config(tmp_path, BUOY_AGENT="openai", OPENAI_BASE_URL=base, **OPENAI).bots[0]
            return await answering.look(bot, {}, within_s=5.0)

    seen = asyncio.run(main())
    assert seen.state == state
    assert asked[0].startswith(b"GET /v1/models ")
    assert b"Bearer sk-secret" in asked[0]
    assert "sk-secret" not in str(seen)


@pytest.mark.parametrize(("status", "state"), [("200 OK", "ok"), ("401 Unauthorized", "refused"), ("502 Bad", "away")])
def test_a_hermes_api_server_is_asked_for_its_models(status: str, state: str, tmp_path: Path) -> None:
    asked = []

    async def endpoint(peer: Peer) -> None:
        asked.append(await peer.request())
        peer.answer(b'{"data": [{"id": "hermes-agent"}]}', status)

    async def main() -> Agent:
        async with serve(endpoint) as server:
            base = f"http://127.0.0.1:{server.port}/v1"
            bot = config(tmp_path, BUOY_AGENT="hermes", OPENAI_BASE_URL=base, OPENAI_API_KEY="sk-secret").bots[0]
            return await answering.look(bot, {}, within_s=5.0)

    assert asyncio.run(main()).state == state
    assert asked[0].startswith(b"GET /v1/models ")
    assert b"Bearer sk-secret" in asked[0]
    assert agent(tmp_path, "hermes").state == "setup"


def test_a_login_in_the_address_of_an_endpoint_is_used_and_not_told(tmp_path: Path) -> None:
    asked = []

    async def endpoint(peer: Peer) -> None:
        asked.append(await peer.request())
        peer.answer(b"", "503 Busy")

    async def main() -> Agent:
        async with serve(endpoint) as server:
            base = f"http://name:pass%40word@127.0.0.1:{server.port}/v1"
            bot = config(tmp_path, BUOY_AGENT="openai", OPENAI_BASE_URL=base, **OPENAI).bots[0]
            return await answering.look(bot, {}, within_s=5.0)

    seen = asyncio.run(main())
    assert seen.text == f"{seen.text.split('/')[0]}/v1 answers HTTP 503"
    assert b"Basic bmFtZTpwYXNzQHdvcmQ=" in asked[0]
    assert "word" not in str(seen)


def test_an_endpoint_that_is_away_or_silent_is_named(tmp_path: Path) -> None:
    with taken() as number:
        seen = agent(tmp_path, "openai", within_s=0.2, OPENAI_BASE_URL=f"http://127.0.0.1:{number}", **OPENAI)
        assert seen.state == "away"
    assert agent(tmp_path, "openai", OPENAI_BASE_URL=f"http://127.0.0.1:{number}", **OPENAI).state == "away"
    assert agent(tmp_path, "openai").state == "setup"
    assert agent(tmp_path, "openai", BUOY_MODEL="m").state == "setup"
    assert agent(tmp_path, "openai", BUOY_MODEL="m", OPENAI_API_KEY="schlüssel").state == "setup"


@pytest.mark.parametrize(("status", "state"), [("405 No", "ok"), ("404 No", "ok"), ("502 Bad", "away")])
def test_a_service_is_there_whatever_it_says_to_a_head(status: str, state: str, tmp_path: Path) -> None:
    async def service(peer: Peer) -> None:
        assert (await peer.request()).startswith(b"HEAD /turn?key=secret ")
        peer.answer(b"", status)

    async def main() -> Agent:
        async with serve(service) as server:
            bot = config(tmp_path, BUOY_AGENT=f"http:http://127.0.0.1:{server.port}/turn?key=secret").bots[0]
            return await answering.look(bot, {}, within_s=5.0)

    seen = asyncio.run(main())
    assert seen.state == state
    assert "secret" not in str(seen)


def test_a_service_that_is_away_or_no_address_is_named(tmp_path: Path) -> None:
    with taken() as number:
        pass
    assert agent(tmp_path, f"http:http://127.0.0.1:{number}/").state == "away"
    assert agent(tmp_path, "http:http://agent.example/").state == "setup"


def test_the_name_of_who_listens_comes_from_another_process(tmp_path: Path) -> None:
    del tmp_path
    if sys.platform != "linux":
        pytest.skip("only Linux tells it")
    with subprocess.Popen([sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        found = machine.listener(int(other.stdout.readline()))
        assert found is not None
        assert found[0] == other.pid
        assert found[1].startswith("python")
        assert other.stdin is not None
        other.stdin.close()
