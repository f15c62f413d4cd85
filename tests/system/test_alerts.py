"""A real Buoy that is killed before its alert was heard: the next one tells it, once. No file shows the address."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import buoy, platform, wait_until

TOKEN = "h00k-t0k3n"


class Away(HTTPServer):
    """Where an operator hears notices, once it serves: until then the port is taken, and nobody answers."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Operator, bind_and_activate=False)
        self.server_bind()


class Operator(BaseHTTPRequestHandler):
    """Takes notices."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Away)
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.system
def test_killed_before_the_operator_heard_it(tmp_path: Path) -> None:
    with Away() as away, platform() as judge:
        address = f"http://127.0.0.1:{away.server_port}/{TOKEN}"
        with buoy(
            tmp_path / "data", judge.api_base, QQ_CLIENT_SECRET="wrong", BUOY_ALERTS=address, BUOY_HEARTBEAT_URL=address
        ) as process:
            process.start(wait=False)
            wait_until(lambda: process.lines("a notice is not heard yet"), "raised, and not heard")
            process.kill()
            (told,) = json.loads(process.command("alerts", "list", "--json").stdout)
            assert (told["rule"], told["subject"], told["told"]) == ("credentials", "102000001", 1)
            assert process.command("alerts", "test").returncode == 1
            away.server_activate()
            serving = threading.Thread(target=away.serve_forever, args=(0.02,))
            serving.start()
            try:
                process.start(wait=False)
                wait_until(lambda: away.heard, "told by the next process")
                tried = process.command("alerts", "test")
                assert (tried.returncode, tried.stdout) == (0, "1 webhook 127.0.0.1: taken\n")
                assert process.status()["alerts"]["open"][0]["rule"] == "credentials"
                assert process.terminate() < 5
            finally:
                away.shutdown()
                serving.join()
    assert [(one["kind"], one["rule"], one["bot"]) for one in away.heard] == [
        ("raised", "credentials", "102000001"),
        ("test", "", ""),
    ]
    assert "q.qq.com" in away.heard[0]["text"]
    for file in (process.log, *(path for path in (tmp_path / "data").rglob("*") if path.is_file())):
        assert TOKEN.encode() not in file.read_bytes(), file
