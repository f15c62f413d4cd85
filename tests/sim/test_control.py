"""The control API, the load generator, and the simulator as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import aiohttp
import pytest

from buoy.sim import Sim
from tests.sim.client import Client, running


class Desk:
    """Speaks to the control API."""

    def __init__(self, sim: Sim, http: aiohttp.ClientSession) -> None:
        self.url, self.http = sim.control_url, http

    async def __call__(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        async with self.http.request(method, self.url + path, json=body or None) as r:
            return r.status, await r.json()


def test_say_log_and_state() -> None:
    async def main() -> None:
        async with running() as (sim, client):
            desk = Desk(sim, client.http)
            await client.identify()
            _, said = await desk("POST", "/say", text="hello", user=3)
            assert said["heard"] == 1
            assert (await client.recv())["d"]["id"] == said["id"]
            await client.send(said["target"], "yes", msg_id=said["id"])
            await client.send(said["target"], "yes", msg_id=said["id"])
            await client.send(said["target"], "by the way")
            _, log = await desk("GET", f"/log?anchor={said['id']}")
            assert [m["text"] for m in log] == ["yes"]
            assert [m["text"] for m in (await desk("GET", "/log?since=1"))[1]] == ["by the way"]
            assert len((await desk("GET", f"/log?scene=c2c&target={said['target']}"))[1]) == 2
            assert (await desk("GET", "/log?scene=group"))[1] == []
            _, state = await desk("GET", "/state")
            assert (state["connections"], state["sessions"][0]["live"], state["delivered"]) == (1, 1, 2)
            counters = state["counters"]
            assert (counters["identifies"], counters["requests_send"], counters["duplicates_refused"]) == (
                1,
                3,
                1,
            )
            assert state["bots"]["102000001"]["identifies_today"] == 1

    asyncio.run(main())


def test_faults_network_clock_bots_and_events() -> None:
    async def main() -> None:
        async with running(speed=1.0) as (sim, client):
            desk = Desk(sim, client.http)
            _, fault = await desk("POST", "/faults", kind="drop_acks", count=3)
            assert [f["id"] for f in (await desk("GET", "/faults"))[1]] == [fault["id"]]
            assert "op7" in (await desk("GET", "/faults/kinds"))[1]
            assert (await desk("DELETE", f"/faults/{fault['id']}"))[1] == {"removed": 1}
            await desk("POST", "/faults", kind="no_ready")
            assert (await desk("DELETE", "/faults"))[1] == {"removed": 1}
            assert (await desk("POST", "/network", mode="down"))[1] == {"mode": "down"}
            assert (await desk("POST", "/network", mode="up"))[1] == {"mode": "up"}
            before = sim.clock.now()
            assert (await desk("POST", "/clock", advance=100))[1]["now"] >= before + 100
            assert (await desk("POST", "/clock", speed=10))[1]["speed"] == 10
            await desk("POST", "/bots", app_id="102000009", secret="nine", certified=True)
            assert sim.world.bot("102000009").certified
            await desk("POST", "/bots", app_id="102000009", proactive={"group": True})
            assert sim.world.bot("102000009").proactive["group"]
            nine = Client(sim, client.http, ("102000009", "nine"))
            assert "access_token" in await nine.get_token()
            _, met = await desk("POST", "/meet", scene="group", which=4, receives_all=True)
            assert len(met["target"]) == 32
            _, happened = await desk("POST", "/events", type="FRIEND_ADD", user=1)
            assert happened["id"].startswith("FRIEND_ADD:")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("GET", "/nope", {}, "POST /say"),
        ("POST", "/say", {"txt": "x"}, "txt"),
        ("POST", "/say", {"text": "x", "scene": "y"}, "use one of"),
        ("POST", "/faults", {"kind": "y"}, "use one of"),
        ("DELETE", "/faults/x", {}, "invalid literal"),
        ("POST", "/network", {"mode": "y"}, "use one of"),
        ("POST", "/clock", {"advance": -1}, "0 or more"),
        ("POST", "/clock", {"speed": -1}, "speed"),
        ("POST", "/events", {"type": "y"}, "give it in"),
        ("POST", "/bots", {"app_id": "y"}, "unknown"),
        ("POST", "/meet", {"scene": "y"}, "use one of"),
        ("POST", "/load", {"mode": "y"}, "closed"),
        ("GET", "/load", {}, "POST /load first"),
        ("GET", "/log?since=x", {}, "since"),
    ],
)
def test_bad_input_gets_one_clear_line(method: str, path: str, body: dict[str, Any], word: str) -> None:
    async def main() -> None:
        async with running() as (sim, client):
            status, answer = await Desk(sim, client.http)(method, path, **body)
            assert status in {400, 404}
            assert word in answer["error"]
            assert "\n" not in answer["error"]

    asyncio.run(main())


async def echo(client: Client) -> None:
    """Answer everything that comes in."""
    while True:
        frame = await client.recv()
        d = frame["d"]
        await client.send(d["author"]["user_openid"], d["content"], msg_id=d["id"])


@pytest.mark.parametrize("mode", ["closed", "burst"])
def test_load_is_answered_and_judged(mode: str) -> None:
    async def main() -> None:
        async with running(speed=1.0, limits=False) as (sim, client):
            desk = Desk(sim, client.http)
            await desk("POST", "/load", users=5, messages=40, mode=mode)
            assert (await desk("GET", "/load"))[1]["said"] == 0  # nobody can hear yet
            await client.identify()
            answering = asyncio.create_task(echo(client))
            load = sim.current_load
            assert load is not None
            await sim.until(lambda: load.done)
            answering.cancel()
            _, report = await desk("GET", "/load")
            assert (report["said"], report["answered"], report["unanswered"]) == (40, 40, 0)
            assert (report["answered_twice"], report["done"]) == (0, True)
            assert 0 < report["p50_ms"] <= report["p99_ms"] <= report["max_ms"]
            assert report["round_trips_per_s"] > 0

    asyncio.run(main())


def test_closed_users_wait_for_their_answer() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            await client.identify()
            load = sim.load(users=3, messages=30)
            first = await client.recv()
            assert load.report()["said"] == 3
            await client.send(first["d"]["author"]["user_openid"], "yes", msg_id=first["d"]["id"])
            await sim.until(lambda: load.report()["said"] == 4)
            assert load.report()["unanswered"] == 3
            load.stop()
            await client.send(first["d"]["author"]["user_openid"], "again", msg_id=first["d"]["id"], msg_seq=2)
            assert (load.report()["answered_twice"], load.report()["done"]) == (0, True)

    asyncio.run(main())


def test_answering_twice_is_found_even_under_another_anchor() -> None:
    async def main() -> None:
        async with running(limits=False) as (sim, client):
            await client.identify()
            load = sim.load(users=1, messages=2, mode="burst")
            first, second = await client.recv(), await client.recv()
            user = first["d"]["author"]["user_openid"]
            merged = first["d"]["content"] + "\n" + second["d"]["content"]
            await client.send(user, merged, msg_id=second["d"]["id"])
            assert load.report()["answered"] == 2
            assert load.report()["answered_twice"] == 0
            await client.send(user, first["d"]["content"], msg_id=second["d"]["id"], msg_seq=2)
            assert load.report()["answered_twice"] == 1
            await client.send(user, "no mark", msg_id=second["d"]["id"], msg_seq=3)
            assert load.report()["answered_twice"] == 2

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_prints_its_addresses_and_ends_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "buoy.sim", "--no-limits", "--app-id", "102000042", "--secret", "s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline())
            assert set(addresses) == {"api_base", "token_url", "control_url"}
            with urllib.request.urlopen(addresses["control_url"] + "/state", timeout=5) as r:
                assert list(json.load(r)["bots"]) == ["102000042"]
            process.send_signal(number)
            assert process.wait(5) == 0
        finally:
            process.kill()


@pytest.mark.parametrize("wrong", [["--heartbeat", "0"], ["--speed", "-1"], ["--host", "192.0.2.1"], ["--nope"]])
def test_wrong_options_end_with_2_and_one_line(wrong: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "buoy.sim", *wrong], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "buoy sim: " in done.stderr
    assert "Traceback" not in done.stderr
