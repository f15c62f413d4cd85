"""The ways out against real servers: a webhook, apprise, what goes wrong, and that no address is ever shown."""

from __future__ import annotations

import asyncio
import builtins
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from buoy.config import load
from buoy.durable import alerts
from buoy.durable.alerts import Words
from buoy.durable.store import Store
from buoy.errors import ConfigError
from buoy.faces import alerting, channels
from buoy.gateway.alerts.channel import Channel, ChannelError
from buoy.gateway.alerts.delivery import Delivery, told
from buoy.gateway.supervisor import Supervisor
from buoy.settings import Alerts, Secret

TOKEN = "s3cr3t-t0k3n"
WORDS = Words("raised", "[Buoy] 机器人掉线", "原因\n怎么办")
DATA = {"kind": "raised", "rule": "down", "subject": "b", "bot": "b", "since": 1.0, "at": 2.0}


@dataclass
class Server:
    """Answers everything with `status`, after `takes_s`."""

    status: int = 200
    takes_s: float = 0.0
    heard: list[tuple[str, str, Any]] = field(default_factory=list)
    port: int = 0
    asked: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        self.heard.append((request.method, request.path, await request.json() if request.can_read_body else None))
        return web.Response(status=self.status)

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/{TOKEN}"


@asynccontextmanager
async def serving(**how: Any) -> AsyncIterator[Server]:
    server, app = Server(**how), web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def build(*urls: str) -> list[Channel]:
    return channels.build(Alerts(urls=tuple(map(Secret, urls))), {})


def run(test: Callable[[Server], Awaitable[None]], **how: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving(**how) as server:
            await test(server)

    asyncio.run(main())


def test_a_webhook_gets_one_json_object() -> None:
    async def test(server: Server) -> None:
        (channel,) = build(server.url())
        assert channel.name == "1 webhook 127.0.0.1"
        await told(channel, WORDS, DATA)
        assert server.heard == [("POST", f"/{TOKEN}", {"title": WORDS.title, "text": WORDS.text, **DATA})]

    run(test, status=204)


@pytest.mark.parametrize(("status", "text"), [(500, "HTTP 500"), (302, "HTTP 302"), (404, "HTTP 404")])
def test_a_webhook_that_refuses(status: int, text: str) -> None:
    async def test(server: Server) -> None:
        (channel,) = build(server.url())
        with pytest.raises(ChannelError, match=f"^{text}$"):
            await told(channel, WORDS, DATA)

    run(test, status=status)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "json"])
def test_an_address_that_nobody_listens_on_is_told_without_the_address(scheme: str) -> None:
    async def main() -> None:
        (channel,) = build(f"{scheme}://user:{TOKEN}@127.0.0.1:{closed_port()}/{TOKEN}?key={TOKEN}")
        with pytest.raises(ChannelError) as caught:
            await told(channel, WORDS, DATA)
        assert str(caught.value)
        assert TOKEN not in str(caught.value) + channel.name

    asyncio.run(main())


def test_what_a_plugin_says_is_shown_without_the_address() -> None:
    (channel,) = build(f"json://user:{TOKEN}@host.example.com/{TOKEN}%2Fpath?key={TOKEN}x")
    assert isinstance(channel, channels.Apprise)
    said = channel._hidden(
        f"Failed to POST to https://user:{TOKEN}@host.example.com/{TOKEN}/path?key={TOKEN}x: error=500"
    )
    assert TOKEN not in said
    assert "host.example.com" not in said
    assert said.endswith("error=500")


def test_apprise_delivers_and_says_what_went_wrong() -> None:
    async def test(server: Server) -> None:
        (channel,) = build(server.url("json"))
        assert channel.name == "1 json"
        await told(channel, WORDS, DATA)
        ((method, path, body),) = server.heard
        assert (method, path, body["title"], body["message"]) == ("POST", f"/{TOKEN}", WORDS.title, WORDS.text)
        assert body["type"] == "warning"
        await told(channel, WORDS, {**DATA, "kind": "recovered"})
        assert server.heard[1][2]["type"] == "success"
        server.status = 401
        with pytest.raises(ChannelError, match=r"401|nauthori") as caught:
            await told(channel, WORDS, DATA)
        assert TOKEN not in str(caught.value)

    run(test)


