"""Each path that reads, over a real socket, from a real gateway on the simulated platform."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from buoy.chat import Message
from buoy.gateway.turns import Turns
from buoy.sim import DEFAULT_BOT
from tests.faces.serving import BEARER, TOKEN, Served, served

ROOT = Path(__file__).parents[2]
BOT, SECRET = DEFAULT_BOT
pytestmark = pytest.mark.usefixtures("quiet")


async def grumpy(message: Message) -> str:
    if message.text == "die":
        raise ValueError("no such thing")
    return f"you said {message.text}"


async def some_traffic(it: Served) -> str:
    """An answered message and a dead letter; returns the user's openid."""
    await it.buoy.answered(await it.sim.say("hello"))
    openid = str(it.buoy.letters()[0]["lane"]).rpartition(":")[2]
    it.sim.faults.add("error_code", endpoint="send", code=40034006)
    assert await it.buoy.send(f"qq:c2c:{openid}", "look at https://example.org") in {"queued", "dead"}
    await it.buoy.ends("look at")
    it.sim.faults.remove()
    return openid


def test_what_an_operator_can_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, grumpy) as it:
            openid = await some_traffic(it)
            told = (await it.ask("/status.json")).json
            assert told.keys() == it.buoy.app.health().keys()
            assert told["ready"]
            assert told["web"]["listening"] == it.origin

            (letter,) = (await it.ask("/letters.json?state=dead")).json
            assert letter["row"] == "out/2"
            assert letter["conversation"] == f"qq:c2c:{openid[:6]}…"
            assert letter["text"] == "look at https://example.org"
            assert letter["reason"]
            assert letter["key"] == "send/look at https://example.org"
            assert letter.keys() >= {"at", "attempts", "state", "settled_at"}
            assert (await it.ask("/letters.json?state=held")).json == []

            steps = (await it.ask("/trace.json?name=out/2")).json["steps"]
            assert [step["step"] for step in steps][-1].startswith("out/2: dead")
            assert (await it.ask("/trace.json?name=out/99")).status == 404

            traffic = (await it.ask("/traffic.json?minutes=5")).json
            assert len(traffic["minutes"]) == 5
            assert sum(one["in"] for one in traffic["minutes"]) == 2, "READY and the message"
            assert sum(one["out"] for one in traffic["minutes"]) == 1
            assert [one["row"] for one in traffic["recent"]] == ["out/2", "out/1", "in/2", "in/1"]
            assert [one["kind"] for one in traffic["recent"]] == ["out", "out", "in", "in"]

            timeline = (await it.ask("/timeline.json?hours=1")).json
            assert timeline["to"] - timeline["from"] == 3600
            assert timeline["spans"][-1]["state"] == "up"
            for path in ("/status.json", "/letters.json?state=dead", "/traffic.json", "/trace.json?name=in/2"):
                assert openid not in (await it.ask(path)).text, path

    asyncio.run(main())


def test_dead_and_waiting_turns_are_listed_with_what_was_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, grumpy, gateway={"turns": Turns(attempts=1)}) as it:
            message = await it.sim.say("die")
            await it.sim.until(lambda: it.buoy.event(message)["state"] == "dead")
            (turn,) = (await it.ask("/turns.json?state=dead")).json
            assert turn["row"] == "in/2"
            assert turn["text"] == "die"
            assert "no such thing" in turn["reason"]
            assert turn["key"] == message
            assert (await it.ask("/turns.json?state=waiting")).json == []
            assert (await it.ask("/turns.json?state=running&limit=1")).json == []

    asyncio.run(main())


def test_probes_and_metrics_tell_no_secret_and_nobodys_name(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path, grumpy) as it:
            openid = await some_traffic(it)
            far = {"X-Forwarded-For": "192.0.2.1"}
            assert (await it.ask("/livez", host="10.0.0.7:8765", headers=far)).text == "ok\n"
            assert (await it.ask("/readyz", host="10.0.0.7")).status == 200
            await it.sim.network("down")
            await it.sim.until(lambda: not it.buoy.is_live)
            async with asyncio.timeout(5):  # what was asked before is told again for a moment
                while (unready := await it.ask("/readyz")).status != 503:
                    await asyncio.sleep(0.05)
            assert BOT in unready.text
            assert (await it.ask("/livez")).status == 200, "it is about this process only"
            for path in ("/livez", "/readyz", "/metrics", "/status.json"):
                text = (await it.ask(path)).text
                for hidden in (SECRET, TOKEN, openid, "hello", "example.org"):
                    assert hidden not in text, (path, hidden)

    asyncio.run(main())


