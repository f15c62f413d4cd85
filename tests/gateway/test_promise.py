"""The promise under random weather: refusals, lost answers, outages, full disks, kills and stops, in any order."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buoy.chat import Agent, Message
from buoy.durable.store import Store
from buoy.errors import StoreError
from buoy.gateway.app import App
from buoy.gateway.turns import Turns, Words
from buoy.letters import Cause, Failed
from tests import clock
from tests.gateway.fakes import (
    ANN,
    BEN,
    CAT,
    DOWN,
    REFUSED,
    TOO_FAST,
    Disk,
    Line,
    Lost,
    Slow,
    Step,
    World,
    crash,
    wall,
)

LANES = (ANN, BEN, CAT)
STEPS: tuple[Step, ...] = (
    None, Slow(2.0), Lost(accepted=True), Lost(accepted=False), Slow(3.0, Lost(accepted=True)), DOWN, TOO_FAST,
    Failed(Cause.LOST, "bad gateway", 0, 502), Failed(Cause.RATE, "slower", 22009, 200, retry_after_s=4.0),
    REFUSED[Cause.TRANSIENT], REFUSED[Cause.ANCHOR], REFUSED[Cause.CONTENT], REFUSED[Cause.TARGET],
    REFUSED[Cause.OPERATOR], REFUSED[Cause.BUG], KeyError("a bug of the platform's"),
)  # fmt: skip

PUTS = st.tuples(
    st.just("put"),
    st.sampled_from(LANES),
    st.fixed_dictionaries(
        {"parts": st.integers(0, 6), "fails": st.sampled_from([0, 0, 0, 1, 9]), "slow": st.sampled_from([0, 0.3, 5])}
    ),
)
REQUESTS = st.tuples(st.just("request"), st.sampled_from(STEPS))
WAITS = st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.5, 2.0, 30.0, 400.0]))
FAULTS = st.one_of(
    st.tuples(st.just("kill")),
    st.tuples(st.just("stop")),
    st.tuples(st.just("network"), st.booleans()),
    st.tuples(st.just("full disk"), st.sampled_from([0.5, 5.0])),
    st.tuples(st.just("send"), st.sampled_from(LANES)),
)
ROUNDS = st.lists(st.tuples(PUTS, REQUESTS, REQUESTS, WAITS, FAULTS), min_size=3, max_size=12)


def part(key: str, n: int) -> str:
    return f"{key}.{n}"


async def parts(message: Message) -> AsyncIterator[str]:
    """What the text asks for; an agent that can continue skips what it is told was delivered."""
    told = json.loads(message.text)
    if message.attempt <= told["fails"]:
        raise RuntimeError("as asked")
    for n in range(len(message.delivered), told["parts"]):
        await asyncio.sleep(told["slow"])
        yield part(message.id, n)


async def speaks(message: Message) -> str | None:
    """The same by the line: each part is queued as it is said, the last one ends the turn."""
    told = json.loads(message.text)
    if message.attempt <= told["fails"]:
        raise RuntimeError("as asked")
    if not told["parts"]:
        return None
    assert message.line is not None
    for n in range(len(message.delivered), told["parts"]):
        await asyncio.sleep(told["slow"])
        await message.line.say(part(message.id, n), last=n + 1 == told["parts"])
    await asyncio.sleep(told["slow"])
    return "never seen: k0.99"


AGENTS = {
    "collects": Agent(parts),
    "continues": Agent(parts, can_continue=True),
    "speaks": Agent(speaks),
}


class Kept(Store):
    """A store in memory whose last state outlives its close."""

    last: Store | None = None

    async def close(self, timeout_s: float) -> None:
        while self._queue or self._committing:
            await asyncio.sleep(0)
        if self.last is None:
            self.last = crash(self, Disk())
        await super().close(timeout_s)


@dataclass
class Weather:
    """One run: a line of processes over one store, and what was put in."""

    line: Line
    agent: Agent
    put: dict[str, tuple[str, int]] = field(default_factory=dict)
    coming: set[asyncio.Task[None]] = field(default_factory=set)
    sends: int = 0
    world: World = field(init=False)

    async def run(self, script: list[tuple[Any, ...]]) -> None:
        await self.start(Kept.open_memory(now=wall(), commit=Disk()))
        for name, *told in script:
            await getattr(self, "do_" + name.replace(" ", "_"))(*told)
        self.line.script.clear()
        self.line.is_up = True
        await asyncio.sleep(4000)
        await asyncio.gather(*self.coming)
        await self.world.settle()
        self.judge()
        await self.world.app.stop(deadline_s=5)

    async def start(self, store: Store) -> None:
        words = Words("failed", "too long", "stopped", "idle")
        app = App(store, [self.line], {self.line.bot: self.agent}, wall=wall, turns=Turns(words=words))
        await app.start()
        self.world = World(app, self.line)

    @property
    def disk(self) -> Disk:
        disk = self.world.store._commit
        assert isinstance(disk, Disk)
        return disk

    async def do_put(self, lane: str, told: dict[str, Any]) -> None:
        key = f"k{len(self.put)}"
        self.put[key] = (lane, told["parts"])
        task = asyncio.ensure_future(self.come(key, lane, json.dumps(told)))
        self.coming.add(task)
        await asyncio.sleep(0)

    async def come(self, key: str, lane: str, text: str) -> None:
        """The platform brings what was not acknowledged again, and sometimes what was."""
        for _ in range(2):
            while True:
                try:
                    await self.world.put(key, text, lane=lane)
                    break
                except StoreError:
                    await asyncio.sleep(0.7)

    async def do_request(self, step: Step) -> None:
        self.line.say("*", step)

    async def do_wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def do_kill(self) -> None:
        old, following = self.world.app, crash(self.world.store, Disk())
        self.disk.error = sqlite3.SQLITE_IOERR  # from now on it acknowledges nothing
        await old.stop(deadline_s=0.01)
        await self.start(following)

    async def do_stop(self) -> None:
        store = self.world.store
        await self.world.app.stop(deadline_s=5.0)
        assert isinstance(store, Kept)
        assert store.last is not None
        await self.start(store.last)

    async def do_network(self, is_up: bool) -> None:  # noqa: FBT001
        self.line.is_up = is_up

    async def do_full_disk(self, seconds: float) -> None:
        with self.disk.full():
            await asyncio.sleep(seconds)

    async def do_send(self, lane: str) -> None:
        self.sends += 1
        try:
            await self.world.send(f"s{self.sends}.0", lane=lane, key=f"s{self.sends}")
        except StoreError:
            self.sends -= 1

    def judge(self) -> None:
        events, letters = self.world.events(), self.world.letters()
        shown = [(lane, piece) for lane, text in self.line.shown for piece in pieces(text)]
        seen = Counter(piece for _, piece in shown)
        assert all(count == 1 for count in seen.values()), f"shown twice: {seen}"
        by_id = {row["id"]: row for row in letters.values()}
        for key, (lane, count) in self.put.items():
            event = events[key]
            assert event["state"] in {"done", "dead"}, event
            own = [row for row in letters.values() if re.fullmatch(rf"{key}/\d+", row["key"])]
            assert len(own) == count if event["state"] == "done" else event["reason"], (event, own)
            for n, row in enumerate(own):
                self.judge_letter(row, by_id, seen, part(key, n))
            assert {where for where, piece in shown if piece.startswith(f"{key}.")} <= {lane}
        for n in range(1, self.sends + 1):
            self.judge_letter(letters[f"send/s{n}"], by_id, seen, part(f"s{n}", 0))
        for lane in LANES:
            straight = {
                piece_of(row["key"]): row["id"]
                for row in letters.values()
                if row["state"] == "sent" and row["origin"] not in {"held", "notice"} and row["lane"] == lane
            }
            order = [straight[piece] for where, piece in shown if where == lane and piece in straight]
            assert order == sorted(order), f"{lane} out of order: {shown}"
        assert self.world.app.supervisor.job_failures == 0
        assert (self.world.app.worker.active, self.world.app.sender.active) == (0, 0)
        assert (self.world.app.worker._places, self.world.app.worker._beside) == (0, 0)
        told = {row["key"] for row in letters.values() if row["origin"] == "notice"}
        assert told == {f"{key}/failed" for key in self.put if events[key]["state"] == "dead"}

    def judge_letter(
        self, row: dict[str, Any], by_id: dict[int, dict[str, Any]], seen: Counter[str], piece: str
    ) -> None:
        while row["state"] == "merged":
            row = by_id[row["into_id"]]
        match row["state"]:
            case "sent":
                assert seen[piece] == 1, f"{piece} is said to be sent: {row}"
            case "unsure":
                assert seen[piece] <= 1
                assert row["reason"]
            case "held" | "dead":
                assert seen[piece] == 0, f"{piece} was delivered and is {row['state']}: {row}"
                assert row["reason"]
            case other:
                raise AssertionError(f"{piece} ended as {other}: {row}")


def piece_of(key: str) -> str:
    """What the letter of this key says."""
    source, _, n = key.removeprefix("send/").partition("/")
    return part(source, int(n or 1) - 1)


def pieces(text: str) -> list[str]:
    return re.findall(r"[ks]\d+\.\d+", text)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROUNDS, st.sampled_from(list(AGENTS)), st.booleans(), st.booleans())
def test_each_message_is_answered_once_or_it_is_said_why_not(
    rounds: list[tuple[tuple[Any, ...], ...]],
    style: str,
    joins: bool,  # noqa: FBT001
    proactive: bool,  # noqa: FBT001
) -> None:
    script = [action for each in rounds for action in each]
    agent = replace(AGENTS[style], joins=(lambda _: True) if joins else None)
    line = Line(proactive=proactive, shows_typing=True)
    clock.run(Weather(line, agent).run(script))