def test_apprise_holds_up_neither_the_loop_nor_a_stop() -> None:
    async def test(server: Server) -> None:
        (channel,) = build(server.url("json"))
        telling = asyncio.ensure_future(told(channel, WORDS, DATA))
        while not server.asked:
            await asyncio.sleep(0.01)
        assert not telling.done(), "the loop turned while the service took its time"
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "buoy-apprise"]
        assert thread.daemon, "nor does the end of the process wait for it"
        began = time.perf_counter()
        telling.cancel()
        await asyncio.wait([telling])
        assert telling.cancelled()
        assert time.perf_counter() - began < 0.5

    began = time.perf_counter()
    run(test, takes_s=3.0)
    assert time.perf_counter() - began < 2.5, "the loop's end waits for no thread"


def test_what_another_address_s_late_delivery_says_is_shown_without_that_address() -> None:
    """A delivery that nobody waits for any more goes on, and its complaint lands in the next one's."""
    first, second = build(f"json://one.example.com/{TOKEN}", "json://two.example.com/other")
    assert isinstance(first, channels.Apprise)
    assert isinstance(second, channels.Apprise)
    said = second._hidden(f"Failed to POST to https://one.example.com/{TOKEN}: error=500")
    assert TOKEN not in said


def apprise_threads() -> int:
    return sum(thread.name == "buoy-apprise" for thread in threading.enumerate())


def test_deliveries_that_never_end_do_not_pile_up() -> None:
    async def test(server: Server) -> None:
        (channel,) = build(server.url("json"))
        tells = [asyncio.ensure_future(told(channel, WORDS, DATA)) for _ in range(channels.AT_ONCE)]
        while apprise_threads() < channels.AT_ONCE:
            await asyncio.sleep(0)
        with pytest.raises(ChannelError, match="have not ended"):
            await told(channel, WORDS, DATA)
        await asyncio.gather(*tells)
        await told(channel, WORDS, DATA)

    run(test, takes_s=0.3)


def test_the_first_channel_fails_and_the_second_takes_it(tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        store = Store.open(tmp_path, now=1.0)
        ways = build(f"http://127.0.0.1:{closed_port()}/{TOKEN}", server.url("json"))
        supervisor = Supervisor()
        delivery = Delivery(store, ways, wall=time.time, draw=lambda low, _: low)
        await store.write(alerts.raise_, "down", "b", 1.0, "why", WORDS, time.time())
        supervisor.keep("deliver", delivery.run)
        while store.read(alerts.queued).waiting:
            await asyncio.sleep(0.01)
        assert len(server.heard) == 1
        first, second = delivery.told()
        assert first["last_error"]
        assert second["last_error"] == ""
        await supervisor.stop(timeout_s=1.0)
        await store.close(5.0)

    run(test)
    files = list(tmp_path.iterdir())
    assert files
    for file in files:
        assert TOKEN.encode() not in file.read_bytes(), file


def test_the_switch_is_fetched() -> None:
    async def test(server: Server) -> None:
        ping = channels.Ping(server.url(), {})
        await ping()
        assert server.heard == [("GET", f"/{TOKEN}", None)]
        server.status = 503
        with pytest.raises(ChannelError, match="HTTP 503"):
            await ping()

    run(test)


# --- what cannot be used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://", "address 2 is no address; write https"),
        (f"hooks.example.com/{TOKEN}", "address 2 is no address; write https"),
        (f"http://[{TOKEN}", "address 2 is no address; write https"),
        (f"nosuch://{TOKEN}", r"address 2 \(nosuch://\) is not understood by apprise"),
        ("tgram://x", r"address 2 \(tgram://\) is not understood by apprise"),
    ],
)
def test_a_wrong_address_is_one_line_without_it(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        build("https://fine.example.com", url)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("alerts.urls (BUOY_ALERTS): ")


def test_without_apprise_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match=r"address 1 \(ntfy://\) needs apprise; .*pip install 'buoy-qq\[alerts\]'"):
        build(f"ntfy://{TOKEN}")
    assert len(build("https://fine.example.com")) == 1


