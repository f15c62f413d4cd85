"""Listening: a port that is taken, clients that will not speak, read or go; and a stop that none of them holds up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from buoy.faces.web import doorman, gate
from buoy.faces.web.login import FILE
from buoy.faces.web.server import AGAIN_S
from tests.faces.serving import BEARER, Served, head, served, settings

DEADLINE_S = 5.0  # what shutdown.deadline_s is unless set


@pytest.fixture
def lines() -> Any:
    """What was logged, and nothing on the screen."""
    found: list[dict[str, Any]] = []

    def keep(_logger: Any, level: str, fields: MutableMapping[str, Any]) -> str:
        found.append({"level": level, **fields})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep])
    yield found
    structlog.configure(**before)


async def until(wanted: Any) -> None:
    while not wanted():
        await asyncio.sleep(0.01)


def count_tries(it: Served) -> list[None]:
    """One entry for each time that it tries to listen from now on."""
    tries: list[None] = []
    listen = it.web._listen

    async def counted() -> None:
        tries.append(None)
        await listen()

    vars(it.web)["_listen"] = counted
    return tries


def told_of_web(it: Served) -> dict[str, Any]:
    told = it.buoy.app.health()["web"]
    assert told is not None
    return told


@pytest.mark.timeout(20)
def test_a_port_in_use_stops_no_bot_and_is_taken_once_it_is_free(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            async with served(tmp_path, web=settings(listen=f"127.0.0.1:{port}"), wait=False) as it:
                await until(lambda: told_of_web(it)["error"])
                told = told_of_web(it)
                assert told["listening"] is None
                assert told["error"] == (
                    f"cannot listen on 127.0.0.1:{port} (Address already in use); another program listens there, "
                    "perhaps another Buoy: stop it, or set web.listen (BUOY_LISTEN)"
                )
                await it.buoy.answered(await it.sim.say("are you there?"))
                tries = count_tries(it)
                await until(lambda: tries)
                other.close()
                await until(lambda: it.web.address)
                assert (await it.ask("/status.json")).json["web"]["error"] is None
        warned = [line for line in lines if line["level"] == "warning"]
        assert [line["error"] for line in warned] == [told["error"]], "said once"
        assert all("restarts" not in line["event"] for line in lines)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("listen", "words"),
    [("192.0.2.1:0", "this machine has no such address"), ("no.such.host.invalid:80", "no such address")],
)
def test_an_address_that_is_not_ours_stops_no_bot(
    listen: str, words: str, lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(tmp_path, web=settings(listen=listen), wait=False) as it:
            await until(lambda: told_of_web(it)["error"])
            assert words in told_of_web(it)["error"]
            await it.buoy.answered(await it.sim.say("are you there?"))

    asyncio.run(main())
    assert [line["event"] for line in lines if line["level"] == "warning"] == ["no page"]


def test_a_token_that_cannot_be_kept_stops_no_bot(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "data").mkdir(mode=0o700)
        (tmp_path / "data" / FILE).mkdir()
        async with served(tmp_path / "data", web=settings(token=None), wait=False) as it:
            await until(lambda: told_of_web(it)["error"])
            await it.buoy.answered(await it.sim.say("are you there?"))

    asyncio.run(main())
    assert "cannot keep a token" in next(line["error"] for line in lines if line["event"] == "no page")


def test_no_log_line_names_the_token(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> str:
        async with served(tmp_path, web=settings(token=None)) as it:
            token = (tmp_path / FILE).read_text().strip()
            await it.ask("/send", {"target": "nobody", "text": "x"}, {"Authorization": f"Bearer {token}"})
            await it.ask("/login", f"token={token}", {"Content-Type": "application/x-www-form-urlencoded"})
            await it.ask("/status.json", headers=BEARER)
            return token

    token = asyncio.run(main())
    assert lines
    assert token not in repr(lines)
    assert BEARER["Authorization"] not in repr(lines)


# --- clients of every kind -----------------------------------------------------------------------------------------


async def strange_clients(it: Served) -> None:
    """Twenty pages, a half-sent head, a body that never ends, one that says nothing, one that reads nothing."""
    for stream in [await it.listen() for _ in range(20)]:
        await stream.next()
    await it.open("GET /status.json HTTP/1.1\r\nHost: 127")
    await it.open("POST /send HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
                  f"Authorization: {BEARER['Authorization']}\r\n\r\n{{")  # fmt: skip
    await it.open("")
    await it.open("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    runner = it.web._runner
    assert runner is not None
    server = runner.server
    assert server is not None
    await until(lambda: len(server.connections) == 24)


@pytest.mark.usefixtures("lines")
def test_a_stop_takes_a_small_share_of_its_deadline_whatever_clients_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            await strange_clients(it)
            port = it.port
            began = asyncio.get_running_loop().time()
            await it.web.stop()
            assert asyncio.get_running_loop().time() - began < 0.15 * DEADLINE_S
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", port)
            assert it.web._live.listeners == 0
            await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
            await it.buoy.stop(deadline_s=DEADLINE_S)
            assert asyncio.get_running_loop().time() - began < 0.5 * DEADLINE_S

    asyncio.run(main())


@pytest.mark.usefixtures("lines")
def test_the_supervisor_alone_can_stop_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            await strange_clients(it)
            await it.buoy.app.supervisor.stop(timeout_s=0.15 * DEADLINE_S)
            assert it.web.address is None
            assert it.web._live.listeners == 0

    asyncio.run(main())


@pytest.mark.usefixtures("lines")
def test_who_says_nothing_makes_room_for_who_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorman, "CONNECTIONS", 3)

    async def main() -> None:
        async with served(tmp_path) as it:
            _, gone = await it.open("")
            gone.transport.abort()
            silent = [(await it.open("GET /livez HTTP"))[0] for _ in range(3)]
            assert (await it.ask("/livez")).status == 200
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await silent[0].readexactly(1)
            assert not silent[1].at_eof()

    asyncio.run(main())


@pytest.mark.usefixtures("lines")
def test_connections_are_bounded_and_say_what_they_want_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorman, "CONNECTIONS", 3)
    monkeypatch.setattr(doorman, "HEAD_S", 0.2)

    async def main() -> None:
        async with served(tmp_path) as it:
            streams = [await it.listen() for _ in range(3)]
            reader, _ = await it.open("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await head(reader)).status == 503
            for stream in streams:
                stream.writer.transport.abort()
            while it.web.told()["listeners"]:
                it.web._live._tell(b":\n\n")
                await asyncio.sleep(0.01)
            silent = [(await it.open("GET /livez HTTP"))[0] for _ in range(3)]
            began = asyncio.get_running_loop().time()
            for reader in silent:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await reader.readexactly(1)
            assert asyncio.get_running_loop().time() - began >= 0.1
            reader, writer = await it.open("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await head(reader)).status == 200
            await reader.readexactly(3)
            await asyncio.sleep(0.3)
            writer.write(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await head(reader)).status == 200, "who has spoken may be silent for a while"

    asyncio.run(main())


@pytest.mark.usefixtures("lines")
def test_a_request_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "REQUEST_S", 0.2)

    async def main() -> None:
        async with served(tmp_path) as it:
            told = f"Host: 127.0.0.1\r\nContent-Length: 99\r\nAuthorization: {BEARER['Authorization']}\r\n\r\n{{"
            reader, _ = await it.open(f"POST /send HTTP/1.1\r\n{told}")
            answer = await head(reader)
            assert (answer.status, answer.headers["connection"]) == (503, "close")

            it.buoy.app.sections["alerts"] = lambda: {"much": "x" * 8_000_000}
            await until(lambda: "much" in (it.web._snapshots.plain()["alerts"] or {}))
            plug = socket.socket()
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plug.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(plug, ("127.0.0.1", it.port))
            await loop.sock_sendall(plug, b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            runner = it.web._runner
            assert runner is not None
            server = runner.server
            assert server is not None
            await until(lambda: len(server.connections) == 1)
            await until(lambda: not server.connections)
            plug.close()

    asyncio.run(main())


def test_a_bug_in_an_answer_is_logged_and_told_in_one_line(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            it.buoy.app.sections["alerts"] = lambda: {"x": 1 // 0}
            answer = await it.ask("/status.json")
            assert (answer.status, answer.json) == (500, {"error": "this is a bug in Buoy; its log says more"})
            del it.buoy.app.sections["alerts"]
            assert (await it.ask("/status.json")).status == 200

    asyncio.run(main())
    assert [line["path"] for line in lines if line["event"] == "request failed"] == ["/status.json"]


@pytest.mark.parametrize(
    "garbage",
    [
        "\x16\x03\x01\x02\x00\x01",
        "GET / HTTP/9.9\r\n\r\n",
        f"GET / HTTP/1.1\r\nX: {'y' * 20_000}\r\n\r\n",
        f"POST /send HTTP/1.1\r\nTransfer-Encoding: chunked\r\nAuthorization: {BEARER['Authorization']}\r\n\r\nzz\r\n",
    ],
)
def test_garbage_is_refused_and_fills_no_log(
    garbage: str, lines: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            reader, _ = await it.open(garbage)
            assert (await head(reader)).status == 400
            _, writer = await it.open("POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhalf")
            await it.ask("/livez")
            writer.transport.abort()
            await it.ask("/livez")
            form = {"Content-Type": "multipart/form-data"}
            assert (await it.ask("/login", "&" * 20, form)).status == 400
            assert (await it.ask("/livez")).status == 200

    asyncio.run(main())
    assert not [line for line in lines if line["level"] not in {"info", "debug"}]
    assert not caplog.records


def test_what_was_stopped_does_not_begin_to_listen(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            async with served(tmp_path, web=settings(listen=f"127.0.0.1:{port}"), wait=False) as it:
                await until(lambda: told_of_web(it)["error"])
                tries = count_tries(it)
                await it.web.stop()
                other.close()
                await asyncio.sleep(AGAIN_S[0])  # a timer of ours: the one that would have tried again is before it
                assert (it.web.address, tries) == (None, [])
                assert it.buoy.app.supervisor.children["web"].restarts == 0

    asyncio.run(main())
    assert len(lines) > 0
