"""`kill -9` at any moment, again and again under load: every message is answered, none twice. The platform judges."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from buoy.durable.store import peek
from tests.system.processes import APP_ID, ROOT, Buoy, Platform, buoy, platform, wait_until

KILLS = 50
ANSWER_TAKES_S = 0.02
WINDOWS = ("frame to commit", "commit to turn end", "POST to answer", "answer to settle")


def windows_hit(process: Buoy, judge: Platform, killed_at: float, heard: dict[str, float]) -> Counter[str]:
    """What the kill interrupted, told by the database that it left and by what the platform had accepted."""
    db = peek(process.directory)
    try:
        (stored,) = db.execute("SELECT coalesce(max(stored), 0) FROM cursor").fetchone()
        (open_turns,) = db.execute("SELECT count(*) FROM inbox WHERE state IN ('waiting', 'running')").fetchone()
        claimed = [anchor for (anchor,) in db.execute("SELECT anchor FROM outbox WHERE state = 'claimed'")]
    finally:
        db.close()
    sessions = judge.state()["sessions"]
    hits = Counter({"frame to commit": max(session["s"] for session in sessions) - stored})
    hits["commit to turn end"] = open_turns
    for anchor in claimed:
        accepted_at = heard.get(anchor.removeprefix("msg_id:"))
        is_answered = accepted_at is not None and accepted_at + ANSWER_TAKES_S < killed_at
        hits["answer to settle" if is_answered else "POST to answer"] += 1
    return hits


@pytest.mark.system
@pytest.mark.timeout(300)
def test_killed_fifty_times_under_load_every_message_is_answered_once(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    draw = random.Random(seed)
    hits: Counter[str] = Counter()
    kills: Counter[str] = Counter()
    heard: dict[str, float] = {}
    seen = said = 0
    with (
        platform("--no-limits") as judge,
        buoy(
            tmp_path / "data",
            judge.api_base,
            BUOY_AGENT="python:slow_echo:answer",
            PYTHONPATH=f"{ROOT / 'src'}:{ROOT / 'tests/system/agents'}",
        ) as process,
    ):
        judge.ask("POST", "/faults", kind="slow", endpoint="send", mode="after", seconds=ANSWER_TAKES_S)
        process.start()
        judge.ask("POST", "/load", users=40, messages=2000, mode="closed")
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.01, 0.3))  # the moment of the kill is the thing under test
            killed_at = time.time()
            process.kill()
            fresh = judge.ask("GET", f"/log?since={seen}")
            seen += len(fresh)
            heard |= {one["anchor"]: one["at"] for one in fresh}
            hit = windows_hit(process, judge, killed_at, heard)
            hits += hit
            kills.update(name for name in WINDOWS if hit[name] > 0)
            load = judge.ask("GET", "/load")
            process.start()
            if load["done"]:
                assert load["answered_twice"] == 0, f"seed {seed}: {load}"
                said += load["answered"]
                judge.ask("POST", "/load", users=40, messages=2000, mode="closed")
        load = wait_until(lambda: (now := judge.ask("GET", "/load"))["done"] and now, "every message is answered", 60)
        said += load["answered"]
        log = judge.ask("GET", "/log")
        assert process.terminate() < 5.5
    print(f"\n{KILLS} kills (seed {seed}), {said} messages; kills that fell into each window, and messages there:")
    for name in WINDOWS:
        print(f"  {name:20} {kills[name]:3} kills, {hits[name]:4} messages")
    copies = Counter(one["anchor"] for one in log)
    assert load["unanswered"] == 0
    assert load["answered_twice"] == 0
    assert max(copies.values()) == 1
    assert all(kills[name] for name in WINDOWS), f"a window stayed empty: {dict(kills)}"
    assert process.lines("started") == KILLS + 1
    assert APP_ID in process.log.read_text()
