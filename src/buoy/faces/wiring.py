"""Puts the parts together: from settings to platforms, agents and the application that runs them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from buoy.agents import build
from buoy.chat import Agent, Reply
from buoy.config import Bot, Config
from buoy.durable.lock import Lock, lock_machine
from buoy.durable.schedules import Schedule
from buoy.durable.store import Store
from buoy.faces import channels, ending, planning
from buoy.gateway.alerts.channel import Channel
from buoy.gateway.alerts.rules import Limits
from buoy.gateway.alerts.service import Alerts
from buoy.gateway.alerts.service import Manner as Telling
from buoy.gateway.alerts.switch import Switch
from buoy.gateway.app import App
from buoy.gateway.courier import Holding
from buoy.gateway.platform import Platform
from buoy.gateway.words import words_of
from buoy.gateway.worker import Turns
from buoy.platforms.qq.platform import QQ, Account
from buoy.platforms.qq.words import Manner

RENEW_S = 12 * 60 * 60.0


def platforms(config: Config, environ: Mapping[str, str]) -> list[QQ]:
    """One QQ platform for each configured bot."""
    return [QQ(account(config, bot), environ=environ) for bot in config.bots]


def account(config: Config, bot: Bot) -> Account:
    """What the platform has to know of a bot."""
    return Account(
        bot.app_id,
        bot.client_secret.reveal(),
        bot.api_base,
        bot.token_url,
        bot.intents,
        bot.shard,
        frozenset(bot.proactive),
        expect_event_s=bot.expect_event_h * 3600 or math.inf,
        repeat_unsure=bot.proactive_unsure == "repeat",
        names_bot=len(config.bots) > 1,
        manner=Manner(config.outbox.language, config.outbox.late_after_s),
    )


def agents(config: Config) -> dict[str, Agent]:
    """The agent of each bot."""
    language = config.outbox.language
    return {
        bot.app_id: build(
            bot.agent.kind,
            {**bot.agent.settings(), "language": language, "state": config.data_dir / "agents" / bot.app_id},
        )
        for bot in config.bots
    }


def tell_operator(app: App, config: Config, ways: Sequence[Channel], environ: Mapping[str, str]) -> None:
    """Watch this Buoy and tell the operator of its troubles, from now until it stops."""
    asked = config.alerts
    limits = Limits(asked.down_s, asked.held_h * 3600, asked.queue_s, asked.disk_mb << 20)
    alerts = Alerts(app.store, app.health, ways, Telling(asked.language, limits, asked.repeat_h * 3600), wall=app.wall)
    alerts.start(app.supervisor)
    app.sections["alerts"] = alerts.told
    if asked.heartbeat_url is not None:
        ping = channels.Ping(asked.heartbeat_url.reveal(), environ)
        switch = Switch(app.store, alerts, ping, asked.heartbeat_s, wall=app.wall)
        app.supervisor.keep("alerts:heartbeat", switch.run)


def assemble(
    config: Config,
    store: Store,
    lines: Sequence[Platform],
    answers: Mapping[str, Agent],
    schedules: Sequence[Schedule] | None = None,
) -> App:
    """An application from settings and parts; nothing runs yet. ``schedules`` None: nothing runs by the clock."""
    before = store.read(lambda db: ending.last(config.data_dir, db))
    return App(
        store,
        lines,
        answers,
        turns=Turns(
            config.turns.timeout_s,
            config.turns.parallel,
            config.turns.attempts,
            config.turns.late_after_s,
            skips_late=config.turns.late == "skip",
            typing_after_s=config.turns.typing_after_s,
            words=words_of(
                config.outbox.language,
                config.turns.failed_text,
                config.turns.timeout_text,
                config.turns.stopped_text,
            ),
        ),
        holding=Holding(config.outbox.hold_days, config.outbox.hold_per_conversation),
        bodies_days=config.retention.bodies_days,
        keys_days=config.retention.keys_days,
        schedules=schedules,
        before=before,
    )


def socket_name(bot: Bot) -> str:
    """What only one process of a machine may connect."""
    return f"{bot.api_base[0]} {bot.app_id}"


@contextmanager
def sockets_locked(config: Config) -> Iterator[list[Lock]]:
    """Hold the machine's lock of each (API host, AppID), so that two sockets never fight over one bot.

    Raises:
        BusyError: another process has one of them.
    """
    locks = []
    with ExitStack() as stack:
        for bot in config.bots:
            busy = f"bot {bot.app_id} is connected already on this machine, by {{holder}}; stop that one first"
            lock = lock_machine(socket_name(bot), busy)
            stack.callback(lock.release)
            locks.append(lock)
        yield locks


async def renew(locks: Sequence[Lock]) -> None:
    """Touch the lock files now and then: cleaners of temporary folders take what nobody touches."""
    while True:
        for lock in locks:
            lock.touch()
        await asyncio.sleep(RENEW_S)


def handlers(app: App) -> dict[str, Any]:
    """What the control socket may be asked."""

    async def send(asked: dict[str, Any]) -> dict[str, Any]:
        reply = Reply(str(asked["text"]), markdown=asked.get("markdown") is True)
        receipt = await app.send(str(asked["target"]), reply, key=asked.get("name"), origin="cli")
        return {
            "id": receipt.id, "key": receipt.key, "state": receipt.state.value, "position": receipt.position,
            "reason": receipt.reason,
        }  # fmt: skip

    async def status(asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        return dict(app.health())

    async def act(asked: dict[str, Any]) -> dict[str, Any]:
        verbs = {
            "retry_letter": app.retry_letter,
            "drop_letter": app.drop_letter,
            "retry_event": app.retry_event,
            "drop_event": app.drop_event,
        }
        return {"done": await verbs[str(asked["do"])](int(asked["row"]))}

    return {
        "send": send,
        "status": status,
        "retry_letter": act,
        "drop_letter": act,
        "retry_event": act,
        "drop_event": act,
        **planning.handlers(app.timetable, app.wall),
    }
