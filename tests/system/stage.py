"""What the chaos tests play on: the simulated platform, a network that fails on demand, a real `buoy run` behind it.

The platform judges: at the end of each test every message that was said has exactly one answer, and nobody got
anything else. Times are taken from Buoy's own log and from the agent's diary, not from when the test looked.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.measure import measured
from tests.system.processes import ROOT, Buoy, Platform, wait_until
from tests.system.proxy import DOWN, WEBSOCKET, Proxy

BEAT_S = 2.0
"""Heartbeat interval that the platform asks for: short, so that what takes two of them fits into a test."""
READY_S = 10.0  # fault row 13: READY after a start
CAP_S = 60 * 1.15  # fault row 3: one interval of the backoff at its cap, with its jitter


class Stage:
    """One platform, one proxy, one data directory; see :func:`stage`."""

    def __init__(self, folder: Path, data: Path | None = None, beat_s: float = BEAT_S, **environ: str) -> None:
        self.beat_s = beat_s
        self.proxy = Proxy()
        self.judge = Platform("--no-limits", "--heartbeat", str(beat_s), "--announce", self.proxy.address)
        host, _, port = self.judge.api_base.removeprefix("http://").partition(":")
        self.proxy.target = (host, int(port))
        self.gate = folder / "gate"
        self._diary = folder / "diary"
        diary = {
            "BUOY_AGENT": "python:diary:answer",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}",
            "DIARY": str(self._diary),
            "GATE": str(self.gate),
        }
        self.process = Buoy(data or folder / "data", f"http://{self.proxy.address}", **(diary | environ))
        self.process.log_folder = folder
        self.said: list[str] = []
        self.stack = ExitStack()
        """What a test has begun and ends later."""
        self.spawned_at = 0.0

    def close(self) -> None:
        self.stack.close()
        self.process.close()
        self.judge.stop()
        self.proxy.close()

    # --- do ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start Buoy; it has to be connected within the bound of every restart."""
        live = len(self.log("phase", now="live"))
        self.spawned_at = time.time()
        self.process.start(wait=False)
        wait_until(lambda: len(self.log("phase", now="live")) > live or self.process.exit_code is not None, "READY", 30)
        assert self.process.exit_code is None, self.tail()
        measured(
            13, "process start to READY or RESUMED", self.log("phase", now="live")[-1]["at"] - self.spawned_at, READY_S
        )

    def say(self, text: str = "hello", **switches: Any) -> str:
        """A user says something, each time another one; Buoy owes exactly one answer from now on."""
        message = self.judge.say(text, **({"user": len(self.said)} | switches))
        self.said.append(message)
        return message

    def fault(self, kind: str, **fields: Any) -> int:
        return int(self.judge.ask("POST", "/faults", kind=kind, **fields)["id"])

    def heal(self) -> None:
        """Take every fault of platform and network away."""
        self.judge.ask("DELETE", "/faults")
        self.proxy.opens()

    @contextmanager
    def disk_held(self) -> Iterator[None]:
        """Nothing can be committed: another program holds the database's write lock."""
        with closing(sqlite3.connect(self.process.directory / "buoy.db", timeout=10, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    # --- look ----------------------------------------------------------------------------------------------

    def log(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Lines of Buoy's log about an event, with ``at`` in wall seconds."""
        if not self.process.log.exists():
            return []
        found = []
        for line in self.process.log.read_text().splitlines():
            if line.startswith("{") and f'"event": "{event}"' in line and line.endswith("}"):
                told = json.loads(line)
                if all(told.get(name) == value for name, value in fields.items()):
                    told["at"] = datetime.fromisoformat(told["timestamp"]).timestamp()
                    found.append(told)
        return found

    def tail(self) -> str:
        return self.process.log.read_text()[-3000:]

    def runs(self, text: str) -> list[float]:
        """When the agent began to answer this text."""
        if not self._diary.exists():
            return []
        lines = [json.loads(line) for line in self._diary.read_text().splitlines()]
        return [line["at"] for line in lines if line["text"] == text]

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """What is on disk, whether a Buoy runs or not."""
        with closing(sqlite3.connect(f"file:{self.process.directory / 'buoy.db'}?mode=ro", uri=True)) as db:
            return db.execute(sql, values).fetchall()

    def is_stored(self, message: str) -> bool:
        return bool(self.rows("SELECT 1 FROM inbox WHERE key = ?", message))

    def letter(self, message: str) -> str:
        """The state of the letter that answers a message; empty where there is none."""
        found = self.rows("SELECT o.state FROM outbox o JOIN inbox i ON o.event = i.id WHERE i.key = ?", message)
        return str(found[0][0]) if found else ""

    def posts(self) -> int:
        """Sends that have reached the platform."""
        return int(self.judge.state()["counters"].get("requests_send", 0))

    def unread(self) -> int:
        """Bytes that lie in the kernel, not yet read by Buoy from its WebSocket."""
        (port,) = self.proxy.ports(WEBSOCKET)
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues = line.split()[:5]
            if (int(local[9:], 16), int(remote[9:], 16)) == (port, self.proxy.port):
                return int(queues.partition(":")[2], 16)
        raise AssertionError("the WebSocket is gone")

    def frame_arrives(self, text: str, **switches: Any) -> str:
        """Say something, and wait until its frame has left the network on Buoy's side."""
        before = self.proxy.passed[WEBSOCKET, DOWN]
        message = self.say(text, **switches)
        wait_until(lambda: self.proxy.passed[WEBSOCKET, DOWN] >= before + 100, "the frame is through the network")
        return message

    def all_answered(self, timeout_s: float = 30.0) -> float:
        """Wait until every message has its answer, and hold that none has two and nobody got anything else.

        Returns when the last answer arrived.
        """
        wait_until(lambda: all(self.judge.answers(one) for one in self.said), f"every answer\n{self.tail()}", timeout_s)
        wait_until(
            lambda: (
                not self.rows("SELECT 1 FROM outbox WHERE state IN ('queued', 'claimed')")
                and not self.rows("SELECT 1 FROM inbox WHERE state IN ('waiting', 'running')")
            ),
            f"nothing is left to do\n{self.tail()}",
            timeout_s,
        )
        log = self.judge.ask("GET", "/log")
        assert sorted(one["anchor"] for one in log) == sorted(self.said), "one answer each, and nothing else"
        assert self.rows("SELECT DISTINCT state FROM outbox") == [("sent",)]
        return float(max(one["at"] for one in log))


@contextmanager
def stage(folder: Path, data: Path | None = None, *, beat_s: float = BEAT_S, **environ: str) -> Iterator[Stage]:
    """Everything is in place, and Buoy has not been started."""
    one = Stage(folder, data, beat_s, **environ)
    try:
        yield one
    finally:
        one.close()