# --- the commands ------------------------------------------------------------------------------------------------


def config(tmp_path: Path, **environ: str) -> Any:
    return load(None, {"BUOY_DATA_DIR": str(tmp_path), **environ}, bots=False)


def test_the_test_goes_through_every_channel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def test(server: Server) -> None:
        bad = f"http://127.0.0.1:{closed_port()}/{TOKEN}"
        both = config(tmp_path, BUOY_ALERTS=f"{bad}, {server.url()}")
        assert await asyncio.to_thread(alerting.try_all, both, {}) == 1
        fine = config(tmp_path, BUOY_ALERTS=server.url())
        assert await asyncio.to_thread(alerting.try_all, fine, {}) == 0
        assert [body["title"] for _, _, body in server.heard] == ["[Buoy] 这是一条测试"] * 2

    run(test)
    out = capsys.readouterr().out
    assert "1 webhook 127.0.0.1: failed: " in out
    assert "2 webhook 127.0.0.1: taken" in out
    assert TOKEN not in out
    with pytest.raises(ConfigError, match="none is set, so nobody is told"):
        alerting.try_all(config(tmp_path), {})


def test_the_list_reads_the_store_of_a_dead_buoy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def fill() -> None:
        store = Store.open(tmp_path, now=1.0)
        await store.write(alerts.raise_, "down", "b", 1.0, "banned: 4915", WORDS, 2.0)
        await store.write(alerts.raise_, "disk", "", 1.0, "100", None, 2.0)
        await store.write(alerts.end, 2, 3.0, None, 4.0)
        await store.close(5.0)

    asyncio.run(fill())
    assert alerting.show(config(tmp_path), limit=10, as_json=False) == 0
    out = capsys.readouterr().out
    assert "机器人 b 掉线" in out
    assert "机器人被封禁" in out
    assert "notices that wait to be delivered: 1" in out
    assert alerting.show(config(tmp_path), limit=10, as_json=True) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["rule"], first["ended_at"], second["rule"], second["ended_at"]) == ("down", None, "disk", 3.0)
    assert first["title"] == "机器人 b 掉线"


def test_addresses_from_a_file_and_the_switch(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"https://a/{TOKEN}\n\nntfy://topic\n")
    (tmp_path / "urls").chmod(0o600)
    (tmp_path / "inline.toml").write_text('[alerts]\nurls = ["https://a"]\n')
    (tmp_path / "inline.toml").chmod(0o644)
    inline = load(tmp_path / "inline.toml", {"BUOY_DATA_DIR": str(tmp_path)}, bots=False)
    assert any("chmod 600" in line for line in inline.warnings)
    (tmp_path / "buoy.toml").write_text('[alerts]\nurls_file = "urls"\nheartbeat_url = "https://h"\nlanguage = "en"\n')
    (tmp_path / "buoy.toml").chmod(0o644)
    read = load(tmp_path / "buoy.toml", {"BUOY_DATA_DIR": str(tmp_path)}, bots=False)
    assert [url.reveal() for url in read.alerts.urls] == [f"https://a/{TOKEN}", "ntfy://topic"]
    assert read.alerts.heartbeat_url == Secret("https://h")
    assert any("chmod 600" in line for line in read.warnings), "the file holds a secret of its own"
    other = load(
        tmp_path / "buoy.toml",
        {"BUOY_DATA_DIR": str(tmp_path), "BUOY_ALERTS": "https://x", "BUOY_HEARTBEAT_URL": "https://y"},
        bots=False,
    )
    assert [url.reveal() for url in other.alerts.urls] == ["https://x"]
    assert other.alerts.heartbeat_url == Secret("https://y")
    named = config(tmp_path, BUOY_ALERTS_FILE=str(tmp_path / "urls"))
    assert len(named.alerts.urls) == 2
    with pytest.raises(ConfigError, match=r"alerts\.urls_file .*BUOY_ALERTS_FILE"):
        config(tmp_path, BUOY_ALERTS_FILE=str(tmp_path / "nowhere"))
