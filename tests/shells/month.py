"""A gateway on a disk, on a platform in memory, and a month of weather over both."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from buoy.chat import Agent, Message
from buoy.durable.store import Store
from buoy.gateway.app import App
from buoy.platforms.qq.platform import QQ, Account
from buoy.protocol import limits, wire
from buoy.sim.peer import Peer
from buoy.transport.http import Answer, Http
from tests.shells.memory import BASE, BOT, SECRET, MemoryHttp, Network
from tests.shells.rig import INTENTS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from yarl import URL

HOUR_S, DAY_S = 3600.0, 86400.0
CLOSE_CODES = [1000, 1006, 4000, 4006, 4007, 4008, 4009, 4900, 4902, 4913]
ROOMS: list[dict[str, Any]] = [
    *({"scene": "c2c", "user": n} for n in range(4)),
    *({"scene": "group", "room": n, "user": n} for n in range(2)),
    {"scene": "channel", "room": 1},
]
MARK = re.compile(r"m\d+;")


async def echo(message: Message) -> str:
    return message.text


class Tokenless(MemoryHttp):
    """A platform whose token endpoint can be taken away."""

    def __init__(self, month: Month) -> None:
        super().__init__(month.network)
        self._month = month

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        fresh: bool = False,
    ) -> Answer:
        if self._month.no_token and str(url).endswith(wire.TOKEN_PATH):
            return Answer(503, {}, b"<html>")
        return await super().request(method, url, headers=headers, body=body, timeout_s=timeout_s, fresh=fresh)


class Month:
    """What lives through it; `app` is another one after each restart."""

    def __init__(self, place: Path, **settings: Any) -> None:
        self.place = place
        self.loop = asyncio.get_running_loop()
        self.random, self.chance = random.Random(30), random.Random(31)
        self.network = Network(heartbeat_s=limits.HEARTBEAT_RANGE_S[1], lifetime_s=4 * HOUR_S, **settings)
        self.no_token = False
        self.said: dict[str, tuple[str, bool, float]] = {}
        """Mark of each message: its id, whether the gateway was connected and nothing was wrong, and when."""
        self.weather: Counter[str] = Counter()
        self.restarts = 0
        self.is_fine = True
        self.app: App
        self.qq: QQ
        self.http: Http

    # --- the gateway ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        wall = self.network.wall
        self.http = Tokenless(self)
        account = Account(BOT, SECRET, (BASE,), (BASE + wire.TOKEN_PATH,), INTENTS)
        self.qq = QQ(
            account,
            environ={},
            monotonic=self.loop.time,
            wall=wall,
            http=self.http,
            open_socket=self.network.open_socket,
        )
        store = Store.open(self.place, now=wall())
        self.app = App(store, [self.qq], {BOT: Agent(echo, "echo")}, wall=wall)
        vars(self.app.sender._courier)["_draw"] = self.chance.uniform
        await self.app.start()
        vars(self.qq.connection)["_draw"] = self.chance.uniform

    async def stop(self) -> None:
        began = self.loop.time()
        await self.app.stop(deadline_s=5.0)
        assert self.loop.time() - began <= 5.0
        assert self.network.open == []
        self.restarts += 1

    @property
    def is_connected(self) -> bool:
        connection = self.qq.connection
        return connection is not None and connection.state.connected

    async def live(self, within_s: float = limits.PROBE_S * limits.JITTER[1] + 60) -> None:
        """Wait until it is connected: at the latest with the next probe after the cause is gone."""
        ends_at = self.loop.time() + within_s
        while not self.is_connected:
            assert self.loop.time() < ends_at, self.app.health()
            await asyncio.sleep(0.5)

    # --- people -----------------------------------------------------------------------------------------------------

    async def talk(self, until: float) -> None:
        """Somebody says something, thirty times a day."""
        while (now := self.loop.time()) < until:
            await asyncio.sleep(min(self.random.expovariate(30 / DAY_S), until - now))
            self.say(self.random.choice(ROOMS))

    def say(self, room: dict[str, Any]) -> None:
        mark = f"m{len(self.said)};"
        is_promised = self.is_fine and self.is_connected
        self.said[mark] = self.network.say(f"say {mark}", **room), is_promised, self.network.wall()

    # --- weather ----------------------------------------------------------------------------------------------------

    async def change(self, until: float) -> None:
        """Something happens four or five times a day, one thing at a time."""
        kinds = [self.cut, self.outage, self.outage, self.half_open, self.tokenless, self.code, self.restart]
        kinds += [self.taken_down, self.upgradeless]
        while True:
            self.random.shuffle(kinds)
            for kind in kinds:
                await asyncio.sleep(self.random.uniform(1, 7) * HOUR_S)
                if self.loop.time() > until:
                    return
                self.weather[kind.__name__] += 1
                self.is_fine = False
                await kind()
                await self.live()
                self.is_fine = True

    async def cut(self) -> None:
        self.network.cut()

    async def outage(self) -> None:
        """Everything is away, from ten seconds to six hours."""
        self.network.is_down = True
        self.network.cut()
        await asyncio.sleep(self.random.choice([10.0, 120.0, HOUR_S, 6 * HOUR_S]))
        self.network.is_down = False

    async def half_open(self) -> None:
        """No FIN, no answers."""
        self.network.is_half_open = True
        await asyncio.sleep(self.random.choice([30.0, 600.0, HOUR_S]))
        self.network.is_half_open = False
        for socket in self.network.open:
            socket.is_open = False  # what was written into the void does not come back
            socket.peer.lost(self.network.wall())

    async def tokenless(self) -> None:
        """No token for up to three hours, and the old one is refused; the connection may end meanwhile."""
        self.no_token = True
        self.network.world.revoke_tokens(None, self.network.wall())
        if self.random.random() < 0.5:
            self.network.cut()
        await asyncio.sleep(self.random.uniform(60, 3 * HOUR_S))
        self.no_token = False

    async def code(self) -> None:
        for socket in self.network.open:
            socket.peer.close(self.random.choice(CLOSE_CODES))
        await asyncio.sleep(1)

    async def taken_down(self) -> None:
        """A person has to act, and does after an hour."""
        fault = self.network.world.faults.add("taken_down")
        await asyncio.sleep(HOUR_S)
        self.network.world.faults.remove(fault.id)

    async def upgradeless(self) -> None:
        self.network.refuses_sockets = True
        self.network.cut()
        await asyncio.sleep(self.random.uniform(10, HOUR_S))
        self.network.refuses_sockets = False

    async def restart(self) -> None:
        """An orderly one, sometimes with the network away, sometimes after a while."""
        self.network.is_down = self.random.random() < 0.3
        await self.stop()
        await asyncio.sleep(self.random.choice([0.0, 5.0, 600.0]))
        await self.start()
        await asyncio.sleep(self.random.uniform(0, 100))
        self.network.is_down = False

    # --- afterwards -------------------------------------------------------------------------------------------------

    def ask(self, sql: str) -> list[Any]:
        def job(db: sqlite3.Connection) -> list[Any]:
            return db.execute(sql).fetchall()

        return self.app.store.read(job)

    def shown(self) -> Counter[str]:
        """How often the readers saw each mark."""
        return Counter(mark for message in self.network.world.delivered for mark in MARK.findall(message.text))


def weigh(*roots: Any) -> int:
    """Count what the containers hold that can be reached from these, without the world around the gateway."""
    seen: set[int] = set()
    waiting, total = list(roots), 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, OUTSIDE):
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            inside = [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset | deque):
            inside = list(one)
        else:
            slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            inside = [getattr(one, name, None) for name in slots] if type(one).__module__.startswith("buoy") else []
            inside += (
                getattr(one, "__dict__", {}).values() if type(one).__module__.startswith(("buoy", "tests")) else ()
            )
        total += len(inside)
        waiting += inside
    return total


OUTSIDE = (str, bytes, int, float, type, Network, Month, Peer, asyncio.AbstractEventLoop)


def most_within(times: list[float], span_s: float) -> int:
    """The most that happened within any such span."""
    most = first = 0
    for at, time in enumerate(times):
        while times[first] <= time - span_s:
            first += 1
        most = max(most, at - first + 1)
    return most