def test_a_failure_that_nothing_waits_for_does_not_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            it.sim.faults.add("accept_then_reset", endpoint="send", count=1)
            await it.buoy.send(f"qq:c2c:{it.sim.meet('c2c')}", "lost")
            assert await it.buoy.ends("lost") == "unsure"
            async with asyncio.timeout(5):
                while (await it.ask("/readyz")).status != 200:
                    await asyncio.sleep(0.1)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["metrics.md", "metrics.zh.md"])
def test_every_metric_stands_in_the_documents(name: str, tmp_path: Path) -> None:
    async def main() -> str:
        async with served(tmp_path) as it:
            answer = await it.ask("/metrics")
            assert answer.headers["content-type"].startswith("text/plain")
            assert f'buoy_bot_state{{bot="{BOT}",state="up"}} 1.0' in answer.text
            return answer.text

    found = re.findall(r"^# TYPE (\S+) (\S+)$", asyncio.run(main()), re.MULTILINE)
    kinds = {"counter" if one.endswith("_total") else "gauge": kind for one, kind in found}
    assert kinds == {"counter": "counter", "gauge": "gauge"}
    documented = re.findall(r"^\| `(buoy_\w+)` \|", (ROOT / "docs" / name).read_text(), re.MULTILINE)
    assert documented == [one for one, _ in found], "the same, in the same order"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/letters.json", 400, "state=: write one of queued, claimed, held, unsure, dead"),
        ("/letters.json?state=sent", 400, "state=sent: write one of"),
        ("/letters.json?state=dead&limit=0", 400, "limit=0: not a whole number from 1 to 200"),
        ("/turns.json?state=done", 400, "state=done: write one of waiting, running, dead"),
        ("/timeline.json?hours=1e9", 400, "hours=1e9: not a whole number from 1 to 744"),
        ("/timeline.json?hours=%D9%A1", 400, "not a whole number"),
        ("/traffic.json?minutes=99999999999999999999", 400, "not a whole number from 1 to 1440"),
        ("/trace.json", 400, "name: missing"),
        ("/nothing", 404, "Not Found"),
        ("/server.py", 404, "Not Found"),
        ("/..%2Fserver.py", 404, "Not Found"),
    ],
)
def test_bad_questions_get_one_line(path: str, status: int, error: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            answer = await it.ask(path)
            assert (answer.status, answer.json.keys()) == (status, {"error"})
            assert error in answer.json["error"]

    asyncio.run(main())


def test_a_method_that_is_not_there_is_told_those_that_are(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as it:
            for path, allowed in (("/status.json", "GET,HEAD"), ("/act", "POST")):
                answer = await it.ask(path, method="TRACE")
                assert (answer.status, answer.headers["allow"]) == (405, allowed)

    asyncio.run(main())


def test_everything_is_answered_with_the_headers_that_keep_a_page_safe(tmp_path: Path) -> None:
    static = tmp_path / "static"
    static.mkdir()
    for name, text in {"index.html": "<!doctype html>", "page.js": "1", "page.css": "", "icon.svg": "<svg/>"}.items():
        (static / name).write_text(text)
    (static / "notes.txt").write_text("not for the page")
    kinds: dict[str, Any] = {"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css"}
    kinds |= {"/icon.svg": "image/svg+xml", "/status.json": "application/json", "/gone": "application/json"}

    async def main() -> None:
        async with served(tmp_path / "data", static=static) as it:
            for path, kind in kinds.items():
                answer = await it.ask(path)
                policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
                assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
                assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert answer.headers["x-frame-options"] == "DENY"
                assert answer.headers["content-type"].startswith(kind), path
                assert answer.headers["cache-control"] == ("no-cache" if path in {*list(kinds)[:4]} else "no-store")
                assert "access-control-allow-origin" not in answer.headers
            assert (await it.ask("/notes.txt")).status == 404
            assert (await it.ask("/", method="HEAD")).status == 200
            assert (await it.ask("/status.json", method="OPTIONS", headers=BEARER)).status == 405

    asyncio.run(main())
