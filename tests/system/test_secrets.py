"""After a full run nothing that Buoy wrote, said or served holds a secret or a token, and no log an openid.

What is new and writes, says or serves something belongs in here: a command in COMMANDS, a page in PAGES.
"""

from __future__ import annotations

import itertools
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buoy.errors import EXIT_QUEUED
from buoy.faces.cli import app
from tests.system.processes import APP_ID, SECRET, Buoy, Platform, buoy, platform, wait_until

pytestmark = pytest.mark.system

WEB_TOKEN = "a-token-for-the-page-0123456789"
API_KEY = "sk-of-a-model-0123456789"
COMMANDS = (
    *("status", "status --json", "logs -n 1000", "logs --json", "trace in/1", "doctor", "doctor --json"),
    *("inbox list --json", "inbox show in/1 --json", "outbox list --json", "outbox show out/1", "deadletter list"),
    *("deadletter list --json", "alerts list --json", "schedule list --json"),
    *("hermes status", "hermes doctor", "hermes install --dry-run"),
)
AFTER_DEATH = ("status --json", "logs -n 1000")
PAGES = (
    *("/", "/page.js", "/nowhere", "/livez", "/readyz", "/metrics", "/status.json", "/timeline.json", "/traffic.json"),
    *("/letters.json?state=queued", "/turns.json?state=dead", "/trace.json?name=in/1"),
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def judge() -> Iterator[Platform]:
    with platform("--no-limits") as one:
        yield one


def token(judge: Platform) -> str:
    """The token that Buoy holds: QQ gives the same one to whoever asks until its last minute."""
    body = json.dumps({"appId": APP_ID, "clientSecret": SECRET}).encode()
    ask = urllib.request.Request(
        f"{judge.api_base}/app/getAppAccessToken", data=body, headers={"Content-Type": "application/json"}
    )
    with _DIRECT.open(ask, timeout=10) as answer:
        return str(json.load(answer)["access_token"])


def pages(process: Buoy) -> Iterator[tuple[str, bytes]]:
    """What is served, to one who shows the token and to one who does not."""
    address = process.status()["web"]["listening"]
    for page, shown in itertools.product(PAGES, ({}, {"Authorization": f"Bearer {WEB_TOKEN}"})):
        ask = urllib.request.Request(address.rstrip("/") + page, headers=shown)
        try:
            with _DIRECT.open(ask, timeout=10) as answer:
                yield page, answer.read() + str(answer.headers).encode()
        except urllib.error.HTTPError as error:
            with error:
                yield f"{page} {error.code}", error.read() + str(error.headers).encode()


def said(process: Buoy, commands: tuple[str, ...] = COMMANDS) -> Iterator[tuple[str, bytes]]:
    """What each of these commands prints, if it exists."""
    there = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    there |= {str(group.name) for group in app.registered_groups}
    lines = [line for line in commands if line.split()[0] in there]
    with ThreadPoolExecutor(3) as threads:
        for line, done in zip(lines, threads.map(lambda line: process.command(*line.split()), lines), strict=True):
            yield f"buoy {line}", (done.stdout + done.stderr).encode()


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder: database, write-ahead log, logs, snapshots, whatever there will be."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def finds(texts: list[tuple[str, bytes]], words: set[str]) -> list[str]:
    return [f"{where} holds {word[:6]}..." for where, text in texts for word in sorted(words) if word.encode() in text]


def test_a_full_run_leaves_no_secret_anywhere_and_no_whole_openid_in_a_log(judge: Platform, tmp_path: Path) -> None:
    hidden, texts = {SECRET, API_KEY, WEB_TOKEN}, []
    environ = {
        "BUOY_LOG_LEVEL": "debug",
        "BUOY_LISTEN": "127.0.0.1:0",
        "OPENAI_API_KEY": API_KEY,
        "BUOY_WEB_TOKEN": WEB_TOKEN,
        "BUOY_SHUTDOWN_S": "1",
    }
    data = tmp_path / "data"
    with buoy(data, judge.api_base, **environ) as process:
        process.start()
        first = judge.say("hello")
        group = judge.say("hello, all", scene="group")
        wait_until(lambda: judge.answers(first) and judge.answers(group), "both answers")
        hidden.add(token(judge))
        for kind in ("revoke_tokens", "ws_reset"):
            judge.ask("POST", "/faults", kind=kind)
        second = judge.say("after that")
        wait_until(lambda: judge.answers(second), "an answer with a new token")
        hidden.add(token(judge))
        judge.ask("POST", "/faults", kind="error_code", code=11253, count=1, endpoint="send")
        judge.say("this one is refused")
        wait_until(lambda: process.lines("letter ended") or process.lines("letter held"), "a letter that is not sent")
        judge.network("down")
        judge.say("nobody hears this")
        wait_until(lambda: '"now": "waiting"' in process.log.read_text(), "the outage")
        to = f"qq:c2c:{judge.answers(first)[0]['target']}"
        assert process.command("send", to, "later").returncode == EXIT_QUEUED
        texts += [*said(process), *pages(process), *written(data)]
        process.terminate()
        judge.network("up")
    with buoy(data, judge.api_base, QQ_APP_ID="102000002", **environ) as process:  # the rows of a bot that is gone
        process.start(wait=False)
        judge.ask("POST", "/faults", kind="bad_secret")
        wait_until(lambda: "not configured stay where they are" in process.log.read_text(), "a line with a lane")
        wait_until(lambda: '"now": "blocked"' in process.log.read_text(), "the refusal of the secret")
        process.kill()
        texts += [*said(process, AFTER_DEATH), *written(data), ("standard error", process.log.read_bytes())]

    where = {name for name, _ in texts}
    assert {"buoy.db", "logs/buoy.log", "buoy status --json", "standard error"} <= where
    assert {"/", "/status.json", "/metrics", "/letters.json?state=queued", "/traffic.json"} <= where
    assert len(hidden) >= 4
    assert finds(texts, hidden) == []

    openids = {one["target"] for one in judge.ask("GET", "/log")}
    stored = [(name, text) for name, text in texts if name.startswith("buoy.db")]
    assert finds(stored, openids), "the search would find them"
    logs = [(name, text) for name, text in texts if name.startswith(("logs/", "buoy logs", "standard"))]
    assert finds(logs, openids) == []
    assert any(f"{openid[:8]}…".encode() in text for openid in openids for _, text in logs), (
        "they stand there, shortened"
    )


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(100) + SECRET.encode() + b"\0")
    assert finds(list(written(tmp_path)), {SECRET, "absent"}) == [f"deep/file holds {SECRET[:6]}..."]
