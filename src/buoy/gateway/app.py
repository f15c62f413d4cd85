"""Buoy as one object: takes an open store, platforms and agents; starts, answers, stops within its deadline."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buoy.chat import Agent, Reply, Target
from buoy.durable import history, inbox, meta, outbox, retention
from buoy.durable.schedules import Schedule
from buoy.durable.store import Store
from buoy.errors import ConfigError, StoreLostError
from buoy.gateway import posting
from buoy.gateway.courier import Holding
from buoy.gateway.health import Depths, Snapshot, snapshot
from buoy.gateway.intake import Door
from buoy.gateway.platform import Platform
from buoy.gateway.receipts import Receipt
from buoy.gateway.schedules.timetable import Timetable
from buoy.gateway.sender import Sender
from buoy.gateway.supervisor import Supervisor
from buoy.gateway.worker import Turns, Worker
from buoy.letters import Ended, Letter
from buoy.logger import Logger

SWEEP_S = 60.0
PRUNE_MINUTES = 60  # what is kept for a month need not be looked for each minute
FINISH_SHARE = 0.4  # of the shutdown deadline: what runs may finish
DRAIN_POLL_S = 0.01
CANCEL_SHARE = 0.15  # what was cancelled may put things back; three times this, and the store has the rest

log = Logger("buoy.app")


class App:
    """One Buoy. Several bots live in it, isolated but for the store and the process."""

    def __init__(
        self,
        store: Store,
        platforms: Sequence[Platform],
        agents: Mapping[str, Agent],
        *,
        wall: Callable[[], float] = time.time,
        draw: Callable[[float, float], float] = random.uniform,
        turns: Turns | None = None,
        holding: Holding | None = None,
        bodies_days: float = 30.0,
        keys_days: float = 90.0,
        schedules: Sequence[Schedule] | None = None,
        before: Ended | None = None,
    ) -> None:
        """``schedules`` are those of the settings file; None: nothing runs by the clock.

        ``before`` is how the last process ended; None: nothing is known of one.
        """
        self.store = store
        self.platforms = {platform.bot: platform for platform in platforms}
        self.agents = dict(agents)
        self.wall = wall
        self.started_at = wall()
        self.supervisor = Supervisor()
        self.sender = Sender(store, self.supervisor, self.platforms, wall=wall, holding=holding, draw=draw)
        self.worker = Worker(
            store, self.supervisor, self.platforms, self.agents, self.sender, wall=wall, turns=turns, draw=draw
        )
        self.door = Door(store, self.worker, self.sender, wall=wall)
        self.depths = Depths(store)
        self.sections: dict[str, Callable[[], dict[str, Any]]] = {}
        """What the parts around the gateway tell in the snapshot; their names are `health.SECTIONS`."""
        self.timetable = Timetable(store, self.worker, self.sender, self.platforms, self.resolve, wall=wall)
        self._schedules = schedules
        self._before = before
        self._has_begun = False
        self.lost: asyncio.Future[StoreLostError] = asyncio.get_running_loop().create_future()
        self._retention = (bodies_days * 86400, keys_days * 86400)
        store.on_lost = self._on_lost

    def _on_lost(self, error: StoreLostError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)

    async def start(self) -> None:
        """Take up what is in the store and run everything under the supervisor.

        Raises:
            ConfigError: a schedule can never be fired; nothing runs.
            StoreError: what an earlier process left could not be freed; nothing runs.
        """
        await self._begin()
        if self._schedules is not None:
            await self.timetable.start(self._schedules)
        buried = await self.store.write(posting.void_claims, self.store.boot, self.worker.runs.told_dead)
        for event in buried:
            log.error("turn is dead", turn=event.id, reason="it ended the process or failed too often")
        self.sender.start()
        self.worker.start()
        for bot, platform in self.platforms.items():
            for name, service in platform.services(self.door).items():
                self.supervisor.keep(f"{platform.name}:{bot}:{name}", service)
        self.supervisor.keep("housekeeping", self._housekeeping)
        if self._schedules is not None:
            self.supervisor.keep("schedules", self.timetable.run)
            self.sections["schedules"] = self.timetable.health

    async def _begin(self) -> None:
        """From here on the timeline is ours: what was up when the last process ended was off since then.

        Its end is no later than a minute after its last sign of life, whoever failed to start since.
        """
        if self._before is not None:
            alive_at = self.store.read(meta.get, "alive_at", self._before.at)
            await self.store.write(history.end, self._before.why, min(self._before.at, alive_at + SWEEP_S))
        self._has_begun = True

    async def _housekeeping(self) -> None:
        """Note each minute that we are alive and end what was held too long; each hour, prune what is old.

        What is due is one commit: an idle Buoy wakes the disk once a minute.
        """
        for minute in itertools.count():
            noted = self.store.write(meta.set, "alive_at", self.wall())
            pruned = self._prune() if minute % PRUNE_MINUTES == 0 else None
            await self.sender.sweep()
            await noted
            while pruned is not None and (await pruned).more:  # a slice a transaction: others commit in between
                pruned = self._prune()
            await asyncio.sleep(SWEEP_S)

    def _prune(self) -> asyncio.Future[retention.Pruned]:
        return self.store.write(retention.prune, self.wall(), *self._retention)

    def resolve(self, target: Target) -> Target:
        """Name the bot of a target that leaves it open.

        Raises:
            ConfigError: no such bot, or several and none named.
        """
        bots = [bot for bot, platform in self.platforms.items() if platform.name == target.platform]
        if target.bot is None and len(bots) == 1:
            return Target(target.platform, target.scene, target.id, bots[0])
        if target.bot in bots:
            return target
        if not bots:
            raise ConfigError(f"no bot on platform {target.platform!r} is configured; targets here begin with qq:")
        raise ConfigError(
            f"target {target} names no bot of this Buoy; append one of: {', '.join('@' + b for b in bots)}"
        )

    async def send(
        self, target: Target | str, reply: Reply | str, *, key: str | None = None, origin: str = "send"
    ) -> Receipt:
        """Queue one message and return within 100 ms with what is known; see :meth:`Sender.send`.

        Raises:
            ConfigError: the target or the text is not usable.
            NotStoredError: not committed in time; nothing will be sent.
        """
        where = self.resolve(Target.parse(target) if isinstance(target, str) else target)
        what = Reply(reply) if isinstance(reply, str) else reply
        if not what.text.strip():
            raise ConfigError("the text is empty; QQ takes no empty message")
        self.platforms[where.bot or ""].check(where)
        return await self.sender.receipts.send(where, what, key=key, origin=origin)

    async def settled(self, letter: int, timeout_s: float) -> Letter | None:
        """Wait until a letter has left or has ended otherwise, ``timeout_s`` at most; see :meth:`Receipts.settled`.

        ``letter`` is what `send()` and `Line.say` return. Where :meth:`is_way_free` says no, do not wait.
        """
        return await self.sender.receipts.settled(letter, timeout_s)

    def is_way_free(self, bot: str) -> bool:
        """Say whether this bot's letters get through now.

        Nothing has failed since the last one that did, none has been waiting for its answer longer than usual, and
        nothing stops.
        """
        return self.sender.is_way_free(bot)

    async def retry_letter(self, number: int) -> bool:
        """A person wants a dead, unsure or held letter tried again."""
        letter = await self.store.write(outbox.retry_dead, number, self.wall())
        if letter is None:
            return False
        self.sender.revive(letter)
        return True

    async def drop_letter(self, number: int) -> bool:
        """A person gives a letter up that is not under way."""
        return await self.store.write(outbox.drop, number, "dropped by a person", self.wall())

    async def retry_event(self, number: int) -> bool:
        """A person wants a dead turn run again."""
        event = await self.store.write(inbox.retry_dead, number, self.wall())
        if event is None:
            return False
        self.worker.revive(event)
        return True

    async def drop_event(self, number: int) -> bool:
        """A person gives a turn up that does not run."""
        return await self.store.write(inbox.drop, number, self.wall())

    async def drained(self) -> None:
        """Wait until no turn and no letter is left that could go on now."""
        while not (self.worker.is_idle and self.sender.is_idle):
            await asyncio.sleep(DRAIN_POLL_S)

    def health(self) -> Snapshot:
        """The snapshot as plain data; see :mod:`buoy.gateway.health`."""
        return snapshot(self)

    async def stop(self, *, deadline_s: float) -> None:
        """Stop within the deadline: finish what can be, give back the rest, close the store.

        Order: nothing new starts; platforms let go; what runs gets a share of the time; what is left is cancelled,
        its runs given back; the store is flushed and closed. Nothing is lost whichever step the time runs out in.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        self.supervisor.is_stopping = True
        self.timetable.stop()
        self.worker.stop()
        self.sender.stop()
        closing = [asyncio.ensure_future(platform.close()) for platform in self.platforms.values()]
        while (self.worker.active or self.sender.active) and clock() - started < deadline_s * FINISH_SHARE:
            await asyncio.sleep(DRAIN_POLL_S)
        await self.supervisor.stop(timeout_s=deadline_s * CANCEL_SHARE)
        self.worker.give_back()
        await _ended(closing, deadline_s * CANCEL_SHARE)
        if self._has_begun:  # a command that took our place for a moment changed no bot's state
            self.store.write(history.end, "stopped in good order", self.wall())
        endings = [agent.close() for agent in self.agents.values()]
        endings += [platform.release() for platform in self.platforms.values()]
        await _ended([asyncio.ensure_future(end) for end in endings], deadline_s * CANCEL_SHARE)
        await self.store.close(deadline_s - (clock() - started))


async def _ended(tasks: Sequence[asyncio.Future[None]], timeout_s: float) -> None:
    """Wait for what has to end, cancel what does not, and say what failed."""
    done, late = await asyncio.wait(tasks, timeout=timeout_s) if tasks else (set(), set())
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("not closed", exc_info=error)
