"""What the page is tested on: the simulated platform, a real `buoy run`, and a day that its database remembers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from buoy.chat import Reply
from buoy.durable import history, schema
from buoy.platforms.qq import compose
from tests.system.processes import APP_ID, Buoy, Platform, buoy, platform, wait_until

if TYPE_CHECKING:
    import sqlite3

DIRECT = build_opener(ProxyHandler({}))  # the page is here, whatever the proxy
MINUTE, HOUR = 60.0, 3600.0
GROUP = "qq:group:2F0C6DA5D7B04E3B9F2A6C1D5E8F7A90"
FRIEND = "qq:c2c:9D3A4B1C6E7F20A8B5C4D3E2F1A09877"
UP = ("up", "")
DAY = (  # hours ago, state and cause: an ordinary day with an evening that was not
    (27.0, *UP),
    (17.2, "down", "closed: close code 4009"),
    (17.19, *UP),
    (9.6, "down", "invalid session"),
    (9.37, *UP),
    (6.4, "blocked", "ip: this machine's address is not on the bot's allowlist"),
    (4.3, *UP),
    (1.1, "down", "unreachable: connection refused"),
    (0.9, *UP),
)
LETTERS = (  # state, hours ago, conversation, text, reason
    (
        *("held", 2.1, GROUP, "The build is green again: 412 tests, 3 min 40 s."),
        "the reply window of 5 min has passed; held until the next message",
    ),
    (
        *("dead", 3.4, FRIEND, "明天下午三点在二楼会议室开会，请带上笔记本电脑。"),
        "the recipient does not exist, or not in this kind of conversation",
    ),
    (
        *("unsure", 1.05, GROUP, "Backup finished: 18.2 GB in 21 min."),
        "no answer from the platform, and its reply window is over",
    ),
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Harbour:
    """One platform and one Buoy with a page; see :func:`harbour`."""

    def __init__(self, judge: Platform, process: Buoy) -> None:
        self.judge = judge
        self.process = process
        self.url = ""

    def start(self) -> None:
        """Run Buoy until it is connected and listens."""
        self.process.start()
        self.url = wait_until(self._listening, "the page") + "/"

    def restart(self) -> None:
        """Kill Buoy and run it again."""
        self.process.kill()
        self.start()

    def _listening(self) -> str:
        found = re.findall(r'"listening": "([^"]+)", "event": "page"', self.process.log.read_text())
        return str(found[-1]) if len(found) == self.process.starts else ""

    def trace(self, name: str) -> str:
        """Every step of a message in one text; empty when nothing is known of it."""
        with suppress(HTTPError), DIRECT.open(f"{self.url}trace.json?name={name}") as answer:
            return "\n".join(one["step"] for one in json.load(answer)["steps"])
        return ""

    @property
    def token(self) -> str:
        return (self.process.directory / "web.token").read_text("utf-8").strip()

    def refuse(self, code: int) -> None:
        """Let the platform refuse every send with this code."""
        self.judge.ask("POST", "/faults", kind="error_code", endpoint="send", code=code)

    def heal(self) -> None:
        self.judge.ask("DELETE", "/faults")
        self.judge.network("up")


@contextmanager
def harbour(folder: Path) -> Iterator[Harbour]:
    """Platform and Buoy on a data directory in ``folder``; Buoy has not been started."""
    with (
        platform("--no-limits", "--heartbeat", "2") as judge,
        buoy(folder / "data", judge.api_base, BUOY_LISTEN="127.0.0.1:0") as process,
    ):
        yield Harbour(judge, process)


def remember(directory: Path, *, hostile: bool = False) -> None:
    """Make a database that has seen a day. ``hostile``: with markup wherever people or platforms may write."""
    directory.mkdir(mode=0o700, parents=True)
    writer, reader = schema.open_file(directory)
    with closing(reader), closing(writer):
        now = time.time()
        writer.execute("BEGIN")
        for hours, state, cause in DAY:
            history.note(writer, APP_ID, 0, state, cause, now - hours * HOUR)
        _gap(writer, now - 9.6 * HOUR, now - 9.37 * HOUR, "invalid session")
        for state, hours, lane, text, reason in LETTERS:
            _letter(writer, state, now - hours * HOUR, lane, text, reason)
        _turn(writer, now - 5.2 * HOUR, "the agent failed 5 times: ConnectError: model is overloaded")
        _traffic(writer, now)
        if hostile:
            history.note(writer, APP_ID, 0, "down", f"closed: {HOSTILE}", now - 0.4 * HOUR)
            history.note(writer, APP_ID, 0, *UP, now - 0.3 * HOUR)
            _gap(writer, now - 0.4 * HOUR, now - 0.3 * HOUR, HOSTILE)
            _letter(writer, "dead", now - 0.2 * HOUR, GROUP, f"text {HOSTILE}", f"reason {HOSTILE}")
            _turn(writer, now - 0.1 * HOUR, f"ValueError: {HOSTILE}")
        writer.execute("COMMIT")


def _gap(db: sqlite3.Connection, from_at: float, to_at: float, cause: str) -> None:
    db.execute(
        "INSERT INTO gap (bot, shard, session, stored, from_at, to_at, cause) VALUES (?, 0, 's', 1, ?, ?, ?)",
        (APP_ID, from_at, to_at, cause),
    )


def _letter(db: sqlite3.Connection, state: str, at: float, lane: str, text: str, reason: str) -> None:
    """Queue a letter and end it, as a run does: what hangs on the change of its state happens."""
    (body,) = compose.compose("c2c", [Reply(text)])
    made = db.execute(
        "INSERT INTO outbox (key, bot, lane, body, state, created_at, attempts, origin) "
        "VALUES (?, ?, ?, ?, 'queued', ?, 1, 'cli')",
        (f"key {at}", APP_ID, lane, body, at),
    )
    settled_at = None if state == "held" else at + 2
    db.execute(
        "UPDATE outbox SET state = ?, reason = ?, settled_at = ? WHERE id = ?",
        (state, reason, settled_at, made.lastrowid),
    )


def _turn(db: sqlite3.Connection, at: float, reason: str) -> None:
    made = db.execute(
        "INSERT INTO inbox (bot, shard, session, type, key, lane, event_at, received_at, state, attempts) "
        "VALUES (?, 0, 's', 'C2C_MESSAGE_CREATE', ?, ?, ?, ?, 'waiting', 5)",
        (APP_ID, f"ROBOT1.0_{at:.0f}", FRIEND, at, at),
    )
    db.execute(
        "UPDATE inbox SET state = 'dead', reason = ?, ended_at = ? WHERE id = ?", (reason, at + 40, made.lastrowid)
    )


def _traffic(db: sqlite3.Connection, now: float) -> None:
    """An hour of messages and answers, in waves."""
    for minute in range(60, 0, -1):
        for number in range((minute * 7 + minute * minute) % 11 // (1 + minute % 3)):
            at = now - minute * MINUTE + 7 * number
            name = f"ROBOT1.0_{minute}.{number}"
            made = db.execute(
                "INSERT INTO inbox (bot, shard, session, type, key, lane, event_at, received_at, state, ended_at, "
                "attempts) VALUES (?, 0, 's', 'GROUP_AT_MESSAGE_CREATE', ?, ?, ?, ?, 'done', ?, 1)",
                (APP_ID, name, GROUP, at, at, at + 3),
            )
            db.execute(
                "INSERT INTO outbox (key, bot, lane, state, created_at, event, attempts, attempted_at, settled_at) "
                "VALUES (?, ?, ?, 'sent', ?, ?, 1, ?, ?)",
                (f"{made.lastrowid}/0", APP_ID, GROUP, at + 3, made.lastrowid, at + 3, at + 3.2),
            )
