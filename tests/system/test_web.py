"""The page of a real process: served, scraped, sent through; and a SIGTERM that no client holds up."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import ROOT, SECRET, buoy, platform, wait_until

pytestmark = pytest.mark.system
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_a_real_process_serves_and_stops_in_time_whatever_its_clients_do(tmp_path: Path) -> None:
    with platform() as judge, buoy(tmp_path / "data", judge.api_base, BUOY_LISTEN="127.0.0.1:0") as process:
        process.start()
        web = process.status()["web"]
        token = Path(web["token_file"]).read_text().strip()

        def ask(path: str, body: Any = None, **headers: str) -> tuple[int, str]:
            data = None if body is None else json.dumps(body).encode()
            with DIRECT.open(urllib.request.Request(web["listening"] + path, data, headers), timeout=5) as answer:
                return answer.status, answer.read().decode()

        assert ask("/readyz") == (200, "ready\n")
        assert json.loads(ask("/status.json")[1]).keys() == process.status().keys()
        status, metrics = ask("/metrics")
        assert (status, "buoy_ready 1.0" in metrics) == (200, True)
        target = f"qq:c2c:{judge.ask('POST', '/meet')['target']}"
        sent = ask("/send", {"target": target, "text": "from a script"}, Authorization=f"Bearer {token}")
        assert json.loads(sent[1])["state"] == "sent"

        with ExitStack() as stack:
            host, port = web["listening"].removeprefix("http://").split(":")
            for half in [b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] * 20 + [b"GET /even", b""]:
                client = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
                client.sendall(half)
                if half.endswith(b"\n"):
                    assert client.recv(100).startswith(b"HTTP/1.1 200 ")
            began = time.monotonic()
            process.terminate()
            assert time.monotonic() - began < 5.0
        assert process.exit_code == 0
        log = process.log.read_text()
        assert '"event": "page"' in log
        assert token not in log
        assert SECRET not in log


def test_nothing_new_is_taken_while_a_turn_may_finish(tmp_path: Path) -> None:
    environ = {
        "BUOY_LISTEN": "127.0.0.1:0",
        "BUOY_AGENT": "python:hanging:answer",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}",
        "BUOY_SHUTDOWN_S": "3",
    }
    with platform() as judge, buoy(tmp_path / "data", judge.api_base, **environ) as process:
        process.start()
        judge.say("hello")
        wait_until(lambda: process.status()["inbox"]["states"]["running"], "the turn runs")
        host, port = process.status()["web"]["listening"].removeprefix("http://").split(":")

        def is_refused() -> bool:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except ConnectionRefusedError:
                return True
            return False

        assert not is_refused()
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        wait_until(is_refused, "it listens no more")
        assert process.exit_code is None
        assert time.monotonic() - began < 0.9, "a running turn has 40 % of the deadline"
        wait_until(lambda: process.exit_code is not None, "the end")
